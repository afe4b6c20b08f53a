//! The Bot API of Telegram, as far as a bot that polls sees it: updates that stay until they are confirmed, polls that are held,
//! one poll at a time, and messages that are refused for what Telegram would refuse them for. What goes wrong is scripted.
//!
//! It lives on a thread and runtime of its own and shares no code with the gateway.

mod html;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::harness::{Config, SOON, eventually};

pub const TOKEN: &str = "7000000001:AAE-the_bot_of_these_tests_5f02";
/// Another one of the same bot, which is valid when [`FakeTelegram::revoke`] has been called.
pub const NEW_TOKEN: &str = "7000000001:AAE-the_next_token_of_it_9c41";
pub const BOT: &str = "clawd_test_bot";
const BOT_ID: i64 = 7_000_000_001;

/// What is done with a request instead of what it asks for.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It is refused with this code and these words.
    Refuse(u16, &'static str),
    /// 429, and when to come again, seconds.
    Busy(u64),
    /// It is never answered, and the connection stays open.
    Silence,
    /// It is done, and the answer is lost.
    LoseAnswer,
}

#[derive(Default)]
struct Inner {
    updates: VecDeque<Value>,
    /// Told with the next answer, confirmed or not.
    again: Vec<Value>,
    last_update: i64,
    last_message: i64,
    sent: Vec<Value>,
    troubles: HashMap<String, VecDeque<Trouble>>,
    calls: Vec<String>,
    /// Number of the latest poll: an older one that is still held is ended.
    poll: u64,
    revoked: bool,
    has_webhook: bool,
    forged: Vec<String>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    news: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running Telegram. Dropping it closes its port.
pub struct FakeTelegram {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeTelegram {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        let address = listener.local_addr().expect("the bound address");
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner { last_update: 820_000, ..Inner::default() }),
            ..Shared::default()
        });
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().route("/{bot}/{method}", any(take)).with_state(Arc::clone(&shared));
        let thread = std::thread::spawn(move || serve(listener, app, stopped));
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The account `default`, which everybody may write to, in groups when they mean the bot. A poll is held for two seconds.
    pub fn configure(&self, config: Config) -> Config {
        let block = json!({
            "botToken": TOKEN, "apiRoot": format!("http://{}", self.address), "timeoutSeconds": 2,
            "dmPolicy": "open", "allowFrom": ["*", "1001", "1002"], "groupPolicy": "open",
        });
        config.set("channels.telegram", block)
    }

    /// What happens to the next request of this method, after those that were said before.
    pub fn trouble(&self, method: &str, trouble: Trouble) {
        self.shared.lock().troubles.entry(method.to_owned()).or_default().push_back(trouble);
    }

    /// The token is no longer valid; its successor is.
    pub fn revoke(&self) {
        self.shared.lock().revoked = true;
        self.shared.news.notify_waiters();
    }

    /// Updates go to a webhook until that is taken away.
    pub fn set_webhook(&self) {
        self.shared.lock().has_webhook = true;
        self.shared.news.notify_waiters();
    }

    /// Somebody writes to the bot; the number of the update.
    pub fn say(&self, user: i64, text: &str) -> i64 {
        self.hear(&json!({ "chat": { "id": user, "type": "private", "first_name": "Ann" }, "from": person(user), "text": text }))
    }

    /// Somebody writes in a group, or in a topic of a forum.
    pub fn say_in(&self, chat: i64, topic: Option<i64>, user: i64, text: &str) -> i64 {
        let mut message = json!({ "chat": { "id": chat, "type": "supergroup", "title": "Ops room" }, "from": person(user), "text": text });
        if let Some(at) = text.find(&format!("@{BOT}")) {
            let offset = text[..at].encode_utf16().count();
            message["entities"] = json!([{ "type": "mention", "offset": offset, "length": BOT.len() + 1 }]);
        }
        if let Some(topic) = topic {
            message["chat"]["is_forum"] = json!(true);
            message["message_thread_id"] = json!(topic);
        }
        self.hear(&message)
    }

    fn hear(&self, message: &Value) -> i64 {
        let mut inner = self.shared.lock();
        inner.last_message += 1;
        let mut message = message.clone();
        message["message_id"] = json!(inner.last_message);
        message["date"] = json!(1_778_580_000);
        Self::push(&mut inner, json!({ "message": message }), &self.shared.news)
    }

    /// An update of any kind.
    pub fn update(&self, update: Value) -> i64 {
        Self::push(&mut self.shared.lock(), update, &self.shared.news)
    }

    fn push(inner: &mut Inner, mut update: Value, news: &Notify) -> i64 {
        inner.last_update += 1;
        let number = inner.last_update;
        update["update_id"] = json!(number);
        inner.updates.push_back(update);
        news.notify_waiters();
        number
    }

    /// With the next answer everything that waits is told in reverse order, and this update once more.
    pub fn tell_again_in_disorder(&self, number: i64, user: i64, text: &str) {
        let mut inner = self.shared.lock();
        let message = json!({ "message_id": 1, "date": 1_778_580_000, "text": text, "from": person(user),
                              "chat": { "id": user, "type": "private" } });
        inner.again.push(json!({ "update_id": number, "message": message }));
        inner.updates.make_contiguous().reverse();
        self.shared.news.notify_waiters();
    }

    /// Requests that were taken, by method.
    pub fn calls(&self, method: &str) -> usize {
        self.shared.lock().calls.iter().filter(|call| *call == method).count()
    }

    /// Updates that the gateway has not confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.shared.lock().updates.len()
    }

    /// Messages of the bot as they were sent, in order.
    pub fn sent(&self) -> Vec<Value> {
        let inner = self.shared.lock();
        assert!(inner.forged.is_empty(), "requests with a strange token: {:?}", inner.forged);
        inner.sent.clone()
    }

    /// What people see, as `chat: text`.
    pub fn shown(&self) -> Vec<String> {
        let line = |message: &Value| format!("{}: {}", message["chat_id"], message["text"].as_str().unwrap_or("?"));
        self.sent().iter().map(line).collect()
    }

    /// Waits until people see `count` messages.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} messages; there are {:?}", self.shown()), SOON, async || {
            Some(self.shown()).filter(|shown| shown.len() >= count)
        })
        .await
    }
}

impl Drop for FakeTelegram {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(()); // already gone if the thread ended by itself
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic in there has already failed the test that saw no answer
        }
    }
}

fn person(id: i64) -> Value {
    json!({ "id": id, "is_bot": false, "first_name": "Ann", "last_name": "Li" })
}

fn ok(result: Value) -> Response {
    Json(json!({ "ok": true, "result": result })).into_response()
}

fn no(code: u16, description: &str) -> Response {
    let body = json!({ "ok": false, "error_code": code, "description": description });
    (StatusCode::from_u16(code).expect("a status"), Json(body)).into_response()
}

async fn take(State(shared): State<Arc<Shared>>, Path((bot, method)): Path<(String, String)>, body: Bytes) -> Response {
    let params: Value = serde_json::from_slice(&body).unwrap_or_default();
    let trouble = {
        let mut inner = shared.lock();
        let valid = if inner.revoked { NEW_TOKEN } else { TOKEN };
        if bot != format!("bot{valid}") {
            if bot != format!("bot{TOKEN}") && bot != format!("bot{NEW_TOKEN}") {
                inner.forged.push(bot);
            }
            return no(401, "Unauthorized");
        }
        inner.calls.push(method.clone());
        inner.troubles.get_mut(&method).and_then(VecDeque::pop_front)
    };
    match trouble {
        Some(Trouble::Refuse(code, words)) => return no(code, words),
        Some(Trouble::Busy(seconds)) => {
            let body = json!({ "ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {seconds}"),
                               "parameters": { "retry_after": seconds } });
            return (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
        }
        Some(Trouble::Silence) => std::future::pending().await,
        Some(Trouble::LoseAnswer) | None => {}
    }
    let answer = match method.as_str() {
        "getMe" => ok(json!({ "id": BOT_ID, "is_bot": true, "first_name": "Clawd Test", "username": BOT })),
        "deleteWebhook" => {
            shared.lock().has_webhook = false;
            ok(json!(true))
        }
        "getUpdates" => updates(&shared, &params).await,
        "sendMessage" => send(&mut shared.lock(), &params),
        _ => no(404, "Not Found"),
    };
    if let Some(Trouble::LoseAnswer) = trouble {
        std::panic::resume_unwind(Box::new("lost")); // the connection breaks off before a byte of the answer
    }
    answer
}

/// Held until there is something, or as long as the caller wants it held.
async fn updates(shared: &Shared, params: &Value) -> Response {
    let until = tokio::time::Instant::now() + Duration::from_secs(params["timeout"].as_u64().unwrap_or(0));
    let number = {
        let mut inner = shared.lock();
        inner.poll += 1;
        inner.poll
    };
    shared.news.notify_waiters();
    loop {
        let news = shared.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        {
            let mut inner = shared.lock();
            if inner.has_webhook {
                return no(
                    409,
                    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
                );
            }
            if inner.poll != number {
                return no(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                );
            }
            if let Some(offset) = params["offset"].as_i64() {
                inner.updates.retain(|update| update["update_id"].as_i64() >= Some(offset));
            }
            let limit = usize::try_from(params["limit"].as_u64().unwrap_or(100)).unwrap_or(100);
            let mut heard = std::mem::take(&mut inner.again);
            heard.extend(inner.updates.iter().take(limit).cloned());
            if !heard.is_empty() {
                return ok(Value::Array(heard));
            }
        }
        if tokio::time::timeout_at(until, news).await.is_err() {
            return ok(json!([]));
        }
    }
}

fn send(inner: &mut Inner, params: &Value) -> Response {
    let text = params["text"].as_str().unwrap_or_default();
    let plain = match params["parse_mode"].as_str() {
        Some("HTML") => match html::plain(text) {
            Ok(plain) => plain,
            Err(why) => return no(400, &format!("Bad Request: can't parse entities: {why}")),
        },
        _ => text.to_owned(),
    };
    match plain.encode_utf16().count() {
        0 => return no(400, "Bad Request: message text is empty"),
        1..=4096 => {}
        _ => return no(400, "Bad Request: message is too long"),
    }
    inner.last_message += 1;
    inner.sent.push(params.clone());
    ok(
        json!({ "message_id": inner.last_message, "date": 1_778_580_140, "chat": { "id": params["chat_id"] }, "text": plain }),
    )
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
