//! The metrics: over HTTP for whoever collects them, over RPC for the command.
//!
//! Source: operations specification §9.

use serde_json::json;

use crate::World;
use crate::harness::gateway::bearer;
use crate::harness::http;
use crate::harness::turn::say;

#[tokio::test]
async fn what_happened_is_counted_and_shown_to_those_who_may_see_it() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "[[script:tool]] status please").await;

    let url = world.gateway.http("/api/diagnostics/prometheus");
    assert_eq!(http::client().get(&url).send().await.unwrap().status(), 401);
    let response = http::client().get(&url).header("authorization", bearer()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    for part in [
        "# TYPE openclaw_run_completed_total counter",
        "outcome=\"completed\"",
        "openclaw_tool_execution_total{tool=\"session_status\",outcome=\"completed\"} 1",
        "openclaw_ws_connections{role=\"operator\"} 1",
        "openclaw_inbound_queue{state=\"done\"} 1",
        "openclaw_mailbox_depth{kind=\"session\"} 0",
        "openclaw_gateway_build_info{version=",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains("agent:main:main"), "no session key in a label:\n{text}");
    let calls = text.lines().find(|line| line.starts_with("openclaw_model_call_total{")).unwrap();
    assert!(calls.ends_with(" 2"), "one call for the tool, one for the answer: {calls}");

    let families = client.ask("diagnostics.metrics", json!({})).await["families"].clone();
    let runs =
        families.as_array().unwrap().iter().find(|family| family["name"] == "openclaw_run_completed_total").unwrap();
    assert_eq!(runs["series"][0]["value"], 1.0, "{runs}");
    let shown = world.gateway.cli(&["metrics"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains("openclaw_run_duration_seconds_count"), "{}", shown.stdout);
    let down = world.gateway.cli(&["metrics", "--url", "ws://127.0.0.1:9", "--token", "x"]);
    assert_eq!(down.code, Some(1), "{}", down.stdout);
}
