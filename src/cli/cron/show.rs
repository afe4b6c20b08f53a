//! Jobs as people read them.

use serde_json::Value;

use crate::cli::text::{age, number, string};

pub const HEADERS: [&str; 10] =
    ["ID", "Name", "Schedule", "Next", "Last", "Status", "Target", "Delivery", "Agent ID", "Model"];

/// `disabled`, `running`, how the last run ended, or `idle`.
pub fn status(job: &Value) -> String {
    if job["enabled"] == false {
        return "disabled".to_owned();
    }
    if number(job, "/state/runningAtMs").is_some() {
        return "running".to_owned();
    }
    string(job, "/state/lastStatus").unwrap_or("idle").to_owned()
}

/// A line of the list. `answer` holds where results go.
pub fn row(job: &Value, answer: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(job, pointer).unwrap_or("-").to_owned();
    vec![
        text("/id"),
        text("/name"),
        schedule(job),
        next(job, now_ms),
        last(job, now_ms),
        status(job),
        text("/sessionTarget"),
        delivery(job, answer),
        text("/agentId"),
        text("/payload/model"),
    ]
}

/// One job, a line for each of its sides.
pub fn lines(job: &Value, answer: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(job, pointer).unwrap_or("-").to_owned();
    let exact = match number(job, "/schedule/staggerMs") {
        Some(late) if late > 0 => format!(" (up to {} late)", span(late)),
        _ if job["schedule"]["kind"] == "cron" => " (exact)".to_owned(),
        _ => String::new(),
    };
    let enabled = if job["enabled"] == false { "no" } else { "yes" };
    let sides = [
        ("id", text("/id")),
        ("name", text("/name")),
        ("enabled", enabled.to_owned()),
        ("schedule", schedule(job) + &exact),
        ("session", text("/sessionTarget")),
        ("agent", text("/agentId")),
        ("model", text("/payload/model")),
        ("delivery", delivery(job, answer)),
        ("next", next(job, now_ms)),
        ("last", last(job, now_ms)),
        ("status", status(job)),
        ("diagnostic", text("/state/lastError")),
    ];
    sides.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn schedule(job: &Value) -> String {
    let of = &job["schedule"];
    let text = |key: &str| of[key].as_str().unwrap_or_default();
    match text("kind") {
        "at" => format!("at {}", text("at")),
        "every" => format!("every {}", span(of["everyMs"].as_u64().unwrap_or_default())),
        _ if text("tz").is_empty() => format!("cron {}", text("expr")),
        _ => format!("cron {} @ {}", text("expr"), text("tz")),
    }
}

fn delivery(job: &Value, answer: &Value) -> String {
    let preview = &answer["deliveryPreviews"][job["id"].as_str().unwrap_or_default()];
    match (preview["label"].as_str(), preview["detail"].as_str()) {
        (Some(label), Some(detail)) => format!("{label} ({detail})"),
        _ => "-".to_owned(),
    }
}

fn next(job: &Value, now_ms: u64) -> String {
    match number(job, "/state/nextRunAtMs") {
        Some(next) if next > now_ms => format!("in {}", span(next - now_ms)),
        Some(_) => "now".to_owned(),
        None => "-".to_owned(),
    }
}

fn last(job: &Value, now_ms: u64) -> String {
    number(job, "/state/lastRunAtMs").map_or_else(|| "-".to_owned(), |last| age(now_ms.saturating_sub(last)))
}

/// `90s`, `45m`, `10h`, `3d`: the largest unit that says it within a tenth.
fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = |(unit, name): (u64, &str)| {
        let count = (ms + unit / 2) / unit;
        (count > 0 && ms.abs_diff(count * unit) * 10 <= ms).then(|| format!("{count}{name}"))
    };
    UNITS.into_iter().find_map(fits).unwrap_or_else(|| format!("{ms}ms"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_one_line_and_says_when_and_where() {
        let job = json!({
            "id": "j", "name": "nightly", "enabled": true, "sessionTarget": "isolated",
            "schedule": { "kind": "cron", "expr": "0 2 * * *", "tz": "Asia/Shanghai" },
            "payload": { "kind": "agentTurn", "message": "m", "model": "p/m" },
            "state": { "nextRunAtMs": 36_600_000, "lastRunAtMs": 0, "lastStatus": "error", "lastError": "it broke" }
        });
        let answer = json!({ "deliveryPreviews": { "j": { "label": "announce", "detail": "last" } } });
        let expected = [
            "j",
            "nightly",
            "cron 0 2 * * * @ Asia/Shanghai",
            "in 10h",
            "10m ago",
            "error",
            "isolated",
            "announce (last)",
            "-",
            "p/m",
        ];
        assert_eq!(row(&job, &answer, 600_000), expected);
        let told = lines(&job, &answer, 600_000);
        assert!(told.contains(&"schedule: cron 0 2 * * * @ Asia/Shanghai (exact)".to_owned()), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("diagnostic: it broke"));
    }

    #[test]
    fn how_a_job_stands_is_one_word() {
        for (job, word) in [
            (json!({ "enabled": true, "state": {} }), "idle"),
            (json!({ "enabled": true, "state": { "lastStatus": "ok" } }), "ok"),
            (json!({ "enabled": true, "state": { "lastStatus": "ok", "runningAtMs": 5 } }), "running"),
            (json!({ "enabled": false, "state": { "lastStatus": "ok" } }), "disabled"),
        ] {
            assert_eq!(status(&job), word);
        }
    }

    #[test]
    fn a_span_has_one_unit() {
        for (ms, text) in [(500, "500ms"), (90_000, "90s"), (3_600_000, "1h"), (5_400_000, "90m"), (259_000_000, "3d")]
        {
            assert_eq!(span(ms), text);
        }
    }
}
