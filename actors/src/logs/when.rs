//! Points in time as a person writes them: `15m`, `2026-03-01`, `2026-03-01T12:00:00Z`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Which end of a range a time stands for: a whole day begins the one and ends the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Since,
    Until,
}

/// A time that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time (use 15m, 2h, 3d, 2026-03-01 or 2026-03-01T12:00:00Z)")]
pub struct BadTime(pub String);

/// Reads a time. Ages (`s m h d w`) count back from `now`; a time without an offset is in `zone`.
///
/// A date as `Until` means the end of that day, so that `--since D --until D` is the day D.
pub fn parse(text: &str, bound: Bound, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, BadTime> {
    let trimmed = text.trim();
    let bad = || BadTime(text.to_owned());
    if let Some(age) = age(trimmed) {
        return now.checked_sub(age).map_err(|_| bad());
    }
    if let Ok(at) = trimmed.parse::<Timestamp>() {
        return Ok(at);
    }
    if trimmed.len() > "2026-03-01".len() {
        let local: DateTime = trimmed.parse().map_err(|_| bad())?;
        return local.to_zoned(zone.clone()).map(|at| at.timestamp()).map_err(|_| bad());
    }
    let day: Date = trimmed.parse().map_err(|_| bad())?;
    let day = day.to_zoned(zone.clone()).map_err(|_| bad())?;
    match bound {
        Bound::Since => Ok(day.timestamp()),
        Bound::Until => day.end_of_day().map(|end| end.timestamp()).map_err(|_| bad()),
    }
}

fn age(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|count| *count >= 0)?;
    Some(SignedDuration::from_secs(count.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, bound: Bound, expected: &str) {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(parse(text, bound, now, &zone).unwrap(), expected.parse().unwrap(), "{text}");
    }

    #[test]
    fn every_form_is_read() {
        check("15m", Bound::Since, "2026-03-10T11:45:00Z");
        check("2h", Bound::Until, "2026-03-10T10:00:00Z");
        check("3d", Bound::Since, "2026-03-07T12:00:00Z");
        check("2026-03-01T12:00:00Z", Bound::Since, "2026-03-01T12:00:00Z");
        check("2026-03-01T12:00:00+01:00", Bound::Since, "2026-03-01T11:00:00Z");
        check("2026-03-01T12:00", Bound::Since, "2026-03-01T10:00:00Z");
        check("2026-03-01 12:00:00", Bound::Since, "2026-03-01T10:00:00Z");
        check("2026-03-01", Bound::Since, "2026-02-28T22:00:00Z");
        check("2026-03-01", Bound::Until, "2026-03-01T21:59:59.999999999Z");
    }

    #[test]
    fn nonsense_is_refused_with_the_way_out() {
        let now = Timestamp::UNIX_EPOCH;
        for text in ["", "m", "-5m", "yesterday", "2026-02-30", "99999999999999999d", "9é", "12:00"] {
            let error = parse(text, Bound::Since, now, &TimeZone::UTC).unwrap_err();
            assert!(error.to_string().contains("use 15m"), "{text}");
        }
    }
}
