//! The `agent` method: two answers to one request, repeats, waiting, abort and timeout.
//!
//! Source: WebSocket protocol, runs; aborted and timed-out runs both end as `status:"timeout"`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::Outcome;
use crate::harness::turn::{history, is_chat_end, is_lifecycle_end};
use crate::harness::{Client, SOON};

const ANSWER: &str = "Hello from the fake provider.";

/// Starts a run; gives the request id after the first answer was checked.
async fn accepted(client: &mut Client, params: Value) -> String {
    let run = params["idempotencyKey"].clone();
    let id = client.send("agent", params).await;
    let answer = client.response(&id, SOON).await;
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!((&answer["payload"]["runId"], &answer["payload"]["status"]), (&run, &json!("accepted")));
    assert!(answer["payload"]["acceptedAt"].is_u64(), "{answer}");
    id
}

fn run(message: &str, key: &str) -> Value {
    json!({ "message": message, "sessionKey": "agent:main:main", "idempotencyKey": key })
}

#[tokio::test]
async fn a_run_is_accepted_first_and_answered_when_it_is_done() {
    let world = World::start();
    let mut client = world.client().await;
    let id = accepted(&mut client, run("hello", "run-ok")).await;
    let done = client.response(&id, SOON).await;
    assert_eq!(done["ok"], true, "{done}");
    let payload = &done["payload"];
    assert_eq!((&payload["status"], &payload["summary"]), (&json!("ok"), &json!("completed")));
    assert_eq!(payload["result"]["payloads"], json!([{ "text": ANSWER, "mediaUrl": null }]));
    let meta = &payload["result"]["meta"];
    assert_eq!((&meta["aborted"], &meta["stopReason"]), (&json!(false), &json!("stop")));
    assert_eq!((&meta["agentMeta"]["provider"], &meta["agentMeta"]["model"]), (&json!("fake"), &json!("fake-1")));
    assert!(meta["durationMs"].is_u64() && meta["agentMeta"]["sessionId"].is_string(), "{meta}");
    assert_eq!(meta["agentMeta"]["usage"]["output"], 6);
}

#[tokio::test]
async fn the_answer_is_stored_once() {
    let world = World::start();
    let mut client = world.client().await;
    let id = accepted(&mut client, run("hello", "once")).await;
    client.response(&id, SOON).await;
    assert_eq!(history(&mut client, "main").await.len(), 2);
}

#[tokio::test]
async fn a_repeat_while_running_is_accepted_again_and_gets_no_final() {
    let world = World::start();
    let mut client = world.client().await;
    let first = accepted(&mut client, run("[[script:slow]] x", "twice")).await;
    let second = accepted(&mut client, run("[[script:slow]] x", "twice")).await;
    assert_eq!(client.response(&first, SOON).await["payload"]["status"], "ok");
    let rest = client.frames_for(Duration::from_millis(500)).await;
    assert!(!rest.iter().any(|frame| frame["id"] == second.as_str()), "the repeat got a final: {rest:?}");
    assert_eq!(world.fake.requests().len(), 1);
}

#[tokio::test]
async fn a_repeat_afterwards_gets_the_stored_final_at_once() {
    let world = World::start();
    let mut client = world.client().await;
    let id = accepted(&mut client, run("hello", "again")).await;
    let done = client.response(&id, SOON).await;
    let repeated = client.call("agent", run("hello", "again")).await;
    assert_eq!(repeated["payload"], done["payload"]);
    assert_eq!(world.fake.requests().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_run_or_with_its_own_deadline() {
    let world = World::start();
    let mut client = world.client().await;
    let id = accepted(&mut client, run("[[script:slow]] x", "waited")).await;
    let early = client.ask("agent.wait", json!({ "runId": "waited", "timeoutMs": 200 })).await;
    assert_eq!(early, json!({ "runId": "waited", "status": "timeout" }));
    let late = client.ask("agent.wait", json!({ "runId": "waited", "timeoutMs": 15_000 })).await;
    assert_eq!((&late["runId"], &late["status"]), (&json!("waited"), &json!("ok")));
    client.response(&id, SOON).await;
    let unknown = client.ask("agent.wait", json!({ "runId": "never", "timeoutMs": 100 })).await;
    assert_eq!(unknown, json!({ "runId": "never", "status": "timeout" }));
}

#[tokio::test]
async fn an_aborted_run_still_answers_its_request() {
    let world = World::start();
    let mut client = world.client().await;
    let id = accepted(&mut client, run("[[script:endless]] x", "gone")).await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let abort = json!({ "key": "agent:main:main", "runId": "gone" });
    let aborted = client.ask("sessions.abort", abort.clone()).await;
    assert_eq!(aborted, json!({ "ok": true, "abortedRunId": "gone", "status": "aborted" }));
    let done = client.response(&id, SOON).await;
    assert_eq!(done["ok"], true, "{done}");
    let payload = &done["payload"];
    assert_eq!((&payload["status"], &payload["summary"]), (&json!("timeout"), &json!("aborted")));
    assert_eq!(payload["stopReason"], "rpc");
    assert_eq!(payload["result"]["meta"]["aborted"], true);
    let again = client.ask("sessions.abort", abort).await;
    assert_eq!(again, json!({ "ok": true, "abortedRunId": null, "status": "no-active-run" }));
    world.fake.wait_for_outcome("endless", Outcome::Dropped, SOON).await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_times_out() {
    let world = World::start();
    let mut client = world.client().await;
    for (script, key) in [("hang-head", "t-head"), ("hang-mid", "t-mid")] {
        let mut params = run(&format!("[[script:{script}]]"), key);
        params["timeout"] = json!(1);
        let id = accepted(&mut client, params).await;
        let mut frames = client.frames_until("the final", SOON, |frame| frame["id"] == id.as_str()).await;
        let done = frames.last().unwrap();
        assert_eq!((&done["ok"], &done["payload"]["status"]), (&json!(true), &json!("timeout")), "{done}");
        frames.extend(client.frames_for(Duration::from_millis(500)).await);
        assert_eq!(frames.iter().filter(|frame| is_chat_end(frame, key)).count(), 1, "{frames:?}");
        assert_eq!(frames.iter().filter(|frame| is_lifecycle_end(frame, key)).count(), 1, "{frames:?}");
        world.fake.wait_for_outcome(script, Outcome::Dropped, SOON).await;
    }
}

#[tokio::test]
async fn the_run_goes_on_when_its_client_leaves() {
    let world = World::start();
    let mut leaver = world.client().await;
    accepted(&mut leaver, run("[[script:slow]] x", "alone")).await;
    drop(leaver);
    let mut other = world.client().await;
    let done = other.ask("agent.wait", json!({ "runId": "alone", "timeoutMs": 15_000 })).await;
    assert_eq!(done["status"], "ok");
    assert_eq!(history(&mut other, "main").await.len(), 2);
}

#[tokio::test]
async fn what_cannot_run_is_never_accepted() {
    let world = World::start();
    let mut client = world.client().await;
    let cases = [
        (json!({ "message": "x", "sessionKey": "main" }), "must have required property 'idempotencyKey'"),
        (json!({ "message": "x", "agentId": "nope", "idempotencyKey": "k1" }), "unknown agent id \"nope\""),
        (
            json!({ "message": "x", "agentId": "main", "sessionKey": "agent:ops:main", "idempotencyKey": "k2" }),
            "does not match session key agent",
        ),
    ];
    for (params, text) in cases {
        let error = client.refusal("agent", params.clone()).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{params}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(text), "{params}: {message}");
    }
    assert!(world.fake.requests().is_empty());
}
