//! Turns from the session to the transcript.

use openclaw_actors::events::Taken;
use openclaw_actors::session::SessionMsg;
use openclaw_actors::store::open::open_reader;
use openclaw_actors::store::runs::{self, RunState};
use serde_json::{Value, json};

use crate::world::{MAIN, World, chat, completed, end_of, failure, key, transcript};

#[tokio::test]
async fn a_turn_goes_through_the_tree_to_the_transcript_on_disk() {
    let world = World::start().await;
    let ticket = world.begin(MAIN, "hello").await;
    assert!(completed(&ticket).await.starts_with("echo of "));
    let dir = world.context.store.dir().to_owned();
    world.tree.stop().await;
    let db = open_reader(&dir).unwrap();
    let said = transcript(&db, &key(MAIN)).unwrap();
    assert!(said[0].starts_with("user: ") && said[0].ends_with("hello"), "{said:?}");
    assert!(said[1].starts_with("assistant: echo of ") && said.len() == 2, "{said:?}");
    assert_eq!(runs::get(&db, &ticket.run_id).unwrap().unwrap().state, RunState::Done);
}

#[tokio::test]
async fn a_message_sent_the_instant_after_the_final_is_a_turn_of_its_own() {
    let world = World::start().await;
    let outbox = world.listen().await;
    let mut run = world.begin(MAIN, "turn 0").await.run_id;
    for n in 1..=20 {
        until_final(&outbox, &run).await;
        run = world.begin(MAIN, &format!("turn {n}")).await.run_id;
    }
    until_final(&outbox, &run).await;
    assert_eq!(world.transcript(MAIN).await.len(), 42);
    assert_eq!(world.model.asked().len(), 21);
}

/// Reads events up to the one that ends this run for a chat window.
async fn until_final(outbox: &openclaw_actors::events::Outbox, run: &str) {
    loop {
        let Taken::Frames(frames) = outbox.take().await else { panic!("the listener was closed") };
        let is_final = |frame: &Value| frame["payload"]["runId"] == run && frame["payload"]["state"] == "final";
        if frames.iter().any(|frame| is_final(&serde_json::from_str(frame).unwrap())) {
            return;
        }
    }
}

#[tokio::test]
async fn a_turn_that_panics_fails_and_its_session_goes_on() {
    let world = World::start().await;
    let before = world.hold(MAIN, "a").await;
    world.model.release("a");
    completed(&before).await;
    let session = world.cell(MAIN).get_id();
    let ticket = world.begin(MAIN, "break").await;
    assert!(failure(&ticket).await.contains("the model broke"));
    assert!(world.say(MAIN, "go on").await.ends_with("go on"));
    assert_eq!(world.cell(MAIN).get_id(), session, "the session itself did not restart");
}

#[tokio::test]
async fn a_chosen_model_is_asked_until_the_choice_is_taken_back() {
    let world = World::start().await;
    let patch = async |model: Value| {
        let Value::Object(changes) = json!({ "model": model }) else { panic!() };
        world.ask(MAIN, |reply| SessionMsg::Patch(changes.clone(), reply)).await.unwrap()
    };
    let entry = patch(json!("fake/other/of-a-maker")).await;
    assert_eq!(entry.model_override.as_deref(), Some("other/of-a-maker"));
    world.say(MAIN, "one").await;
    assert_eq!(world.model.latest_wish().session, Some(("fake/other/of-a-maker".into(), false)));
    patch(Value::Null).await;
    world.say(MAIN, "two").await;
    assert_eq!(world.model.latest_wish().session, None);
}

#[tokio::test]
async fn a_session_that_a_patch_makes_is_announced_as_created() {
    let world = World::start().await;
    let outbox = world.listen().await;
    let follow = openclaw_actors::events::EventsMsg::FollowSessions("listener".into(), true);
    world.context.events.send(follow).await.unwrap();
    for _ in 0..2 {
        let Value::Object(changes) = json!({ "label": "mine" }) else { panic!() };
        world.ask(MAIN, |reply| SessionMsg::Patch(changes.clone(), reply)).await.unwrap();
    }
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        let Taken::Frames(frames) = outbox.take().await else { panic!("the listener was closed") };
        let frames = frames.iter().map(|frame| serde_json::from_str::<Value>(frame).unwrap());
        let changed = frames.filter(|frame| frame["event"] == "sessions.changed");
        reasons.extend(changed.map(|frame| frame["payload"]["reason"].as_str().unwrap().to_owned()));
    }
    assert_eq!(reasons, ["create", "patch"]);
}

#[tokio::test]
async fn the_text_of_a_run_that_is_being_aborted_may_be_sent_again() {
    let world = World::start().await;
    let ticket = world.hold(MAIN, "never").await;
    assert_eq!(world.abort(MAIN).await, std::slice::from_ref(&ticket.run_id));
    // taken while the run is still ending: a turn of its own, whatever it says
    let next = chat("hold:never");
    let (next, admission) = world.submit(MAIN, next).await;
    assert_eq!(admission.unwrap(), openclaw_actors::session::Admission::Started);
    end_of(&ticket).await;
    world.abort(MAIN).await;
    end_of(&next).await;
    assert!(world.say(MAIN, "go on").await.ends_with("go on"));
}
