use super::*;
use crate::supervision::{ChildSpec, Intensity, Restart, Strategy, Supervisor, SupervisorArgs};
use ractor::Actor;

/// A store under a supervisor of its own.
pub async fn running(dir: &Path) -> (Store, ractor::ActorCell) {
    let store = Store::new(dir);
    let args = SupervisorArgs {
        path: "test".into(),
        observer: crate::supervision::view::log_only(),
        strategy: Strategy::OneForOne,
        intensity: Intensity::new(3, Duration::from_secs(60)),
        children: vec![child(store.clone(), ChildSpec::new("store", Restart::Permanent))],
    };
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    (store, supervisor.get_cell())
}

fn put(name: &'static str) -> impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static {
    move |db| {
        db.execute("INSERT INTO facts VALUES (?1, 'x')", [name])?;
        Ok(())
    }
}

fn count(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("SELECT count(*) FROM facts", [], |row| row.get(0))?)
}

#[tokio::test]
async fn a_failed_write_undoes_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _supervisor) = running(dir.path()).await;
    let (one, again, two) = tokio::join!(store.write(put("a")), store.write(put("a")), store.write(put("b")));
    assert_eq!([one.is_ok(), again.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 2);
    assert_eq!(store.read(count).await.unwrap(), 2);
}

#[tokio::test]
async fn a_panicking_write_is_undone_and_the_store_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _supervisor) = running(dir.path()).await;
    let panicked: Result<(), _> = store
        .write(|db| {
            put("a")(db)?;
            panic!("injected")
        })
        .await;
    assert!(panicked.is_err());
    assert_eq!(store.read(count).await.unwrap(), 0);
    store.write(put("b")).await.unwrap();
}

#[tokio::test]
async fn a_panicking_read_is_an_error_and_the_readers_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _supervisor) = running(dir.path()).await;
    for _ in 0..4 {
        assert!(store.read(|_| -> Result<(), StoreError> { panic!("injected") }).await.is_err());
    }
    assert_eq!(store.read(count).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stopped_store_has_written_everything_it_took_and_left_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (store, supervisor) = running(dir.path()).await;
    let answer = store.submit(put("last")).unwrap();
    store.expect_last_stop();
    supervisor.stop_and_wait(None, Some(Duration::from_secs(10))).await.unwrap();
    answer.await.unwrap().unwrap();
    assert!(matches!(store.write(put("late")).await, Err(StoreError::Restarting)));
    assert!(dir.path().join(open::BACKUP).exists());
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let beside: Vec<String> = names.filter(|name| name.starts_with(open::BACKUP) && name != open::BACKUP).collect();
    assert!(beside.is_empty(), "left behind: {beside:?}");
}

/// Whether a job holds its thread by now, and the end of that when it is dropped.
type Held = (std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>);

/// A job that holds the thread that runs it.
fn holding() -> (Held, impl FnOnce(&Connection) -> Result<(), StoreError> + Send) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel();
    let job = move |_: &Connection| {
        let _ = (begin.send(()), held.recv()); // the other end is gone: that is the release
        Ok(())
    };
    ((begun, release), job)
}

// The clock is paused: nobody waits for the five seconds that a full queue may hold a caller.
#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_writes_and_reads_and_keeps_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _supervisor) = running(dir.path()).await;
    let (release, hold) = holding();
    let held = store.submit(hold).unwrap();
    release.0.recv().unwrap();
    let mut taken = Vec::new();
    let full = loop {
        match store.submit(|_| Ok(())) {
            Ok(answer) => taken.push(answer),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Overloaded), "{full}");
    assert_eq!(taken.len(), QUEUE);
    assert!(matches!(store.write(|_| Ok(())).await, Err(StoreError::Overloaded)));
    drop(release);
    held.await.unwrap().unwrap();
    for answer in taken {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_are_all_busy_make_wait_and_then_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _supervisor) = running(dir.path()).await;
    let held: Vec<_> = (0..reader::READERS).map(|_| holding()).collect();
    let mut releases = Vec::new();
    let mut reads = Vec::new();
    for (release, hold) in held {
        releases.push(release);
        reads.push(Box::pin(store.read(hold)));
    }
    for read in &mut reads {
        assert!(futures::FutureExt::now_or_never(read.as_mut()).is_none());
    }
    for (begun, _) in &releases {
        begun.recv().unwrap();
    }
    let mut waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(store.read(count))).collect();
    for read in &mut waiting {
        let _ = futures::FutureExt::now_or_never(read.as_mut()); // puts it into the queue
    }
    assert!(matches!(store.read(count).await, Err(StoreError::Overloaded)));
    drop(releases);
    for read in reads {
        read.await.unwrap();
    }
}
