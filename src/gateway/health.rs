//! The front end's handle on health: the cached payload without asking anybody, a new one on request.

use std::sync::Arc;

use openclaw_actors::config::ConfigHandle;
use openclaw_actors::health::{Cache, HealthError, HealthMsg, Report};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::supervision::Address;

use super::services::{self, ASK_LIMIT, RETRY_AFTER_MS};

/// Cheap to clone.
#[derive(Clone)]
pub struct Health {
    pub address: Address<HealthMsg>,
    pub cache: Cache,
    pub config: ConfigHandle,
}

impl Health {
    /// The payload, if it is young and describes the configuration in force. Asks nobody.
    pub fn cached(&self) -> Option<Arc<str>> {
        self.cache.fresh(self.config.load().generation).map(|report| Arc::clone(&report.text))
    }

    /// The report that there is, or with `probe` a new one.
    pub async fn get(&self, probe: bool) -> Result<Arc<Report>, ErrorShape> {
        if let Some(report) = self.cache.fresh(self.config.load().generation).filter(|_| !probe) {
            return Ok(report);
        }
        let asked = self.address.ask(ASK_LIMIT, |reply| HealthMsg::Get { probe, reply }).await;
        asked.map_err(services::unavailable)?.map_err(failed)
    }

    /// Somebody connected: there is somebody to tick for.
    pub fn client_joined(&self) {
        if let Err(error) = self.address.try_send(HealthMsg::ClientJoined) {
            tracing::debug!(%error, "health was not told of a client; it looks by itself when it is back");
        }
    }
}

fn failed(error: HealthError) -> ErrorShape {
    match error {
        HealthError::Store(error) => services::store_failed(error),
        HealthError::Timeout(_) => ErrorShape::retry_after(error.to_string(), RETRY_AFTER_MS),
        HealthError::Failed(_) => ErrorShape::unavailable(error.to_string()),
    }
}
