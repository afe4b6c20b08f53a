//! How many messages a second are acknowledged, each on disk by then, beside what the disk itself can do.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Socket;
use crate::harness::{Client, Gateway};
use crate::table::Table;

const SESSIONS: usize = 64;
/// Connections that the sessions share: what is told of every turn goes to each connection.
const CONNECTIONS: usize = 4;
const TIME: Duration = Duration::from_secs(5);

pub async fn measure(table: &mut Table, gateway: &Gateway) {
    let disk = syncs_a_second(&gateway.place().state());
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(&gateway.ws()).await);
    }
    let started = Instant::now();
    let talks = clients.into_iter().enumerate().map(|(number, client)| talk(client.into_socket(), number));
    let acknowledged: usize = join_all(talks).await.into_iter().sum();
    let rate = acknowledged as f64 / started.elapsed().as_secs_f64();
    table.row("the disk alone: 4 KB written and synced, a second", format!("{disk:.0}"), "–");
    table.row("`chat.send` acknowledged (on disk), 64 sessions, a second", format!("{rate:.0}"), "≥ 2,000");
}

/// Sends one message after the other into each of its sessions; each waits for its acknowledgement, not for its answer.
async fn talk(mut socket: Socket, number: usize) -> usize {
    let until = Instant::now() + TIME;
    let (mut sent, mut acknowledged) = (0, 0);
    for session in 0..SESSIONS / CONNECTIONS {
        send(&mut socket, number, session, sent).await;
        sent += 1;
    }
    while Instant::now() < until {
        let frame = socket.next().await.expect("an open socket").expect("a message");
        let frame = frame.to_text().unwrap_or_default();
        if !frame.starts_with(r#"{"type":"res""#) {
            continue;
        }
        let answer: Value = serde_json::from_str(frame).expect("JSON");
        acknowledged += usize::from(answer["ok"] == true);
        let session = answer["id"].as_str().and_then(|id| id.parse().ok()).expect("the session's number");
        send(&mut socket, number, session, sent).await;
        sent += 1;
    }
    acknowledged
}

/// The id of the request is the number of the session, so that its answer tells where the next one goes.
async fn send(socket: &mut Socket, connection: usize, session: usize, count: usize) {
    let key = format!("durable-{connection}-{count}");
    let params = json!({
        "sessionKey": format!("agent:main:durable-{connection}-{session}"), "message": key, "idempotencyKey": key,
    });
    let request = json!({ "type": "req", "id": session.to_string(), "method": "chat.send", "params": params });
    socket.send(Message::text(request.to_string())).await.expect("an open socket");
}

fn syncs_a_second(dir: &Path) -> f64 {
    let path = dir.join("sync-rate");
    let mut file = File::create(&path).unwrap();
    let (block, started, mut count) = ([7u8; 4096], Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) {
        file.rewind().unwrap();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    std::fs::remove_file(path).unwrap();
    f64::from(count) / started.elapsed().as_secs_f64()
}
