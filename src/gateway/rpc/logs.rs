//! `logs.tail`: the end of the log, or what came since a cursor.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_actors::logs::path::LogPath;
use openclaw_actors::logs::tail::{Tail, tail};
use openclaw_actors::logs::tail_params::TailParams;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::supervision::task;
use serde_json::Value;

use super::{Access, Call, Method, Reply};

pub const METHODS: &[Method] =
    &[Method::new("logs.tail", Access::Operator(Scope::Read), |call| Box::pin(logs_tail(call)))];

/// Lines leave as they were written, which is redacted.
async fn logs_tail(call: Call) -> Result<Reply, ErrorShape> {
    let raw = match call.params.as_deref() {
        None => Value::Null,
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|error: serde_json::Error| params::invalid(call.method, &error.to_string()))?,
    };
    let now = Timestamp::now();
    let params =
        TailParams::parse(&raw, now, &TimeZone::system()).map_err(|error| ErrorShape::invalid(error.to_string()))?;
    let current = call.services.log.current_file();
    let fixed = call.services.config.load().settings.logging.file.is_some();
    let profile = call.services.paths.profile.clone();
    let read = move || {
        let files = current.map_or(Ok(Vec::new()), |current| files(current, fixed, profile, now));
        files.and_then(|files| tail(&files, &params))
    };
    let read: Result<Tail, std::io::Error> = task::blocking(read).await.map_err(ErrorShape::unavailable)?;
    Reply::of(&read.map_err(|error| ErrorShape::unavailable(format!("log file: {error}")))?)
}

/// The file that is written now and its older generations, youngest first. `fixed`: its name does not carry the day.
fn files(
    current: PathBuf,
    fixed: bool,
    profile: Option<String>,
    now: Timestamp,
) -> Result<Vec<PathBuf>, std::io::Error> {
    let dir = current.parent().unwrap_or(Path::new(".")).to_owned();
    let path = if fixed { LogPath::Fixed(current.clone()) } else { LogPath::Daily { dir, profile } };
    let mut files = path.to_read(now.to_zoned(TimeZone::system()).date())?;
    // a reader goes on in the file that is written, also when the settings have just changed
    files.retain(|file| *file != current);
    files.insert(0, current);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_written_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["openclaw-2026-01-01.log", "openclaw-2026-01-02.log", "openclaw-work-2026-01-02.log", "other.log"]
        {
            openclaw_actors::files::replace(&dir.path().join(name), b"x\n").unwrap();
        }
        let names = |current: &str, fixed, profile: Option<&str>| -> Vec<String> {
            let found = files(dir.path().join(current), fixed, profile.map(str::to_owned), Timestamp::UNIX_EPOCH);
            found.unwrap().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let today = "openclaw-2026-01-02.log";
        assert_eq!(names(today, false, None), [today, "openclaw-2026-01-01.log"]);
        assert_eq!(names("openclaw-work-2026-01-02.log", false, Some("work")), ["openclaw-work-2026-01-02.log"]);
        assert_eq!(names("other.log", true, None), ["other.log"]);
        assert_eq!(names("openclaw-2026-01-03.log", false, None)[0], "openclaw-2026-01-03.log");
    }
}
