//! Threads that read, so that a long history never delays a write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::supervision::task::panic_message;

/// Readers at once; each costs a thread and its page cache.
pub const READERS: usize = 2;

pub type Job = Box<dyn FnOnce(&Connection) + Send>;
pub type Sender = mpsc::Sender<Job>;
/// The readers take turns at the queue.
pub type Queue = Arc<Mutex<mpsc::Receiver<Job>>>;

/// Serves the queue until it is closed and empty. A panicking read ends only itself: its asker sees no answer.
pub fn serve(db: &Connection, queue: &Queue) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(db))) {
            tracing::error!(error = %panic_message(panic.as_ref()), "a read panicked");
        }
    }
}
