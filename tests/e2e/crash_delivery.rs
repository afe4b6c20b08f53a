//! The same turn as in `crash_matrix`, said in a chat and answered there: from the post of a front-end to the post that answers
//! it, each commit of the store goes wrong once.
//!
//! Whatever happens: what was acknowledged is answered once in the chat, in order, and the outbox says so.
//! Compiled with the feature `fault-injection`.

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;

use crate::World;
use crate::crash_matrix::{ANSWER, MESSAGES, STAGES, check, world};
use crate::front_end::{FrontEnd, direct};
use crate::harness::scorecard::Score;
use crate::harness::turn::history;
use crate::harness::{Client, SOON};

fn start() -> (World, FrontEnd) {
    let front = FrontEnd::start();
    (world(|config| front.configure(config)), front)
}

/// Both messages, and the time until everything has been said; brings a gateway back that has ended.
async fn converse(what: &str, world: &mut World, front: &FrontEnd) {
    for (key, text) in MESSAGES {
        front.insist(&mut world.gateway, key, &direct("ada"), text).await;
    }
    let until = tokio::time::Instant::now() + SOON * 2;
    loop {
        world.gateway.start_again_if_ended();
        let url = world.gateway.ws();
        let settled = tokio::spawn(async move {
            let mut client = Client::connect(&url).await;
            let inbox = client.ask("inbox.list", json!({})).await;
            let over = |id: String| {
                let item = inbox["items"].as_array().unwrap().iter().find(|item| item["id"] == id).cloned();
                item.is_some_and(|item| item["state"] != "queued" && item["state"] != "running")
            };
            let open =
                inbox["counts"]["queued"].as_i64().unwrap_or(0) + inbox["counts"]["running"].as_i64().unwrap_or(0);
            let outbox = client.ask("outbox.list", json!({})).await["counts"].clone();
            let sending = outbox["pending"].as_i64().unwrap_or(0) + outbox["sending"].as_i64().unwrap_or(0);
            MESSAGES.iter().all(|(key, _)| over(format!("webhook:front:{key}"))) && open + sending == 0
        });
        if settled.await.is_ok_and(|settled| settled) && front.shown().len() >= MESSAGES.len() {
            return;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "{what}: not everything is said: {:?}\n{}",
            front.posts(),
            world.gateway.logs()
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

async fn judge(what: &str, world: &World, front: &FrontEnd) {
    let mut client = world.client().await;
    check(what, &history(&mut client, "main").await);
    let shown = front.shown();
    let answers = shown.iter().filter(|line| line.starts_with("ada: ") && line.ends_with(ANSWER)).count();
    assert_eq!((answers, shown.len()), (2, 2), "{what}: answered once each, in the chat: {shown:?}");
    let outbox = client.ask("outbox.list", json!({})).await;
    let states: Vec<&str> =
        outbox["items"].as_array().unwrap().iter().filter_map(|item| item["state"].as_str()).collect();
    assert_eq!(states, ["sent", "sent"], "{what}: the outbox says what happened: {outbox}");
}

async fn one(commit: u64, stage: &str, action: &str) {
    let (mut world, front) = start();
    let mut client = world.client().await;
    client.ask("test.store", json!({ "plan": { "commit": commit, "stage": stage, "action": action } })).await;
    drop(client);
    let what = format!("{action} {stage} commit {commit}");
    converse(&what, &mut world, &front).await;
    judge(&what, &world, &front).await;
}

/// How many commits there are when nothing goes wrong.
async fn commits() -> u64 {
    let (mut world, front) = start();
    let mut client = world.client().await;
    client.ask("test.store", json!({})).await;
    converse("nothing", &mut world, &front).await;
    judge("nothing", &world, &front).await;
    client.ask("test.store", json!({})).await["commits"].as_u64().unwrap()
}

async fn all(action: &'static str) {
    let commits = commits().await;
    assert!(commits >= 10, "two posts, two turns and two answers have more than {commits} commits");
    let promise = "a message of a chat is answered there, once, and the outbox says so";
    let mut score = Score::new(promise, format!("{action} at each write from post to answer"));
    score.ran(commits * STAGES.len() as u64);
    let points = (1..=commits).flat_map(|commit| STAGES.map(|stage| (commit, stage)));
    futures::stream::iter(points).for_each_concurrent(4, |(commit, stage)| one(commit, stage, action)).await;
}

#[tokio::test]
async fn an_end_of_the_process_anywhere_between_post_and_answer_loses_and_doubles_nothing() {
    all("abort").await;
}

#[tokio::test]
async fn a_panic_of_the_writer_anywhere_between_post_and_answer_loses_and_doubles_nothing() {
    all("panic").await;
}

#[tokio::test]
async fn a_failed_commit_anywhere_between_post_and_answer_loses_and_doubles_nothing() {
    all("error").await;
}
