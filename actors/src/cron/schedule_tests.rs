//! Slots held against calendars that are walked minute by minute, and against each other.

use jiff::ToSpan;
use jiff::civil::{Date, Time, date};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::seeds::each_seed;

/// Zones with a change in March and one in autumn, one of them by half an hour; one without.
pub const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"];

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn cron(expr: &str, tz: &str) -> Schedule {
    Schedule::Cron { expr: expr.into(), tz: Some(tz.into()), stagger_ms: None }
}

fn slots(schedule: &Schedule) -> Result<Slots, ScheduleError> {
    Slots::of(schedule, "job", &TimeZone::UTC)
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// All slots after `after`, up to and including `until`.
fn all(slots: &Slots, after: i64, until: i64) -> Vec<i64> {
    std::iter::successors(slots.next(after), |slot| slots.next(*slot)).take_while(|slot| *slot <= until).collect()
}

/// When the clock on the wall shows this time; of two, the first; of none, when it is put past it.
fn shown(zone: &TimeZone, day: Date, time: Time) -> i64 {
    let ambiguous = zone.to_ambiguous_zoned(day.to_datetime(time));
    match ambiguous.offset() {
        jiff::tz::AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().unwrap().timestamp() - 3.hours();
            zone.following(before).next().unwrap().timestamp().as_millisecond()
        }
        _ => ambiguous.earlier().unwrap().timestamp().as_millisecond(),
    }
}

#[test]
fn a_time_of_day_comes_once_a_day_also_when_the_clock_is_put_forward_or_back() {
    for tz in ZONES {
        let zone = TimeZone::get(tz).unwrap();
        for (hour, minute) in [(0, 0), (1, 30), (2, 0), (2, 15), (2, 30), (3, 0), (9, 0), (23, 59)] {
            let of = slots(&cron(&format!("{minute} {hour} * * *"), tz)).unwrap();
            let (first, last) = (date(2026, 1, 1), date(2026, 12, 31));
            let time = Time::new(hour, minute, 0, 0).unwrap();
            let expected: Vec<i64> =
                first.series(1.day()).take_while(|day| *day <= last).map(|day| shown(&zone, day, time)).collect();
            let found = all(&of, expected[0] - 1, expected[364]);
            assert_eq!(found, expected, "{hour}:{minute} in {tz}");
        }
    }
}

#[test]
fn what_is_due_every_so_many_minutes_follows_the_clock_on_the_wall_through_the_year() {
    for tz in ZONES {
        let zone = TimeZone::get(tz).unwrap();
        let (from, until) = (ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"));
        for (expr, every, hours) in [("*/15 * * * *", 15, 1), ("0 * * * *", 60, 1), ("*/20 */6 * * *", 20, 6)] {
            let fits = |at: &i64| {
                let shown = Timestamp::from_millisecond(*at).unwrap().to_zoned(zone.clone());
                i32::from(shown.minute()) % every == 0 && i32::from(shown.hour()) % hours == 0
            };
            let minutes = (1..=(until - from) / MINUTE).map(|minute| from + minute * MINUTE);
            let expected: Vec<i64> = minutes.filter(fits).collect();
            assert_eq!(all(&slots(&cron(expr, tz)).unwrap(), from, until), expected, "{expr} in {tz}");
        }
    }
}

#[test]
fn from_wherever_one_looks_the_slots_are_the_same() {
    each_seed(2000, |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut one = |of: &[&'static str]| of[random.random_range(0..of.len())];
        let minute = one(&["0", "30", "*/10", "15,45", "5-7"]);
        let hour = one(&["*", "2", "1-3", "*/6", "0,2,23", "3"]);
        let days = one(&["* * *", "1 * *", "* * 0", "13 * 5", "* 3,10 *", "L * *", "* * 1#2", "15W * *"]);
        let tz = one(&ZONES);
        let schedule = Schedule::Cron {
            expr: format!("{minute} {hour} {days}"),
            tz: Some(tz.into()),
            stagger_ms: random.random_bool(0.3).then_some(STAGGER_DEFAULT_MS),
        };
        let of = slots(&schedule).unwrap();
        // Around a change of the clock, in spring or in autumn.
        let change = if random.random_bool(0.5) { "2026-03-08T07:00:00Z" } else { "2026-10-25T01:00:00Z" };
        let from = ms(change) + random.random_range(-40..40) * DAY;
        let until = from + 3 * DAY;
        let whole = all(&of, from, until);
        for _ in 0..8 {
            let at = random.random_range(from..until);
            let split = whole.partition_point(|slot| *slot <= at);
            assert_eq!(of.next(at).filter(|slot| *slot <= until), whole.get(split).copied(), "{schedule:?} after {at}");
            assert_eq!(of.latest(from, at), whole[..split].last().copied(), "{schedule:?} up to {at}");
            assert_eq!(of.count(from, at), split as u64, "{schedule:?} up to {at}");
        }
    });
}

#[test]
fn an_interval_is_counted_from_its_anchor() {
    let every = |every_ms, anchor| slots(&Schedule::Every { every_ms, anchor_ms: Some(anchor) }).unwrap();
    let of = every(1000, 500);
    for (after, next) in [(0, 500), (499, 500), (500, 1500), (501, 1500), (1_000_000, 1_000_500)] {
        assert_eq!(of.next(after), Some(next), "after {after}");
    }
    assert_eq!((of.latest(0, 499), of.latest(0, 2600), of.latest(2500, 2600)), (None, Some(2500), None));
    assert_eq!((of.count(0, 499), of.count(0, 2600), of.count(500, 2600)), (0, 3, 2));
    assert_eq!(every(i64::MAX, 1).next(5), None);
    assert_eq!(slots(&Schedule::Every { every_ms: 0, anchor_ms: None }).unwrap_err(), ScheduleError::Every(0));
}

#[test]
fn once_is_once_and_utc_unless_it_says_otherwise() {
    for text in ["2026-06-01T09:00:00Z", "2026-06-01T11:00:00+02:00", "2026-06-01T09:00:00", " 2026-06-01 09:00 "] {
        let of = slots(&Schedule::At { at: text.into() }).unwrap();
        let at = ms("2026-06-01T09:00:00Z");
        assert_eq!((of.next(at - 1), of.next(at), of.latest(0, at)), (Some(at), None, Some(at)), "{text}");
        assert_eq!((of.count(0, at), of.count(at, at + 1)), (1, 0));
    }
    assert_eq!(slots(&Schedule::At { at: "soon".into() }).unwrap_err(), ScheduleError::At("soon".into()));
    assert_eq!(iso(ms("2020-01-01T00:00:00Z")), "2020-01-01T00:00:00.000Z");
}

#[test]
fn what_is_no_schedule_is_refused_with_its_field_and_the_way_out() {
    for (schedule, text) in [
        (cron("nope", "UTC"), "schedule.expr: \"nope\" is not a cron expression (it has 1 fields); write five fields"),
        (cron("61 * * * *", "UTC"), "schedule.expr: \"61 * * * *\" is not a cron expression"),
        (cron("0 0 30 2 *", "UTC"), "schedule.expr: \"0 0 30 2 *\" is never due"),
        (cron("0 9 * * *", "Mars/Base"), "schedule.tz: there is no time zone \"Mars/Base\"; write a name like"),
        (
            Schedule::Cron { expr: "0 9 * * *".into(), tz: None, stagger_ms: Some(-1) },
            "schedule.staggerMs: must be 0 or more",
        ),
    ] {
        let told = slots(&schedule).unwrap_err().to_string();
        assert!(told.starts_with(text), "{told}");
    }
}

#[test]
fn a_staggered_job_is_always_late_by_the_same() {
    let of = |id: &str| {
        let schedule = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: Some(STAGGER_DEFAULT_MS) };
        all(&Slots::of(&schedule, id, &TimeZone::UTC).unwrap(), 0, DAY)
    };
    let late: Vec<i64> = ["a", "b", "c"].map(|id| of(id)[0] % HOUR).to_vec();
    // The first four bytes of the hash of `a`, `b`, `c`, modulo five minutes.
    assert_eq!(late, [0xca97_8112_i64, 0x3e23_e816, 0x2e7d_2c03].map(|number| number % STAGGER_DEFAULT_MS));
    assert!(of("a").windows(2).all(|pair| pair[1] - pair[0] == HOUR));
    for (expr, stagger) in [
        ("0 * * * *", true),
        ("0 */2 * * *", true),
        ("0 0 * * * *", true),
        ("0 9 * * *", false),
        ("5 * * * *", false),
        ("* * * * *", false),
    ] {
        assert_eq!(default_stagger(expr).is_some(), stagger, "{expr}");
    }
}

#[test]
fn either_day_is_enough_and_words_are_understood() {
    let found = |expr: &str, count: usize| {
        let of = slots(&cron(expr, "UTC")).unwrap();
        let days = all(&of, ms("2026-01-01T00:00:00Z") - 1, ms("2026-12-31T23:59:59Z"));
        days.iter().take(count).map(|slot| iso(*slot)[..16].to_owned()).collect::<Vec<_>>()
    };
    // The 13th or a Friday.
    assert_eq!(
        found("0 0 13 * 5", 4),
        ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00", "2026-01-16T00:00"]
    );
    assert_eq!(found("0 0 L * *", 2), ["2026-01-31T00:00", "2026-02-28T00:00"]);
    assert_eq!(found("0 9 15W aug *", 1), ["2026-08-14T09:00"]);
    assert_eq!(found("30 0 9 * * mon#1", 2), ["2026-01-05T09:00", "2026-02-02T09:00"]);
    assert_eq!(found("@daily", 2), ["2026-01-01T00:00", "2026-01-02T00:00"]);
}
