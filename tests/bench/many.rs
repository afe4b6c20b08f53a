//! Ten thousand clients that do nothing, and one that does too much.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::calls::{REQUEST, ask_until};
use crate::fake_provider::FakeProvider;
use crate::harness::client::Socket;
use crate::harness::{Client, Gateway};
use crate::proc_stat::memory;
use crate::table::{Table, percentile};

/// As many as that, or as the limit on open files lets a process have.
const CLIENTS: usize = 10_000;
/// Files that a process has open besides.
const SPARE: usize = 500;
/// Clients that are there before: they bring what is needed once for all.
const BEFORE: usize = 64;
/// Connecting at the same time; an address has few places for strangers.
const AT_ONCE: usize = 16;
const TIME: Duration = Duration::from_secs(4);
/// Between two requests of the one who measures.
const PAUSE: Duration = Duration::from_millis(1);

pub async fn measure(table: &mut Table, binary: &Path, fake: &FakeProvider, file_limit: usize) {
    let clients = CLIENTS.min(file_limit.saturating_sub(SPARE));
    let gateway = Gateway::start_with(binary, &fake.base_url(), |config| {
        config.set("gateway.maxConnections", json!(clients + SPARE))
    });
    let mut kept = connect(&gateway, BEFORE).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = memory(gateway.pid()).pss_kib;
    kept.extend(connect(&gateway, clients).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = (memory(gateway.pid()).pss_kib - before) * 1.024 / clients as f64;
    table.row(&format!("{clients} idle connections: memory of one, PSS"), format!("{each:.1} KB"), "≤ 15 KB");

    let patient = Client::connect(&gateway.ws()).await.into_socket();
    let mut alone = ask_until(patient, Instant::now() + TIME, PAUSE).await;
    table.ms(&format!("`health` beside {clients} idle connections, 99 %"), percentile(&mut alone, 99), "≤ 100 ms");
    let patient = Client::connect(&gateway.ws()).await.into_socket();
    // On a thread of its own, so that it keeps only the gateway busy and not the one who measures.
    let url = gateway.ws();
    let flooding = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { flood(Client::connect(&url).await.into_socket()).await })
    });
    let mut beside = ask_until(patient, Instant::now() + TIME, PAUSE).await;
    let sent = flooding.join().expect("the flood");
    table.ms("`health` beside a client that floods, 99 %", percentile(&mut beside, 99), "≤ 100 ms");
    table.row("requests of the flood, a second", format!("{:.0}", sent as f64 / TIME.as_secs_f64()), "–");
}

async fn connect(gateway: &Gateway, count: usize) -> Vec<Socket> {
    let mut sockets = Vec::with_capacity(count);
    while sockets.len() < count {
        let url = gateway.ws();
        let batch = (0..AT_ONCE.min(count - sockets.len())).map(|_| Client::connect(&url));
        sockets.extend(join_all(batch).await.into_iter().map(Client::into_socket));
    }
    sockets
}

/// Sends without waiting for anything; what comes back is read and forgotten. Ends early if it is thrown out.
async fn flood(socket: Socket) -> usize {
    let (mut sink, mut stream) = socket.split();
    let until = Instant::now() + TIME;
    let send = async {
        let mut sent = 0;
        while Instant::now() < until && sink.send(Message::text(REQUEST)).await.is_ok() {
            sent += 1;
            if sent % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        sent
    };
    let read = async { while stream.next().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::pin!(send, read);
    match futures::future::select(send, read).await {
        futures::future::Either::Left((sent, _)) => sent,
        futures::future::Either::Right((_, send)) => send.await, // thrown out: the next send fails
    }
}
