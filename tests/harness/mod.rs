//! What the end-to-end tests and the bench share: a gateway process, its configuration, and clients for its socket.
//!
//! Nothing here knows how the gateway is built: it runs the program and looks at its sockets, files, output and exit code.
//! Every wait has a deadline and says what it waited for.

pub mod client;
pub mod config;
pub mod device;
pub mod gateway;
pub mod http;
pub mod process;
pub mod scorecard;
pub mod turn;

use std::time::Duration;

use tokio::time::Instant;

#[allow(unused_imports, reason = "the bench needs less of it than the tests")]
pub use {
    client::{Client, Hello},
    config::Config,
    device::Device,
    gateway::Gateway,
};

/// The shared secret of every test gateway.
pub const TOKEN: &str = "e2e-4f1c0d5be0a94f5f9b7e2f3c";

/// Long enough for anything that should happen at once on a busy two-core machine.
pub const SOON: Duration = Duration::from_secs(15);

/// Long enough for a run that uses up all its retries (2 + 4 + 8 s, then a whole-run retry that does so again).
pub const AFTER_RETRIES: Duration = Duration::from_secs(120);

/// Asks `probe` until it answers, and panics with `what` after `limit`.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let until = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
