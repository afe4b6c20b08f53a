//! Heartbeats: the agent wakes by itself, says nothing when there is nothing, and says it once when there is something.

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::Script;
use crate::front_end::{FrontEnd, direct};
use crate::harness::turn::history;
use crate::harness::{Client, Config, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";

/// A gateway with a front-end, on which ada has written last.
async fn start_with(heartbeat: Value, change: impl FnOnce(Config) -> Config) -> (World, FrontEnd, Client) {
    let front = FrontEnd::start();
    let world = World::start_with(|config| change(front.configure(config).set("agents.defaults.heartbeat", heartbeat)));
    front.say(&world.gateway.http(""), "m1", &direct("ada"), "ada", "hi there").await.unwrap();
    assert_eq!(front.wait_for(1).await, [format!("ada: {ANSWER}")]);
    let client = world.client().await;
    (world, front, client)
}

async fn last(client: &mut Client) -> Value {
    client.ask("last-heartbeat", json!({})).await
}

/// Wakes the agent and gives how that went.
async fn wake(client: &mut Client, text: &str) -> Value {
    let before = last(client).await;
    assert_eq!(client.ask("wake", json!({ "text": text, "mode": "now" })).await, json!({ "ok": true }));
    eventually("a heartbeat", SOON, async || Some(last(client).await).filter(|record| *record != before)).await
}

#[tokio::test]
async fn a_heartbeat_that_finds_nothing_says_nothing_and_one_that_does_says_it_once() {
    let (world, front, mut client) = start_with(json!({ "every": "0m", "target": "last" }), |config| config).await;
    assert_eq!(last(&mut client).await, Value::Null);
    world.fake.push(Script::text("HEARTBEAT_OK"));
    let record = wake(&mut client, "the backup is done").await;
    assert_eq!((&record["status"], &record["silent"]), (&json!("ok-token"), &json!(true)), "{record}");
    assert_eq!(front.shown().len(), 1);

    world.fake.push(Script::text("The oven is on!"));
    let record = wake(&mut client, "it smells").await;
    assert_eq!(front.wait_for(2).await[1], "ada: The oven is on!");
    let expected = json!({ "status": "sent", "preview": "The oven is on!", "hasMedia": false, "channel": "webhook",
                           "accountId": "front", "to": "direct:ada", "indicatorType": "alert" });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&record[key], value, "{key}: {record}");
    }

    world.fake.push(Script::text("The oven is on!"));
    let record = wake(&mut client, "it still smells").await;
    assert_eq!((&record["status"], &record["reason"]), (&json!("skipped"), &json!("duplicate")));
    assert_eq!(front.shown().len(), 2, "the same is not said twice a day");

    // What has happened went into the conversation once, and people see neither it nor the words of the heartbeat.
    let asked = world.fake.requests().last().unwrap().body.to_string();
    assert!(
        asked.contains("System: [") && asked.contains("it still smells") && asked.contains("HEARTBEAT.md"),
        "{asked}"
    );
    assert_eq!(asked.matches("it smells").count(), 1);
    assert!(!asked.contains("the backup is done\\nSystem"), "{asked}");
    let shown = Value::from(history(&mut client, "main").await).to_string();
    assert!(shown.contains("[OpenClaw heartbeat poll]") && !shown.contains("Follow it strictly"), "{shown}");
}

#[tokio::test]
async fn outside_the_active_hours_nothing_happens_and_the_reason_is_shown() {
    let heartbeat = json!({ "every": "0m", "target": "last", "activeHours": { "start": "00:00", "end": "00:00" } });
    let (world, front, mut client) = start_with(heartbeat, |config| config).await;
    let asked = world.fake.requests().len();
    let record = wake(&mut client, "it smells").await;
    assert_eq!((&record["status"], &record["reason"]), (&json!("skipped"), &json!("quiet-hours")));
    let printed = world.gateway.cli(&["system", "heartbeat", "last"]);
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(printed, record);
    assert_eq!((front.shown().len(), world.fake.requests().len()), (1, asked), "no model was asked");
    let status = client.ask("status", json!({})).await;
    assert_eq!(status["queuedSystemEvents"], json!(["it smells"]), "and nothing is lost");
}

#[tokio::test]
async fn the_clock_wakes_an_agent() {
    let (world, front, _client) = start_with(json!({ "every": "1s", "target": "last" }), |config| config).await;
    eventually("beats", SOON, async || {
        let requests = world.fake.requests();
        let beats = requests.iter().filter(|request| request.body.to_string().contains("heartbeat poll"));
        (beats.count() >= 2).then_some(())
    })
    .await;
    assert!(front.shown().len() <= 2, "the answer of the fake provider is an alert once: {:?}", front.shown());
}

#[tokio::test]
async fn an_empty_file_and_a_switch_keep_the_clock_from_waking_it() {
    let world = World::start_with(|config| config.set("agents.defaults.heartbeat", json!({ "every": "0m" })));
    let mut client = world.client().await;
    let workspace = client.ask("agents.files.list", json!({ "agentId": "main" })).await["workspace"].clone();
    std::fs::create_dir_all(workspace.as_str().unwrap()).unwrap();
    let file = std::path::Path::new(workspace.as_str().unwrap()).join("HEARTBEAT.md");
    std::fs::write(file, "# Heartbeat\n\n- [ ]\n").unwrap();
    let mut world = world;
    world.gateway.edit_config(|config| config.set("agents.defaults.heartbeat", json!({ "every": "1s" })));
    eventually("the reason", SOON, async || {
        (last(&mut client).await["reason"] == "empty-heartbeat-file").then_some(())
    })
    .await;
    assert_eq!(world.fake.requests().len(), 0);
    let switched = world.gateway.cli(&["system", "heartbeat", "disable"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&switched).unwrap(), json!({ "ok": true, "enabled": false }));
    let record = wake(&mut client, "hello?").await;
    assert_eq!((&record["status"], &record["reason"]), (&json!("skipped"), &json!("disabled")));
}

#[tokio::test]
async fn an_event_is_told_after_a_kill_and_once() {
    let (mut world, front, mut client) = start_with(json!({ "every": "0m", "target": "last" }), |config| config).await;
    assert_eq!(client.ask("wake", json!({ "text": "the door bell", "mode": "next-heartbeat" })).await["ok"], true);
    world.fake.push(Script::text("Somebody is at the door"));
    world.gateway.kill9();
    world.gateway.restart();
    // What waits wakes its agent when the gateway is back.
    assert_eq!(front.wait_for(2).await[1], "ada: Somebody is at the door");
    let mut client = world.client().await;
    let status = client.ask("status", json!({})).await;
    assert_eq!(status["queuedSystemEvents"], json!([]));
    let answers = history(&mut client, "main").await;
    assert_eq!(answers.iter().filter(|message| message["role"] == "assistant").count(), 2, "{answers:?}");
}

#[tokio::test]
async fn a_heartbeat_of_its_own_conversation_is_new_each_time() {
    let heartbeat = json!({ "every": "0m", "target": "last", "isolatedSession": true });
    let (world, _front, mut client) = start_with(heartbeat, |config| config).await;
    for text in ["one", "two"] {
        world.fake.push(Script::text(&format!("found {text}")));
        let record = wake(&mut client, text).await;
        assert_eq!(record["status"], "sent", "{record}");
    }
    let asked = world.fake.requests().last().unwrap().body.to_string();
    assert!(asked.contains("two") && !asked.contains("found one") && !asked.contains("hi there"), "{asked}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let world = World::start();
    let mut client = world.client().await;
    for (method, params, message) in [
        ("wake", json!({ "mode": "now", "text": " " }), "text required"),
        (
            "wake",
            json!({ "mode": "bad", "text": "x" }),
            "invalid wake params: at /mode: must be equal to constant; at /mode: must match a schema in anyOf",
        ),
        ("set-heartbeats", json!({}), "invalid set-heartbeats params: enabled (boolean) required"),
    ] {
        let answer = client.call(method, params).await;
        assert_eq!(answer["error"]["message"], message);
    }
    let refused = world.gateway.cli(&["system", "event", "--text", "x", "--mode", "soon"]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("--mode must be now or next-heartbeat"),
        "{}",
        refused.stderr
    );
    let told = world.gateway.cli(&["system", "event", "--text", "x"]);
    assert_eq!((told.code, told.stdout.trim()), (Some(0), "ok"));
}

#[tokio::test]
async fn a_job_tells_the_main_session_and_wakes_it() {
    let (world, front, mut client) = start_with(json!({ "every": "0m", "target": "last" }), |config| config).await;
    let job = json!({ "name": "water", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "sessionTarget": "main",
                      "wakeMode": "now", "payload": { "kind": "systemEvent", "text": "the plants are dry" } });
    let id = client.ask("cron.add", job).await["id"].clone();
    world.fake.push(Script::text("Please water the plants"));
    client.ask("cron.run", json!({ "id": id, "mode": "force" })).await;
    assert_eq!(front.wait_for(2).await[1], "ada: Please water the plants");
    let asked = world.fake.requests().last().unwrap().body.to_string();
    assert!(asked.contains("the plants are dry"), "{asked}");
    let runs = eventually("the run ends", SOON, async || {
        Some(client.ask("cron.runs", json!({ "id": id })).await).filter(|runs| runs["total"] == 1)
    })
    .await;
    assert_eq!(runs["entries"][0]["status"], "ok", "{runs}");
}
