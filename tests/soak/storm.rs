//! Reconnect storms: fifty visitors a second for a while, polite ones and others, then a quiet time.
//!
//! What happens to a visitor is not judged: places for strangers are few and refusing is right. Those who stay must not notice.
//! Every storm is like the one before, so that its highest point is no trend.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rand::RngExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::Hello;
use crate::harness::client::Socket;
use crate::tally::Tally;

/// Between two visitors of a storm: 50 a second.
const BETWEEN: Duration = Duration::from_millis(20);
const STORM: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(15);

pub async fn storms(url: String, port: u16, tally: Tally) {
    let (mut visitors, mut number) = (JoinSet::new(), 0);
    sleep(Duration::from_secs(2)).await;
    loop {
        let (until, mut next) = (Instant::now() + STORM, interval(BETWEEN));
        while Instant::now() < until {
            next.tick().await;
            visitors.spawn(visit(url.clone(), port, number));
            number = (number + 1) % 50;
            tally.did("visitor of a storm");
            while visitors.try_join_next().is_some() {}
        }
        sleep(QUIET).await;
    }
}

/// The fifty of each second are of all kinds.
async fn visit(url: String, port: u16, number: u32) {
    // Whatever goes wrong is the visitor's own affair.
    let _ = match number {
        7 | 32 => slow_reader(&url).await,
        13 => wrong_token(&url).await,
        _ if number % 10 == 4 => stranger(&url).await,
        _ if number % 10 == 8 => half_open(port).await,
        _ if number % 5 == 1 => abrupt(&url).await,
        _ => polite(&url).await,
    };
}

async fn moment(at_most_ms: u64) {
    let ms = rand::rng().random_range(0..at_most_ms);
    sleep(Duration::from_millis(ms)).await;
}

async fn send(socket: &mut Socket, id: &str, method: &str, params: serde_json::Value) -> Option<()> {
    let frame = json!({ "type": "req", "id": id, "method": method, "params": params });
    socket.send(Message::text(frame.to_string())).await.ok()
}

/// Reads until the answer to `id`; `None` when the socket ends before.
async fn answer(socket: &mut Socket, id: &str) -> Option<()> {
    let id = format!("\"id\":\"{id}\"");
    loop {
        let frame = socket.next().await?.ok()?;
        if frame.is_close() {
            return None;
        }
        if frame.to_text().is_ok_and(|text| text.contains(&id)) {
            return Some(());
        }
    }
}

/// A socket on which `connect` was answered.
async fn connected(url: &str) -> Option<Socket> {
    let (mut socket, _) = connect_async(url).await.ok()?;
    send(&mut socket, "hello", "connect", Hello::default().params).await?;
    answer(&mut socket, "hello").await?;
    Some(socket)
}

/// Asks something, waits for the answer and says goodbye.
async fn polite(url: &str) -> Option<()> {
    let mut socket = connected(url).await?;
    send(&mut socket, "q", "health", json!({})).await?;
    answer(&mut socket, "q").await?;
    moment(2000).await;
    socket.close(None).await.ok()
}

/// Asks something and is gone, without a word and with unread answers.
async fn abrupt(url: &str) -> Option<()> {
    let mut socket = connected(url).await?;
    send(&mut socket, "q", "sessions.list", json!({})).await
}

/// Never says who it is.
async fn stranger(url: &str) -> Option<()> {
    let _socket = connect_async(url).await.ok()?;
    moment(3000).await;
    Some(())
}

/// Half of a request, then silence.
async fn half_open(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: webso").await.ok()?;
    moment(8000).await;
    Some(())
}

async fn wrong_token(url: &str) -> Option<()> {
    let (mut socket, _) = connect_async(url).await.ok()?;
    let hello = Hello::default().set("auth", json!({ "token": "not-the-token" }));
    send(&mut socket, "hello", "connect", hello.params).await?;
    answer(&mut socket, "hello").await
}

/// Asks for much and reads nothing of it.
async fn slow_reader(url: &str) -> Option<()> {
    let mut socket = connected(url).await?;
    for number in 0..8 {
        // the schema is by far the longest answer that there is
        let method = if number % 2 == 0 { "config.schema" } else { "sessions.list" };
        send(&mut socket, &number.to_string(), method, json!({})).await?;
    }
    sleep(STORM).await;
    Some(())
}
