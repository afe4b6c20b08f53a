//! The database: the truth about sessions, transcripts, runs, devices.
//!
//! parent: foundation · children: one writer thread, reader threads · restart: permanent
//!
//! One SQLite file per state directory, in WAL mode. Everybody holds a `Store`, which survives a restart of the actor
//! behind it. Writes go through one bounded queue to one thread; reads go to threads of their own and see every write
//! that was answered before they were asked.

mod actor;
pub mod cron;
pub mod cursors;
pub mod devices;
pub mod heartbeats;
pub mod journal;
pub mod open;
pub mod outbox;
pub mod pairing;
mod reader;
pub mod runs;
pub mod schema;
pub mod sessions;
pub mod spool;
pub mod system_events;
pub mod transcripts;
pub mod transfer;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
/// A connection to the database, as reads and writes get it.
pub use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub use actor::child;

/// Why a read or write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the store is restarting")]
    Restarting,
    #[error("the store is overloaded")]
    Overloaded,
    #[error("the database is full or read-only: {0}")]
    Full(String),
    #[error("database: {0}")]
    Sql(String),
    /// The caller's own objection, raised inside the transaction, which was undone.
    #[error("{0}")]
    Refused(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::ReadOnly) => Self::Full(error.to_string()),
            _ => Self::Sql(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Sql(format!("stored JSON: {error}"))
    }
}

/// Jobs that may wait for the writer, and reads for the readers.
const QUEUE: usize = 1024;
/// How long a full queue may hold a caller before it is told so.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// Access to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    queues: ArcSwapOption<Queues>,
    /// Why the latest commit failed; empty when it did not.
    failing: ArcSwapOption<StoreError>,
    /// The gateway goes down: when the store stops, it is for good.
    last_stop: AtomicBool,
}

struct Queues {
    writes: mpsc::Sender<Box<dyn writer::Job>>,
    reads: reader::Sender,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.dir.display())
    }
}

impl Store {
    /// A store without an actor behind it yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                dir: dir.into(),
                queues: ArcSwapOption::empty(),
                failing: ArcSwapOption::empty(),
                last_stop: AtomicBool::new(false),
            }),
        }
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// From now on a stop is for good: a copy of the database is left beside it.
    pub fn expect_last_stop(&self) {
        self.inner.last_stop.store(true, Ordering::Relaxed);
    }

    fn is_last_stop(&self) -> bool {
        self.inner.last_stop.load(Ordering::Relaxed)
    }

    /// The database file.
    pub fn path(&self) -> PathBuf {
        self.inner.dir.join(open::FILE)
    }

    /// Runs `work` in a transaction and answers when it is on disk.
    ///
    /// Dropping the returned future does not take the write back.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let queue = self.queues()?.writes.clone();
        let place = tokio::time::timeout(WAIT_LIMIT, queue.reserve()).await.map_err(|_| StoreError::Overloaded)?;
        let (job, answer) = write_job(work);
        place.map_err(|_| StoreError::Restarting)?.send(job);
        answer.await.map_err(|_| StoreError::Restarting)?
    }

    /// Puts a write into the queue at once and returns what waits for its commit.
    ///
    /// For actors: the order of calls is the order of commits, and nothing is awaited here.
    pub fn submit<T, F>(&self, work: F) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = write_job(work);
        self.queues()?.writes.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Restarting,
        })?;
        Ok(answer)
    }

    /// Runs `work` on a connection that cannot write.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job: reader::Job = Box::new(move |db| {
            let _ = sender.send(work(db)); // the asker may have gone
        });
        let queue = self.queues()?.reads.clone();
        let place = tokio::time::timeout(WAIT_LIMIT, queue.reserve()).await.map_err(|_| StoreError::Overloaded)?;
        place.map_err(|_| StoreError::Restarting)?.send(job);
        answer.await.map_err(|_| StoreError::Restarting)?
    }

    /// Does the database take writes? Costs nothing while it does; after a failure it is tried with a small one.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.queues()?;
        if self.inner.failing.load().is_none() {
            return Ok(());
        }
        self.write(touch).await
    }

    /// Keeps how a commit went, and says so when that has changed.
    fn note_commit(&self, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) if self.inner.failing.load().is_none() => {}
            Ok(()) => {
                self.inner.failing.store(None);
                tracing::info!("the database takes writes again");
            }
            Err(error) => {
                let text = error.to_string();
                if self.inner.failing.swap(Some(Arc::new(error))).is_none() {
                    tracing::error!(error = %text, "the database does not take writes");
                }
            }
        }
    }

    fn queues(&self) -> Result<Arc<Queues>, StoreError> {
        self.inner.queues.load_full().ok_or(StoreError::Restarting)
    }
}

/// The smallest write there is.
fn touch(db: &Connection) -> Result<(), StoreError> {
    let now = jiff::Timestamp::now().as_millisecond();
    db.execute(
        "INSERT INTO facts (name, value) VALUES ('touched', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
        [now.to_string()],
    )?;
    Ok(())
}

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

fn write_job<T, F>(work: F) -> (Box<dyn writer::Job>, Answer<T>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    struct Write<T, F> {
        work: Option<F>,
        result: Result<T, StoreError>,
        answer: oneshot::Sender<Result<T, StoreError>>,
    }
    impl<T, F> writer::Job for Write<T, F>
    where
        T: Send,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    {
        fn run(&mut self, db: &Connection) -> Result<(), StoreError> {
            if let Some(work) = self.work.take() {
                self.result = work(db);
            }
            self.result.as_ref().map(|_| ()).map_err(Clone::clone)
        }

        fn settle(self: Box<Self>, commit: Result<(), StoreError>) {
            let _ = self.answer.send(commit.and(self.result)); // the asker may have gone
        }
    }
    let (sender, answer) = oneshot::channel();
    let result = Err(StoreError::Sql("the write did not run".into()));
    (Box::new(Write { work: Some(work), result, answer: sender }), answer)
}

#[cfg(test)]
mod tests;
