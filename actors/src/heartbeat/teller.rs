//! What cron jobs tell an agent: kept for the next turn of its main session, and the agent is woken if the job says so.

use futures::future::BoxFuture;

use super::actor::Heartbeat;
use super::broker::Source;
use crate::config::ConfigHandle;
use crate::cron::MainSession;
use crate::cron::handle::Event;
use crate::cron::job::WakeMode;
use crate::run::context::key_rules;
use crate::run::stream::now_ms;
use crate::store::Store;
use crate::store::system_events::{self, SystemEvent};

/// Takes events into main sessions.
#[derive(Debug, Clone)]
pub struct Teller {
    pub store: Store,
    pub config: ConfigHandle,
    pub heartbeat: Heartbeat,
}

impl MainSession for Teller {
    /// Resolves when the event is on disk: from there it reaches the session whatever happens. A heartbeat that is too busy to be
    /// asked comes by itself.
    fn wake(&self, event: Event) -> BoxFuture<'static, Result<(), String>> {
        let this = self.clone();
        Box::pin(async move {
            let key = key_rules(&this.config.load().settings).main_key_of(&event.agent);
            let row = SystemEvent {
                session_key: key.as_str().to_owned(),
                text: event.text,
                ts: now_ms(),
                about: Some(format!("cron:{}", event.job_id)),
                trusted: true,
            };
            let kept = this.store.write(move |db| system_events::add(db, &row).map(drop)).await;
            kept.map_err(|error| error.to_string())?;
            if event.wake_mode == WakeMode::Now
                && let Err(error) = this.heartbeat.wake(event.agent, None, Source::Event)
            {
                tracing::warn!(%error, "a job could not wake its agent; it hears of it with its next turn");
            }
            Ok(())
        })
    }
}
