//! The lane that all sessions share.

use serde_json::json;

use crate::world::{MAIN, OTHER, World, completed, eventually};

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
