//! Actors that are killed in the middle of their work, and what is there again when they are back.

use std::sync::mpsc;

use openclaw_actors::session::Admission;
use openclaw_actors::store::StoreError;
use openclaw_actors::store::runs::{self, RunState};
use ractor::{ActorCell, ActorStatus};
use serde_json::json;

use crate::world::{MAIN, OTHER, World, chat, completed, eventually, failure};

/// The root, found upwards from a session.
pub fn root(world: &World, session: &str) -> ActorCell {
    let mut cell = world.cell(session);
    while let Some(parent) = cell.try_get_supervisor() {
        cell = parent;
    }
    cell
}

/// The children of an actor in start order.
pub fn children(cell: &ActorCell) -> Vec<ActorCell> {
    let mut children = cell.get_children();
    children.sort_by_key(|child| child.get_id().pid());
    children
}

/// Waits until somebody else stands in this place below the parent.
async fn replaced(parent: &ActorCell, place: usize, gone: &ActorCell) {
    eventually("it is back", async || {
        let now = children(parent);
        let other = now.get(place).is_some_and(|cell| cell.get_id() != gone.get_id());
        (other && gone.get_status() == ActorStatus::Stopped).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_session_reports_its_run_as_interrupted_and_runs_what_waited() {
    let config = json!({ "messages": { "queue": { "mode": "followup" } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    assert!(world.say(MAIN, "before").await.ends_with("before"));
    let beside = world.hold(OTHER, "beside").await;
    let live = world.hold(MAIN, "never").await;
    let waiting = chat("waiting");
    let (ticket, admission) = world.submit(MAIN, waiting.clone()).await;
    assert_eq!(admission.unwrap(), Admission::Queued { ahead: 0 });

    world.cell(MAIN).kill();
    assert_eq!(failure(&live).await, "interrupted by a restart");
    assert!(completed(&ticket).await.ends_with("waiting"));
    let said = world.transcript(MAIN).await;
    for text in ["before", "hold:never", "waiting"] {
        assert_eq!(said.iter().filter(|said| said.starts_with("user") && said.ends_with(text)).count(), 1, "{said:?}");
    }
    world.model.release("beside");
    assert!(completed(&beside).await.ends_with("hold:beside"), "the other session has noticed nothing");
}

/// It is in the transcript, and what goes on with the run answers it: as a turn of its own it would be answered twice.
#[tokio::test]
async fn a_message_that_has_joined_a_run_which_is_cut_off_is_not_taken_up_a_second_time() {
    let world = World::start().await;
    let live = world.hold(MAIN, "a").await;
    let told = chat("hold:b");
    let (_, admission) = world.submit(MAIN, told.clone()).await;
    assert_eq!(admission.unwrap(), Admission::Steered);
    world.model.release("a");
    world.asked_about("hold:b").await;
    world.cell(MAIN).kill();
    assert_eq!(failure(&live).await, "interrupted by a restart");
    world.model.release("b");
    world.asked_about("[System]").await;
    world.rests(MAIN).await;
    let row = world.context.store.read(move |db| runs::get(db, &told.run_id)).await.unwrap().unwrap();
    assert_eq!((row.state, row.outcome), (RunState::Done, Some(json!({ "steeredInto": live.run_id }).to_string())));
    assert_eq!(world.model.asked_about("hold:b"), 1);
    let said = world.transcript(MAIN).await;
    assert_eq!(said.iter().filter(|said| said.starts_with("user") && said.ends_with("hold:b")).count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_killed_run_ends_as_failed_and_its_session_goes_on() {
    let world = World::start().await;
    let live = world.hold(MAIN, "never").await;
    let session = world.cell(MAIN);
    children(&session)[0].kill();
    assert!(failure(&live).await.starts_with("the run went down"));
    assert!(world.say(MAIN, "go on").await.ends_with("go on"));
    assert_eq!(world.cell(MAIN).get_id(), session.get_id());
}

#[tokio::test]
async fn a_message_sent_again_to_a_session_that_comes_back_keeps_those_who_wait_for_it() {
    let config = json!({ "messages": { "queue": { "mode": "followup" } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    world.hold(MAIN, "never").await;
    let waiting = chat("hold:waiting");
    let (ticket, _) = world.submit(MAIN, waiting.clone()).await;
    world.cell(MAIN).kill();
    let (_, again) = world.submit(MAIN, waiting).await;
    assert!(matches!(again, Ok(Admission::Started | Admission::Queued { .. })), "{again:?}");
    world.model.release("waiting");
    assert!(completed(&ticket).await.ends_with("hold:waiting"));
    assert_eq!(world.model.asked_about("hold:waiting"), 1);
}

#[tokio::test]
async fn what_a_killed_session_handed_to_a_slow_disk_is_not_overlooked() {
    let world = World::start().await;
    world.say(MAIN, "before").await;
    let (release, held) = mpsc::channel::<()>();
    let slow = world.context.store.submit(move |_| {
        let _ = held.recv(); // the disk is slow until then
        Ok(())
    });
    let session = world.context.sessions.get(&crate::world::key(MAIN)).unwrap();
    let turn = chat("on its way");
    let ticket = world.context.directory.register(&turn.run_id, MAIN, turn.accepted_at, None).unwrap();
    let (reply, _) = ractor::concurrency::oneshot();
    session.try_send(openclaw_actors::session::SessionMsg::Submit(Box::new(turn), reply.into())).unwrap();
    eventually("the session has handed it over", async || world.status(MAIN).await.running).await;
    let killed = world.cell(MAIN);
    killed.kill();
    eventually("the session is back", async || (world.cell(MAIN).get_id() != killed.get_id()).then_some(())).await;
    release.send(()).unwrap();
    slow.unwrap().await.unwrap().unwrap();
    assert_eq!(failure(&ticket).await, "interrupted by a restart");
    world.rests(MAIN).await;
}

#[tokio::test]
async fn a_killed_store_is_opened_again_with_everything_that_was_answered() {
    let world = World::start().await;
    let ticket = world.begin(MAIN, "before").await;
    completed(&ticket).await;
    let foundation = children(&root(&world, MAIN))[0].clone();
    let store = children(&foundation)[0].clone();
    store.kill();
    replaced(&foundation, 0, &store).await;
    let said = eventually("the store answers", async || {
        let key = crate::world::key(MAIN);
        match world.context.store.read(move |db| crate::world::transcript(db, &key)).await {
            Ok(said) => Some(said),
            Err(StoreError::Restarting) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(world.say(MAIN, "after").await.ends_with("after"));
}

#[tokio::test]
async fn the_root_gives_up_when_its_branches_fail_too_often() {
    let mut world = World::start().await;
    world.say(MAIN, "before").await;
    let root = root(&world, MAIN);
    for n in 0..=3 {
        let front = eventually("the front is there", async || children(&root).get(3).cloned()).await;
        front.kill();
        if n < 3 {
            replaced(&root, 3, &front).await;
        }
    }
    tokio::time::timeout(crate::world::SOON, world.tree.ended()).await.expect("the tree ends by itself");
    let wrote = world.context.store.write(|_| Ok(())).await;
    assert!(matches!(wrote, Err(StoreError::Restarting)), "{wrote:?}");
}
