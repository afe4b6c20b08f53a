//! Stopping a child for certain: ask, wait for its deadline, then kill.

use std::time::Duration;

use ractor::{ActorCell, ActorStatus};

/// How long a killed actor may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// Stops a child. When it returns the child has ended, or has been killed and is reported.
pub async fn stop_child(cell: &ActorCell, kind: &str, limit: Duration) {
    if cell.stop_and_wait(Some("shutdown".into()), Some(limit)).await.is_ok() {
        return;
    }
    if cell.get_status() == ActorStatus::Stopped {
        return; // it had ended before we asked
    }
    tracing::warn!(child = kind, ?limit, "child did not stop in time; killing it");
    if cell.kill_and_wait(Some(KILL_LIMIT)).await.is_err() {
        tracing::error!(child = kind, "child ignored kill");
    }
}
