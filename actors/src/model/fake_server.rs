//! A tiny HTTP server for the tests of the wires: one scripted answer for every connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::supervision::task::{self, Task};

/// What the server sends: pieces with a pause between them, then the end of the connection, or silence.
#[derive(Debug, Clone)]
pub struct Answer {
    pieces: Vec<Vec<u8>>,
    hangs: bool,
}

impl Answer {
    pub fn json(status: u16, body: &str) -> Self {
        Self::with_headers(status, "content-type: application/json\r\n", body)
    }

    pub fn with_headers(status: u16, headers: &str, body: &str) -> Self {
        let head =
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Self { pieces: vec![format!("{head}{body}").into()], hangs: false }
    }

    /// An event stream in chunks of `size` bytes, each a chunk of the transfer encoding and a packet of its own.
    pub fn events(recording: &str, size: usize) -> Self {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let framed = |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        let chunks = recording.as_bytes().chunks(size).map(framed);
        Self {
            pieces: std::iter::once(head.to_vec()).chain(chunks).chain([b"0\r\n\r\n".to_vec()]).collect(),
            hangs: false,
        }
    }

    /// Everything but the end of the answer, then nothing.
    pub fn then_hanging(mut self) -> Self {
        self.pieces.pop();
        Self { hangs: true, ..self }
    }

    /// Everything but the end of the answer, then the connection closes.
    pub fn cut_off(mut self) -> Self {
        self.pieces.pop();
        self
    }

    pub fn silence() -> Self {
        Self { pieces: Vec::new(), hangs: true }
    }
}

pub struct FakeServer {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _accepting: Task,
}

impl FakeServer {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let accepting = task::spawn("fake server", async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                open.push(task::spawn("fake connection", serve(connection, answer.clone(), seen.clone())));
            }
        });
        Self { url, requests, _accepting: accepting }
    }

    /// Head and body of every request so far.
    pub async fn requests(&self) -> Vec<String> {
        self.requests.lock().await.clone()
    }
}

async fn serve(mut connection: TcpStream, answer: Answer, seen: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read_request(&mut connection).await else { return };
    seen.lock().await.push(request);
    for piece in &answer.pieces {
        if connection.write_all(piece).await.is_err() || connection.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if answer.hangs {
        std::future::pending::<()>().await;
    }
}

async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
}
