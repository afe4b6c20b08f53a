//! A raw WebSocket client that trusts nothing: every frame it receives must have one of the published closed shapes, and
//! broadcast events must be numbered without a gap.
//!
//! It reads only while a test waits for something; frames that nobody asked for yet are kept in order.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{SOON, TOKEN};

/// Every operator scope a test client asks for unless it says otherwise.
pub const ALL_SCOPES: [&str; 5] =
    ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"];

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How the socket ended, as the peer said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// 1005 when the close frame had no code, 1006 when there was no close frame.
    pub code: u16,
    pub reason: String,
}

pub struct Client {
    socket: Socket,
    /// Frames that arrived while something else was awaited, oldest first.
    inbox: VecDeque<Value>,
    next_id: u64,
    /// The seq of the last broadcast; 0 before the first.
    seq: u64,
    closed: Option<Closed>,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The time of the challenge, epoch milliseconds.
    pub challenged_at: i64,
    /// The payload of `hello-ok`, once connected.
    pub hello: Value,
}

/// What a client says of itself in `connect`.
#[derive(Debug, Clone)]
pub struct Hello {
    pub params: Value,
}

impl Default for Hello {
    /// `gateway-client`/`backend` with the shared token and every scope.
    fn default() -> Self {
        Self {
            params: json!({
                "minProtocol": 4,
                "maxProtocol": 4,
                "client": { "id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend" },
                "role": "operator",
                "scopes": ALL_SCOPES,
                "caps": ["tool-events"],
                "auth": { "token": TOKEN },
            }),
        }
    }
}

impl Hello {
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.params[key] = value;
        self
    }

    pub fn unset(mut self, key: &str) -> Self {
        if let Some(params) = self.params.as_object_mut() {
            params.remove(key);
        }
        self
    }

    pub fn client(mut self, id: &str, mode: &str) -> Self {
        self.params["client"]["id"] = json!(id);
        self.params["client"]["mode"] = json!(mode);
        self
    }

    pub fn scopes(self, scopes: &[&str]) -> Self {
        self.set("scopes", json!(scopes))
    }
}

impl Client {
    /// Connects as the standard backend client.
    pub async fn connect(url: &str) -> Self {
        Self::connect_as(url, &Hello::default()).await
    }

    pub async fn connect_as(url: &str, hello: &Hello) -> Self {
        let mut client = Self::open(url, &[]).await;
        let response = client.call("connect", hello.params.clone()).await;
        assert_eq!(response["ok"], true, "refused: {response}");
        assert_eq!(response["payload"]["type"], "hello-ok", "{response}");
        client.hello = response["payload"].clone();
        client
    }

    /// Opens the socket and takes the challenge, without `connect`.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_open(url, headers).await.unwrap_or_else(|status| panic!("the upgrade was refused with {status}"))
    }

    /// The same; `Err` is the HTTP status with which the upgrade was refused.
    pub async fn try_open(url: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = url.into_client_request().expect("a WebSocket URL");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header name");
            request.headers_mut().insert(name, HeaderValue::try_from(*value).expect("a header value"));
        }
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let connecting = connect_async_with_config(request, Some(config), true);
        let socket = match timeout(SOON, connecting).await.expect("an upgrade in time") {
            Ok((socket, _)) => socket,
            Err(WsError::Http(response)) => return Err(response.status().as_u16()),
            Err(error) => panic!("no upgrade: {error}"),
        };
        let mut client = Self {
            socket,
            inbox: VecDeque::new(),
            next_id: 1,
            seq: 0,
            closed: None,
            nonce: String::new(),
            challenged_at: 0,
            hello: Value::Null,
        };
        let challenge = client.event("connect.challenge").await;
        client.nonce = challenge["payload"]["nonce"].as_str().expect("a nonce").to_owned();
        client.challenged_at = challenge["payload"]["ts"].as_i64().expect("a time");
        Ok(client)
    }

    /// Sends a request and gives its id.
    pub async fn send(&mut self, method: &str, params: Value) -> String {
        let id = format!("r{}", self.next_id);
        self.next_id += 1;
        self.send_text(&json!({ "type": "req", "id": id, "method": method, "params": params }).to_string()).await;
        id
    }

    /// Sends text as it is.
    pub async fn send_text(&mut self, text: &str) {
        let sent = timeout(SOON, self.socket.send(Message::text(text))).await.expect("room to send in time");
        sent.expect("an open socket");
    }

    /// Sends text that the peer may refuse while it is still being sent.
    pub async fn try_send_text(&mut self, text: String) {
        let _ = timeout(SOON, self.socket.send(Message::text(text))).await; // the close that follows is what counts
    }

    /// A request and its (first) response frame.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.response(&id, SOON).await
    }

    /// A request that must succeed: its payload.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let response = self.call(method, params).await;
        assert_eq!(response["ok"], true, "{method} failed: {response}");
        response["payload"].clone()
    }

    /// A request that must fail: its error.
    pub async fn refusal(&mut self, method: &str, params: Value) -> Value {
        let response = self.call(method, params).await;
        assert_eq!(response["ok"], false, "{method} should fail: {response}");
        response["error"].clone()
    }

    /// The next response with this id.
    pub async fn response(&mut self, id: &str, limit: Duration) -> Value {
        let is_it = |frame: &Value| frame["type"] == "res" && frame["id"] == id;
        self.frame(&format!("a response to {id}"), limit, is_it).await
    }

    /// The next event of this name.
    pub async fn event(&mut self, name: &str) -> Value {
        self.frame(&format!("event {name}"), SOON, |frame| frame["event"] == name).await
    }

    /// The next frame that `is_it` accepts, wherever it stands among those that wait; the others stay in order.
    pub async fn frame(&mut self, what: &str, limit: Duration, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.inbox.iter().position(&is_it) {
            return self.inbox.remove(at).expect("a frame at its place");
        }
        let until = Instant::now() + limit;
        loop {
            match self.read(until).await {
                Read::Frame(frame) if is_it(&frame) => return frame,
                Read::Frame(frame) => self.inbox.push_back(frame),
                Read::Closed(closed) => panic!("closed with {closed:?} while waiting for {what}; had {:?}", self.inbox),
                Read::Late => panic!("not within {limit:?}: {what}; had {:?}", self.inbox),
            }
        }
    }

    /// Everything that arrives within `time` and everything that waited, oldest first.
    pub async fn frames_for(&mut self, time: Duration) -> Vec<Value> {
        let until = Instant::now() + time;
        while let Read::Frame(frame) = self.read(until).await {
            self.inbox.push_back(frame);
        }
        self.inbox.drain(..).collect()
    }

    /// Everything up to and including the frame that `is_last` accepts, oldest first.
    pub async fn frames_until(&mut self, what: &str, limit: Duration, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(frame) = self.inbox.pop_front() {
            let last = is_last(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
        let until = Instant::now() + limit;
        loop {
            match self.read(until).await {
                Read::Frame(frame) => {
                    let last = is_last(&frame);
                    frames.push(frame);
                    if last {
                        return frames;
                    }
                }
                Read::Closed(closed) => panic!("closed with {closed:?} before {what}; had {frames:?}"),
                Read::Late => panic!("not within {limit:?}: {what}; had {frames:?}"),
            }
        }
    }

    /// Reads until the peer closes.
    pub async fn closed(&mut self, limit: Duration) -> Closed {
        let until = Instant::now() + limit;
        loop {
            match self.read(until).await {
                Read::Frame(frame) => self.inbox.push_back(frame),
                Read::Closed(closed) => return closed,
                Read::Late => panic!("still open after {limit:?}; had {:?}", self.inbox),
            }
        }
    }

    /// The bare socket, for measurements that must not include what this client checks.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    async fn read(&mut self, until: Instant) -> Read {
        loop {
            if let Some(closed) = &self.closed {
                return Read::Closed(closed.clone());
            }
            match timeout_at(until, self.socket.next()).await {
                Err(_) => return Read::Late,
                Ok(Some(Ok(Message::Text(text)))) => return Read::Frame(self.check(text.as_str())),
                Ok(Some(Ok(Message::Close(frame)))) => self.closed = Some(closed_by(frame)),
                Ok(Some(Ok(Message::Binary(_)))) => panic!("the gateway sent a binary message"),
                Ok(Some(Ok(_))) => {} // ping and pong
                Ok(Some(Err(_)) | None) => self.closed = Some(Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    fn check(&mut self, text: &str) -> Value {
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"));
        check_shape(&frame);
        if let Some(seq) = frame["seq"].as_u64() {
            assert_eq!(seq, self.seq + 1, "a gap in the events before {frame}");
            self.seq = seq;
        }
        frame
    }
}

enum Read {
    Frame(Value),
    Closed(Closed),
    Late,
}

fn closed_by(frame: Option<CloseFrame>) -> Closed {
    match frame {
        Some(frame) => Closed { code: frame.code.into(), reason: frame.reason.to_string() },
        None => Closed { code: 1005, reason: String::new() },
    }
}

/// The shapes are closed: official clients drop a frame with a key that is not listed. Absent means absent, never null.
fn check_shape(frame: &Value) {
    let (required, optional): (&[&str], &[&str]) = match frame["type"].as_str() {
        Some("res") => (&["type", "id", "ok"], &["payload", "error"]),
        Some("event") => (&["type", "event"], &["payload", "seq", "stateVersion"]),
        _ => panic!("neither a response nor an event: {frame}"),
    };
    check_keys(frame, required, optional);
    for key in ["error", "seq", "stateVersion"] {
        assert!(frame.get(key).is_none_or(|value| !value.is_null()), "null {key} in {frame}");
    }
    if let Some(error) = frame.get("error") {
        check_keys(error, &["code", "message"], &["details", "retryable", "retryAfterMs"]);
    }
    if frame["type"] == "res" {
        assert_eq!(frame["ok"] == true, frame.get("error").is_none(), "error goes with ok:false: {frame}");
    }
}

fn check_keys(value: &Value, required: &[&str], optional: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    for key in required {
        assert!(object.contains_key(*key), "no {key} in {value}");
    }
    for key in object.keys() {
        assert!(required.contains(&key.as_str()) || optional.contains(&key.as_str()), "unexpected {key} in {value}");
    }
}
