//! The soak: an hour of mixed load against the built program, and a verdict on whether anything grew meanwhile.
//!
//! `cargo test --test soak`; `OPENCLAW_SOAK_MINUTES` says how long (60 when absent), `OPENCLAW_TEST_BINARY` which program,
//! `OPENCLAW_SOAK_REPORT` the folder for `soak.md`, `soak.json` and `soak.svg` (the target directory when absent). A
//! promise that was not kept makes it end with 1. The load keeps its size: every session is reset now and then, so what
//! grows is the gateway and not the conversations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measuring program: a failure is a panic, and it owns its tasks and processes"
)]

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../fake_provider/mod.rs"]
mod fake_provider;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/mod.rs"]
mod harness;

mod onlookers;
mod plot;
mod report;
mod sample;
mod storm;
mod talkers;
mod tally;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fake_provider::FakeProvider;
use harness::scorecard::Score;
use harness::{Config, Gateway};
use sample::{Sample, Sampler};
use serde_json::json;
use tally::Tally;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Talkers, each with a connection and sessions of its own.
const TALKERS: usize = 8;
/// From one edit of the configuration to the next.
const EDIT: Duration = Duration::from_secs(20);
/// After the load, until the gateway is looked at once more: idle threads of a pool live for 10 s.
const SETTLE: Duration = Duration::from_secs(12);
/// Looks at the gateway after the load.
const RESTING_SAMPLES: usize = 20;

fn main() -> ExitCode {
    verdict::try_the_judge();
    let minutes = std::env::var("OPENCLAW_SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(60.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(soak(Duration::from_secs_f64(minutes * 60.0)))
}

/// The program under test: the one given, else the one that cargo built.
fn binary() -> PathBuf {
    std::env::var_os("OPENCLAW_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_openclaw").into(), PathBuf::from)
}

/// Where the report goes.
fn folder() -> PathBuf {
    let target = || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory").to_owned();
    std::env::var_os("OPENCLAW_SOAK_REPORT").map_or_else(target, PathBuf::from)
}

async fn soak(time: Duration) -> ExitCode {
    let fake = Arc::new(FakeProvider::start());
    let mut gateway = Gateway::start_with(&binary(), &fake.base_url(), |config| {
        config.set("gateway.http.endpoints.chatCompletions.enabled", json!(true))
    });
    let tally = Tally::default();
    let mut sampler = Sampler::start(&gateway).await;
    sleep(Duration::from_secs(2)).await;
    let before = sampler.take(&tally).await;

    let mut load = start_load(&gateway, &fake, &tally);
    let samples = watch(&mut gateway, &mut sampler, &tally, time).await;
    load.abort_all();
    while load.join_next().await.is_some() {}
    let after = at_rest(&mut sampler, &tally).await;
    let alive = gateway.is_healthy();
    let ended = gateway.terminate();
    tally.check("the gateway ends when it is told to", alive && ended.code == Some(0), || ended.stderr.clone());

    let promises = verdict::judge(&verdict::Watched { before, samples: &samples, after }, &tally);
    let kept = promises.iter().all(|promise| promise.kept);
    let report = report::Report { minutes: time.as_secs_f64() / 60.0, samples: &samples, promises: &promises };
    println!("{}", report.write(&folder(), &tally));
    score(&tally, kept);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How it is after the load. Ticks and looks have tasks that live for a moment, so of several samples the lowest counts:
/// what has leaked is in each of them.
async fn at_rest(sampler: &mut Sampler, tally: &Tally) -> Sample {
    sleep(SETTLE).await;
    let mut lowest = sampler.take(tally).await;
    for _ in 1..RESTING_SAMPLES {
        sleep(Duration::from_millis(500)).await;
        lowest = lowest.lowest(&sampler.take(tally).await);
    }
    lowest
}

/// A row of the scorecard; what was done is what it was tried under.
fn score(tally: &Tally, kept: bool) {
    let mut score = Score::new("nothing grows without bound", "mixed load, reconnect storms, edits, aborts (soak)");
    score.ran(tally.total());
    if !kept {
        score.failed();
    }
}

fn start_load(gateway: &Gateway, fake: &Arc<FakeProvider>, tally: &Tally) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for number in 0..TALKERS {
        load.spawn(talkers::talk(gateway.ws(), number, tally.clone()));
    }
    load.spawn(onlookers::look(gateway.ws(), tally.clone()));
    load.spawn(onlookers::ask_over_http(gateway.http(""), tally.clone()));
    load.spawn(storm::storms(gateway.ws(), gateway.port(), tally.clone()));
    let fake = Arc::clone(fake);
    load.spawn(async move {
        loop {
            sleep(Duration::from_secs(10)).await;
            fake.forget(); // an hour of requests would fill the memory of this program
        }
    });
    load
}

/// Samples until the time is over, and edits the configuration meanwhile; every third edit is a broken one.
async fn watch(gateway: &mut Gateway, sampler: &mut Sampler, tally: &Tally, time: Duration) -> Vec<Sample> {
    let pause = (time / 200).clamp(Duration::from_millis(500), Duration::from_secs(5));
    let (until, mut samples) = (Instant::now() + time, Vec::new());
    let (mut edits, mut edit_at) = (0, Instant::now() + EDIT.min(time / 6));
    while Instant::now() < until {
        sleep(pause).await;
        match timeout(Duration::from_secs(30), sampler.take(tally)).await {
            Ok(sample) => samples.push(sample),
            Err(_) => tally.failure("a sample", "not within 30 s".to_owned()),
        }
        if Instant::now() >= edit_at {
            edits += 1;
            edit_at += EDIT.min(time / 6);
            edit(gateway, edits);
            tally.did("edit of the configuration");
        }
    }
    samples
}

fn edit(gateway: &mut Gateway, number: usize) {
    if number % 3 == 0 {
        gateway.place().write_config("{ gateway: { mode: \"local\""); // the next edit mends it
    } else {
        let width = 4 + number % 2;
        gateway.edit_config(|config: Config| config.set("agents.defaults.maxConcurrent", json!(width)));
    }
}
