//! Who may write to an account: one function for every platform, with a table as its test.
//!
//! What cannot be read is denied. Approvals by pairing open direct messages, never a group. Source: channel specification §3.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::access::maybe_ids;
use crate::run::message::Authority;

/// `dmPolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmPolicy {
    Pairing,
    Allowlist,
    Open,
    Disabled,
}

impl DmPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pairing => "pairing",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
            Self::Disabled => "disabled",
        }
    }
}

/// `groupPolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupPolicy {
    Allowlist,
    Open,
    Disabled,
}

/// `groups.<id>`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupEntry {
    pub enabled: Option<bool>,
    pub group_policy: Option<GroupPolicy>,
    #[serde(deserialize_with = "maybe_ids")]
    pub allow_from: Option<Vec<String>>,
    pub require_mention: Option<bool>,
}

/// The keys that say who may write, as they hold for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub dm_policy: DmPolicy,
    /// Entries as configured; `*` is everybody.
    pub allow_from: Vec<String>,
    pub group_policy: GroupPolicy,
    pub group_allow_from: Vec<String>,
    /// Absent: every group may be asked about. Present: only those that it names, or `*`.
    pub groups: Option<BTreeMap<String, GroupEntry>>,
    /// Of groups that say nothing themselves.
    pub require_mention: bool,
    /// What platforms put in front of an id, such as `telegram:`.
    pub prefixes: &'static [&'static str],
    /// Top-level `accessGroups`.
    pub access_groups: Value,
    pub channel: &'static str,
}

/// Whose commands are obeyed: what `commands.ownerAllowFrom` and `commands.allowFrom` say. `None`: they say nothing about
/// this channel, and whoever a list of its own names may.
pub fn authority(access: &Access, commands: &Value, sender: &str) -> Option<Authority> {
    let list = |value: &Value| -> Option<Vec<String>> {
        let list = value.as_array()?.iter();
        Some(list.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).collect())
    };
    let prefix = format!("{}:", access.channel);
    let owners = list(&commands["ownerAllowFrom"]).unwrap_or_default();
    if owners.iter().filter_map(|owner| strip(owner.trim(), &[&prefix])).any(|id| same(id, sender)) {
        return Some(Authority::Owner);
    }
    let listed = list(&commands["allowFrom"][access.channel]).or_else(|| list(&commands["allowFrom"]["*"]))?;
    Some(if access.lists(&listed, sender) == Listed::No { Authority::Untrusted } else { Authority::Sender })
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chat {
    Direct,
    Group { id: String },
}

/// What is to be done with a message. Reasons are the words that logs and tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `by_name`: an entry of a list names the sender, so that commands are obeyed too.
    Allow {
        reason: &'static str,
        by_name: bool,
    },
    /// The stranger is told how to be let in.
    Pair,
    Block {
        reason: &'static str,
    },
    /// The group is open to the sender, and the bot was not meant.
    NotMentioned,
}

/// Decides about one message. `paired` are the ids that were let in by pairing.
pub fn decide(access: &Access, chat: &Chat, sender: &str, mentioned: bool, paired: &[String]) -> Verdict {
    match chat {
        Chat::Direct => direct(access, sender, paired),
        Chat::Group { id } => group(access, id, sender, mentioned),
    }
}

fn direct(access: &Access, sender: &str, paired: &[String]) -> Verdict {
    let listed = access.lists(&access.allow_from, sender);
    match access.dm_policy {
        DmPolicy::Disabled => Verdict::Block { reason: "dm_policy_disabled" },
        DmPolicy::Open if listed == Listed::Everybody => Verdict::Allow { reason: "dm_policy_open", by_name: false },
        DmPolicy::Pairing if listed == Listed::No && paired.iter().any(|id| same(id, sender)) => {
            Verdict::Allow { reason: "dm_policy_allowlisted", by_name: true }
        }
        _ if listed != Listed::No => {
            Verdict::Allow { reason: "dm_policy_allowlisted", by_name: listed == Listed::ByName }
        }
        DmPolicy::Pairing => Verdict::Pair,
        DmPolicy::Open | DmPolicy::Allowlist => Verdict::Block { reason: "dm_policy_not_allowlisted" },
    }
}

fn group<'a>(access: &'a Access, id: &str, sender: &str, mentioned: bool) -> Verdict {
    let any = access.groups.as_ref().and_then(|groups| groups.get("*"));
    let named = |groups: &'a BTreeMap<String, GroupEntry>| {
        groups.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(id)).map(|(_, entry)| entry)
    };
    let entry = access.groups.as_ref().and_then(named);
    if access.groups.is_some() && entry.is_none() && any.is_none() {
        return Verdict::Block { reason: "group_not_allowlisted" };
    }
    let entry = entry.or(any);
    if entry.is_some_and(|entry| entry.enabled == Some(false)) {
        return Verdict::Block { reason: "group_disabled" };
    }
    let own = entry.and_then(|entry| entry.allow_from.as_deref());
    let list =
        own.unwrap_or(if access.group_allow_from.is_empty() { &access.allow_from } else { &access.group_allow_from });
    let listed = access.lists(list, sender);
    let by_name = listed == Listed::ByName;
    let reason = match entry.and_then(|entry| entry.group_policy).unwrap_or(access.group_policy) {
        GroupPolicy::Disabled => return Verdict::Block { reason: "group_policy_disabled" },
        GroupPolicy::Open => "group_policy_allowed",
        GroupPolicy::Allowlist if list.is_empty() => return Verdict::Block { reason: "group_policy_empty_allowlist" },
        GroupPolicy::Allowlist if listed == Listed::No => {
            return Verdict::Block { reason: "group_policy_not_allowlisted" };
        }
        GroupPolicy::Allowlist => "group_policy_allowed",
    };
    let must = entry.and_then(|entry| entry.require_mention).unwrap_or(access.require_mention);
    if must && !mentioned {
        return Verdict::NotMentioned;
    }
    Verdict::Allow { reason, by_name }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    No,
    Everybody,
    ByName,
}

impl Access {
    fn lists(&self, list: &[String], sender: &str) -> Listed {
        let mut found = Listed::No;
        for entry in list.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
            let named = match strip(entry, &["accessGroup:"]) {
                Some(group) => self.members(group).any(|member| same(self.bare(member), sender)),
                None => same(self.bare(entry), sender),
            };
            match (named, entry) {
                (true, _) => return Listed::ByName,
                (false, "*") => found = Listed::Everybody,
                _ => {}
            }
        }
        found
    }

    /// An entry without the name of the platform in front.
    fn bare<'a>(&self, entry: &'a str) -> &'a str {
        strip(entry.trim(), self.prefixes).map_or(entry, str::trim)
    }

    /// Members of an access group on this platform. A group that there is not has none.
    fn members(&self, group: &str) -> impl Iterator<Item = &str> {
        let group = self.access_groups.get(group.trim()).filter(|group| group["type"] == "message.senders");
        let of = move |key: &str| group.and_then(|group| group["members"].get(key)?.as_array()).into_iter().flatten();
        of(self.channel).chain(of("*")).filter_map(Value::as_str)
    }
}

/// Ids are compared without regard to case, as people write them. A star is nobody's id.
fn same(entry: &str, sender: &str) -> bool {
    !sender.is_empty() && sender != "*" && entry.trim().eq_ignore_ascii_case(sender)
}

fn strip<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    let has = |prefix: &&&str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    prefixes.iter().find(has).map(|prefix| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn access() -> Access {
        Access {
            dm_policy: DmPolicy::Pairing,
            allow_from: Vec::new(),
            group_policy: GroupPolicy::Allowlist,
            group_allow_from: Vec::new(),
            groups: None,
            require_mention: true,
            prefixes: &["telegram:", "tg:"],
            access_groups: json!({ "team": { "type": "message.senders", "members": { "telegram": ["7"], "*": ["8"] } } }),
            channel: "telegram",
        }
    }

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    const ALLOWED: Verdict = Verdict::Allow { reason: "dm_policy_allowlisted", by_name: true };
    const NOT_LISTED: Verdict = Verdict::Block { reason: "dm_policy_not_allowlisted" };

    #[test]
    fn direct_messages() {
        let everybody = Verdict::Allow { reason: "dm_policy_open", by_name: false };
        let starred = Verdict::Allow { reason: "dm_policy_allowlisted", by_name: false };
        for (policy, allow_from, paired, expected) in [
            (DmPolicy::Disabled, list(&["5"]), list(&["5"]), Verdict::Block { reason: "dm_policy_disabled" }),
            (DmPolicy::Open, list(&["*"]), list(&[]), everybody),
            (DmPolicy::Open, list(&["5", "*"]), list(&[]), ALLOWED),
            (DmPolicy::Open, list(&["telegram:5"]), list(&[]), ALLOWED),
            (DmPolicy::Open, list(&[]), list(&["5"]), NOT_LISTED),
            (DmPolicy::Pairing, list(&["TG: 5 "]), list(&[]), ALLOWED),
            (DmPolicy::Pairing, list(&[]), list(&["5"]), ALLOWED),
            (DmPolicy::Pairing, list(&[]), list(&["6"]), Verdict::Pair),
            (DmPolicy::Pairing, list(&[" "]), list(&[]), Verdict::Pair),
            (DmPolicy::Allowlist, list(&["5"]), list(&[]), ALLOWED),
            (DmPolicy::Allowlist, list(&["*"]), list(&[]), starred),
            (DmPolicy::Allowlist, list(&["6"]), list(&["5"]), NOT_LISTED),
            (DmPolicy::Allowlist, list(&["discord:5"]), list(&[]), NOT_LISTED),
            (DmPolicy::Allowlist, list(&["accessGroup:team"]), list(&[]), NOT_LISTED),
            (DmPolicy::Allowlist, list(&["accessGroup:nobody"]), list(&[]), NOT_LISTED),
        ] {
            let access = Access { dm_policy: policy, allow_from: allow_from.clone(), ..access() };
            assert_eq!(
                decide(&access, &Chat::Direct, "5", false, &paired),
                expected,
                "{policy:?} {allow_from:?} {paired:?}"
            );
        }
        let team = Access { dm_policy: DmPolicy::Allowlist, allow_from: list(&["accessGroup:team"]), ..access() };
        for member in ["7", "8"] {
            assert_eq!(decide(&team, &Chat::Direct, member, false, &[]), ALLOWED);
        }
    }

    #[test]
    fn a_sender_without_an_id_or_called_star_is_nobody() {
        for id in ["", "*"] {
            let access = Access { dm_policy: DmPolicy::Allowlist, allow_from: list(&["", "6"]), ..access() };
            assert_eq!(decide(&access, &Chat::Direct, id, false, &list(&["", "*"])), NOT_LISTED, "{id:?}");
        }
    }

    #[test]
    fn groups() {
        let block = |reason| Verdict::Block { reason };
        let allow = |by_name| Verdict::Allow { reason: "group_policy_allowed", by_name };
        let groups = |value: Value| Some(serde_json::from_value::<BTreeMap<String, GroupEntry>>(value).unwrap());
        let (open, closed) = (GroupPolicy::Open, GroupPolicy::Allowlist);
        for (policy, allow_from, group_allow_from, of_groups, expected) in [
            (GroupPolicy::Disabled, list(&["5"]), list(&[]), None, block("group_policy_disabled")),
            (open, list(&[]), list(&[]), None, allow(false)),
            (open, list(&["5"]), list(&[]), None, allow(true)),
            (open, list(&[]), list(&[]), groups(json!({ "other": {} })), block("group_not_allowlisted")),
            (open, list(&[]), list(&[]), groups(json!({ "*": {} })), allow(false)),
            (
                open,
                list(&[]),
                list(&[]),
                groups(json!({ "g": { "enabled": false }, "*": {} })),
                block("group_disabled"),
            ),
            (
                open,
                list(&[]),
                list(&[]),
                groups(json!({ "g": { "groupPolicy": "disabled" } })),
                block("group_policy_disabled"),
            ),
            (closed, list(&[]), list(&[]), None, block("group_policy_empty_allowlist")),
            (closed, list(&["6"]), list(&[]), None, block("group_policy_not_allowlisted")),
            (closed, list(&["5"]), list(&[]), None, allow(true)),
            (closed, list(&["5"]), list(&["6"]), None, block("group_policy_not_allowlisted")),
            (closed, list(&[]), list(&["*"]), None, allow(false)),
            (
                closed,
                list(&[]),
                list(&["5"]),
                groups(json!({ "g": { "allowFrom": ["6"] } })),
                block("group_policy_not_allowlisted"),
            ),
            (closed, list(&[]), list(&[]), groups(json!({ "g": { "allowFrom": ["5"] } })), allow(true)),
        ] {
            let access = Access { group_policy: policy, allow_from, group_allow_from, groups: of_groups, ..access() };
            let chat = Chat::Group { id: "g".into() };
            assert_eq!(decide(&access, &chat, "5", true, &list(&["5"])), expected, "{access:?}");
        }
    }

    #[test]
    fn commands_are_obeyed_of_whom_the_lists_of_commands_name() {
        let commands =
            json!({ "ownerAllowFrom": ["telegram:1", "discord:2"], "allowFrom": { "telegram": [3, "tg:4"] } });
        for (sender, expected) in
            [("1", Authority::Owner), ("2", Authority::Untrusted), ("3", Authority::Sender), ("4", Authority::Sender)]
        {
            assert_eq!(authority(&access(), &commands, sender), Some(expected), "{sender}");
        }
        assert_eq!(authority(&access(), &json!({ "allowFrom": { "discord": ["1"] } }), "1"), None);
        assert_eq!(authority(&access(), &json!({ "allowFrom": { "*": ["*"] } }), "9"), Some(Authority::Sender));
        assert_eq!(authority(&access(), &Value::Null, ""), None);
    }

    #[test]
    fn in_a_group_the_bot_must_be_meant_unless_the_group_says_otherwise() {
        let chat = Chat::Group { id: "g".into() };
        let groups = |value: Value| Some(serde_json::from_value::<BTreeMap<String, GroupEntry>>(value).unwrap());
        let open = Access { group_policy: GroupPolicy::Open, ..access() };
        assert_eq!(decide(&open, &chat, "5", false, &[]), Verdict::NotMentioned);
        let chatty = Access { groups: groups(json!({ "g": { "requireMention": false } })), ..open.clone() };
        assert!(matches!(decide(&chatty, &chat, "5", false, &[]), Verdict::Allow { .. }));
        let blocked = Access { group_policy: GroupPolicy::Disabled, ..open };
        assert!(matches!(decide(&blocked, &chat, "5", false, &[]), Verdict::Block { .. }), "a refusal comes first");
    }
}
