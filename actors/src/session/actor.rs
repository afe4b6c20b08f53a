//! The actor of one session: takes turns in, runs them one after the other, stores every step before it is seen.
//!
//! `handle` never waits for the outside: what must be on disk is handed to the store, and the session goes on when the
//! news arrives. While a step is in flight, requests that depend on its outcome are put aside and taken up in order.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use super::debts::Debt;
use super::key::SessionKey;
use super::left_over::LeftOver;
use super::message::{Loaded, News, SessionMsg};
use super::phase::{Phase, Waiting};
use super::state::{Me, RETRY, SessionState};
use super::{left_over, reply, requests, step, waiting};
use crate::metrics;
use crate::run::context::Context;
use crate::run::message::{FailureKind, Outcome, RunEnd, Turn};
use crate::run::stream::now_ms;
use crate::session::SessionEntry;
use crate::store::outbox::OutboxRow;
use crate::store::runs::RunRecord;
use crate::store::{StoreError, runs, sessions};
use crate::supervision::task::Timer;
use crate::supervision::{Ended, Mail, ended, machine, restart, spawn_linked, view};
use crate::tree::overview;

/// A session without work rests after this long: its actor ends, its rows stay.
pub const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// The same while more than `CROWD` sessions are awake.
const IDLE_LIMIT_IN_CROWD: Duration = Duration::from_secs(10);
const CROWD: usize = 1000;

/// Requests that may wait for the outcome of a step.
const DEFERRED_MAX: usize = 256;

pub struct SessionActor;

/// What a session is started with.
pub struct SessionArgs {
    pub context: Arc<Context>,
    pub key: SessionKey,
}

/// Starts the actor of one session below the sessions' group.
pub async fn spawn(args: SessionArgs, group: ActorCell) -> Result<ActorRef<Mail<SessionMsg>>, SpawnErr> {
    spawn_linked("session", SessionActor, args, group).await
}

impl Actor for SessionActor {
    type Msg = Mail<SessionMsg>;
    type State = SessionState;
    type Arguments = SessionArgs;

    async fn pre_start(&self, me: Me, args: SessionArgs) -> Result<SessionState, ActorProcessingErr> {
        let mut state = SessionState::new(args.context, args.key);
        state.load(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut SessionState) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            SessionMsg::News(news) => state.news(&me, news).await?,
            SessionMsg::Status(reply) if !matches!(state.phase, Phase::Loading) => {
                let _ = reply.send(state.status()); // the asker may have gone
            }
            SessionMsg::Rest => {
                if state.is_at_rest() {
                    me.stop(None);
                }
                return Ok(()); // wanting nothing, it puts off no rest
            }
            #[cfg(feature = "fault-injection")]
            SessionMsg::FailRun(fault, reply) => {
                let _ = reply.send(state.fail_run(fault)); // the asker may have gone
            }
            request if state.is_between() && state.deferred.len() >= DEFERRED_MAX => requests::refuse(request),
            request if state.is_between() => state.deferred.push_back(request),
            request => requests::handle(state, &me, request),
        }
        state.go_on(&me);
        Ok(())
    }

    /// A run that goes down takes nothing with it: its turn ends as failed and the session goes on.
    async fn handle_supervisor_evt(
        &self,
        me: Me,
        event: SupervisionEvent,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(Ended { cell, failure: Some(reason) }) = ended(event) else { return Ok(()) };
        if let Some(news) = state.run_went_down(&cell, &reason) {
            state.news(&me, news).await?;
        }
        state.go_on(&me);
        Ok(())
    }
}

fn load(db: &rusqlite::Connection, key: &SessionKey) -> Result<Box<Loaded>, StoreError> {
    let entry = match sessions::get(db, key.as_str())? {
        Some(record) => SessionEntry::from_value(serde_json::from_str(&record.entry)?),
        None => None,
    };
    let open = runs::open_of(db, key.as_str())?;
    Ok(Box::new(Loaded { entry, open }))
}

impl SessionState {
    async fn news(&mut self, me: &Me, news: News) -> Result<(), ActorProcessingErr> {
        match news {
            News::Loaded(Ok(loaded)) => self.loaded(me, loaded),
            News::Loaded(Err(StoreError::Restarting | StoreError::Overloaded)) => {
                drop(me.send_after(RETRY, || Mail::own(SessionMsg::News(News::LoadDue))));
            }
            News::Loaded(Err(error)) => return Err(error.into()),
            News::LoadDue => self.load(me),
            News::Accepted(stored) => {
                if let Phase::Accepting(accepting) = std::mem::replace(&mut self.phase, Phase::Idle) {
                    self.accepted(me, *accepting, stored).await;
                }
            }
            News::Queued { run_id, stored } => waiting::queued(self, me, &run_id, stored),
            // The end must be computed from what the change makes of the entry.
            News::RunEnded { .. } if self.change.is_some() => self.deferred.push_front(SessionMsg::News(news)),
            News::RunEnded { run_id, end } => self.run_ended(me, &run_id, *end),
            News::EndStored(stored) => {
                if let Phase::Ending(ending) = std::mem::replace(&mut self.phase, Phase::Idle) {
                    self.end_stored(me, *ending, stored);
                    waiting::wait_before_collecting(self, me);
                }
            }
            News::Changed(stored) => {
                if let Some(change) = self.change.take() {
                    self.changed(me, *change, stored);
                }
            }
            News::Recorded { stored: Ok(()), .. } => {
                self.context.channels.message_stored(&std::mem::take(&mut self.unsaid));
            }
            News::Recorded { debt, stored: Err(error) } => {
                tracing::warn!(session = %self.key, %error, "a change could not be stored yet");
                self.owe(me, debt);
            }
            News::PayDue => self.pay(me),
            News::Paid { count, stored } => self.paid(me, count, stored),
            News::CheckRun(run_id) => self.check_run(me, &run_id),
            News::CollectDue(timer) if timer == self.timer => self.queue_held = false,
            News::Idle(timer) if timer == self.timer && self.is_at_rest() => me.stop(None),
            News::CollectDue(_) | News::Idle(_) => {}
        }
        Ok(())
    }

    pub(super) fn load(&mut self, me: &Me) {
        let (store, key) = (self.context.store.clone(), self.key.clone());
        let (session, debts) = (me.clone(), self.debts.list());
        self.watchers.spawn("session-load", async move {
            // What an earlier life handed over last may still be on its way to disk, and must be seen; whether it got
            // there does not matter. What this one owes must be there: without it an ended run would look cut off.
            let owes = !debts.is_empty();
            let paid = store.write(move |db| debts.iter().try_for_each(|debt| debt(db))).await;
            let loaded = match paid {
                Err(_) if owes => Err(StoreError::Restarting), // tried again
                _ => store.read(move |db| load(db, &key)).await,
            };
            let _ = session.send_message(Mail::own(SessionMsg::News(News::Loaded(loaded)))); // gone: nobody waits
        });
    }

    /// What an earlier life of the session, or of the gateway, left behind.
    fn loaded(&mut self, me: &Me, loaded: Box<Loaded>) {
        self.phase = Phase::Idle;
        self.entry = loaded.entry;
        let directory = self.context.directory.clone();
        let LeftOver { cut_off, joined, waiting, unwanted, unreadable } =
            left_over::sort(loaded.open, |run| directory.get(run).is_some(), now_ms());
        for (run, error) in unreadable {
            tracing::error!(%run, %error, "a queued turn cannot be read; it stays in the store");
        }
        waiting::record_dropped(self, me, &unwanted, Vec::new());
        for turn in waiting {
            if self.waiting.iter().any(|waiting| waiting.turn.run_id == turn.run_id) {
                continue; // it was read again, and has waited here all along
            }
            let _ = directory.register(&turn.run_id, self.key.as_str(), turn.accepted_at, None); // or it has a ticket
            self.waiting.push_back(Waiting { turn, stored: true, restored: true, steer: false, reply: None });
        }
        self.waiting.make_contiguous().sort_by_key(|waiting| waiting.turn.resume.is_none());
        if !cut_off.is_empty() {
            self.interrupt(me, cut_off, joined);
        }
    }

    /// Runs that were cut off are marked as interrupted, and whoever still waits is told.
    fn interrupt(&mut self, me: &Me, cut_off: Vec<(RunRecord, Option<Turn>)>, joined: Vec<(String, String)>) {
        let now = now_ms();
        let Some(mut entry) = self.entry.clone() else { return };
        entry.status = Some(crate::protocol::session::RunStatus::Failed);
        entry.ended_at = Some(now);
        entry.aborted_last_run = Some(true);
        let (runs, resumed): (Vec<RunRecord>, Vec<Option<Turn>>) = cut_off.into_iter().unzip();
        resumed.iter().for_each(|next| metrics::session_recovery(next.is_some()));
        let rows = resumed.iter().map(|turn| self.queued_row(turn.as_ref()?, &entry, now));
        let unanswered = runs.iter().zip(&resumed).filter(|(_, next)| next.is_none());
        let unanswered = unanswered.filter_map(|(run, _)| serde_json::from_str::<Turn>(&run.request).ok());
        let replies: Vec<OutboxRow> =
            unanswered.flat_map(|turn| reply::of_cut_off(&self.context, &self.key, &turn, now)).collect();
        let step = step::Interrupt {
            key: self.key.clone(),
            entry: entry.clone(),
            replies: replies.clone(),
            runs: runs.iter().map(|run| run.run_id.clone()).zip(rows).collect(),
            joined,
            now,
        };
        let debt: Debt = Arc::new(move |db| step::interrupt(db, &step));
        let write = Arc::clone(&debt);
        self.change(
            me,
            Some(entry),
            "abort",
            move |db| write(db),
            Box::new(move |state, me, stored| {
                if let Err(error) = stored {
                    tracing::error!(session = %state.key, %error, "interrupted runs could not be recorded yet");
                    state.owe(me, debt);
                }
                for run in &runs {
                    tracing::warn!(session = %state.key, run = %run.run_id, "run interrupted by a restart");
                    let outcome = RunEnd::failed("interrupted by a restart".into()).outcome;
                    state.announcer.run_ended(&run.run_id, &outcome, run.accepted_at, 0);
                    state.end_in_directory(&run.run_id, outcome, run.accepted_at);
                }
                state.context.channels.message_stored(&replies);
                for turn in resumed.into_iter().flatten().rev() {
                    state.wait_first(turn, true);
                }
            }),
        );
    }

    fn run_ended(&mut self, me: &Me, run_id: &str, mut end: RunEnd) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Running(running) if running.turn.run_id == run_id => {
                end.unsteered.extend(running.steered.iter().skip(end.opened).cloned());
                let steered = running.steered.into_iter().map(|turn| turn.run_id).collect();
                self.end(me, running.turn, end, running.started_at, steered, running.stopped_by.as_ref());
            }
            other => self.phase = other, // news of a run that was given up
        }
    }

    /// The end of the live run, if it is the one that went down.
    ///
    /// Nobody knows which of the messages that were steered into it reached the model: each becomes a turn of its own,
    /// rather than being lost.
    fn run_went_down(&mut self, cell: &ActorCell, reason: &str) -> Option<News> {
        let Phase::Running(running) = &mut self.phase else { return None };
        if running.actor.get_id() != cell.get_id() {
            return None; // an older run
        }
        let run_id = running.turn.run_id.clone();
        self.context.overview.note(&view::News {
            path: view::join(&overview::session_path(self.key.as_str()), &run_id),
            kind: "run",
            event: &machine::Event::Ended { exit: restart::Exit::Abnormal, reason: reason.to_owned() },
            generation: 1,
            restarts: 0,
            next_retry: None,
        });
        let failed = RunEnd::failed(format!("the run went down: {reason}"));
        let end = RunEnd { unsteered: running.steered.clone(), ..failed };
        Some(News::RunEnded { run_id, end: Box::new(end) })
    }

    /// Takes the next thing up, if nothing is in flight: first the turn that waits longest, then what was put aside.
    fn go_on(&mut self, me: &Me) {
        if let Some(place) = self.deferred.iter().position(|held| matches!(held, SessionMsg::News(_)))
            && self.change.is_none()
            && let Some(SessionMsg::News(News::RunEnded { run_id, end })) = self.deferred.remove(place)
        {
            self.run_ended(me, &run_id, *end);
        }
        while !self.is_between() {
            if matches!(self.phase, Phase::Idle) && !self.queue_held && waiting::start_next(self, me) {
                break;
            }
            match self.deferred.pop_front() {
                Some(request) => requests::handle(self, me, request),
                None => break,
            }
        }
        if self.is_at_rest() && self.rest.is_none() {
            self.timer += 1;
            let timer = self.timer;
            let limit = idle_limit(self.context.sessions.len());
            let due = me.send_after(limit, move || Mail::own(SessionMsg::News(News::Idle(timer))));
            self.rest = Some(Timer::of(&due));
        } else if !self.is_at_rest() {
            self.rest = None;
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Idle)
            && self.change.is_none()
            && self.waiting.is_empty()
            && self.deferred.is_empty()
            && self.debts.is_empty()
    }
}

fn idle_limit(awake: usize) -> Duration {
    if awake > CROWD { IDLE_LIMIT_IN_CROWD } else { IDLE_LIMIT }
}

impl RunEnd {
    /// The end of a run that has nothing to say for itself.
    pub fn failed(message: String) -> Self {
        let outcome =
            Outcome::Failed { message, reply: crate::model::failover::OTHER.to_owned(), kind: FailureKind::Unknown };
        Self {
            outcome,
            last: None,
            unsteered: Vec::new(),
            opened: usize::MAX,
            facts: crate::run::message::RunFacts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_rest_sooner_in_a_crowd() {
        assert_eq!([1, CROWD].map(idle_limit), [IDLE_LIMIT; 2]);
        assert_eq!(idle_limit(CROWD + 1), IDLE_LIMIT_IN_CROWD);
    }
}
