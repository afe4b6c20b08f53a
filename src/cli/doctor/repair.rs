//! The repairs of `doctor --fix`. Each one is whole or not at all, and says when it did not work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use openclaw_actors::config::write::{self, Base, Writer};
use openclaw_actors::config::{aliases, backup, tree};
use openclaw_actors::files;
use serde_json::{Value, json};

use super::finding::{Finding, Repair, Section};
use crate::cli::config::write_with;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::setup::random_token;

/// Makes every repair once and marks what it mended.
pub fn all(context: &Context, findings: Vec<Finding>) -> Vec<Finding> {
    let mut done: Vec<(Repair, Result<(), String>)> = Vec::new();
    let mut findings: Vec<Finding> = findings;
    for finding in &mut findings {
        let Some(repair) = finding.repair.clone() else { continue };
        let known = done.iter().find(|(made, _)| *made == repair).map(|(_, result)| result.clone());
        let result = known.unwrap_or_else(|| {
            let result = make(context, &repair);
            done.push((repair, result.clone()));
            result
        });
        match result {
            Ok(()) => finding.repaired = true,
            Err(reason) => finding.message = format!("{}\nnot repaired: {reason}", finding.message),
        }
    }
    findings
}

fn make(context: &Context, repair: &Repair) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    match repair {
        Repair::Mode(path, mode) => fs::set_permissions(path, fs::Permissions::from_mode(*mode)).map_err(text),
        Repair::CreateDir(path) => files::ensure_dir(path).map_err(text),
        Repair::CanonicalKeys => canonical_keys(context).map_err(|failure| failure.lines.join("; ")),
        Repair::LastGood(path) => last_good(context, path),
    }
}

fn canonical_keys(context: &Context) -> Result<(), Failure> {
    write_with(context, &|config| canonical(config)).map(drop)
}

/// The same configuration in canonical spelling; one that cannot be respelled without loss stays as it is.
fn canonical(config: &Value) -> Result<Value, Failure> {
    let normalised = aliases::normalise(config.clone());
    match normalised.errors.first() {
        None => Ok(normalised.value),
        Some(issue) => Err(Failure::config(issue.to_text())),
    }
}

/// The broken file is kept; the writer takes the good one only if it loads.
fn last_good(context: &Context, path: &Path) -> Result<(), String> {
    let config = &context.paths.config_path;
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let broken = fs::read(config).map_err(|error| error.to_string())?;
    let kept = backup::beside(config, &format!(".clobbered.{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ")));
    files::replace(&kept, &broken).map_err(|error| error.to_string())?;
    let writer = Writer {
        actor: "doctor",
        base: Base::Any,
        replace: true,
        secrets_required: false,
        version: None,
        now: Timestamp::now(),
    };
    write::replace(&context.paths, &context.env, &writer, &text).map_err(|error| error.to_string())?;
    let (config, kept) = (context.show(config), context.show(&kept));
    context.output.note(format!("Restored {config} from last-known-good; original saved as {kept}."));
    Ok(())
}

/// `--generate-gateway-token`: never over an existing credential or a reference to one.
pub fn gateway_token(context: &Context) -> Finding {
    let token = random_token();
    let written = write_with(context, &|config| Ok(with_token(config, &token)));
    match written {
        Err(failure) => {
            Finding::problem(Section::Security, format!("no token was written: {}", failure.lines.join("; ")))
        }
        Ok(written) if written.file.is_none() => {
            Finding::note(Section::Security, "a gateway credential is configured already; no token was written")
        }
        Ok(_) => Finding::fine(Section::Security, "a gateway token was written to the configuration"),
    }
}

fn with_token(config: &Value, token: &str) -> Value {
    let mut config = config.clone();
    let taken = [&["gateway", "auth", "token"][..], &["gateway", "auth", "password"], &["security", "accessToken"]];
    if !taken.iter().any(|path| tree::get(&config, path).is_some()) {
        let placed = tree::set(&mut config, &["gateway", "auth", "token"], json!(token));
        debug_assert!(placed, "a validated configuration has an object there or nothing");
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_become_canonical() {
        let config = json!({ "agent": { "model": "a/b" }, "gateway": { "host": "127.0.0.1" } });
        let respelled = canonical(&config).unwrap();
        assert_eq!(respelled.pointer("/agents/defaults/model"), Some(&json!("a/b")));
        assert_eq!(respelled.get("agent"), None);
        assert_eq!(canonical(&respelled).unwrap(), respelled, "a second run changes nothing");
    }

    #[test]
    fn a_token_never_replaces_a_credential() {
        assert_eq!(with_token(&json!({}), "t").pointer("/gateway/auth/token"), Some(&json!("t")));
        for config in [
            json!({ "gateway": { "auth": { "token": { "source": "env", "id": "X" } } } }),
            json!({ "gateway": { "auth": { "password": "p" } } }),
        ] {
            assert_eq!(with_token(&config, "t"), config);
        }
    }
}
