//! What a service manager is told: that the gateway is ready, that it lives, that it goes down. Nothing, where there is
//! none.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::store::StoreError;
use openclaw_actors::supervision::Branch;
use openclaw_actors::supervision::task::{self, Task};
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep};

use super::services::Services;

/// How often the manager is told that the gateway lives, unless it wants to hear it more often.
const EVERY: Duration = Duration::from_secs(20);
/// A tick that comes later than this was held up.
const LATE: Duration = Duration::from_secs(5);

/// Has a service manager started this very process, and not some shell above it?
pub fn is_ours() -> bool {
    let pid = std::process::id().to_string();
    std::env::var_os("NOTIFY_SOCKET").is_some() || std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|given| given == pid)
}

/// The port is open and everything behind it stands.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The gateway goes down, and may take so long.
pub fn stopping(limit: Duration) {
    let us = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(us)]);
}

/// Tells the manager again and again that the gateway lives, as long as the root supervisor, the store and the runtime's
/// clock answer. `None` when nobody wants to hear it.
pub fn watchdog(services: &Arc<Services>) -> Option<Task> {
    let wanted = sd_notify::watchdog_enabled()?;
    let every = (wanted / 3).min(EVERY);
    let services = Arc::clone(services);
    Some(task::spawn("watchdog", async move {
        loop {
            let due = Instant::now() + every;
            sleep(every).await;
            match lives(&services, due).await {
                Ok(()) => notify(&[NotifyState::Watchdog]),
                Err(reason) => {
                    tracing::error!(target: "gateway", "the service manager is not told that all is well: {reason}")
                }
            }
        }
    }))
}

async fn lives(services: &Services, due: Instant) -> Result<(), String> {
    if due.elapsed() > LATE {
        return Err(format!("the runtime was held up for {} ms", due.elapsed().as_millis()));
    }
    services.context.overview.root().children().await.map_err(|error| error.to_string())?;
    let store = &services.context.store;
    match store.check().await {
        Ok(()) | Err(StoreError::Full(_)) => {} // starting again makes no room
        Err(error) => return Err(format!("store: {error}")),
    }
    let read = tokio::time::timeout(LATE, store.read(|_| Ok(()))).await;
    read.map_err(|_| "store: no answer in time".to_owned())?.map_err(|error| format!("store: {error}"))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(target: "gateway", %error, "the service manager could not be told");
    }
}
