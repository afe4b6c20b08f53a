//! Jobs driven by a seeded random world: runs that take long or fail, a gateway that is down now and then. Whatever happens,
//! every slot has one run or is in one record.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::super::schedule::{COUNT_MAX, instant, iso};
use super::*;
use crate::cron::job::Schedule;
use crate::seeds::each_seed;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"];

fn ms(text: &str) -> i64 {
    instant(text).unwrap()
}

fn rules() -> Rules {
    Rules { retry_backoff_ms: vec![30_000, 60_000, 300_000], retry_max: 3, alert: None }
}

fn job(schedule: Schedule) -> Job {
    serde_json::from_value(json!({
        "id": "job", "name": "n", "enabled": true, "createdAtMs": 0, "updatedAtMs": 0, "schedule": schedule,
        "sessionTarget": "isolated", "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "m" }
    }))
    .unwrap()
}

fn planned(schedule: Schedule, now: i64) -> Planned {
    Planned::new(job(schedule), now, &TimeZone::UTC).unwrap()
}

fn every(every_ms: i64) -> Schedule {
    Schedule::Every { every_ms, anchor_ms: Some(0) }
}

fn at(time: i64) -> Schedule {
    Schedule::At { at: iso(time) }
}

fn ended(status: RunStatus, started_at: i64, now: i64) -> End<'static> {
    let error = (status != RunStatus::Ok).then_some("it broke");
    End { status, error, passes: true, started_at, now }
}

impl Planned {
    fn begins(&mut self, now: i64) -> Begin {
        self.begin(now, &TimeZone::UTC)
    }

    fn ends(&mut self, status: RunStatus, started_at: i64, now: i64) -> Finished {
        self.finish(&ended(status, started_at, now), &rules(), &TimeZone::UTC)
    }
}

/// What became of the slots of one job.
struct World {
    planned: Planned,
    random: StdRng,
    now: i64,
    started: Option<i64>,
    /// Slots that ran, and ranges that were missed, in the order in which that was written down.
    ran: Vec<i64>,
    missed: Vec<Missed>,
}

impl World {
    fn new(schedule: Schedule, now: i64, seed: u64) -> Self {
        let (planned, random) = (planned(schedule, now), StdRng::seed_from_u64(seed));
        Self { planned, random, now, started: None, ran: Vec::new(), missed: Vec::new() }
    }

    fn begin(&mut self) {
        let was_running = self.planned.job.state.running_at_ms.is_some();
        match self.planned.begins(self.now) {
            Begin::NotDue => {}
            Begin::Run { slot, missed } => {
                assert!(!was_running, "a job never overlaps itself");
                assert!(slot <= self.now && self.now - slot <= GRACE_MS, "{slot} at {}", self.now);
                self.missed.extend(missed);
                self.ran.push(slot);
                self.started = Some(self.now);
            }
            Begin::Missed(missed) => self.missed.push(missed),
        }
    }

    fn finish(&mut self, status: RunStatus, passes: bool) {
        let Some(started_at) = self.started.take() else { return };
        let end = End { passes, ..ended(status, started_at, self.now) };
        let finished = self.planned.finish(&end, &rules(), &TimeZone::UTC);
        self.missed.extend(finished.missed);
        if let Some(next) = self.planned.job.state.next_run_at_ms {
            let pause = if status == RunStatus::Error { 30_000 } else { 0 };
            assert!(next >= self.now + pause, "it waits before it is tried again");
        }
    }

    /// Goes on until `until`, in steps of up to `step`.
    fn live(&mut self, until: i64, step: i64) {
        while self.now < until {
            self.now += self.random.random_range(1..=step);
            if self.random.random_bool(0.6) {
                let status = if self.random.random_bool(0.2) { RunStatus::Error } else { RunStatus::Ok };
                let passes = self.random.random_bool(0.5);
                self.finish(status, passes);
            }
            if self.random.random_bool(0.02) {
                // Killed; what ran is found again at the start.
                self.now += self.random.random_range(1..=40 * step);
                self.finish(RunStatus::Error, false);
                settle(std::slice::from_mut(&mut self.planned), self.now, &TimeZone::UTC);
            }
            self.begin();
        }
        self.finish(RunStatus::Ok, false);
        self.now += 2 * HOUR; // longer than anything is held back
        self.begin();
        self.finish(RunStatus::Ok, false);
    }

    /// Every slot since `start` up to the last one that is accounted for has one run or is in one record.
    fn check(&self, start: i64) {
        let slots = self.planned.slots(&TimeZone::UTC).unwrap();
        let due = std::iter::successors(slots.next(start), |slot| slots.next(*slot));
        let due: Vec<i64> = due.take_while(|slot| *slot <= self.planned.standing.covered).collect();
        let mut missed: Vec<i64> = Vec::new();
        for range in &self.missed {
            let place = |of: i64| due.partition_point(|slot| *slot < of);
            let within = &due[place(range.first)..place(range.last + 1)];
            assert_eq!((within.first(), within.last()), (Some(&range.first), Some(&range.last)));
            let exact = range.count == within.len() as u64;
            assert!(exact || (range.count == COUNT_MAX && within.len() as u64 > COUNT_MAX), "{range:?}");
            missed.extend(within);
        }
        let mut told = [self.ran.clone(), missed].concat();
        told.sort_unstable();
        assert_eq!(told, due);
        assert!(slots.latest(self.planned.standing.covered, self.now - GRACE_MS).is_none(), "nothing old is left");
        assert!(self.planned.job.state.next_run_at_ms.is_some(), "it will run again");
    }
}

#[test]
fn every_slot_of_a_year_has_one_run_or_one_record() {
    for tz in ZONES {
        for (seed, expr) in ["0 * * * *", "30 2 * * *", "15 1-3 * * 0,1"].into_iter().enumerate() {
            let schedule = Schedule::Cron { expr: expr.into(), tz: Some(tz.into()), stagger_ms: Some(300_000) };
            let start = ms("2026-01-01T00:00:00Z");
            let mut world = World::new(schedule, start, seed as u64);
            world.live(start + 366 * DAY, HOUR);
            world.check(start);
            assert!(world.ran.len() > 100, "{expr} in {tz} ran {} times", world.ran.len());
        }
    }
}

#[test]
fn whatever_happens_every_slot_has_one_run_or_one_record() {
    each_seed(300, |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let tz = Some(ZONES[random.random_range(0..4)].to_owned());
        // So often that some slots pass between two steps, and none passes between some.
        let (step, expr) = [(10_000, "*/20 * * * * *"), (10 * MINUTE, "*/7 * * * *"), (HOUR, "0 2,3 * * *")]
            [random.random_range(0..3)];
        let schedule = match random.random_bool(0.5) {
            true => every(random.random_range(step / 20..5 * step)),
            false => Schedule::Cron { expr: expr.into(), tz, stagger_ms: (step == HOUR).then_some(60_000) },
        };
        let change = if random.random_bool(0.5) { "2026-03-29T00:00:00Z" } else { "2026-10-31T12:00:00Z" };
        let start = ms(change) + random.random_range(-HOUR..HOUR);
        let mut world = World::new(schedule, start, seed);
        world.live(start + 200 * step, step);
        world.check(start);
    });
}

#[test]
fn a_one_shot_runs_once_and_again_only_after_what_may_pass() {
    each_seed(2000, |seed| {
        let mut world = World::new(at(HOUR), 0, seed);
        let step = [MINUTE, HOUR][world.random.random_range(0..2)];
        world.live(4 * DAY, step);
        let state = &world.planned.job.state;
        assert!(!world.planned.job.enabled && state.next_run_at_ms.is_none(), "it is over");
        assert!(world.ran.len() <= 1 + rules().retry_max as usize, "{:?}", world.ran);
        assert!(world.ran.first().is_none_or(|slot| *slot == HOUR));
        assert!(world.ran.windows(2).all(|pair| pair[0] < pair[1]), "each try is a slot of its own");
        assert_eq!(world.ran.is_empty(), world.missed.iter().any(|missed| missed.first == HOUR));
    });
}

#[test]
fn a_one_shot_that_succeeds_is_deleted_or_kept_and_one_that_fails_for_good_is_kept() {
    for (delete, status, passes, deleted, enabled) in [
        (None, RunStatus::Ok, false, true, false),
        (Some(true), RunStatus::Ok, false, true, false),
        (Some(false), RunStatus::Ok, false, false, false),
        (None, RunStatus::Error, false, false, false),
        (None, RunStatus::Error, true, false, true),
        (None, RunStatus::Skipped, true, false, false),
    ] {
        let mut planned = planned(at(HOUR), 0);
        planned.job.delete_after_run = delete;
        assert_eq!(planned.job.state.next_run_at_ms, Some(HOUR));
        assert_eq!(planned.begins(HOUR), Begin::Run { slot: HOUR, missed: None });
        let end = End { passes, ..ended(status, HOUR, HOUR + 5) };
        let finished = planned.finish(&end, &rules(), &TimeZone::UTC);
        assert_eq!((finished.deleted, planned.job.enabled), (deleted, enabled), "{delete:?} {status:?} {passes}");
        let next = enabled.then_some(HOUR + 5 + 30_000);
        assert_eq!(planned.job.state.next_run_at_ms, next);
    }
}

#[test]
fn a_one_shot_tried_by_hand_without_success_still_has_its_time() {
    let mut planned = planned(at(HOUR), 0);
    assert!(planned.begin_by_hand(10));
    planned.ends(RunStatus::Error, 10, 20);
    assert_eq!((planned.job.enabled, planned.job.state.next_run_at_ms), (true, Some(HOUR)));
    assert_eq!(planned.begins(HOUR), Begin::Run { slot: HOUR, missed: None });
}

#[test]
fn failures_in_a_row_wait_longer_and_a_success_starts_over() {
    let mut planned = planned(every(1000), 0);
    let mut now = 1000;
    for pause in [30_000, 60_000, 300_000, 900_000, 3_600_000, 3_600_000] {
        assert!(matches!(planned.begins(now), Begin::Run { .. }));
        planned.ends(RunStatus::Error, now, now);
        assert_eq!(planned.job.state.next_run_at_ms, Some(now + pause));
        assert_eq!(planned.begins(now + pause - 1), Begin::NotDue);
        now += pause;
    }
    assert!(matches!(planned.begins(now), Begin::Run { .. }));
    planned.ends(RunStatus::Ok, now, now);
    assert_eq!((planned.job.state.consecutive_errors, planned.job.state.last_error.as_deref()), (Some(0), None));
    assert_eq!(planned.job.state.next_run_at_ms, Some(now + REFIRE_MS));
}

#[test]
fn the_latest_missed_slot_is_caught_up_unless_it_is_too_late() {
    let mut late = planned(every(HOUR), 0);
    let missed = Missed { first: HOUR, last: 3 * HOUR, count: 3, why: Why::Superseded };
    assert_eq!(late.begins(4 * HOUR + 5), Begin::Run { slot: 4 * HOUR, missed: Some(missed) });
    assert_eq!(late.job.state.next_run_at_ms, Some(5 * HOUR));

    let mut too_late = planned(every(30 * HOUR), 0);
    let missed = Missed { first: 30 * HOUR, last: 30 * HOUR, count: 1, why: Why::TooLate };
    assert_eq!(too_late.begins(30 * HOUR + GRACE_MS + 1), Begin::Missed(missed));
    assert_eq!(too_late.job.state.next_run_at_ms, Some(60 * HOUR));

    let mut once = planned(at(HOUR), 0);
    assert!(matches!(once.begins(HOUR + GRACE_MS + 1), Begin::Missed(_)));
    assert_eq!((once.job.enabled, once.job.state.next_run_at_ms), (false, None));
}

#[test]
fn a_run_by_hand_takes_no_slot_and_does_not_overlap() {
    let mut planned = planned(every(HOUR), 0);
    assert!(planned.begin_by_hand(10));
    assert!(!planned.begin_by_hand(11));
    assert_eq!(planned.begins(HOUR), Begin::NotDue);
    let finished = planned.ends(RunStatus::Ok, 10, 50);
    assert_eq!((finished.missed, planned.job.state.next_run_at_ms), (None, Some(HOUR)));
    assert!(planned.begin_by_hand(60));
    let missed = Missed { first: HOUR, last: 2 * HOUR, count: 2, why: Why::Overrun };
    assert_eq!(planned.ends(RunStatus::Ok, 60, 2 * HOUR).missed, Some(missed));
    // One that was due before waits for its turn.
    assert!(planned.begin_by_hand(3 * HOUR));
    assert_eq!(planned.ends(RunStatus::Ok, 3 * HOUR, 3 * HOUR + 5).missed, None);
    assert_eq!(planned.begins(3 * HOUR + 5 + REFIRE_MS), Begin::Run { slot: 3 * HOUR, missed: None });
}

#[test]
fn somebody_is_told_of_failures_in_a_row_and_not_too_often() {
    let alert = Alert { after: 2, cooldown_ms: HOUR, include_skipped: false };
    let with = |include_skipped| Rules { alert: Some(Alert { include_skipped, ..alert }), ..rules() };
    let mut planned = planned(every(HOUR), 0);
    let mut told = |status, now, rules: &Rules| planned.finish(&ended(status, now, now), rules, &TimeZone::UTC).alert;
    assert_eq!(told(RunStatus::Error, 1, &with(false)), None);
    assert_eq!(told(RunStatus::Error, 2, &with(false)), Some(2));
    assert_eq!(told(RunStatus::Error, 3, &with(false)), None, "it was told just now");
    assert_eq!(told(RunStatus::Error, 2 + HOUR, &with(false)), Some(4));
    assert_eq!(told(RunStatus::Skipped, 3 * HOUR, &with(false)), None);
    assert_eq!(told(RunStatus::Skipped, 4 * HOUR, &with(true)), Some(2));
    assert_eq!(told(RunStatus::Error, 6 * HOUR, &rules()), None);
}

#[test]
fn after_a_start_what_was_missed_does_not_begin_all_at_once() {
    let mut jobs: Vec<Planned> = (0..7).map(|_| planned(every(HOUR), 0)).chain([planned(every(9 * HOUR), 0)]).collect();
    assert!(settle(&mut jobs, 2 * HOUR, &TimeZone::UTC));
    let begins: Vec<i64> = jobs.iter().filter_map(|planned| planned.job.state.next_run_at_ms).collect();
    let after = |seconds: i64| 2 * HOUR + 120_000 + seconds * 1000;
    let expected = [after(0), after(0), after(0), after(0), after(0), after(5), after(10), 9 * HOUR];
    assert_eq!(begins, expected);
    assert!(!settle(&mut jobs, 2 * HOUR, &TimeZone::UTC));
}

#[test]
fn a_schedule_that_cannot_be_computed_disables_its_job_after_three_times() {
    let mut planned = planned(every(HOUR), 0);
    planned.job.schedule = Schedule::Cron { expr: "0 9 * * *".into(), tz: Some("Mars/Base".into()), stagger_ms: None };
    for enabled in [true, true, false] {
        assert_eq!(planned.begins(HOUR), Begin::NotDue);
        assert_eq!(planned.job.enabled, enabled);
    }
    assert!(planned.job.state.last_error.as_deref().is_some_and(|error| error.contains("Mars/Base")));
}
