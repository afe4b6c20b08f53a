//! The state directory and the workspace: there, ours, private.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::finding::{Finding, Repair, Section};
use crate::cli::context::Context;
use crate::cli::setup::workspace_of;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

pub fn look(context: &Context, suggest_workspace: bool) -> Vec<Finding> {
    let state = &context.paths.state_dir;
    let mut findings = vec![directory(context, state)];
    findings.extend(private(context, state, 0o700));
    findings.extend(private(context, &context.paths.config_path, 0o600));
    findings.extend(private(context, &state.join(".env"), 0o600));
    findings.extend(private(context, &state.join("identity"), 0o700));
    if suggest_workspace && let Ok(snapshot) = context.loaded() {
        let default = &context.paths.workspace_default;
        findings.push(workspace(context, &workspace_of(&snapshot.settings, &context.paths.home, default)));
    }
    findings
}

fn directory(context: &Context, state: &Path) -> Finding {
    let shown = context.show(state);
    match fs::metadata(state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("State directory is missing: {shown}");
            Finding::problem(Section::State, text).with(Repair::CreateDir(state.to_owned()))
        }
        Err(error) => Finding::problem(Section::State, format!("State directory {shown}: {error}")),
        Ok(meta) if !meta.is_dir() => {
            Finding::problem(Section::State, format!("State directory {shown} is no directory"))
        }
        Ok(_) if access(state, AccessFlags::W_OK | AccessFlags::X_OK).is_err() => {
            Finding::problem(Section::State, format!("State directory {shown} is not writable"))
        }
        Ok(_) => Finding::fine(Section::State, format!("State directory {shown}")),
    }
}

/// What exists must belong to us and be closed to others.
fn private(context: &Context, path: &Path, mode: u32) -> Option<Finding> {
    let meta = fs::symlink_metadata(path).ok()?; // what is absent is somebody else's check
    let uid = nix::unistd::getuid().as_raw();
    judge(&context.show(path), path, &meta, mode, uid)
}

fn judge(shown: &str, path: &Path, meta: &Metadata, mode: u32, uid: u32) -> Option<Finding> {
    if meta.is_symlink() {
        return Some(Finding::note(Section::Security, format!("{shown} is a link; its target must be private")));
    }
    if meta.uid() != uid {
        return Some(Finding::problem(
            Section::Security,
            format!("{shown} belongs to another user (uid {})", meta.uid()),
        ));
    }
    let found = meta.permissions().mode() & 0o777;
    if found & OTHERS == 0 {
        return None;
    }
    let text = format!("{shown} is open to other users (mode {found:04o}, should be {mode:04o})");
    Some(Finding::problem(Section::Security, text).with(Repair::Mode(path.to_owned(), mode)))
}

fn workspace(context: &Context, dir: &Path) -> Finding {
    let shown = context.show(dir);
    if dir.is_dir() {
        return Finding::fine(Section::State, format!("Workspace {shown}"));
    }
    let text = format!("Workspace is missing: {shown}\n{} creates its files", context.hint("setup"));
    Finding::problem(Section::State, text).with(Repair::CreateDir(dir.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_a_problem_with_a_repair() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        openclaw_actors::files::replace(&path, b"{}").unwrap();
        let uid = nix::unistd::getuid().as_raw();
        let judged = |uid| judge("file", &path, &fs::symlink_metadata(&path).unwrap(), 0o600, uid);
        assert_eq!(judged(uid), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let finding = judged(uid).unwrap();
        assert!(finding.message.contains("mode 0644"), "{}", finding.message);
        assert_eq!(finding.repair, Some(Repair::Mode(path.clone(), 0o600)));
        assert_eq!(judged(uid + 1).unwrap().repair, None, "what is not ours is not ours to repair");
    }
}
