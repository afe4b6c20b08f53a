//! `session_status`: the card of this session, or of another one in sight.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::visibility;
use crate::model::provider::ToolSpec;
use crate::run::context::Context;
use crate::session::commands::render_card;
use crate::session::{SessionEntry, SessionKey};
use crate::store::sessions;
use crate::tools::{Tool, ToolContext, ToolOutcome};

const NAME: &str = "session_status";

pub struct SessionStatus {
    context: Arc<Context>,
}

impl SessionStatus {
    pub fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context) }
    }

    async fn status(&self, asker: &SessionKey, args: &Value) -> ToolOutcome {
        let key = match args.get("sessionKey").and_then(Value::as_str) {
            None => asker.clone(),
            Some(raw) => match SessionKey::parse(raw, &self.context.key_rules()) {
                Ok(key) => key,
                Err(error) => return ToolOutcome::error(NAME, error.to_string()),
            },
        };
        let wanted = key.as_str().to_owned();
        let record = match self.context.store.read(move |db| sessions::get(db, &wanted)).await {
            Ok(record) => record,
            Err(error) => return ToolOutcome::error(NAME, error.to_string()),
        };
        let entry = record
            .and_then(|record| serde_json::from_str(&record.entry).ok())
            .and_then(SessionEntry::from_value);
        let snapshot = self.context.config.load();
        let mode = visibility::mode(snapshot.settings.tools.sessions.visibility.as_deref());
        let spawned_by = entry.as_ref().and_then(|entry| entry.other.get("spawnedBy")).and_then(Value::as_str);
        if !visibility::is_visible(mode, asker, &key, spawned_by) {
            return ToolOutcome::error(NAME, visibility::forbidden("Session status", mode));
        }
        let text = render_card(&self.context, &key, entry.as_ref(), 0, usize::from(key == *asker));
        let details = json!({ "ok": true, "sessionKey": key.as_str(), "changedModel": false, "statusText": text });
        ToolOutcome::text(text).with_details(details)
    }
}

impl Tool for SessionStatus {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: NAME.into(),
            description: "Shows how a session stands: model, tokens, context, cost and queue. Without a key: this session."
                .into(),
            parameters: json!({ "type": "object", "properties": { "sessionKey": { "type": "string" } } }),
        }
    }

    fn read_only(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, context: &'a ToolContext, args: &'a Value) -> BoxFuture<'a, ToolOutcome> {
        self.status(&context.session_key, args).boxed()
    }
}
