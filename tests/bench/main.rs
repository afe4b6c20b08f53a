//! What the gateway costs and how fast it is, measured on the built program and printed as one table.
//!
//! `cargo bench --bench gateway`; `-- many` takes only the part with many clients. Only loopback, bounded in time (about two minutes). The figures in the last column
//! are the project's promises; the bench prints and never fails on them, since a busy machine is no regression. A bare axum
//! WebSocket echo runs in a process of its own beside the gateway, so that a figure can be read against what the machine gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measuring program: a failure is a panic, and the harness owns its processes and threads"
)]

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../fake_provider/mod.rs"]
mod fake_provider;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/mod.rs"]
mod harness;

mod calls;
mod durable;
mod echo;
mod many;
mod proc_stat;
mod table;
mod turns;

use std::path::PathBuf;
use std::time::Duration;

use fake_provider::FakeProvider;
use harness::{Client, Gateway};
use proc_stat::{cpu_percent, memory};
use table::{Table, median};
use tokio::time::Instant;

/// Starts that the median is taken over.
const STARTS: usize = 5;
/// How long the idle gateway is watched.
const IDLE: Duration = Duration::from_secs(10);
/// Sockets opened to find the memory of one; below the default connection limit.
const SOCKETS: usize = 500;
/// Sockets that are open before: they bring what is needed once for all.
const SOCKETS_BEFORE: usize = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == echo::ARGUMENT) {
        runtime.block_on(echo::serve());
        return;
    }
    runtime.block_on(measure(raise_file_limit()));
}

/// The program: `OPENCLAW_BENCH_BINARY`, else the one that cargo built for this bench.
fn binary() -> PathBuf {
    std::env::var_os("OPENCLAW_BENCH_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_openclaw").into(), PathBuf::from)
}

async fn measure(file_limit: usize) {
    let binary = binary();
    let fake = FakeProvider::start();
    let mut table = Table::default();
    if std::env::args().any(|argument| argument == "many") {
        return many::measure(&mut table, &binary, &fake, file_limit).await;
    }
    let mut gateway = start_up(&mut table, &binary, &fake).await;
    idle(&mut table, &gateway).await;
    command_line(&mut table, &gateway);
    let echo = echo::Echo::start();
    calls::measure(&mut table, &gateway, &echo).await;
    turns::measure(&mut table, &gateway, &fake).await;
    memory_of_a_socket(&mut table, &mut gateway, &echo).await;
    stop(&mut table, &mut gateway);
    // With a state directory of its own: it leaves much behind.
    durable::measure(&mut table, &Gateway::start(&binary, &fake.base_url())).await;
    many::measure(&mut table, &binary, &fake, file_limit).await;
    println!("\n{} ({} KiB)\n\n{}", binary.display(), std::fs::metadata(&binary).unwrap().len() / 1024, table.text());
}

/// From starting the process to the first `/health`, and to the first `hello-ok`; the last gateway stays.
async fn start_up(table: &mut Table, binary: &std::path::Path, fake: &FakeProvider) -> Gateway {
    let mut gateway = Gateway::prepare(binary, &fake.base_url(), |config| config);
    let (mut healthy, mut connected) = (Vec::new(), Vec::new());
    for n in 0..STARTS {
        let started = Instant::now();
        healthy.push(gateway.launch());
        Client::connect(&gateway.ws()).await;
        connected.push(started.elapsed());
        if n + 1 < STARTS {
            gateway.terminate();
        }
    }
    table.ms("start to /health, first start", healthy[0], "≤ 150 ms");
    table.ms("start to /health, median", median(&mut healthy), "≤ 50 ms");
    table.ms("start to hello-ok, median", median(&mut connected), "≤ 100 ms");
    gateway
}

async fn idle(table: &mut Table, gateway: &Gateway) {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cpu = cpu_percent(gateway.pid(), IDLE).await;
    let memory = memory(gateway.pid());
    table.row("idle memory, RSS", megabytes(memory.rss_kib), "≤ 60 MB");
    table.row("idle memory, PSS", megabytes(memory.pss_kib), "≤ 25 MB");
    table.row("idle CPU over 10 s, of one core", format!("{cpu:.2} %"), "≤ 0.1 %");
}

fn megabytes(kib: f64) -> String {
    format!("{:.1} MB", kib * 1.024 / 1000.0)
}

fn command_line(table: &mut Table, gateway: &Gateway) {
    for (name, args, limit) in [
        ("`gateway status --json`, median", ["gateway", "status", "--json"].as_slice(), "≤ 30 ms"),
        ("`status --json`, median", &["status", "--json"], "≤ 150 ms"),
        ("`logs --limit 50`, median", &["logs", "--limit", "50"], "≤ 150 ms"),
    ] {
        let time = |_| {
            let started = Instant::now();
            let ended = gateway.cli(args);
            assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
            started.elapsed()
        };
        table.ms(name, median(&mut (0..5).map(time).collect::<Vec<_>>()), limit);
    }
}

/// On a gateway that has just been started: what earlier work has left free would be filled first, and hide the figure.
async fn memory_of_a_socket(table: &mut Table, gateway: &mut Gateway, echo: &echo::Echo) {
    gateway.terminate();
    gateway.launch();
    let mut kept = Vec::new();
    for _ in 0..SOCKETS_BEFORE {
        kept.push((Client::connect(&gateway.ws()).await, echo.connect().await));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = (memory(gateway.pid()), memory(echo.pid()));
    for _ in 0..SOCKETS {
        kept.push((Client::connect(&gateway.ws()).await, echo.connect().await));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = (memory(gateway.pid()), memory(echo.pid()));
    let each = |after: f64, before: f64| format!("{:.1} KB", (after - before) * 1.024 / SOCKETS as f64);
    table.row("memory of a connection, PSS", each(after.0.pss_kib, before.0.pss_kib), "≤ 15 KB");
    table.row("memory of a connection, bare echo, PSS", each(after.1.pss_kib, before.1.pss_kib), "–");
}

fn stop(table: &mut Table, gateway: &mut Gateway) {
    let started = Instant::now();
    let ended = gateway.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    table.ms("SIGTERM to exit, 500 sockets open", started.elapsed(), "≤ 500 ms idle");
}

/// The sockets of this process and of its children; without it the usual soft limit of 1024 would be met.
fn raise_file_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = hard.min(65_536);
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    usize::try_from(limit).unwrap()
}
