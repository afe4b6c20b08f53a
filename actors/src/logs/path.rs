//! Names of log files: the daily file, a fixed file, and their rotations.
//!
//! A name says everything that retention and reading need, so nothing is guessed from modification times of daily files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPath {
    /// `<dir>/openclaw-YYYY-MM-DD.log`, with a profile `<dir>/openclaw-<profile>-YYYY-MM-DD.log`.
    Daily { dir: PathBuf, profile: Option<String> },
    /// `logging.file`: the same file every day.
    Fixed(PathBuf),
}

/// One file that belongs to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGeneration {
    pub path: PathBuf,
    /// Day of a daily file; absent for a fixed one.
    pub day: Option<Date>,
    /// 0 is the file that is written; 1 is the youngest rotation.
    pub rotation: u32,
    pub bytes: u64,
    pub modified: Option<std::time::SystemTime>,
}

impl LogPath {
    /// The file for records of `day`.
    pub fn on(&self, day: Date) -> PathBuf {
        match self {
            LogPath::Daily { dir, .. } => dir.join(format!("{}{day}.log", self.prefix())),
            LogPath::Fixed(path) => path.clone(),
        }
    }

    pub fn dir(&self) -> &Path {
        match self {
            LogPath::Daily { dir, .. } => dir,
            LogPath::Fixed(path) => path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        }
    }

    /// Every existing file of this log, youngest first. A missing directory has none; other files in it are not ours.
    pub fn generations(&self) -> io::Result<Vec<LogGeneration>> {
        let entries = match fs::read_dir(self.dir()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((day, rotation)) = name.to_str().and_then(|name| self.identify(name)) else { continue };
            let Ok(meta) = entry.metadata() else { continue }; // gone meanwhile
            if meta.is_file() {
                let modified = meta.modified().ok();
                found.push(LogGeneration { path: entry.path(), day, rotation, bytes: meta.len(), modified });
            }
        }
        found.sort_by(|a, b| b.day.cmp(&a.day).then(a.rotation.cmp(&b.rotation)));
        Ok(found)
    }

    /// The files that a reader looks at, youngest first: the ones there are, else the one that would be written `today`.
    ///
    /// Shortly after midnight the first is still yesterday's: a reader goes over when the new file has its first line.
    pub fn to_read(&self, today: Date) -> io::Result<Vec<PathBuf>> {
        let found: Vec<PathBuf> = self.generations()?.into_iter().map(|file| file.path).collect();
        Ok(if found.is_empty() { vec![self.on(today)] } else { found })
    }

    /// Day and rotation of a file name, or `None` when it is not one of this log's.
    fn identify(&self, name: &str) -> Option<(Option<Date>, u32)> {
        let LogPath::Fixed(path) = self else {
            let stem = name.strip_prefix(&self.prefix())?.strip_suffix(".log")?;
            let (day, rotation) = stem.split_once('.').map_or((stem, Some(0)), |(day, n)| (day, number(n)));
            let is_date = day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            return Some((Some(day.parse().ok().filter(|_| is_date)?), rotation?));
        };
        let stem = path.file_stem()?.to_str()?;
        let extension = path.extension().map_or(Some(String::new()), |e| Some(format!(".{}", e.to_str()?)))?;
        let middle = name.strip_prefix(stem)?.strip_suffix(&extension)?;
        match middle.strip_prefix('.') {
            None if middle.is_empty() => Some((None, 0)),
            None => None,
            Some(n) => Some((None, number(n)?)),
        }
    }

    fn prefix(&self) -> String {
        match self {
            LogPath::Daily { profile: Some(profile), .. } => format!("openclaw-{profile}-"),
            _ => "openclaw-".to_owned(),
        }
    }
}

/// `a.log` → `a.2.log`
pub(super) fn rotated(path: &Path, rotation: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}.{rotation}{extension}"))
}

/// A rotation number as we write it: from 1, no leading zero.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n: &u32| *n > 0 && n.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(profile: Option<&str>) -> LogPath {
        LogPath::Daily { dir: "/logs".into(), profile: profile.map(str::to_owned) }
    }

    #[test]
    fn names_carry_profile_day_and_rotation() {
        let day = jiff::civil::date(2026, 3, 1);
        assert_eq!(daily(None).on(day), Path::new("/logs/openclaw-2026-03-01.log"));
        assert_eq!(daily(Some("work")).on(day), Path::new("/logs/openclaw-work-2026-03-01.log"));
        assert_eq!(
            rotated(Path::new("/logs/openclaw-2026-03-01.log"), 2),
            Path::new("/logs/openclaw-2026-03-01.2.log")
        );
        assert_eq!(rotated(Path::new("gw"), 1), Path::new("gw.1"));
    }

    #[test]
    fn only_our_own_files_are_recognised() {
        let day = Some(jiff::civil::date(2026, 3, 1));
        for (path, name, expected) in [
            (daily(None), "openclaw-2026-03-01.log", Some((day, 0))),
            (daily(None), "openclaw-2026-03-01.5.log", Some((day, 5))),
            (daily(None), "openclaw-work-2026-03-01.log", None),
            (daily(Some("work")), "openclaw-work-2026-03-01.1.log", Some((day, 1))),
            (daily(Some("work")), "openclaw-2026-03-01.log", None),
            (daily(None), "openclaw-2026-03-01.01.log", None),
            (daily(None), "openclaw-2026-03-01.log.gz", None),
            (daily(None), "openclaw-2026-13-01.log", None),
            (LogPath::Fixed("/x/gw.log".into()), "gw.log", Some((None, 0))),
            (LogPath::Fixed("/x/gw.log".into()), "gw.3.log", Some((None, 3))),
            (LogPath::Fixed("/x/gw.log".into()), "gw2.log", None),
            (LogPath::Fixed("/x/gw".into()), "gw.1", Some((None, 1))),
            (LogPath::Fixed("/x/gw".into()), "gw.conf", None),
        ] {
            assert_eq!(path.identify(name), expected, "{path:?} {name}");
        }
    }

    #[test]
    fn generations_are_youngest_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = LogPath::Daily { dir: dir.path().into(), profile: None };
        assert_eq!(LogPath::Fixed(dir.path().join("none/x.log")).generations().unwrap(), []);
        let today = jiff::civil::date(2026, 3, 3);
        assert_eq!(path.to_read(today).unwrap(), [dir.path().join("openclaw-2026-03-03.log")]);
        let order = ["openclaw-2026-03-02.log", "openclaw-2026-03-02.1.log", "openclaw-2026-03-01.log"];
        for name in order.iter().rev().chain(&["other.txt"]) {
            drop(crate::files::create_private(&dir.path().join(name)).unwrap());
        }
        let names: Vec<_> = path.generations().unwrap().into_iter().map(|g| g.path).collect();
        assert_eq!(names, order.map(|name| dir.path().join(name)));
        assert_eq!(path.to_read(today).unwrap(), names);
    }
}
