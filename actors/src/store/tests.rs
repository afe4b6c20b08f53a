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
    supervisor.stop_and_wait(None, Some(Duration::from_secs(10))).await.unwrap();
    answer.await.unwrap().unwrap();
    assert!(matches!(store.write(put("late")).await, Err(StoreError::Restarting)));
    assert!(dir.path().join(open::BACKUP).exists());
}
