//! What `gateway --dev` and the profile `dev` promise: a configuration and a workspace that just work.
//!
//! Invariant: creates what is missing and changes nothing that exists; `--reset` moves things away, it deletes nothing.
//! Source: command line specification §2.4 and §2.5 (a).

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use openclaw_actors::files;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::setup::random_token;
use crate::cli::workspace;
use crate::client::RunFile;

/// Creates configuration and workspace if they are missing. `by_flag`: `--dev` stood after `gateway`.
pub fn prepare(context: &Context, by_flag: bool, reset: bool) -> Result<(), Failure> {
    let paths = &context.paths;
    let workspace = workspace_dir(&paths.workspace_default, paths.profile.as_deref());
    if reset {
        if let Some(note) = RunFile::read(&paths.state_dir) {
            return Err(Failure::error(format!(
                "A gateway (pid {}) uses this state directory; stop it before --reset.",
                note.pid
            )));
        }
        let to = suffixed(&paths.state_dir, &format!(".reset-{}", Zoned::now().strftime("%Y%m%d-%H%M%S")));
        move_away(&[
            (&paths.state_dir, &to),
            (&paths.config_path, &to.join("openclaw.json")),
            (&workspace, &to.join("workspace")),
        ])?;
        context.output.note(format!("Dev state moved to {}", context.show(&to)));
    }
    if !paths.config_path.exists() {
        if let Some(dir) = paths.config_path.parent() {
            files::ensure_dir(dir)?;
        }
        let text =
            serde_json::to_string_pretty(&config(&workspace, &random_token(), paths.port_default)).unwrap_or_default();
        files::replace(&paths.config_path, format!("{text}\n").as_bytes())?;
        context.output.note(format!("Dev config ready: {}", context.show(&paths.config_path)));
    }
    if by_flag || !workspace.exists() {
        workspace::create(&workspace, false)?;
        context.output.note(format!("Dev workspace ready: {}", context.show(&workspace)));
    }
    Ok(())
}

fn config(workspace: &Path, token: &str, port: u16) -> Value {
    json!({
        "gateway": { "mode": "local", "port": port, "bind": "loopback", "auth": { "mode": "token", "token": token } },
        "agents": {
            "defaults": { "workspace": workspace, "skipBootstrap": true },
            "list": [{
                "id": "dev",
                "default": true,
                "workspace": workspace,
                "identity": { "name": "Dev", "theme": "workshop assistant", "emoji": "🔧" },
            }],
        },
    })
}

/// The profile's own workspace already ends in `-dev`; any other gets the ending.
fn workspace_dir(default: &Path, profile: Option<&str>) -> PathBuf {
    if profile == Some("dev") { default.to_owned() } else { suffixed(default, "-dev") }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves what exists, in order; what moved along with an earlier one is gone by then.
fn move_away(moves: &[(&Path, &Path)]) -> Result<(), Failure> {
    for (from, to) in moves {
        if from.symlink_metadata().is_err() {
            continue;
        }
        if let Some(parent) = to.parent() {
            files::ensure_dir(parent)?;
        }
        fs::rename(from, to)
            .map_err(|error| Failure::error(format!("cannot move {} to {}: {error}", from.display(), to.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_of_the_profile_keeps_its_name() {
        let dir = |default: &str, profile| workspace_dir(Path::new(default), profile).display().to_string();
        assert_eq!(dir("/h/.openclaw/workspace-dev", Some("dev")), "/h/.openclaw/workspace-dev");
        assert_eq!(dir("/h/.openclaw/workspace", None), "/h/.openclaw/workspace-dev");
    }

    #[test]
    fn the_configuration_starts_on_loopback_with_a_token() {
        let config = config(Path::new("/w"), "abc", 19001);
        assert_eq!(config.pointer("/gateway/mode"), Some(&json!("local")));
        assert_eq!(config.pointer("/gateway/bind"), Some(&json!("loopback")));
        assert_eq!(config.pointer("/gateway/auth/token"), Some(&json!("abc")));
        assert_eq!(config.pointer("/agents/list/0/workspace"), Some(&json!("/w")));
    }

    #[test]
    fn a_reset_moves_everything_and_deletes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (state, workspace) = (root.path().join("state"), root.path().join("workspace"));
        let (config, to) = (root.path().join("other.json"), root.path().join("state.reset-1"));
        for dir in [&state, &workspace] {
            files::ensure_dir(dir).unwrap();
        }
        files::replace(&config, b"{}").unwrap();
        files::replace(&state.join("a"), b"1").unwrap();
        move_away(&[(&state, &to), (&config, &to.join("openclaw.json")), (&workspace, &to.join("workspace"))]).unwrap();
        assert!(to.join("a").exists() && to.join("openclaw.json").exists() && to.join("workspace").exists());
        assert!(!state.exists() && !config.exists() && !workspace.exists());
    }
}
