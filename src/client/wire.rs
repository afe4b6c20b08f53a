//! The socket: JSON frames in and out, each wait with a deadline.
//!
//! Pings are answered by the library while we read. A frame of unknown type is skipped, one that is no JSON ends the connection.

use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::{Error as WsError, TlsError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use openclaw_actors::protocol::hello::Policy;

use super::error::{ClientError, RpcError};

/// Longest wait for the other side's half of the close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// An open WebSocket to a gateway.
pub struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a gateway sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Incoming {
    Res(Answer),
    Event(Event),
    #[serde(other)]
    Unknown,
}

/// A response; `agent` answers twice under one id.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub id: String,
    pub ok: bool,
    #[serde(default)]
    pub payload: Option<Value>,
    #[serde(default)]
    pub error: Option<Box<RpcError>>,
}

/// News from the gateway. `seq` is absent for events sent to this connection alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    pub event: String,
    #[serde(default)]
    pub payload: Value,
    #[serde(default)]
    pub seq: Option<u64>,
}

impl Wire {
    /// Opens the socket; `wss` trusts the public roots of the web.
    pub async fn open(url: &str, deadline: Instant) -> Result<Self, ClientError> {
        let limit = Some(Policy::STANDARD.max_payload);
        let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
        match timeout_at(deadline, connect_async_tls_with_config(url, Some(config), true, None)).await {
            Ok(Ok((socket, _))) => Ok(Self { socket }),
            Ok(Err(error)) => Err(unreachable(url, &error)),
            Err(_) => {
                let (reason, detail) = ("ETIMEDOUT".to_owned(), format!("no connection to {url} in time"));
                Err(ClientError::Unreachable { url: url.to_owned(), reason, detail })
            }
        }
    }

    pub async fn send_request(
        &mut self,
        id: &str,
        method: &str,
        params: &Value,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let started = Instant::now();
        let frame = json!({ "type": "req", "id": id, "method": method, "params": params }).to_string();
        match timeout_at(deadline, self.socket.send(Message::text(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.why_closed(error, deadline).await),
            Err(_) => Err(ClientError::Timeout { what: method.to_owned(), limit: deadline - started }),
        }
    }

    /// The next frame; `None` at the deadline.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<Incoming>, ClientError> {
        loop {
            let Ok(message) = timeout_at(deadline, self.socket.next()).await else {
                return Ok(None);
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(bytes))) => Utf8Bytes::try_from(bytes)
                    .map_err(|_| ClientError::Malformed("a binary frame that is not UTF-8".to_owned()))?,
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(broken(&error)),
                None => return Err(ClientError::Closed { code: 1006, reason: String::new() }),
            };
            return serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| ClientError::Malformed(format!("a frame that is not understood: {error}")));
        }
    }

    /// Says goodbye; a peer that does not answer is left.
    pub async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        let goodbye = async {
            self.socket.close(Some(frame)).await?;
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok::<(), WsError>(())
        };
        let _ = timeout(CLOSE_LIMIT, goodbye).await; // the connection ends either way
    }

    /// A failed send usually means that a close frame lies unread: it says more than the failure.
    async fn why_closed(&mut self, error: WsError, deadline: Instant) -> ClientError {
        let deadline = deadline.min(Instant::now() + CLOSE_LIMIT);
        loop {
            match self.next(deadline).await {
                Ok(Some(_)) => {}
                Ok(None) => return broken(&error),
                Err(closed) => return closed,
            }
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> ClientError {
    match frame {
        Some(frame) => ClientError::Closed { code: frame.code.into(), reason: frame.reason.to_string() },
        None => ClientError::Closed { code: 1005, reason: String::new() },
    }
}

fn broken(error: &WsError) -> ClientError {
    match error {
        WsError::Capacity(_) => ClientError::Malformed(format!("a frame that is too large: {error}")),
        WsError::ConnectionClosed | WsError::AlreadyClosed => ClientError::Closed { code: 1006, reason: String::new() },
        other => ClientError::Closed { code: 1006, reason: other.to_string() },
    }
}

fn unreachable(url: &str, error: &WsError) -> ClientError {
    let (reason, detail) = match error {
        WsError::Io(error) => {
            let name = io_name(error);
            let place = url.trim_start_matches("wss://").trim_start_matches("ws://").trim_end_matches('/');
            (name.clone(), format!("connect {name} {place}"))
        }
        WsError::Http(response) => (format!("HTTP {}", response.status().as_u16()), http_detail(response)),
        WsError::Tls(TlsError::InvalidDnsName) => {
            ("TLS".to_owned(), "the host is no name for a certificate".to_owned())
        }
        other => ("no WebSocket".to_owned(), other.to_string()),
    };
    ClientError::Unreachable { url: url.to_owned(), reason, detail }
}

/// The names that people search for.
fn io_name(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED".to_owned(),
        io::ErrorKind::ConnectionReset => "ECONNRESET".to_owned(),
        io::ErrorKind::TimedOut => "ETIMEDOUT".to_owned(),
        io::ErrorKind::HostUnreachable => "EHOSTUNREACH".to_owned(),
        io::ErrorKind::NetworkUnreachable => "ENETUNREACH".to_owned(),
        _ => error.to_string(),
    }
}

/// Status and the beginning of the body, which says why (`Too many unauthenticated sockets`).
fn http_detail(response: &http::Response<Option<Vec<u8>>>) -> String {
    let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let line: String = body.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect();
    format!("HTTP {} {line}", response.status()).trim_end().to_owned()
}
