//! `chat.send`, `chat.history`, `chat.abort`, `chat.inject`: a conversation as a chat window sees it.
//!
//! An acknowledged message is on disk; its answer comes as `chat` events.

use openclaw_actors::events::{Event, EventsMsg};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::chat::{
    ChatAbort, ChatAbortResult, ChatEvent, ChatHistory, ChatHistoryResult, ChatInject, ChatInjectResult, ChatSend,
    ChatState, HISTORY_CHARS, HISTORY_LIMIT, assistant_text,
};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::run::message::{Authority, Turn, TurnKind};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::{SessionMsg, lookup};
use openclaw_actors::transcript::history::HistoryLimits;

use super::agent::{DEFAULT_CHANNEL, thinking};
use super::chat_turn::{self, Sent};
use super::{Access, Call, Method, Reply, abort, attachments};
use crate::gateway::services::store_failed;
use crate::gateway::turns::refused;

pub const METHODS: &[Method] = &[
    Method::new("chat.history", Access::Operator(Scope::Read), |call| Box::pin(history(call))),
    Method::new("chat.abort", Access::Operator(Scope::Write), |call| Box::pin(stop(call))),
    Method::new("chat.send", Access::Operator(Scope::Write), |call| Box::pin(send(call))),
    Method::new("chat.inject", Access::Operator(Scope::Admin), |call| Box::pin(inject(call))),
];

async fn send(call: Call) -> Result<Reply, ErrorShape> {
    let request: ChatSend = call.params()?;
    let key = call.services.key(call.method, &request.session_key)?;
    if request.message.trim().is_empty() && request.attachments.is_empty() {
        return Err(ErrorShape::invalid("message or attachment required"));
    }
    check_privileges(&request, call.client.is_admin())?;
    let turn = Turn {
        run_id: request.idempotency_key.clone(),
        kind: TurnKind::Chat,
        text: request.message.clone(),
        images: attachments::images(call.method, &request.attachments)?,
        model: None,
        thinking: thinking(call.method, request.thinking.as_deref())?,
        extra_system_prompt: None,
        timeout_seconds: chat_turn::seconds(request.timeout_ms),
        max_tokens: None,
        channel: Some(request.originating_channel.clone().unwrap_or_else(|| DEFAULT_CHANNEL.to_owned())),
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now_ms(),
    };
    match chat_turn::send(&call, &key, turn).await? {
        Sent::Known(result) => Reply::of(&result),
        Sent::Stopped(run_ids) => Reply::of(&aborted(run_ids)),
        Sent::Failed(reply) => Ok(reply),
    }
}

/// Speaking for another route, or saying where a message came from, needs admin.
fn check_privileges(request: &ChatSend, is_admin: bool) -> Result<(), ErrorShape> {
    let route = [
        &request.originating_channel,
        &request.originating_to,
        &request.originating_account_id,
        &request.originating_thread_id,
    ];
    if request.names_an_origin() {
        if route[..2].iter().any(|field| field.is_none()) {
            return Err(ErrorShape::invalid("originatingChannel and originatingTo are required together"));
        }
        if !is_admin {
            return Err(ErrorShape::invalid("originating route fields require admin scope"));
        }
    }
    let provenance = request.system_input_provenance.is_some() || request.system_provenance_receipt.is_some();
    if provenance && !is_admin {
        return Err(ErrorShape::invalid("system provenance fields require admin scope"));
    }
    Ok(())
}

fn aborted(run_ids: Vec<String>) -> ChatAbortResult {
    ChatAbortResult { ok: true, aborted: !run_ids.is_empty(), run_ids }
}

async fn history(call: Call) -> Result<Reply, ErrorShape> {
    let request: ChatHistory = call.params()?;
    let key = call.services.key(call.method, &request.session_key)?;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let limits = HistoryLimits {
        messages: size(request.limit.unwrap_or(HISTORY_LIMIT)),
        chars: size(request.max_chars.unwrap_or(HISTORY_CHARS)),
    };
    let context = &call.services.context;
    let default_level = context.session_defaults(&key).thinking_default;
    let read = context.store.read(move |db| {
        let Some(entry) = lookup::entry(db, &key)? else { return Ok(None) };
        let messages = lookup::history(db, &entry.session_id, limits)?;
        Ok(Some((entry, messages)))
    });
    let (entry, messages) = read.await.map_err(store_failed)?.unzip();
    Reply::of(&ChatHistoryResult {
        session_key: request.session_key,
        session_id: entry.as_ref().map(|entry| entry.session_id.clone()),
        messages: messages.unwrap_or_default(),
        thinking_level: entry.as_ref().and_then(|entry| entry.thinking_level.clone()).or(Some(default_level)),
        fast_mode: entry.as_ref().and_then(|entry| entry.fast_mode),
        verbose_level: entry.and_then(|entry| entry.verbose_level),
    })
}

async fn stop(call: Call) -> Result<Reply, ErrorShape> {
    let request: ChatAbort = call.params()?;
    let key = call.services.key(call.method, &request.session_key)?;
    Reply::of(&aborted(abort::abort(&call, &key, request.run_id.as_deref()).await?))
}

async fn inject(call: Call) -> Result<Reply, ErrorShape> {
    let request: ChatInject = call.params()?;
    let key = call.services.key(call.method, &request.session_key)?;
    let text = request.text();
    let asked = call.services.ask_session(&key, |reply| SessionMsg::Inject(text.clone(), reply)).await?;
    let message_id = asked.map_err(refused)?;
    let shown = ChatEvent {
        run_id: format!("inject-{message_id}"),
        session_key: key.as_str().to_owned(),
        spawned_by: None,
        seq: 0,
        state: ChatState::Final { stop_reason: None, message: Some(assistant_text(&text, now_ms())) },
    };
    let event = EventsMsg::Publish(Event::broadcast("chat", &shown));
    if let Err(error) = call.services.context.events.send(event).await {
        tracing::warn!(session = %key, %error, "an injected message is stored but was not announced");
    }
    Reply::of(&ChatInjectResult { ok: true, message_id })
}

#[cfg(test)]
mod tests {
    use openclaw_actors::protocol::params::from_value;
    use serde_json::{Value, json};

    use super::*;

    fn refusal(mut fields: Value, is_admin: bool) -> Option<String> {
        for (name, value) in [("sessionKey", "main"), ("message", "m"), ("idempotencyKey", "i")] {
            fields[name] = value.into();
        }
        let request: ChatSend = from_value("chat.send", fields).unwrap();
        check_privileges(&request, is_admin).err().map(|error| error.message)
    }

    #[test]
    fn another_route_and_provenance_are_for_admins() {
        let route = json!({"originatingChannel": "telegram", "originatingTo": "42"});
        assert_eq!(refusal(json!({}), false), None);
        assert_eq!(refusal(route.clone(), true), None);
        assert_eq!(refusal(route, false).as_deref(), Some("originating route fields require admin scope"));
        assert_eq!(
            refusal(json!({"originatingTo": "42"}), true).as_deref(),
            Some("originatingChannel and originatingTo are required together")
        );
        let receipt = json!({"systemProvenanceReceipt": "r"});
        assert_eq!(refusal(receipt.clone(), true), None);
        assert_eq!(refusal(receipt, false).as_deref(), Some("system provenance fields require admin scope"));
    }
}
