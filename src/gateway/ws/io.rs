//! The byte stream below a WebSocket, with a budget for what a client may send before it is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Largest message before the handshake is over, bytes.
pub const PREAUTH_MESSAGE_MAX: usize = 65_536;
/// Largest message after it, bytes: `policy.maxPayload`.
pub const MESSAGE_MAX: usize = 26_214_400;
/// Room for frame headers, pings and fragments around one message of the largest size.
const PREAUTH_OVERHEAD: usize = 4096;
/// The library's own buffers would take 128 KiB a connection.
const READ_BUFFER: usize = 2048;

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
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
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
