//! The turns of a session that wait: how they get into the queue, out of it as the next turn, or out of it for good.
//!
//! `queue` decides; this carries it out.

use std::sync::Arc;
use std::time::Duration;

use super::message::{Admission, News, SessionError, SessionMsg};
use super::phase::{Phase, Waiting};
use super::queue::{self, Decision, QueueRule, QueuedTurn, Route};
use super::reply::{self, Ending};
use super::state::{AdmissionReply, Me, SessionState, answer, is_same_chat};
use super::step;
use crate::config::settings::QueueMode;
use crate::delivery;
use crate::run::message::{AbortCause, Outcome, RunMsg, Turn, TurnKind};
use crate::run::steering::TOLD_MAX;
use crate::run::stream::now_ms;
use crate::store::StoreError;
use crate::store::outbox::OutboxRow;
use crate::store::runs::{RunRecord, RunState};
use crate::supervision::Mail;

/// A turn that finds the session busy.
pub fn enqueue(state: &mut SessionState, me: &Me, turn: Turn, reply: AdmissionReply) {
    let Phase::Running(running) = &state.phase else { return };
    if says_the_same(&running.turn, &turn) {
        let live = running.turn.run_id.clone();
        state.context.directory.forget(&turn.run_id);
        return answer(Some(reply), Ok(Admission::InFlight(live)));
    }
    let snapshot = state.context.config.load();
    let config = &snapshot.settings.messages.queue;
    let on_the_way = state.waiting.iter().filter(|waiting| waiting.steer).count();
    let steerable = running.steered.len() + on_the_way < TOLD_MAX;
    let session_mode = state.entry.as_ref().and_then(|entry| entry.queue_mode.as_deref());
    let mode = queue::mode(None, session_mode, turn.channel.as_deref(), config);
    let rule = QueueRule { mode, cap: config.cap, drop: config.drop };
    let (route, running_route) = (route_of(&turn), route_of(&running.turn));
    let routes: Vec<Route> = state.waiting.iter().map(|waiting| route_of(&waiting.turn)).collect();
    let waiting: Vec<QueuedTurn<'_>> =
        state.waiting.iter().zip(&routes).map(|(waiting, route)| queued_turn(&waiting.turn, route)).collect();
    let running = queued_turn(&running.turn, &running_route);
    let decision = match queue::admit(rule, &running, steerable, &waiting, &queued_turn(&turn, &route)) {
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
            state.abort_run(AbortCause::Stop, turn.route.as_ref());
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
    // A platform gives each message an id of its own: said twice there, it was meant twice.
    let both_chat = running.kind == TurnKind::Chat && turn.kind == TurnKind::Chat && turn.resume.is_none();
    both_chat && running.channel == turn.channel && running.text == turn.text && running.images == turn.images
}

/// Shows the live run a message that is kept as a turn of its own. Lost with the run: the turn itself is on disk.
fn steer_copy(state: &SessionState, turn: &Turn) {
    if let Phase::Running(running) = &state.phase {
        let _ = running.actor.send_message(Mail::own(RunMsg::Hint(turn.clone()))); // it has ended: the turn comes next
    }
}

pub fn route_of(turn: &Turn) -> Route {
    match &turn.route {
        Some(route) => Route {
            channel: Some(route.channel.clone()),
            account: Some(route.account.clone()),
            to: Some(route.target.clone()),
            thread: route.thread.clone(),
        },
        None => Route { channel: turn.channel.clone(), ..Route::default() },
    }
}

pub fn queued_turn<'a>(turn: &'a Turn, route: &'a Route) -> QueuedTurn<'a> {
    QueuedTurn {
        run_id: &turn.run_id,
        text: &turn.text,
        sender: turn.sender.as_deref(),
        route,
        authority: turn.authority,
        received_at_ms: turn.accepted_at,
        alone: !turn.kind.is_conversation()
            || turn.resume.is_some()
            || turn.model.is_some()
            || turn.thinking.is_some()
            || !turn.images.is_empty(),
    }
}

/// Puts a turn at the end of the queue; it is answered when it is on disk.
pub fn wait(state: &mut SessionState, me: &Me, turn: Turn, steer: bool, reply: AdmissionReply) {
    let session_id = state.entry.as_ref().map(|entry| entry.session_id.clone()).unwrap_or_default();
    let run = step::run_record(&state.key, &session_id, &turn, RunState::Queued, now_ms());
    let run_id = turn.run_id.clone();
    state.waiting.push_back(Waiting { turn, stored: false, restored: false, steer, reply: Some(reply) });
    let work = run.map(|run| Arc::new(move |db: &_| step::queue(db, &run)));
    state.insist(me, work, move |stored| News::Queued { run_id, stored });
}

/// A waiting turn is on disk, or it is not.
pub fn queued(state: &mut SessionState, me: &Me, run_id: &str, stored: Result<Option<RunRecord>, StoreError>) {
    let Some(place) = state.waiting.iter().position(|waiting| waiting.turn.run_id == run_id && !waiting.stored) else {
        // Aborted meanwhile; a write that was repeated may have come after that.
        if stored.is_ok_and(|known| known.is_none_or(|run| run.run_id == run_id && run.state == RunState::Queued)) {
            record_dropped(state, me, &[run_id.to_owned()], Vec::new());
        }
        return;
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

/// In safe mode what an earlier life left stays where it is, and what a person asks for passes it by. Returns whether
/// there may be something to start.
fn pass_by_what_is_held(state: &mut SessionState) -> bool {
    let held = |waiting: &Waiting| waiting.restored;
    if !state.waiting.front().is_some_and(held) || state.context.safe_mode.reason().is_none() {
        return true;
    }
    let next = state.waiting.iter().position(|waiting| !held(waiting));
    let next = next.and_then(|place| state.waiting.remove(place));
    let found = next.is_some();
    next.into_iter().for_each(|waiting| state.waiting.push_front(waiting));
    found
}

/// Starts the next waiting turn, if it is on disk. Returns whether the queue holds the session back.
pub fn start_next(state: &mut SessionState, me: &Me) -> bool {
    if !pass_by_what_is_held(state) {
        return false;
    }
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

pub fn forget_waiting(state: &mut SessionState, me: &Me, by: Option<&delivery::Route>) -> Vec<String> {
    let all: Vec<usize> = (0..state.waiting.len()).collect();
    forget(state, me, &all, AbortCause::Stop, by)
}

/// Takes turns out of the queue; whoever waits for them is told that they were aborted, in his chat too unless that is
/// where it was asked for: `by`.
pub fn forget(
    state: &mut SessionState,
    me: &Me,
    places: &[usize],
    cause: AbortCause,
    by: Option<&delivery::Route>,
) -> Vec<String> {
    let (mut ended, mut replies) = (Vec::new(), Vec::new());
    for place in places.iter().rev() {
        let Some(waiting) = state.waiting.remove(*place) else { continue };
        let outcome = Outcome::Aborted { cause, partial: String::new() };
        let end = Ending { goes_on: false, by_himself: is_same_chat(by, &waiting.turn) };
        replies.extend(reply::rows(&state.context, &state.key, &waiting.turn, &outcome, end, now_ms()));
        answer(waiting.reply, Ok(Admission::Queued { ahead: *place }));
        state.announcer.run_ended(&waiting.turn.run_id, &outcome, waiting.turn.accepted_at, 0);
        state.end_in_directory(&waiting.turn.run_id, outcome, waiting.turn.accepted_at);
        ended.push(waiting.turn.run_id);
    }
    ended.reverse();
    if state.waiting.is_empty() {
        state.queue_held = false;
    }
    record_dropped(state, me, &ended, replies);
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
    record_dropped(state, me, &dropped, Vec::new());
}

/// What was taken out of the queue is over, and what is said about it is on its way.
pub fn record_dropped(state: &mut SessionState, me: &Me, runs: &[String], replies: Vec<OutboxRow>) {
    if runs.is_empty() {
        return;
    }
    let (runs, now) = (runs.to_vec(), now_ms());
    state.unsaid.extend(replies.iter().cloned());
    state.record(
        me,
        Arc::new(move |db| {
            step::drop_queued(db, &runs, now)?;
            step::say(db, &replies)
        }),
    );
}
