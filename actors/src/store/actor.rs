//! The actor that owns the database threads.
//!
//! Work reaches the threads through their queues, not through this actor. It fails when a thread ends without being
//! asked, and its supervisor then opens the database again. Once a day it has old rows removed.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::{QUEUE, Queues, Store, open, outbox, reader, runs, spool, writer};
use crate::supervision::{Address, Child, ChildSpec, Mail, task};

/// Internal news only.
pub enum StoreNews {
    ThreadEnded(&'static str),
    MaintenanceDue,
}

/// How long after the start, and then how often, old rows are removed.
const MAINTENANCE_FIRST: Duration = Duration::from_secs(60);
const MAINTENANCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a finished run, an event or a message that was sent or given up is remembered, milliseconds: so long a
/// repetition is recognised.
const RUN_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

struct StoreActor;

struct StoreState {
    store: Store,
    threads: Vec<JoinHandle<()>>,
}

/// The store as a child of the foundation.
pub fn child(store: Store, spec: ChildSpec) -> Child {
    Child::leaf(spec, Address::new("store", 1), store, || StoreActor)
}

impl Actor for StoreActor {
    type Msg = Mail<StoreNews>;
    type State = StoreState;
    type Arguments = Store;

    /// Opens the database: a few milliseconds on local disk, the one start that touches a file, because nothing in
    /// the tree can live without it.
    async fn pre_start(&self, me: ActorRef<Mail<StoreNews>>, store: Store) -> Result<StoreState, ActorProcessingErr> {
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let (db, salvage) = open::open_writer(store.dir(), &stamp)?;
        if let Some(salvage) = salvage {
            tracing::error!(
                kept = %salvage.kept.display(),
                restored_from_backup = salvage.restored,
                bad_backup = ?salvage.bad_backup,
                "the database was damaged and has been replaced; the damaged file was kept"
            );
        }
        let (writes, write_queue) = mpsc::channel(QUEUE);
        let (reads, read_queue) = mpsc::channel(QUEUE);
        let mut threads = vec![spawn_writer(&me, &store, db, write_queue)?];
        let read_queue = Arc::new(Mutex::new(read_queue));
        for _ in 0..reader::READERS {
            let db = open::open_reader(store.dir())?;
            let queue = Arc::clone(&read_queue);
            let guard = EndGuard { me: me.clone(), name: "reader" };
            threads.push(task::thread("store-reader", move || {
                let _guard = guard;
                reader::serve(&db, &queue);
            })?);
        }
        store.inner.queues.store(Some(Arc::new(Queues { writes, reads })));
        drop(me.send_after(MAINTENANCE_FIRST, || Mail::own(StoreNews::MaintenanceDue)));
        Ok(StoreState { store, threads })
    }

    async fn handle(
        &self,
        me: ActorRef<Mail<StoreNews>>,
        mail: Self::Msg,
        state: &mut StoreState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(news) = mail.open().await? else { return Ok(()) };
        match news {
            StoreNews::ThreadEnded(name) => Err(format!("the {name} thread ended").into()),
            StoreNews::MaintenanceDue => {
                drop(me.send_after(MAINTENANCE, || Mail::own(StoreNews::MaintenanceDue)));
                state.maintain();
                Ok(())
            }
        }
    }

    /// Closes the queues, lets the writer finish what it holds, and joins the threads.
    async fn post_stop(&self, _: ActorRef<Mail<StoreNews>>, state: &mut StoreState) -> Result<(), ActorProcessingErr> {
        state.store.inner.queues.store(None);
        let threads = std::mem::take(&mut state.threads);
        task::blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a store thread panicked");
                }
            }
        })
        .await?;
        Ok(())
    }
}

impl StoreState {
    /// Has old rows removed. The answer is not awaited: what fails today is done tomorrow.
    fn maintain(&self) {
        let before = jiff::Timestamp::now().as_millisecond() - RUN_KEPT_MS;
        let removed = self.store.submit(move |db| {
            let runs = runs::prune(db, before)?;
            let messages = outbox::prune(db, before, before)?;
            let events = spool::prune(db, before)?;
            tracing::debug!(runs, messages, events, "old rows removed");
            Ok(())
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "old runs were not removed");
        }
    }
}

fn spawn_writer(
    me: &ActorRef<Mail<StoreNews>>,
    store: &Store,
    mut db: rusqlite::Connection,
    mut queue: mpsc::Receiver<Box<dyn writer::Job>>,
) -> std::io::Result<JoinHandle<()>> {
    let guard = EndGuard { me: me.clone(), name: "writer" };
    let (dir, commits) = (store.dir().to_owned(), store.clone());
    task::thread("store-writer", move || {
        let _guard = guard;
        writer::serve(&mut db, &mut queue, |outcome| commits.note_commit(outcome));
        // A restart of the store alone is to be short.
        if commits.is_last_stop()
            && let Err(error) = open::backup(&db, &dir)
        {
            tracing::warn!(%error, "the database could not be backed up");
        }
    })
}

/// Tells the actor when its thread ends, also by a panic.
struct EndGuard {
    me: ActorRef<Mail<StoreNews>>,
    name: &'static str,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let _ = self.me.send_message(Mail::own(StoreNews::ThreadEnded(self.name))); // the actor may be stopping: then it knows
    }
}
