//! Commands that the documentation of this product names and this release does not have.
//!
//! Invariant: such a command says so in one line and fails; it never pretends. A command that gets built leaves this table.

/// Paths as typed after `openclaw`. A path covers everything below it.
const ABSENT: &[&str] = &[
    // services
    "gateway install",
    "gateway start",
    "gateway uninstall",
    // looking at a gateway
    "gateway discover",
    "gateway usage-cost",
    "gateway stability",
    "gateway diagnostics",
    "gateway suspend",
    "gateway auth-token",
    "routing",
    // setting up
    "onboard",
    "configure",
    "dashboard",
    "reset",
    "uninstall",
    "backup",
    "update",
    "qr",
    // channels, devices, agents
    "channels add",
    "channels remove",
    "channels login",
    "channels logout",
    "channels resolve",
    "channels capabilities",
    "channels logs",
    "devices",
    "message poll",
    "message react",
    "message read",
    "message edit",
    "message delete",
    "message pin",
    "message search",
    "message broadcast",
    "agents",
    "directory",
    "nodes",
    "node",
    "approvals",
    "exec-policy",
    "sessions tail",
    "sessions compact",
    "sessions archive",
    "sessions delete",
    "sessions export-trajectory",
    // automation
    "tasks",
    "hooks",
    "webhooks",
    // models, secrets, security, sandbox, browser
    "models set",
    "models set-image",
    "models fallbacks",
    "models image-fallbacks",
    "models aliases",
    "models auth",
    "models scan",
    "secrets",
    "security",
    "sandbox",
    "browser",
    "dns",
    "memory",
    "skills",
    // everything else the official help lists
    "acp",
    "attach",
    "audit",
    "capability",
    "chat",
    "clawbot",
    "commitments",
    "connect",
    "crestodian",
    "database",
    "docs",
    "fleet",
    "infer",
    "mcp",
    "migrate",
    "plugins",
    "promos",
    "proxy",
    "resume",
    "telemetry",
    "terminal",
    "transcripts",
    "triage",
    "tui",
    "users",
    "worker",
    "worktrees",
];

/// What to say about a path of command words, if it is one of these.
pub fn sentence(words: &[&str]) -> Option<String> {
    let known = ABSENT.iter().any(|path| {
        let path: Vec<&str> = path.split(' ').collect();
        words.starts_with(&path)
    });
    known.then(|| format!("This release does not have \"openclaw {}\".", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_known_path_covers_what_is_below_it() {
        assert_eq!(sentence(&["nodes"]).as_deref(), Some("This release does not have \"openclaw nodes\"."));
        assert!(sentence(&["nodes", "list"]).is_some());
        assert!(sentence(&["gateway", "install"]).is_some());
        assert!(sentence(&["gateway"]).is_none() && sentence(&["nodess"]).is_none());
    }

    #[test]
    fn nothing_that_is_built_is_called_absent() {
        fn walk(command: &clap::Command, path: &mut Vec<String>) {
            for sub in command.get_subcommands() {
                path.push(sub.get_name().to_owned());
                let words: Vec<&str> = path.iter().map(String::as_str).collect();
                assert_eq!(sentence(&words), None);
                walk(sub, path);
                path.pop();
            }
        }
        walk(&Cli::command(), &mut Vec::new());
    }
}
