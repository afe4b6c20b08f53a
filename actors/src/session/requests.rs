//! What a session does with the requests that reach it while no step is in flight.

use std::sync::Arc;
use std::time::Duration;

use ractor::RpcReplyPort;
use serde_json::{Map, Value};

use super::command::{self, Command, Directive, Setting};
use super::commands;
use super::entry::{OverrideSource, SessionEntry};
use super::message::{Admission, News, SessionError, SessionMsg};
use super::queue::{self, Authority, Decision, QueueRule, QueuedTurn, Route};
use super::reset::{ResetCommand, ResetKind};
use super::state::{AdmissionReply, Me, Phase, SessionState, Waiting, answer, new_session_id};
use super::{step, stop_phrase};
use crate::config::settings::QueueMode;
use crate::model::message::{AssistantMessage, Message, Part};
use crate::protocol::session_calls::ResetReason;
use crate::run::message::{AbortCause, Outcome, RunMsg, Turn, TurnKind};
use crate::run::stream::now_ms;
use crate::store::StoreError;
use crate::store::runs::{RunRecord, RunState};
use crate::supervision::Mail;

/// Does what was asked. Called while idle or running, with nothing in flight.
pub fn handle(state: &mut SessionState, me: &Me, request: SessionMsg) {
    match request {
        SessionMsg::Submit(turn, reply) => submit(state, me, turn, reply),
        SessionMsg::Abort { run_id, cause, reply } => {
            let _ = reply.send(abort(state, me, run_id.as_deref(), cause)); // the asker may have gone
        }
        SessionMsg::Patch(changes, reply) => patch(state, me, &changes, reply),
        SessionMsg::Inject(text, reply) => inject(state, me, text, reply),
        SessionMsg::Reset(reason, reply) => {
            if needs_idle(state, me) {
                state.deferred.push_front(SessionMsg::Reset(reason, reply));
            } else {
                reset(state, me, reason, reply);
            }
        }
        SessionMsg::Delete(reply) => {
            if needs_idle(state, me) {
                state.deferred.push_front(SessionMsg::Delete(reply));
            } else {
                delete(state, me, reply);
            }
        }
        SessionMsg::Status(reply) => {
            let _ = reply.send(state.status()); // the asker may have gone
        }
        SessionMsg::News(_) => {} // taken before it gets here
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
fn needs_idle(state: &mut SessionState, me: &Me) -> bool {
    let running = state.abort_run(AbortCause::Stop).is_some();
    if running {
        forget_waiting(state, me);
    }
    running
}

fn submit(state: &mut SessionState, me: &Me, mut turn: Turn, reply: AdmissionReply) {
    if let Some(admission) = place_of(state, &turn.run_id) {
        return answer(Some(reply), Ok(admission));
    }
    if turn.kind == TurnKind::Chat && stop_phrase::is_stop(&turn.text) {
        let ended = abort(state, me, None, AbortCause::Stop);
        state.context.directory.forget(&turn.run_id);
        return answer(Some(reply), Ok(Admission::Stopped(ended)));
    }
    let triggers = state.context.config.load().settings.session.reset_triggers.clone().unwrap_or_default();
    match command::parse(&turn.text, &triggers) {
        Some(Command::Reset(reset)) if reset.kind == ResetKind::SoftReset => turn.text = reset.rest,
        Some(Command::Reset(reset)) => return begin_anew(state, me, turn, reset, reply),
        Some(Command::Directives { list, message }) if !message.is_empty() => {
            if let Err(problem) = apply_to_turn(&list, &mut turn) {
                return answer_command(state, me, turn, problem, None, reply);
            }
            turn.text = message;
        }
        Some(command) if command::is_immediate(&command) => {
            let effect = commands::execute(state, &command);
            return answer_command(state, me, turn, effect.reply, effect.entry, reply);
        }
        _ => {}
    }
    if turn.text.trim().is_empty() && turn.images.is_empty() {
        return answer_command(state, me, turn, commands::NOTHING_SAID.to_owned(), None, reply);
    }
    match &state.phase {
        Phase::Running(_) => enqueue(state, me, turn, reply),
        _ if !state.waiting.is_empty() || state.context.is_draining() => wait(state, me, turn, false, reply),
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

/// A turn that finds the session busy.
fn enqueue(state: &mut SessionState, me: &Me, turn: Turn, reply: AdmissionReply) {
    let Phase::Running(running) = &state.phase else { return };
    if says_the_same(&running.turn, &turn) {
        let live = running.turn.run_id.clone();
        state.context.directory.forget(&turn.run_id);
        return answer(Some(reply), Ok(Admission::InFlight(live)));
    }
    let snapshot = state.context.config.load();
    let config = &snapshot.settings.messages.queue;
    let session_mode = state.entry.as_ref().and_then(|entry| entry.queue_mode.as_deref());
    let mode = queue::mode(None, session_mode, turn.channel.as_deref(), config);
    let rule = QueueRule { mode, cap: config.cap, drop: config.drop };
    let (route, running_route) = (route_of(&turn), route_of(&running.turn));
    let routes: Vec<Route> = state.waiting.iter().map(|waiting| route_of(&waiting.turn)).collect();
    let waiting: Vec<QueuedTurn<'_>> =
        state.waiting.iter().zip(&routes).map(|(waiting, route)| queued_turn(&waiting.turn, route)).collect();
    let running = queued_turn(&running.turn, &running_route);
    let decision = match queue::admit(rule, &running, true, &waiting, &queued_turn(&turn, &route)) {
        // A run that is being ended cannot take anything in.
        Decision::Steer if state.context.is_draining() => Decision::Wait { dropped: Vec::new() },
        Decision::SteerAndWait { dropped } | Decision::Interrupt { dropped } if state.context.is_draining() => {
            Decision::Wait { dropped }
        }
        decision => decision,
    };
    match decision {
        Decision::Steer => wait(state, me, turn, true, reply),
        Decision::SteerAndWait { dropped } => {
            drop_waiting(state, me, &dropped);
            steer_copy(state, &turn);
            wait(state, me, turn, false, reply);
        }
        Decision::Wait { dropped } => {
            drop_waiting(state, me, &dropped);
            wait(state, me, turn, false, reply);
        }
        Decision::Interrupt { dropped } => {
            drop_waiting(state, me, &dropped);
            state.abort_run(AbortCause::Stop);
            wait(state, me, turn, false, reply);
        }
        Decision::Refuse => {
            let full = state.waiting.len();
            answer(Some(reply), Err(SessionError::QueueFull(full)));
        }
    }
}

/// Is a chat message the one that is being answered, sent again by the same route under another id?
fn says_the_same(running: &Turn, turn: &Turn) -> bool {
    let both_chat = running.kind == TurnKind::Chat && turn.kind == TurnKind::Chat && turn.resume.is_none();
    both_chat && running.channel == turn.channel && running.text == turn.text && running.images == turn.images
}

/// Shows the live run a message that is kept as a turn of its own. Lost with the run: the turn itself is on disk.
fn steer_copy(state: &SessionState, turn: &Turn) {
    if let Phase::Running(running) = &state.phase {
        let _ = running.actor.send_message(Mail::own(RunMsg::Hint(turn.clone()))); // it has ended: the turn comes next
    }
}

fn route_of(turn: &Turn) -> Route {
    Route { channel: turn.channel.clone(), ..Route::default() }
}

/// Every way in that this release has is the owner's own.
fn queued_turn<'a>(turn: &'a Turn, route: &'a Route) -> QueuedTurn<'a> {
    QueuedTurn {
        run_id: &turn.run_id,
        text: &turn.text,
        sender: None,
        route,
        authority: Authority::Owner,
        received_at_ms: turn.accepted_at,
        alone: turn.kind != TurnKind::Chat
            || turn.resume.is_some()
            || turn.model.is_some()
            || turn.thinking.is_some()
            || !turn.images.is_empty(),
    }
}

/// Puts a turn at the end of the queue; it is answered when it is on disk.
fn wait(state: &mut SessionState, me: &Me, turn: Turn, steer: bool, reply: AdmissionReply) {
    let session_id = state.entry.as_ref().map(|entry| entry.session_id.clone()).unwrap_or_default();
    let run = step::run_record(&state.key, &session_id, &turn, RunState::Queued, now_ms());
    let run_id = turn.run_id.clone();
    state.waiting.push_back(Waiting { turn, stored: false, steer, reply: Some(reply) });
    let work = run.map(|run| Arc::new(move |db: &_| step::queue(db, &run)));
    state.insist(me, work, move |stored| News::Queued { run_id, stored });
}

/// A waiting turn is on disk, or it is not.
pub fn queued(state: &mut SessionState, run_id: &str, stored: Result<Option<RunRecord>, StoreError>) {
    let Some(place) = state.waiting.iter().position(|waiting| waiting.turn.run_id == run_id && !waiting.stored) else {
        return; // aborted meanwhile
    };
    match stored {
        Ok(None) => accepted_to_wait(state, place),
        // It was stored before, and only the answer was lost.
        Ok(Some(known)) if known.run_id == run_id && known.state == RunState::Queued => accepted_to_wait(state, place),
        Ok(Some(known)) => {
            let Some(waiting) = state.waiting.remove(place) else { return };
            state.forget_if_over(&waiting.turn.run_id, &known);
            answer(waiting.reply, Ok(Admission::Known(Box::new(known))));
        }
        Err(error) => {
            let Some(waiting) = state.waiting.remove(place) else { return };
            state.context.directory.forget(run_id);
            answer(waiting.reply, Err(error.into()));
        }
    }
}

fn accepted_to_wait(state: &mut SessionState, place: usize) {
    let live = match &mut state.phase {
        Phase::Running(running) if !running.aborting => Some(running),
        _ => None,
    };
    let Some(waiting) = state.waiting.get_mut(place) else { return };
    waiting.stored = true;
    let reply = waiting.reply.take();
    let (true, Some(running)) = (waiting.steer, live) else {
        waiting.steer = false;
        return answer(reply, Ok(Admission::Queued { ahead: place }));
    };
    let turn = waiting.turn.clone();
    let run_id = turn.run_id.clone();
    if running.actor.send_message(Mail::own(RunMsg::Steer(turn))).is_err() {
        waiting.steer = false; // the run has just ended: the message is a turn like any other
        return answer(reply, Ok(Admission::Queued { ahead: place }));
    }
    let accepted_at = waiting.turn.accepted_at;
    running.steered.extend(state.waiting.remove(place).map(|waiting| waiting.turn));
    answer(reply, Ok(Admission::Steered));
    state.announcer.taken_in(&run_id);
    state.end_in_directory(&run_id, Outcome::Completed { text: String::new() }, accepted_at);
}

/// Starts the next waiting turn, if it is on disk. Returns whether the queue holds the session back.
pub fn start_next(state: &mut SessionState, me: &Me) -> bool {
    match state.waiting.front() {
        _ if state.context.is_draining() => return false,
        None => return false,
        Some(front) if !front.stored => return true,
        Some(_) => {}
    }
    let mode = queue_mode(state);
    let routes: Vec<Route> = state.waiting.iter().map(|waiting| route_of(&waiting.turn)).collect();
    let stored = state.waiting.iter().zip(&routes).take_while(|(waiting, _)| waiting.stored);
    let turns: Vec<QueuedTurn<'_>> = stored.map(|(waiting, route)| queued_turn(&waiting.turn, route)).collect();
    let count = queue::batch(mode, &turns).max(1);
    let overflow = turns.first().and_then(|first| state.overflow.take(first));
    let text = queue::render(mode, &turns[..count], overflow);
    let batch: Vec<Waiting> = state.waiting.drain(..count).collect();
    let Some(first) = batch.first() else { return false };
    let turn = Turn { text, ..first.turn.clone() };
    state.begin(me, turn, None, batch); // whoever waits for a place in the queue was answered when it was stored
    true
}

/// In collect mode the waiting messages become a turn only after a quiet moment.
pub fn wait_before_collecting(state: &mut SessionState, me: &Me) {
    state.queue_held = false;
    if queue_mode(state) != QueueMode::Collect || state.waiting.is_empty() {
        return;
    }
    let debounce = state.context.config.load().settings.messages.queue.debounce_ms;
    let latest = state.waiting.iter().map(|waiting| waiting.turn.accepted_at).max().unwrap_or_default();
    let due = latest.saturating_add_unsigned(debounce);
    let Ok(delay) = u64::try_from(due - now_ms()) else { return };
    hold_queue(state, me, Duration::from_millis(delay));
}

/// Nothing is taken from the queue for a while.
pub fn hold_queue(state: &mut SessionState, me: &Me, delay: Duration) {
    state.queue_held = true;
    state.timer += 1;
    let timer = state.timer;
    drop(me.send_after(delay, move || Mail::own(SessionMsg::News(News::CollectDue(timer)))));
}

fn queue_mode(state: &SessionState) -> QueueMode {
    let session = state.entry.as_ref().and_then(|entry| entry.queue_mode.as_deref());
    queue::mode(None, session, None, &state.context.config.load().settings.messages.queue)
}

/// Ends the live run and forgets what waits; with an id only that run. Returns the ids that were ended.
fn abort(state: &mut SessionState, me: &Me, run_id: Option<&str>, cause: AbortCause) -> Vec<String> {
    let live = match &state.phase {
        Phase::Running(running) => Some(running.turn.run_id.clone()),
        _ => None,
    };
    let mut ended = Vec::new();
    match run_id {
        Some(wanted) if live.as_deref() != Some(wanted) => {
            if let Some(place) = state.waiting.iter().position(|waiting| waiting.turn.run_id == wanted) {
                ended.extend(forget(state, me, &[place], cause));
            }
        }
        _ => {
            ended.extend(state.abort_run(cause));
            match (run_id, cause) {
                (Some(_), _) | (None, AbortCause::Restart) => {} // what waits runs after the restart
                (None, _) => ended.extend(forget_waiting(state, me)),
            }
        }
    }
    ended
}

fn forget_waiting(state: &mut SessionState, me: &Me) -> Vec<String> {
    let all: Vec<usize> = (0..state.waiting.len()).collect();
    forget(state, me, &all, AbortCause::Stop)
}

/// Takes turns out of the queue; whoever waits for them is told that they were aborted.
fn forget(state: &mut SessionState, me: &Me, places: &[usize], cause: AbortCause) -> Vec<String> {
    let mut ended = Vec::new();
    for place in places.iter().rev() {
        let Some(waiting) = state.waiting.remove(*place) else { continue };
        let outcome = Outcome::Aborted { cause, partial: String::new() };
        answer(waiting.reply, Ok(Admission::Queued { ahead: *place }));
        state.announcer.run_ended(&waiting.turn.run_id, &outcome, waiting.turn.accepted_at, 0);
        state.end_in_directory(&waiting.turn.run_id, outcome, waiting.turn.accepted_at);
        ended.push(waiting.turn.run_id);
    }
    ended.reverse();
    if state.waiting.is_empty() {
        state.queue_held = false;
    }
    record_dropped(state, me, &ended);
    ended
}

/// Makes room in a full queue: what is dropped is told with the next turn.
fn drop_waiting(state: &mut SessionState, me: &Me, places: &[usize]) {
    let cap = state.context.config.load().settings.messages.queue.cap;
    let mut dropped = Vec::new();
    for place in places.iter().rev() {
        let Some(waiting) = state.waiting.remove(*place) else { continue };
        let route = route_of(&waiting.turn);
        state.overflow.note(&queued_turn(&waiting.turn, &route), cap);
        answer(waiting.reply, Ok(Admission::Queued { ahead: *place }));
        state.announcer.taken_in(&waiting.turn.run_id);
        state.end_in_directory(
            &waiting.turn.run_id,
            Outcome::Completed { text: String::new() },
            waiting.turn.accepted_at,
        );
        dropped.push(waiting.turn.run_id);
    }
    record_dropped(state, me, &dropped);
}

fn record_dropped(state: &mut SessionState, me: &Me, runs: &[String]) {
    if runs.is_empty() {
        return;
    }
    let (runs, now) = (runs.to_vec(), now_ms());
    state.record(me, Arc::new(move |db| step::drop_queued(db, &runs, now)));
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
    forget_waiting(state, me);
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

fn change_conversation(state: &mut SessionState, me: &Me, reason: &'static str, done: super::state::Done) {
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
    if needs_idle(state, me) {
        return state.deferred.push_front(SessionMsg::Submit(turn, reply));
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
    forget_waiting(state, me);
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
        Box::new(move |_, _, placed| {
            let _ = reply.send(placed.map(|(id, _)| id).map_err(SessionError::Store)); // the asker may have gone
        }),
    );
}

type Placed = Box<dyn FnOnce(&mut SessionState, &Me, Result<(String, i64), StoreError>) + Send>;

fn append(state: &mut SessionState, me: &Me, entry: SessionEntry, text: &str, then: Placed) {
    let now = now_ms();
    let message = Message::Assistant(injected(text, now));
    let shown = serde_json::to_value(&message).unwrap_or_default(); // plain data: cannot fail
    let (key, stored) = (state.key.clone(), entry.clone());
    let placed = Arc::new(std::sync::OnceLock::new());
    let place = Arc::clone(&placed);
    let work = move |db: &rusqlite::Connection| {
        let at = step::append(db, &key, &stored, &message, now)?;
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
    let finish = move |state: &mut SessionState, stored: Result<(), StoreError>| {
        if let Err(error) = stored {
            state.context.directory.forget(&turn.run_id);
            return answer(Some(reply), Err(error.into()));
        }
        answer(Some(reply), Ok(Admission::Answered));
        state.announcer.answered(&turn.run_id, &told);
        state.end_in_directory(&turn.run_id, Outcome::Completed { text: told }, turn.accepted_at);
    };
    let running = matches!(state.phase, Phase::Running(_));
    match entry.or_else(|| state.entry.clone()) {
        Some(entry) if running => {
            let (key, stored) = (state.key.clone(), entry.clone());
            let work = move |db: &rusqlite::Connection| step::put_entry(db, &key, &stored);
            state.change(me, Some(entry), "patch", work, Box::new(move |state, _, stored| finish(state, stored)));
        }
        entry => {
            let entry = entry.unwrap_or_else(|| SessionEntry::new(new_session_id(), now_ms()));
            append(state, me, entry, &text, Box::new(move |state, _, placed| finish(state, placed.map(drop))));
        }
    }
}
