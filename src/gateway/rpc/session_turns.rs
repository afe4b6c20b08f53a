//! `sessions.create`, `sessions.send`, `sessions.steer`, `sessions.abort`: what makes a session work or stop.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::chat::{ChatAbortResult, ChatSendStatus};
use openclaw_actors::protocol::params::invalid;
use openclaw_actors::protocol::session_calls::{
    AbortStatus, SessionsAbort, SessionsAbortResult, SessionsCreate, SessionsCreateResult, SessionsSend,
    SessionsSendResult,
};
use openclaw_actors::run::context::agents;
use openclaw_actors::run::message::{Authority, Turn, TurnKind};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::{AgentId, SessionKey, SessionMsg, lookup};
use serde_json::Map;
use uuid::Uuid;

use super::agent::{DEFAULT_CHANNEL, thinking};
use super::chat_turn::{self, Sent};
use super::session_choice::{self, Choice, Wanted};
use super::{Call, Reply, abort as aborting, attachments, run_end, session_changes};
use crate::gateway::services::store_failed;

pub async fn create(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsCreate = call.params()?;
    let key = new_key(&call, &request)?;
    let mut changes = Map::new();
    for (name, value) in [("label", &request.label), ("model", &request.model)] {
        if let Some(value) = value {
            changes.insert(name.into(), value.clone().into());
        }
    }
    let entry = session_changes::apply(&call.services, &key, changes).await?;
    let message = request.task.or(request.message).filter(|text| !text.trim().is_empty());
    let run_started = message.is_some();
    if let Some(text) = message {
        chat_turn::send(&call, &key, plain_turn(Uuid::new_v4().to_string(), text)).await?;
    }
    Reply::of(&SessionsCreateResult {
        ok: true,
        key: key.as_str().to_owned(),
        session_id: entry.session_id.clone(),
        entry: entry.to_value(),
        run_started,
    })
}

/// The key that was asked for, else a fresh one of the agent.
fn new_key(call: &Call, request: &SessionsCreate) -> Result<SessionKey, ErrorShape> {
    let context = &call.services.context;
    let refuse = |reason: String| invalid(call.method, &reason);
    let known = agents(&context.config.load().settings);
    let rules = context.key_rules();
    if request.key.as_deref().is_some_and(|key| !key.trim().is_empty()) {
        let wanted = Wanted { key: request.key.as_deref(), agent: request.agent_id.as_deref(), session_id: None };
        return match session_choice::choose(wanted, &rules, &known).map_err(refuse)? {
            Choice::Key(key) | Choice::OfId { or_else: key, .. } => Ok(key),
        };
    }
    let agent: AgentId =
        session_choice::agent(request.agent_id.as_deref(), &known).map_err(refuse)?.unwrap_or(rules.default_agent);
    Ok(SessionKey::dashboard(&agent, &Uuid::new_v4().to_string()))
}

fn plain_turn(run_id: String, text: String) -> Turn {
    Turn {
        run_id,
        kind: TurnKind::Chat,
        text,
        images: Vec::new(),
        model: None,
        thinking: None,
        extra_system_prompt: None,
        timeout_seconds: None,
        max_tokens: None,
        channel: Some(DEFAULT_CHANNEL.to_owned()),
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now_ms(),
    }
}

pub async fn send(call: Call) -> Result<Reply, ErrorShape> {
    let (key, turn) = message(&call).await?;
    deliver(&call, &key, turn, None).await
}

/// Ends the live run, then sends; what waits keeps its place. A repetition must not end the run that the first request
/// started.
pub async fn steer(call: Call) -> Result<Reply, ErrorShape> {
    let (key, turn) = message(&call).await?;
    let is_repeated = call.services.context.directory.get(&turn.run_id).is_some()
        || run_end::stored(&call.services, &turn.run_id).await?.is_some();
    chat_turn::admit(&call, &key).await?; // a message that will be refused ends nothing
    let running = call.services.ask_session(&key, SessionMsg::Status).await?.running.filter(|_| !is_repeated);
    let ended = match running {
        Some(running) => aborting::abort(&call, &key, Some(&running)).await?,
        None => Vec::new(),
    };
    deliver(&call, &key, turn, Some(!ended.is_empty())).await
}

/// The message of a call to a session that exists.
async fn message(call: &Call) -> Result<(SessionKey, Turn), ErrorShape> {
    let request: SessionsSend = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    if request.message.trim().is_empty() && request.attachments.is_empty() {
        return Err(ErrorShape::invalid("message or attachment required"));
    }
    let wanted = key.clone();
    let entry = call.services.context.store.read(move |db| lookup::entry(db, &wanted)).await.map_err(store_failed)?;
    if entry.is_none() {
        return Err(ErrorShape::invalid(format!("session not found: {}", request.key)));
    }
    let run_id = request.idempotency_key.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::new_v4().to_string());
    let turn = Turn {
        images: attachments::images(call.method, &request.attachments)?,
        thinking: thinking(call.method, request.thinking.as_deref())?,
        timeout_seconds: chat_turn::seconds(request.timeout_ms),
        ..plain_turn(run_id, request.message)
    };
    Ok((key, turn))
}

async fn deliver(call: &Call, key: &SessionKey, turn: Turn, interrupted: Option<bool>) -> Result<Reply, ErrorShape> {
    let result = match chat_turn::send(call, key, turn).await? {
        Sent::Known(result) => result,
        Sent::Failed(reply) => return Ok(reply),
        Sent::Stopped(run_ids) => {
            return Reply::of(&ChatAbortResult { ok: true, aborted: !run_ids.is_empty(), run_ids });
        }
    };
    Reply::of(&SessionsSendResult {
        run_id: result.run_id,
        status: status_name(result.status).to_owned(),
        message_seq: None,
        interrupted_active_run: interrupted,
    })
}

fn status_name(status: ChatSendStatus) -> &'static str {
    match status {
        ChatSendStatus::Started => "started",
        ChatSendStatus::InFlight => "in_flight",
        ChatSendStatus::Ok => "ok",
        ChatSendStatus::Error => "error",
    }
}

pub async fn abort(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsAbort = call.params()?;
    let of_run = || call.services.context.directory.get(request.run_id.as_deref()?).map(|ticket| ticket.session_key);
    let key = match &request.key {
        Some(raw) => Some(call.services.key(call.method, raw)?),
        None => of_run().map(SessionKey::from_stored),
    };
    let ended = match key {
        Some(key) => aborting::abort(&call, &key, request.run_id.as_deref()).await?,
        None => Vec::new(),
    };
    let aborted_run_id = ended.into_iter().next();
    let status = if aborted_run_id.is_some() { AbortStatus::Aborted } else { AbortStatus::NoActiveRun };
    Reply::of(&SessionsAbortResult { ok: true, aborted_run_id, status })
}
