//! The byte stream below a WebSocket, with a budget for what a client may send before it is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Largest message before the handshake is over, bytes.
pub const PREAUTH_MESSAGE_MAX: usize = 65_536;
/// Largest message after it, bytes: `policy.maxPayload`.
pub const MESSAGE_MAX: usize = 26_214_400;
/// Room for frame headers, pings and fragments around one message of the largest size.
const PREAUTH_OVERHEAD: usize = 4096;
/// The library's own buffers would take 128 KiB a connection.
const READ_BUFFER: usize = 768;
/// Every frame is written at once.
const WRITE_BUFFER: usize = 0;
/// Longer texts go out in pieces. The library's buffer keeps the size of the largest piece for the life of a
/// connection: a list of sixty kilobytes that everybody gets once would else cost each of them that much for ever.
const PIECE: usize = 1024;

pub type Socket = WebSocketStream<Budgeted>;

/// A stream that fails with `BudgetSpent` once a client that is not yet known has sent too much.
pub struct Budgeted {
    io: TokioIo<Upgraded>,
    left: Option<usize>,
}

/// The error behind a read that was refused.
#[derive(Debug, thiserror::Error)]
#[error("preauth payload too large")]
pub struct BudgetSpent;

/// Wraps an upgraded connection as the server's side of a WebSocket.
pub async fn socket(upgraded: Upgraded) -> Socket {
    let io = Budgeted { io: TokioIo::new(upgraded), left: Some(PREAUTH_MESSAGE_MAX + PREAUTH_OVERHEAD) };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// One text as the messages to feed: itself, or its pieces (RFC 6455 §5.4).
pub fn pieces(text: String) -> impl Iterator<Item = Message> {
    let (whole, split) =
        if text.len() <= PIECE { (Some(Message::text(text)), Bytes::new()) } else { (None, Bytes::from(text)) };
    let count = split.len().div_ceil(PIECE);
    let cut = move |n: usize| split.slice(n * PIECE..split.len().min((n + 1) * PIECE));
    whole.into_iter().chain((0..count).map(move |n| piece(cut(n), n, count)))
}

/// The same for what is written as JSON at once, so that a long text never lies in memory as a whole.
pub fn json_pieces(value: &impl Serialize) -> serde_json::Result<impl Iterator<Item = Message>> {
    let mut chunks = Chunks::default();
    serde_json::to_writer(&mut chunks, value)?;
    let count = chunks.0.len();
    Ok(chunks.0.into_iter().enumerate().map(move |(n, chunk)| piece(chunk.into(), n, count)))
}

fn piece(bytes: Bytes, n: usize, count: usize) -> Message {
    let kind = if n == 0 { Data::Text } else { Data::Continue };
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), n + 1 == count))
}

/// What was written, in pieces.
#[derive(Default)]
struct Chunks(Vec<Vec<u8>>);

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.last().is_none_or(|chunk| chunk.len() == PIECE) {
            self.0.push(Vec::with_capacity(PIECE));
        }
        let Some(chunk) = self.0.last_mut() else { return Ok(0) };
        let taken = bytes.len().min(PIECE - chunk.len());
        chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Budgeted {
    /// The client is known: from now on only the message size is limited.
    pub fn lift(&mut self) {
        self.left = None;
    }
}

impl AsyncRead for Budgeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(left)) = (&polled, self.left) {
            let read = buf.filled().len() - before;
            let Some(rest) = left.checked_sub(read) else {
                return Poll::Ready(Err(io::Error::other(BudgetSpent)));
            };
            self.left = Some(rest);
        }
        polled
    }
}

impl AsyncWrite for Budgeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the pieces, which must be one text message.
    fn joined(messages: impl Iterator<Item = Message>) -> Vec<u8> {
        let (mut joined, mut kinds) = (Vec::new(), Vec::new());
        for message in messages {
            let Message::Frame(frame) = message else { panic!("{message:?} is no piece") };
            assert!(frame.payload().len() <= PIECE);
            joined.extend_from_slice(frame.payload());
            kinds.push((frame.header().opcode, frame.header().is_final));
        }
        let expected = |n: usize| {
            let kind = if n == 0 { Data::Text } else { Data::Continue };
            (OpCode::Data(kind), n + 1 == kinds.len())
        };
        assert_eq!(kinds, (0..kinds.len()).map(expected).collect::<Vec<_>>());
        joined
    }

    #[test]
    fn a_long_text_goes_out_in_pieces_that_make_the_text_again() {
        for length in [PIECE + 1, 2 * PIECE, 2 * PIECE + 7] {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(joined(pieces(text.clone())), text.into_bytes());
        }
        for short in [String::new(), "x".repeat(PIECE)] {
            assert_eq!(pieces(short.clone()).collect::<Vec<_>>(), [Message::text(short)]);
        }
    }

    #[test]
    fn json_is_written_into_pieces() {
        for length in [0, PIECE - 2, PIECE - 1, 5 * PIECE] {
            let text = "y".repeat(length);
            assert_eq!(joined(json_pieces(&text).unwrap()), serde_json::to_vec(&text).unwrap());
        }
    }
}
