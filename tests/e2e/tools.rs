//! Tool calls: the round trip to the model, what clients see of it, and calls that cannot be carried out.
//!
//! Source: agent runtime, tool results; WebSocket protocol, stream of a run.

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::Script;
use crate::harness::turn::{end_of, events_of, history, is_chat_end, say, send, text_of};
use crate::harness::{Client, Hello, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";

/// The messages of the second request: what the model is told about its calls.
fn told(world: &World, about: &str) -> Vec<Value> {
    let bodies = world.fake.bodies_about(about);
    assert!(bodies.len() >= 2, "the model was not asked to go on: {} request(s)", bodies.len());
    bodies[1]["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn session_status_goes_to_the_model_and_back() {
    let world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:tool]] status please").await;
    let frames = client.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await;
    let end = &frames.last().unwrap()["payload"];
    assert_eq!(end["state"], "final", "{end}");
    let text = text_of(&end["message"]);
    assert!(text.starts_with("Checking.") && text.ends_with(ANSWER), "{text}");

    let messages = told(&world, "status please");
    let [.., call, result] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(call["tool_calls"][0]["function"]["name"], "session_status");
    assert_eq!(result["role"], "tool");
    assert_eq!(result["tool_call_id"], call["tool_calls"][0]["id"]);
    assert!(text_of(result).contains("fake/fake-1"), "the card names the model: {result}");

    let events = events_of(&frames, &run);
    let of_tool: Vec<_> = events.iter().filter(|event| event["stream"] == "tool").collect();
    let [start, done] = of_tool.as_slice() else { panic!("{of_tool:?}") };
    assert_eq!((&start["data"]["phase"], &start["data"]["name"]), (&json!("start"), &json!("session_status")));
    assert_eq!((&done["data"]["phase"], &done["data"]["isError"]), (&json!("result"), &json!(false)));
    assert_eq!(start["data"]["toolCallId"], done["data"]["toolCallId"]);
    let items: Vec<_> = events.iter().filter(|event| event["stream"] == "item").map(|e| &e["data"]["status"]).collect();
    assert_eq!(items, ["running", "completed"]);
}

#[tokio::test]
async fn the_history_keeps_the_result_of_a_call() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "[[script:tool]] status please").await;
    let messages = history(&mut client, "main").await;
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "toolResult", "assistant"]);
    assert_eq!((text_of(&messages[1]).trim(), &messages[1]["stopReason"]), ("Checking.", &json!("toolUse")));
    assert!(messages[2]["toolCallId"].is_string() && messages[2]["isError"] == false, "{}", messages[2]);
    assert_eq!(messages[2]["toolName"], "session_status");
}

#[tokio::test]
async fn parallel_calls_are_answered_in_the_order_they_were_made() {
    let world = World::start();
    let mut client = world.client().await;
    say(&mut client, "agent:main:other", "an earlier session").await;
    say(&mut client, "main", "[[script:tools]] both please").await;
    let messages = told(&world, "both please");
    let [.., call, first, second] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(call["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(first["tool_call_id"], call["tool_calls"][0]["id"]);
    assert_eq!(second["tool_call_id"], call["tool_calls"][1]["id"]);
    let list: Value = serde_json::from_str(&text_of(second)).expect("sessions_list answers JSON");
    assert!(list["count"].as_u64().unwrap() >= 1 && list["sessions"].is_array(), "{list}");
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_for_the_model_not_for_the_run() {
    let world = World::start();
    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "[[script:unknown-tool]] try").await, ANSWER);
    let messages = told(&world, "try");
    assert_eq!(text_of(messages.last().unwrap()), "Tool no_such_tool not found");
    let stored = history(&mut client, "main").await;
    let result = stored.iter().find(|message| message["role"] == "toolResult").unwrap();
    assert_eq!(result["isError"], true, "{result}");
}

#[tokio::test]
async fn a_model_that_insists_on_an_unknown_tool_is_stopped() {
    let world = World::start();
    let mut client = world.client().await;
    let text = say(&mut client, "main", "[[script:unknown-tool-loop]] insist").await;
    let reason = "I can't use the tool \"no_such_tool\" here because it isn't available. \
                  I need to stop retrying it and answer without that tool.";
    assert!(text.ends_with(reason), "{text}");
    let asked = world.fake.requests().len();
    assert!((10..=11).contains(&asked), "ten misses are enough, but the model was asked {asked} times");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_explained_to_the_model() {
    let world = World::start();
    let mut client = world.client().await;
    world.fake.push(Script::tool("sessions_history", json!({})));
    assert_eq!(say(&mut client, "main", "read nothing").await, ANSWER);
    let messages = told(&world, "read nothing");
    let text = text_of(messages.last().unwrap());
    assert!(text.starts_with("Validation failed for tool \"sessions_history\":\n  - sessionKey: "), "{text}");
    assert!(text.contains("\n\nReceived arguments:\n{"), "{text}");
}

#[tokio::test]
async fn arguments_and_results_are_only_for_clients_that_want_tool_events() {
    let world = World::start();
    let plain = Hello::default().set("caps", json!([]));
    let mut plain = Client::connect_as(&world.gateway.ws(), &plain).await;
    let run = send(&mut plain, "main", "[[script:tool]] quietly").await;
    let frames = plain.frames_until("the end", SOON, |frame| is_chat_end(frame, &run)).await;
    for event in events_of(&frames, &run).iter().filter(|event| event["stream"] == "tool") {
        assert!(event["data"].get("args").is_none() && event["data"].get("result").is_none(), "{event}");
    }
}

#[tokio::test]
async fn an_abort_during_tool_calls_ends_the_run_once() {
    let world = World::start();
    let mut client = world.client().await;
    world.fake.push(Script::tool("session_status", json!({})));
    world.fake.push(Script { head_delay_ms: 30_000, ..Script::default() });
    let run = send(&mut client, "main", "then wait").await;
    client.frame("the tool's end", SOON, |frame| frame["payload"]["data"]["phase"] == "result").await;
    eventually("the model is asked to go on", SOON, async || (world.fake.requests().len() == 2).then_some(())).await;
    client.ask("chat.abort", json!({ "sessionKey": "main", "runId": run })).await;
    assert_eq!(end_of(&mut client, &run, SOON).await["state"], "aborted");
    assert_eq!(say(&mut client, "main", "and on").await, ANSWER);
}
