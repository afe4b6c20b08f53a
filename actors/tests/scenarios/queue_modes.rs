//! What a session does with messages that find it busy, by queue mode.

use openclaw_actors::run::message::{AbortCause, Outcome};
use openclaw_actors::run::steering::TOLD_MAX;
use openclaw_actors::session::Admission;
use serde_json::json;

use crate::world::{MAIN, World, chat, completed, end_of, eventually};

async fn world(mode: &str) -> World {
    World::start_with(json!({ "messages": { "queue": { "mode": mode, "debounceMs": 20 } } }), |_| Vec::new()).await
}

#[tokio::test]
async fn steer_shows_the_live_run_the_message_and_answers_both_together() {
    let world = world("steer").await;
    let live = world.hold(MAIN, "a").await;
    let (steered, admission) = world.submit(MAIN, chat("by the way")).await;
    assert_eq!(admission.unwrap(), Admission::Steered);
    assert_eq!(completed(&steered).await, "", "it has nothing of its own to show");
    world.model.release("a");
    let answer = completed(&live).await;
    assert!(answer.contains("hold:a") && answer.ends_with("by the way"), "{answer}");
    assert_eq!(world.model.asked().len(), 2);
    assert_eq!(world.transcript(MAIN).await.len(), 4);
}

#[tokio::test]
async fn a_run_that_was_told_enough_leaves_further_messages_in_the_queue() {
    let world = world("steer").await;
    let live = world.hold(MAIN, "a").await;
    for number in 0..TOLD_MAX {
        let (_, admission) = world.submit(MAIN, chat(&format!("and {number}"))).await;
        assert_eq!(admission.unwrap(), Admission::Steered);
    }
    let (further, admission) = world.submit(MAIN, chat("one more")).await;
    assert_eq!(admission.unwrap(), Admission::Queued { ahead: 0 });
    world.model.release("a");
    completed(&live).await;
    assert!(completed(&further).await.ends_with("one more"));
}

#[tokio::test]
async fn followup_runs_what_waited_one_after_the_other() {
    let world = world("followup").await;
    let live = world.hold(MAIN, "a").await;
    let (second, first_place) = world.submit(MAIN, chat("second")).await;
    let (third, second_place) = world.submit(MAIN, chat("third")).await;
    assert_eq!(first_place.unwrap(), Admission::Queued { ahead: 0 });
    assert_eq!(second_place.unwrap(), Admission::Queued { ahead: 1 });
    assert_eq!(world.status(MAIN).await.waiting, 2);
    world.model.release("a");
    for (ticket, text) in [(&live, "hold:a"), (&second, "second"), (&third, "third")] {
        assert!(completed(ticket).await.ends_with(text));
    }
    let last: Vec<String> = world.model.asked().into_iter().filter_map(|said| said.last().cloned()).collect();
    assert!(last[1].ends_with("second") && last[2].ends_with("third"), "{last:?}");
}

#[tokio::test]
async fn collect_makes_one_turn_of_all_that_waited() {
    let world = world("collect").await;
    let live = world.hold(MAIN, "a").await;
    let (second, _) = world.submit(MAIN, chat("second")).await;
    let (third, _) = world.submit(MAIN, chat("third")).await;
    world.model.release("a");
    completed(&live).await;
    let answer = completed(&second).await;
    assert!(answer.contains("Queued #1\nsecond") && answer.contains("Queued #2\nthird"), "{answer}");
    assert_eq!(completed(&third).await, "", "it was taken in by the second");
    assert_eq!(world.model.asked().len(), 2);
}

#[tokio::test]
async fn interrupt_ends_the_live_run_for_the_new_message() {
    let world = world("interrupt").await;
    let live = world.hold(MAIN, "never").await;
    let (next, _) = world.submit(MAIN, chat("instead")).await;
    let ended = end_of(&live).await;
    assert!(matches!(ended.outcome, Outcome::Aborted { cause: AbortCause::Stop, .. }), "{ended:?}");
    assert!(completed(&next).await.ends_with("instead"));
}

#[tokio::test]
async fn the_text_that_is_being_answered_is_not_accepted_twice() {
    let world = world("followup").await;
    let live = world.hold(MAIN, "a").await;
    let (again, admission) = world.submit(MAIN, chat("hold:a")).await;
    assert_eq!(admission.unwrap(), Admission::InFlight(live.run_id.clone()));
    assert!(world.context.directory.get(&again.run_id).is_none(), "the repetition has no run of its own");
    world.model.release("a");
    completed(&live).await;
    assert_eq!(world.model.asked().len(), 1);
    eventually("the session rests", async || world.status(MAIN).await.running.is_none().then_some(())).await;
    assert!(world.say(MAIN, "hold:a").await.ends_with("hold:a"), "later it is a turn again");
}
