//! The line of an account to its platform, as a transport holds it: what it may ask, where it puts what it hears, and what is
//! known of how it stands.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::account::AccountKey;
use crate::config::handle::Snapshot;
use crate::run::context::Context;
use crate::run::stream::now_ms;
use crate::store::spool::SpoolRow;
use crate::store::{StoreError, cursors, spool};

/// Events that may wait to be looked at; then nothing more is taken from the platform.
const WAITING_MAX: i64 = 10_000;
/// Pause before it is looked whether there is room again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// How a transport ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It can be tried again.
    Lost(String),
    /// The platform wants nothing more of this account, until an operator has changed something.
    Refused(String),
}

/// How the line of an account stands. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub connected: bool,
    /// It is not tried again by itself any more, or not for a long while.
    pub gave_up: bool,
    /// Restarts in a row.
    pub attempts: u32,
    pub last_connected_at: Option<i64>,
    /// The last proof that the platform is there, whether it had something to say or not.
    pub last_activity_at: Option<i64>,
    pub last_error: Option<String>,
    /// What the platform calls the account.
    pub name: Option<String>,
}

impl Facts {
    /// `healthy`, `disconnected` or `gave-up`.
    pub fn health(&self) -> &'static str {
        match (self.gave_up, self.connected) {
            (true, _) => "gave-up",
            (false, true) => "healthy",
            (false, false) => "disconnected",
        }
    }

    /// What `channels.status` adds for an account that listens by itself.
    pub fn to_json(&self) -> Value {
        json!({
            "reconnectAttempts": self.attempts, "lastConnectedAt": self.last_connected_at,
            "lastTransportActivityAt": self.last_activity_at,
            "bot": self.name.as_ref().map(|name| json!({ "username": name })),
        })
    }
}

/// What a transport holds; cheap to clone.
#[derive(Clone)]
pub struct Line {
    context: Arc<Context>,
    key: AccountKey,
}

impl Line {
    pub fn new(context: &Arc<Context>, key: &AccountKey) -> Self {
        Self { context: Arc::clone(context), key: key.clone() }
    }

    pub fn account(&self) -> &str {
        &self.key.account
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.context.config.load()
    }

    /// How far the platform was read, as the transport wrote it last.
    pub async fn cursor(&self) -> Result<Option<String>, StoreError> {
        let key = self.key.clone();
        self.context.store.read(move |db| cursors::get(db, &key.channel, &key.account)).await
    }

    /// Keeps events and how far the platform is read with them, both or neither; waits while there is no room for them. What
    /// the platform tells again is no new event.
    pub async fn keep(&self, events: Vec<SpoolRow>, cursor: String) -> Result<(), StoreError> {
        self.wait_for_room().await?;
        let key = self.key.clone();
        let write = move |db: &rusqlite::Connection| {
            let mut known = Vec::new();
            for event in events {
                if !spool::add(db, &event)? {
                    known.push(event.event_key);
                }
            }
            cursors::set(db, &key.channel, &key.account, &cursor)?;
            Ok(known)
        };
        for event in self.context.store.write(write).await? {
            tracing::info!(account = %self.key, event = "duplicate", "{} dedupe: skipped {event}", self.key.channel);
        }
        self.context.channels.event_stored(&self.key);
        Ok(())
    }

    async fn wait_for_room(&self) -> Result<(), StoreError> {
        let mut said = false;
        loop {
            let key = self.key.clone();
            let waiting =
                self.context.store.read(move |db| spool::count_pending(db, &key.channel, &key.account)).await?;
            if waiting < WAITING_MAX {
                return Ok(());
            }
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(account = %self.key, waiting, "too many events wait; nothing more is taken for now");
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    /// The platform has just answered.
    pub fn is_alive(&self) {
        let now = now_ms();
        self.note(|facts| {
            if !facts.connected {
                facts.last_connected_at = Some(now);
            }
            *facts = Facts { connected: true, last_activity_at: Some(now), last_error: None, ..facts.clone() };
        });
    }

    /// The platform does not answer, or not as it should; the transport goes on trying.
    pub fn is_down(&self, why: &str) {
        self.note(|facts| {
            facts.connected = false;
            facts.last_error = Some(why.to_owned());
        });
    }

    pub fn is_known_as(&self, name: &str) {
        self.note(|facts| facts.name = Some(name.to_owned()));
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.context.channels.lines.entry(self.key.clone()).or_default());
    }
}
