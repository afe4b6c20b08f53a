//! May a tool be called? Lists of names, groups and globs, stage by stage.
//!
//! A stage can only take away. Inside a stage `deny` wins; a non-empty `allow` removes everything else. An entry that
//! names nothing allows nothing. Source: tool policy of 2026.5.12; differs: there an allow list of unknown names
//! allows the core tools.

/// One place that says what is allowed, such as `tools` or `agents.list[0].tools`.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Where it stands in the configuration.
    pub source: &'a str,
    /// Absent or empty: no restriction.
    pub allow: Option<&'a [String]>,
    pub deny: &'a [String],
}

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The list and its entry, as in `tools.deny: exec`; the list alone when nothing in it matched.
    pub rule: String,
}

/// Tools that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// As in `group:<id>`.
    pub id: &'static str,
    pub label: &'static str,
    pub tools: &'static [&'static str],
}

/// Every group but `group:openclaw`, which is all of them.
pub const GROUPS: [Group; 11] = [
    group("fs", "Files", &["read", "write", "edit", "apply_patch"]),
    group("runtime", "Runtime", &["exec", "process", "code_execution"]),
    group("web", "Web", &["web_search", "web_fetch", "x_search"]),
    group("memory", "Memory", &["memory_search", "memory_get"]),
    group(
        "sessions",
        "Sessions",
        &[
            "sessions_list",
            "sessions_history",
            "sessions_send",
            "sessions_spawn",
            "sessions_yield",
            "subagents",
            "session_status",
        ],
    ),
    group("ui", "UI", &["browser", "canvas"]),
    group("messaging", "Messaging", &["message"]),
    group("automation", "Automation", &["heartbeat_respond", "cron", "gateway"]),
    group("nodes", "Nodes", &["nodes"]),
    group("agents", "Agents", &["agents_list", "update_plan"]),
    group("media", "Media", &["image", "image_generate", "music_generate", "video_generate", "tts"]),
];

const fn group(id: &'static str, label: &'static str, tools: &'static [&'static str]) -> Group {
    Group { id, label, tools }
}

/// Decides about a tool. Without stages everything is allowed.
pub fn decide(stages: &[Stage<'_>], tool: &str) -> Decision {
    let tool = normal(tool);
    let mut decided = Decision { allowed: true, rule: "default".into() };
    for stage in stages {
        if let Some(entry) = stage.deny.iter().find(|entry| matches(entry, &tool)) {
            return Decision { allowed: false, rule: format!("{}.deny: {entry}", stage.source) };
        }
        let Some(allow) = stage.allow.filter(|allow| !allow.is_empty()) else { continue };
        match allow.iter().find(|entry| allows(entry, &tool)) {
            Some(entry) => decided.rule = format!("{}.allow: {entry}", stage.source),
            None => return Decision { allowed: false, rule: format!("{}.allow", stage.source) },
        }
    }
    decided
}

/// Entries of a list that match no tool in `known`, for a warning by name.
pub fn unknown<'a>(entries: &'a [String], known: &[&str]) -> Vec<&'a str> {
    let names = |entry: &str| known.iter().any(|tool| matches(entry, &normal(tool)));
    entries.iter().map(String::as_str).filter(|entry| !names(entry)).collect()
}

/// Whoever may write files may also patch them; denying one does not deny the other.
fn allows(entry: &str, tool: &str) -> bool {
    matches(entry, tool) || (tool == "apply_patch" && matches(entry, "write"))
}

fn matches(entry: &str, tool: &str) -> bool {
    let entry = normal(entry);
    match entry.strip_prefix("group:") {
        Some("openclaw") => GROUPS.iter().any(|group| group.tools.contains(&tool)),
        Some(id) => GROUPS.iter().any(|group| group.id == id && group.tools.contains(&tool)),
        None => glob(&entry, tool),
    }
}

fn normal(name: &str) -> String {
    let name = name.trim().to_lowercase();
    match name.as_str() {
        "bash" => "exec".into(),
        "apply-patch" => "apply_patch".into(),
        _ => name,
    }
}

/// Does a pattern, in which `*` stands for any text, match the whole name?
fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = tail.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    fn decided(allow: Option<&[&str]>, deny: &[&str], tool: &str) -> (bool, String) {
        let (allow, deny) = (allow.map(list), list(deny));
        let decision = decide(&[Stage { source: "tools", allow: allow.as_deref(), deny: &deny }], tool);
        (decision.allowed, decision.rule)
    }

    #[test]
    fn the_deciding_rule_is_named() {
        for (allow, deny, tool, allowed, rule) in [
            (None, &[][..], "exec", true, "default"),
            (Some(&[][..]), &[], "exec", true, "default"),
            (Some(&["read"][..]), &[], "read", true, "tools.allow: read"),
            (Some(&["read"]), &[], "exec", false, "tools.allow"),
            (Some(&["*"]), &["exec"], "exec", false, "tools.deny: exec"),
            (Some(&["exec"]), &["EXEC"], "exec", false, "tools.deny: EXEC"),
            (None, &["bash"], "exec", false, "tools.deny: bash"),
            (Some(&["group:fs"]), &[], "edit", true, "tools.allow: group:fs"),
            (None, &["group:runtime"], "process", false, "tools.deny: group:runtime"),
            (Some(&["group:openclaw"]), &[], "canvas", true, "tools.allow: group:openclaw"),
            (Some(&["group:nonsense"]), &[], "read", false, "tools.allow"),
            (Some(&["no_such_tool"]), &[], "read", false, "tools.allow"),
            (Some(&["sessions_*"]), &[], "sessions_list", true, "tools.allow: sessions_*"),
            (None, &["*_fetch"], "web_fetch", false, "tools.deny: *_fetch"),
            (Some(&["write"]), &[], "apply_patch", true, "tools.allow: write"),
            (None, &["write"], "apply_patch", true, "default"),
            (None, &["apply-patch"], "apply_patch", false, "tools.deny: apply-patch"),
        ] {
            assert_eq!(decided(allow, deny, tool), (allowed, rule.to_owned()), "{allow:?} {deny:?} {tool}");
        }
    }

    #[test]
    fn a_later_stage_cannot_give_back_what_an_earlier_one_took() {
        let (deny, allow) = (list(&["exec"]), list(&["exec", "read"]));
        let stages = [
            Stage { source: "tools", allow: None, deny: &deny },
            Stage { source: "agents.list[0].tools", allow: Some(&allow), deny: &[] },
        ];
        assert!(!decide(&stages, "exec").allowed);
        assert_eq!(decide(&stages, "read").rule, "agents.list[0].tools.allow: read");
        assert!(!decide(&stages, "write").allowed);
    }

    #[test]
    fn entries_that_name_nothing_are_found() {
        let entries = list(&["exec", "bash", "group:fs", "group:x", "web_*", "nope"]);
        assert_eq!(unknown(&entries, &["exec", "read"]), ["group:x", "web_*", "nope"]);
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, matched) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("**x", "x", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, name), matched, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn denying_more_never_allows_more(
            allow in prop::collection::vec("[a-c*]{0,3}", 0..3),
            deny in prop::collection::vec("[a-c*]{0,3}", 0..3),
            more in "[a-c*]{0,3}",
            tool in "[a-c]{1,3}",
        ) {
            let stage = |deny| Stage { source: "t", allow: Some(allow.as_slice()), deny };
            let before = decide(&[stage(deny.as_slice())], &tool).allowed;
            let denied: Vec<String> = deny.iter().cloned().chain([more]).collect();
            let after = decide(&[stage(denied.as_slice())], &tool).allowed;
            prop_assert!(before || !after);
        }
    }
}
