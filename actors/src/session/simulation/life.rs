//! One life of a session as its actor leads it: what it does with a message, with news from the store, with its run.

use std::collections::VecDeque;

use super::super::entry::SessionEntry;
use super::super::key::SessionKey;
use super::super::queue::{self, Decision, QueueRule, QueuedTurn, Route};
use super::super::state::as_new_turn;
use super::super::waiting::{queued_turn, route_of};
use super::super::{left_over, resume, step};
use super::{CAP, News, WAITERS, World, Write};
use crate::config::settings::{QueueDrop, QueueMode};
use crate::run::conversation;
use crate::run::line::Place;
use crate::run::message::{AbortCause, FailureKind, Outcome, Turn};
use crate::store::runs::{self, RunRecord, RunState};

pub struct Life {
    pub key: SessionKey,
    pub entry: SessionEntry,
    pub mode: QueueMode,
    pub drop: QueueDrop,
    /// Which life it is; news for an earlier one is not heard.
    pub number: u64,
    pub phase: Phase,
    pub waiting: VecDeque<Waiting>,
    /// Messages that came while a step was on its way.
    pub deferred: VecDeque<Turn>,
    pub news: VecDeque<News>,
}

pub enum Phase {
    Loading,
    Idle,
    Accepting { turn: Turn, batch: Vec<Waiting>, awaited: bool },
    Running(Run),
    Ending,
    Interrupting { resumed: Vec<Turn> },
}

pub struct Waiting {
    turn: Turn,
    stored: bool,
    steer: bool,
    awaited: bool,
}

pub struct Run {
    turn: Turn,
    place: Place,
    pub called: bool,
    /// Messages that it has not looked at, all that it was told, and those on their way into the transcript.
    told: VecDeque<Turn>,
    steered: Vec<Turn>,
    taken: Vec<Turn>,
    aborting: bool,
    /// How it ended; its session has not heard of it.
    pub over: Option<Outcome>,
}

impl Life {
    pub fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) => Some(run),
            _ => None,
        }
    }

    fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Running(run) => Some(run),
            _ => None,
        }
    }

    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.waiting.is_empty() && self.deferred.is_empty() && self.news.is_empty()
    }

    fn is_between(&self) -> bool {
        match &self.phase {
            Phase::Idle => false,
            Phase::Running(run) => run.aborting,
            _ => true,
        }
    }

    fn row(&self, turn: &Turn, state: RunState, now: i64) -> RunRecord {
        step::run_record(&self.key, &self.entry.session_id, turn, state, now).unwrap()
    }
}

impl World {
    fn write(&mut self, session: usize, write: Write) {
        self.store.push_back((session, self.sessions[session].number, write));
    }

    fn acknowledge(&mut self, run: &str) {
        let row = runs::get(&self.db, run).unwrap();
        self.ledger.acknowledged(run, row.as_ref());
    }

    pub fn submit(&mut self, session: usize, turn: Turn) {
        if self.sessions[session].is_between() {
            self.sessions[session].deferred.push_back(turn);
        } else {
            self.take_up(session, turn);
        }
    }

    fn take_up(&mut self, session: usize, turn: Turn) {
        let life = &self.sessions[session];
        let is_it = |other: &Turn| other.run_id == turn.run_id;
        if life.run().is_some_and(|run| is_it(&run.turn)) || life.waiting.iter().any(|w| w.stored && is_it(&w.turn)) {
            return self.acknowledge(&turn.run_id.clone());
        }
        if life.waiting.iter().any(|waiting| is_it(&waiting.turn)) {
            return; // refused: the first is on its way
        }
        match &life.phase {
            Phase::Running(_) => self.enqueue(session, turn),
            _ if !life.waiting.is_empty() => self.wait(session, turn, false),
            _ if self.line.waiting() >= WAITERS => {} // refused
            _ => self.begin(session, turn, Vec::new(), true),
        }
    }

    fn enqueue(&mut self, session: usize, turn: Turn) {
        let life = &self.sessions[session];
        let Some(run) = life.run() else { return };
        let (route, running_route) = (route_of(&turn), route_of(&run.turn));
        let routes: Vec<Route> = life.waiting.iter().map(|waiting| route_of(&waiting.turn)).collect();
        let waiting: Vec<QueuedTurn<'_>> =
            life.waiting.iter().zip(&routes).map(|(waiting, route)| queued_turn(&waiting.turn, route)).collect();
        let rule = QueueRule { mode: life.mode, cap: CAP, drop: life.drop };
        let running = queued_turn(&run.turn, &running_route);
        match queue::admit(rule, &running, run.steered.len() < CAP, &waiting, &queued_turn(&turn, &route)) {
            Decision::Steer => self.wait(session, turn, true),
            // the run is shown a copy, which is nobody's business here
            Decision::SteerAndWait { dropped } | Decision::Wait { dropped } => {
                self.drop_waiting(session, &dropped);
                self.wait(session, turn, false);
            }
            Decision::Interrupt { dropped } => {
                self.drop_waiting(session, &dropped);
                self.abort_run(session);
                self.wait(session, turn, false);
            }
            Decision::Refuse => {}
        }
    }

    fn abort_run(&mut self, session: usize) {
        let Some(run) = self.sessions[session].run_mut() else { return };
        run.aborting = true;
        let ids: Vec<String> = run.steered.iter().chain([&run.turn]).map(|turn| turn.run_id.clone()).collect();
        self.ledger.close_runs(ids.iter().map(String::as_str));
    }

    fn drop_waiting(&mut self, session: usize, places: &[usize]) {
        let life = &mut self.sessions[session];
        let gone: Vec<Waiting> = places.iter().rev().filter_map(|place| life.waiting.remove(*place)).collect();
        if gone.is_empty() {
            return;
        }
        let ids: Vec<String> = gone.iter().map(|waiting| waiting.turn.run_id.clone()).collect();
        self.ledger.close_runs(ids.iter().map(String::as_str));
        gone.iter().filter(|waiting| waiting.awaited).for_each(|waiting| self.acknowledge(&waiting.turn.run_id));
        self.write(session, Write::Drop(ids));
    }

    /// Somebody says stop: the run and everything that waits.
    pub fn stop(&mut self, session: usize) {
        if self.sessions[session].is_between() {
            return;
        }
        self.abort_run(session);
        let all: Vec<usize> = (0..self.sessions[session].waiting.len()).collect();
        self.drop_waiting(session, &all);
    }

    fn wait(&mut self, session: usize, turn: Turn, steer: bool) {
        let now = self.now;
        let life = &mut self.sessions[session];
        let row = life.row(&turn, RunState::Queued, now);
        life.waiting.push_back(Waiting { turn, stored: false, steer, awaited: true });
        self.write(session, Write::Queue(row));
    }

    fn begin(&mut self, session: usize, turn: Turn, batch: Vec<Waiting>, awaited: bool) {
        let life = &mut self.sessions[session];
        let begin = step::Begin {
            key: life.key.clone(),
            entry: life.entry.clone(),
            run: life.row(&turn, RunState::Running, self.now),
            queued: !batch.is_empty(),
            message: conversation::user_message(&turn, &jiff::tz::TimeZone::UTC),
            words: None,
            zone: jiff::tz::TimeZone::UTC,
            archive: None,
            merged: batch.iter().skip(1).map(|waiting| waiting.turn.run_id.clone()).collect(),
            now: self.now,
        };
        life.phase = Phase::Accepting { turn, batch, awaited };
        self.write(session, Write::Begin(Box::new(begin)));
    }

    /// The session opens its next mail from the store, or hears that its run is over.
    pub fn hear(&mut self, session: usize) {
        match self.sessions[session].news.pop_front() {
            Some(News::Accepted(known)) => self.accepted(session, known),
            Some(News::Queued(run, known)) => self.queued(session, &run, known),
            Some(News::Ended) => self.sessions[session].phase = Phase::Idle,
            Some(News::Interrupted) => {
                let life = &mut self.sessions[session];
                if let Phase::Interrupting { resumed } = std::mem::replace(&mut life.phase, Phase::Idle) {
                    resumed.into_iter().rev().for_each(|turn| life.waiting.push_front(stored(turn)));
                }
            }
            Some(News::Joined) => {
                if let Some(run) = self.sessions[session].run_mut() {
                    run.taken.clear();
                }
            }
            Some(News::Loaded(open)) => self.loaded(session, open),
            Some(News::Dropped) => {}
            None => self.run_ended(session),
        }
        self.go_on(session);
    }

    fn accepted(&mut self, session: usize, known: Option<RunRecord>) {
        let life = &mut self.sessions[session];
        let Phase::Accepting { turn, mut batch, awaited } = std::mem::replace(&mut life.phase, Phase::Idle) else {
            return;
        };
        let id = turn.run_id.clone();
        if let Some(known) = known {
            batch.drain(..).skip(1).rev().for_each(|waiting| life.waiting.push_front(waiting));
            if known.run_id == id && known.state == RunState::Running {
                life.phase = Phase::Loading;
                self.write(session, Write::Load);
            }
        } else {
            let (place, none) = (self.line.join(), Vec::new);
            life.phase = Phase::Running(Run {
                turn,
                place,
                called: false,
                told: VecDeque::new(),
                steered: none(),
                taken: none(),
                aborting: false,
                over: None,
            });
        }
        if awaited {
            self.acknowledge(&id);
        }
    }

    fn queued(&mut self, session: usize, id: &str, known: Option<RunRecord>) {
        let waits = known.as_ref().is_none_or(|run| run.run_id == id && run.state == RunState::Queued);
        let life = &mut self.sessions[session];
        let Some(place) = life.waiting.iter().position(|waiting| waiting.turn.run_id == id && !waiting.stored) else {
            if waits {
                self.write(session, Write::Drop(vec![id.to_owned()]));
            }
            return;
        };
        let run = match &mut life.phase {
            Phase::Running(run) if !run.aborting => Some(run),
            _ => None,
        };
        match run {
            _ if !waits => drop(life.waiting.remove(place)),
            Some(run) if life.waiting[place].steer => {
                let turn = life.waiting.remove(place).unwrap().turn;
                run.told.push_back(turn.clone());
                run.steered.push(turn);
            }
            _ => {
                let waiting = &mut life.waiting[place];
                (waiting.stored, waiting.steer, waiting.awaited) = (true, false, false);
            }
        }
        self.acknowledge(id);
    }

    fn loaded(&mut self, session: usize, open: Vec<RunRecord>) {
        let now = self.now;
        let left = left_over::sort(open, |_| false, now);
        let life = &mut self.sessions[session];
        life.phase = Phase::Idle;
        let known: Vec<String> = life.waiting.iter().map(|waiting| waiting.turn.run_id.clone()).collect();
        life.waiting.extend(left.waiting.into_iter().filter(|turn| !known.contains(&turn.run_id)).map(stored));
        life.waiting.make_contiguous().sort_by_key(|waiting| waiting.turn.resume.is_none());
        if left.cut_off.is_empty() {
            return;
        }
        let rows = left
            .cut_off
            .iter()
            .map(|(run, next)| (run.run_id.clone(), next.as_ref().map(|turn| life.row(turn, RunState::Queued, now))));
        let step = step::Interrupt {
            replies: Vec::new(),
            key: life.key.clone(),
            entry: life.entry.clone(),
            runs: rows.collect(),
            joined: left.joined,
            now,
        };
        life.phase = Phase::Interrupting { resumed: left.cut_off.into_iter().filter_map(|(_, next)| next).collect() };
        self.write(session, Write::Interrupt(Box::new(step)));
    }

    fn go_on(&mut self, session: usize) {
        while !self.sessions[session].is_between() {
            if matches!(self.sessions[session].phase, Phase::Idle) && self.start_next(session) {
                break;
            }
            match self.sessions[session].deferred.pop_front() {
                Some(turn) => self.take_up(session, turn),
                None => break,
            }
        }
    }

    /// Returns whether the queue holds the session back.
    fn start_next(&mut self, session: usize) -> bool {
        let life = &mut self.sessions[session];
        match life.waiting.front() {
            None => return false,
            Some(front) if !front.stored => return true,
            Some(_) => {}
        }
        let routes: Vec<Route> = life.waiting.iter().map(|waiting| route_of(&waiting.turn)).collect();
        let turns = life.waiting.iter().zip(&routes).take_while(|(waiting, _)| waiting.stored);
        let turns: Vec<QueuedTurn<'_>> = turns.map(|(waiting, route)| queued_turn(&waiting.turn, route)).collect();
        let count = queue::batch(life.mode, &turns).max(1);
        let batch: Vec<Waiting> = life.waiting.drain(..count).collect();
        self.begin(session, batch[0].turn.clone(), batch, false);
        true
    }

    /// Those whose turn it is are called.
    pub fn call(&mut self) {
        while let Some(place) = self.line.call() {
            let called = self.sessions.iter_mut().filter_map(Life::run_mut).find(|run| run.place == place);
            called.expect("nobody is called who is gone").called = true;
        }
    }

    /// The run looks at what it was told, or ends.
    pub fn run_step(&mut self, session: usize) {
        let Some(run) = self.sessions[session].run_mut() else { return };
        if run.over.is_some() {
            return;
        }
        if run.aborting {
            return self.run_is_over(session, aborted(AbortCause::Stop));
        }
        if !run.called || !run.taken.is_empty() {
            return; // it waits for its place, or for the disk
        }
        if run.told.is_empty() {
            return self.run_is_over(session, Outcome::Completed { text: "x".into() });
        }
        run.taken = run.told.drain(..).collect();
        let runs = run.taken.iter().map(|turn| turn.run_id.clone()).collect();
        let into = run.turn.run_id.clone();
        self.write(session, Write::Join { runs, into });
    }

    pub fn run_is_cut_off_in_good_order(&mut self, session: usize) {
        if self.sessions[session].run().is_some_and(|run| run.over.is_none() && !run.aborting) {
            self.run_is_over(session, aborted(AbortCause::Restart));
        }
    }

    /// Its permit is free at once; its session hears of it later.
    fn run_is_over(&mut self, session: usize, outcome: Outcome) {
        let Some(run) = self.sessions[session].run_mut() else { return };
        run.over = Some(outcome);
        self.line.leave(run.place);
    }

    /// A panic: nobody knows which messages it had seen.
    pub fn run_goes_down(&mut self, session: usize) {
        let Some(run) = self.sessions[session].run_mut() else { return };
        if run.over.is_some() {
            return;
        }
        run.told = std::mem::take(&mut run.steered).into();
        run.steered = run.told.iter().cloned().collect();
        run.taken.clear();
        let ids: Vec<String> = run.steered.iter().map(|turn| turn.run_id.clone()).collect();
        self.ledger.excuse(ids.iter().map(String::as_str));
        let (message, reply) = ("down".to_owned(), "down".to_owned());
        self.run_is_over(session, Outcome::Failed { message, reply, kind: FailureKind::Unknown });
    }

    fn run_ended(&mut self, session: usize) {
        let now = self.now;
        let life = &mut self.sessions[session];
        if life.run().is_none_or(|run| run.over.is_none()) {
            return;
        }
        let Phase::Running(run) = std::mem::replace(&mut life.phase, Phase::Ending) else { return };
        let Some(outcome) = run.over else { return };
        let is_stopped = matches!(outcome, Outcome::Aborted { cause: AbortCause::Stop, .. });
        let is_cut_off = matches!(outcome, Outcome::Aborted { cause: AbortCause::Restart, .. });
        let unsteered: Vec<Turn> = run.taken.into_iter().chain(run.told).filter(|_| !is_stopped).collect();
        let resumed = is_cut_off.then(|| resume::after(&run.turn, now)).flatten();
        let resumed_by = resumed.as_ref().map(|turn| turn.run_id.clone());
        let late: Vec<Turn> = unsteered.iter().map(as_new_turn).collect();
        for (turn, new) in unsteered.iter().zip(&late) {
            self.ledger.follows(&new.run_id, &turn.run_id);
        }
        let follow_ups: Vec<Turn> = resumed.into_iter().chain(late).collect();
        let end = step::End {
            replies: Vec::new(),
            key: life.key.clone(),
            entry: life.entry.clone(),
            run_id: run.turn.run_id,
            outcome,
            resumed_by,
            last: None,
            steered: run.steered.iter().map(|turn| turn.run_id.clone()).collect(),
            follow_ups: follow_ups.iter().map(|turn| life.row(turn, RunState::Queued, now)).collect(),
            now,
        };
        follow_ups.into_iter().rev().for_each(|turn| life.waiting.push_front(stored(turn)));
        self.write(session, Write::End(Box::new(end)));
    }

    /// What it had handed to the store is still on its way there.
    pub fn session_goes_down(&mut self, session: usize) {
        if let Some(run) = self.sessions[session].run().filter(|run| run.over.is_none()) {
            self.line.leave(run.place);
        }
        self.session_comes_back(session);
    }

    pub fn session_comes_back(&mut self, session: usize) {
        let life = &mut self.sessions[session];
        life.number += 1;
        life.phase = Phase::Loading;
        life.waiting.clear();
        life.deferred.clear();
        life.news.clear();
        self.write(session, Write::Load);
    }
}

fn stored(turn: Turn) -> Waiting {
    Waiting { turn, stored: true, steer: false, awaited: false }
}

fn aborted(cause: AbortCause) -> Outcome {
    Outcome::Aborted { cause, partial: String::new() }
}
