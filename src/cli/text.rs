//! Times, sizes and secrets as people read them.

use serde_json::Value;

/// `just now`, `2m ago`, `3h ago`, `4d ago`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `2h 34m 12s`; leading zero units are left out.
pub fn uptime(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let units = [(days, 'd'), (hours, 'h'), (minutes, 'm'), (seconds % 60, 's')];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    units[first..].iter().map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Tokens in thousands: `197k`, `0.4k`.
pub fn kilo(tokens: u64) -> String {
    if tokens < 10_000 { format!("{:.1}k", tokens as f64 / 1000.0) } else { format!("{}k", (tokens + 500) / 1000) }
}

/// Whole units with one decimal below ten: `245 MB`, `1.5 GB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit > 0 && value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `st...56`: enough to tell two keys apart. A short secret shows nothing of itself.
pub fn masked(secret: &str) -> String {
    let chars: Vec<char> = secret.chars().collect();
    if chars.len() < 8 {
        return "***".to_owned();
    }
    let (head, tail): (String, String) = (chars[..2].iter().collect(), chars[chars.len() - 2..].iter().collect());
    format!("{head}...{tail}")
}

/// A whole number at a pointer; fractions are cut.
pub fn number(document: &Value, pointer: &str) -> Option<u64> {
    let value = document.pointer(pointer)?;
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// A text at a pointer, or nothing.
pub fn string<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The items at a pointer; none if there is no list.
pub fn list<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_times() {
        assert_eq!([5_000, 139_378, 7_200_000, 200_000_000].map(age), ["just now", "2m ago", "2h ago", "2d ago"]);
        assert_eq!([9_252_000, 12_000, 0, 90_000_000].map(uptime), ["2h 34m 12s", "12s", "0s", "1d 1h 0m 0s"]);
    }

    #[test]
    fn sizes_read_like_sizes() {
        assert_eq!([10, 196_608, 9_999].map(kilo), ["0.0k", "197k", "10.0k"]);
        assert_eq!([512, 256_901_120, 1_610_612_736].map(bytes), ["512 B", "245 MB", "1.5 GB"]);
    }

    #[test]
    fn a_masked_secret_shows_four_characters_or_none() {
        assert_eq!(masked("stub-key-123456"), "st...56");
        assert_eq!(masked("1234567"), "***");
        assert_eq!(masked("ключ-ключ"), "кл...юч");
    }
}
