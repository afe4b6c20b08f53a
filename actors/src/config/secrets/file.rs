//! Secrets from files: one read per provider and snapshot, judged by the opened file and not by its path.
//!
//! Not a symlink, a regular file of ours, not writable by others, not readable by everybody, within its size.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use serde_json::Value;

use super::super::paths::expand_tilde;
use super::{Provider, SecretError, SecretRef};

/// What the files of this snapshot contained, by provider.
pub type Contents = BTreeMap<String, Result<String, SecretError>>;

/// The value of a `file` reference.
pub fn resolve(
    reference: &SecretRef,
    provider: &Provider,
    home: &Path,
    files: &mut Contents,
) -> Result<String, SecretError> {
    let content = files.entry(reference.provider.clone()).or_insert_with(|| {
        read(&expand_tilde(&provider.path, home), provider)
            .map_err(|problem| SecretError::Provider { provider: reference.provider.clone(), problem })
    });
    let value = pick(content.as_ref().map_err(Clone::clone)?, &provider.mode, &reference.id);
    value.map_err(|problem| SecretError::Value { reference: reference.clone(), problem: problem.to_owned() })
}

fn pick(content: &str, mode: &str, id: &str) -> Result<String, &'static str> {
    if mode == "singleValue" {
        return match content.trim_end_matches(['\r', '\n']) {
            _ if id != "value" => Err("id must be \"value\" in singleValue mode"),
            "" => Err("the file is empty"),
            value => Ok(value.to_owned()),
        };
    }
    let json: Value = serde_json::from_str(content).map_err(|_| "the file is not JSON")?; // the error could quote the content
    match json.pointer(id) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value.clone()),
        Some(_) => Err("the value is not a text or empty"),
        None => Err("nothing is there"),
    }
}

fn read(path: &Path, provider: &Provider) -> Result<String, String> {
    if !path.is_absolute() {
        return Err("path must be absolute".to_owned());
    }
    let file = open(path)?;
    if !provider.allow_insecure_path {
        judge(&file)?;
    }
    let mut content = String::new();
    let read = file.take(provider.max_bytes + 1).read_to_string(&mut content);
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if content.len() as u64 > provider.max_bytes {
        return Err(format!("{} is larger than {} bytes", path.display(), provider.max_bytes));
    }
    Ok(content)
}

/// Opens without following a symlink and without waiting for the other end of a pipe.
fn open(path: &Path) -> Result<File, String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ELOOP as i32 => format!("{} is a symlink", path.display()),
        _ => format!("{}: {error}", path.display()),
    })?;
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        _ => Err(format!("{} is not a regular file", path.display())),
    }
}

fn judge(file: &File) -> Result<(), String> {
    let about = file.metadata().map_err(|error| error.to_string())?;
    let mode = about.mode() & 0o777;
    if about.uid() != Uid::effective().as_raw() {
        return Err("the file belongs to another user".to_owned());
    }
    if mode & 0o026 != 0 {
        return Err(format!("mode {mode:04o} lets others read or write the file (use chmod 600)"));
    }
    Ok(())
}

/// Is a program file safe to run: a regular file of ours or of root that nobody else can write?
///
/// Returns the real path. `Differs:` root's files are accepted too, since the system installs its programs as root.
pub fn judge_command(provider: &Provider) -> Result<PathBuf, String> {
    let path = Path::new(&provider.command);
    let link = std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.is_symlink();
    if link && !provider.allow_symlink_command {
        return Err(format!("{} is a symlink (set allowSymlinkCommand)", path.display()));
    }
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let about = real.metadata().map_err(|error| format!("{}: {error}", real.display()))?;
    if !about.is_file() {
        return Err(format!("{} is not a regular file", real.display()));
    }
    let trusted = |dir: &String| Path::new(dir).canonicalize().is_ok_and(|dir| real.starts_with(dir));
    if !provider.trusted_dirs.is_empty() && !provider.trusted_dirs.iter().any(trusted) {
        return Err(format!("{} is outside trustedDirs", real.display()));
    }
    let owner = [Uid::effective().as_raw(), 0].contains(&about.uid());
    if !provider.allow_insecure_path && (!owner || about.mode() & 0o022 != 0) {
        return Err(format!("{} can be changed by others", real.display()));
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn run(path: &Path, mode: &str, id: &str, insecure: bool) -> Result<String, String> {
        let provider = Provider {
            path: path.to_str().unwrap().to_owned(),
            mode: mode.to_owned(),
            max_bytes: 64,
            allow_insecure_path: insecure,
            ..Provider::default()
        };
        let reference = SecretRef { source: super::super::Source::File, provider: "f".into(), id: id.into() };
        resolve(&reference, &provider, Path::new("/home/u"), &mut Contents::new()).map_err(|error| error.to_string())
    }

    fn file(dir: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        crate::files::replace(&path, text.as_bytes()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_value_is_found_by_pointer_or_is_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let json = file(&dir, "s.json", "{\"a\":{\"b/c\":\"v\"},\"n\":5}", 0o600);
        assert_eq!(run(&json, "json", "/a/b~1c", false).unwrap(), "v");
        assert_eq!(run(&json, "json", "/x", false).unwrap_err(), "secret file:f:/x: nothing is there");
        assert_eq!(run(&json, "json", "/n", false).unwrap_err(), "secret file:f:/n: the value is not a text or empty");
        let single = file(&dir, "one", "v\r\n", 0o640);
        assert_eq!(run(&single, "singleValue", "value", false).unwrap(), "v");
        assert!(run(&single, "json", "/a", false).unwrap_err().ends_with("the file is not JSON"));
    }

    #[test]
    fn files_that_others_can_touch_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o604, 0o620, 0o602] {
            let path = file(&dir, "open", "v", mode);
            let error = run(&path, "singleValue", "value", false).unwrap_err();
            assert!(error.contains("lets others read or write"), "{error}");
            assert_eq!(run(&path, "singleValue", "value", true).unwrap(), "v");
        }
        let target = file(&dir, "target", "v", 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(run(&link, "singleValue", "value", true).unwrap_err().ends_with("is a symlink"));
        assert!(run(dir.path(), "singleValue", "value", true).unwrap_err().ends_with("is not a regular file"));
        let big = file(&dir, "big", &"x".repeat(65), 0o600);
        assert!(run(&big, "singleValue", "value", false).unwrap_err().ends_with("is larger than 64 bytes"));
    }

    #[test]
    fn a_pipe_does_not_keep_us_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(run(&pipe, "singleValue", "value", false).unwrap_err().ends_with("is not a regular file"));
    }
}
