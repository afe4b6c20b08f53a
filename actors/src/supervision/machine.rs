//! What a supervisor of a fixed list of children decides, as a state machine without a clock, a task or an actor.
//!
//! It is told what happened and asked what to do next; `supervisor` does it. So it can be driven by a simulation.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::life::{Check, Life, State, Then, Verdict};
use super::restart::{self, Exit, Window};
use super::spec::{ChildSpec, Exceeded, Intensity, Restart, Strategy};

/// What the supervisor has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the child with this index, then say `started` or `start_failed`.
    Start(usize),
    /// Ask it to stop.
    Stop(usize),
    Kill(usize),
    /// Stop everything and fail, for this reason.
    Escalate(String),
}

/// What became of a child, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started,
    Ended {
        exit: Exit,
        reason: String,
    },
    GaveUp {
        reason: String,
    },
    /// It went down because an operator said so.
    Stopped,
    /// It did not even end when it was killed, and was left behind.
    IgnoredKill,
}

/// What an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Restart,
    Stop,
    Start,
    /// Makes it fail; only tests ask for it.
    #[cfg(feature = "fault-injection")]
    Fault(super::mailbox::Fault),
}

/// One child of a machine.
#[derive(Debug)]
pub struct Place {
    pub spec: ChildSpec,
    pub life: Life,
    /// Has to go down and come back because of somebody else.
    cycle: Option<Then>,
}

/// The children of one supervisor.
#[derive(Debug)]
pub struct Machine {
    strategy: Strategy,
    intensity: Intensity,
    children: Vec<Place>,
    /// Restarts of all children whose failures count for the supervisor itself.
    window: Window,
    escalation: Option<String>,
    news: Vec<(usize, Event)>,
    random: StdRng,
}

impl Machine {
    /// `seed` decides the jitter of the back-offs.
    pub fn new(strategy: Strategy, intensity: Intensity, specs: &[ChildSpec], seed: u64, now: Instant) -> Self {
        let children = specs.iter().map(|&spec| Place { spec, life: Life::new(now), cycle: None }).collect();
        Self {
            strategy,
            intensity,
            children,
            window: Window::default(),
            escalation: None,
            news: Vec::new(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub fn children(&self) -> &[Place] {
        &self.children
    }

    /// What has become of the children since this was asked last.
    pub fn take_news(&mut self) -> Vec<(usize, Event)> {
        std::mem::take(&mut self.news)
    }

    /// The next thing to do; `None` when there is nothing before `wake_at` or the next news.
    pub fn next(&mut self, now: Instant) -> Option<Action> {
        if let Some(reason) = self.escalation.take() {
            return Some(Action::Escalate(reason));
        }
        for index in 0..self.children.len() {
            if self.children[index].life.is_too_slow(now) {
                return Some(Action::Kill(index));
            }
            if self.children[index].life.is_lost(now) {
                self.news.push((index, Event::IgnoredKill));
                let generation = self.children[index].life.generation;
                self.ended(index, generation, Exit::Abnormal, "ignored kill", now);
                return self.next(now);
            }
        }
        self.next_stop(now).or_else(|| self.next_start(now))
    }

    /// Children that have to go down do so one after the other, the last first.
    fn next_stop(&mut self, now: Instant) -> Option<Action> {
        for index in (0..self.children.len()).rev() {
            let child = &mut self.children[index];
            if child.life.is_going_down() {
                return None;
            }
            if !child.life.is_running() {
                continue;
            }
            if let Some(then) = child.cycle.take() {
                child.life.stop(&child.spec, then, now);
                return Some(Action::Stop(index));
            }
        }
        None
    }

    /// Where children depend on those before them, they start in order, and only when everybody who goes down has.
    fn next_start(&mut self, now: Instant) -> Option<Action> {
        let ordered = self.strategy != Strategy::OneForOne;
        if ordered && self.children.iter().any(|child| child.life.is_going_down()) {
            return None;
        }
        for (index, child) in self.children.iter_mut().enumerate() {
            if child.life.is_due(now) {
                child.cycle = None;
                child.life.starting();
                return Some(Action::Start(index));
            }
            if ordered && matches!(child.life.state, State::Waiting { .. }) {
                return None;
            }
        }
        None
    }

    /// `answered`: the number of the last ping that its mailbox saw answered.
    pub fn started(&mut self, index: usize, answered: u32, now: Instant) {
        self.children[index].life.started(answered, now);
        self.news.push((index, Event::Started));
    }

    pub fn start_failed(&mut self, index: usize, reason: &str, now: Instant) {
        let jitter = self.random.random();
        let child = &mut self.children[index];
        let verdict = child.life.start_failed(&child.spec, reason, now, jitter);
        self.judged(index, verdict, Exit::Abnormal, reason, now);
    }

    /// A child has ended. News of an older incarnation is dropped.
    pub fn ended(&mut self, index: usize, generation: u64, exit: Exit, reason: &str, now: Instant) {
        let jitter = self.random.random();
        let child = &mut self.children[index];
        if child.life.generation != generation {
            return;
        }
        child.cycle = None;
        let verdict = child.life.ended(&child.spec, exit, reason, now, jitter);
        let reason = match (verdict, child.life.last_failure()) {
            (Verdict::Again | Verdict::GaveUp, Some(failure)) if exit == Exit::Abnormal => failure.reason.clone(),
            _ => reason.to_owned(),
        };
        self.judged(index, verdict, exit, &reason, now);
    }

    fn judged(&mut self, index: usize, verdict: Verdict, exit: Exit, reason: &str, now: Instant) {
        let child = &self.children[index];
        let event = match (verdict, child.life.state) {
            (Verdict::GaveUp, _) => Event::GaveUp { reason: reason.to_owned() },
            (Verdict::Over, State::Stopped) => Event::Stopped,
            _ => Event::Ended { exit, reason: reason.to_owned() },
        };
        self.news.push((index, event));
        if verdict != Verdict::Again {
            return;
        }
        if child.spec.exceeded == Exceeded::Escalate && !self.window.record(self.intensity, now) {
            self.escalation = Some(format!("{} failed too often: {reason}", child.spec.kind));
            return;
        }
        self.cycle_with(index);
    }

    /// Those whom the strategy takes along go down and come back.
    fn cycle_with(&mut self, index: usize) {
        for other in restart::taken_along(self.strategy, self.children.len(), index) {
            let child = &mut self.children[other];
            let temporary = child.spec.restart == Restart::Temporary;
            child.cycle = Some(if temporary { Then::Finish } else { Then::StartAgain });
        }
    }

    /// Looks whether a child answered the last ping.
    pub fn check(&mut self, index: usize, answered: u32, now: Instant) -> Check {
        self.children[index].life.check(answered, now)
    }

    /// Does what an operator asks for. What runs and is to be started, or the other way round, stays as it is.
    pub fn operate(&mut self, index: usize, operation: Operation, now: Instant) {
        let child = &mut self.children[index];
        match (operation, child.life.is_running() || child.life.is_going_down()) {
            (Operation::Restart, true) => {
                child.cycle = Some(Then::StartAgain);
                self.cycle_with(index);
            }
            (Operation::Stop, true) => child.cycle = Some(Then::Stay),
            (Operation::Stop, false) => {
                child.life.state = State::Stopped;
                self.news.push((index, Event::Stopped));
            }
            (Operation::Restart | Operation::Start, false) => child.life.revive(now),
            (Operation::Start, true) => {}
            #[cfg(feature = "fault-injection")]
            (Operation::Fault(_), _) => {} // its mailbox has it
        }
    }

    /// When to ask `next` again though nothing happened. What is due already waits for somebody, not for a time.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        self.children.iter().filter_map(|child| child.life.wake_at()).filter(|&at| at > now).min()
    }

    /// Restarts in the window that decides about this child.
    pub fn restarts(&self, index: usize, now: Instant) -> usize {
        let child = &self.children[index];
        match child.spec.exceeded {
            Exceeded::Escalate => self.window.count(self.intensity.period, now),
            Exceeded::GiveUp { .. } => child.life.restarts(&child.spec, now),
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
