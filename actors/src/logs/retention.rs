//! Decides which old log files go: too old, or too much in total.
//!
//! The file that is being written never goes.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::path::LogGeneration;

/// Bounds of one log. Source: `logging.maxFileBytes`; the rest is ours (upstream deletes after a day).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePolicy {
    /// Size at which a file is rotated, bytes. Default 100 MiB.
    pub file_bytes_max: u64,
    /// Rotations kept per file. Default 5.
    pub rotations_max: u32,
    /// Days a file is kept. Default 14; 0 keeps today only.
    pub days_max: u32,
    /// All files of the log together, bytes. Default 500 MiB.
    pub total_bytes_max: u64,
}

impl Default for FilePolicy {
    fn default() -> Self {
        Self { file_bytes_max: 100 << 20, rotations_max: 5, days_max: 14, total_bytes_max: 500 << 20 }
    }
}

/// The files to delete. `files` are youngest first; the first one of today is the one that is written.
///
/// The age of a fixed file's rotation is that of its last change in `zone`.
pub fn expired<'a>(
    files: &'a [LogGeneration],
    today: Date,
    zone: &TimeZone,
    policy: &FilePolicy,
) -> Vec<&'a LogGeneration> {
    // More days than a calendar has means for ever.
    let kept = Span::new().try_days(policy.days_max).ok().and_then(|days| today.checked_sub(days).ok());
    let oldest = kept.unwrap_or(Date::MIN);
    let mut total = 0_u64;
    let mut gone = Vec::new();
    for (index, file) in files.iter().enumerate() {
        total = total.saturating_add(file.bytes);
        let too_old = age_day(file, zone).is_some_and(|day| day < oldest);
        if index > 0 && (too_old || total > policy.total_bytes_max) {
            gone.push(file);
        }
    }
    gone
}

fn age_day(file: &LogGeneration, zone: &TimeZone) -> Option<Date> {
    file.day.or_else(|| {
        let modified = Timestamp::try_from(file.modified?).ok()?;
        Some(modified.to_zoned(zone.clone()).date())
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn file(day: Date, rotation: u32, bytes: u64) -> LogGeneration {
        LogGeneration { path: format!("{day}.{rotation}").into(), day: Some(day), rotation, bytes, modified: None }
    }

    fn names(files: &[LogGeneration], policy: FilePolicy) -> Vec<String> {
        let gone = expired(files, date(2026, 3, 15), &TimeZone::UTC, &policy);
        gone.into_iter().map(|file| file.path.display().to_string()).collect()
    }

    #[test]
    fn files_past_their_days_go() {
        let files = [file(date(2026, 3, 15), 0, 1), file(date(2026, 3, 1), 0, 1), file(date(2026, 2, 28), 0, 1)];
        assert_eq!(names(&files, FilePolicy::default()), ["2026-02-28.0"]);
        let for_ever = FilePolicy { days_max: u32::MAX, ..FilePolicy::default() };
        assert!(names(&files, for_ever).is_empty());
        let one_day = FilePolicy { days_max: 0, ..FilePolicy::default() };
        assert_eq!(names(&files, one_day), ["2026-03-01.0", "2026-02-28.0"]);
    }

    #[test]
    fn the_oldest_go_first_when_there_is_too_much() {
        let day = date(2026, 3, 15);
        let files = [file(day, 0, 40), file(day, 1, 40), file(day, 2, 40)];
        let policy = FilePolicy { total_bytes_max: 100, ..FilePolicy::default() };
        assert_eq!(names(&files, policy), ["2026-03-15.2"]);
    }

    #[test]
    fn the_file_being_written_stays_however_large() {
        let files = [file(date(2026, 3, 15), 0, 1 << 40)];
        assert!(names(&files, FilePolicy::default()).is_empty());
    }

    #[test]
    fn a_fixed_files_rotation_is_as_old_as_its_last_change() {
        let modified: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        let old = LogGeneration { day: None, modified: Some(modified.into()), ..file(date(2026, 1, 1), 1, 1) };
        let current = LogGeneration { rotation: 0, ..old.clone() };
        assert_eq!(names(&[current, old], FilePolicy::default()), ["2026-01-01.1"]);
    }
}
