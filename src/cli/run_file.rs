//! The note that a running gateway leaves for the local command line: `<state>/run/gateway.json`.
//!
//! Invariant: the note counts only while the process that wrote it lives; a pid alone proves nothing, so its start time must match.
//! Source: command line specification §2.5.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the gateway writes, mode 0600, and removes when it stops.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFile {
    pub pid: u32,
    /// Start of the process in clock ticks since boot: field 22 of `/proc/<pid>/stat`; 0 where there is no such file.
    #[serde(default)]
    pub start_time: u64,
    pub port: u16,
    pub url: String,
    /// Only when the gateway made a token for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for RunFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunFile").field("pid", &self.pid).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Where the note lies.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("run").join("gateway.json")
}

/// The note, if its process lives. Anything unreadable is no note.
pub fn read(state_dir: &Path) -> Option<RunFile> {
    let text = std::fs::read_to_string(path(state_dir)).ok()?;
    living(&text, start_time)
}

fn living(text: &str, start_time: impl Fn(u32) -> Option<u64>) -> Option<RunFile> {
    let note: RunFile = serde_json::from_str(text).ok()?;
    (start_time(note.pid) == Some(note.start_time)).then_some(note)
}

/// When a process started, in clock ticks since boot. `None`: there is no such process.
///
/// Without `/proc` every living process answers 0.
pub fn start_time(pid: u32) -> Option<u64> {
    if Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        return stat_start_time(&stat);
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(pid, None).ok().map(|()| 0)
}

/// The name of the program stands in brackets and may contain anything; the fields count from after the last one.
fn stat_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = r#"{"pid":42,"startTime":7,"port":18789,"url":"ws://127.0.0.1:18789","token":"canary"}"#;

    #[test]
    fn the_note_of_another_life_does_not_count() {
        assert_eq!(living(NOTE, |_| Some(7)).map(|note| note.port), Some(18_789));
        assert_eq!(living(NOTE, |_| Some(8)), None);
        assert_eq!(living(NOTE, |_| None), None);
        assert_eq!(living("{", |_| Some(7)), None);
    }

    #[test]
    fn its_token_stays_out_of_debug_output() {
        assert!(!format!("{:?}", living(NOTE, |_| Some(7))).contains("canary"));
    }

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "9 (a) b (c) S 1 9 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 5 6";
        assert_eq!(stat_start_time(stat), Some(123_456));
    }

    #[test]
    fn this_process_lives() {
        assert!(start_time(std::process::id()).is_some());
    }
}
