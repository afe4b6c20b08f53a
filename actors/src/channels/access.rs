//! The keys that say who may write, as every platform's block has them, and what they mean for an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::policy::{Access, DmPolicy, GroupEntry, GroupPolicy};
use crate::config::handle::Snapshot;

/// Of one account, what it inherits included.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessKeys {
    pub dm_policy: Option<DmPolicy>,
    #[serde(deserialize_with = "ids")]
    pub allow_from: Vec<String>,
    pub group_policy: Option<GroupPolicy>,
    #[serde(deserialize_with = "ids")]
    pub group_allow_from: Vec<String>,
    pub groups: Option<BTreeMap<String, GroupEntry>>,
    pub require_mention: Option<bool>,
}

/// Ids are texts; some people write them as numbers.
fn ids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Value>::deserialize(from)?.iter().map(id).collect())
}

fn id(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The same where the list may be absent.
pub fn maybe_ids<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<Vec<Value>>::deserialize(from)?.map(|list| list.iter().map(id).collect()))
}

/// What differs from platform to platform.
pub struct Platform {
    pub channel: &'static str,
    /// Who may write directly when the configuration does not say.
    pub dm_policy: DmPolicy,
    /// What people put in front of an id.
    pub prefixes: &'static [&'static str],
}

/// Who may write. An account whose keys cannot be read lets nobody in.
pub fn access(snapshot: &Snapshot, platform: &Platform, keys: Option<AccessKeys>) -> Access {
    let closed = keys.is_none();
    let keys = keys.unwrap_or_default();
    let defaults = snapshot.value.get("channels").and_then(|channels| channels.get("defaults"));
    let default_group = defaults.and_then(|defaults| defaults.get("groupPolicy")).cloned();
    let default_group = default_group.and_then(|policy| serde_json::from_value(policy).ok());
    Access {
        dm_policy: if closed { DmPolicy::Disabled } else { keys.dm_policy.unwrap_or(platform.dm_policy) },
        allow_from: keys.allow_from,
        group_policy: match closed {
            true => GroupPolicy::Disabled,
            false => keys.group_policy.or(default_group).unwrap_or(GroupPolicy::Allowlist),
        },
        group_allow_from: keys.group_allow_from,
        groups: keys.groups,
        require_mention: keys.require_mention.unwrap_or(true),
        prefixes: platform.prefixes,
        access_groups: snapshot.value.get("accessGroups").cloned().unwrap_or_default(),
        channel: platform.channel,
    }
}
