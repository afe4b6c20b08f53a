//! What a session does with the requests that reach it while no step is in flight.

use std::sync::Arc;

use ractor::RpcReplyPort;
use serde_json::{Map, Value};

use super::command::{self, Command, Directive, Setting};
use super::commands;
use super::entry::{OverrideSource, SessionEntry};
use super::message::{Admission, SessionError, SessionMsg};
use super::phase::{Done, Phase, Waiting};
use super::reset::{ResetCommand, ResetKind};
use super::state::{AdmissionReply, Me, SessionState, answer, new_session_id};
use super::{reply, step, stop_phrase, waiting};
use crate::delivery::Route;
use crate::model::message::{AssistantMessage, Message, Part};
use crate::protocol::session_calls::ResetReason;
use crate::run::message::{AbortCause, Authority, Outcome, Turn, TurnKind};
use crate::run::stream::now_ms;
use crate::store::{StoreError, runs};

/// Does what was asked. Called while idle or running, with nothing in flight.
pub fn handle(state: &mut SessionState, me: &Me, request: SessionMsg) {
    match request {
        SessionMsg::Submit(turn, reply) => submit(state, me, *turn, reply),
        SessionMsg::Abort { run_id, cause, reply } => {
            let _ = reply.send(abort(state, me, run_id.as_deref(), cause, None)); // the asker may have gone
        }
        SessionMsg::Patch(changes, reply) => patch(state, me, &changes, reply),
        SessionMsg::Inject(text, reply) => inject(state, me, text, reply),
        SessionMsg::Reset(reason, reply) => {
            if needs_idle(state, me, None) {
                state.deferred.push_front(SessionMsg::Reset(reason, reply));
            } else {
                reset(state, me, reason, reply);
            }
        }
        SessionMsg::Delete(reply) => {
            if needs_idle(state, me, None) {
                state.deferred.push_front(SessionMsg::Delete(reply));
            } else {
                delete(state, me, reply);
            }
        }
        SessionMsg::Status(reply) => {
            let _ = reply.send(state.status()); // the asker may have gone
        }
        SessionMsg::News(_) | SessionMsg::Rest => {} // taken before it gets here
        #[cfg(feature = "fault-injection")]
        SessionMsg::FailRun(..) => {} // likewise
    }
}

/// Says no to a request because too many wait already.
pub fn refuse(request: SessionMsg) {
    let overloaded = || SessionError::Store(StoreError::Overloaded);
    // The asker may have gone; one whose answer cannot be an error learns of it by the end of its wait.
    match request {
        SessionMsg::Submit(_, reply) => drop(reply.send(Err(overloaded()))),
        SessionMsg::Patch(_, reply) | SessionMsg::Reset(_, reply) => drop(reply.send(Err(overloaded()))),
        SessionMsg::Delete(reply) => drop(reply.send(Err(overloaded()))),
        SessionMsg::Inject(_, reply) => drop(reply.send(Err(overloaded()))),
        _ => {}
    }
}

/// Aborts the live run, if any; then the request must be taken up again when it has ended.
fn needs_idle(state: &mut SessionState, me: &Me, by: Option<&Route>) -> bool {
    let running = state.abort_run(AbortCause::Stop, by).is_some();
    if running {
        waiting::forget_waiting(state, me, by);
    }
    running
}

fn submit(state: &mut SessionState, me: &Me, mut turn: Turn, reply: AdmissionReply) {
    if let Some(admission) = place_of(state, &turn.run_id) {
        return answer(Some(reply), Ok(admission));
    }
    let obeyed = turn.authority > Authority::Untrusted;
    if obeyed && turn.kind.is_conversation() && stop_phrase::is_stop(&turn.text) {
        let ended = abort(state, me, None, AbortCause::Stop, turn.route.as_ref());
        state.context.directory.forget(&turn.run_id);
        return answer(Some(reply), Ok(Admission::Stopped(ended)));
    }
    let triggers = state.context.config.load().settings.session.reset_triggers.clone().unwrap_or_default();
    match command::parse(&turn.text, &triggers).filter(|_| obeyed) {
        Some(Command::Reset(reset)) if reset.kind == ResetKind::SoftReset => turn.text = reset.rest,
        Some(Command::Reset(reset)) => return begin_anew(state, me, turn, reset, reply),
        Some(Command::Directives { list, message }) if !message.is_empty() => {
            if let Err(problem) = apply_to_turn(&list, &mut turn) {
                return answer_command(state, me, turn, problem, None, reply);
            }
            turn.text = message;
        }
        Some(command) if command::is_immediate(&command) => {
            let effect = commands::execute(state, &command, &turn);
            return answer_command(state, me, turn, effect.reply, effect.entry, reply);
        }
        _ => {}
    }
    if turn.text.trim().is_empty() && turn.images.is_empty() {
        return answer_command(state, me, turn, commands::NOTHING_SAID.to_owned(), None, reply);
    }
    if state.waiting.iter().any(|waiting| !waiting.stored && waiting.turn.run_id == turn.run_id) {
        // The same again, while the first is on its way to disk: whether it gets there is known in a moment.
        return answer(Some(reply), Err(StoreError::Overloaded.into()));
    }
    match &state.phase {
        Phase::Running(_) => waiting::enqueue(state, me, turn, reply),
        _ if !state.waiting.is_empty() || state.context.is_draining() => waiting::wait(state, me, turn, false, reply),
        _ if state.context.lanes.main.is_full() => {
            answer(Some(reply), Err(SessionError::LaneFull(state.context.lanes.main.waiting())));
        }
        _ => state.begin(me, turn, Some(reply), Vec::new()),
    }
}

/// Where a turn stands that is here already: it was stored, and the session went down before it could say so.
fn place_of(state: &SessionState, run_id: &str) -> Option<Admission> {
    if matches!(&state.phase, Phase::Running(running) if running.turn.run_id == run_id) {
        return Some(Admission::Started);
    }
    let is_it = |waiting: &Waiting| waiting.stored && waiting.turn.run_id == run_id;
    state.waiting.iter().position(is_it).map(|ahead| Admission::Queued { ahead })
}

/// Settings that hold for one message. The error is the sentence for the person.
fn apply_to_turn(list: &[Directive], turn: &mut Turn) -> Result<(), String> {
    for directive in list {
        match directive {
            Directive::Think(Setting::Set(level)) => turn.thinking = Some(level.as_str().to_owned()),
            Directive::Model(Setting::Set(model)) => turn.model = Some(model.clone()),
            Directive::Think(Setting::Unknown(word)) | Directive::Queue(Setting::Unknown(word)) => {
                return Err(commands::unknown_value(word));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Ends the live run and forgets what waits; with an id only that run. Returns the ids that were ended.
///
/// `by`: the chat from which somebody asks for it.
fn abort(
    state: &mut SessionState,
    me: &Me,
    run_id: Option<&str>,
    cause: AbortCause,
    by: Option<&Route>,
) -> Vec<String> {
    let live = match &state.phase {
        Phase::Running(running) => Some(running.turn.run_id.clone()),
        _ => None,
    };
    let mut ended = Vec::new();
    match run_id {
        Some(wanted) if live.as_deref() != Some(wanted) => {
            if let Some(place) = state.waiting.iter().position(|waiting| waiting.turn.run_id == wanted) {
                ended.extend(waiting::forget(state, me, &[place], cause, by));
            }
        }
        _ => {
            ended.extend(state.abort_run(cause, by));
            match (run_id, cause) {
                (Some(_), _) | (None, AbortCause::Restart) => {} // what waits runs after the restart
                (None, _) => ended.extend(waiting::forget_waiting(state, me, by)),
            }
        }
    }
    ended
}

fn patch(
    state: &mut SessionState,
    me: &Me,
    changes: &Map<String, Value>,
    reply: RpcReplyPort<Result<SessionEntry, SessionError>>,
) {
    let now = now_ms();
    let mut entry = state.entry.clone().unwrap_or_else(|| SessionEntry::new(new_session_id(), now));
    if let Err(problem) = entry.patch(changes) {
        let _ = reply.send(Err(SessionError::Refused(problem))); // the asker may have gone
        return;
    }
    if let Some(model) = changes.get("model") {
        let named = model.as_str().and_then(|model| model.split_once('/'));
        entry.override_model(named.map(|(provider, model)| (provider, model, OverrideSource::User)));
    }
    entry.updated_at = Some(now);
    let reason = if state.entry.is_some() { "patch" } else { "create" };
    store_entry(state, me, entry, reason, reply);
}

fn store_entry(
    state: &mut SessionState,
    me: &Me,
    entry: SessionEntry,
    reason: &'static str,
    reply: RpcReplyPort<Result<SessionEntry, SessionError>>,
) {
    let (key, stored) = (state.key.clone(), entry.clone());
    let answer = entry.clone();
    let work = move |db: &rusqlite::Connection| step::put_entry(db, &key, &stored);
    state.change(
        me,
        Some(entry),
        reason,
        work,
        Box::new(move |_, _, stored| {
            let _ = reply.send(stored.map(|()| answer).map_err(SessionError::Store)); // the asker may have gone
        }),
    );
}

fn reset(
    state: &mut SessionState,
    me: &Me,
    reason: ResetReason,
    reply: RpcReplyPort<Result<SessionEntry, SessionError>>,
) {
    waiting::forget_waiting(state, me, None);
    let done = Box::new(move |state: &mut SessionState, _: &Me, stored: Result<(), StoreError>| {
        let entry = state.entry.clone().ok_or(SessionError::NotFound);
        let _ = reply.send(stored.map_err(SessionError::Store).and(entry)); // the asker may have gone
    });
    let name = match reason {
        ResetReason::New => "new",
        ResetReason::Reset => "reset",
    };
    change_conversation(state, me, name, done);
}

fn change_conversation(state: &mut SessionState, me: &Me, reason: &'static str, done: Done) {
    let now = now_ms();
    let archive = state.entry.as_ref().map(|entry| entry.session_id.clone());
    let entry = match state.entry.clone() {
        Some(mut entry) => {
            entry.reset(new_session_id(), now);
            entry
        }
        None => SessionEntry::new(new_session_id(), now),
    };
    let (key, stored) = (state.key.clone(), entry.clone());
    let work = move |db: &rusqlite::Connection| step::reset(db, &key, &stored, archive.as_deref(), now);
    state.change(me, Some(entry), reason, work, done);
}

/// `/new` and `/reset`: a new conversation, and perhaps its first message or its model.
fn begin_anew(state: &mut SessionState, me: &Me, turn: Turn, wish: ResetCommand, reply: AdmissionReply) {
    if needs_idle(state, me, turn.route.as_ref()) {
        return state.deferred.push_front(SessionMsg::Submit(Box::new(turn), reply));
    }
    let reason = if wish.kind == ResetKind::New { "new" } else { "reset" };
    let confirmation = if wish.kind == ResetKind::New { "✅ New session started." } else { "✅ Session reset." };
    let done = Box::new(move |state: &mut SessionState, me: &Me, stored: Result<(), StoreError>| {
        if let Err(error) = stored {
            state.context.directory.forget(&turn.run_id);
            return answer(Some(reply), Err(error.into()));
        }
        if !wish.rest.is_empty() && wish.kind == ResetKind::New && commands::names_model(state, &wish.rest) {
            let effect = commands::set_model(state, &wish.rest);
            let text = format!("{confirmation} {}", effect.reply);
            return answer_command(state, me, turn, text, effect.entry, reply);
        }
        if wish.rest.is_empty() {
            return answer_command(state, me, turn, confirmation.to_owned(), None, reply);
        }
        state.begin(me, Turn { text: wish.rest, ..turn }, Some(reply), Vec::new());
    });
    change_conversation(state, me, reason, done);
}

fn delete(state: &mut SessionState, me: &Me, reply: RpcReplyPort<Result<bool, SessionError>>) {
    waiting::forget_waiting(state, me, None);
    let Some(entry) = &state.entry else {
        let _ = reply.send(Ok(false)); // the asker may have gone
        return;
    };
    let (key, session_id, now) = (state.key.clone(), entry.session_id.clone(), now_ms());
    let work = move |db: &rusqlite::Connection| step::delete(db, &key, &session_id, now);
    let done = Box::new(move |_: &mut SessionState, _: &Me, stored: Result<(), StoreError>| {
        let _ = reply.send(stored.map(|()| true).map_err(SessionError::Store)); // the asker may have gone
    });
    state.change(me, None, "delete", work, done);
}

/// An assistant message from outside of any run.
fn inject(state: &mut SessionState, me: &Me, text: String, reply: RpcReplyPort<Result<String, SessionError>>) {
    let Some(mut entry) = state.entry.clone() else {
        let _ = reply.send(Err(SessionError::NotFound)); // the asker may have gone
        return;
    };
    entry.updated_at = Some(now_ms());
    append(
        state,
        me,
        entry,
        &text,
        |_| Ok(()),
        Box::new(move |_, _, placed| {
            let _ = reply.send(placed.map(|(id, _)| id).map_err(SessionError::Store)); // the asker may have gone
        }),
    );
}

type Placed = Box<dyn FnOnce(&mut SessionState, &Me, Result<(String, i64), StoreError>) + Send>;

/// An assistant message joins the transcript, in one transaction `with` something else.
fn append(
    state: &mut SessionState,
    me: &Me,
    entry: SessionEntry,
    text: &str,
    with: impl FnOnce(&rusqlite::Connection) -> Result<(), StoreError> + Send + 'static,
    then: Placed,
) {
    let now = now_ms();
    let message = Message::Assistant(injected(text, now));
    let shown = serde_json::to_value(&message).unwrap_or_default(); // plain data: cannot fail
    let (key, stored) = (state.key.clone(), entry.clone());
    let placed = Arc::new(std::sync::OnceLock::new());
    let place = Arc::clone(&placed);
    let work = move |db: &rusqlite::Connection| {
        let at = step::append(db, &key, &stored, &message, now)?;
        with(db)?;
        let _ = place.set(at); // runs once
        Ok(())
    };
    state.change(
        me,
        Some(entry),
        "message",
        work,
        Box::new(move |state, me, stored| {
            let at = stored.and_then(|()| placed.get().cloned().ok_or(StoreError::Restarting));
            if let Ok(at) = &at {
                state.announcer.message(&shown, Some(at));
            }
            then(state, me, at);
        }),
    );
}

/// A message of the gateway itself in the agent's place.
fn injected(text: &str, now: i64) -> AssistantMessage {
    AssistantMessage {
        content: vec![Part::text(text)],
        api: "openclaw".into(),
        provider: "openclaw".into(),
        model: "gateway-injected".into(),
        timestamp: now,
        ..AssistantMessage::default()
    }
}

/// Answers a turn without a model. The answer joins the transcript, unless a run is writing there now.
fn answer_command(
    state: &mut SessionState,
    me: &Me,
    turn: Turn,
    text: String,
    entry: Option<SessionEntry>,
    reply: AdmissionReply,
) {
    let told = text.clone();
    let replies = reply::of_text(&state.context, &state.key, &turn, &text, now_ms());
    let said = replies.clone();
    // A chat platform may deliver it again, and it must not be done twice.
    let answered = (turn.kind == TurnKind::Channel).then(|| step::answered(&state.key, &turn, now_ms()));
    let say = move |db: &rusqlite::Connection| {
        if let Some(answered) = &answered {
            runs::accept(db, answered)?;
        }
        step::say(db, &replies)
    };
    let finish = move |state: &mut SessionState, stored: Result<(), StoreError>| {
        if let Err(error) = stored {
            state.context.directory.forget(&turn.run_id);
            return answer(Some(reply), Err(error.into()));
        }
        answer(Some(reply), Ok(Admission::Answered));
        state.context.channels.message_stored(&said);
        state.announcer.answered(&turn.run_id, &told);
        state.end_in_directory(&turn.run_id, Outcome::Completed { text: told }, turn.accepted_at);
    };
    let running = matches!(state.phase, Phase::Running(_));
    match entry.or_else(|| state.entry.clone()) {
        Some(entry) if running => {
            let (key, stored) = (state.key.clone(), entry.clone());
            let work = move |db: &rusqlite::Connection| {
                say(db)?;
                step::put_entry(db, &key, &stored)
            };
            state.change(me, Some(entry), "patch", work, Box::new(move |state, _, stored| finish(state, stored)));
        }
        entry => {
            let entry = entry.unwrap_or_else(|| SessionEntry::new(new_session_id(), now_ms()));
            let done: Placed = Box::new(move |state, _, placed| finish(state, placed.map(drop)));
            append(state, me, entry, &text, say, done);
        }
    }
}
