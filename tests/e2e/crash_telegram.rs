//! The turn of `crash_delivery`, said in Telegram: from the update to the message that answers it, each commit of the store goes
//! wrong once. Telegram knows no message again, so an answer may be in doubt; nothing may be said twice, heard twice or lost.
//!
//! Compiled with the feature `fault-injection`.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::World;
use crate::crash_matrix::{ANSWER, MESSAGES, STAGES, check, world};
use crate::fake_telegram::FakeTelegram;
use crate::harness::scorecard::Score;
use crate::harness::turn::history;
use crate::harness::{Client, SOON};

fn start() -> (World, FakeTelegram) {
    let telegram = FakeTelegram::start();
    (world(|config| telegram.configure(config)), telegram)
}

/// The states of all that was to be said; nothing while the gateway is coming back or has not got that far.
async fn outcome(url: String) -> Option<Vec<String>> {
    let states = tokio::spawn(async move {
        let mut client = Client::connect(&url).await;
        let outbox = client.ask("outbox.list", json!({})).await;
        let state = |item: &Value| item["state"].as_str().unwrap().to_owned();
        outbox["items"].as_array().unwrap().iter().map(state).collect::<Vec<_>>()
    });
    let states = states.await.ok()?;
    let is_over =
        states.len() >= MESSAGES.len() && !states.iter().any(|state| state == "pending" || state == "sending");
    is_over.then_some(states)
}

/// Both messages, and the time until everything has been said; brings a gateway back that has ended.
async fn converse(what: &str, world: &mut World, telegram: &FakeTelegram) -> Vec<String> {
    for (_, text) in MESSAGES {
        telegram.say(1001, text);
    }
    let until = tokio::time::Instant::now() + SOON * 2;
    loop {
        world.gateway.start_again_if_ended();
        if let Some(states) = outcome(world.gateway.ws()).await {
            return states;
        }
        let shown = telegram.shown();
        assert!(tokio::time::Instant::now() < until, "{what}: not all is said: {shown:?}\n{}", world.gateway.logs());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

async fn judge(what: &str, world: &World, telegram: &FakeTelegram, states: &[String]) {
    let mut client = world.client().await;
    check(what, &history(&mut client, "main").await);
    let shown = telegram.shown();
    let (sent, unknown) = (count(states, "sent"), count(states, "unknown"));
    assert_eq!((sent + unknown, states.len()), (2, 2), "{what}: each is sent or in doubt: {states:?}");
    assert!(unknown <= 1, "{what}: one commit went wrong: {states:?}");
    assert!(shown.len() >= sent && shown.len() <= 2, "{what}: {states:?}, and people see {shown:?}");
    assert!(shown.iter().all(|line| line.ends_with(ANSWER)), "{what}: {shown:?}");
}

fn count(states: &[String], wanted: &str) -> usize {
    states.iter().filter(|state| *state == wanted).count()
}

async fn one(commit: u64, stage: &str, action: &str) {
    let (mut world, telegram) = start();
    let mut client = world.client().await;
    client.ask("test.store", json!({ "plan": { "commit": commit, "stage": stage, "action": action } })).await;
    drop(client);
    let what = format!("{action} {stage} commit {commit}");
    let states = converse(&what, &mut world, &telegram).await;
    judge(&what, &world, &telegram, &states).await;
}

/// How many commits there are when nothing goes wrong.
async fn commits() -> u64 {
    let (mut world, telegram) = start();
    let mut client = world.client().await;
    client.ask("test.store", json!({})).await;
    let states = converse("nothing", &mut world, &telegram).await;
    assert_eq!(count(&states, "sent"), 2, "nothing is in doubt when nothing goes wrong: {states:?}");
    judge("nothing", &world, &telegram, &states).await;
    client.ask("test.store", json!({})).await["commits"].as_u64().unwrap()
}

#[tokio::test]
async fn an_end_of_the_process_anywhere_between_update_and_answer_loses_and_doubles_nothing() {
    let commits = commits().await;
    assert!(commits >= 10, "two updates, two turns and two answers have more than {commits} commits");
    let promise = "a message of Telegram is heard once, and answered once or said to be in doubt";
    let mut score = Score::new(promise, "abort at each write from update to answer".to_owned());
    score.ran(commits * STAGES.len() as u64);
    let points = (1..=commits).flat_map(|commit| STAGES.map(|stage| (commit, stage)));
    futures::stream::iter(points).for_each_concurrent(4, |(commit, stage)| one(commit, stage, "abort")).await;
}
