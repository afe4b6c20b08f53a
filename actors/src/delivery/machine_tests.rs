//! The outbox as a machine: thousands of random histories of sends, refusals, lost answers and crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

use super::machine::{self, Attempt, RETRIES};
use crate::seeds::each_seed;
use crate::store::outbox::{self, OutboxRow, SendState};
use crate::store::schema;

fn row(id: &str, target: &str) -> OutboxRow {
    OutboxRow { id: id.into(), target: target.into(), ..outbox::tests::row(id, target) }
}

#[test]
fn a_failure_is_tried_again_with_longer_pauses_and_then_given_up() {
    let failed = Attempt::Failed { error: "connection refused".into() };
    let mut pauses = Vec::new();
    let tried = |attempts| OutboxRow { state: SendState::Sending, attempts, ..row("r:0", "c") };
    for attempts in 1..=RETRIES.len() as u32 {
        let change = machine::after(&failed, &tried(attempts), false, 1_000);
        assert_eq!(change.state, SendState::Pending);
        pauses.push((change.next_at - 1_000) / 1_000);
    }
    assert_eq!(pauses, [5, 25, 120, 600, 600]);
    assert_eq!(machine::after(&failed, &tried(6), false, 0).state, SendState::Failed);
}

#[test]
fn what_may_have_arrived_is_repeated_only_where_the_platform_notices() {
    let unclear = Attempt::Unclear { error: "timed out".into() };
    let sending = OutboxRow { state: SendState::Sending, attempts: 1, ..row("r:0", "c") };
    let again = machine::after(&unclear, &sending, true, 0);
    assert_eq!((again.state, again.doubt), (SendState::Pending, true));
    let doubtful = OutboxRow { doubt: true, ..sending.clone() };
    let refused = Attempt::Refused { error: "chat not found".into() };
    assert_eq!(
        machine::after(&refused, &doubtful, true, 0).state,
        SendState::Unknown,
        "an earlier try may have arrived"
    );
    assert_eq!(machine::after(&unclear, &sending, false, 0).state, SendState::Unknown);
    assert_eq!(machine::cut_off(&sending, true, 7).state, SendState::Pending);
    assert_eq!(machine::cut_off(&sending, false, 7).state, SendState::Unknown);
    let often = OutboxRow { attempts: 99, ..sending };
    assert_eq!(
        machine::cut_off(&often, true, 7).state,
        SendState::Unknown,
        "one that takes its gateway down each time"
    );
}

#[test]
fn a_platform_that_wants_us_to_wait_costs_no_try() {
    let later = Attempt::Later { after: Duration::from_secs(3) };
    let change = machine::after(&later, &OutboxRow { attempts: 4, ..row("r:0", "c") }, false, 1_000);
    assert_eq!((change.state, change.attempts, change.next_at), (SendState::Pending, 3, 4_000));
    let at_once = Attempt::Later { after: Duration::ZERO };
    assert_eq!(machine::after(&at_once, &row("r:0", "c"), false, 1_000).next_at, 2_000);
    assert_eq!(machine::after(&later, &row("r:0", "c"), false, 90_000_000).state, SendState::Failed, "not for ever");
}

/// One account, its chats, and what the platform has really got.
struct World {
    rng: StdRng,
    db: Connection,
    repeatable: bool,
    now: i64,
    /// Parts on their way in this incarnation.
    flying: BTreeSet<String>,
    /// How often the platform took each part.
    arrived: BTreeMap<String, u32>,
    /// Each chat as a person reads it.
    read: BTreeMap<String, Vec<String>>,
    queued: Vec<(String, String)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let repeatable = rng.random();
        Self {
            rng,
            db,
            repeatable,
            now: 1_000,
            flying: BTreeSet::new(),
            arrived: BTreeMap::new(),
            read: BTreeMap::new(),
            queued: Vec::new(),
        }
    }

    fn queue(&mut self) {
        let source = format!("m{}", self.queued.len());
        let target = format!("chat-{}", self.rng.random_range(0..3));
        for part in 0..self.rng.random_range(1..4) {
            let id = format!("{source}:{part}");
            let part = OutboxRow { queued_at: self.now, next_at: self.now, ..row(&id, &target) };
            assert!(outbox::add(&self.db, &part).unwrap());
            assert!(!outbox::add(&self.db, &part).unwrap(), "said once, however often it is asked for");
            self.queued.push((id, target.clone()));
        }
    }

    /// The sender looks: whatever is due is marked on disk, and only then on its way.
    fn look(&mut self) {
        let heads = outbox::heads(&self.db, "webhook", "default", 64).unwrap();
        let (due, _) = machine::due(heads, self.now);
        for row in due {
            assert!(outbox::change(&self.db, &row.id, &[SendState::Pending], &machine::claim(&row), self.now).unwrap());
            if self.rng.random_bool(0.05) {
                return self.crash(); // on disk, and nothing has left
            }
            if self.rng.random_bool(0.05) {
                // On disk, and the sender has not learnt it.
                let claimed = outbox::get(&self.db, &row.id).unwrap().unwrap();
                self.settle(&claimed, &machine::unclaim(&claimed));
                continue;
            }
            self.flying.insert(row.id);
        }
    }

    fn take(&mut self, row: &OutboxRow) {
        let times = self.arrived.entry(row.id.clone()).or_default();
        *times += 1;
        if *times == 1 {
            self.read.entry(row.target.clone()).or_default().push(row.id.clone());
        }
    }

    /// One of those on their way comes to its end.
    fn land(&mut self) {
        let Some(id) = self.flying.iter().nth(self.rng.random_range(0..self.flying.len().max(1))).cloned() else {
            return;
        };
        self.flying.remove(&id);
        let row = outbox::get(&self.db, &id).unwrap().unwrap();
        let attempt = match self.rng.random_range(0..10) {
            0 => Attempt::Later { after: Duration::from_secs(self.rng.random_range(1..60)) },
            1 => Attempt::Failed { error: "503".into() },
            2 => Attempt::Refused { error: "chat not found".into() },
            3 => {
                if self.rng.random() {
                    self.take(&row);
                }
                Attempt::Unclear { error: "timed out".into() }
            }
            _ => {
                self.take(&row);
                Attempt::Sent { receipt: "{}".into() }
            }
        };
        if self.rng.random_bool(0.05) {
            return self.crash(); // the platform knows, we do not
        }
        let change = machine::after(&attempt, &row, self.repeatable, self.now);
        self.settle(&row, &change);
    }

    fn settle(&mut self, row: &OutboxRow, change: &outbox::Change) {
        assert!(outbox::change(&self.db, &row.id, &[SendState::Sending], change, self.now).unwrap());
        if change.state.is_dead() {
            outbox::fail_rest(&self.db, row, "the part before it did not arrive", self.now).unwrap();
        }
    }

    /// The sender starts again and finds what it had sent.
    fn crash(&mut self) {
        self.flying.clear();
        for row in outbox::open(&self.db, "webhook", "default", 1_000).unwrap() {
            if row.state == SendState::Sending {
                let change = machine::cut_off(&row, self.repeatable, self.now);
                self.settle(&row, &change);
            }
        }
    }

    fn check(&self) {
        let rows = outbox::list(&self.db, &outbox::Filter::default(), 10_000).unwrap();
        assert_eq!(rows.len(), self.queued.len(), "no row is lost");
        for row in &rows {
            let arrived = self.arrived.get(&row.id).copied().unwrap_or(0);
            assert!(
                self.repeatable || arrived <= 1,
                "{} arrived {arrived} times at a platform that does not notice",
                row.id
            );
            match row.state {
                SendState::Sent => assert!(arrived > 0, "{} counts as sent and never arrived", row.id),
                SendState::Failed => assert_eq!(arrived, 0, "{} counts as failed and arrived", row.id),
                _ => {}
            }
            assert_eq!(row.state == SendState::Sending, self.flying.contains(&row.id), "{} is {:?}", row.id, row.state);
        }
        let mut chats: Vec<&str> = self.flying.iter().map(|id| self.target(id)).collect();
        let count = chats.len();
        chats.sort_unstable();
        chats.dedup();
        assert_eq!(chats.len(), count, "one part at a time in each chat");
        for (chat, read) in &self.read {
            let order: Vec<&String> = self
                .queued
                .iter()
                .filter(|(id, target)| target == chat && read.contains(id))
                .map(|(id, _)| id)
                .collect();
            assert_eq!(read.iter().collect::<Vec<_>>(), order, "{chat} is read in order");
        }
    }

    fn target(&self, id: &str) -> &str {
        &self.queued.iter().find(|(queued, _)| queued == id).unwrap().1
    }
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..60 {
        match world.rng.random_range(0..10) {
            0 | 1 => world.queue(),
            2..=4 => world.look(),
            5..=7 => world.land(),
            8 => world.now += world.rng.random_range(1_000..700_000),
            _ if world.rng.random_bool(0.3) => world.crash(),
            _ => {}
        }
        world.check();
    }
    // When nothing more comes and time goes on, everything comes to an end.
    for _ in 0..2_000 {
        world.look();
        while !world.flying.is_empty() {
            world.land();
        }
        world.check();
        world.now += 600_000;
        if outbox::open(&world.db, "webhook", "default", 1).unwrap().is_empty() {
            return;
        }
    }
    panic!("the outbox is never empty");
}

#[test]
fn whatever_happens_nothing_is_lost_said_twice_or_out_of_order() {
    each_seed(300, history);
}
