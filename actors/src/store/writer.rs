//! The one thread that writes, with group commit.
//!
//! Jobs that wait together share one transaction and one fsync; each runs in a savepoint of its own, so that a failing
//! job undoes only itself. An answer is sent after the commit: answered means on disk.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;

use super::StoreError;
use crate::supervision::task::panic_message;

/// Jobs that share one commit at most; bounds how long the first of them waits.
const BATCH: usize = 128;

/// One write, not yet run.
pub trait Job: Send {
    /// Runs the write inside its savepoint and keeps the result.
    fn run(&mut self, db: &Connection) -> Result<(), StoreError>;
    /// Tells the asker; `commit` is the fate of the shared transaction.
    fn settle(self: Box<Self>, commit: Result<(), StoreError>);
}

/// Serves the queue until it is closed and empty. `settled` is told how each commit went.
pub fn serve(db: &mut Connection, queue: &mut Receiver<Box<dyn Job>>, settled: impl Fn(Result<(), StoreError>)) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH {
            match queue.try_recv() {
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
        }
        #[cfg(feature = "fault-injection")]
        if crate::fault::acknowledges_early() {
            commit_late(db, std::mem::take(&mut batch));
            continue;
        }
        let mut full = None;
        let outcome = commit(db, &mut batch, &mut full);
        settled(full.map_or_else(|| outcome.clone(), Err));
        for job in batch.drain(..) {
            job.settle(outcome.clone());
        }
    }
}

/// `full` is left with the error of a job that found no room, or a file that must not be written.
fn commit(db: &mut Connection, batch: &mut [Box<dyn Job>], full: &mut Option<StoreError>) -> Result<(), StoreError> {
    #[cfg(feature = "fault-injection")]
    crate::fault::commit(crate::fault::Stage::Before)?;
    let mut group = db.transaction()?;
    for job in batch.iter_mut() {
        let savepoint = group.savepoint()?;
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(&savepoint)));
        match ran {
            Ok(Ok(())) => savepoint.commit()?,
            Ok(Err(error)) => {
                drop(savepoint); // rolls back; the job keeps its own error
                *full = full.take().or(matches!(error, StoreError::Full(_)).then_some(error));
            }
            Err(panic) => {
                tracing::error!(error = %panic_message(panic.as_ref()), "a write panicked; it was undone");
            }
        }
    }
    #[cfg(feature = "fault-injection")]
    crate::fault::commit(crate::fault::Stage::Between)?;
    group.commit()?;
    #[cfg(feature = "fault-injection")]
    crate::fault::commit(crate::fault::Stage::After)?;
    Ok(())
}

/// What must never be: everybody is told before anything is on disk.
#[cfg(feature = "fault-injection")]
fn commit_late(db: &mut Connection, mut batch: Vec<Box<dyn Job>>) {
    let Ok(group) = db.transaction() else { return };
    for job in &mut batch {
        let _ = job.run(&group); // the job keeps its own error
    }
    for job in batch {
        job.settle(Ok(()));
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    if let Err(error) = group.commit() {
        tracing::error!(%error, "what was acknowledged is lost");
    }
}
