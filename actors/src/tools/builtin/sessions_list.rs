//! `sessions_list`: the sessions in sight, newest first.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::visibility;
use crate::model::provider::ToolSpec;
use crate::run::context::Context;
use crate::run::stream::now_ms;
use crate::session::{SessionEntry, SessionKey};
use crate::store::sessions::{self, Filter};
use crate::tools::{Tool, ToolContext, ToolOutcome};

const NAME: &str = "sessions_list";
/// Rows unless asked otherwise, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;

pub struct SessionsList {
    context: Arc<Context>,
}

impl SessionsList {
    pub fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context) }
    }

    async fn list(&self, asker: &SessionKey, args: &Value) -> ToolOutcome {
        let text = |name: &str| args.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| args.get(name).and_then(Value::as_u64);
        let filter = Filter {
            agent_id: text("agentId"),
            label: text("label"),
            search: text("search"),
            updated_since: number("activeMinutes").map(|minutes| now_ms().saturating_sub_unsigned(minutes.saturating_mul(60_000))),
        };
        let limit = usize::try_from(number("limit").unwrap_or(LIMIT).clamp(1, LIMIT_MAX)).unwrap_or(1);
        let read = self.context.store.read(move |db| sessions::list(db, &filter, usize::MAX)).await;
        let records = match read {
            Ok((records, _)) => records,
            Err(error) => return ToolOutcome::error(NAME, error.to_string()),
        };
        let snapshot = self.context.config.load();
        let mode = visibility::mode(snapshot.settings.tools.sessions.visibility.as_deref());
        let rows: Vec<Value> = records
            .into_iter()
            .filter_map(|record| {
                let entry = SessionEntry::from_value(serde_json::from_str(&record.entry).ok()?)?;
                let key = SessionKey::from_stored(record.key);
                let spawned_by = entry.other.get("spawnedBy").and_then(Value::as_str);
                visibility::is_visible(mode, asker, &key, spawned_by).then(|| row(&key, &entry))
            })
            .take(limit)
            .collect();
        ToolOutcome::json(json!({ "count": rows.len(), "sessions": rows }))
    }
}

fn row(key: &SessionKey, entry: &SessionEntry) -> Value {
    json!({
        "key": key.as_str(),
        "agentId": key.agent().map(|agent| agent.as_str().to_owned()),
        "kind": key.row_kind(),
        "label": entry.label,
        "displayName": entry.display_name,
        "updatedAt": entry.updated_at,
        "sessionId": entry.session_id,
        "model": entry.model,
        "status": entry.status,
        "totalTokens": entry.total_tokens,
        "contextTokens": entry.context_tokens,
    })
}

impl Tool for SessionsList {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: NAME.into(),
            description: "Lists sessions, newest first. Can be narrowed by agent, label, text or recent activity.".into(),
            parameters: json!({ "type": "object", "properties": {
                "agentId": { "type": "string" }, "label": { "type": "string" }, "search": { "type": "string" },
                "activeMinutes": { "type": "integer", "minimum": 1 },
                "limit": { "type": "integer", "minimum": 1, "maximum": LIMIT_MAX },
            } }),
        }
    }

    fn read_only(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, context: &'a ToolContext, args: &'a Value) -> BoxFuture<'a, ToolOutcome> {
        self.list(&context.session_key, args).boxed()
    }
}
