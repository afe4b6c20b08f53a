//! Would a gateway start with the configuration as it is now? Asked before this one goes down for a restart.
//!
//! The checks are those of a start, with the flags of this one: the file loads, its secrets are there, nothing refuses it,
//! and its address is free.

use std::time::Duration;

use openclaw_actors::config::actor;
use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::supervision::task;
use tokio::time::{sleep, timeout};

use super::services::Services;
use super::{bind, service_manager};
use crate::cli::Failure;
use crate::cli::gateway::run::{RunOptions, StartCheck};

/// How long reading the configuration and its secrets may take.
const LIMIT: Duration = Duration::from_secs(15);
/// Pause before a configuration that would not start is looked at again.
const RETRY: Duration = Duration::from_secs(2);

/// What this gateway was started with and another one would be.
#[derive(Debug)]
pub struct NextStart {
    check: StartCheck,
    /// The port that this gateway holds.
    port: u16,
}

impl NextStart {
    pub fn after(options: &RunOptions) -> Self {
        Self { check: options.check.clone(), port: options.listen.port }
    }

    /// Why no gateway would start with this configuration, its secrets resolved. Blocking: it tries the address.
    pub fn refusal(&self, snapshot: &Snapshot) -> Option<String> {
        match self.check.listen(snapshot) {
            Ok(listen) => bind::refusal(&listen, self.port),
            Err(failure) => Some(Failure::message(&failure).to_owned()),
        }
    }
}

/// Looks at the files as they are now. The error is for people.
pub async fn check(services: &Services) -> Result<(), String> {
    let prepared = timeout(LIMIT, actor::prepare(&services.paths, &services.process_env, &services.cwd)).await;
    let snapshot = prepared
        .map_err(|_| format!("the configuration was not ready within {} s", LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    let next = std::sync::Arc::clone(&services.next_start);
    match task::blocking(move || next.refusal(&snapshot)).await? {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Waits until a gateway would start: an edit may have broken the configuration while running turns were waited for. What
/// comes in meanwhile is accepted and waits in the store.
pub async fn wait(services: &Services) {
    let mut told = None;
    while let Err(refusal) = check(services).await {
        if told.as_ref() != Some(&refusal) {
            tracing::error!(
                target: "gateway",
                "the restart waits for the configuration to be mended; the gateway would not start again: {refusal}"
            );
            told = Some(refusal);
        }
        service_manager::stopping(LIMIT + RETRY * 2); // it would not wait for ever
        sleep(RETRY).await;
    }
}
