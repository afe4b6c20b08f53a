//! `agent`, which answers twice (accepted, then the end of the run), and `agent.wait`.
//!
//! Nothing is said to be accepted before it is on disk. The run goes on when its caller goes away.

use std::time::Duration;

use openclaw_actors::config::channel_ids;
use openclaw_actors::protocol::agent::{Agent, AgentAccepted, AgentWait, WAIT_MS};
use openclaw_actors::protocol::params::invalid;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::protocol::{ErrorShape, params};
use openclaw_actors::run::context::agents;
use openclaw_actors::run::message::{Authority, Turn, TurnKind};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::thinking::{COMMON_LEVELS, ThinkLevel, names};
use openclaw_actors::session::{Admission, SessionKey, SessionMsg};
use openclaw_actors::store::sessions;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout_at};

use super::session_choice::{self, Choice, Wanted};
use super::{Access, Call, Method, Reply, attachments, run_end, run_events, run_result};
use crate::gateway::services::store_failed;
use crate::gateway::turns::{self, Submitted, refused};

pub const METHODS: &[Method] = &[
    Method::new("agent", Access::Operator(Scope::Write), |call| Box::pin(agent(call))),
    Method::new("agent.wait", Access::Operator(Scope::Write), |call| Box::pin(wait(call))),
];

/// The channel of turns that name none.
pub const DEFAULT_CHANNEL: &str = "webchat";
/// How often a wait for an unknown run looks whether it has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

async fn agent(call: Call) -> Result<Reply, ErrorShape> {
    let request: Agent = call.params()?;
    let model = model(&call, &request)?;
    check_delivery(&call, &request)?;
    let key = session_of(&call, &request).await?;
    let turn = turn(&call, &request, model)?;
    name_session(&call, &key, request.label).await?;
    run_events::join(&call, &turn.run_id).await;
    let (run_id, accepted_at) = (turn.run_id.clone(), turn.accepted_at);
    let submitted = turns::submit(&call.services, &key, turn, Some(call.client.owner())).await;
    let accepted = |at| Reply::of(&AgentAccepted::new(&*run_id, at));
    let ticket = match submitted {
        Err(error) => {
            run_events::forget(&call, &run_id).await;
            return Err(error);
        }
        Ok(Submitted::Repeated(ticket)) => {
            let ended = ticket.ended.borrow().clone();
            if ended.is_some() {
                run_events::forget(&call, &run_id).await;
            }
            return ended
                .map_or_else(|| accepted(ticket.accepted_at), |ended| run_result::final_reply(&run_id, &ended));
        }
        Ok(Submitted::Admitted { admission: Admission::Known(record), .. }) => {
            let ended = run_end::recorded(&record);
            if ended.is_some() {
                run_events::forget(&call, &run_id).await;
            }
            return ended
                .map_or_else(|| accepted(record.accepted_at), |ended| run_result::final_reply(&run_id, &ended));
        }
        Ok(Submitted::Admitted { ticket, .. }) => ticket,
    };
    call.responder.reply(accepted(accepted_at));
    let ended = run_end::wait(&call.services, ticket).await?;
    run_result::final_reply(&run_id, &ended)
}

/// `provider/model` for this turn only, if the call names one and may.
fn model(call: &Call, request: &Agent) -> Result<Option<String>, ErrorShape> {
    if request.provider.is_none() && request.model.is_none() {
        return Ok(None);
    }
    if !call.client.is_admin() {
        return Err(ErrorShape::invalid("provider/model overrides are not authorized for this caller."));
    }
    let text = match (&request.provider, &request.model) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        (None, Some(model)) => model.clone(),
        _ => return Err(invalid(call.method, "provider needs model")),
    };
    let (provider, model) = call.services.context.models.resolve(&text).map_err(ErrorShape::invalid)?;
    Ok(Some(format!("{provider}/{model}")))
}

/// No chat platform is connected in this release: there is nowhere to deliver an answer to but the caller.
fn check_delivery(call: &Call, request: &Agent) -> Result<(), ErrorShape> {
    for channel in [&request.channel, &request.reply_channel].into_iter().flatten() {
        if channel != "last" && !channel_ids::is_known(channel) {
            return Err(invalid(call.method, &format!("unknown channel: {channel}")));
        }
    }
    if request.deliver == Some(true) && request.best_effort_deliver != Some(true) {
        return Err(ErrorShape::invalid("Channel is required (no configured channels detected)."));
    }
    Ok(())
}

async fn session_of(call: &Call, request: &Agent) -> Result<SessionKey, ErrorShape> {
    let context = &call.services.context;
    let wanted = Wanted {
        key: request.session_key.as_deref(),
        session_id: request.session_id.as_deref(),
        agent: request.agent_id.as_deref(),
    };
    let refuse = |reason: String| invalid(call.method, &reason);
    let known = agents(&context.config.load().settings);
    let choice = session_choice::choose(wanted, &context.key_rules(), &known).map_err(refuse)?;
    let (session_id, or_else) = match choice {
        Choice::Key(key) => return Ok(key),
        Choice::OfId { session_id, or_else } => (session_id, or_else),
    };
    let found = context.store.read(move |db| sessions::by_session_id(db, &session_id)).await.map_err(store_failed)?;
    let Some(found) = found else { return Ok(or_else) };
    let key = SessionKey::from_stored(found.key);
    let agent = session_choice::agent(request.agent_id.as_deref(), &known).map_err(refuse)?;
    session_choice::require(&key, agent.as_ref()).map_err(refuse)?;
    Ok(key)
}

fn turn(call: &Call, request: &Agent, model: Option<String>) -> Result<Turn, ErrorShape> {
    let named = request.channel.as_deref().filter(|channel| *channel != "last");
    Ok(Turn {
        run_id: request.idempotency_key.clone(),
        kind: TurnKind::Agent,
        text: request.message.clone(),
        images: attachments::images(call.method, &request.attachments)?,
        model,
        thinking: thinking(call.method, request.thinking.as_deref())?,
        extra_system_prompt: request.extra_system_prompt.clone(),
        timeout_seconds: request.timeout.filter(|seconds| *seconds > 0), // 0 sets no deadline of its own
        max_tokens: None,
        channel: Some(named.unwrap_or(DEFAULT_CHANNEL).to_owned()),
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now_ms(),
    })
}

/// A thinking level in its canonical form.
pub fn thinking(method: &str, level: Option<&str>) -> Result<Option<String>, ErrorShape> {
    let Some(text) = level else { return Ok(None) };
    let level = ThinkLevel::parse(text).ok_or_else(|| {
        params::invalid(method, &format!("unknown thinking level {text:?} (use {})", names(&COMMON_LEVELS, "|")))
    })?;
    Ok(Some(level.as_str().to_owned()))
}

/// Gives the session the label that the call brings.
async fn name_session(call: &Call, key: &SessionKey, label: Option<String>) -> Result<(), ErrorShape> {
    let Some(label) = label else { return Ok(()) };
    let changes = Map::from_iter([("label".to_owned(), Value::from(label))]);
    let patched = call.services.ask_session(key, |reply| SessionMsg::Patch(changes.clone(), reply)).await?;
    patched.map(drop).map_err(refused)
}

async fn wait(call: Call) -> Result<Reply, ErrorShape> {
    let request: AgentWait = call.params()?;
    let mut run_id = request.run_id.clone();
    let limit = Duration::from_millis(request.timeout_ms.unwrap_or(WAIT_MS));
    let directory = &call.services.context.directory;
    // more than a tokio timer can hold means for ever
    let deadline = Instant::now().checked_add(limit).unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 30));
    if directory.get(&run_id).is_none()
        && let Some(known) = run_end::current(&call.services, &run_id).await?
    {
        if let Some(ended) = run_end::recorded(&known) {
            return Reply::of(&run_result::wait_result(&request.run_id, &ended));
        }
        run_id = known.run_id;
    }
    let ended = timeout_at(deadline, async {
        loop {
            if let Some(ticket) = directory.get(&run_id) {
                return run_end::wait(&call.services, ticket).await;
            }
            sleep(LOOK_INTERVAL).await;
        }
    });
    match ended.await {
        Ok(ended) => Reply::of(&run_result::wait_result(&request.run_id, &*ended?)),
        Err(_) => Reply::of(&run_result::still_going(&request.run_id)),
    }
}
