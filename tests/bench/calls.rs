//! Requests a second and the time of one, beside the echo with the same text on the same kind of socket.
//!
//! The method is `health`, whose answer is built at most once a minute, so the figure is that of the way there and back.

use std::time::Duration;

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::echo::Echo;
use crate::harness::client::Socket;
use crate::harness::{Client, Gateway};
use crate::table::{Table, percentile};

const CONNECTIONS: usize = 16;
const TIME: Duration = Duration::from_secs(4);
/// What is asked again and again.
pub const REQUEST: &str = r#"{"type":"req","id":"bench-1","method":"health","params":{}}"#;

pub async fn measure(table: &mut Table, gateway: &Gateway, echo: &Echo) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        ours.push(Client::connect(&gateway.ws()).await.into_socket());
        bare.push(echo.connect().await);
    }
    let one = (ours.split_off(CONNECTIONS - 1), bare.split_off(CONNECTIONS - 1));
    report(table, "bare echo", "–", "–", run(one.1).await, run(bare).await);
    report(table, "`health` RPC", "≤ 1 ms", "≥ 50 % of the echo", run(one.0).await, run(ours).await);
}

/// The times of all calls of one run and how long it took.
struct Run {
    calls: Vec<Duration>,
    took: Duration,
}

/// Every socket asks again as soon as it is answered, until the time is over.
async fn run(sockets: Vec<Socket>) -> Run {
    let started = Instant::now();
    let calls =
        join_all(sockets.into_iter().map(|socket| ask_until(socket, started + TIME, Duration::ZERO))).await.concat();
    Run { calls, took: started.elapsed() }
}

/// One request after the other, each a pause after the last is answered; how long each took.
pub async fn ask_until(mut socket: Socket, until: Instant, pause: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let asked = Instant::now();
        socket.send(Message::text(REQUEST)).await.expect("an open socket");
        loop {
            let answer = socket.next().await.expect("an open socket").expect("a message");
            // events may come in between; an answer and an echo both carry the id
            if answer.to_text().is_ok_and(|text| text.contains("bench-1")) {
                break;
            }
        }
        times.push(asked.elapsed());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    times
}

fn report(table: &mut Table, name: &str, p99: &str, rate: &str, mut alone: Run, many: Run) {
    table.ms(&format!("{name}, 1 connection, median"), percentile(&mut alone.calls, 50), "–");
    table.ms(&format!("{name}, 1 connection, 99 %"), percentile(&mut alone.calls, 99), p99);
    let per_second = many.calls.len() as f64 / many.took.as_secs_f64();
    table.row(&format!("{name}, {} connections, a second", CONNECTIONS - 1), format!("{per_second:.0}"), rate);
}
