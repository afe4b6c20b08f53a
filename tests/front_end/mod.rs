//! A front-end of the generic webhook, as somebody would write it: posts what its people say, takes answers, knows an answer
//! again by its idempotency key. Its ways of failing are those of the world: it refuses, is slow, or loses its own answer.
//!
//! It lives on a thread and runtime of its own and checks every signature; it shares no code with the gateway.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::oneshot;

use crate::harness::{Config, Gateway, SOON, eventually, http};

pub const SECRET: &str = "front-end-secret-6b1f";

/// What the front-end does with a post instead of taking it.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Refuses it with this status.
    Refuse(u16),
    /// 429, and when to come again, seconds.
    Busy(u64),
    /// Takes it, and the answer is lost.
    LoseAnswer,
}

/// One post of the gateway.
#[derive(Debug, Clone)]
pub struct Post {
    pub body: Value,
    /// Taken before under the same key.
    pub repeated: bool,
}

#[derive(Default)]
struct Shared {
    troubles: Mutex<VecDeque<Trouble>>,
    posts: Mutex<Vec<Post>>,
    taken: Mutex<HashSet<String>>,
    forged: Mutex<Vec<String>>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running front-end. Dropping it closes its port.
pub struct FrontEnd {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FrontEnd {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        let address = listener.local_addr().expect("the bound address");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().route("/in", post(take)).with_state(Arc::clone(&shared));
        let thread = std::thread::spawn(move || serve(listener, app, stopped));
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The account `front`, which everybody may write to, in groups when they mean the bot.
    pub fn configure(&self, config: Config) -> Config {
        let account = json!({
            "secret": SECRET, "callbackUrl": format!("http://{}/in", self.address),
            "dmPolicy": "open", "allowFrom": ["*", "ada", "bob"], "groupPolicy": "open",
        });
        config.set("channels.webhook.accounts.front", account)
    }

    pub fn trouble(&self, trouble: Trouble) {
        lock(&self.shared.troubles).push_back(trouble);
    }

    /// Everything that was posted, in order, repetitions included.
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.shared.posts).clone()
    }

    /// What people see: each answer once, in order, as `conversation: text`.
    pub fn shown(&self) -> Vec<String> {
        let line = |post: &Post| {
            let conversation = post.body["conversation"]["id"].as_str().unwrap_or("?");
            format!("{conversation}: {}", post.body["text"].as_str().unwrap_or("?"))
        };
        assert!(lock(&self.shared.forged).is_empty(), "unsigned posts: {:?}", lock(&self.shared.forged));
        self.posts().iter().filter(|post| !post.repeated).map(line).collect()
    }

    /// Waits until people see `count` answers.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} answers; there are {:?}", self.shown()), SOON, async || {
            Some(self.shown()).filter(|shown| shown.len() >= count)
        })
        .await
    }

    /// Somebody writes; gives status and answer of the gateway, or nothing when it could not be reached.
    pub async fn say(
        &self,
        gateway: &str,
        id: &str,
        conversation: &Value,
        sender: &str,
        text: &str,
    ) -> Option<(u16, Value)> {
        let body = json!({ "id": id, "conversation": conversation, "sender": { "id": sender, "name": sender }, "text": text,
                           "mentionsBot": text.contains("@bot") });
        self.post(gateway, SECRET, &body.to_string()).await
    }

    /// Posts a body signed with a secret.
    pub async fn post(&self, gateway: &str, secret: &str, body: &str) -> Option<(u16, Value)> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().to_string();
        let request = http::client().post(format!("{gateway}/channels/webhook/front"));
        let request = request.header("content-type", "application/json").header("x-openclaw-timestamp", &at);
        let request = request.header("x-openclaw-signature", sign(secret, &at, body.as_bytes())).body(body.to_owned());
        let answer = http::Answer::read(request.timeout(Duration::from_secs(5)).send().await.ok()?).await;
        Some((answer.status, serde_json::from_str(&answer.text).unwrap_or_default()))
    }

    /// Says it until the gateway has taken it, bringing a gateway back that has ended.
    pub async fn insist(&self, gateway: &mut Gateway, id: &str, conversation: &Value, text: &str) {
        let until = tokio::time::Instant::now() + SOON;
        loop {
            gateway.start_again_if_ended();
            let answer = self.say(&gateway.http(""), id, conversation, "ada", text).await;
            if answer.is_some_and(|(status, _)| status == 200) {
                return;
            }
            assert!(tokio::time::Instant::now() < until, "{text} is never taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for FrontEnd {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(()); // already gone if the thread ended by itself
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic in there has already failed the test that saw no answer
        }
    }
}

/// A chat with one person.
pub fn direct(id: &str) -> Value {
    json!({ "id": id, "kind": "direct" })
}

pub fn group(id: &str) -> Value {
    json!({ "id": id, "kind": "group" })
}

fn sign(secret: &str, at: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    if sign(SECRET, header("x-openclaw-timestamp"), &body) != header("x-openclaw-signature") {
        lock(&shared.forged).push(text);
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let trouble = lock(&shared.troubles).pop_front();
    match trouble {
        Some(Trouble::Refuse(status)) => {
            return StatusCode::from_u16(status).expect("a status").into_response();
        }
        Some(Trouble::Busy(seconds)) => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response();
        }
        Some(Trouble::LoseAnswer) | None => {}
    }
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let key = body["idempotencyKey"].as_str().unwrap_or_default().to_owned();
    let repeated = !lock(&shared.taken).insert(key);
    let number = {
        let mut posts = lock(&shared.posts);
        posts.push(Post { body, repeated });
        posts.len()
    };
    if let Some(Trouble::LoseAnswer) = trouble {
        std::panic::resume_unwind(Box::new("lost")); // the connection breaks off before a byte of the answer
    }
    axum::Json(json!({ "id": format!("post-{number}") })).into_response()
}

/// Serves until told to stop; leaving drops the runtime and with it every open connection.
fn serve(listener: std::net::TcpListener, app: Router, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        tokio::select! {
            served = async { axum::serve(listener, app).await } => served.expect("the server runs until stopped"),
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}
