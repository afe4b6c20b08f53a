//! The lane that all sessions share.

use openclaw_actors::run::lane::WAITERS;
use openclaw_actors::session::SessionError;
use serde_json::json;

use crate::world::{MAIN, OTHER, World, chat, completed, eventually};

#[tokio::test]
async fn in_a_lane_of_one_the_run_of_a_second_session_waits() {
    let config = json!({ "agents": { "defaults": { "maxConcurrent": 1 } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    let lane = world.context.lanes.main.clone();
    let first = world.hold(MAIN, "a").await;
    let second = world.begin(OTHER, "after you").await;
    eventually("the second run waits", async || (lane.waiting() == 1).then_some(())).await;
    assert_eq!((lane.running(), world.model.asked().len()), (1, 1));
    world.model.release("a");
    completed(&first).await;
    assert!(completed(&second).await.ends_with("after you"));
}

#[tokio::test]
async fn a_run_that_goes_down_leaves_its_place_in_the_lane() {
    let config = json!({ "agents": { "defaults": { "maxConcurrent": 1 } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    world.hold(MAIN, "never").await;
    let second = world.begin(OTHER, "after you").await;
    world.cell(MAIN).kill();
    assert!(completed(&second).await.ends_with("after you"));
}

#[tokio::test]
async fn a_full_lane_refuses_what_is_new_and_runs_all_that_was_accepted() {
    let config = json!({ "agents": { "defaults": { "maxConcurrent": 1 } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    let lane = world.context.lanes.main.clone();
    let mut accepted = vec![world.hold(MAIN, "a").await];
    for number in 0..WAITERS {
        accepted.push(world.begin(&format!("agent:main:line-{number}"), "in line").await);
        eventually("the run waits", async || (lane.waiting() > number).then_some(())).await;
    }
    let (_, refused) = world.submit(OTHER, chat("one too many")).await;
    assert!(matches!(refused, Err(SessionError::LaneFull(WAITERS))), "{refused:?}");
    let (steered, _) = world.submit(MAIN, chat("to a run that is there")).await;
    world.model.release("a");
    for ticket in accepted.iter().chain([&steered]) {
        completed(ticket).await;
    }
    assert!(completed(&world.begin(OTHER, "now").await).await.ends_with("now"));
}
