//! The rows of cron through looks, ends and crashes: a crash is a look at what is on disk, and nothing else.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::*;
use crate::cron::job::{Job, Schedule};
use crate::seeds::each_seed;
use crate::store::schema;

const SECOND: i64 = 1000;

fn db() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db).unwrap();
    db
}

fn add(db: &Connection, id: &str, schedule: &Schedule) -> Planned {
    let job: Job = serde_json::from_value(json!({
        "id": id, "name": "n", "enabled": true, "createdAtMs": 0, "updatedAtMs": 0, "schedule": schedule,
        "sessionTarget": "isolated", "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "m" }
    }))
    .unwrap();
    let planned = Planned::new(job, 0, &TimeZone::UTC).unwrap();
    cron::put_job(db, &planned).unwrap();
    planned
}

fn every(seconds: i64) -> Schedule {
    Schedule::Every { every_ms: seconds * SECOND, anchor_ms: Some(0) }
}

fn look(db: &Connection, now: i64, concurrent: usize) -> Round {
    let session_of = |job: &Job| format!("agent:main:cron:{}:run:x", job.id);
    Look { now, concurrent, by_hand: true, by_itself: true, host: &TimeZone::UTC, keep: 2_000, session_of: &session_of }
        .take(db)
        .unwrap()
}

fn ends(db: &Connection, run: &RunRow, status: RunStatus, now: i64) -> Option<Written> {
    let rules = |_: &Job| Rules { retry_backoff_ms: vec![30_000], retry_max: 3, alert: None };
    let after = After { host: &TimeZone::UTC, keep: 2_000, rules: &rules, alert: &|_, _| Vec::new() };
    let entry = RunEntry::new(&run.job_id, run.run_id.clone(), run.started_at.unwrap(), status, now);
    after.end(db, Over { entry, reason: None, passes: true, says: Vec::new() }).unwrap()
}

fn by_hand(db: &Connection, id: &str, job: &str, now: i64) {
    let run = RunRow {
        run_id: id.into(),
        job_id: job.into(),
        slot_at: None,
        state: RunState::Queued,
        queued_at: now,
        started_at: None,
        session_key: None,
        entry: None,
    };
    assert!(cron::add_run(db, &run).unwrap());
}

fn ids(round: &Round) -> Vec<&str> {
    round.begun.iter().map(|claim| claim.run.job_id.as_str()).collect()
}

#[test]
fn as_many_run_as_may_and_the_others_wait_for_their_turn() {
    let db = db();
    for id in ["a", "b", "c"] {
        add(&db, id, &every(60));
    }
    by_hand(&db, "manual", "c", 0);
    let first = look(&db, 60 * SECOND, 2);
    assert_eq!(ids(&first), ["c", "a"], "by hand comes first");
    assert!(first.is_full);
    let second = look(&db, 61 * SECOND, 2);
    assert!(second.begun.is_empty());
    assert_eq!((second.left.len(), second.next_at), (2, Some(60 * SECOND)), "b still waits");
    ends(&db, &first.begun[0].run, RunStatus::Ok, 62 * SECOND).unwrap();
    assert_eq!(ids(&look(&db, 62 * SECOND, 2)), ["b"]);
}

#[test]
fn a_run_ends_once_and_what_came_meanwhile_is_written_down() {
    let db = db();
    add(&db, "a", &every(10));
    let run = look(&db, 10 * SECOND, 1).begun.remove(0).run;
    assert_eq!((run.run_id.as_str(), run.slot_at), ("cron:a:10000", Some(10_000)));
    let written = ends(&db, &run, RunStatus::Ok, 35 * SECOND).unwrap();
    let missed = written.missed.unwrap();
    assert_eq!((missed.run_at_ms, missed.missed.unwrap().count), (20_000, 2));
    assert_eq!(written.entry.next_run_at_ms, Some(40_000));
    assert!(ends(&db, &run, RunStatus::Error, 36 * SECOND).is_none(), "it is over already");
    let (told, total) = cron::ended(&db, &cron::Filter::default(), 0, 9).unwrap();
    assert_eq!(total, 2);
    assert_eq!(told[0].0.status, RunStatus::Skipped);
}

#[test]
fn a_one_shot_that_is_done_is_gone_and_what_it_did_is_not() {
    let db = db();
    add(&db, "once", &Schedule::At { at: "1970-01-01T00:00:05Z".into() });
    let run = look(&db, 5 * SECOND, 1).begun.remove(0).run;
    assert!(ends(&db, &run, RunStatus::Ok, 6 * SECOND).unwrap().job.is_none());
    assert_eq!(cron::job(&db, "once").unwrap(), None);
    assert_eq!(cron::ended(&db, &cron::Filter::default(), 0, 9).unwrap().1, 1);
    assert_eq!(look(&db, 7 * SECOND, 1).next_at, None);
}

#[test]
fn what_was_asked_for_by_hand_and_has_no_job_any_more_or_is_too_old_is_not_run() {
    let db = db();
    add(&db, "a", &every(1_000_000));
    by_hand(&db, "of nobody", "gone", 0);
    by_hand(&db, "old", "a", 0);
    let round = look(&db, GRACE_MS + 1, 5);
    let told: Vec<_> = round.missed.iter().map(|(entry, _)| entry.error.as_deref().unwrap()).collect();
    assert_eq!((round.begun.len(), told), (0, vec![GONE, TOO_LATE]));
    assert!(cron::open_runs(&db).unwrap().is_empty());
}

#[test]
fn a_job_removed_while_it_runs_ends_all_the_same() {
    let db = db();
    add(&db, "a", &every(10));
    let run = look(&db, 10 * SECOND, 1).begun.remove(0).run;
    cron::delete_job(&db, "a").unwrap();
    assert!(ends(&db, &run, RunStatus::Ok, 11 * SECOND).unwrap().job.is_none());
    assert!(cron::open_runs(&db).unwrap().is_empty());
}

#[test]
fn a_start_holds_back_what_was_missed_and_frees_what_only_seems_to_run() {
    let db = db();
    let mut stuck = add(&db, "a", &every(10));
    stuck.job.state.running_at_ms = Some(3);
    cron::put_job(&db, &stuck).unwrap();
    settle(&db, 100 * SECOND, &TimeZone::UTC).unwrap();
    let settled = cron::job(&db, "a").unwrap().unwrap().job.state;
    assert_eq!((settled.running_at_ms, settled.next_run_at_ms), (None, Some(220 * SECOND)));
    assert!(look(&db, 150 * SECOND, 1).begun.is_empty());
    let round = look(&db, 220 * SECOND, 1);
    assert_eq!((round.begun[0].run.slot_at, round.missed.len()), (Some(220 * SECOND), 1));
}

/// Whatever is cut off, each slot up to the last one that was taken has one row, or lies in one row's range.
#[test]
fn after_any_crash_every_slot_has_one_run_or_one_record() {
    each_seed(300, |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let db = db();
        let periods: Vec<i64> = (0..3).map(|_| random.random_range(1..600)).collect();
        for (place, period) in periods.iter().enumerate() {
            add(&db, &place.to_string(), &every(*period));
        }
        let (mut now, mut known): (i64, Vec<RunRow>) = (0, Vec::new());
        for _ in 0..60 {
            now += random.random_range(1..120) * SECOND;
            match random.random_range(0..10) {
                0 => {
                    // The process is gone: what it knew is lost; what it had begun is found and ended as interrupted.
                    now += random.random_range(0..100_000) * SECOND;
                    known.clear();
                    settle(&db, now, &TimeZone::UTC).unwrap();
                    for run in look(&db, now, 0).left {
                        assert!(ends(&db, &run, RunStatus::Error, now).is_some());
                    }
                }
                1..=4 if !known.is_empty() => {
                    let run = known.swap_remove(0);
                    let status = if random.random_bool(0.2) { RunStatus::Error } else { RunStatus::Ok };
                    assert!(ends(&db, &run, status, now).is_some());
                }
                _ => {
                    let round = look(&db, now, 2);
                    known.extend(round.begun.into_iter().map(|claim| claim.run));
                    assert!(known.len() <= 2 && round.left.len() <= 2);
                }
            }
        }
        for (place, period) in periods.iter().enumerate() {
            let id = place.to_string();
            let covered = cron::job(&db, &id).unwrap().unwrap().standing.covered;
            let mut query =
                db.prepare("SELECT slot_at, entry FROM cron_runs WHERE job_id = ?1 ORDER BY slot_at").unwrap();
            let rows = query.query_map([&id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let mut next = period * SECOND;
            for row in rows {
                let (slot, entry): (i64, Option<String>) = row.unwrap();
                assert_eq!(slot, next, "of job {id}, every {period} s");
                let entry: Option<RunEntry> = entry.and_then(|entry| serde_json::from_str(&entry).ok());
                let last = entry.and_then(|entry| entry.missed).map_or(slot, |missed| missed.last_at_ms);
                next = last + period * SECOND;
            }
            assert_eq!(next, covered - covered % (period * SECOND) + period * SECOND, "nothing is left out");
        }
    });
}
