//! When a schedule is due: its slots, which follow from the schedule and the job's id alone.
//!
//! Invariant: the slots are those that stepping forward from anywhere meets. A clock that is put forward moves a slot which
//! it skips to the first instant after the gap; put back, a fixed time of day comes once, at its first occurrence, and what
//! is due every so many minutes goes on being due. All times are milliseconds since the epoch.
//!
//! Source: schedules of 2026.5.12.

use croner::Cron;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::job::Schedule;

/// By how much a job of the full hour may be late, so that not all of them begin at once.
pub const STAGGER_DEFAULT_MS: i64 = 5 * 60 * 1000;
/// Longest expression, bytes.
const EXPR_MAX: usize = 256;
/// How far back it is looked for the latest slot, one after the other: the last one has all of the past.
const WINDOWS_MS: [i64; 6] = [60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 367 * 86_400_000, i64::MAX];
/// Slots that are counted one by one.
pub const COUNT_MAX: u64 = 1000;

/// Why a schedule has no slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("schedule.at: {0:?} is not a time; write it like 2026-01-31T09:00:00Z")]
    At(String),
    #[error("schedule.everyMs: must be 1 or more, not {0}")]
    Every(i64),
    #[error(
        "schedule.expr: {expr:?} is not a cron expression ({reason}); write five fields, such as \"0 9 * * 1-5\", or six with \
         seconds first"
    )]
    Expr { expr: String, reason: String },
    #[error("schedule.expr: {0:?} is never due; no date fits it")]
    Never(String),
    #[error(
        "schedule.tz: there is no time zone {0:?}; write a name like Europe/Berlin, or leave it out for that of this host"
    )]
    Zone(String),
    #[error("schedule.staggerMs: must be 0 or more, not {0}")]
    Stagger(i64),
}

/// The slots of one job.
#[derive(Debug, Clone)]
pub struct Slots(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Once(i64),
    Every { every: i64, anchor: i64 },
    Calendar { cron: Box<Cron>, zone: TimeZone, offset: i64 },
}

impl Slots {
    /// `id` decides by how much a staggered job is late; `host` is the zone of a schedule that names none.
    pub fn of(schedule: &Schedule, id: &str, host: &TimeZone) -> Result<Self, ScheduleError> {
        Ok(Self(match schedule {
            Schedule::At { at } => Kind::Once(instant(at)?),
            Schedule::Every { every_ms, .. } if *every_ms < 1 => return Err(ScheduleError::Every(*every_ms)),
            Schedule::Every { every_ms, anchor_ms } => {
                Kind::Every { every: *every_ms, anchor: anchor_ms.unwrap_or_default() }
            }
            Schedule::Cron { expr, tz, stagger_ms } => Kind::Calendar {
                cron: Box::new(parse(expr)?),
                zone: match tz {
                    Some(name) => TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.clone()))?,
                    None => host.clone(),
                },
                offset: offset(id, stagger_ms.unwrap_or_default())?,
            },
        }))
    }

    /// The first slot after an instant. `None`: there is none any more.
    pub fn next(&self, after: i64) -> Option<i64> {
        match &self.0 {
            Kind::Once(at) => (*at > after).then_some(*at),
            Kind::Every { every, anchor } if after < *anchor => Some(*anchor).filter(|_| *every > 0),
            Kind::Every { every, anchor } => anchor.checked_add(((after - anchor) / every + 1).checked_mul(*every)?),
            Kind::Calendar { cron, zone, offset } => {
                // Slots are whole seconds, so nothing lies between an instant and the second that it is in.
                let second = after.checked_sub(*offset)?.div_euclid(1000);
                let from = Timestamp::from_second(second).ok()?.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&from, false).ok()?.timestamp().as_millisecond();
                (next > second * 1000).then_some(next + offset)
            }
        }
    }

    /// The latest slot after `after`, up to and including `until`.
    pub fn latest(&self, after: i64, until: i64) -> Option<i64> {
        if let Kind::Every { every, anchor } = &self.0 {
            let last = anchor + (until.checked_sub(*anchor).filter(|since| *since >= 0)? / every) * every;
            return (last > after).then_some(last);
        }
        for window in WINDOWS_MS {
            let mut from = after.max(until.saturating_sub(window));
            let mut latest = None;
            while let Some(slot) = self.next(from).filter(|slot| *slot <= until) {
                latest = Some(slot);
                from = slot;
            }
            if latest.is_some() || from == after {
                return latest;
            }
        }
        None
    }

    /// How many slots there are after `after`, up to and including `until`; of a calendar no more than [`COUNT_MAX`].
    pub fn count(&self, after: i64, until: i64) -> u64 {
        if let (Kind::Every { every, .. }, Some(first)) = (&self.0, self.next(after)) {
            return if first > until { 0 } else { ((until - first) / every).unsigned_abs() + 1 };
        }
        let slots = std::iter::successors(self.next(after), |slot| self.next(*slot));
        slots.take_while(|slot| *slot <= until).take(usize::try_from(COUNT_MAX).unwrap_or(usize::MAX)).count() as u64
    }
}

/// By how much a job of this schedule is late if nothing is said: by up to five minutes at the full hour, else not at all.
pub fn default_stagger(expr: &str) -> Option<i64> {
    let fields: Vec<&str> = expr.split_whitespace().collect();
    let (minute, hour) = match fields.as_slice() {
        [minute, hour, _, _, _] => (*minute, *hour),
        ["0", minute, hour, ..] => (*minute, *hour),
        _ => return None,
    };
    (minute == "0" && hour.contains('*')).then_some(STAGGER_DEFAULT_MS)
}

/// Reads a time; one without an offset is UTC.
pub fn instant(text: &str) -> Result<i64, ScheduleError> {
    let text = text.trim();
    let named = text.parse::<Timestamp>().ok();
    let utc = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let found = named.or_else(utc).ok_or_else(|| ScheduleError::At(text.to_owned()))?;
    Ok(found.as_millisecond())
}

/// A time as the wire writes it.
pub fn iso(at: i64) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn parse(expr: &str) -> Result<Cron, ScheduleError> {
    let refused = |reason: String| ScheduleError::Expr { expr: expr.chars().take(EXPR_MAX).collect(), reason };
    if expr.len() > EXPR_MAX {
        return Err(refused(format!("longer than {EXPR_MAX} characters")));
    }
    let fields = expr.split_whitespace().count();
    if !expr.trim_start().starts_with('@') && !(5..=7).contains(&fields) {
        return Err(refused(format!("it has {fields} fields")));
    }
    let cron: Cron = expr.parse().map_err(|error: croner::errors::CronError| refused(error.to_string()))?;
    let some_day = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    if cron.find_next_occurrence(&some_day, true).is_err() {
        return Err(ScheduleError::Never(expr.to_owned()));
    }
    Ok(cron)
}

/// The same for the same id: not all jobs of a schedule begin at once, and each keeps its time.
fn offset(id: &str, stagger: i64) -> Result<i64, ScheduleError> {
    if stagger < 0 {
        return Err(ScheduleError::Stagger(stagger));
    }
    let digest = Sha256::digest(id);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    Ok(if stagger == 0 { 0 } else { i64::from(number) % stagger })
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
