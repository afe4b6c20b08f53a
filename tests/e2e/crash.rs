//! `kill -9` and what it leaves: nothing acknowledged is lost, nothing hangs, nothing is answered twice.
//!
//! Source: operations, restart recovery; agent runtime, restart matrix.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::{Outcome, Script};
use crate::harness::turn::{history, say, send, session_row, text_of};
use crate::harness::{Client, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";
const MAIN: &str = "agent:main:main";

fn texts(messages: &[Value], role: &str) -> Vec<String> {
    messages.iter().filter(|message| message["role"] == role).map(text_of).collect()
}

/// Waits until the session has no run any more; gives its row.
async fn settled(client: &mut Client, key: &str) -> Value {
    eventually("the session is settled", Duration::from_secs(60), async || {
        let row = session_row(client, key).await?;
        (row["hasActiveRun"] == false && row["status"] != "running").then_some(row)
    })
    .await
}

#[tokio::test]
async fn a_turn_killed_in_the_middle_is_interrupted_and_the_session_goes_on() {
    let mut world = World::start();
    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "before").await, ANSWER);
    world.fake.push(Script { delay_ms: 200, text: vec!["half ".into(); 200], ..Script::default() });
    let run = send(&mut client, "main", "in the middle").await;
    let is_delta = |frame: &Value| frame["payload"]["state"] == "delta" && frame["payload"]["runId"] == run;
    client.frame("a delta", SOON, is_delta).await;

    world.gateway.kill9();
    world.gateway.restart();
    let mut client = world.client().await;
    let row = settled(&mut client, MAIN).await;
    assert_ne!(row["status"], "running", "{row}");
    let waited = client.ask("agent.wait", json!({ "runId": run, "timeoutMs": 1000 })).await;
    assert_eq!(waited["status"], "ok", "whoever waits for it gets the answer of the turn that went on: {waited}");
    let inbox = client.ask("inbox.list", json!({})).await["items"].clone();
    let rows: Vec<(&Value, &Value)> =
        inbox.as_array().unwrap().iter().map(|row| (&row["state"], &row["resumes"])).collect();
    let expected = [(json!("done"), json!(run)), (json!("interrupted"), Value::Null), (json!("done"), Value::Null)];
    assert_eq!(rows, expected.iter().map(|(state, of)| (state, of)).collect::<Vec<_>>(), "newest first");

    let messages = history(&mut client, "main").await;
    let said = texts(&messages, "user");
    assert_eq!(said.iter().filter(|text| text.contains("before")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|text| text.contains("in the middle")).count(), 1, "{said:?}");
    assert_eq!(texts(&messages, "assistant")[0], ANSWER);

    assert_eq!(say(&mut client, "main", "afterwards").await, ANSWER);
    let sent = world.fake.bodies_about("afterwards")[0].to_string();
    for text in ["before", ANSWER, "in the middle"] {
        assert!(sent.contains(text), "the model no longer knows {text:?}: {sent}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_on_disk_at_that_moment() {
    let mut world = World::start();
    for n in 0..5 {
        let mut client = world.client().await;
        let key = format!("agent:main:s{n}");
        send(&mut client, &key, &format!("[[script:hang-head]] acknowledged {n}")).await;
        world.gateway.kill9();
        world.gateway.restart();
        let mut client = world.client().await;
        let messages = history(&mut client, &key).await;
        let said = texts(&messages, "user");
        assert_eq!(said.iter().filter(|text| text.contains(&format!("acknowledged {n}"))).count(), 1, "{said:?}");
    }
}

#[tokio::test]
async fn messages_that_waited_run_after_the_restart_in_their_order() {
    let mut world = World::start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let mut client = world.client().await;
    world.fake.push(Script {
        when: Some("the busy one".into()),
        delay_ms: 500,
        text: vec!["x".into(); 100],
        ..Script::default()
    });
    send(&mut client, "main", "the busy one").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    send(&mut client, "main", "waiting first").await;
    send(&mut client, "main", "waiting second").await;

    world.gateway.kill9();
    world.gateway.restart();
    world.fake.wait_for_outcome("waiting second", Outcome::Done, Duration::from_secs(60)).await;
    let mut client = world.client().await;
    settled(&mut client, MAIN).await;
    let said = texts(&history(&mut client, "main").await, "user");
    let at = |text: &str| {
        let places: Vec<_> =
            said.iter().enumerate().filter(|(_, said)| said.contains(text)).map(|(at, _)| at).collect();
        assert_eq!(places.len(), 1, "{text:?} in {said:?}");
        places[0]
    };
    assert!(at("waiting first") < at("waiting second"), "{said:?}");
}

#[tokio::test]
async fn a_key_used_before_the_crash_starts_nothing_new() {
    let mut world = World::start();
    let mut client = world.client().await;
    let params = json!({ "sessionKey": "main", "message": "only once", "idempotencyKey": "same-key" });
    client.ask("chat.send", params.clone()).await;
    world.fake.wait_for_outcome("only once", Outcome::Done, SOON).await;
    settled(&mut client, MAIN).await;
    world.gateway.kill9();
    world.gateway.restart();
    let mut client = world.client().await;
    let answer = client.ask("chat.send", params).await;
    assert_eq!(answer["runId"], "same-key");
    assert_ne!(answer["status"], "started", "{answer}");
    assert_eq!(world.fake.bodies_about("only once").len(), 1);
}

#[tokio::test]
async fn ten_crashes_in_a_row_lose_no_turn() {
    let mut world = World::start();
    for n in 0..10 {
        let mut client = world.client().await;
        assert_eq!(say(&mut client, "main", &format!("turn {n}")).await, ANSWER);
        world.gateway.kill9();
        world.gateway.restart();
    }
    let mut client = world.client().await;
    let messages = history(&mut client, "main").await;
    let said = texts(&messages, "user");
    assert_eq!(said.len(), 10, "{said:?}");
    for n in 0..10 {
        assert!(said[n].contains(&format!("turn {n}")), "{said:?}");
    }
    assert_eq!(texts(&messages, "assistant"), vec![ANSWER; 10]);
}

#[tokio::test]
async fn the_program_that_people_run_cannot_be_told_to_panic() {
    let world = World::start();
    let mut client = world.client().await;
    let error = client.refusal("test.fault", json!({})).await;
    let is_made_for_tests = cfg!(feature = "fault-injection") && std::env::var_os("OPENCLAW_TEST_BINARY").is_none();
    assert_eq!(error["message"] == "unknown method: test.fault", !is_made_for_tests, "{error}");
}
