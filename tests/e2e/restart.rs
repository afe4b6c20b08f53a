//! Asking a running gateway to begin anew, or to end, from the command line and over RPC.
//!
//! Source: command line specification §4; operations specification §5.

use serde_json::{Value, json};

use crate::fake_provider::FakeProvider;
use crate::harness::process::Ended;
use crate::harness::turn::{history, rest, say, send, text_of};
use crate::harness::{Client, Gateway, SOON, eventually};
use crate::{World, binary};

const ANSWER: &str = "Hello from the fake provider.";

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error} in {:?}\n{}", ended.stdout, ended.stderr))
}

#[tokio::test]
async fn a_restart_is_waited_for_and_the_next_one_keeps_its_distance() {
    let world = World::start();
    let mut client = world.client().await;
    let idle = client.ask("gateway.restart.preflight", json!({})).await;
    assert_eq!((&idle["safe"], &idle["summary"]), (&json!(true), &json!("safe to restart now")), "{idle}");

    let pid = world.gateway.pid();
    let ended = world.gateway.cli(&["gateway", "restart", "--json"]);
    let document = json_of(&ended);
    assert_eq!(ended.code, Some(0), "{document}");
    assert_eq!((&document["action"], &document["result"]), (&json!("restart"), &json!("restarted")), "{document}");
    assert_eq!((&document["restart"]["pid"], &document["service"]["loaded"]), (&json!(pid), &json!(false)));
    assert_eq!(client.event("shutdown").await["payload"]["reason"], "gateway restarting");
    assert_eq!(client.closed(SOON).await.code, 1012);
    assert_eq!(world.gateway.pid(), pid, "the same process, begun again");
    eventually("the lines", SOON, async || {
        let logs = world.gateway.logs();
        (logs.contains("restarting: gateway restart") && logs.contains("back online after a restart")).then_some(())
    })
    .await;

    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "still here").await, ANSWER);
    let first = client.ask("gateway.restart.request", json!({ "reason": "once more" })).await;
    assert_eq!((&first["ok"], &first["status"]), (&json!(true), &json!("scheduled")), "{first}");
    let apart = first["restart"]["cooldownMsApplied"].as_u64().unwrap();
    assert!((10_000..=30_000).contains(&apart), "{first}");
    let second = world.gateway.cli(&["gateway", "restart", "--safe", "--json"]);
    let second = json_of(&second);
    assert_eq!((&second["result"], &second["restart"]["coalesced"]), (&json!("coalesced"), &json!(true)), "{second}");
    assert!(world.gateway.is_healthy());
}

#[tokio::test]
async fn a_forced_restart_cuts_a_turn_off_and_it_goes_on_afterwards() {
    let world = World::start();
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let busy = client.ask("gateway.restart.preflight", json!({})).await;
    assert_eq!((&busy["safe"], &busy["counts"]["embeddedRuns"]), (&json!(false), &json!(1)), "{busy}");
    assert_eq!(busy["blockers"][0]["kind"], "embedded-run");

    // The first waits for the turn. The second does not, and hurries the first, which takes no call any more.
    let deferred = world.gateway.cli(&["gateway", "restart", "--safe", "--json"]);
    assert_eq!(json_of(&deferred)["result"], "deferred", "{}", deferred.stdout);
    client.event("shutdown").await;
    let joined = world.gateway.cli(&["gateway", "restart", "--safe", "--json"]);
    assert_eq!(json_of(&joined)["result"], "coalesced", "{}", joined.stdout);
    let ended = world.gateway.cli(&["gateway", "restart", "--force"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("Restarted gateway (pid ") && ended.stdout.contains("it is ready"));
    let url = world.gateway.ws();
    let mut client = eventually("it is back", SOON, async || {
        let url = url.clone();
        tokio::spawn(async move { Client::connect(&url).await }).await.ok()
    })
    .await;
    rest(&mut client, "agent:main:main").await;
    let messages = history(&mut client, "main").await;
    assert!(messages.iter().any(|message| text_of(message).contains("The gateway was restarted")), "{messages:?}");
}

#[tokio::test]
async fn a_restart_in_order_waits_as_long_as_it_is_told() {
    let world = World::start();
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let ended = world.gateway.cli(&["gateway", "restart", "--wait", "300"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 running turns") && ended.stdout.contains("it is ready"), "{}", ended.stderr);
}

#[test]
fn a_stop_ends_the_gateway_and_a_second_one_finds_nothing() {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::start(binary(), &fake.base_url());
    let stopped = json_of(&gateway.cli(&["gateway", "stop", "--json"]));
    assert_eq!((&stopped["ok"], &stopped["result"]), (&json!(true), &json!("stopped")), "{stopped}");
    assert_eq!(gateway.ended(SOON).code, Some(0));
    for command in ["stop", "restart"] {
        let ended = gateway.cli(&["gateway", command]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("Gateway service disabled."), "{}", ended.stdout);
        assert!(ended.stdout.contains("Start with: openclaw gateway"), "{}", ended.stdout);
        let document = json_of(&gateway.cli(&["gateway", command, "--json"]));
        assert_eq!((&document["ok"], &document["result"]), (&json!(true), &json!("not-loaded")), "{document}");
    }
    let refused = gateway.cli(&["gateway", "restart", "--skip-deferral"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--skip-deferral requires --safe"), "{}", refused.stderr);
}

/// The limits are those of a gateway that is much too big for them.
#[tokio::test]
async fn too_much_memory_lets_idle_sessions_rest_and_restarts_once() {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::prepare(binary(), &fake.base_url(), |config| {
        config.set("diagnostics.memory", json!({ "softLimitMb": 1, "hardLimitMb": 100_000 }))
    });
    gateway.place_mut().environment.push(("OPENCLAW_TEST_MEMORY_MS".into(), "200".into()));
    gateway.launch();
    let mut world = World { gateway, fake };
    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "hi").await, ANSWER);
    eventually("the session rests", SOON, async || {
        let tree = client.ask("system.tree", json!({})).await.to_string();
        (!tree.contains("agent:main:main")).then_some(())
    })
    .await;
    assert_eq!(say(&mut client, "main", "and again").await, ANSWER, "it comes back with its history");
    assert_eq!(history(&mut client, "main").await.len(), 4);
    let pressure = client.ask("diagnostics.metrics", json!({})).await.to_string();
    assert!(pressure.contains("openclaw_memory_pressure_total") && pressure.contains("\"warning\""), "{pressure}");

    world.gateway.edit_config(|config| config.set("diagnostics.memory.hardLimitMb", json!(1)));
    assert_eq!(client.event("shutdown").await["payload"]["reason"], "gateway restarting");
    assert_eq!(client.closed(SOON).await.code, 1012);
    let url = world.gateway.ws();
    let mut client = eventually("it is back", SOON, async || {
        let url = url.clone();
        tokio::spawn(async move { Client::connect(&url).await }).await.ok()
    })
    .await;
    eventually("it is looked at again", SOON, async || {
        let stability = client.ask("diagnostics.stability", json!({})).await;
        (stability["summary"]["memory"]["pressureCount"] == 1).then_some(())
    })
    .await;
    let told = world.gateway.stderr();
    assert!(told.contains("memory is above its hard limit; the gateway restarts"), "{told}");
    assert_eq!(told.matches("restarting: memory above").count(), 1, "not again within half an hour: {told}");
    assert_eq!(say(&mut client, "main", "still here").await, ANSWER);
}

#[tokio::test]
async fn below_a_service_manager_it_ends_and_is_started_from_outside() {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::prepare(binary(), &fake.base_url(), |config| config);
    let socket = gateway.place().root().join("notify");
    let _manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    gateway.place_mut().environment.push(("NOTIFY_SOCKET".into(), socket.to_str().unwrap().into()));
    gateway.launch();
    let mut world = World { gateway, fake };
    let mut client = world.client().await;
    let answer = client.ask("gateway.restart.request", json!({})).await;
    assert_eq!(answer["restart"]["mode"], "supervisor", "{answer}");
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
}

#[tokio::test]
async fn a_signal_does_not_restart_into_a_broken_file_either() {
    let world = World::start();
    let mut client = world.client().await;
    world.gateway.place().write_config("{ gateway: { mode: ");
    world.gateway.signal(nix::sys::signal::Signal::SIGUSR1);
    let refusal = "no restart: the gateway would not start again";
    eventually(refusal, SOON, async || world.gateway.stderr().contains(refusal).then_some(())).await;
    assert_eq!(say(&mut client, "main", "still here").await, ANSWER);
}
