//! `sessions.*`: the table of the family, and the methods that only look.
//!
//! Absent in this release, and so unknown to callers: compaction, its checkpoints, usage reports, clean-up.

use openclaw_actors::events::EventsMsg;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::protocol::session::SessionRow;
use openclaw_actors::protocol::session_calls::{
    NoParams, Preview, PreviewItem, PreviewStatus, SessionsDescribe, SessionsDescribeResult, SessionsGet,
    SessionsGetResult, SessionsList, SessionsListResult, SessionsMessages, SessionsPreview, SessionsPreviewResult,
    SessionsResolve, SessionsResolveResult, Subscribed,
};
use openclaw_actors::run::context::Context;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::{AgentId, SessionKey, lookup};
use openclaw_actors::store::sessions::{self as rows, Filter, SessionRecord};

use super::session_rows::{self, Extras};
use super::{Access, Call, Method, Reply, run_events, session_changes as changes, session_turns as turns};
use crate::gateway::services::{Services, store_failed};

const READ: Access = Access::Operator(Scope::Read);
const WRITE: Access = Access::Operator(Scope::Write);
const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("sessions.list", READ, |call| Box::pin(list(call))),
    Method::new("sessions.subscribe", READ, |call| Box::pin(follow(call, true))),
    Method::new("sessions.unsubscribe", READ, |call| Box::pin(follow(call, false))),
    Method::new("sessions.messages.subscribe", READ, |call| Box::pin(follow_messages(call, true))),
    Method::new("sessions.messages.unsubscribe", READ, |call| Box::pin(follow_messages(call, false))),
    Method::new("sessions.preview", READ, |call| Box::pin(preview(call))),
    Method::new("sessions.describe", READ, |call| Box::pin(describe(call))),
    Method::new("sessions.resolve", READ, |call| Box::pin(resolve(call))),
    Method::new("sessions.get", READ, |call| Box::pin(get(call))).hidden(),
    Method::new("sessions.create", WRITE, |call| Box::pin(turns::create(call))),
    Method::new("sessions.send", WRITE, |call| Box::pin(turns::send(call))),
    Method::new("sessions.steer", WRITE, |call| Box::pin(turns::steer(call))),
    Method::new("sessions.abort", WRITE, |call| Box::pin(turns::abort(call))),
    Method::new("sessions.patch", ADMIN, |call| Box::pin(changes::patch(call))),
    Method::new("sessions.reset", ADMIN, |call| Box::pin(changes::reset(call))),
    Method::new("sessions.delete", ADMIN, |call| Box::pin(changes::delete(call))),
];

/// Rows of a listing unless asked otherwise.
const LIST_LIMIT: u64 = 100;
/// Messages of a preview, and characters of each, unless asked otherwise.
const PREVIEW_MESSAGES: u64 = 12;
const PREVIEW_CHARS: u64 = 240;
/// Messages of `sessions.get` unless asked otherwise.
const GET_LIMIT: u64 = 200;

/// Where the sessions are stored, as clients are shown it.
pub fn path(services: &Services) -> String {
    services.context.store.path().display().to_string()
}

async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsList = call.params()?;
    let context = &call.services.context;
    let found = session_rows::list(context, &request, limit(&request)).await?;
    Reply::of(&answer(context, &request, found))
}

/// How many rows a listing may have.
pub fn limit(request: &SessionsList) -> usize {
    size(request.limit.unwrap_or(LIST_LIMIT))
}

/// A listing with what stands around it.
pub fn answer(context: &Context, request: &SessionsList, found: (Vec<SessionRow>, usize)) -> SessionsListResult {
    let (sessions, total_count) = found;
    let rules = context.key_rules();
    let agent = request.agent_id.as_deref().map_or_else(|| rules.default_agent.clone(), AgentId::slug);
    SessionsListResult {
        ts: now_ms(),
        path: context.store.path().display().to_string(),
        count: sessions.len(),
        total_count,
        limit_applied: request.limit.unwrap_or(LIST_LIMIT),
        has_more: total_count > sessions.len(),
        defaults: context.session_defaults(&rules.main_key_of(&agent)),
        sessions,
    }
}

async fn describe(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsDescribe = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    let extras = Extras {
        titles: request.include_derived_titles == Some(true),
        last_messages: request.include_last_message == Some(true),
    };
    let session = session_rows::one(&call.services.context, &key, extras).await?;
    Reply::of(&SessionsDescribeResult { session })
}

async fn preview(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsPreview = call.params()?;
    let (messages, chars) =
        (size(request.limit.unwrap_or(PREVIEW_MESSAGES)), size(request.max_chars.unwrap_or(PREVIEW_CHARS)));
    let mut previews = Vec::with_capacity(request.keys.len());
    for raw in request.keys {
        let key = call.services.key(call.method, &raw);
        let (status, items) = match key {
            Ok(key) => preview_of(&call.services, key, messages, chars).await,
            Err(_) => (PreviewStatus::Error, Vec::new()),
        };
        previews.push(Preview { key: raw, status, items });
    }
    Reply::of(&SessionsPreviewResult { ts: now_ms(), previews })
}

/// One session that cannot be read does not cost the others their preview.
async fn preview_of(
    services: &Services,
    key: SessionKey,
    messages: usize,
    chars: usize,
) -> (PreviewStatus, Vec<PreviewItem>) {
    let name = key.clone();
    let read = services.context.store.read(move |db| {
        let Some(entry) = lookup::entry(db, &key)? else { return Ok(None) };
        lookup::latest(db, &entry.session_id, messages, chars).map(Some)
    });
    match read.await {
        Ok(None) => (PreviewStatus::Missing, Vec::new()),
        Ok(Some(said)) if said.is_empty() => (PreviewStatus::Empty, Vec::new()),
        Ok(Some(said)) => {
            (PreviewStatus::Ok, said.into_iter().map(|(role, text)| PreviewItem { role, text }).collect())
        }
        Err(error) => {
            tracing::warn!(session = %name, %error, "a session could not be previewed");
            (PreviewStatus::Error, Vec::new())
        }
    }
}

async fn resolve(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsResolve = call.params()?;
    let named = request.key.as_deref().or(request.session_id.as_deref()).or(request.label.as_deref());
    let named = named.unwrap_or_default().to_owned();
    let key = request.key.as_deref().map(|raw| call.services.key(call.method, raw)).transpose()?;
    let (session_id, label) = (request.session_id.clone(), request.label.clone());
    let agent_id = request.agent_id.as_deref().map(|id| AgentId::slug(id).as_str().to_owned());
    let read = call.services.context.store.read(move |db| {
        if let Some(key) = key {
            return Ok(rows::get(db, key.as_str())?.into_iter().collect());
        }
        if let Some(id) = session_id {
            return Ok(rows::by_session_id(db, &id)?.into_iter().collect());
        }
        let filter = Filter { label, agent_id, ..Filter::default() };
        Ok(rows::list(db, &filter, usize::MAX)?.0)
    });
    let found: Vec<SessionRecord> = read.await.map_err(store_failed)?;
    let mut meant = found.iter().filter(|record| is_meant(record, &request));
    match (meant.next(), meant.next()) {
        (Some(record), None) => {
            let default = || call.services.context.key_rules().default_agent.as_str().to_owned();
            let agent_id = if record.agent_id.is_empty() { default() } else { record.agent_id.clone() };
            Reply::of(&SessionsResolveResult { ok: true, key: record.key.clone(), agent_id })
        }
        (None, _) => Err(ErrorShape::invalid(format!("No session found: {named}"))),
        (Some(_), Some(_)) => Err(ErrorShape::invalid(format!("Multiple sessions found: {named}"))),
    }
}

/// Does a found session also fit what else was said about it?
fn is_meant(record: &SessionRecord, request: &SessionsResolve) -> bool {
    let agent = request.agent_id.as_deref().map(AgentId::slug);
    let spawned_by = || {
        let entry: serde_json::Value = serde_json::from_str(&record.entry).unwrap_or_default();
        entry.get("spawnedBy").and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    match record.key.as_str() {
        "global" if request.include_global != Some(true) => return false,
        "unknown" if request.include_unknown != Some(true) => return false,
        _ => {}
    }
    agent.is_none_or(|agent| record.agent_id == agent.as_str())
        && (request.spawned_by.is_none() || request.spawned_by == spawned_by())
}

async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsGet = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    let limit = size(request.limit.unwrap_or(GET_LIMIT));
    let read = call.services.context.store.read(move |db| {
        let Some(entry) = lookup::entry(db, &key)? else { return Ok(Vec::new()) };
        lookup::messages(db, &entry.session_id, limit)
    });
    Reply::of(&SessionsGetResult { messages: read.await.map_err(store_failed)? })
}

async fn follow(call: Call, on: bool) -> Result<Reply, ErrorShape> {
    let NoParams {} = call.params()?;
    run_events::follow(&call, |conn| EventsMsg::FollowSessions(conn, on)).await?;
    Reply::of(&Subscribed { subscribed: on, key: None })
}

async fn follow_messages(call: Call, on: bool) -> Result<Reply, ErrorShape> {
    let request: SessionsMessages = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    run_events::follow_messages(&call, key.as_str(), on).await?;
    Reply::of(&Subscribed { subscribed: on, key: Some(key.as_str().to_owned()) })
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(key: &str, request: SessionsResolve) -> bool {
        let record = SessionRecord {
            key: key.into(),
            agent_id: if key.starts_with("agent:ops:") { "ops".into() } else { String::new() },
            session_id: "s".into(),
            updated_at: 1,
            label: None,
            entry: r#"{"sessionId":"s","spawnedBy":"agent:ops:main"}"#.into(),
        };
        is_meant(&record, &request)
    }

    #[test]
    fn a_found_session_must_fit_everything_that_was_said() {
        let nothing = SessionsResolve::default;
        let agent = |id: &str| SessionsResolve { agent_id: Some(id.into()), ..nothing() };
        let parent = |key: &str| SessionsResolve { spawned_by: Some(key.into()), ..nothing() };
        for (key, request, expected) in [
            ("agent:ops:x", nothing(), true),
            ("agent:ops:x", agent("Ops"), true),
            ("agent:ops:x", agent("home"), false),
            ("agent:ops:x", parent("agent:ops:main"), true),
            ("agent:ops:x", parent("agent:ops:other"), false),
            ("global", nothing(), false),
            ("global", SessionsResolve { include_global: Some(true), ..nothing() }, true),
            ("unknown", nothing(), false),
        ] {
            assert_eq!(meant(key, request), expected, "{key}");
        }
    }

    #[test]
    fn the_table_has_no_method_that_is_not_built() {
        assert!(METHODS.iter().all(|method| !method.name.contains("compact") && !method.name.contains("usage")));
        assert!(METHODS.iter().all(|method| method.hidden == (method.name == "sessions.get")));
    }
}
