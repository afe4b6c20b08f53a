//! The crash-loop guard: starts are written down, and after three within five minutes that did not end cleanly the next one
//! is in safe mode.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::files;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::supervision::task::{self, Task};
use serde::{Deserialize, Serialize};

use super::services::Services;

/// Starts within `WINDOW_MS` without a clean end that lead into safe mode.
const UNCLEAN_MAX: usize = 3;
const WINDOW_MS: i64 = 5 * 60 * 1000;
/// So long a gateway in safe mode must live to be trusted again.
const STABLE: Duration = Duration::from_secs(10 * 60);
/// Starts that are remembered.
const KEPT: usize = 20;
const FILE: &str = "boots.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Boot {
    boot_id: String,
    /// Milliseconds since the epoch.
    started_at: i64,
    #[serde(default)]
    clean_stop: bool,
}

/// This start, in the list of all.
#[derive(Debug)]
pub struct Boots {
    path: PathBuf,
    boots: Vec<Boot>,
}

impl Boots {
    /// Writes this start down. The text says why it must be in safe mode. A list that cannot be read is begun anew: it
    /// guards against crashes, it must not cause one.
    pub fn note(state_dir: &Path) -> (Self, Option<String>) {
        let path = state_dir.join(FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut boots: Vec<Boot> = serde_json::from_str(&text).unwrap_or_default();
        let now = now_ms();
        let unclean = unclean(&boots, now);
        let reason = (unclean >= UNCLEAN_MAX).then(|| {
            format!("{unclean} starts within 5 minutes did not end cleanly; `openclaw gateway resume` lifts this")
        });
        boots.push(Boot { boot_id: uuid::Uuid::new_v4().to_string(), started_at: now, clean_stop: false });
        let surplus = boots.len().saturating_sub(KEPT);
        boots.drain(..surplus);
        let this = Self { path, boots };
        this.write();
        (this, reason)
    }

    /// This start ended as it should.
    pub fn stopped_cleanly(mut self) {
        if let Some(last) = self.boots.last_mut() {
            last.clean_stop = true;
        }
        self.write();
    }

    fn write(&self) {
        let text = serde_json::to_string(&self.boots).unwrap_or_default(); // plain data: cannot fail
        if let Err(error) = files::replace(&self.path, text.as_bytes()) {
            tracing::warn!(target: "gateway", %error, "{} could not be written", self.path.display());
        }
    }
}

fn unclean(boots: &[Boot], now: i64) -> usize {
    boots.iter().filter(|boot| !boot.clean_stop && (0..=WINDOW_MS).contains(&(now - boot.started_at))).count()
}

/// Holds everything back that begins by itself, until an operator lifts that or the gateway has lived long enough.
pub fn enter_safe_mode(services: &Arc<Services>, reason: String) -> Task {
    tracing::error!(target: "gateway", "safe mode: {reason}");
    let safe_mode = services.context.safe_mode.clone();
    safe_mode.enter(reason);
    task::spawn("safe-mode", async move {
        tokio::time::sleep(STABLE).await;
        if safe_mode.lift() {
            tracing::info!(target: "gateway", "safe mode lifted: the gateway has been stable for 10 minutes");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_crashes_in_five_minutes_lead_into_safe_mode_and_clean_stops_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let (boots, reason) = Boots::note(dir.path());
            assert_eq!(reason, None);
            boots.stopped_cleanly();
        }
        for _ in 0..3 {
            assert_eq!(Boots::note(dir.path()).1, None);
        }
        assert!(Boots::note(dir.path()).1.unwrap().starts_with("3 starts within 5 minutes"));
    }

    #[test]
    fn crashes_of_long_ago_and_a_clock_that_went_back_do_not_count() {
        let boot = |started_at| Boot { boot_id: String::new(), started_at, clean_stop: false };
        let now = 10 * WINDOW_MS;
        assert_eq!(unclean(&[boot(now - WINDOW_MS - 1), boot(now + 5)], now), 0);
        assert_eq!(unclean(&[boot(now - WINDOW_MS), boot(now)], now), 2);
    }

    #[test]
    fn an_unreadable_list_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        files::replace(&dir.path().join(FILE), b"{ not a list").unwrap();
        assert_eq!(Boots::note(dir.path()).1, None);
        assert!(std::fs::read_to_string(dir.path().join(FILE)).unwrap().contains("bootId"));
    }
}
