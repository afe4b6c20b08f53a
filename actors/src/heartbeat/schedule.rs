//! When an agent is woken: at times that follow from the clock and from who it is, never from a chain of timers.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::hours::Hours;

/// Openings of the active hours that are tried until a beat falls into one.
const OPENINGS: usize = 64;

/// How far the beats of this agent stand from a multiple of the interval, milliseconds: gateways and agents do not all wake at
/// the same moment. The seed is the id of the device.
pub fn phase(seed: &str, agent: &str, every: Duration) -> i64 {
    let digest = Sha256::digest(format!("{seed}:{agent}"));
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    i64::from(number).rem_euclid(millis(every))
}

/// The first beat later than `after` that falls into the active hours; `None` when there is none for a week.
pub fn next(after: Timestamp, every: Duration, phase: i64, hours: Option<&Hours>) -> Option<Timestamp> {
    let mut due = beat_after(after, every, phase)?;
    let Some(hours) = hours else { return Some(due) };
    for _ in 0..OPENINGS {
        if hours.contain(due) {
            return Some(due);
        }
        let opening = hours.opening(due)?;
        due = beat_after(Timestamp::from_millisecond(opening.as_millisecond() - 1).ok()?, every, phase)?;
    }
    None
}

/// Strictly later than `after`.
fn beat_after(after: Timestamp, every: Duration, phase: i64) -> Option<Timestamp> {
    let (after, every) = (after.as_millisecond(), millis(every));
    let since = (after - phase).rem_euclid(every);
    Timestamp::from_millisecond(after - since + every).ok()
}

fn millis(every: Duration) -> i64 {
    i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::super::hours::HoursKeys;
    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(start: &str, end: &str) -> Hours {
        let keys = HoursKeys { start: start.into(), end: end.into(), timezone: Some("Europe/Berlin".into()) };
        Hours::read(&keys, &TimeZone::UTC).unwrap()
    }

    #[test]
    fn beats_come_at_their_phase_and_strictly_later() {
        let now = at("2026-11-21T10:00:00Z");
        assert_eq!(next(now, HALF_AN_HOUR, 0, None), Some(at("2026-11-21T10:30:00Z")));
        assert_eq!(next(now, HALF_AN_HOUR, 60_000, None), Some(at("2026-11-21T10:01:00Z")));
    }

    #[test]
    fn the_phase_follows_from_device_and_agent() {
        let of = |seed, agent| phase(seed, agent, HALF_AN_HOUR);
        assert_eq!(of("device", "main"), of("device", "main"));
        assert_ne!(of("device", "main"), of("device", "ops"));
        assert!((0..1_800_000).contains(&of("other", "main")));
    }

    #[test]
    fn outside_the_active_hours_the_first_beat_inside_is_due() {
        let night = at("2026-11-21T22:10:00Z"); // 23:10 there
        assert_eq!(next(night, HALF_AN_HOUR, 0, Some(&hours("08:00", "22:00"))), Some(at("2026-11-22T07:00:00Z")));
        assert_eq!(next(night, HALF_AN_HOUR, 0, Some(&hours("09:00", "09:00"))), None, "never active");
        // A window of one minute that hourly beats at :30 never hit.
        let every = Duration::from_secs(3600);
        assert_eq!(next(night, every, 1_800_000, Some(&hours("08:00", "08:01"))), None);
    }

    proptest! {
        #[test]
        fn between_now_and_the_next_beat_there_is_no_other(
            now in 1_700_000_000_000_i64..2_000_000_000_000,
            minutes in 1_u64..600,
            phase in 0_i64..36_000_000,
        ) {
            let (now, every) = (Timestamp::from_millisecond(now).unwrap(), Duration::from_secs(minutes * 60));
            let phase = phase % millis(every);
            let due = next(now, every, phase, None).unwrap();
            prop_assert!(due > now && due.as_millisecond() - now.as_millisecond() <= millis(every));
            prop_assert_eq!((due.as_millisecond() - phase).rem_euclid(millis(every)), 0);
        }

        #[test]
        fn a_beat_is_inside_the_active_hours_and_none_before_it_is(
            now in 1_700_000_000_000_i64..2_000_000_000_000,
            start in 0_u16..24,
            length in 1_u16..23,
        ) {
            let now = Timestamp::from_millisecond(now).unwrap();
            let hours = hours(&format!("{start:02}:00"), &format!("{:02}:00", (start + length) % 24));
            let due = next(now, HALF_AN_HOUR, 0, Some(&hours)).unwrap();
            prop_assert!(hours.contain(due));
            let mut earlier = next(now, HALF_AN_HOUR, 0, None).unwrap();
            while earlier < due {
                prop_assert!(!hours.contain(earlier));
                earlier = next(earlier, HALF_AN_HOUR, 0, None).unwrap();
            }
        }
    }
}
