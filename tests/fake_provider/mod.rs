//! A model provider that answers what a test told it to, over the three real wire formats and plain HTTP on loopback.
//!
//! It lives on a thread and runtime of its own, so that a test that blocks does not stop it, and dropping the handle ends
//! every open answer at once. It never decides whether a request was right: it records it, and the test looks.

mod chat_completions;
mod messages;
mod play;
mod record;
mod responses;
mod script;
mod server;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

pub use record::{Outcome, Request};
#[allow(unused_imports, reason = "the bench and the program need less of it than the tests")]
pub use script::{ErrorReply, Fault, Script, ToolCall};
use server::Shared;

/// A running fake provider. Dropping it closes its port and all its connections.
pub struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeProvider {
    /// Starts on a free loopback port; serves before it returns.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        let address = listener.local_addr().expect("the bound address");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let app = server::router(shared.clone());
        let thread = std::thread::Builder::new()
            .name("fake-provider".to_owned())
            .spawn(move || serve(listener, app, stopped))
            .expect("a thread");
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:<port>`: the base URL of the `anthropic-messages` wire.
    pub fn root_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:<port>/v1`: the base URL of both OpenAI wires.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.root_url())
    }

    /// Queues an explicit script. The queue is served in order, one script per request, before any marker or default.
    pub fn push(&self, script: Script) {
        self.shared.push(script);
    }

    /// Everything asked so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// Forgets the requests that have been answered, for those who ask for hours.
    pub fn forget(&self) {
        self.shared.forget();
    }

    /// Bodies of the requests whose last user text contains `text`, oldest first.
    pub fn bodies_about(&self, text: &str) -> Vec<Value> {
        self.requests().into_iter().filter(|r| r.user_text.contains(text)).map(|r| r.body).collect()
    }

    /// Waits until a request about `text` has this outcome; panics after `limit`.
    pub async fn wait_for_outcome(&self, text: &str, outcome: Outcome, limit: Duration) {
        let until = tokio::time::Instant::now() + limit;
        while !self.requests().iter().any(|r| r.user_text.contains(text) && r.outcome == outcome) {
            assert!(
                tokio::time::Instant::now() < until,
                "no request about {text:?} became {outcome:?} in {limit:?}: {:?}",
                self.requests().iter().map(|r| (&r.user_text, r.outcome)).collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(()); // already gone if the thread ended by itself
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic in there has already failed the test that saw no answer
        }
    }
}

/// Serves until told to stop; leaving drops the runtime and with it every open answer.
fn serve(listener: std::net::TcpListener, app: axum::Router, stopped: oneshot::Receiver<()>) {
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
