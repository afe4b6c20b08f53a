//! The configuration file: is it there, is it valid, and what in it does nothing?

use openclaw_actors::config::issue::dotted;
use openclaw_actors::config::paths::ConfigOrigin;
use openclaw_actors::config::{ConfigError, IssueCode, Snapshot, aliases, backup};
use serde_json::Value;

use super::finding::{Finding, Repair, Section};
use crate::cli::context::Context;

pub fn look(context: &Context) -> Vec<Finding> {
    let path = context.show(&context.paths.config_path);
    match context.loaded() {
        Err(error) => broken(context, error),
        Ok(snapshot) if !snapshot.exists => {
            let hint = context.hint("setup");
            vec![Finding::problem(Section::Config, format!("Config file not found: {path}\nCreate one: {hint}"))]
        }
        Ok(snapshot) => {
            let mut findings = vec![Finding::fine(Section::Config, format!("Config valid: {path}"))];
            findings.extend(of_snapshot(snapshot));
            findings.extend(other_spellings(&snapshot.source));
            if context.paths.config_origin == ConfigOrigin::OtherName {
                let text = "config.json is read because openclaw.json does not exist; rename it when no older release needs it";
                findings.push(Finding::note(Section::Config, text));
            }
            findings
        }
    }
}

fn broken(context: &Context, error: &ConfigError) -> Vec<Finding> {
    let path = context.show(&context.paths.config_path);
    let issues: Vec<String> = error.issues.iter().map(|issue| format!("× {}", issue.to_text())).collect();
    let finding = Finding::problem(Section::Config, format!("Config is invalid: {path}\n{}", issues.join("\n")));
    let last_good = backup::last_good_path(&context.paths.config_path);
    vec![if last_good.exists() { finding.with(Repair::LastGood(last_good)) } else { finding }]
}

fn of_snapshot(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for issue in &snapshot.start_blocks {
        let text = format!("The gateway would not start: {}", issue.to_text());
        findings.push(Finding::problem(Section::Config, text));
    }
    findings.extend(snapshot.warnings.iter().map(|issue| Finding::note(Section::Config, issue.to_text())));
    for issue in &snapshot.notes {
        findings.push(match issue.code {
            IssueCode::NotInEffect => Finding::note(Section::KeysWithoutEffect, issue.to_text()),
            _ => Finding::note(Section::Config, issue.to_text()),
        });
    }
    findings
}

/// Keys that older releases and tutorials spell differently; they work, and `--fix` respells them.
fn other_spellings(source: &Value) -> Option<Finding> {
    let normalised = aliases::normalise(source.clone());
    if normalised.value == *source || !normalised.errors.is_empty() {
        return None;
    }
    let moves = normalised.moves.iter().map(|(from, to)| format!("{} → {}", dotted(from), dotted(to)));
    let text: Vec<String> =
        std::iter::once("Keys in another spelling become canonical:".to_owned()).chain(moves).collect();
    Some(Finding::note(Section::Changes, text.join("\n")).with(Repair::CanonicalKeys))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_spelling_is_offered_for_repair_and_the_canonical_one_is_not() {
        let finding = other_spellings(&json!({ "agent": { "model": "a/b" } })).unwrap();
        assert!(finding.message.contains("agent → agents.defaults"), "{}", finding.message);
        assert_eq!(finding.repair, Some(Repair::CanonicalKeys));
        assert_eq!(other_spellings(&json!({ "agents": { "defaults": { "model": "a/b" } } })), None);
    }
}
