//! The answer of `diagnostics.stability`: what the journal holds, and the memory of this process.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openclaw_actors::memory::Usage;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::store::journal::{self, JournalEntry};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Rows that the journal keeps.
pub const CAPACITY: usize = journal::CAP as usize;
const LIMIT_DEFAULT: u64 = 50;

/// Parameters of `diagnostics.stability`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StabilityParams {
    /// Events, 1 to 1000. Default 50.
    limit: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    since_seq: Option<i64>,
}

impl Params for StabilityParams {
    fn check(&self) -> Result<(), String> {
        params::range("limit", self.limit, 1, 1000)
    }
}

/// The payload; `entries` are all rows, oldest first; `memory` with how often it became scarce.
///
/// `count`, `firstSeq` and `lastSeq` are about the whole journal, `events` about what was asked for.
pub fn answer(
    entries: &[JournalEntry],
    params: &StabilityParams,
    memory: Option<(Usage, u64)>,
    now: Timestamp,
) -> Value {
    let asked = |entry: &&JournalEntry| {
        params.kind.as_deref().is_none_or(|kind| kind == entry.kind) && entry.seq > params.since_seq.unwrap_or(0)
    };
    let found: Vec<&JournalEntry> = entries.iter().filter(asked).collect();
    let limit = usize::try_from(params.limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX);
    let events: Vec<Value> = found[found.len().saturating_sub(limit)..].iter().map(|entry| event(entry)).collect();
    let mut by_type: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        *by_type.entry(&entry.kind).or_default() += 1;
    }
    let mut summary = json!({ "byType": by_type });
    if let Some((usage, pressures)) = memory {
        summary["memory"] = json!({
            "latest": { "rssBytes": usage.rss }, "maxRssBytes": usage.rss_max, "pressureCount": pressures,
        });
    }
    let mut answer = json!({
        "generatedAt": format!("{now:.3}"),
        "capacity": CAPACITY,
        "count": entries.len(),
        // numbers have no gaps: those before the first that is kept were dropped
        "dropped": entries.first().map_or(0, |first| first.seq - 1),
        "events": events,
        "summary": summary,
    });
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        (answer["firstSeq"], answer["lastSeq"]) = (json!(first.seq), json!(last.seq));
    }
    answer
}

/// The row with its body beside it; a body never hides the row's own fields.
fn event(entry: &JournalEntry) -> Value {
    let mut event: Map<String, Value> = entry.body.as_object().cloned().unwrap_or_default();
    let own = [("seq", json!(entry.seq)), ("ts", json!(entry.ts)), ("type", json!(entry.kind))];
    event.extend(own.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64, kind: &str, body: Value) -> JournalEntry {
        JournalEntry { seq, ts: seq * 10, kind: kind.into(), body }
    }

    #[test]
    fn the_latest_events_of_a_kind_are_listed_and_all_are_counted() {
        let entries =
            [entry(3, "a", json!({ "x": 1, "seq": 99 })), entry(4, "b", json!({})), entry(5, "a", Value::Null)];
        let params = StabilityParams { kind: Some("a".into()), limit: Some(1), since_seq: None };
        let payload = answer(&entries, &params, None, Timestamp::UNIX_EPOCH);
        assert_eq!(payload["events"], json!([{ "seq": 5, "ts": 50, "type": "a" }]));
        assert_eq!((&payload["count"], &payload["dropped"]), (&json!(3), &json!(2)));
        assert_eq!((&payload["firstSeq"], &payload["lastSeq"]), (&json!(3), &json!(5)));
        assert_eq!(payload["summary"], json!({ "byType": { "a": 2, "b": 1 } }));
        let params = StabilityParams { since_seq: Some(2), ..StabilityParams::default() };
        assert_eq!(
            answer(&entries, &params, None, Timestamp::UNIX_EPOCH)["events"][0],
            json!({ "x": 1, "seq": 3, "ts": 30, "type": "a" })
        );
    }

    #[test]
    fn an_empty_journal_has_no_first_event() {
        let payload = answer(&[], &StabilityParams::default(), None, Timestamp::UNIX_EPOCH);
        assert_eq!((&payload["firstSeq"], &payload["dropped"]), (&Value::Null, &json!(0)));
        assert_eq!(payload["generatedAt"], "1970-01-01T00:00:00.000Z");
    }
}
