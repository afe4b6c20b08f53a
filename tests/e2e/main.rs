//! End to end: the built program, real sockets on loopback, a directory per test, a fake model provider.
//!
//! One program of many modules, so that it links once. Every test starts its own gateway and can run beside all others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "in tests a failure is a panic, and the harness owns its processes and threads"
)]

#[allow(dead_code, reason = "shared with the bench and the program of that name")]
#[path = "../fake_provider/mod.rs"]
mod fake_provider;
#[path = "../fake_telegram/mod.rs"]
mod fake_telegram;
#[path = "../front_end/mod.rs"]
mod front_end;
#[allow(dead_code, reason = "shared with the bench")]
#[path = "../harness/mod.rs"]
mod harness;

mod agent;
mod chat;
mod cli;
mod config_reload;
mod crash;
#[cfg(feature = "fault-injection")]
mod crash_delivery;
#[cfg(feature = "fault-injection")]
mod crash_matrix;
mod crash_random;
#[cfg(feature = "fault-injection")]
mod crash_telegram;
mod cron;
mod golden;
mod handshake;
mod heartbeat;
mod http_openai;
#[cfg(feature = "fault-injection")]
mod isolation;
#[cfg(feature = "fault-injection")]
mod isolation_matrix;
#[cfg(feature = "fault-injection")]
mod life_cycle;
mod metrics;
mod profiles;
mod provider_errors;
mod restart;
mod rpc;
mod shutdown;
mod start;
mod telegram;
mod the_fake_provider;
mod tools;
mod webhook;
mod wires;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fake_provider::FakeProvider;
use harness::{Client, Config, Gateway};

/// The program under test: `OPENCLAW_TEST_BINARY` (the release build, in `tests/run`), else the one built for this test.
fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let given = std::env::var_os("OPENCLAW_TEST_BINARY").map(PathBuf::from);
        given.unwrap_or_else(|| env!("CARGO_BIN_EXE_openclaw").into())
    });
    &BINARY
}

/// A running gateway and the provider behind it. The gateway goes first.
struct World {
    gateway: Gateway,
    fake: FakeProvider,
}

impl World {
    fn start() -> Self {
        Self::start_with(|config| config)
    }

    fn start_with(change: impl FnOnce(Config) -> Config) -> Self {
        let fake = FakeProvider::start();
        let gateway = Gateway::start_with(binary(), &fake.base_url(), change);
        Self { gateway, fake }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.gateway.ws()).await
    }
}
