//! A database that takes no writes for a while: nothing that was accepted is lost, and nobody is told a lie.

use openclaw_actors::session::{Admission, SessionError};
use openclaw_actors::store::StoreError;
use openclaw_actors::store::runs::{self, RunState};
use serde_json::json;

use crate::restarts::{children, root};
use crate::world::{MAIN, OTHER, World, chat, completed, eventually, failure};

/// From now on every write fails, as on a full disk, or no more.
async fn refuse_writes(world: &World, refuse: bool) {
    let set = move |db: &openclaw_actors::store::Connection| Ok(db.pragma_update(None, "query_only", refuse)?);
    world.context.store.write(set).await.unwrap();
}

async fn state_of(world: &World, run_id: &str) -> RunState {
    let run_id = run_id.to_owned();
    let row = world.context.store.read(move |db| runs::get(db, &run_id)).await.unwrap();
    row.expect("the run is known").state
}

async fn wait_for_state(world: &World, run_id: &str, state: RunState) {
    eventually("the run is recorded", async || (state_of(world, run_id).await == state).then_some(())).await;
}

async fn followups() -> World {
    World::start_with(json!({ "messages": { "queue": { "mode": "followup" } } }), |_| Vec::new()).await
}

#[tokio::test]
async fn what_could_not_be_stored_is_stored_as_soon_as_there_is_room() {
    let world = followups().await;
    let live = chat("hold:live");
    let (ended, _) = world.submit(MAIN, live.clone()).await;
    world.asked_about("hold:live").await;
    let (waiting, admission) = world.submit(MAIN, chat("waiting")).await;
    assert_eq!(admission.unwrap(), Admission::Queued { ahead: 0 });

    refuse_writes(&world, true).await;
    world.model.release("live");
    let told = failure(&ended).await;
    assert!(told.starts_with("the database is full or read-only"), "{told}");
    assert!(world.context.store.check().await.is_err());
    let (_, refused) = world.submit(MAIN, chat("no room")).await;
    assert!(matches!(refused, Err(SessionError::Store(StoreError::Full(_)))), "{refused:?}");
    assert_eq!(world.status(MAIN).await.waiting, 1, "what was accepted keeps its place");
    assert_eq!(state_of(&world, &live.run_id).await, RunState::Running);

    refuse_writes(&world, false).await;
    assert!(completed(&waiting).await.ends_with("waiting"));
    assert_eq!(state_of(&world, &live.run_id).await, RunState::Done);
    let said = world.transcript(MAIN).await;
    let starts: Vec<&str> = said.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(starts, ["user", "assistant", "user", "assistant"], "{said:?}");
    assert!(said[1].ends_with("hold:live") && said[3].ends_with("waiting"), "{said:?}");
    world.context.store.check().await.unwrap();
}

#[tokio::test]
async fn an_interruption_is_recorded_as_soon_as_there_is_room() {
    let world = World::start().await;
    let live = chat("hold:live");
    let (ended, _) = world.submit(MAIN, live.clone()).await;
    world.asked_about("hold:live").await;
    refuse_writes(&world, true).await;
    world.cell(MAIN).kill();
    assert_eq!(failure(&ended).await, "interrupted by a restart");
    assert_eq!(state_of(&world, &live.run_id).await, RunState::Running);
    refuse_writes(&world, false).await;
    wait_for_state(&world, &live.run_id, RunState::Interrupted).await;
    world.rests(MAIN).await;
    assert!(world.say(MAIN, "go on").await.ends_with("go on"));
}

#[tokio::test]
async fn a_message_that_was_taken_back_stays_so() {
    let world = followups().await;
    world.hold(MAIN, "live").await;
    let waiting = chat("taken back");
    world.submit(MAIN, waiting.clone()).await.1.unwrap();
    refuse_writes(&world, true).await;
    assert!(world.abort(MAIN).await.contains(&waiting.run_id));
    refuse_writes(&world, false).await;
    wait_for_state(&world, &waiting.run_id, RunState::Aborted).await;
    assert_eq!(world.model.asked_about("taken back"), 0);
}

#[tokio::test]
async fn a_session_that_is_wanted_while_the_store_restarts_waits_for_it() {
    let world = World::start().await;
    world.say(MAIN, "before").await;
    let foundation = children(&root(&world, MAIN))[0].clone();
    children(&foundation)[0].kill();
    assert!(world.say(OTHER, "at once").await.ends_with("at once"));
}

#[tokio::test]
async fn a_message_steered_into_a_run_that_cannot_store_it_is_answered_later() {
    let world = World::start().await;
    let (ended, _) = world.submit(MAIN, chat("hold:live")).await;
    world.asked_about("hold:live").await;
    let (_, admission) = world.submit(MAIN, chat("by the way")).await;
    assert_eq!(admission.unwrap(), Admission::Steered);
    refuse_writes(&world, true).await;
    world.model.release("live");
    failure(&ended).await;
    refuse_writes(&world, false).await;
    eventually("the message is answered", async || {
        let said = world.transcript(MAIN).await;
        said.last().is_some_and(|last| last.starts_with("assistant") && last.ends_with("by the way")).then_some(())
    })
    .await;
}
