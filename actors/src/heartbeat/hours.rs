//! Active hours: when an agent may be woken.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

const DAY: u16 = 24 * 60;
/// How far ahead an opening is looked for, minutes.
const AHEAD: i64 = 7 * 24 * 60;

/// `activeHours` as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HoursKeys {
    /// `HH:MM`, included.
    pub start: String,
    /// `HH:MM`, excluded; `24:00` is the end of the day.
    pub end: String,
    /// `user`, `local` or an IANA name.
    pub timezone: Option<String>,
}

/// Minutes of the local day, wrapped over midnight when the end comes before the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    start: u16,
    end: u16,
    zone: TimeZone,
}

impl Hours {
    /// `None` when the times cannot be read: then the agent is always active. A zone that does not exist is that of the user.
    pub fn read(keys: &HoursKeys, user: &TimeZone) -> Option<Self> {
        let (start, end) = (minute(&keys.start)?, minute(&keys.end)?);
        let zone = match keys.timezone.as_deref() {
            None | Some("user") => user.clone(),
            Some("local") => TimeZone::system(),
            Some(name) => TimeZone::get(name).unwrap_or_else(|_| user.clone()),
        };
        (start < DAY).then_some(Self { start, end, zone })
    }

    /// Is this moment inside? The local minute decides, so a change of the clocks needs no rule of its own.
    pub fn contain(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        if self.start <= self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }

    /// The first minute from `at` on that is inside; `None` when there is none in a week.
    pub fn opening(&self, at: Timestamp) -> Option<Timestamp> {
        if self.contain(at) {
            return Some(at);
        }
        let second = at.as_second();
        let next = Timestamp::from_second(second - second.rem_euclid(60) + 60).ok()?;
        (0..AHEAD).filter_map(|minutes| next.checked_add(minutes.minutes()).ok()).find(|at| self.contain(*at))
    }
}

/// `HH:MM`, up to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(start: &str, end: &str, zone: &str) -> Hours {
        let keys = HoursKeys { start: start.into(), end: end.into(), timezone: Some(zone.into()) };
        Hours::read(&keys, &TimeZone::UTC).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_start_is_inside_and_the_end_is_not() {
        for (start, end, moment, inside) in [
            ("08:00", "22:00", "2026-11-21T08:00:00Z", true),
            ("08:00", "22:00", "2026-11-21T07:59:59Z", false),
            ("08:00", "22:00", "2026-11-21T21:59:59Z", true),
            ("08:00", "22:00", "2026-11-21T22:00:00Z", false),
            ("22:00", "06:00", "2026-11-21T23:30:00Z", true),
            ("22:00", "06:00", "2026-11-21T05:59:00Z", true),
            ("22:00", "06:00", "2026-11-21T06:00:00Z", false),
            ("18:00", "24:00", "2026-11-21T23:59:00Z", true),
            ("18:00", "24:00", "2026-11-22T00:00:00Z", false),
            ("09:00", "09:00", "2026-11-21T09:00:00Z", false),
        ] {
            assert_eq!(hours(start, end, "UTC").contain(at(moment)), inside, "{start}-{end} at {moment}");
        }
    }

    #[test]
    fn the_clock_of_the_place_counts_before_and_after_it_is_changed() {
        let berlin = hours("08:00", "22:00", "Europe/Berlin");
        assert!(berlin.contain(at("2026-10-24T06:00:00Z")), "summer: two hours ahead");
        assert!(!berlin.contain(at("2026-10-26T06:00:00Z")), "winter: one hour ahead");
        assert!(berlin.contain(at("2026-10-26T07:00:00Z")));
    }

    #[test]
    fn the_next_opening_is_a_full_minute_or_now() {
        let day = hours("08:00", "22:00", "UTC");
        assert_eq!(day.opening(at("2026-11-21T09:00:30Z")), Some(at("2026-11-21T09:00:30Z")));
        assert_eq!(day.opening(at("2026-11-21T22:00:30Z")), Some(at("2026-11-22T08:00:00Z")));
        assert_eq!(hours("09:00", "09:00", "UTC").opening(at("2026-11-21T09:00:00Z")), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_limit_and_an_unknown_zone_is_that_of_the_user() {
        let keys = |start: &str, zone: &str| HoursKeys {
            start: start.into(),
            end: "22:00".into(),
            timezone: Some(zone.into()),
        };
        for start in ["8:00", "", "24:00", "08:60", "eight"] {
            assert!(Hours::read(&keys(start, "UTC"), &TimeZone::UTC).is_none(), "{start}");
        }
        let user = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(Hours::read(&keys("08:00", "Nowhere/Land"), &user).unwrap().zone, user);
    }
}
