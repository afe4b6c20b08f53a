//! The note that a running gateway leaves for the local command line: `<state>/run/gateway.json`.
//!
//! It counts only while the process that wrote it lives; a pid alone proves nothing, so its start time must match.
//! Source: command line specification, no token configured.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the gateway writes, mode 0600, and removes when it stops.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFile {
    pub pid: u32,
    /// Start of the process in clock ticks since boot; 0 on systems without `/proc`.
    #[serde(default)]
    pub start_time: u64,
    pub port: u16,
    pub url: String,
    /// Present when the gateway made up a token for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl RunFile {
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("run").join("gateway.json")
    }

    /// The note of a gateway that lives. Anything unreadable is no note.
    pub fn read(state_dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(Self::path(state_dir)).ok()?;
        Self::of_living(&text, process_start_time)
    }

    fn of_living(text: &str, start_time: impl Fn(u32) -> Option<u64>) -> Option<Self> {
        let note: Self = serde_json::from_str(text).ok()?;
        (start_time(note.pid) == Some(note.start_time)).then_some(note)
    }
}

impl fmt::Debug for RunFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFile").field("pid", &self.pid).field("port", &self.port).finish_non_exhaustive()
    }
}

/// When a process started, in clock ticks since boot; `None` when there is none, or it has ended and only its parent has
/// not looked. Without `/proc` every living process says 0.
pub fn process_start_time(pid: u32) -> Option<u64> {
    if Path::new("/proc/self/stat").exists() {
        return start_field(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(pid, None).ok().map(|()| 0)
}

/// Field 22, unless field 3 says that the process has ended. The program's name stands in brackets and may contain
/// anything, so fields count from after the last bracket.
fn start_field(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if ["Z", "X"].contains(fields.first()?) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = r#"{"pid":42,"startTime":7,"port":18789,"url":"ws://127.0.0.1:18789","token":"canary"}"#;

    #[test]
    fn the_note_of_another_life_does_not_count() {
        assert_eq!(RunFile::of_living(NOTE, |_| Some(7)).map(|note| note.port), Some(18_789));
        for start in [Some(8), None] {
            assert_eq!(RunFile::of_living(NOTE, |_| start), None);
        }
        assert_eq!(RunFile::of_living("{", |_| Some(7)), None);
    }

    #[test]
    fn its_token_stays_out_of_debug_output() {
        assert!(!format!("{:?}", RunFile::of_living(NOTE, |_| Some(7))).contains("canary"));
    }

    #[test]
    fn brackets_and_spaces_in_a_program_name_shift_nothing() {
        let stat = "9 (a) b (c) S 1 9 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 5 6";
        assert_eq!(start_field(stat), Some(123_456));
        assert_eq!(start_field(&stat.replace(") S ", ") Z ")), None, "it has ended");
        assert!(process_start_time(std::process::id()).is_some());
    }
}
