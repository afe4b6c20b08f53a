//! The log file: appends lines, changes file at midnight and at a size, keeps the directory within its bounds.
//!
//! No failure leaves this module: what cannot be written is counted, and the next batch tries again. A line is never
//! joined to the torn end of another.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::counters::Counters;
use super::directory;
use super::path::{LogPath, rotated};
use super::retention::{FilePolicy, expired};
use crate::files;

/// Lines are collected up to this size before they are written, bytes.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// How long a file that cannot be opened is left alone; records in between are counted as lost.
const REOPEN_DELAY: SignedDuration = SignedDuration::from_secs(1);

/// Which file is written now; absent until the first line.
pub(super) type CurrentFile = Arc<ArcSwapOption<PathBuf>>;

/// One log on disk. Lines of a batch reach the file with [`LogFile::flush`].
pub(super) struct LogFile {
    path: LogPath,
    policy: FilePolicy,
    zone: TimeZone,
    counters: Arc<Counters>,
    current: CurrentFile,
    /// Who must own the directory of a daily file: us.
    uid: u32,
    day: Option<Day>,
    open: Option<Open>,
    /// Complete lines that are not written yet, and how many.
    batch: Vec<u8>,
    batch_lines: u64,
    retry_at: Option<Timestamp>,
}

/// A local day: `from` is in it, `until` is not.
struct Day {
    date: Date,
    from: Timestamp,
    until: Timestamp,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Device and inode: somebody may delete or move the file under us.
    identity: (u64, u64),
    size: u64,
    /// Size at which the file is rotated; raised when rotating fails, so that it is not tried for every line.
    size_max: u64,
    /// The file ends inside a line.
    torn: bool,
}

impl LogFile {
    pub fn new(
        path: LogPath,
        policy: FilePolicy,
        zone: TimeZone,
        counters: Arc<Counters>,
        current: CurrentFile,
    ) -> Self {
        Self {
            path,
            policy,
            zone,
            counters,
            current,
            uid: nix::unistd::geteuid().as_raw(),
            day: None,
            open: None,
            batch: Vec::new(),
            batch_lines: 0,
            retry_at: None,
        }
    }

    /// Takes one line (no line feed) that was logged at `at`, which decides the day.
    pub fn push(&mut self, line: &str, at: Timestamp) {
        if !self.day.as_ref().is_some_and(|day| day.from <= at && at < day.until) {
            self.turn_to(at);
        }
        if !self.ensure_open(at) {
            self.counters.add_lost(1);
            return;
        }
        let size = self.open.as_ref().map_or(0, |open| open.size) + self.batch.len() as u64;
        let size_max = self.open.as_ref().map_or(u64::MAX, |open| open.size_max);
        if size > 0 && size + line.len() as u64 + 1 > size_max {
            self.flush();
            self.rotate(at);
        }
        self.batch.extend_from_slice(line.as_bytes());
        self.batch.push(b'\n');
        self.batch_lines += 1;
        if self.batch.len() >= BATCH_BYTES_MAX {
            self.flush();
        }
    }

    /// Writes the batch. The file is opened anew when it is no longer the one under its name.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.batch_lines);
        let written = self.write_batch();
        self.batch.clear();
        match written {
            Ok(()) => self.counters.add_written(lines),
            Err(_) => {
                self.counters.add_failure();
                self.counters.add_lost(lines); // some may be on disk: the torn end is closed by the next write
            }
        }
    }

    /// Opens the file anew with the next line: for whoever moved it away (SIGHUP).
    pub fn reopen(&mut self) {
        self.flush();
        self.open = None;
        self.retry_at = None;
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|open| !open.is_in_place()) {
            self.open = None;
            self.open = self.day.as_ref().map(|day| self.open_day(day.date)).transpose()?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.torn {
            open.file.write_all(b"\n")?;
            open.size += 1;
        }
        open.torn = true; // until the whole batch is written
        open.file.write_all(&self.batch)?;
        open.torn = false;
        open.size += self.batch.len() as u64;
        Ok(())
    }

    /// Another day: what is collected belongs to the old file.
    fn turn_to(&mut self, at: Timestamp) {
        self.flush();
        self.day = Some(Day::of(at, &self.zone));
        if matches!(self.path, LogPath::Daily { .. }) {
            self.open = None;
        }
    }

    fn ensure_open(&mut self, at: Timestamp) -> bool {
        if self.open.is_some() {
            return true;
        }
        // A clock that was set back must not stretch the delay.
        if self.retry_at.is_some_and(|retry_at| at < retry_at && retry_at.duration_since(at) <= REOPEN_DELAY) {
            return false;
        }
        let Some(date) = self.day.as_ref().map(|day| day.date) else { return false };
        match self.open_day(date) {
            Ok(open) => {
                self.current.store(Some(Arc::new(open.path.clone())));
                self.open = Some(open);
                self.retry_at = None;
                self.prune(date);
                true
            }
            Err(_) => {
                self.counters.add_failure();
                self.retry_at = at.checked_add(REOPEN_DELAY).ok();
                false
            }
        }
    }

    /// Opens the file of a day. The directory is looked at each time: a cleaner may have removed it from under us, and a
    /// stranger may have put another in its place.
    fn open_day(&self, date: Date) -> io::Result<Open> {
        match &self.path {
            LogPath::Daily { dir, .. } => drop(directory::claim(dir, self.uid).map_err(io::Error::other)?),
            LogPath::Fixed(_) => files::ensure_dir(self.path.dir())?,
        }
        Open::at(self.path.on(date), self.policy.file_bytes_max)
    }

    /// Moves `.4` to `.5` … and the file to `.1`; a failure leaves the file growing until it is half again as large.
    fn rotate(&mut self, at: Timestamp) {
        let Some(open) = &mut self.open else { return };
        match shift(&open.path, self.policy.rotations_max) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.counters.add_failure();
                open.size_max = open.size.saturating_add(self.policy.file_bytes_max / 2);
            }
            _ => {
                self.open = None;
                self.ensure_open(at);
            }
        }
    }

    fn prune(&self, today: Date) {
        let Ok(found) = self.path.generations() else { return self.counters.add_failure() };
        for file in expired(&found, today, &self.zone, &self.policy) {
            if fs::remove_file(&file.path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                self.counters.add_failure();
            }
        }
    }
}

impl Day {
    fn of(at: Timestamp, zone: &TimeZone) -> Day {
        let now = at.to_zoned(zone.clone());
        let start = now.start_of_day().map_or(at, |start| start.timestamp());
        let until = now.tomorrow().and_then(|next| next.start_of_day()).map_or(Timestamp::MAX, |next| next.timestamp());
        Day { date: now.date(), from: start.min(at), until }
    }
}

impl Open {
    fn at(path: PathBuf, size_max: u64) -> io::Result<Open> {
        let file = files::append_private(&path)?;
        let meta = file.metadata()?;
        let torn = meta.is_file() && meta.len() > 0 && last_byte(&path)? != b'\n';
        Ok(Open { file, path, identity: (meta.dev(), meta.ino()), size: meta.len(), size_max, torn })
    }

    fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Renames from the oldest to the youngest; the oldest is overwritten. With no rotations kept, the file is deleted.
fn shift(path: &Path, rotations_max: u32) -> io::Result<()> {
    if rotations_max == 0 {
        return fs::remove_file(path);
    }
    for rotation in (1..rotations_max).rev() {
        match fs::rename(rotated(path, rotation), rotated(path, rotation + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, rotated(path, 1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    struct Bench {
        dir: tempfile::TempDir,
        counters: Arc<Counters>,
        log: LogFile,
    }

    fn bench(policy: FilePolicy, fixed: bool) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let path = match fixed {
            true => LogPath::Fixed(dir.path().join("gw.log")),
            false => LogPath::Daily { dir: dir.path().join("logs"), profile: None },
        };
        let counters = Arc::new(Counters::default());
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let log = LogFile::new(path, policy, zone, counters.clone(), CurrentFile::default());
        Bench { dir, counters, log }
    }

    fn read(path: impl AsRef<Path>) -> String {
        fs::read_to_string(path).unwrap()
    }

    const NOON: &str = "2026-03-01T12:00:00Z";

    #[test]
    fn the_file_changes_at_local_midnight() {
        let mut b = bench(FilePolicy::default(), false);
        b.log.push("before", at("2026-03-01T21:59:59.999Z"));
        b.log.push("after", at("2026-03-01T22:00:00Z"));
        b.log.push("late straggler", at("2026-03-01T21:59:59.999Z"));
        b.log.flush();
        let first = b.dir.path().join("logs/openclaw-2026-03-01.log");
        assert_eq!(read(&first), "before\nlate straggler\n");
        assert_eq!(read(b.dir.path().join("logs/openclaw-2026-03-02.log")), "after\n");
        assert_eq!(b.log.current.load_full().as_deref(), Some(&first));
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(b.counters.counts().written, 3);
    }

    #[test]
    fn a_full_file_becomes_the_first_rotation() {
        let mut b = bench(FilePolicy { file_bytes_max: 10, rotations_max: 2, ..FilePolicy::default() }, true);
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg", "a line longer than a file"] {
            b.log.push(line, at(NOON));
        }
        b.log.flush();
        assert_eq!(read(b.dir.path().join("gw.log")), "a line longer than a file\n");
        assert_eq!(read(b.dir.path().join("gw.1.log")), "gggg\n");
        assert_eq!(read(b.dir.path().join("gw.2.log")), "eeee\nffff\n");
        assert_eq!(fs::read_dir(b.dir.path()).unwrap().count(), 3);
        assert_eq!(b.counters.counts().written, 8);
    }

    #[test]
    fn old_files_go_when_a_day_begins() {
        let mut b = bench(FilePolicy { days_max: 1, ..FilePolicy::default() }, false);
        for day in ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"] {
            b.log.push("x", at(&format!("{day}T12:00:00Z")));
        }
        b.log.flush();
        let left: Vec<_> = b.log.path.generations().unwrap().into_iter().filter_map(|file| file.day).collect();
        assert_eq!(left, [jiff::civil::date(2026, 3, 2), jiff::civil::date(2026, 3, 1)]);
    }

    #[test]
    fn a_deleted_or_moved_file_is_written_anew() {
        let mut b = bench(FilePolicy::default(), true);
        let path = b.dir.path().join("gw.log");
        b.log.push("one", at(NOON));
        b.log.flush();
        fs::remove_file(&path).unwrap();
        b.log.push("two", at(NOON));
        b.log.flush();
        assert_eq!(read(&path), "two\n");
        fs::rename(&path, b.dir.path().join("moved")).unwrap();
        b.log.push("three", at(NOON));
        b.log.flush();
        assert_eq!(read(&path), "three\n");
    }

    #[test]
    fn a_directory_that_somebody_put_in_the_place_of_ours_gets_nothing() {
        let mut b = bench(FilePolicy::default(), false);
        let (logs, trap) = (b.dir.path().join("logs"), b.dir.path().join("trap"));
        b.log.push("one", at(NOON));
        b.log.flush();
        fs::remove_dir_all(&logs).unwrap();
        files::ensure_dir(&trap).unwrap();
        std::os::unix::fs::symlink(&trap, &logs).unwrap();
        b.log.push("two", at(NOON));
        b.log.flush();
        assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
        assert_eq!(b.counters.counts().lost, 1);
        fs::remove_file(&logs).unwrap();
        b.log.push("three", at("2026-03-01T12:00:05Z"));
        b.log.flush();
        assert_eq!(read(logs.join("openclaw-2026-03-01.log")), "three\n");
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next_one() {
        let mut b = bench(FilePolicy::default(), true);
        let path = b.dir.path().join("gw.log");
        files::replace(&path, b"{\"cut").unwrap();
        b.log.push("whole", at(NOON));
        b.log.flush();
        assert_eq!(read(&path), "{\"cut\nwhole\n");
    }

    #[test]
    fn a_failed_write_is_counted_and_tried_again_later() {
        let mut b = bench(FilePolicy::default(), true);
        let path = b.dir.path().join("gw.log");
        files::ensure_dir(&path).unwrap(); // a directory cannot be opened for appending
        b.log.push("lost", at(NOON));
        b.log.push("lost too, without another attempt", at(NOON));
        b.log.flush();
        let counts = b.counters.counts();
        assert_eq!((counts.lost, counts.failures, counts.written), (2, 1, 0));
        fs::remove_dir(&path).unwrap();
        b.log.push("kept", at("2026-03-01T12:00:02Z"));
        b.log.flush();
        assert_eq!(read(&path), "kept\n");
    }

    #[test]
    fn a_full_disk_loses_records_and_nothing_else() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let mut b = bench(FilePolicy { file_bytes_max: u64::MAX, ..FilePolicy::default() }, true);
        b.log.day = Some(Day::of(at(NOON), &TimeZone::UTC));
        b.log.open = Some(Open::at(full.into(), u64::MAX).unwrap());
        b.log.push("lost", at(NOON));
        b.log.flush();
        assert_eq!(b.counters.counts(), super::super::counters::Counts { lost: 1, failures: 1, ..Default::default() });
        assert!(b.log.open.as_ref().unwrap().torn);
    }
}
