//! Durations as the configuration writes them: `"30m"`, `"1h30m"`, `"500ms"`, or a bare number.

use std::time::Duration;

/// Parses a duration. A bare number counts `bare`; days only where `days` is true. `None` if it is not a duration.
pub fn parse(text: &str, bare: Duration, days: bool) -> Option<Duration> {
    let mut rest = text.trim();
    if let Ok(count) = rest.parse::<f64>() {
        return scale(count, bare);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        total = total.checked_add(scale(count, unit(&after[..letters], days)?)?)?;
        rest = after[letters..].trim_start();
    }
    (!text.trim().is_empty()).then_some(total)
}

fn unit(name: &str, days: bool) -> Option<Duration> {
    Some(match name {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" if days => Duration::from_secs(86_400),
        _ => return None,
    })
}

fn scale(count: f64, unit: Duration) -> Option<Duration> {
    Duration::try_from_secs_f64(count * unit.as_secs_f64()).ok()
}

/// As the configuration would write it: `30m`, `1h30m`, `45s`, `500ms`.
pub fn shown(duration: Duration) -> String {
    let (seconds, ms) = (duration.as_secs(), duration.subsec_millis());
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(ms), "ms")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0m".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_as_it_would_be_written() {
        for text in ["30m", "1h30m", "45s", "500ms", "2h1s"] {
            assert_eq!(shown(parse(text, Duration::from_secs(60), false).unwrap()), text);
        }
        assert_eq!(shown(Duration::ZERO), "0m");
    }

    fn check(text: &str, days: bool, seconds: Option<f64>) {
        let parsed = parse(text, Duration::from_secs(60), days).map(|d| d.as_secs_f64());
        assert_eq!(parsed, seconds, "{text:?}");
    }

    #[test]
    fn durations_have_units_and_a_bare_number_has_the_default_one() {
        check("30m", false, Some(1800.0));
        check("1h30m", false, Some(5400.0));
        check("1.5s", false, Some(1.5));
        check("250ms", false, Some(0.25));
        check("2", false, Some(120.0));
        check("0m", false, Some(0.0));
        check("1d", true, Some(86_400.0));
        for bad in ["soon", "", "1d", "m", "1x", "-5m", "1h soon", "NaN", "inf", "1..2s"] {
            check(bad, false, None);
        }
    }
}
