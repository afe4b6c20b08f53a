//! One whole turn, with tools and with a message that waits behind it, in which each commit of the store goes wrong once:
//! before, during and after it, by the end of the process, a panic of the writing thread or a failed commit.
//!
//! Whatever happens: what was acknowledged is there once, answered once, and the transcript makes sense.
//! Compiled with the feature `fault-injection`.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::Script;
use crate::harness::scorecard::Score;
use crate::harness::turn::{history, text_of};
use crate::harness::{Client, Config, SOON, eventually};

pub const ANSWER: &str = "Hello from the fake provider.";
pub const STAGES: [&str; 3] = ["before", "between", "after"];

/// The messages of the turn: the second comes while the first is being answered, and waits.
pub const MESSAGES: [(&str, &str); 2] = [("key-1", "[[script:tool]] first"), ("key-2", "second")];

pub fn world(change: impl FnOnce(Config) -> Config) -> World {
    let world = World::start_with(|config| change(config.set("messages.queue.mode", json!("followup"))));
    // Slow enough for the second message to find the first in its turn.
    world.fake.push(Script {
        when: Some("first".into()),
        head_delay_ms: 150,
        ..serde_json::from_value(json!({ "text": ["Checking."], "tools": [{ "name": "session_status" }] })).unwrap()
    });
    world
}

/// Sends a message as a client does that wants it taken: again, with the same key, until it is acknowledged.
async fn insist(url: &str, key: &str, text: &str) {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let (url, params) = (url.to_owned(), json!({ "sessionKey": "main", "message": text, "idempotencyKey": key }));
        // A task of its own: a socket that breaks is a panic of the test client.
        let answer = tokio::spawn(async move { Client::connect(&url).await.call("chat.send", params).await }).await;
        if answer.is_ok_and(|answer| answer["ok"] == true) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{text} is never taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Both messages, one after the other; brings a gateway back that has ended.
async fn converse(world: &mut World) {
    for (key, text) in MESSAGES {
        let url = world.gateway.ws();
        let sent = tokio::spawn(async move { insist(&url, key, text).await });
        while !sent.is_finished() {
            world.gateway.start_again_if_ended();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sent.await.unwrap();
    }
    let until = tokio::time::Instant::now() + SOON;
    loop {
        world.gateway.start_again_if_ended();
        let url = world.gateway.ws();
        let open = tokio::spawn(async move {
            let mut client = Client::connect(&url).await;
            let counts = client.ask("inbox.list", json!({})).await["counts"].clone();
            counts["queued"].as_i64().unwrap_or(0) + counts["running"].as_i64().unwrap_or(0)
        });
        if open.await.is_ok_and(|open| open == 0) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "the turns never end");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// `user: …` lines, short enough to read.
fn shown(messages: &[Value]) -> String {
    let line = |message: &Value| {
        let error = message["errorMessage"].as_str().unwrap_or_default();
        format!("\n  {}: {}{error}", message["role"].as_str().unwrap_or("?"), text_of(message))
    };
    messages.iter().map(line).collect()
}

pub fn check(what: &str, messages: &[Value]) {
    let of = |role: &str, text: &str| {
        let is = |message: &&Value| message["role"] == role && text_of(message).contains(text);
        messages.iter().filter(is).count()
    };
    for (_, text) in MESSAGES {
        assert_eq!(of("user", text), 1, "{what}: {text:?} stands once: {}", shown(messages));
    }
    assert_eq!(of("assistant", ANSWER), 2, "{what}: two messages, two answers: {}", shown(messages));
    let position = |text: &str| messages.iter().position(|message| text_of(message).contains(text)).unwrap();
    assert!(position("first") < position("second"), "{what}: in the order in which they were taken");
    let ids: Vec<&str> = messages.iter().filter_map(|message| message["__openclaw"]["id"].as_str()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), messages.len(), "{what}: ids are unique");
    let results: Vec<&str> = messages.iter().filter_map(|message| message["toolCallId"].as_str()).collect();
    assert_eq!(results.iter().collect::<HashSet<_>>().len(), results.len(), "{what}: a call has one result");
}

/// How many commits the turn has when nothing goes wrong.
async fn commits() -> u64 {
    let mut world = world(|config| config);
    let mut client = world.client().await;
    client.ask("test.store", json!({})).await;
    converse(&mut world).await;
    check("nothing", &history(&mut client, "main").await);
    client.ask("test.store", json!({})).await["commits"].as_u64().unwrap()
}

async fn one(commit: u64, stage: &str, action: &str) {
    let what = format!("{action} {stage} commit {commit}");
    let mut world = world(|config| config);
    let mut client = world.client().await;
    client.ask("test.store", json!({ "plan": { "commit": commit, "stage": stage, "action": action } })).await;
    drop(client);
    converse(&mut world).await;
    let mut client = world.client().await;
    check(&what, &history(&mut client, "main").await);
    eventually(&format!("{what}: all is up again"), SOON, async || {
        let tree = client.call("status", json!({})).await["payload"]["supervision"].clone();
        (tree["down"] == json!([])).then_some(())
    })
    .await;
    // The next message is taken as if nothing had been. Writes that come together share a commit: a late one may not have
    // been reached.
    client.ask("test.store", json!({})).await;
    eventually("an answer", SOON, async || {
        let params = json!({ "sessionKey": "main", "message": "third", "idempotencyKey": "key-3" });
        (client.call("chat.send", params).await["payload"]["status"] == "ok").then_some(())
    })
    .await;
}

async fn all(action: &'static str) {
    let commits = commits().await;
    assert!(commits >= 6, "a turn with tools and a waiting message has more than {commits} commits");
    let mut score =
        Score::new("acknowledged messages are kept and answered once", format!("{action} at each write of a turn"));
    score.ran(commits * STAGES.len() as u64);
    let points = (1..=commits).flat_map(|commit| STAGES.map(|stage| (commit, stage)));
    futures::stream::iter(points).for_each_concurrent(4, |(commit, stage)| one(commit, stage, action)).await;
}

#[tokio::test]
async fn an_end_of_the_process_at_any_write_loses_nothing_and_answers_nothing_twice() {
    all("abort").await;
}

#[tokio::test]
async fn a_panic_at_any_write_loses_nothing_and_answers_nothing_twice() {
    all("panic").await;
}

#[tokio::test]
async fn a_disk_that_takes_its_time_at_any_write_loses_nothing_and_answers_nothing_twice() {
    all("hang").await;
}

#[tokio::test]
async fn an_error_at_any_write_loses_nothing_and_answers_nothing_twice() {
    all("error").await;
}
