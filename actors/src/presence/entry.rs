//! Who is here: the entry that clients see, and the table that decides who stays in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

/// An entry disappears when nothing has touched it for this long.
pub const TTL: Duration = Duration::from_secs(300);
/// Entries at most; the one touched longest ago goes first.
pub const CAP: usize = 200;

/// One machine or client, as `system-presence` lists it. `ts` is milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PresenceEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_input_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    pub ts: i64,
}

/// The entries by key: device id, else instance id, else connection id.
#[derive(Debug, Default)]
pub struct PresenceTable {
    entries: HashMap<String, Known>,
}

/// An entry, as it is sent, and when it was touched.
#[derive(Debug)]
struct Known {
    entry: PresenceEntry,
    json: Arc<RawValue>,
    touched: Instant,
}

impl PresenceEntry {
    pub fn to_json(&self) -> Arc<RawValue> {
        to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned()).into() // plain data: cannot fail
    }
}

impl PresenceTable {
    /// Adds or renews an entry. Roles and scopes accumulate; absent fields keep what was known.
    pub fn touch(&mut self, key: &str, update: PresenceEntry, now: Instant) {
        let known = self.entries.remove(key).map(|known| known.entry).unwrap_or_default();
        let entry = merge(known, update);
        self.entries.insert(key.to_owned(), Known { json: entry.to_json(), entry, touched: now });
        self.prune(now);
    }

    /// Marks an entry as gone; it stays until its time is over. Returns whether it was still here.
    pub fn leave(&mut self, key: &str, ts: i64, now: Instant) -> bool {
        let known = self.entries.contains_key(key);
        if known {
            let gone = PresenceEntry { reason: Some("disconnect".into()), ts, ..PresenceEntry::default() };
            self.touch(key, gone, now);
        }
        known
    }

    /// Newest first.
    pub fn list(&mut self, now: Instant) -> Vec<PresenceEntry> {
        self.sorted(now).into_iter().map(|known| known.entry.clone()).collect()
    }

    /// The same, each as JSON.
    pub fn texts(&mut self, now: Instant) -> Vec<Arc<RawValue>> {
        self.sorted(now).into_iter().map(|known| Arc::clone(&known.json)).collect()
    }

    fn sorted(&mut self, now: Instant) -> Vec<&Known> {
        self.prune(now);
        let mut sorted: Vec<&Known> = self.entries.values().collect();
        sorted.sort_by_key(|known| std::cmp::Reverse(known.entry.ts));
        sorted
    }

    fn prune(&mut self, now: Instant) {
        self.entries.retain(|_, known| now.duration_since(known.touched) < TTL);
        while self.entries.len() > CAP {
            let oldest = self.entries.iter().min_by_key(|(_, known)| known.touched).map(|(key, _)| key.clone());
            match oldest {
                Some(key) => self.entries.remove(&key),
                None => return,
            };
        }
    }
}

fn merge(known: PresenceEntry, update: PresenceEntry) -> PresenceEntry {
    PresenceEntry {
        host: update.host.or(known.host),
        ip: update.ip.or(known.ip),
        version: update.version.or(known.version),
        platform: update.platform.or(known.platform),
        device_family: update.device_family.or(known.device_family),
        model_identifier: update.model_identifier.or(known.model_identifier),
        mode: update.mode.or(known.mode),
        last_input_seconds: update.last_input_seconds.or(known.last_input_seconds),
        reason: update.reason.or(known.reason),
        tags: update.tags.or(known.tags),
        text: update.text.or(known.text),
        device_id: update.device_id.or(known.device_id),
        roles: union(known.roles, update.roles),
        scopes: union(known.scopes, update.scopes),
        instance_id: update.instance_id.or(known.instance_id),
        ts: update.ts,
    }
}

fn union(known: Option<Vec<String>>, new: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut all = known.unwrap_or_default();
    for item in new.unwrap_or_default() {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ts: i64, roles: &[&str]) -> PresenceEntry {
        let roles = Some(roles.iter().map(|r| (*r).to_owned()).collect());
        PresenceEntry { ts, roles, ..PresenceEntry::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_expires_when_nothing_touches_it() {
        let mut table = PresenceTable::default();
        let start = Instant::now();
        table.touch("a", entry(1, &[]), start);
        table.touch("b", entry(2, &[]), start + Duration::from_secs(200));
        assert_eq!(table.list(start + Duration::from_secs(299)).len(), 2);
        assert_eq!(table.list(start + Duration::from_secs(301)).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn roles_accumulate_and_the_newest_is_first() {
        let mut table = PresenceTable::default();
        let now = Instant::now();
        table.touch("a", entry(1, &["operator"]), now);
        table.touch("b", entry(5, &["operator"]), now);
        table.touch("a", entry(9, &["node", "operator"]), now);
        let list = table.list(now);
        assert_eq!(list[0].roles, Some(vec!["operator".into(), "node".into()]));
        assert_eq!(list[1].ts, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut table = PresenceTable::default();
        let now = Instant::now();
        for i in 0..=CAP {
            table.touch(&format!("k{i}"), entry(i as i64, &[]), now + Duration::from_millis(i as u64));
        }
        let list = table.list(now + Duration::from_secs(1));
        assert_eq!(list.len(), CAP);
        assert_eq!(list.last().map(|e| e.ts), Some(1));
    }
}
