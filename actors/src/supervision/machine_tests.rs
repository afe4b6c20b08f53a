//! The machine driven by a seeded random world: thousands of histories, what must always hold checked at each step.
//!
//! `OPENCLAW_SEED=<n>` replays one, `OPENCLAW_SEEDS=<n>` runs that many.

use std::time::Duration;

use super::*;
use crate::seeds::each_seed;
use crate::supervision::life::State;
use crate::supervision::restart::Backoff;

/// What the world knows of one child: the incarnation that is alive, and how it takes being told to go.
#[derive(Default)]
struct Body {
    alive: Option<u64>,
    /// It was told to stop or killed, and ends when the world gets to it.
    told: bool,
    deaf: bool,
    /// It did not answer a ping.
    silent: bool,
    immortal: bool,
    starts: u64,
    stopped_by_operator: bool,
    /// An operator wants it up, though it may be temporary.
    may_come_back: bool,
    /// Failures that its supervisor saw, newest last.
    failed_at: Vec<Instant>,
}

struct World {
    machine: Machine,
    bodies: Vec<Body>,
    strategy: Strategy,
    now: Instant,
    random: StdRng,
    escalated: Option<String>,
    failures: Vec<Instant>,
}

const CORE: Intensity = Intensity::new(3, Duration::from_secs(60));
const LEAF: Intensity = Intensity::new(5, Duration::from_secs(600));

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][random.random_range(0..3)];
        let count = random.random_range(1..6);
        let specs: Vec<ChildSpec> = (0..count)
            .map(|_| {
                let restart = [Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Temporary]
                    [random.random_range(0..4)];
                let spec = ChildSpec::new("child", restart);
                let spec = if random.random_bool(0.3) { spec.backoff(Backoff::NONE) } else { spec };
                match random.random_bool(0.4) {
                    true => spec.exceeded(Exceeded::Escalate),
                    false => spec.exceeded(Exceeded::GiveUp { after: LEAF, retry: Duration::from_secs(1800) }),
                }
            })
            .collect();
        let now = Instant::now();
        let machine = Machine::new(strategy, CORE, &specs, seed, now);
        let bodies = specs.iter().map(|_| Body::default()).collect();
        Self { machine, bodies, strategy, now, random, escalated: None, failures: Vec::new() }
    }

    /// Does everything that the machine asks for now.
    fn drain(&mut self) {
        for _ in 0..200 {
            let action = self.machine.next(self.now);
            self.hear();
            match action {
                None => return,
                Some(action) => self.carry_out(action),
            }
            if self.escalated.is_some() {
                return;
            }
        }
        panic!("the machine never comes to rest");
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start(index) => self.start(index),
            Action::Stop(index) => {
                assert!(self.bodies[index].alive.is_some(), "only what lives is asked to stop");
                self.bodies[index].told = !self.bodies[index].deaf;
            }
            Action::Kill(index) => self.bodies[index].told = !self.bodies[index].immortal,
            Action::Escalate(reason) => {
                let recent = self.failures.iter().filter(|at| self.now - **at <= CORE.period).count();
                assert!(recent > CORE.restarts, "it escalates only after too many failures: {recent}");
                self.escalated = Some(reason);
            }
        }
    }

    fn start(&mut self, index: usize) {
        let place = &self.machine.children()[index];
        assert!(self.bodies[index].alive.is_none(), "two incarnations of child {index}");
        let first = place.life.generation == 1;
        assert!(first || place.spec.restart != Restart::Temporary || self.bodies[index].may_come_back);
        if self.strategy != Strategy::OneForOne {
            let children = self.machine.children();
            assert!(!children.iter().any(|child| child.life.is_going_down()), "nobody starts while others go down");
            let before = children[..index].iter().all(|child| !matches!(child.life.state, State::Waiting { .. }));
            assert!(before, "child {index} depends on those before it");
        }
        self.bodies[index].stopped_by_operator = false;
        self.bodies[index].may_come_back = false;
        if self.random.random_bool(0.05) {
            self.note_failure(index);
            return self.machine.start_failed(index, "no luck", self.now);
        }
        let body = &mut self.bodies[index];
        body.alive = Some(self.machine.children()[index].life.generation);
        body.starts += 1;
        body.told = false;
        body.deaf = self.random.random_bool(0.1);
        body.immortal = self.random.random_bool(0.02);
        self.machine.started(index, 0, self.now);
    }

    fn note_failure(&mut self, index: usize) {
        if self.machine.children()[index].spec.exceeded == Exceeded::Escalate {
            self.failures.push(self.now);
        }
        self.bodies[index].failed_at.push(self.now);
    }

    fn end(&mut self, index: usize, exit: Exit) {
        let Some(generation) = self.bodies[index].alive.take() else { return };
        let place = &self.machine.children()[index];
        let silent = std::mem::take(&mut self.bodies[index].silent);
        let exit = if silent { Exit::Abnormal } else { exit };
        if (place.life.is_running() || silent) && restart::restarts(place.spec.restart, exit) {
            self.note_failure(index);
        }
        self.machine.ended(index, generation, exit, "world", self.now);
    }

    fn step(&mut self) {
        let index = self.random.random_range(0..self.bodies.len());
        match self.random.random_range(0..100) {
            0..25 => self.end(index, Exit::Abnormal),
            25..30 => self.end(index, Exit::Normal),
            30..34 => {
                // A ping that is not answered; the mailbox still says 0.
                let running = self.machine.children()[index].life.is_running();
                let answered = if self.random.random_bool(0.5) { 0 } else { u32::MAX };
                if self.machine.check(index, answered, self.now) == Check::Silent {
                    assert!(running);
                    self.bodies[index].silent = true;
                    self.bodies[index].told = !self.bodies[index].immortal;
                }
            }
            34..38 => {
                self.bodies[index].may_come_back = true;
                self.machine.operate(index, Operation::Restart, self.now);
            }
            38..41 => {
                self.bodies[index].stopped_by_operator = true;
                self.machine.operate(index, Operation::Stop, self.now);
            }
            41..48 => {
                self.bodies[index].may_come_back = true;
                self.machine.operate(index, Operation::Start, self.now);
            }
            48..52 => {
                // News of an incarnation that is long gone changes nothing.
                let generation = self.machine.children()[index].life.generation;
                let before = self.machine.children()[index].life.state;
                self.machine.ended(index, generation.wrapping_sub(1), Exit::Abnormal, "late", self.now);
                assert_eq!(self.machine.children()[index].life.state, before);
            }
            52..80 => self.now += Duration::from_millis(self.random.random_range(0..3_000)),
            80..84 => self.now += Duration::from_secs(self.random.random_range(0..3_600)),
            _ => {
                for index in 0..self.bodies.len() {
                    if self.bodies[index].told {
                        self.end(index, Exit::Abnormal);
                    }
                }
            }
        }
    }

    /// Hears what became of whom. One whom not even a kill has ended is left behind: for the machine it is gone.
    fn hear(&mut self) {
        for (index, event) in self.machine.take_news() {
            match event {
                Event::IgnoredKill => {
                    let restart = self.machine.children()[index].spec.restart;
                    if std::mem::take(&mut self.bodies[index].silent) && restart != Restart::Temporary {
                        self.note_failure(index);
                    }
                    self.bodies[index].alive = None;
                }
                Event::GaveUp { .. } => {
                    let place = &self.machine.children()[index];
                    let Exceeded::GiveUp { after, .. } = place.spec.exceeded else { panic!("it may not be given up") };
                    let failed = self.bodies[index].failed_at.iter().filter(|at| self.now - **at <= after.period);
                    assert!(failed.count() > after.restarts, "given up only after too many failures");
                }
                Event::Started | Event::Ended { .. } | Event::Stopped => {}
            }
        }
    }

    fn agrees(&self) {
        for (index, (body, place)) in self.bodies.iter().zip(self.machine.children()).enumerate() {
            let up = place.life.is_running() || place.life.is_going_down();
            assert_eq!(body.alive.is_some(), up, "child {index}: {:?}", place.life.state);
        }
    }

    /// Left alone, everybody who should be there is there.
    fn settle(&mut self) {
        for _ in 0..500 {
            for index in 0..self.bodies.len() {
                if self.bodies[index].told {
                    self.end(index, Exit::Abnormal);
                }
            }
            self.drain();
            if self.escalated.is_some() {
                return;
            }
            match self.machine.wake_at(self.now) {
                Some(at) => self.now = at,
                None if self.bodies.iter().any(|body| body.told) => {}
                None => break,
            }
        }
        for (index, place) in self.machine.children().iter().enumerate() {
            let settled = matches!(place.life.state, State::Running { .. } | State::Stopped | State::Finished);
            assert!(settled, "child {index} is stuck: {:?}", place.life.state);
            if place.spec.restart == Restart::Permanent && !self.bodies[index].stopped_by_operator {
                assert!(place.life.is_running(), "child {index} is permanent: {:?}", place.life.state);
            }
        }
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..150 {
        world.drain();
        if world.escalated.is_some() {
            return;
        }
        world.agrees();
        world.step();
    }
    world.settle();
}

#[test]
fn thousands_of_histories_keep_what_a_supervisor_promises() {
    each_seed(5_000, run);
}

fn machine(strategy: Strategy, specs: &[ChildSpec]) -> (Machine, Instant) {
    let now = Instant::now();
    let mut machine = Machine::new(strategy, CORE, specs, 1, now);
    while let Some(Action::Start(index)) = machine.next(now) {
        machine.started(index, 0, now);
    }
    (machine, now)
}

const PERMANENT: ChildSpec = ChildSpec::new("child", Restart::Permanent);

/// What follows the failure of child 1 of three, each action carried out at once.
fn after_a_failure(strategy: Strategy) -> Vec<Action> {
    let (mut machine, now) = machine(strategy, &[PERMANENT; 3]);
    machine.ended(1, 1, Exit::Abnormal, "x", now);
    let mut actions = Vec::new();
    while let Some(action) = machine.next(now) {
        match action {
            Action::Stop(index) => machine.ended(index, 1, Exit::Normal, "shutdown", now),
            Action::Start(index) => machine.started(index, 0, now),
            _ => {}
        }
        actions.push(action);
    }
    actions
}

#[test]
fn a_strategy_stops_in_reverse_and_starts_in_order() {
    use Action::{Start, Stop};
    assert_eq!(after_a_failure(Strategy::OneForOne), [Start(1)]);
    assert_eq!(after_a_failure(Strategy::OneForAll), [Stop(2), Stop(0), Start(0), Start(1), Start(2)]);
    assert_eq!(after_a_failure(Strategy::RestForOne), [Stop(2), Start(1), Start(2)]);
}

#[test]
fn a_child_that_was_given_up_is_tried_again_on_its_schedule() {
    let (mut machine, mut now) = machine(Strategy::OneForOne, &[PERMANENT, PERMANENT]);
    for n in 1..=11 {
        machine.ended(0, n, Exit::Abnormal, "again", now);
        if n < 11 {
            now += Duration::from_secs(70);
            assert_eq!(machine.next(now), Some(Action::Start(0)), "failure {n}");
            machine.started(0, 0, now);
        }
    }
    assert_eq!(machine.take_news().last(), Some(&(0, Event::GaveUp { reason: "again".into() })));
    assert_eq!(machine.next(now + Duration::from_secs(1799)), None);
    assert!(machine.children()[1].life.is_running(), "its sibling has noticed nothing");
    assert_eq!(machine.next(now + Duration::from_secs(1800)), Some(Action::Start(0)));
}

#[test]
fn a_child_that_does_not_answer_is_killed_and_one_that_ignores_that_is_left_behind() {
    let (mut machine, mut now) = machine(Strategy::OneForOne, &[PERMANENT]);
    assert_eq!(machine.check(0, 0, now), Check::Ping(1));
    assert_eq!(machine.check(0, 1, now), Check::Ping(2), "it answered");
    assert_eq!(machine.check(0, 1, now), Check::Silent);
    now += Duration::from_secs(1);
    assert_eq!(machine.next(now), Some(Action::Start(0)));
    let words: Vec<Event> = machine.take_news().into_iter().map(|(_, event)| event).collect();
    assert!(words.contains(&Event::IgnoredKill), "{words:?}");
    assert!(machine.children()[0].life.last_failure().unwrap().reason.contains("did not answer"));
}
