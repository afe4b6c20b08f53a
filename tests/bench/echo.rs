//! A bare axum WebSocket echo: what the same framework does on the same machine without a gateway behind it.
//!
//! It is this program started again with `ARGUMENT`, so that it too has a process of its own. It ends by itself after ten minutes.

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::Message;
use axum::routing::get;
use tokio_tungstenite::connect_async;

use crate::harness::client::Socket;
use crate::harness::process::Process;

pub const ARGUMENT: &str = "--echo-server";

pub struct Echo {
    process: Process,
    url: String,
}

impl Echo {
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this program's path");
        let process = Process::start(Command::new(program).arg(ARGUMENT));
        let port = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            process.stdout().trim().parse::<u16>().ok()
        });
        Self { process, url: format!("ws://127.0.0.1:{}/", port.expect("the echo's port within 5 s")) }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub async fn connect(&self) -> Socket {
        connect_async(&self.url).await.expect("the echo accepts").0
    }
}

/// Prints its port and echoes every text.
pub async fn serve() {
    let app = Router::new().route("/", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(answer) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("the bound address").port());
    let serving = async { axum::serve(listener, app).await };
    let _ = tokio::time::timeout(Duration::from_secs(600), serving).await; // either end is the end
}

async fn answer(mut socket: axum::extract::ws::WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) = &message
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}
