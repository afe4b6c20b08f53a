//! Short lives of a few sessions, driven by a seed: messages come, runs end, the store is slow, sessions and
//! the whole process go down between any two steps.
//!
//! What decides is the real thing: `queue`, `left_over`, `resume`, the lane's line, and the transactions of `step` on a
//! real database. Only the actor around them is played here, in `life`. `ledger` knows what was promised to whom.

mod ledger;
mod life;

use std::cell::Cell;
use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

use super::entry::SessionEntry;
use super::key::SessionKey;
use super::{resume, step};
use crate::config::settings::{QueueDrop, QueueMode};
use crate::run::line::Line;
use crate::run::message::Turn;
use crate::seeds::each_seed;
use crate::store::runs::{self, RunRecord, RunState};
use crate::store::schema;
use ledger::Ledger;
use life::{Life, Phase, Run};

const SESSIONS: usize = 3;
/// Waiting turns of one session; small, so that it is full often.
const CAP: usize = 3;
/// Runs that may wait for the line before new messages are refused.
const WAITERS: usize = 2;
const STEPS: usize = 60;

/// A write on its way to disk.
enum Write {
    Begin(Box<step::Begin>),
    Queue(RunRecord),
    End(Box<step::End>),
    Interrupt(Box<step::Interrupt>),
    Drop(Vec<String>),
    Join {
        runs: Vec<String>,
        into: String,
    },
    /// The read of a session that comes back; it sees every write before it.
    Load,
}

/// What a session hears of its write.
enum News {
    Accepted(Option<RunRecord>),
    Queued(String, Option<RunRecord>),
    Ended,
    Interrupted,
    Dropped,
    Joined,
    Loaded(Vec<RunRecord>),
}

struct World {
    random: StdRng,
    db: Connection,
    /// Writes that no commit has taken yet: the session, its life, the write.
    store: VecDeque<(usize, u64, Write)>,
    sessions: Vec<Life>,
    line: Line,
    width: usize,
    ledger: Ledger,
    messages: usize,
    now: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let db = DATABASE.take().unwrap_or_else(new_database);
        db.execute_batch("DELETE FROM runs; DELETE FROM sessions; DELETE FROM entries; DELETE FROM transcripts;")
            .unwrap();
        let width = random.random_range(1..3);
        let sessions = (0..SESSIONS)
            .map(|number| Life {
                key: SessionKey::from_stored(format!("agent:main:{number}")),
                entry: SessionEntry::new(format!("session-{number}"), 1),
                mode: [
                    QueueMode::Steer,
                    QueueMode::Followup,
                    QueueMode::Collect,
                    QueueMode::Interrupt,
                    QueueMode::SteerBacklog,
                ][random.random_range(0..5)],
                drop: [QueueDrop::Summarize, QueueDrop::New][random.random_range(0..2)],
                number: 1,
                phase: Phase::Idle,
                waiting: VecDeque::new(),
                deferred: VecDeque::new(),
                news: VecDeque::new(),
            })
            .collect();
        let (line, ledger) = (Line::new(width), Ledger::default());
        Self { random, db, store: VecDeque::new(), sessions, line, width, ledger, messages: 0, now: 10 }
    }

    fn any_session(&mut self) -> usize {
        self.random.random_range(0..SESSIONS)
    }

    fn step(&mut self) {
        self.now += 1;
        let session = self.any_session();
        match self.random.random_range(0..100) {
            0..22 => {
                let number = if self.messages > 0 && self.random.random_bool(0.15) {
                    self.random.random_range(0..self.messages) // sent again: who asks does not know, or does not trust it
                } else {
                    self.messages += 1;
                    self.messages - 1
                };
                let session = number % SESSIONS;
                self.submit(session, message(number, self.now));
            }
            22..45 => self.commit(),
            45..68 => self.hear(session),
            68..86 => self.run_step(session),
            86..88 => self.stop(session),
            88..90 => self.run_goes_down(session),
            90..93 => self.session_goes_down(session),
            93..96 => self.process_goes_down(),
            96..98 => self.run_is_cut_off_in_good_order(session),
            _ => {
                self.width = self.random.random_range(1..3);
                self.line.resize(self.width);
            }
        }
        self.call();
        self.check();
    }

    /// The writer takes the next one; sometimes its answer is lost, and it is handed in again.
    fn commit(&mut self) {
        let Some((session, life, write)) = self.store.pop_front() else { return };
        let mut news = self.apply(session, &write);
        if self.random.random_bool(0.1) && !matches!(write, Write::Load) {
            news = self.apply(session, &write);
        }
        self.check_rows(session);
        let place = &mut self.sessions[session];
        if place.number == life {
            place.news.push_back(news);
        }
    }

    fn apply(&mut self, session: usize, write: &Write) -> News {
        let db = &self.db;
        match write {
            Write::Begin(begin) => {
                let before = runs::open_of(db, begin.key.as_str()).unwrap();
                let known = step::begin(db, begin).unwrap();
                if known.is_none() {
                    self.ledger.begun(begin, &before);
                }
                News::Accepted(known)
            }
            Write::Queue(run) => News::Queued(run.run_id.clone(), step::queue(db, run).unwrap()),
            Write::End(end) => {
                let was_open = runs::get(db, &end.run_id).unwrap().is_some_and(|run| !run.state.is_terminal());
                step::end_once(db, end).unwrap();
                if was_open {
                    self.ledger.ended(end);
                }
                News::Ended
            }
            Write::Interrupt(step) => {
                let open = runs::open_of(db, step.key.as_str()).unwrap();
                step::interrupt(db, step).unwrap();
                self.ledger.interrupted(step, &open);
                News::Interrupted
            }
            Write::Drop(runs) => {
                step::drop_queued(db, runs, self.now).unwrap();
                News::Dropped
            }
            Write::Join { runs, into } => {
                for run in runs {
                    runs::join(db, run, into, self.now).unwrap();
                }
                self.ledger.joined(runs, into);
                News::Joined
            }
            Write::Load => News::Loaded(runs::open_of(db, self.sessions[session].key.as_str()).unwrap()),
        }
    }

    /// A `kill -9`: of what was on its way to disk, some gets there.
    fn process_goes_down(&mut self) {
        for _ in 0..self.random.random_range(0..=self.store.len()) {
            if let Some((session, _, write)) = self.store.pop_front() {
                self.apply(session, &write);
            }
        }
        self.store.clear();
        self.line = Line::new(self.width);
        (0..SESSIONS).for_each(|session| self.session_comes_back(session));
    }

    /// What the database says of a session after a write of it.
    fn check_rows(&self, session: usize) {
        let open = runs::open_of(&self.db, self.sessions[session].key.as_str()).unwrap();
        let live = open.iter().filter(|run| run.state == RunState::Running && runs::joined(run).is_none()).count();
        assert!(live <= 1, "two runs of one session: {open:?}");
    }

    fn check(&self) {
        let running: Vec<&Run> = self.sessions.iter().filter_map(Life::run).collect();
        let at_work = running.iter().filter(|run| run.called && run.over.is_none()).count();
        assert_eq!(self.line.running(), at_work, "a permit without a run, or a run without a permit");
        assert!(self.line.waiting() == 0 || self.line.running() >= self.width, "somebody waits for nothing");
    }

    /// No more accidents: everything that was accepted comes to its end.
    fn settle(&mut self) {
        for _ in 0..2_000 {
            self.now += 1;
            self.commit();
            for session in 0..SESSIONS {
                self.hear(session);
                self.run_step(session);
            }
            self.call();
            self.check();
            if self.store.is_empty() && self.sessions.iter().all(Life::is_at_rest) {
                break;
            }
        }
        for session in &self.sessions {
            assert!(session.is_at_rest(), "{} never comes to rest", session.key);
            let open = runs::open_of(&self.db, session.key.as_str()).unwrap();
            assert!(open.is_empty(), "left lying: {open:?}");
        }
        assert_eq!((self.line.running(), self.line.waiting()), (0, 0));
        self.ledger.is_settled();
    }
}

fn message(number: usize, now: i64) -> Turn {
    let turn = serde_json::json!({
        "runId": format!("m{number}"), "kind": "chat", "text": format!("message {number}"), "acceptedAt": now,
    });
    serde_json::from_value(turn).unwrap()
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    DATABASE.set(Some(world.db)); // making a new one takes longer than a whole history
}

thread_local! {
    static DATABASE: Cell<Option<Connection>> = const { Cell::new(None) };
}

fn new_database() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db).unwrap();
    db
}

#[test]
fn many_lives_keep_what_was_promised_to_whoever_sent_a_message() {
    each_seed(300, history);
}

#[test]
fn a_message_is_taken_up_so_often_and_then_kept_as_dead() {
    let mut world = World::new(1);
    world.submit(0, message(0, 1));
    for _ in 0..=resume::MAX {
        for _ in 0..10 {
            world.commit();
            world.hear(0);
            world.call();
        }
        assert!(world.sessions[0].run().is_some(), "it is taken up again");
        world.process_goes_down();
    }
    world.settle();
    assert_eq!(runs::dead(&world.db).unwrap(), 1);
}
