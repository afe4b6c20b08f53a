//! The shapes of the frames that clients depend on, pinned by data in `tests/golden/`: keys and JSON types, no values.
//!
//! A key that appears, vanishes or changes its type fails here until the data is written anew on purpose: with
//! `OPENCLAW_GOLDEN=write` the tests write what they see instead of comparing it. An empty list says nothing about its
//! elements, and of a number neither size nor fraction counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::World;
use crate::harness::turn::{end_of, history, is_chat_end, is_lifecycle_end, send, session_row};
use crate::harness::{Client, Hello, SOON};

/// A little more than the interval of `tick`.
const TICK: Duration = Duration::from_secs(35);

/// A value without its values: `{key: shape}`, `[the shapes of its elements, each once]`, or the name of its type.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(list) => {
            let shapes: BTreeMap<String, Value> = list.iter().map(shape).map(|s| (s.to_string(), s)).collect();
            shapes.into_values().collect()
        }
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), shape(value))).collect::<Map<_, _>>())
        }
    }
}

/// Does a shape that was seen fit the one that is pinned?
fn fits(seen: &Value, pinned: &Value) -> bool {
    match (seen, pinned) {
        (Value::Array(seen), Value::Array(pinned)) => {
            pinned.is_empty() || seen.iter().all(|element| pinned.iter().any(|known| fits(element, known)))
        }
        (Value::Object(seen), Value::Object(pinned)) => {
            seen.len() == pinned.len()
                && seen.iter().all(|(key, value)| pinned.get(key).is_some_and(|known| fits(value, known)))
        }
        _ => seen == pinned,
    }
}

/// Frames by name, held against the file of the same name.
struct Frames {
    file: PathBuf,
    seen: BTreeMap<&'static str, Value>,
}

impl Frames {
    fn of(file: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Self { file: dir.join(file).with_extension("json"), seen: BTreeMap::new() }
    }

    fn add(&mut self, name: &'static str, frame: &Value) {
        self.seen.insert(name, shape(frame));
    }

    fn check(self) {
        if std::env::var_os("OPENCLAW_GOLDEN").is_some_and(|word| word == "write") {
            std::fs::write(&self.file, serde_json::to_string_pretty(&self.seen).unwrap() + "\n").unwrap();
            return;
        }
        let text = std::fs::read_to_string(&self.file).expect("the pinned shapes");
        let pinned: BTreeMap<String, Value> = serde_json::from_str(&text).expect("the pinned shapes are JSON");
        assert!(self.seen.keys().eq(pinned.keys()), "other frames than in {}", self.file.display());
        for (name, seen) in &self.seen {
            let known = &pinned[*name];
            assert!(fits(seen, known), "{name} changed its shape\nseen:   {seen}\npinned: {known}");
        }
    }
}

/// The first frame of a turn with this event, and this word at the pointer.
fn pick<'a>(frames: &'a [Value], event: &str, pointer: &str, word: &str) -> &'a Value {
    let is_it = |frame: &&Value| frame["event"] == event && frame.pointer(pointer).is_some_and(|found| found == word);
    frames.iter().find(is_it).unwrap_or_else(|| panic!("no {event} with {pointer} {word}"))
}

async fn turn(client: &mut Client, text: &str) -> Vec<Value> {
    let run = send(client, "main", text).await;
    let mut frames = client
        .frames_until("the end of the turn", SOON, |frame| is_chat_end(frame, &run) || is_lifecycle_end(frame, &run))
        .await;
    frames.extend(
        client
            .frames_until("its other end", SOON, |frame| is_chat_end(frame, &run) || is_lifecycle_end(frame, &run))
            .await,
    );
    frames
}

#[tokio::test]
async fn what_a_client_is_told_on_connect_keeps_its_shape() {
    let mut world = World::start();
    let mut client = Client::open(&world.gateway.ws(), &[]).await;
    let mut frames = Frames::of("connection");
    frames.add("hello-ok", &client.call("connect", Hello::default().params).await);
    frames.add("event health", &client.event("health").await);
    frames.add("answer to health", &client.call("health", json!({})).await);
    client.ask("system-event", json!({ "text": "Node: box · mode ui · reason connect" })).await;
    frames.add("event presence", &client.event("presence").await);
    world.gateway.signal(Signal::SIGTERM);
    frames.add("event shutdown", &client.event("shutdown").await);
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
    frames.check();
}

#[tokio::test]
async fn a_tick_keeps_its_shape() {
    let world = World::start();
    let mut client = world.client().await;
    let mut frames = Frames::of("tick");
    frames.add("event tick", &client.frame("a tick", TICK, |frame| frame["event"] == "tick").await);
    frames.check();
}

#[tokio::test]
async fn the_events_of_a_turn_and_what_is_kept_of_it_keep_their_shape() {
    let world = World::start();
    let mut client = world.client().await;
    let mut frames = Frames::of("turn");
    let told = turn(&mut client, "[[script:tool]] status").await;
    frames.add("agent lifecycle start", pick(&told, "agent", "/payload/data/phase", "start"));
    frames.add("agent assistant", pick(&told, "agent", "/payload/stream", "assistant"));
    let tools: Vec<Value> = told.iter().filter(|frame| frame["payload"]["stream"] == "tool").cloned().collect();
    frames.add("agent tool start", pick(&tools, "agent", "/payload/data/phase", "start"));
    frames.add("agent tool result", pick(&tools, "agent", "/payload/data/phase", "result"));
    let items: Vec<Value> = told.iter().filter(|frame| frame["payload"]["stream"] == "item").cloned().collect();
    frames.add("agent item start", pick(&items, "agent", "/payload/data/phase", "start"));
    frames.add("agent item end", pick(&items, "agent", "/payload/data/phase", "end"));
    let runs: Vec<Value> = told.iter().filter(|frame| frame["payload"]["stream"] == "lifecycle").cloned().collect();
    frames.add("agent lifecycle end", pick(&runs, "agent", "/payload/data/phase", "end"));
    frames.add("chat delta", pick(&told, "chat", "/payload/state", "delta"));
    frames.add("chat final", pick(&told, "chat", "/payload/state", "final"));
    let told = turn(&mut client, "[[script:error-401]]").await;
    frames.add("agent lifecycle error", pick(&told, "agent", "/payload/data/phase", "error"));
    frames.add("chat error", pick(&told, "chat", "/payload/state", "error"));
    let run = send(&mut client, "main", "[[script:endless]] talk").await;
    client
        .frame("a delta", SOON, |frame| frame["payload"]["runId"] == run && frame["payload"]["state"] == "delta")
        .await;
    client.ask("chat.abort", json!({ "sessionKey": "main", "runId": run })).await;
    frames.add("chat aborted", &end_of(&mut client, &run, SOON).await);

    let messages = history(&mut client, "main").await;
    for (name, role) in [("message user", "user"), ("message assistant", "assistant"), ("message tool", "toolResult")] {
        frames.add(name, messages.iter().find(|message| message["role"] == role).expect(role));
    }
    frames.add("session row", &session_row(&mut client, "agent:main:main").await.expect("a row"));
    frames.check();
}

#[tokio::test]
async fn a_refusal_of_each_code_keeps_its_shape() {
    let world = World::start();
    let mut client = world.client().await;
    let mut frames = Frames::of("refusals");
    frames.add("INVALID_REQUEST", &client.call("no.such.method", json!({})).await);
    let mut reader = Client::connect_as(&world.gateway.ws(), &Hello::default().scopes(&["operator.read"])).await;
    frames.add("INVALID_REQUEST missing scope", &reader.call("config.set", json!({ "raw": "{}" })).await);
    for _ in 0..3 {
        client.refusal("config.patch", json!({})).await;
    }
    frames.add("UNAVAILABLE rate limit", &client.call("config.patch", json!({})).await);
    let params = json!({ "message": "[[script:error-401]]", "idempotencyKey": "k" });
    let id = client.send("agent", params).await;
    frames.add("agent accepted", &client.response(&id, SOON).await);
    frames.add("UNAVAILABLE failed run", &client.response(&id, SOON).await);
    let mut stranger = Client::open(&world.gateway.ws(), &[]).await;
    frames.add(
        "NOT_PAIRED",
        &stranger.call("connect", Hello::default().client("test", "test").unset("auth").params).await,
    );
    let mut guesser = Client::open(&world.gateway.ws(), &[]).await;
    let wrong = Hello::default().set("auth", json!({ "token": "wrong" }));
    frames.add("INVALID_REQUEST wrong token", &guesser.call("connect", wrong.params).await);
    frames.check();
}

#[test]
fn shapes_differ_by_keys_and_types_only() {
    let pinned = shape(&json!({ "a": 1, "list": [{ "b": "x" }, { "b": null }], "none": [] }));
    assert_eq!(pinned, json!({ "a": "number", "list": [{ "b": "null" }, { "b": "string" }], "none": [] }));
    for (seen, expected) in [
        (json!({ "a": 2.5, "list": [], "none": ["x"] }), true),
        (json!({ "a": 2, "list": [{ "b": null }], "none": [] }), true),
        (json!({ "a": 2, "list": [{ "b": true }], "none": [] }), false),
        (json!({ "a": "2", "list": [], "none": [] }), false),
        (json!({ "a": 2, "list": [] }), false),
        (json!({ "a": 2, "list": [], "none": [], "more": 1 }), false),
    ] {
        assert_eq!(fits(&shape(&seen), &pinned), expected, "{seen}");
    }
}
