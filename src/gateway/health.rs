//! The health actor as the front end reaches it: the report, its text, and the news that somebody connected.

use std::sync::Arc;

use openclaw_actors::config::ConfigHandle;
use openclaw_actors::health::{self, Cache, ConfigReload, HealthArgs, HealthError, HealthMsg, Report};
use openclaw_actors::presence::Versions;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::context::Context;
use openclaw_actors::supervision::{Address, Child, ChildSpec};

use super::services::{ASK_LIMIT, RETRY_AFTER_MS, store_failed, unavailable};
use super::ws::client::Clients;

/// Where health is reached; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    address: Address<HealthMsg>,
    cache: Cache,
    config: ConfigHandle,
}

impl Health {
    /// A handle without an actor behind it yet.
    pub fn new(config: ConfigHandle) -> Self {
        Self { address: Address::new("health", health::MAILBOX), cache: Cache::default(), config }
    }

    /// The actor behind this handle, as a child of the front.
    ///
    /// `reload` says how the latest change of the configuration file was received.
    pub fn child(
        &self,
        context: &Context,
        versions: Arc<Versions>,
        clients: Clients,
        reload: Arc<dyn Fn() -> ConfigReload + Send + Sync>,
        spec: ChildSpec,
    ) -> Child {
        let args = HealthArgs {
            store: context.store.clone(),
            config: self.config.clone(),
            events: context.events.clone(),
            versions,
            cache: self.cache.clone(),
            connected: Arc::new(move || !clients.is_empty()),
            reload,
        };
        health::child(self.address.clone(), args, spec)
    }

    /// The payload as JSON text, if one of the last minute is there. Never waits.
    pub fn cached(&self) -> Option<Arc<str>> {
        self.fresh().map(|report| Arc::clone(&report.text))
    }

    /// The payload as JSON text; `probe` has it built anew.
    pub async fn get(&self, probe: bool) -> Result<Arc<str>, ErrorShape> {
        Ok(Arc::clone(&self.report(probe).await?.text))
    }

    /// The report behind the payload; `probe` has it built anew.
    pub async fn report(&self, probe: bool) -> Result<Arc<Report>, ErrorShape> {
        if let Some(report) = self.fresh().filter(|_| !probe) {
            return Ok(report);
        }
        let answer = self.address.ask(ASK_LIMIT, |reply| HealthMsg::Get { probe, reply }).await;
        answer.map_err(unavailable)?.map_err(failed)
    }

    /// To be called after a client was added to the connected ones: from now on it is sent ticks.
    pub fn client_joined(&self) {
        if let Err(error) = self.address.try_send(HealthMsg::ClientJoined) {
            // an actor that starts looks for clients itself
            tracing::debug!(%error, "health was not told of a new client");
        }
    }

    fn fresh(&self) -> Option<Arc<Report>> {
        self.cache.fresh(self.config.load().generation)
    }
}

fn failed(error: HealthError) -> ErrorShape {
    match error {
        HealthError::Store(error) => store_failed(error),
        HealthError::Timeout(_) => ErrorShape::retry_after(error.to_string(), RETRY_AFTER_MS),
        HealthError::Failed(_) => ErrorShape::unavailable(error.to_string()),
    }
}
