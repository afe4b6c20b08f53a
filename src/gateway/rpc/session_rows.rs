//! Sessions as listings show them: which ones, in which order, with what beside their entries.

use std::collections::HashMap;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::session::{SessionDefaults, SessionRow};
use openclaw_actors::protocol::session_calls::SessionsList;
use openclaw_actors::run::context::{Context, agents};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::entry::LiveFacts;
use openclaw_actors::session::{AgentId, SessionEntry, SessionKey, lookup};
use openclaw_actors::store::{Connection, StoreError};
use openclaw_actors::store::sessions::{self, Filter, SessionRecord};

use crate::gateway::services::store_failed;

/// Characters of a derived title, and of a last message.
const TITLE_CHARS: usize = 60;
const PREVIEW_CHARS: usize = 240;

/// What a listing takes from the transcripts besides the entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    pub titles: bool,
    pub last_messages: bool,
}

impl Extras {
    fn title(self) -> Option<usize> {
        self.titles.then_some(TITLE_CHARS)
    }

    fn last_message(self) -> Option<usize> {
        self.last_messages.then_some(PREVIEW_CHARS)
    }
}

/// Which sessions a listing leaves out beyond what the store filters.
#[derive(Debug, Clone, Default)]
struct Narrow {
    global: bool,
    unknown: bool,
    spawned_by: Option<String>,
    /// Only sessions of these agents; `None` means of all.
    agents: Option<Vec<AgentId>>,
}

/// One session as read.
pub struct Found {
    key: SessionKey,
    entry: SessionEntry,
    live: LiveFacts,
}

/// The rows of a listing, newest first, and the number of all that match.
pub async fn list(context: &Context, request: &SessionsList, limit: usize) -> Result<(Vec<SessionRow>, usize), ErrorShape> {
    let (found, total) = context.store.read(query(context, request, limit)).await.map_err(store_failed)?;
    Ok((rows(context, found), total))
}

/// The reading half of a listing, for whoever holds a connection.
pub fn query(
    context: &Context,
    request: &SessionsList,
    limit: usize,
) -> impl FnOnce(&Connection) -> Result<(Vec<Found>, usize), StoreError> + Send + use<> {
    let filter = Filter {
        agent_id: request.agent_id.as_deref().map(|id| AgentId::slug(id).as_str().to_owned()),
        updated_since: request
            .active_minutes
            .map(|minutes| now_ms().saturating_sub_unsigned(minutes.saturating_mul(60_000))),
        label: request.label.clone(),
        search: request.search.clone(),
    };
    let only_configured = request.configured_agents_only == Some(true);
    let narrow = Narrow {
        global: request.include_global == Some(true),
        unknown: request.include_unknown == Some(true),
        spawned_by: request.spawned_by.clone(),
        agents: only_configured.then(|| agents(&context.config.load().settings)),
    };
    let extras = Extras {
        titles: request.include_derived_titles == Some(true),
        last_messages: request.include_last_message == Some(true),
    };
    move |db| {
        let (records, _) = sessions::list(db, &filter, usize::MAX)?;
        let mut found: Vec<Found> = records.into_iter().filter_map(|record| shown(record, &narrow)).collect();
        let total = found.len();
        found.truncate(limit);
        let busy = lookup::busy(db)?;
        for session in &mut found {
            let facts = lookup::live_facts(db, &session.entry.session_id, extras.title(), extras.last_message())?;
            session.live = LiveFacts { has_active_run: busy.contains(session.key.as_str()), ..facts };
        }
        Ok((found, total))
    }
}

/// The row of one session, if it exists.
pub async fn one(context: &Context, key: &SessionKey, extras: Extras) -> Result<Option<SessionRow>, ErrorShape> {
    let key = key.clone();
    let read = context.store.read(move |db| {
        let Some(entry) = lookup::entry(db, &key)? else { return Ok(None) };
        let facts = lookup::live_facts(db, &entry.session_id, extras.title(), extras.last_message())?;
        let live = LiveFacts { has_active_run: lookup::busy(db)?.contains(key.as_str()), ..facts };
        Ok(Some(Found { key, entry, live }))
    });
    let found = read.await.map_err(store_failed)?;
    Ok(rows(context, found.into_iter().collect()).pop())
}

pub fn rows(context: &Context, found: Vec<Found>) -> Vec<SessionRow> {
    let mut defaults: HashMap<AgentId, SessionDefaults> = HashMap::new();
    let row = |session: Found| {
        let agent = context.agent_of(&session.key);
        let defaults = defaults.entry(agent).or_insert_with(|| context.session_defaults(&session.key));
        session.entry.row(&session.key, session.live, defaults)
    };
    found.into_iter().map(row).collect()
}

/// Reads a stored session, unless the listing leaves it out.
fn shown(record: SessionRecord, narrow: &Narrow) -> Option<Found> {
    let key = SessionKey::from_stored(record.key);
    match key.as_str() {
        "global" if !narrow.global => return None,
        "unknown" if !narrow.unknown => return None,
        _ => {}
    }
    let foreign = |agents: &Vec<AgentId>| key.agent().is_some_and(|agent| !agents.contains(&agent));
    if narrow.agents.as_ref().is_some_and(foreign) {
        return None;
    }
    let entry = SessionEntry::from_value(serde_json::from_str(&record.entry).ok()?)?;
    let spawned_by = entry.other.get("spawnedBy").and_then(serde_json::Value::as_str);
    if narrow.spawned_by.is_some() && narrow.spawned_by.as_deref() != spawned_by {
        return None;
    }
    Some(Found { key, entry, live: LiveFacts::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_shown(key: &str, narrow: &Narrow) -> bool {
        let record = SessionRecord {
            key: key.into(),
            agent_id: String::new(),
            session_id: "s".into(),
            updated_at: 1,
            label: None,
            entry: json!({"sessionId": "s", "spawnedBy": "agent:main:main"}).to_string(),
        };
        shown(record, narrow).is_some()
    }

    #[test]
    fn a_listing_leaves_out_what_it_was_not_asked_for() {
        let all = Narrow { global: true, unknown: true, ..Narrow::default() };
        for (key, narrow, expected) in [
            ("agent:main:main", Narrow::default(), true),
            ("global", Narrow::default(), false),
            ("unknown", Narrow::default(), false),
            ("global", all.clone(), true),
            ("unknown", all.clone(), true),
            ("agent:old:main", Narrow { agents: Some(vec![AgentId::main()]), ..all.clone() }, false),
            ("agent:main:x", Narrow { agents: Some(vec![AgentId::main()]), ..all.clone() }, true),
            ("global", Narrow { agents: Some(vec![AgentId::main()]), ..all.clone() }, true),
            ("agent:main:x", Narrow { spawned_by: Some("agent:main:main".into()), ..all.clone() }, true),
            ("agent:main:x", Narrow { spawned_by: Some("agent:main:other".into()), ..all.clone() }, false),
        ] {
            assert_eq!(is_shown(key, &narrow), expected, "{key} {narrow:?}");
        }
    }
}
