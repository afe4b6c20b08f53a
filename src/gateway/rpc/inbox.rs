//! `inbox.*`: every message that was accepted, and what became of it.
//!
//! A row is *dead* when its turn was cut off too often to be taken up once more: it is kept, shown, and tried again when
//! an operator says so.

use jiff::Timestamp;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::run::message::{AbortCause, Turn};
use openclaw_actors::session::{SessionKey, SessionMsg, resume};
use openclaw_actors::store::runs::{self, Filter, RunRecord, RunState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{self, One, SHOWN_CHARS};
use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;
use crate::gateway::turns;

/// What a list can be asked for.
const STATES: [&str; 8] = ["queued", "running", "done", "failed", "aborted", "timeout", "interrupted", "dead"];
/// Rows among which a later message of a session is looked for.
const NEWEST: u32 = 20;

const READ: Access = Access::Operator(Scope::Read);
const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("inbox.list", READ, |call| Box::pin(list(call))),
    Method::new("inbox.get", READ, |call| Box::pin(get(call))),
    Method::new("inbox.retry", ADMIN, |call| Box::pin(retry(call))),
    Method::new("inbox.drop", ADMIN, |call| Box::pin(drop_item(call))),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    /// A state of a run, or `dead`.
    state: Option<String>,
    session_key: Option<String>,
    limit: Option<u64>,
}

impl Params for List {
    fn check(&self) -> Result<(), String> {
        rows::check_limit(self.limit)
    }
}

/// `{items, counts}`, newest first.
async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let request: List = call.params()?;
    let dead = request.state.as_deref() == Some("dead");
    let word = request.state.as_deref().filter(|_| !dead);
    let state = rows::state(&call, word, RunState::parse, &STATES)?;
    let key = request.session_key.as_deref().map(|key| call.services.key(call.method, key)).transpose()?;
    let filter = Filter { state, session_key: key.map(|key| key.as_str().to_owned()), dead };
    let limit = rows::limit(request.limit);
    let read = move |db: &_| Ok((runs::list(db, &filter, limit)?, runs::counts(db)?));
    let (found, counts) = call.services.context.store.read(read).await.map_err(store_failed)?;
    Ok(rows::page(found.iter().map(|run| item(run, Some(SHOWN_CHARS))).collect(), counts))
}

/// `{item}` with the whole message, as far as it is kept.
async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let run = one(&call).await?;
    Ok(Reply::Value(json!({ "item": item(&run, None) })))
}

/// Has the agent go on with a dead one: `{ok, runId}`.
async fn retry(call: Call) -> Result<Reply, ErrorShape> {
    let run = one(&call).await?;
    if !is_dead(&run) {
        let state = run.state.as_str();
        return Err(ErrorShape::invalid(format!("{} is {state}; only a dead one can be tried again", run.run_id)));
    }
    let unreadable = || ErrorShape::unavailable(format!("what was asked with {} cannot be read any more", run.run_id));
    let (original, is_last) = original(&call, &run).await?.ok_or_else(unreadable)?;
    let now = Timestamp::now().as_millisecond();
    let next = resume::again(&run.run_id, &original, is_last, now).ok_or_else(unreadable)?;
    let next_id = next.run_id.clone();
    let key = SessionKey::from_stored(run.session_key);
    turns::submit(&call.services, &key, next, Some(call.client.owner())).await?;
    let outcome = json!({ "reason": "interrupted", "resumedBy": next_id }).to_string();
    bury(&call, run.run_id, RunState::Interrupted, outcome).await?;
    Ok(Reply::Value(json!({ "ok": true, "runId": next_id })))
}

/// Takes a waiting message out of its queue, or a dead one off the list, or one that a crash left: `{ok, dropped}`.
async fn drop_item(call: Call) -> Result<Reply, ErrorShape> {
    let run = one(&call).await?;
    let dropped = if is_dead(&run) {
        let outcome = json!({ "reason": "dropped" }).to_string();
        bury(&call, run.run_id, RunState::Aborted, outcome).await?
    } else if run.state == RunState::Queued {
        let key = SessionKey::from_stored(run.session_key);
        let id = run.run_id;
        let abort = |reply| SessionMsg::Abort { run_id: Some(id.clone()), cause: AbortCause::Rpc, reply };
        !call.services.ask_session(&key, abort).await?.is_empty()
    } else if run.state == RunState::Running && !is_live(&call, &run) {
        // Left by a crash, and not taken up yet: in safe mode that is the way to be rid of it.
        let (now, id) = (Timestamp::now().as_millisecond(), run.run_id);
        let outcome = json!({ "reason": "dropped" }).to_string();
        let end = move |db: &_| runs::end(db, &id, RunState::Aborted, &outcome, now);
        call.services.context.store.write(end).await.map_err(store_failed)?
    } else {
        let state = run.state.as_str();
        return Err(ErrorShape::invalid(format!(
            "{} is {state}; only what waits or is dead can be dropped",
            run.run_id
        )));
    };
    Ok(Reply::Value(json!({ "ok": true, "dropped": dropped })))
}

/// Is it being worked on, by itself or as a part of the run that it has joined?
fn is_live(call: &Call, run: &RunRecord) -> bool {
    let worked_on = runs::joined(run).unwrap_or_else(|| run.run_id.clone());
    call.services.context.directory.live().iter().any(|live| live.run_id == worked_on)
}

/// The message that a dead turn was to answer, and whether nothing was said in its session since.
async fn original(call: &Call, dead: &RunRecord) -> Result<Option<(Turn, bool)>, ErrorShape> {
    let Ok(turn) = serde_json::from_str::<Turn>(&dead.request) else { return Ok(None) };
    let of = turn.resume.as_ref().map_or_else(|| dead.run_id.clone(), |resume| resume.of.clone());
    let filter = Filter { session_key: Some(dead.session_key.clone()), ..Filter::default() };
    let (first, id) = (dead.accepted_at, of.clone());
    let read = move |db: &_| Ok((runs::get(db, &of)?, runs::list(db, &filter, NEWEST)?));
    let (original, newest) = call.services.context.store.read(read).await.map_err(store_failed)?;
    let is_later = |run: &&RunRecord| run.run_id != id && run.accepted_at > first && !is_resume(run);
    let Some(Ok(turn)) = original.map(|run| serde_json::from_str(&run.request)) else { return Ok(None) };
    Ok(Some((turn, !newest.iter().any(|run| is_later(&run)))))
}

fn is_resume(run: &RunRecord) -> bool {
    serde_json::from_str::<Value>(&run.request).is_ok_and(|request| request["resume"].is_object())
}

async fn bury(call: &Call, run_id: String, state: RunState, outcome: String) -> Result<bool, ErrorShape> {
    let write = move |db: &_| runs::bury(db, &run_id, state, &outcome);
    call.services.context.store.write(write).await.map_err(store_failed)
}

async fn one(call: &Call) -> Result<RunRecord, ErrorShape> {
    let One { id } = call.params()?;
    let wanted = id.clone();
    let found = call.services.context.store.read(move |db| runs::get(db, &wanted)).await.map_err(store_failed)?;
    found.ok_or_else(|| rows::unknown("inbox", &id))
}

fn outcome(run: &RunRecord) -> Value {
    run.outcome.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn is_dead(run: &RunRecord) -> bool {
    run.state == RunState::Interrupted
        && !["http", "cron"].contains(&run.kind.as_str())
        && outcome(run)["resumedBy"].is_null()
}

/// A row; `chars` bounds the message. What was asked is kept until the turn is over, and of those that were cut off.
fn item(run: &RunRecord, chars: Option<usize>) -> Value {
    let request: Value = serde_json::from_str(&run.request).unwrap_or_default();
    let outcome = outcome(run);
    let text = request["text"].as_str().map(|text| rows::cut(text, chars));
    json!({
        "id": run.run_id, "sessionKey": run.session_key, "sessionId": run.session_id, "kind": run.kind,
        "state": run.state.as_str(), "dead": is_dead(run), "acceptedAt": run.accepted_at, "startedAt": run.started_at,
        "endedAt": run.ended_at, "text": text, "resumes": request["resume"]["of"], "attempt": request["resume"]["attempt"],
        "resumedBy": outcome["resumedBy"], "error": outcome["error"], "reason": outcome["reason"],
    })
}
