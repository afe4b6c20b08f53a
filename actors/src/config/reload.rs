//! What a changed configuration asks of the running service: nothing, in place, or a restart.
//!
//! The table knows every root of the key tree. Paths are those of the authored spelling, so the other spellings have rows too.
//! Source: configuration reference of 2026.5.12, reload; `Differs:` where a row says hot although 2026.5.12 restarts: credentials,
//! origins, proxies, endpoint switches, and roots that had no rule.

use super::issue::{KeyPath, dotted};
use super::settings::ReloadMode;

/// Log texts that operators search for; the changed paths follow in brackets where one is shown.
pub const CHANGE_DETECTED: &str = "config change detected; evaluating reload";
pub const HOT_APPLIED: &str = "config hot reload applied";
pub const HOT_IGNORING: &str = "config reload requires gateway restart; hot mode ignoring";
pub const RESTART_REQUIRED: &str = "config change requires gateway restart";
pub const DISABLED: &str = "config reload disabled (gateway.reload.mode=off)";
pub const SKIPPED_INVALID: &str = "config reload skipped (invalid config)";
pub const SKIPPED_MISSING: &str = "config reload skipped (config file not found)";
pub const ANOMALY: &str = "Config observe anomaly";

/// What a change of a key needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Read afresh wherever it is used.
    None,
    /// The actors concerned take it over.
    Hot,
    Restart,
}

use Class::{Hot, None as Quiet, Restart};

/// Class by path; the longest row that begins a path decides.
const TABLE: &[(&str, Class)] = &[
    ("$schema", Quiet),
    ("$include", Restart),
    ("gateway", Restart),
    ("gateway.reload", Quiet),
    ("gateway.remote", Quiet),
    ("gateway.channelHealthCheckMinutes", Hot),
    ("gateway.channelStaleEventThresholdMinutes", Hot),
    ("gateway.channelMaxRestartsPerHour", Hot),
    ("gateway.auth.token", Hot),
    ("gateway.auth.password", Hot),
    ("gateway.auth.jwt", Hot),
    ("gateway.auth.rateLimit", Hot),
    ("gateway.controlUi.allowedOrigins", Hot),
    ("gateway.trustedProxies", Hot),
    ("gateway.http.allowedHosts", Hot),
    ("gateway.http.endpoints.chatCompletions.enabled", Hot),
    ("gateway.http.endpoints.responses.enabled", Hot),
    ("gateway.tools", Hot),
    ("gateway.logLevel", Hot),
    ("gateway.timeout", Hot),
    ("gateway.requestTimeoutMs", Hot),
    ("gateway.maxConnections", Hot),
    ("discovery", Restart),
    ("canvasHost", Restart),
    ("plugins", Hot),
    ("plugins.load", Restart),
    ("plugins.installs", Restart),
    ("https", Restart),
    ("performance", Hot),
    ("performance.workers", Restart),
    ("security", Hot),
    ("cache", Hot),
    ("queue", Hot),
    ("connectionPool", Hot),
    ("channels", Hot),
    ("web", Hot),
    ("agents", Hot),
    ("agent", Hot),
    ("models", Hot),
    ("routing", Hot),
    ("bindings", Hot),
    ("identity", Hot),
    ("cron", Hot),
    ("hooks", Hot),
    ("session", Hot),
    ("messages", Hot),
    ("tools", Hot),
    ("skills", Hot),
    ("audio", Hot),
    ("talk", Hot),
    ("media", Hot),
    ("memory", Hot),
    ("approvals", Hot),
    ("commands", Hot),
    ("broadcast", Hot),
    ("accessGroups", Hot),
    ("surfaces", Hot),
    ("browser", Hot),
    ("ui", Hot),
    ("logging", Hot),
    ("secrets", Hot),
    ("mcp", Hot),
    ("env", Hot),
    ("auth", Hot),
    ("diagnostics", Hot),
    ("update", Hot),
    ("commitments", Hot),
    ("crestodian", Hot),
    ("acp", Hot),
    ("proxy", Hot),
    ("nodeHost", Hot),
    ("cli", Hot),
    ("meta", Hot),
    ("wizard", Hot),
    ("bridge", Quiet),
];

/// Class of a changed path. A path that no row begins needs a restart; the test below proves that there is none.
pub fn class(keys: &[String]) -> Class {
    let begins =
        |row: &str| row.split('.').count() <= keys.len() && row.split('.').zip(keys).all(|(part, key)| part == key);
    let rows = TABLE.iter().filter(|(row, _)| begins(row));
    rows.max_by_key(|(row, _)| row.len()).map_or(Restart, |(_, class)| *class)
}

/// What to do about a change; paths as messages show them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadPlan {
    /// The running service takes these over.
    pub apply_hot: Vec<String>,
    /// A drained restart is due for these.
    pub needs_restart: Vec<String>,
    /// Effective with the next start only, because of the mode.
    pub ignored: Vec<String>,
    /// Nothing to do: readers see them in the new snapshot.
    pub quiet: Vec<String>,
    /// The paths that wait, as keys.
    pub held: Vec<KeyPath>,
}

impl ReloadPlan {
    /// Is there a new snapshot to publish now?
    pub fn publishes(&self) -> bool {
        !(self.apply_hot.is_empty() && self.quiet.is_empty())
    }

    /// Every changed path.
    pub fn paths(&self) -> Vec<&str> {
        let all = self.apply_hot.iter().chain(&self.needs_restart).chain(&self.ignored).chain(&self.quiet);
        all.map(String::as_str).collect()
    }
}

/// Plans a reload in the mode that was in force before the change.
///
/// A change that switches the mode itself is quiet and counts from the next edit on.
pub fn plan(mode: ReloadMode, changed: &[KeyPath]) -> ReloadPlan {
    let mut plan = ReloadPlan::default();
    for keys in changed {
        let list = match (mode, class(keys)) {
            (ReloadMode::Off, _) => &mut plan.ignored,
            (_, Class::None) => &mut plan.quiet,
            (ReloadMode::Restart, _) | (ReloadMode::Hybrid, Restart) => &mut plan.needs_restart,
            (ReloadMode::Hot, Restart) => &mut plan.ignored,
            (ReloadMode::Hot | ReloadMode::Hybrid, Hot) => &mut plan.apply_hot,
        };
        list.push(dotted(keys));
    }
    let waits = |keys: &&KeyPath| {
        let path = dotted(keys);
        plan.needs_restart.contains(&path) || plan.ignored.contains(&path)
    };
    plan.held = changed.iter().filter(waits).cloned().collect();
    plan
}

/// Why the gateway does not restart itself for the keys that wait. `None`: it does, or none waits.
/// `commands.restart` has no say here: it is about signals and chats.
pub fn held(mode: ReloadMode, plan: &ReloadPlan) -> Option<&'static str> {
    match mode {
        _ if plan.held.is_empty() => None,
        ReloadMode::Off => Some("gateway.reload.mode is off"),
        ReloadMode::Hot => Some("gateway.reload.mode is hot"),
        ReloadMode::Hybrid | ReloadMode::Restart => None,
    }
}

/// A log line about paths: `text (a, b)`.
pub fn line(text: &str, paths: &[impl AsRef<str>]) -> String {
    let paths: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
    format!("{text} ({})", paths.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn keys(path: &str) -> KeyPath {
        path.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_longest_row_decides() {
        for (path, expected) in [
            ("gateway.port", Restart),
            ("gateway.auth.mode", Restart),
            ("gateway.auth.token", Hot),
            ("gateway.auth.token.id", Hot),
            ("gateway.reload.mode", Quiet),
            ("gateway", Restart),
            ("agents.list", Hot),
            ("agent.model", Hot),
            ("performance.workers", Restart),
            ("performance.concurrency", Hot),
            ("plugins.load.paths", Restart),
            ("plugins.entries.x.enabled", Hot),
            ("surprise", Restart),
        ] {
            assert_eq!(class(&keys(path)), expected, "{path}");
        }
    }

    #[test]
    fn every_root_of_the_key_tree_has_a_row() {
        for root in schema::root().fields.keys() {
            assert!(TABLE.iter().any(|(row, _)| row == root), "{root}");
        }
        for (row, _) in TABLE.iter().filter(|(row, _)| !row.starts_with('$')) {
            assert!(schema::find(&keys(row)).is_some(), "{row} is no key");
        }
    }

    #[test]
    fn the_mode_decides_what_a_mixed_edit_does() {
        let changed = ["gateway.port", "agents.list", "gateway.reload.mode"].map(keys);
        let lists = |mode| {
            let plan = plan(mode, &changed);
            [plan.apply_hot, plan.needs_restart, plan.ignored, plan.quiet].map(|list| list.join(" "))
        };
        let [port, agents, reload] = ["gateway.port", "agents.list", "gateway.reload.mode"];
        assert_eq!(lists(ReloadMode::Hybrid), [agents, port, "", reload]);
        assert_eq!(lists(ReloadMode::Hot), [agents, "", port, reload]);
        assert_eq!(lists(ReloadMode::Restart), ["", &format!("{port} {agents}"), "", reload]);
        assert_eq!(lists(ReloadMode::Off), ["", "", &format!("{port} {agents} {reload}"), ""]);
    }

    #[test]
    fn a_restart_is_made_unless_the_mode_holds_it() {
        for (mode, path, expected) in [
            (ReloadMode::Hybrid, "gateway.port", None),
            (ReloadMode::Hybrid, "agents.list", None),
            (ReloadMode::Restart, "agents.list", None),
            (ReloadMode::Hot, "gateway.port", Some("gateway.reload.mode is hot")),
            (ReloadMode::Off, "agents.list", Some("gateway.reload.mode is off")),
        ] {
            assert_eq!(held(mode, &plan(mode, &[keys(path)])), expected, "{mode:?} {path}");
        }
    }

    #[test]
    fn only_a_plan_without_restart_publishes() {
        let publishes = |mode, path: &str| plan(mode, &[keys(path)]).publishes();
        assert!(publishes(ReloadMode::Hybrid, "agents.list"));
        assert!(publishes(ReloadMode::Restart, "gateway.reload.mode"));
        assert!(!publishes(ReloadMode::Hybrid, "gateway.port"));
        assert!(!publishes(ReloadMode::Hot, "gateway.port"));
        assert!(!publishes(ReloadMode::Off, "agents.list"));
        assert!(!plan(ReloadMode::Hybrid, &[]).publishes());
        assert_eq!(line(HOT_APPLIED, &["a.b", "c"]), "config hot reload applied (a.b, c)");
    }
}
