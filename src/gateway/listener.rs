//! The listener: one actor per bound address, serving HTTP and WebSocket on one port.
//!
//! The socket is bound before the tree starts and outlives the actor: a restarted listener goes on with the same
//! socket, and connections that wait in its backlog are not lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use openclaw_actors::supervision::task::{self, Task, TaskEnd, TaskSet};
use openclaw_actors::supervision::{Address, Child, ChildSpec, Mail};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::http;
use super::services::Services;

/// A client must have sent its request's head by then; it also bounds an idle keep-alive.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// Largest request head, bytes.
const HEADER_BYTES_MAX: usize = 65_536;
/// HTTP connections that may be open at once, however few clients may connect: somebody looks whether all is well.
const PLACES_MIN: usize = 64;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct ListenerActor;

#[derive(Clone)]
struct ListenerArgs {
    socket: Arc<std::net::TcpListener>,
    services: Arc<Services>,
}

/// The accept loop ended, which it never does by itself.
#[derive(Debug)]
struct Ended(TaskEnd<()>);

struct ListenerState {
    _task: Task,
}

/// A listener as a child of the front.
pub fn child(socket: std::net::TcpListener, services: Arc<Services>, spec: ChildSpec) -> Child {
    let name = socket.local_addr().map_or_else(|_| spec.kind.to_owned(), |address| format!("{}:{address}", spec.kind));
    let args = ListenerArgs { socket: Arc::new(socket), services };
    Child::leaf(spec, Address::new("listener", 1), args, || ListenerActor).named(&name)
}

impl Actor for ListenerActor {
    type Msg = Mail<Ended>;
    type State = ListenerState;
    type Arguments = ListenerArgs;

    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        args: ListenerArgs,
    ) -> Result<ListenerState, ActorProcessingErr> {
        let socket = TcpListener::from_std(args.socket.try_clone()?)?;
        args.services.ready.store(true, Ordering::Relaxed); // everything below the front is up
        let config = args.services.config.clone();
        let serve = accept(socket, http::router(args.services), move || {
            config.load().settings.gateway.max_connections.max(PLACES_MIN)
        });
        let task = task::spawn_reporting("listener", serve, move |end| {
            let _ = me.send_message(Mail::own(Ended(end))); // gone only when the task was aborted
        });
        Ok(ListenerState { _task: task })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        _: &mut ListenerState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(Ended(end)) = mail.open().await? else { return Ok(()) };
        Err(format!("the listener ended: {end:?}").into())
    }
}

/// What somebody is told for whom there is no place; longer answers might not fit into a socket that nobody reads.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Accepts for ever. Each HTTP connection is a task of this one: when the listener goes, they go. One that has become a
/// WebSocket is none any more. There are `places` at once.
async fn accept(socket: TcpListener, router: Router, places: impl Fn() -> usize) {
    let mut connections = TaskSet::default();
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer has gone already: waiting is all that helps.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        if connections.running() >= places() {
            openclaw_actors::metrics::preauth_rejected("too_many_http");
            let _ = stream.try_write(NO_PLACE); // a courtesy: the place of one who does not read it is not worth a wait
            continue;
        }
        connections.spawn("http", serve(stream, peer, router.clone()));
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::supervision::task;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn answer(mut stream: TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn whoever_finds_no_place_is_told_to_come_back_and_does_when_one_is_free() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let router = Router::new().route("/", axum::routing::get(|| async { "hello" }));
        let _accepting = task::spawn("listener", accept(socket, router, || 2));
        let silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        refused.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"), "{text}");
        drop(silent);
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let text = answer(TcpStream::connect(address).await.unwrap()).await;
            if text.ends_with("hello") {
                return;
            }
            assert!(tokio::time::Instant::now() < until, "{text}");
        }
    }
}
