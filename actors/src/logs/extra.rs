//! `logging.outputs[]`: sinks beside the default ones, as the configuration writes them.
//!
//! A console entry describes the one console there is; each file entry is another file with the same records and redaction.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::level::Level;
use super::path::LogPath;
use super::retention::FilePolicy;
use super::setup::FileOptions;

/// Size of an extra file before rotation when the entry names none, bytes.
const FILE_BYTES_DEFAULT: u64 = 100 << 20;
const FILES_DEFAULT: u32 = 5;

/// What `logging.outputs[]` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extra {
    pub files: Vec<ExtraFile>,
    /// Stands before `logging.consoleLevel` when [`super::levels`] decides.
    pub console_level: Option<Level>,
    /// `colorize` of the console entry; a wish that still needs a terminal.
    pub colour: Option<bool>,
}

impl Extra {
    /// Most talkative level that a file asks for itself.
    pub(super) fn level(&self) -> Level {
        self.files.iter().filter_map(|file| file.level).max().unwrap_or(Level::Silent)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    pub file: FileOptions,
    /// Absent: the level of the main file.
    pub level: Option<Level>,
}

/// A bad entry; `path` is relative to `logging`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct OutputError {
    pub path: String,
    pub message: String,
}

/// Reads the array. `home` stands for a leading `~`.
///
/// `maxSize` is bytes or a text like `"100m"` (`k`, `m`, `g`, powers of 1024); `maxFiles` counts rotations.
/// `compress` is accepted and has no effect: rotations stay readable for `logs`.
pub fn parse(outputs: &[Value], home: &Path) -> Result<Extra, OutputError> {
    let mut extra = Extra::default();
    for (index, entry) in outputs.iter().enumerate() {
        let fail =
            |key: &str, message: &str| OutputError { path: format!("outputs.{index}{key}"), message: message.into() };
        let level = match &entry["level"] {
            Value::Null => None,
            value => Some(
                value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| fail(".level", "unknown log level"))?,
            ),
        };
        match entry["type"].as_str() {
            Some("console") => {
                extra.console_level = level.or(extra.console_level);
                extra.colour = entry["colorize"].as_bool().or(extra.colour);
            }
            Some("file") => {
                let path = entry["path"]
                    .as_str()
                    .filter(|path| !path.is_empty())
                    .ok_or_else(|| fail(".path", "path required"))?;
                let file_bytes_max = match &entry["maxSize"] {
                    Value::Null => FILE_BYTES_DEFAULT,
                    value => size(value).ok_or_else(|| fail(".maxSize", "not a size (use bytes or \"100m\")"))?,
                };
                let rotations_max = match &entry["maxFiles"] {
                    Value::Null => FILES_DEFAULT,
                    value => value
                        .as_u64()
                        .and_then(|n| u32::try_from(n).ok())
                        .ok_or_else(|| fail(".maxFiles", "not a count"))?,
                };
                let policy =
                    FilePolicy { file_bytes_max, rotations_max, days_max: u32::MAX, total_bytes_max: u64::MAX };
                let path = LogPath::Fixed(expand(path, home));
                extra.files.push(ExtraFile { file: FileOptions { path, policy }, level });
            }
            _ => return Err(fail(".type", "unknown output type (use console or file)")),
        }
    }
    Ok(extra)
}

fn size(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64().filter(|bytes| *bytes > 0) };
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.chars().last()? {
        'k' => (&lower[..lower.len() - 1], 10),
        'm' => (&lower[..lower.len() - 1], 20),
        'g' => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_console_and_a_file_are_read() {
        let outputs = [
            json!({"type": "console", "colorize": true, "level": "warn"}),
            json!({"type": "file", "path": "~/logs/gw.log", "maxSize": "100m", "maxFiles": 10, "compress": true, "level": "debug"}),
        ];
        let extra = parse(&outputs, Path::new("/home/me")).unwrap();
        assert_eq!((extra.console_level, extra.colour), (Some(Level::Warn), Some(true)));
        let file = &extra.files[0];
        assert_eq!(file.file.path, LogPath::Fixed("/home/me/logs/gw.log".into()));
        assert_eq!((file.file.policy.file_bytes_max, file.file.policy.rotations_max), (100 << 20, 10));
        assert_eq!(file.level, Some(Level::Debug));
    }

    #[test]
    fn sizes_are_bytes_or_powers_of_1024() {
        for (value, expected) in [
            (json!("100m"), Some(100 << 20)),
            (json!("2 GB"), Some(2 << 30)),
            (json!("512"), Some(512)),
            (json!(512), Some(512)),
            (json!("m"), None),
            (json!("0"), None),
            (json!(-1), None),
            (json!("99999999999g"), None),
        ] {
            assert_eq!(size(&value), expected, "{value}");
        }
    }

    #[test]
    fn bad_entries_name_their_place() {
        for (entry, expected) in [
            (json!({"type": "syslog"}), "outputs.0.type: unknown output type (use console or file)"),
            (json!({"type": "file"}), "outputs.0.path: path required"),
            (
                json!({"type": "file", "path": "a", "maxSize": "big"}),
                "outputs.0.maxSize: not a size (use bytes or \"100m\")",
            ),
            (json!({"type": "console", "level": "loud"}), "outputs.0.level: unknown log level"),
        ] {
            assert_eq!(parse(&[entry], Path::new("/")).unwrap_err().to_string(), expected);
        }
    }
}
