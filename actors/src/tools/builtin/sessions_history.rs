//! `sessions_history`: what was said in a session in sight.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::visibility;
use crate::model::provider::ToolSpec;
use crate::run::context::Context;
use crate::run::conversation::entries_of;
use crate::session::{SessionEntry, SessionKey};
use crate::store::{StoreError, sessions, transcripts};
use crate::tools::{Tool, ToolContext, ToolOutcome};
use crate::transcript::branch;
use crate::transcript::history::{self, HistoryLimits};

const NAME: &str = "sessions_history";
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// Longest text of one message, characters.
const CHARS: usize = 4000;

pub struct SessionsHistory {
    context: Arc<Context>,
}

impl SessionsHistory {
    pub fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context) }
    }

    async fn history(&self, asker: &SessionKey, args: &Value) -> ToolOutcome {
        let raw = args.get("sessionKey").and_then(Value::as_str).unwrap_or_default();
        let key = match SessionKey::parse(raw, &self.context.key_rules()) {
            Ok(key) => key,
            Err(error) => return ToolOutcome::error(NAME, error.to_string()),
        };
        let wanted = key.as_str().to_owned();
        let read = self.context.store.read(move |db| {
            let Some(record) = sessions::get(db, &wanted)? else { return Ok(None) };
            let lines = transcripts::lines(db, &record.session_id)?;
            Ok::<_, StoreError>(Some((record, lines)))
        });
        let (record, lines) = match read.await {
            Ok(Some(found)) => found,
            Ok(None) => return ToolOutcome::error(NAME, format!("No session found: {key}")),
            Err(error) => return ToolOutcome::error(NAME, error.to_string()),
        };
        let entry = serde_json::from_str(&record.entry).ok().and_then(SessionEntry::from_value);
        let spawned_by = entry.as_ref().and_then(|entry| entry.other.get("spawnedBy")).and_then(Value::as_str);
        let snapshot = self.context.config.load();
        let mode = visibility::mode(snapshot.settings.tools.sessions.visibility.as_deref());
        if !visibility::is_visible(mode, asker, &key, spawned_by) {
            let error = visibility::forbidden("Session history", mode);
            return ToolOutcome::json(json!({ "status": "forbidden", "error": error }));
        }
        let entries = entries_of(lines);
        let limit = args.get("limit").and_then(Value::as_u64).unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        let limits = HistoryLimits { messages: usize::try_from(limit).unwrap_or(1), chars: CHARS };
        let mut messages = history::view(&branch::current(&entries), limits);
        if args.get("includeTools").and_then(Value::as_bool) != Some(true) {
            messages.retain(|message| message.get("role").and_then(Value::as_str) != Some("toolResult"));
        }
        ToolOutcome::json(json!({ "sessionKey": key.as_str(), "messages": messages }))
    }
}

impl Tool for SessionsHistory {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: NAME.into(),
            description: "Shows the latest messages of a session by its key.".into(),
            parameters: json!({ "type": "object", "required": ["sessionKey"], "properties": {
                "sessionKey": { "type": "string" },
                "limit": { "type": "integer", "minimum": 1, "maximum": LIMIT_MAX },
                "includeTools": { "type": "boolean" },
            } }),
        }
    }

    fn read_only(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, context: &'a ToolContext, args: &'a Value) -> BoxFuture<'a, ToolOutcome> {
        self.history(&context.session_key, args).boxed()
    }
}
