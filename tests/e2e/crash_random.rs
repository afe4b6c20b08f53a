//! `kill -9` at any moment, again and again, under load; the history is judged by a program that knows only what was
//! acknowledged. `OPENCLAW_KILLS` says how often; absent, 40 times.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use crate::World;
use crate::harness::scorecard::Score;
use crate::harness::{Client, SOON};

const SESSIONS: usize = 4;
/// Messages of one conversation; then a new one begins. What a turn costs grows with its history, and at a thousand kills turns
/// would outlast the pauses between them.
const CONVERSATION: u64 = 100;

/// The checker, built beside the program under test.
fn checker() -> PathBuf {
    let tests = std::env::current_exe().unwrap(); // <target>/<profile>/deps/e2e-…
    let built = tests.parent().and_then(Path::parent).unwrap().join("examples/crash-checker");
    assert!(built.exists(), "{} is not built; cargo build --example crash-checker", built.display());
    built
}

/// Everything that the gateway acknowledged.
#[derive(Clone)]
struct Acknowledged(Arc<Mutex<std::fs::File>>);

impl Acknowledged {
    fn note(&self, session: &str, text: &str) {
        writeln!(self.0.lock().unwrap(), "{}", json!({ "session": session, "text": text })).unwrap();
    }
}

/// Sends message after message, each again with the same key until it is acknowledged.
async fn talk(url: String, number: usize, acknowledged: Acknowledged, stop: Arc<AtomicBool>) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let session = format!("agent:main:load-{number}-{}", sent / CONVERSATION);
        let text = format!("message <{number}-{sent}>");
        let params =
            json!({ "sessionKey": session, "message": text, "idempotencyKey": format!("load-{number}-{sent}") });
        loop {
            let (url, params) = (url.clone(), params.clone());
            // A task of its own: a socket that breaks is a panic of the test client.
            let answer = tokio::spawn(async move { Client::connect(&url).await.call("chat.send", params).await });
            match answer.await {
                Ok(answer) if answer["ok"] == true => break,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        acknowledged.note(&session, &text);
        sent += 1;
        let pause = rand::rng().random_range(5..40);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    sent
}

fn forget_crashes(world: &World) {
    let _ = std::fs::remove_file(world.gateway.place().state().join("boots.json")); // so many crashes are no accident here
}

/// What the checker says of everything that is on disk.
fn judge(world: &World, acknowledged: &Path, dead: &[Value]) -> Value {
    let export = world.gateway.place().root().join("export");
    let given_up = world.gateway.place().root().join("dead.jsonl");
    std::fs::write(&given_up, dead.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    let ended = world.gateway.cli(&["sessions", "export", "--output", export.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    std::fs::create_dir_all(&export).unwrap(); // there may be no session at all
    let output = Command::new(checker()).args([acknowledged, &export, &given_up]).output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), verdict["violations"] == json!([]));
    verdict
}

fn start() -> (World, Acknowledged, PathBuf) {
    // Each message a turn of its own, and a full queue refuses instead of dropping what it has.
    let world = World::start_with(|config| {
        config.set("messages.queue.mode", json!("followup")).set("messages.queue.drop", json!("new"))
    });
    let path = world.gateway.place().root().join("acknowledged.jsonl");
    let file = std::fs::File::create(&path).unwrap();
    (world, Acknowledged(Arc::new(Mutex::new(file))), path)
}

#[tokio::test]
async fn kills_at_any_moment_lose_nothing_and_answer_nothing_twice() {
    let kills: u64 = std::env::var("OPENCLAW_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let mut score =
        Score::new("acknowledged messages are kept and answered once", "kill -9 at a random time under load");
    let (mut world, acknowledged, path) = start();
    let stop = Arc::new(AtomicBool::new(false));
    let talkers: Vec<_> = (0..SESSIONS)
        .map(|number| tokio::spawn(talk(world.gateway.ws(), number, acknowledged.clone(), Arc::clone(&stop))))
        .collect();
    for _ in 0..kills {
        let pause = rand::rng().random_range(60..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.gateway.kill9();
        forget_crashes(&world);
        world.gateway.restart();
        score.ran(1);
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for talker in talkers {
        sent += talker.await.unwrap();
    }
    let mut client = world.client().await;
    let until = tokio::time::Instant::now() + SOON * 4;
    loop {
        let counts = client.ask("inbox.list", json!({})).await["counts"].clone();
        if counts["queued"].is_null() && counts["running"].is_null() {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the turns never end: {counts}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let dead = dead(&mut client).await;
    world.gateway.terminate();
    let verdict = judge(&world, &path, &dead);
    assert_eq!(verdict["violations"], json!([]), "{kills} kills");
    assert!(dead.len() as u64 <= kills / 10, "a message is given up after three restarts only: {dead:?}");
    assert_eq!(verdict["acknowledged"], sent);
    assert!(sent >= kills, "there was no load: {sent} messages");
}

/// The messages that the gateway says it has given up, by the keys that they were sent with.
async fn dead(client: &mut Client) -> Vec<Value> {
    let items = client.ask("inbox.list", json!({ "state": "dead", "limit": 500 })).await["items"].clone();
    let row = |item: &Value| {
        let key = item["resumes"].as_str().unwrap().trim_start_matches("load-").to_owned();
        json!({ "session": item["sessionKey"], "text": format!("message <{key}>") })
    };
    items.as_array().unwrap().iter().map(row).collect()
}

/// The judge itself: a gateway that acknowledges before it has stored must not pass.
#[cfg(feature = "fault-injection")]
#[tokio::test]
async fn a_gateway_that_acknowledges_too_early_is_found_out() {
    let mut score = Score::new("the checker finds what is lost", "acknowledgement before the disk");
    score.ran(5);
    let (mut world, acknowledged, path) = start();
    for n in 0..5 {
        let mut client = world.client().await;
        client.ask("test.store", json!({ "acknowledgeEarly": true })).await;
        let text = format!("message <early-{n}>");
        let session = format!("agent:main:early-{n}");
        client.ask("chat.send", json!({ "sessionKey": session, "message": text, "idempotencyKey": text })).await;
        acknowledged.note(&session, &text);
        world.gateway.kill9();
        forget_crashes(&world);
        world.gateway.restart();
    }
    world.gateway.terminate();
    let violations = judge(&world, &path, &[])["violations"].clone();
    assert!(!violations.as_array().unwrap().is_empty(), "the checker has noticed nothing");
    assert!(violations[0].as_str().unwrap().contains("is lost"), "{violations}");
}
