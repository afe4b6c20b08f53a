//! A panic stays where it happens: in a run, a session, a connection. Everything beside it goes on untouched.
//!
//! Compiled with the feature `fault-injection`, whose `test.fault` hits an actor of the running program.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::{Outcome, Script};
use crate::harness::scorecard::Score;
use crate::harness::turn::{end_of, events_of, history, is_chat_end, rest, say, send, text_of};
use crate::harness::{Client, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";
const MAIN: &str = "agent:main:main";
const OTHER: &str = "agent:main:other";
/// Restarts of one session that are tolerated within a minute.
const RESTARTS: usize = 3;

/// Two sessions, each with a turn that streams: the victim in `main`, and one beside it on a client of its own.
struct Beside {
    client: Client,
    run: String,
}

impl Beside {
    async fn start(world: &World) -> Self {
        let mut client = world.client().await;
        let run = send(&mut client, OTHER, "[[script:slow]] beside").await;
        streams(&mut client, &run).await;
        Self { client, run }
    }

    /// Its turn came to its end, whole and in order, on a socket that never closed.
    async fn stays_untouched(mut self) {
        let frames = self.client.frames_until("the end", SOON, |frame| is_chat_end(frame, &self.run)).await;
        let end = &frames.last().unwrap()["payload"];
        assert_eq!(end["state"], "final", "{end}");
        let words: Vec<String> = (1..=20).map(|n| format!("word{n}")).collect();
        assert_eq!(text_of(&end["message"]), words.join(" "));
        let of_run = events_of(&frames, &self.run);
        let seqs: Vec<_> =
            of_run.iter().filter(|e| e["stream"].is_string()).filter_map(|e| e["seq"].as_u64()).collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
        assert_eq!(say(&mut self.client, OTHER, "still here").await, ANSWER);
    }
}

/// Waits for text of the run; the frames after it are kept.
async fn streams(client: &mut Client, run: &str) {
    let is_delta = |frame: &Value| frame["payload"]["state"] == "delta" && frame["payload"]["runId"] == run;
    client.frame("a delta", SOON, is_delta).await;
}

/// The parameters of `test.fault`.
fn fault(fault: &str, what: &str, session: &str) -> Value {
    match what {
        "run" => json!({ "name": "run", "fault": fault, "sessionKey": session }),
        "session" => json!({ "name": format!("agents/sessions/agent:main:{session}"), "fault": fault }),
        _ => json!({ "name": what, "fault": fault }),
    }
}

async fn panic(client: &mut Client, what: &str, session: &str) {
    let answer = client.ask("test.fault", fault("panic", what, session)).await;
    assert_eq!(answer, json!({ "hit": true }));
}

async fn waited(client: &mut Client, run: &str) -> Value {
    client.ask("agent.wait", json!({ "runId": run, "timeoutMs": 10_000 })).await
}

fn said(messages: &[Value], text: &str) -> usize {
    messages.iter().filter(|message| message["role"] == "user" && text_of(message).contains(text)).count()
}

#[tokio::test]
async fn a_panic_in_a_run_ends_that_run_and_nothing_else() {
    let world = World::start();
    let beside = Beside::start(&world).await;
    let mut waiter = world.client().await;
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:endless]] doomed").await;
    streams(&mut client, &run).await;
    let wait = waiter.send("agent.wait", json!({ "runId": run, "timeoutMs": 10_000 })).await;
    panic(&mut client, "run", "main").await;

    let end = end_of(&mut client, &run, SOON).await;
    assert_eq!(end["state"], "error", "{end}");
    let answer = waiter.response(&wait, SOON).await;
    assert_eq!(answer["payload"]["status"], "error", "{answer}");
    world.fake.wait_for_outcome("doomed", Outcome::Dropped, SOON).await;
    assert_eq!(say(&mut client, "main", "the next one").await, ANSWER);
    assert_eq!(said(&history(&mut client, "main").await, "doomed"), 1);
    let rest = client.frames_for(Duration::from_millis(500)).await;
    assert!(!rest.iter().any(|frame| is_chat_end(frame, &run)), "a second end: {rest:?}");
    beside.stays_untouched().await;
}

#[tokio::test]
async fn what_was_steered_into_a_run_that_panics_is_answered_all_the_same() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:endless]] doomed").await;
    streams(&mut client, &run).await;
    send(&mut client, "main", "by the way").await;
    panic(&mut client, "run", "main").await;
    world.fake.wait_for_outcome("by the way", Outcome::Done, SOON).await;
    assert_eq!(said(&history(&mut client, "main").await, "by the way"), 1);
}

#[tokio::test]
async fn a_session_that_panics_comes_back_with_its_history_and_its_queue() {
    let world = World::start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let beside = Beside::start(&world).await;
    let mut waiter = world.client().await;
    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "before").await, ANSWER);
    let run = send(&mut client, "main", "[[script:endless]] doomed").await;
    streams(&mut client, &run).await;
    let first = send(&mut client, "main", "waiting first").await;
    let second = send(&mut client, "main", "waiting second").await;
    let wait = waiter.send("agent.wait", json!({ "runId": run, "timeoutMs": 10_000 })).await;
    panic(&mut client, "session", "main").await;

    let end = end_of(&mut client, &run, SOON).await;
    assert_eq!(end["state"], "error", "{end}");
    let answer = waiter.response(&wait, SOON).await;
    assert_eq!(answer["payload"]["status"], "error", "{answer}");
    world.fake.wait_for_outcome("doomed", Outcome::Dropped, SOON).await;
    for waiting in [&first, &second] {
        assert_eq!(end_of(&mut client, waiting, SOON).await["state"], "final");
        assert_eq!(waited(&mut client, waiting).await["status"], "ok");
    }
    let messages = history(&mut client, "main").await;
    for text in ["before", "doomed", "waiting first", "waiting second"] {
        assert_eq!(said(&messages, text), 1, "{text}: {messages:?}");
    }
    beside.stays_untouched().await;
}

#[tokio::test]
async fn a_message_sent_while_its_session_restarts_is_taken() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "hello").await;
    panic(&mut client, "session", "main").await;
    assert_eq!(say(&mut client, "main", "and on").await, ANSWER);
    assert_eq!(said(&history(&mut client, "main").await, "and on"), 1);
}

#[tokio::test]
async fn a_panic_in_a_connection_closes_only_that_socket() {
    let world = World::start();
    let beside = Beside::start(&world).await;
    let mut doomed = world.client().await;
    let mut watcher = world.client().await;
    let run = send(&mut doomed, "main", "[[script:slow]] watched").await;
    streams(&mut doomed, &run).await;
    doomed.send("test.fault", fault("panic", "connection", "")).await;
    doomed.closed(SOON).await;

    let frames = watcher.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await;
    let of_run = events_of(&frames, &run);
    let seqs: Vec<_> = of_run.iter().filter(|e| e["stream"].is_string()).filter_map(|e| e["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "every event, in order");
    assert_eq!(of_run.last().unwrap()["state"], "final");
    beside.stays_untouched().await;
    let mut again = world.client().await;
    assert_eq!(say(&mut again, "main", "back").await, ANSWER);
}

#[tokio::test]
async fn a_session_that_keeps_panicking_is_held_back_and_the_gateway_goes_on() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "hello").await;
    let beside = Beside::start(&world).await;
    for n in 0..=RESTARTS {
        panic(&mut client, "session", "main").await;
        if n < RESTARTS {
            eventually("the session is back", SOON, async || {
                let answer = client.call("test.fault", fault("panic", "run", "main")).await;
                (answer["payload"]["hit"] == false).then_some(())
            })
            .await;
        }
    }
    let refused = eventually("the session is held back", SOON, async || {
        let params =
            json!({ "sessionKey": "main", "message": "x", "idempotencyKey": uuid::Uuid::new_v4().to_string() });
        let answer = client.call("chat.send", params).await;
        (answer["ok"] == false).then(|| answer["error"].clone())
    })
    .await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("UNAVAILABLE"), &json!(true)), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("held back"), "{refused}");
    assert!(world.gateway.is_healthy());
    beside.stays_untouched().await;
    assert_eq!(said(&history(&mut client, "main").await, "hello"), 1);
}

#[tokio::test]
async fn a_provider_that_is_busy_with_a_panicked_session_is_let_go() {
    let world = World::start();
    let mut client = world.client().await;
    world.fake.push(Script { when: Some("doomed".into()), head_delay_ms: 30_000, ..Script::default() });
    let run = send(&mut client, "main", "doomed").await;
    eventually("the request", SOON, async || (!world.fake.bodies_about("doomed").is_empty()).then_some(())).await;
    panic(&mut client, "session", "main").await;
    assert_eq!(end_of(&mut client, &run, SOON).await["state"], "error");
    rest(&mut client, MAIN).await;
    assert_eq!(say(&mut client, "main", "next").await, ANSWER);
}

/// Nobody is hurt by it, so it has to be told of: a handler that computes for a second without an await.
#[tokio::test]
async fn a_handler_that_holds_the_runtime_up_is_named_and_counted() {
    let mut score = Score::new("what holds the runtime up is named", "a handler that blocks its worker");
    score.ran(1);
    let world = World::start();
    let mut client = world.client().await;
    client.ask("test.fault", json!({ "name": "infra/disk", "fault": "block" })).await;
    eventually("it is told", SOON, async || {
        let told = world.gateway.stderr();
        (told.contains("the runtime was held up") && told.contains("disk")).then_some(())
    })
    .await;
    let metrics = client.ask("diagnostics.metrics", json!({})).await;
    let families = metrics["families"].as_array().unwrap();
    let stalls = families.iter().find(|family| family["name"] == "openclaw_runtime_stall_seconds").unwrap();
    let count =
        stalls["series"].as_array().unwrap().iter().find(|one| one["name"] == "openclaw_runtime_stall_seconds_count");
    assert_eq!(count.unwrap()["labels"]["actor"], "disk", "{stalls}");
    assert_eq!(say(&mut client, "main", "nobody was hurt").await, ANSWER);
}
