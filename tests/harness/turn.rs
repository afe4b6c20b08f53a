//! One turn seen from a socket: the message, its acknowledgement, its events, its one end.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, SOON};

/// Sends a message to a session; gives the run id once it is acknowledged as started.
pub async fn send(client: &mut Client, session: &str, text: &str) -> String {
    let run = Uuid::new_v4().to_string();
    let params = json!({ "sessionKey": session, "message": text, "idempotencyKey": run });
    let answer = client.ask("chat.send", params).await;
    assert_eq!(answer, json!({ "runId": run, "status": "started" }));
    run
}

/// The payload of the `chat` event that ends the run.
pub async fn end_of(client: &mut Client, run: &str, limit: Duration) -> Value {
    let frame = client.frame(&format!("the end of run {run}"), limit, |frame| is_chat_end(frame, run)).await;
    frame["payload"].clone()
}

/// Sends a message and waits for its answer: the text of the final event.
pub async fn say(client: &mut Client, session: &str, text: &str) -> String {
    let run = send(client, session, text).await;
    let end = end_of(client, &run, SOON).await;
    assert_eq!(end["state"], "final", "{end}");
    text_of(&end["message"])
}

/// Waits until a session has nothing to do any more, such as going on with what a restart cut off.
pub async fn rest(client: &mut Client, key: &str) {
    super::eventually("the session rests", SOON, async || {
        let params = json!({ "sessionKey": key, "limit": 500 });
        let items = client.ask("inbox.list", params).await["items"].clone();
        items.as_array()?.iter().all(|item| item["state"] != "queued" && item["state"] != "running").then_some(())
    })
    .await;
}

/// The `chat` event that ends this run: exactly one of these comes for every accepted run.
pub fn is_chat_end(frame: &Value, run: &str) -> bool {
    let payload = &frame["payload"];
    let ended = matches!(payload["state"].as_str(), Some("final" | "aborted" | "error"));
    frame["event"] == "chat" && payload["runId"] == run && ended
}

/// The lifecycle event that ends this run: exactly one as well.
pub fn is_lifecycle_end(frame: &Value, run: &str) -> bool {
    let payload = &frame["payload"];
    let ended = matches!(payload["data"]["phase"].as_str(), Some("end" | "error"));
    frame["event"] == "agent" && payload["runId"] == run && payload["stream"] == "lifecycle" && ended
}

/// Payloads of all `chat` and `agent` events of one run, in order.
pub fn events_of<'a>(frames: &'a [Value], run: &str) -> Vec<&'a Value> {
    let of_a_run = |frame: &&Value| matches!(frame["event"].as_str(), Some("chat" | "agent"));
    frames.iter().filter(of_a_run).map(|frame| &frame["payload"]).filter(|payload| payload["runId"] == run).collect()
}

/// All text of a message, whose content is a string or a list of parts.
pub fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The messages of a session, oldest first.
pub async fn history(client: &mut Client, session: &str) -> Vec<Value> {
    let answer = client.ask("chat.history", json!({ "sessionKey": session, "limit": 1000 })).await;
    answer["messages"].as_array().expect("messages").clone()
}

/// The row of a session in `sessions.list`.
pub async fn session_row(client: &mut Client, key: &str) -> Option<Value> {
    let answer = client.ask("sessions.list", json!({ "limit": 200 })).await;
    answer["sessions"].as_array().expect("sessions").iter().find(|row| row["key"] == key).cloned()
}
