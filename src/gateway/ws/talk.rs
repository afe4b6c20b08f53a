//! The life of one connection: handshake, then reading and writing side by side until one of them ends it.
//!
//! Requests run inside this task: when the connection ends they are dropped, what they started in the tree goes on.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use openclaw_actors::events::{Close, ConnId, Outbox, SLOW_CONSUMER, Taken};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::client::Preauth;
use super::dispatch::Dispatcher;
use super::handshake;
use super::io::{self, Socket};
use super::membership::Membership;
use crate::gateway::auth::origin::RequestFacts;
use crate::gateway::services::Services;

/// Pings keep middle boxes awake; a missing pong is not acted upon.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// How long a peer may take to read our answer to its upgrade.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);
/// How long a peer may take to read our last words.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Somebody who has opened a socket and is not known yet.
pub struct Visitor {
    pub conn: ConnId,
    /// Becomes the socket when our answer to the upgrade has been written.
    pub upgrade: OnUpgrade,
    pub facts: RequestFacts,
    /// The place among the sockets that are not known yet.
    pub preauth: Preauth,
}

/// Serves one socket to its end.
///
/// Its phases are futures of their own, in boxes: what the handshake needs is not carried along for the life of the
/// connection.
pub async fn serve(services: Arc<Services>, visitor: Visitor) {
    let Some((socket, outcome)) = Box::pin(welcome(Arc::clone(&services), visitor)).await else { return };
    let (mut sink, mut stream) = socket.split();
    let close = match outcome {
        Ok(member) => Box::pin(converse(services, member, &mut sink, &mut stream)).await,
        Err(close) => close,
    };
    Box::pin(part(sink, stream, close)).await;
}

/// Completes the upgrade and the handshake; `None` when there is no socket.
async fn welcome(services: Arc<Services>, visitor: Visitor) -> Option<(Socket, Result<Membership, Option<Close>>)> {
    let Visitor { conn, upgrade, facts, preauth } = visitor;
    let upgraded = match timeout(UPGRADE_LIMIT, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a WebSocket upgrade did not complete");
            return None;
        }
        Err(_) => {
            tracing::debug!("a WebSocket upgrade did not complete in time");
            return None;
        }
    };
    let mut socket = io::socket(upgraded).await;
    let outcome = handshake::perform(&services, &conn, &mut socket, &facts, preauth).await;
    if outcome.is_ok() {
        socket.get_mut().lift();
    }
    Some((socket, outcome))
}

/// Reads and writes until one of them ends it. Returns how the connection must be closed, if anybody is left to be told.
async fn converse(
    services: Arc<Services>,
    member: Membership,
    sink: &mut SplitSink<Socket, Message>,
    stream: &mut SplitStream<Socket>,
) -> Option<Close> {
    let dispatcher = Dispatcher::new(services, Arc::clone(&member.client), member.outbox.clone());
    tokio::select! {
        close = read(stream, &dispatcher) => close,
        close = write(sink, &member.outbox) => close,
    }
}

/// Says why, and ends the connection.
async fn part(mut sink: SplitSink<Socket, Message>, mut stream: SplitStream<Socket>, close: Option<Close>) {
    say_goodbye(&mut sink, close).await;
    // What the peer still sends is read for a moment: closing with unread data would reset the connection and could
    // destroy our last frames on their way.
    let _ = timeout(CLOSE_LIMIT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    let _ = timeout(CLOSE_LIMIT, sink.close()).await; // the peer may be gone already
}

/// Frames of one client that are handled before others get their turn: a flood must not hold a worker.
const IN_A_ROW: u32 = 16;

/// Reads requests and runs them. Returns how the connection must be closed, if anybody is left to be told.
async fn read(stream: &mut SplitStream<Socket>, dispatcher: &Dispatcher) -> Option<Close> {
    let mut running = FuturesUnordered::new();
    let mut in_a_row = 0;
    loop {
        tokio::select! {
            frame = stream.next() => {
                in_a_row += 1;
                if in_a_row >= IN_A_ROW {
                    in_a_row = 0;
                    tokio::task::yield_now().await; // others want to be served too
                }
                let text = match frame? {
                    Ok(Message::Text(text)) => text,
                    Ok(Message::Binary(bytes)) => match bytes.try_into() {
                        Ok(text) => text,
                        Err(_) => continue, // not UTF-8, so not JSON: ignored like any other such frame
                    },
                    Ok(Message::Close(_)) => return None,
                    Ok(_) => continue,
                    Err(error) => return close_for(&error),
                };
                if let Some(mut request) = dispatcher.accept(&text) {
                    // Most methods answer without waiting for anything.
                    if (&mut request).now_or_never().is_none() {
                        running.push(request);
                    }
                }
            }
            Some(()) = running.next(), if !running.is_empty() => {}
        }
    }
}

/// Writes frames as they come. A peer that does not read is left when its outbox overflows, or when it has to go.
async fn write(sink: &mut SplitSink<Socket, Message>, outbox: &Outbox) -> Option<Close> {
    let mut ping_at = Instant::now() + PING_INTERVAL;
    loop {
        let taken = tokio::select! {
            taken = outbox.take() => taken,
            () = sleep_until(ping_at) => {
                ping_at += PING_INTERVAL;
                tokio::select! {
                    sent = sink.send(Message::Ping(Default::default())) => sent.ok()?,
                    close = given_up(outbox) => return Some(close),
                }
                continue;
            }
        };
        match taken {
            Taken::Close(close) => return Some(close),
            Taken::Frames(frames) => tokio::select! {
                sent = send_all(sink, frames) => sent.ok()?,
                close = given_up(outbox) => return Some(close),
            },
        }
    }
}

/// Resolves when writing must end: at once for a slow consumer; whoever has to go for another reason gets a moment to
/// read what was said before.
async fn given_up(outbox: &Outbox) -> Close {
    let close = outbox.closing().await;
    if close.reason != SLOW_CONSUMER {
        sleep(CLOSE_LIMIT).await;
    }
    close
}

async fn send_all(sink: &mut SplitSink<Socket, Message>, frames: Vec<String>) -> Result<(), WsError> {
    for piece in frames.into_iter().flat_map(io::pieces) {
        sink.feed(piece).await?;
    }
    sink.flush().await
}

/// Which close a read error deserves; `None` when the peer is gone.
pub fn close_for(error: &WsError) -> Option<Close> {
    match error {
        WsError::Capacity(_) => Some(Close { code: 1009, reason: String::new() }),
        WsError::Utf8(_) => Some(Close { code: 1007, reason: String::new() }),
        WsError::Protocol(_) => Some(Close { code: 1002, reason: String::new() }),
        _ => None,
    }
}

async fn say_goodbye(sink: &mut SplitSink<Socket, Message>, close: Option<Close>) {
    let Some(close) = close else { return };
    let frame = CloseFrame { code: close.code.into(), reason: cut(&close.reason).into() };
    let _ = timeout(CLOSE_LIMIT, sink.send(Message::Close(Some(frame)))).await; // the peer may be gone already
}

/// A close reason holds 123 bytes; ours end at 120, between characters.
fn cut(reason: &str) -> String {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(100)).len(), 120);
        assert_eq!(cut(&format!("a{}", "é".repeat(100))).len(), 119);
    }
}
