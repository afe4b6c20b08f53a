//! A provider that fails: every accepted run still ends exactly once on every stream, and what may pass is tried again.
//!
//! Source: agent runtime, run state machine, timers (retries after 2, 4, 8 s; `retry-after` honoured) and failover classes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::{ErrorReply, Fault, Script};
use crate::harness::turn::{end_of, history, is_chat_end, is_lifecycle_end, say, send, session_row, text_of};
use crate::harness::{AFTER_RETRIES, SOON};

const ANSWER: &str = "Hello from the fake provider.";

/// All the ways in which the fake keeps failing.
const FAILURES: [&str; 9] =
    ["error-401", "error-429", "error-500", "error-529", "drop", "malformed", "no-finish", "error-event", "error-400"];

#[tokio::test]
async fn every_failure_ends_a_chat_run_with_exactly_one_error() {
    let world = World::start_with(|config| config.set("agents.defaults.maxConcurrent", json!(16)));
    let mut client = world.client().await;
    let mut runs = Vec::new();
    for script in FAILURES {
        let key = format!("agent:main:{script}");
        runs.push((script, send(&mut client, &key, &format!("[[script:{script}]] please")).await, key));
    }
    let mut frames = Vec::new();
    while !runs.iter().all(|(_, run, _)| frames.iter().any(|frame| is_chat_end(frame, run))) {
        let ended = |frame: &Value| runs.iter().any(|(_, run, _)| is_chat_end(frame, run));
        frames.extend(client.frames_until("the next end", AFTER_RETRIES, ended).await);
    }
    frames.extend(client.frames_for(Duration::from_secs(3)).await);
    for (script, run, key) in &runs {
        let ends: Vec<_> = frames.iter().filter(|frame| is_chat_end(frame, run)).collect();
        assert_eq!(ends.len(), 1, "{script}: {ends:?}");
        assert_eq!(ends[0]["payload"]["state"], "error", "{script}: {ends:?}");
        assert_eq!(frames.iter().filter(|frame| is_lifecycle_end(frame, run)).count(), 1, "{script}");
        let row = session_row(&mut client, key).await.unwrap_or_else(|| panic!("{script}: no session row"));
        assert_eq!((&row["status"], &row["hasActiveRun"]), (&json!("failed"), &json!(false)), "{script}");
    }
    let kind = |script: &str| {
        let run = &runs.iter().find(|(name, _, _)| *name == script).unwrap().1;
        frames.iter().find(|frame| is_chat_end(frame, run)).unwrap()["payload"]["errorKind"].clone()
    };
    assert_eq!(kind("error-429"), "rate_limit");
}

#[tokio::test]
async fn a_refused_key_fails_the_agent_request_at_once_and_without_retry() {
    let world = World::start();
    let mut client = world.client().await;
    let params = json!({ "message": "[[script:error-401]]", "sessionKey": "main", "idempotencyKey": "denied" });
    let id = client.send("agent", params).await;
    assert_eq!(client.response(&id, SOON).await["payload"]["status"], "accepted");
    let done = client.response(&id, SOON).await;
    assert_eq!((&done["ok"], &done["error"]["code"]), (&json!(false), &json!("UNAVAILABLE")), "{done}");
    assert_eq!((&done["payload"]["runId"], &done["payload"]["status"]), (&json!("denied"), &json!("error")));
    assert_eq!(done["payload"]["summary"], done["error"]["message"]);
    let waited = client.ask("agent.wait", json!({ "runId": "denied", "timeoutMs": 500 })).await;
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &done["error"]["message"]));
    assert_eq!(world.fake.requests().len(), 1);
}

#[tokio::test]
async fn one_hiccup_is_retried_and_the_answer_holds_no_piece_twice() {
    for script in [
        Script::status(500),
        Script::status(529),
        Script::fault(Fault::DropMidStream),
        Script::fault(Fault::NoFinish),
        Script::fault(Fault::ErrorEvent),
    ] {
        let what = format!("{:?} {:?}", script.fault, script.error.as_ref().map(|error| error.status));
        let world = World::start();
        let mut client = world.client().await;
        world.fake.push(script);
        let run = send(&mut client, "main", "hello").await;
        let end = end_of(&mut client, &run, AFTER_RETRIES).await;
        assert_eq!(end["state"], "final", "{what}: {end}");
        assert_eq!(text_of(&end["message"]), ANSWER, "{what}");
        assert_eq!(world.fake.requests().len(), 2, "{what}");
        assert_eq!(history(&mut client, "main").await.len(), 2, "{what}");
    }
}

#[tokio::test]
async fn the_providers_own_waiting_time_is_honoured() {
    let world = World::start();
    let mut client = world.client().await;
    let headers = json!({ "retry-after": "3" }).as_object().unwrap().clone();
    world.fake.push(Script { error: Some(ErrorReply { status: 429, headers, body: None }), ..Script::default() });
    let started = tokio::time::Instant::now();
    let run = send(&mut client, "main", "hello").await;
    let end = end_of(&mut client, &run, AFTER_RETRIES).await;
    assert_eq!(end["state"], "final", "{end}");
    assert!(started.elapsed() >= Duration::from_secs(3), "retried after {:?}", started.elapsed());
    assert_eq!(world.fake.requests().len(), 2);
}

#[tokio::test]
async fn the_next_model_answers_when_the_first_refuses() {
    let world = World::start_with(|config| {
        let models = json!([{ "id": "fake-1", "name": "Fake 1" }, { "id": "fake-2", "name": "Fake 2" }]);
        let config = config.set("models.providers.fake.models", models);
        config.set("agents.defaults.model.fallbacks", json!(["fake/fake-2"]))
    });
    let mut client = world.client().await;
    world.fake.push(Script::status(404));
    let run = send(&mut client, "main", "hello").await;
    let end = end_of(&mut client, &run, AFTER_RETRIES).await;
    assert_eq!(text_of(&end["message"]), ANSWER, "{end}");
    let asked: Vec<_> = world.fake.requests().into_iter().map(|request| request.body["model"].clone()).collect();
    assert_eq!(asked, ["fake-1", "fake-2"]);
    assert_eq!(history(&mut client, "main").await.last().unwrap()["model"], "fake-2");
}

#[tokio::test]
async fn a_session_works_again_after_a_failed_turn() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:error-401]] one").await;
    assert_eq!(end_of(&mut client, &run, AFTER_RETRIES).await["state"], "error");
    assert_eq!(say(&mut client, "main", "two").await, ANSWER);
}
