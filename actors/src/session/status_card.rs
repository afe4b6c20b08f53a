//! The card that `/status` and the tool `session_status` show.
//!
//! A line without data is left out rather than guessed. Source: status card of 2026.5.12.

use std::time::Duration;

/// What the card can say.
#[derive(Debug, Clone, Default)]
pub struct StatusCard<'a> {
    pub version: &'a str,
    pub commit: Option<&'a str>,
    pub gateway_uptime: Option<Duration>,
    pub system_uptime: Option<Duration>,
    /// `provider/model`.
    pub model: Option<&'a str>,
    /// Where its key comes from, such as `api-key (config)`; never the key.
    pub auth: Option<&'a str>,
    pub tokens: Option<Tokens>,
    /// USD.
    pub cost: Option<f64>,
    /// Tokens that the context takes, if known, and its window.
    pub context: Option<(Option<u64>, u64)>,
    pub compactions: Option<u64>,
    pub session: &'a str,
    /// Time since the session changed.
    pub updated: Option<Duration>,
    pub tasks_active: usize,
    /// `direct`, or the sandbox.
    pub execution: Option<&'a str>,
    pub think: Option<&'a str>,
    pub queue: Option<(&'a str, usize)>,
}

/// Tokens of the latest turn. `input` excludes both cache counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// Renders the card.
pub fn render(card: &StatusCard<'_>) -> String {
    let commit = card.commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
    let lines = [
        Some(format!("🦞 OpenClaw {}{commit}", card.version)),
        joined([
            card.gateway_uptime.map(|up| format!("gateway {}", duration(up))),
            card.system_uptime.map(|up| format!("system {}", duration(up))),
        ])
        .map(|uptimes| format!("⏱️ Uptime: {uptimes}")),
        joined([card.model.map(|model| format!("🧠 Model: {model}")), card.auth.map(|auth| format!("🔑 {auth}"))]),
        joined([
            card.tokens.map(|t| format!("🧮 Tokens: {} in / {} out", count(t.input), count(t.output))),
            card.cost.map(|cost| format!("💵 Cost: {}", usd(cost))),
        ]),
        card.tokens.and_then(cache),
        joined([
            card.context.map(|(used, window)| format!("📚 Context: {}", context(used, window))),
            card.compactions.map(|count| format!("🧹 Compactions: {count}")),
        ]),
        session(card),
        (card.tasks_active > 0).then(|| format!("📌 Tasks: {} active", card.tasks_active)),
        joined([
            card.execution.map(|execution| format!("Execution: {execution}")),
            card.think.map(|think| format!("Think: {think}")),
        ])
        .map(|facts| format!("⚙️ {facts}")),
        card.queue.map(|(mode, depth)| format!("🪢 Queue: {mode} (depth {depth})")),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn session(card: &StatusCard<'_>) -> Option<String> {
    let updated = card.updated.map(|age| format!(" • updated {}", ago(age))).unwrap_or_default();
    (!card.session.is_empty()).then(|| format!("🧵 Session: {}{updated}", card.session))
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn cache(tokens: Tokens) -> Option<String> {
    let Tokens { input, cache_read, cache_write, .. } = tokens;
    if cache_read + cache_write == 0 {
        return None;
    }
    let hit = percent(cache_read, input + cache_read + cache_write);
    Some(format!("🗄️ Cache: {hit}% hit · {} cached, {} new", count(cache_read), count(cache_write)))
}

/// `100/128k (0%)`; `?` for a use that is not known.
pub fn context(used: Option<u64>, window: u64) -> String {
    match used {
        Some(used) => format!("{}/{} ({}%)", count(used), count(window), percent(used, window)),
        None => format!("?/{}", count(window)),
    }
}

/// `340`, `1.2k`, `128k`, `1.5m`.
pub fn count(tokens: u64) -> String {
    let short = |value: f64, unit: &str| {
        let text = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..999_500 => short(tokens as f64 / 1e3, "k"),
        _ => short(tokens as f64 / 1e6, "m"),
    }
}

/// `$0.0002` below a cent, else `$1.23`.
pub fn usd(cost: f64) -> String {
    if cost >= 0.01 || cost == 0.0 { format!("${cost:.2}") } else { format!("${cost:.4}") }
}

/// The two largest units: `18m 12s`, `2h 5m`, `3d 4h`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "just now".to_owned(),
        seconds @ 60..3_600 => format!("{}m ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h ago", seconds / 3_600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 0 } else { (part as f64 * 100.0 / whole as f64).round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_card_has_every_line() {
        let card = StatusCard {
            version: "1.0",
            commit: Some("abc"),
            gateway_uptime: Some(Duration::from_secs(1_092)),
            system_uptime: Some(Duration::from_secs(3_233)),
            model: Some("fake/test"),
            auth: Some("api-key (models.json)"),
            tokens: Some(Tokens { input: 160, output: 20, cache_read: 20, cache_write: 0 }),
            cost: Some(0.0002),
            context: Some((Some(100), 128_000)),
            compactions: Some(0),
            session: "agent:main:main",
            updated: Some(Duration::from_secs(3)),
            tasks_active: 1,
            execution: Some("direct"),
            think: Some("off"),
            queue: Some(("steer", 0)),
        };
        assert_eq!(
            render(&card),
            "🦞 OpenClaw 1.0 (abc)\n\
             ⏱️ Uptime: gateway 18m 12s · system 53m 53s\n\
             🧠 Model: fake/test · 🔑 api-key (models.json)\n\
             🧮 Tokens: 160 in / 20 out · 💵 Cost: $0.0002\n\
             🗄️ Cache: 11% hit · 20 cached, 0 new\n\
             📚 Context: 100/128k (0%) · 🧹 Compactions: 0\n\
             🧵 Session: agent:main:main • updated just now\n\
             📌 Tasks: 1 active\n\
             ⚙️ Execution: direct · Think: off\n\
             🪢 Queue: steer (depth 0)"
        );
    }

    #[test]
    fn lines_without_data_are_left_out() {
        let card = StatusCard { version: "1.0", session: "k", context: Some((None, 8_000)), ..StatusCard::default() };
        assert_eq!(render(&card), "🦞 OpenClaw 1.0\n📚 Context: ?/8k\n🧵 Session: k");
    }

    #[test]
    fn numbers_are_short() {
        for (tokens, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_234, "1.2k"),
            (12_345, "12k"),
            (999_499, "999k"),
            (999_500, "1m"),
            (1_500_000, "1.5m"),
        ] {
            assert_eq!(count(tokens), text);
        }
        for (cost, text) in [(0.0, "$0.00"), (0.0002, "$0.0002"), (0.01, "$0.01"), (1.234, "$1.23")] {
            assert_eq!(usd(cost), text);
        }
        for (seconds, text) in [(5, "5s"), (3_600, "1h 0m"), (90_000, "1d 1h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(ago(Duration::from_secs(7_300)), "2h ago");
    }
}
