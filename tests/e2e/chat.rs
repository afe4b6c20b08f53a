//! `chat.send`: acknowledgement, deltas, one end; what several clients see; what happens when messages meet.
//!
//! Source: WebSocket protocol, runs: every accepted run ends with exactly one of `final`, `aborted`, `error`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::{Outcome, Script};
use crate::harness::turn::{self, end_of, events_of, history, is_chat_end, say, send, text_of};
use crate::harness::{Client, Hello, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";
const MAIN: &str = "agent:main:main";

#[tokio::test]
async fn a_message_is_acknowledged_streamed_and_finished_once() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] count").await;
    let mut frames = client.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await;
    frames.extend(client.frames_for(Duration::from_millis(500)).await);
    let events = events_of(&frames, &run);
    assert!(events.iter().all(|event| event["sessionKey"] == MAIN), "{events:?}");

    let first = events[0];
    assert_eq!((&first["stream"], &first["data"]["phase"]), (&json!("lifecycle"), &json!("start")));
    let deltas: Vec<_> = events.iter().filter(|event| event["state"] == "delta").collect();
    assert!(deltas.len() >= 2, "2 s of text came in {} deltas", deltas.len());
    let mut whole = String::new();
    for delta in &deltas {
        whole += delta["deltaText"].as_str().unwrap();
        assert_eq!(text_of(&delta["message"]), whole, "the message is cumulative");
        assert_eq!(delta["message"]["role"], "assistant");
    }
    let words: Vec<String> = (1..=20).map(|n| format!("word{n}")).collect();
    assert_eq!(whole, words.join(" "));
    let ends: Vec<_> = frames.iter().filter(|frame| is_chat_end(frame, &run)).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!(ends[0]["payload"]["state"], "final");
    assert_eq!(text_of(&ends[0]["payload"]["message"]), whole);
    assert_eq!(frames.iter().filter(|frame| turn::is_lifecycle_end(frame, &run)).count(), 1);
}

#[tokio::test]
async fn agent_events_of_a_run_are_numbered_from_one() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "hello").await;
    let frames = client.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await;
    let of_run = events_of(&frames, &run);
    let numbers: Vec<u64> =
        of_run.iter().filter(|event| event["stream"].is_string()).map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let mut text = String::new();
    for event in of_run.iter().filter(|event| event["stream"] == "assistant") {
        text += event["data"]["delta"].as_str().unwrap();
        assert_eq!(event["data"]["text"], text.as_str());
    }
    assert_eq!(text, ANSWER);
}

#[tokio::test]
async fn two_clients_that_watch_one_session_see_the_same_events_in_the_same_order() {
    let world = World::start();
    let mut speaker = world.client().await;
    let mut watcher = world.client().await;
    let mut runs = Vec::new();
    let (mut seen_by_speaker, mut seen_by_watcher) = (Vec::new(), Vec::new());
    for text in ["one", "[[script:slow]] two", "three"] {
        let run = send(&mut speaker, "main", text).await;
        seen_by_speaker.extend(speaker.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await);
        seen_by_watcher.extend(watcher.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await);
        runs.push(run);
    }
    for run in &runs {
        let mine = events_of(&seen_by_speaker, run);
        assert!(mine.len() > 3, "{mine:?}");
        assert_eq!(mine, events_of(&seen_by_watcher, run));
    }
}

#[tokio::test]
async fn a_hundred_turns_back_to_back_each_get_their_own_final() {
    let world = World::start();
    let mut client = world.client().await;
    for n in 1..=100 {
        let text = say(&mut client, "main", &format!("[[script:echo]] turn {n}.")).await;
        assert!(text.contains(&format!("turn {n}.")), "turn {n} was answered with {text:?}");
    }
    let messages = history(&mut client, "main").await;
    assert_eq!(messages.len(), 200);
    let seqs: Vec<_> = messages.iter().filter_map(|message| message["__openclaw"]["seq"].as_u64()).collect();
    assert!(seqs.is_sorted() && seqs.len() == 200, "{seqs:?}");
    assert_eq!(world.fake.requests().len(), 100);
}

#[tokio::test]
async fn a_message_sent_right_after_a_final_is_a_turn_of_its_own() {
    let world = World::start();
    let mut client = world.client().await;
    let mut other = world.client().await;
    for n in 1..=10 {
        let run = send(&mut client, "main", "hello").await;
        end_of(&mut client, &run, SOON).await;
        let next = send(&mut other, "main", &format!("[[script:echo]] next {n}.")).await;
        let end = end_of(&mut other, &next, SOON).await;
        assert_eq!(end["state"], "final");
        assert!(text_of(&end["message"]).contains(&format!("next {n}.")), "{end}");
    }
}

#[tokio::test]
async fn the_history_holds_both_sides_with_usage() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "hello there").await;
    let answer = client.ask("chat.history", json!({ "sessionKey": "main" })).await;
    assert_eq!(answer["sessionKey"], "main");
    let [question, reply] = answer["messages"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&question["role"], text_of(question).as_str()), (&json!("user"), "hello there"));
    assert_eq!((&reply["role"], text_of(reply).as_str()), (&json!("assistant"), ANSWER));
    assert_eq!((&reply["provider"], &reply["model"]), (&json!("fake"), &json!("fake-1")));
    assert_eq!(reply["stopReason"], "stop");
    let usage = &reply["usage"];
    let counts = ["input", "output", "cacheRead", "cacheWrite"].map(|key| usage[key].as_u64().unwrap());
    assert_eq!(counts, [100, 6, 20, 0]);
    let unknown = client.ask("chat.history", json!({ "sessionKey": "agent:main:never" })).await;
    assert_eq!(unknown["messages"], json!([]));
}

#[tokio::test]
async fn a_repeated_key_starts_nothing_new() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] once").await;
    let again = json!({ "sessionKey": "main", "message": "[[script:slow]] once", "idempotencyKey": run });
    let answer = client.ask("chat.send", again.clone()).await;
    assert_eq!(answer, json!({ "runId": run, "status": "in_flight" }));
    end_of(&mut client, &run, SOON).await;
    eventually("the repeat is answered as done", SOON, async || {
        let answer = client.ask("chat.send", again.clone()).await;
        assert_eq!(answer["runId"], run.as_str());
        (answer["status"] == "ok").then_some(())
    })
    .await;
    assert_eq!(world.fake.bodies_about("once").len(), 1);
    assert_eq!(history(&mut client, "main").await.len(), 2);
}

#[tokio::test]
async fn the_same_text_to_a_session_that_is_busy_with_it_is_in_flight() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] once").await;
    let again = json!({ "sessionKey": "main", "message": "[[script:slow]] once", "idempotencyKey": "another-key" });
    let answer = client.ask("chat.send", again).await;
    assert_eq!(answer, json!({ "runId": run, "status": "in_flight" }));
    end_of(&mut client, &run, SOON).await;
    assert_eq!(world.fake.bodies_about("once").len(), 1);
    assert_eq!(history(&mut client, "main").await.len(), 2);
}

#[tokio::test]
async fn an_abort_ends_the_run_once_keeps_the_partial_text_and_drops_the_request() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let answer = client.ask("chat.abort", json!({ "sessionKey": "main", "runId": run })).await;
    assert_eq!(answer, json!({ "ok": true, "aborted": true, "runIds": [run] }));
    let end = end_of(&mut client, &run, SOON).await;
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("rpc")));
    assert!(text_of(&end["message"]).starts_with("word1"), "{end}");
    world.fake.wait_for_outcome("talk", Outcome::Dropped, SOON).await;
    let rest = client.frames_for(Duration::from_secs(1)).await;
    assert!(!rest.iter().any(|frame| is_chat_end(frame, &run)), "a second end: {rest:?}");
    let messages = history(&mut client, "main").await;
    assert_eq!(messages.last().unwrap()["stopReason"], "aborted", "{messages:?}");
    assert_eq!(say(&mut client, "main", "go on").await, ANSWER);
    let nothing = client.ask("chat.abort", json!({ "sessionKey": "main" })).await;
    assert_eq!(nothing, json!({ "ok": true, "aborted": false, "runIds": [] }));
}

#[tokio::test]
async fn the_word_stop_aborts_like_the_method() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let stop = json!({ "sessionKey": "main", "message": "/stop", "idempotencyKey": "stop-1" });
    let answer = client.ask("chat.send", stop).await;
    assert_eq!(answer, json!({ "ok": true, "aborted": true, "runIds": [run] }));
    let end = end_of(&mut client, &run, SOON).await;
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("stop")));
}

#[tokio::test]
async fn somebody_elses_run_is_not_for_a_writer_to_abort() {
    let world = World::start();
    let mut owner = world.client().await;
    let run = send(&mut owner, "main", "[[script:endless]] mine").await;
    let writer = Hello::default().scopes(&["operator.write"]);
    let mut writer = crate::Client::connect_as(&world.gateway.ws(), &writer).await;
    let error = writer.refusal("chat.abort", json!({ "sessionKey": "main", "runId": run })).await;
    assert_eq!(error["message"], "unauthorized");
    let error = owner.refusal("chat.abort", json!({ "sessionKey": "agent:main:other", "runId": run })).await;
    assert_eq!(error["message"], "runId does not match sessionKey");
    owner.ask("chat.abort", json!({ "sessionKey": "main", "runId": run })).await;
}

#[tokio::test]
async fn a_message_to_a_busy_session_reaches_the_model_and_both_runs_end_once() {
    let world = World::start();
    let mut client = world.client().await;
    let first = send(&mut client, "main", "[[script:slow]] first").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let second = send(&mut client, "main", "second thought").await;
    world.fake.wait_for_outcome("second thought", Outcome::Done, SOON).await;
    let frames = client.frames_for(Duration::from_secs(2)).await;
    for run in [&first, &second] {
        assert_eq!(frames.iter().filter(|frame| is_chat_end(frame, run)).count(), 1, "ends of {run} in {frames:?}");
    }
    let roles: Vec<_> = history(&mut client, "main").await.iter().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
}

#[tokio::test]
async fn followup_mode_runs_waiting_messages_one_after_the_other() {
    let world = World::start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:slow]] first").await;
    send(&mut client, "main", "second of three").await;
    send(&mut client, "main", "third of three").await;
    world.fake.wait_for_outcome("third of three", Outcome::Done, SOON).await;
    let asked: Vec<_> = world.fake.requests().into_iter().map(|request| request.user_text).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1].contains("second") && asked[2].contains("third"), "{asked:?}");
}

#[tokio::test]
async fn sessions_run_beside_each_other_and_do_not_mix() {
    let world = World::start();
    let mut client = world.client().await;
    let mut runs = Vec::new();
    for name in ["a", "b", "c"] {
        let key = format!("agent:main:{name}");
        runs.push((send(&mut client, &key, &format!("[[script:slow]] in {name}")).await, key));
    }
    eventually("three requests at once", SOON, async || {
        let open = world.fake.requests().iter().filter(|request| request.outcome == Outcome::Open).count();
        (open == 3).then_some(())
    })
    .await;
    for (run, key) in &runs {
        assert_eq!(end_of(&mut client, run, SOON).await["sessionKey"], key.as_str());
        assert_eq!(history(&mut client, key).await.len(), 2);
    }
}

#[tokio::test]
async fn subscribers_hear_of_messages_and_session_changes() {
    let world = World::start();
    let mut client = world.client().await;
    assert_eq!(client.ask("sessions.subscribe", json!({})).await, json!({ "subscribed": true }));
    let run = send(&mut client, "main", "hello").await;
    end_of(&mut client, &run, SOON).await;
    let changed = |phase: &'static str| {
        move |frame: &Value| frame["event"] == "sessions.changed" && frame["payload"]["phase"] == phase
    };
    let frame = client.frame("the start", SOON, changed("start")).await;
    assert_eq!((&frame["payload"]["sessionKey"], &frame["payload"]["runId"]), (&json!(MAIN), &json!(run)));
    assert!(frame.get("seq").is_none(), "a targeted event has no seq: {frame}");
    client.frame("the end", SOON, changed("end")).await;
    let is_reply =
        |frame: &Value| frame["event"] == "session.message" && frame["payload"]["message"]["role"] == "assistant";
    let reply = client.frame("the answer", SOON, is_reply).await;
    assert_eq!(text_of(&reply["payload"]["message"]), ANSWER);
}

#[tokio::test]
async fn a_very_long_answer_arrives_whole() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:long]] please").await;
    let end = end_of(&mut client, &run, Duration::from_secs(60)).await;
    let text = text_of(&end["message"]);
    assert!(text.starts_with("word1 word2 ") && text.ends_with(" word20000"), "{} bytes", text.len());
    let short = client.ask("chat.history", json!({ "sessionKey": "main", "maxChars": 1000 })).await;
    let longest = short["messages"].as_array().unwrap().iter().map(|m| text_of(m).chars().count()).max().unwrap();
    assert!(longest < 2_000, "cut to maxChars, but {longest} characters came");
}

#[tokio::test]
async fn an_empty_message_is_refused() {
    let world = World::start();
    let mut client = world.client().await;
    let empty = json!({ "sessionKey": "main", "message": "  ", "idempotencyKey": "e-1" });
    assert_eq!(client.refusal("chat.send", empty).await["message"], "message or attachment required");
    assert!(world.fake.requests().is_empty());
}

#[tokio::test]
async fn the_model_gets_the_whole_conversation() {
    let world = World::start();
    let mut client = world.client().await;
    world.fake.push(Script::text("Blue, I think."));
    say(&mut client, "main", "what colour?").await;
    say(&mut client, "main", "are you sure?").await;
    let bodies = world.fake.bodies_about("are you sure?");
    let said: Vec<(String, String)> = bodies[0]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] != "system" && message["role"] != "developer")
        .map(|message| (message["role"].as_str().unwrap().to_owned(), text_of(message)))
        .collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].1.contains("what colour?"));
    assert_eq!(said[1], ("assistant".to_owned(), "Blue, I think.".to_owned()));
}

#[tokio::test]
async fn steering_a_session_ends_its_run_and_keeps_what_waits() {
    let world = World::start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let mut client = world.client().await;
    let live = send(&mut client, "main", "[[script:slow]] count").await;
    let queued = json!({ "sessionKey": "main", "message": "queued", "idempotencyKey": "queued-1" });
    client.ask("chat.send", queued).await;
    let wish = json!({ "key": MAIN, "message": "other wish", "idempotencyKey": "steer-1" });
    let answer = client.ask("sessions.steer", wish.clone()).await;
    assert_eq!(answer["interruptedActiveRun"], true, "{answer}");
    assert_eq!(end_of(&mut client, &live, SOON).await["state"], "aborted");
    for run in ["queued-1", "steer-1"] {
        assert_eq!(end_of(&mut client, run, SOON).await["state"], "final", "{run}");
    }
    let again = client.ask("sessions.steer", wish).await;
    assert_eq!(again["interruptedActiveRun"], false, "a repetition ends nothing: {again}");
}

#[tokio::test]
async fn only_its_owner_or_an_admin_may_steer_a_run_away() {
    let world = World::start();
    let mut owner = world.client().await;
    let live = send(&mut owner, "main", "[[script:slow]] count").await;
    let hello = Hello::default().set("scopes", json!(["operator.read", "operator.write"]));
    let mut other = Client::connect_as(&world.gateway.ws(), &hello).await;
    let wish = json!({ "key": MAIN, "message": "other wish", "idempotencyKey": "steer-2" });
    assert_eq!(other.refusal("sessions.steer", wish).await["message"], "unauthorized");
    assert_eq!(end_of(&mut owner, &live, SOON).await["state"], "final");
}
