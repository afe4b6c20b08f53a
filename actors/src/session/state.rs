//! What a session actor knows, and how it goes from one phase to the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};
use serde_json::json;

use super::announce::Announcer;
use super::debts::Debts;
use super::entry::SessionEntry;
use super::key::SessionKey;
use super::message::{Admission, News, SessionError, SessionMsg, SessionStatus};
use super::phase::{Accepting, Change, Done, Ending, Phase, Running, Waiting};
use super::queue::Overflow;
use super::reply::{self, Ending as ReplyEnding};
use super::resume;
use super::step::{self, Begin, End};
use super::waiting;
use crate::delivery::Route;
use crate::heartbeat::record;
use crate::metrics;
use crate::protocol::session::RunStatus;
use crate::run::actor::{self as run_actor, RunArgs};
use crate::run::context::Context;
use crate::run::conversation;
use crate::run::message::{AbortCause, EndedRun, Outcome, RunEnd, RunMsg, Turn, TurnKind};
use crate::run::pulse::Pulse;
use crate::run::stream::now_ms;
use crate::run::turn::TurnArgs;
use crate::store::StoreError;
use crate::store::outbox::OutboxRow;
use crate::store::runs::{RunRecord, RunState};
use crate::supervision::task::{TaskSet, Timer};
use crate::supervision::{Address, Mail};

pub type Me = ActorRef<Mail<SessionMsg>>;
pub type AdmissionReply = RpcReplyPort<Result<Admission, SessionError>>;

/// Pause before a step that could not be stored is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// The state of one session actor.
pub struct SessionState {
    pub context: Arc<Context>,
    pub key: SessionKey,
    pub announcer: Announcer,
    /// As it is on disk, once what is owed has been paid; `None` before the first turn.
    pub entry: Option<SessionEntry>,
    pub phase: Phase,
    /// A change of the entry on its way to disk, while idle or running.
    pub change: Option<Box<Change>>,
    /// Turns for later, in order.
    pub waiting: VecDeque<Waiting>,
    /// Requests that depend on the step in flight.
    pub deferred: VecDeque<SessionMsg>,
    /// What was dropped from the queue and not yet told.
    pub overflow: Overflow,
    pub watchers: TaskSet,
    /// Tells a timer's news from that of an earlier one.
    pub timer: u64,
    /// Nothing is taken from the queue until a timer says so: messages are being collected, or a step is tried again.
    pub queue_held: bool,
    /// The end of its rest; absent while it has work.
    pub rest: Option<Timer>,
    pub debts: Debts,
    /// What is said with the next thing that is recorded; its senders are told when that is on disk.
    pub unsaid: Vec<OutboxRow>,
}

impl SessionState {
    pub fn new(context: Arc<Context>, key: SessionKey) -> Self {
        let announcer = Announcer { events: context.events.clone(), key: key.clone() };
        Self {
            context,
            key,
            announcer,
            entry: None,
            phase: Phase::Loading,
            change: None,
            waiting: VecDeque::new(),
            deferred: VecDeque::new(),
            overflow: Overflow::default(),
            watchers: TaskSet::default(),
            timer: 0,
            queue_held: false,
            rest: None,
            debts: Debts::default(),
            unsaid: Vec::new(),
        }
    }

    /// Is a step in flight, so that requests must wait for its outcome?
    pub fn is_between(&self) -> bool {
        let settled = match &self.phase {
            Phase::Idle => true,
            Phase::Running(running) => !running.aborting,
            _ => false,
        };
        !settled || self.change.is_some()
    }

    pub fn status(&self) -> SessionStatus {
        let running = match &self.phase {
            Phase::Running(running) => Some(running.turn.run_id.clone()),
            Phase::Accepting(accepting) => Some(accepting.turn.run_id.clone()),
            Phase::Ending(ending) => Some(ending.turn.run_id.clone()),
            _ => None,
        };
        SessionStatus { entry: self.entry.clone(), running, waiting: self.waiting.len() }
    }

    /// A turn begins: its message goes to disk together with its run. `batch` is what it was made of, if it has waited.
    pub fn begin(&mut self, me: &Me, turn: Turn, reply: Option<AdmissionReply>, batch: Vec<Waiting>) {
        let queued = !batch.is_empty();
        let merged = batch.iter().skip(1).map(|waiting| waiting.turn.run_id.clone()).collect();
        let now = now_ms();
        let old = self.entry.as_ref();
        // What goes on with a conversation needs that conversation, however old it is by now.
        let woken = turn.heartbeat.as_deref().filter(|_| turn.resume.is_none());
        let by_person = !matches!(turn.kind, TurnKind::Cron | TurnKind::Heartbeat);
        let stale = turn.resume.is_none()
            && old.is_some_and(|entry| match woken {
                Some(heartbeat) => heartbeat.fresh,
                None => by_person && self.context.is_stale(entry, now),
            });
        let first_id = || self.key.cron_run().map_or_else(new_session_id, str::to_owned);
        let mut entry = old.cloned().unwrap_or_else(|| SessionEntry::new(first_id(), now));
        let archive = stale.then(|| entry.session_id.clone());
        if stale {
            entry.reset(new_session_id(), now);
        }
        if turn.heartbeat.is_none() {
            entry.updated_at = Some(now); // a heartbeat that finds nothing leaves no trace
        }
        if by_person {
            entry.last_interaction_at = Some(now);
        }
        if let Some(route) = turn.route.as_ref().filter(|_| by_person) {
            entry.spoken_from(route);
        }
        entry.status = Some(RunStatus::Running);
        entry.started_at = Some(now);
        entry.ended_at = None;
        entry.runtime_ms = None;
        entry.chat_type = entry.chat_type.or(self.key.chat_type());
        let (message, zone) = (conversation::user_message(&turn, &self.context.zone()), self.context.zone());
        let words = woken.map(|_| turn.text.clone());
        let shown = serde_json::to_value(&message).unwrap_or_default(); // plain data: cannot fail
        let run = step::run_record(&self.key, &entry.session_id, &turn, RunState::Running, now);
        let new_session = old.is_none() || stale;
        let accepting = Accepting { turn, entry: entry.clone(), message: shown, reply, batch, new_session };
        self.phase = Phase::Accepting(Box::new(accepting));
        let key = self.key.clone();
        let work = run.map(|run| {
            let begin = Begin { key, entry, run, queued, message, words, zone, archive, merged, now };
            Arc::new(move |db: &_| step::begin(db, &begin))
        });
        self.insist(me, work, News::Accepted);
    }

    /// The turn is on disk: its run starts.
    pub async fn accepted(&mut self, me: &Me, accepting: Accepting, stored: Result<Option<RunRecord>, StoreError>) {
        let Accepting { turn, entry, message, reply, batch, new_session } = accepting;
        match stored {
            Ok(None) => {}
            Ok(Some(known)) => {
                self.phase = Phase::Idle;
                self.forget_if_over(&turn.run_id, &known);
                for waiting in batch.into_iter().skip(1).rev() {
                    self.waiting.push_front(waiting); // they were to go with it, and did not
                }
                if known.run_id == turn.run_id && known.state == RunState::Running {
                    // It has begun, and only the answer was lost; what it began with is on disk.
                    self.phase = Phase::Loading;
                    self.load(me);
                }
                return answer(reply, Ok(Admission::Known(Box::new(known))));
            }
            Err(error) if batch.is_empty() => {
                self.context.directory.forget(&turn.run_id);
                answer(reply, Err(error.into()));
                // It may be on disk all the same; only reading tells.
                self.phase = Phase::Loading;
                return self.load(me);
            }
            Err(error) => {
                self.phase = Phase::Idle;
                return self.back_into_the_queue(me, batch, &error);
            }
        }
        self.entry = Some(entry.clone());
        answer(reply, Ok(Admission::Started));
        for merged in batch.into_iter().skip(1) {
            self.announcer.taken_in(&merged.turn.run_id);
            self.end_in_directory(&merged.turn.run_id, Outcome::Completed { text: String::new() }, turn.accepted_at);
        }
        self.announcer.message(&message, None);
        let what = json!({ "phase": "start", "runId": turn.run_id });
        if new_session {
            self.announce_change(json!({ "reason": "create" }), true);
        }
        self.announce_change(what, true);
        self.start_run(me, turn, entry).await;
    }

    /// Turns that were accepted, and whose beginning cannot be stored now, keep their place.
    fn back_into_the_queue(&mut self, me: &Me, batch: Vec<Waiting>, error: &StoreError) {
        tracing::warn!(session = %self.key, %error, "a waiting turn cannot begin; it is tried again");
        for waiting in batch.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        waiting::hold_queue(self, me, RETRY);
    }

    async fn start_run(&mut self, me: &Me, turn: Turn, entry: SessionEntry) {
        let started_at = now_ms();
        let run_id = turn.run_id.clone();
        let session = me.clone();
        let report = Box::new(move |end: RunEnd| {
            let news = News::RunEnded { run_id, end: Box::new(end) };
            let _ = session.send_message(Mail::own(SessionMsg::News(news))); // gone: it reads the store when it is back
        });
        let args = TurnArgs { context: Arc::clone(&self.context), key: self.key.clone(), entry, turn: turn.clone() };
        let pulse = Pulse::default();
        match run_actor::spawn(RunArgs { turn: args, pulse: pulse.clone(), report }, me.get_cell()).await {
            Ok(actor) => {
                self.context.directory.begun(&turn.run_id);
                let address = Address::new("run", 1);
                address.publish(actor.clone());
                let check = Self::check_run_later(me, &turn.run_id);
                let running = Running {
                    check,
                    turn,
                    actor,
                    address,
                    asked: 0,
                    pulse,
                    warned: false,
                    started_at,
                    steered: Vec::new(),
                    aborting: false,
                    stopped_by: None,
                };
                self.phase = Phase::Running(Box::new(running));
            }
            Err(error) => {
                let end = RunEnd::failed(format!("the run did not start: {error}"));
                self.end(me, turn, end, started_at, Vec::new(), None);
            }
        }
    }

    /// A run is over: what it did goes to disk.
    ///
    /// `stopped_by`: the chat from which somebody ended it.
    pub fn end(
        &mut self,
        me: &Me,
        turn: Turn,
        end: RunEnd,
        started_at: i64,
        steered: Vec<String>,
        stopped_by: Option<&Route>,
    ) {
        let now = now_ms();
        let mut entry = self.entry.clone().unwrap_or_else(|| SessionEntry::new(new_session_id(), now));
        let untouched = entry.updated_at;
        apply_end(&mut entry, &end, now, started_at);
        if turn.heartbeat.as_deref().is_some_and(|heartbeat| record::said(heartbeat, &end.outcome).is_none()) {
            entry.updated_at = untouched;
        }
        let kept = |turn: &&Turn| self.waiting.iter().any(|waiting| waiting.turn.run_id == turn.run_id);
        // Whoever stops a run means what was said into it as well.
        let stopped = matches!(&end.outcome, Outcome::Aborted { cause: AbortCause::Rpc | AbortCause::Stop, .. });
        let unsteered = end.unsteered.iter().filter(|turn| !stopped && !kept(turn));
        let cut_off = matches!(&end.outcome, Outcome::Aborted { cause: AbortCause::Restart, .. });
        let resumed = cut_off.then(|| resume::after(&turn, now)).flatten();
        let resumed_by = resumed.as_ref().map(|turn| turn.run_id.clone());
        let replies = reply::rows(
            &self.context,
            &self.key,
            &turn,
            &end.outcome,
            ReplyEnding { goes_on: resumed.is_some(), by_himself: is_same_chat(stopped_by, &turn) },
            now,
        );
        let follow_ups: Vec<Turn> = resumed.into_iter().chain(unsteered.map(as_new_turn)).collect();
        let rows = follow_ups.iter().filter_map(|turn| self.queued_row(turn, &entry, now)).collect();
        for turn in follow_ups.into_iter().rev() {
            self.wait_first(turn, false);
        }
        let step = Arc::new(End {
            key: self.key.clone(),
            entry: entry.clone(),
            run_id: turn.run_id.clone(),
            outcome: end.outcome.clone(),
            resumed_by,
            last: end.last.clone(),
            steered,
            follow_ups: rows,
            replies,
            now,
        });
        let write = Arc::clone(&step);
        self.phase = Phase::Ending(Box::new(Ending { turn, end, started_at, entry, step }));
        self.insist(me, Ok(Arc::new(move |db: &_| step::end_once(db, &write))), News::EndStored);
    }

    /// The row of a turn that follows from another one. Plain data: it can always be written.
    pub fn queued_row(&self, turn: &Turn, entry: &SessionEntry, now: i64) -> Option<RunRecord> {
        step::run_record(&self.key, &entry.session_id, turn, RunState::Queued, now).ok()
    }

    /// A turn under a fresh id, stored or owed, that comes before all others.
    pub fn wait_first(&mut self, turn: Turn, restored: bool) {
        let known = self.context.directory.register(&turn.run_id, self.key.as_str(), turn.accepted_at, None);
        debug_assert!(known.is_ok(), "a fresh id cannot be known");
        self.waiting.push_front(Waiting { turn, stored: true, restored, steer: false, reply: None });
    }

    /// The end is on disk, or cannot be stored now: either way it is told, once. In the second case it is owed: it is
    /// written as soon as the store takes it, and before anything else of this session.
    pub fn end_stored(&mut self, me: &Me, ending: Ending, stored: Result<Option<(String, i64)>, StoreError>) {
        let Ending { turn, end, started_at, entry, step } = ending;
        self.entry = Some(entry);
        let outcome = match stored {
            Ok(placed) => {
                if let Some(last) = &end.last {
                    let shown = serde_json::to_value(crate::model::message::Message::Assistant(last.clone()));
                    self.announcer.message(&shown.unwrap_or_default(), placed.as_ref());
                }
                self.context.channels.message_stored(&step.replies);
                end.outcome.clone()
            }
            Err(error) => {
                tracing::error!(session = %self.key, run = %turn.run_id, %error, "the end of a run could not be stored yet");
                self.owe(me, Arc::new(move |db| step::end_once(db, &step).map(drop)));
                Outcome::Failed {
                    message: error.to_string(),
                    reply: crate::model::failover::OTHER.to_owned(),
                    kind: crate::run::message::FailureKind::Unknown,
                }
            }
        };
        let took = Duration::from_millis(u64::try_from(now_ms() - started_at).unwrap_or(0));
        metrics::run_completed(&turn, &outcome, &end.facts, took);
        self.phase = Phase::Idle;
        let shown = turn.heartbeat.as_ref().map(|_| record::shown(&outcome));
        self.announcer.run_ended(&turn.run_id, shown.as_ref().unwrap_or(&outcome), started_at, end.facts.seq);
        let phase = if matches!(outcome, Outcome::Failed { .. }) { "error" } else { "end" };
        self.announce_change(json!({ "phase": phase, "runId": turn.run_id }), false);
        let session_id = self.entry.as_ref().map(|entry| entry.session_id.clone()).unwrap_or_default();
        let ended = EndedRun { outcome, facts: end.facts, session_id, started_at, ended_at: now_ms() };
        self.context.directory.end(&turn.run_id, ended);
    }

    /// Stores a change of the entry and then does what follows.
    pub fn change<F>(&mut self, me: &Me, entry: Option<SessionEntry>, reason: &'static str, work: F, done: Done)
    where
        F: FnOnce(&rusqlite::Connection) -> Result<(), StoreError> + Send + 'static,
    {
        self.change = Some(Box::new(Change { entry, done, reason }));
        let receipt = self.submit(work);
        self.when_stored(me, receipt, News::Changed);
    }

    pub fn changed(&mut self, me: &Me, change: Change, stored: Result<(), StoreError>) {
        let Change { entry, done, reason } = change;
        if stored.is_ok() {
            self.entry = entry;
            self.announce_change(json!({ "reason": reason }), matches!(self.phase, Phase::Running(_)));
        }
        done(self, me, stored);
    }

    /// Asks the live run to end.
    pub fn abort_run(&mut self, cause: AbortCause, by: Option<&Route>) -> Option<String> {
        let Phase::Running(running) = &mut self.phase else { return None };
        running.aborting = true;
        running.stopped_by = by.cloned();
        let _ = running.actor.send_message(Mail::own(RunMsg::Abort(cause))); // it has ended: the news is on its way
        Some(running.turn.run_id.clone())
    }

    pub fn announce_change(&self, what: serde_json::Value, running: bool) {
        let defaults = self.context.session_defaults(&self.key);
        self.announcer.changed(what, self.entry.as_ref(), running, &defaults);
    }

    /// Takes back the ticket of a repetition, unless it is that of the run itself, whose end is still to come.
    pub fn forget_if_over(&self, asked: &str, known: &RunRecord) {
        if known.state.is_terminal() || known.run_id != asked {
            self.context.directory.forget(asked);
        }
    }

    /// Makes the live run panic. Returns whether there was one.
    #[cfg(feature = "fault-injection")]
    pub fn fail_run(&self, fault: crate::supervision::mailbox::Fault) -> bool {
        let Phase::Running(running) = &self.phase else { return false };
        running.actor.send_message(Mail::fault(fault)).is_ok()
    }

    pub fn end_in_directory(&self, run_id: &str, outcome: Outcome, started_at: i64) {
        let session_id = self.entry.as_ref().map(|entry| entry.session_id.clone()).unwrap_or_default();
        let facts = crate::run::message::RunFacts::default();
        self.context.directory.end(run_id, EndedRun { outcome, facts, session_id, started_at, ended_at: now_ms() });
    }
}

/// Answers a request; the asker may have gone.
pub fn answer(reply: Option<AdmissionReply>, admission: Result<Admission, SessionError>) {
    if let Some(reply) = reply {
        let _ = reply.send(admission); // the asker may have gone
    }
}

pub fn new_session_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A steering message that came too late is a turn of its own, under an id of its own: the id that it was sent with
/// has been answered already.
pub fn as_new_turn(turn: &Turn) -> Turn {
    let kind = if turn.kind == TurnKind::Channel { TurnKind::Channel } else { TurnKind::Chat };
    Turn { run_id: uuid::Uuid::new_v4().to_string(), kind, ..turn.clone() }
}

/// Was this asked in the chat from which somebody stops it?
pub fn is_same_chat(by: Option<&Route>, turn: &Turn) -> bool {
    let place =
        |route: &Route| (route.channel.clone(), route.account.clone(), route.target.clone(), route.thread.clone());
    by.map(place) == turn.route.as_ref().map(place)
}

fn apply_end(entry: &mut SessionEntry, end: &RunEnd, now: i64, started_at: i64) {
    entry.updated_at = Some(now);
    entry.ended_at = Some(now);
    entry.runtime_ms = u64::try_from(now - started_at).ok();
    entry.aborted_last_run = Some(matches!(end.outcome, Outcome::Aborted { .. }));
    entry.status = Some(match &end.outcome {
        Outcome::Completed { .. } => RunStatus::Done,
        Outcome::Aborted { cause: AbortCause::Timeout, .. } => RunStatus::Timeout,
        Outcome::Aborted { .. } => RunStatus::Killed,
        Outcome::Failed { .. } => RunStatus::Failed,
    });
    let facts = &end.facts;
    if facts.provider.is_empty() {
        return;
    }
    entry.model_provider = Some(facts.provider.clone());
    entry.model = Some(facts.model.clone());
    entry.context_tokens = Some(facts.context_window);
    if facts.last_call.total_tokens == 0 {
        return;
    }
    entry.system_sent = Some(true);
    entry.input_tokens = Some(facts.usage.input);
    entry.output_tokens = Some(facts.usage.output);
    entry.cache_read = Some(facts.usage.cache_read);
    entry.cache_write = Some(facts.usage.cache_write);
    entry.total_tokens = Some(facts.last_call.prompt_tokens());
    entry.total_tokens_fresh = Some(true);
    let cost = entry.estimated_cost_usd.unwrap_or(0.0) + facts.usage.cost.total;
    entry.estimated_cost_usd = (cost > 0.0).then_some(cost);
}
