//! References without a value, and credentials that are weak or missing.

use super::finding::{Finding, Section};
use crate::cli::context::Context;

/// Shorter tokens can be guessed sooner than one would like.
const TOKEN_CHARS_MIN: usize = 24;

pub fn look(context: &Context) -> Vec<Finding> {
    let Ok(snapshot) = context.loaded() else { return Vec::new() };
    let mut findings: Vec<Finding> =
        snapshot.secrets.failures().iter().map(|issue| Finding::problem(Section::Secrets, issue.to_text())).collect();
    if findings.is_empty() {
        findings.push(Finding::fine(Section::Secrets, "every reference that can be looked up here has a value"));
    }
    if snapshot.secrets.is_pending() {
        findings.push(Finding::note(Section::Secrets, "references to programs are looked up when the gateway starts"));
    }
    if let Ok(keys) = context.keys_of(snapshot) {
        findings.extend(token(keys.auth_mode_effective(), keys.token.as_deref(), keys.bind_mode()));
    }
    findings
}

fn token(mode: &str, token: Option<&str>, bind: &str) -> Option<Finding> {
    match (mode, token) {
        ("none", _) if bind == "loopback" => Some(Finding::note(
            Section::Security,
            "gateway.auth.mode is none: every program of this host may use the gateway",
        )),
        ("token", None) => {
            let text = "no gateway token is configured: the gateway makes one for each run\n\
                        openclaw doctor --generate-gateway-token writes one";
            Some(Finding::note(Section::Security, text))
        }
        ("token", Some(token)) if token.chars().count() < TOKEN_CHARS_MIN => {
            let text =
                format!("the gateway token is short ({} characters); use a long random one", token.chars().count());
            Some(Finding::note(Section::Security, text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_judged_by_its_length_and_never_shown() {
        let short = token("token", Some("canary-canary"), "loopback").unwrap();
        assert!(short.message.contains("13 characters") && !short.message.contains("canary"));
        assert_eq!(token("token", Some(&"x".repeat(48)), "loopback"), None);
        assert!(token("token", None, "loopback").is_some());
        assert_eq!(token("password", None, "lan"), None);
        assert!(token("none", None, "loopback").is_some());
    }
}
