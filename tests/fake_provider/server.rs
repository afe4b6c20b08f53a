//! The HTTP surface: the three wires, the model list, and the two routes that tests use (`POST /script`, `GET /requests`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::play;
use super::record::{Answering, Entry, Outcome, Request};
use super::script::{self, Script};
use super::wire::{Asked, Turn, Wire};

/// What all requests share.
#[derive(Default)]
pub struct Shared {
    queue: Mutex<VecDeque<Script>>,
    entries: Mutex<Vec<Entry>>,
    /// How many entries were forgotten; numbers go on.
    forgotten: AtomicU64,
}

impl Shared {
    pub fn push(&self, script: Script) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(script);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Entry::look).collect()
    }

    pub fn forget(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|entry| entry.outcome() == Outcome::Open);
        self.forgotten.fetch_add((before - entries.len()) as u64, Ordering::Relaxed);
    }

    fn choose(&self, asked: &Asked) -> Script {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        script::choose(&mut queue, &asked.user_text, asked.after_tool)
    }

    fn record(&self, wire: Wire, headers: &HeaderMap, body: &Value, asked: &Asked) -> (u64, Answering) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let number = entries.len() as u64 + 1 + self.forgotten.load(Ordering::Relaxed);
        let text = |value: &axum::http::HeaderValue| json!(String::from_utf8_lossy(value.as_bytes()));
        let (entry, answering) = Entry::new(Request {
            number,
            wire: wire.name(),
            headers: Map::from_iter(headers.iter().map(|(name, value)| (name.to_string(), text(value)))),
            body: body.clone(),
            user_text: asked.user_text.clone(),
            outcome: Outcome::Open,
        });
        entries.push(entry);
        (number, answering)
    }
}

pub fn router(shared: Arc<Shared>) -> Router {
    let wire = |wire: Wire| {
        post(move |State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes| async move {
            answer(wire, &shared, &headers, &body).await
        })
    };
    Router::new()
        .route("/v1/chat/completions", wire(Wire::ChatCompletions))
        .route("/v1/responses", wire(Wire::Responses))
        .route("/v1/messages", wire(Wire::Messages))
        .route("/v1/models", get(models))
        .route("/script", post(add_scripts))
        .route("/requests", get(list_requests))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn answer(wire: Wire, shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return (StatusCode::BAD_REQUEST, Json(wire.error_body(StatusCode::BAD_REQUEST))).into_response();
    };
    let asked = wire.asked(&body);
    let (number, answering) = shared.record(wire, headers, &body, &asked);
    if body["stream"] != true {
        answering.done();
        let refusal = json!({ "error": { "message": "this fake only streams", "type": "invalid_request_error" } });
        return (StatusCode::BAD_REQUEST, Json(refusal)).into_response();
    }
    let script = shared.choose(&asked);
    play::respond(wire, Turn { script: &script, asked: &asked, body: &body, number }, answering).await
}

async fn models() -> Json<Value> {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": 1_795_000_000, "owned_by": "fake" });
    Json(json!({ "object": "list", "data": [model("fake-1"), model("fake-2")] }))
}

/// One script or a list of them; what was not understood is said, and nothing of it is queued.
async fn add_scripts(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Response {
    let list = if body.is_array() { body } else { json!([body]) };
    match serde_json::from_value::<Vec<Script>>(list) {
        Ok(scripts) => {
            let queued = scripts.len();
            scripts.into_iter().for_each(|script| shared.push(script));
            Json(json!({ "queued": queued })).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

async fn list_requests(State(shared): State<Arc<Shared>>) -> Json<Vec<Request>> {
    Json(shared.requests())
}
