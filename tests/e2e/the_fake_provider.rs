//! The fake itself: what it serves must be the real formats, or the tests that lean on it prove nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_provider::{ErrorReply, FakeProvider, Fault, Outcome, Script};
use crate::harness::http::{self, Answer};

async fn post(fake: &FakeProvider, path: &str, body: &Value) -> Answer {
    let url = format!("{}{path}", fake.root_url());
    Answer::read(http::client().post(url).json(body).send().await.unwrap()).await
}

fn chat(text: &str) -> Value {
    let messages = json!([{ "role": "system", "content": "s" }, { "role": "user", "content": text }]);
    json!({ "model": "fake-1", "stream": true, "stream_options": { "include_usage": true }, "messages": messages })
}

fn responses(text: &str) -> Value {
    let content = json!([{ "type": "input_text", "text": text }]);
    json!({ "model": "fake-1", "stream": true, "input": [{ "role": "user", "content": content }] })
}

fn messages(text: &str) -> Value {
    let content = json!([{ "type": "text", "text": text }]);
    json!({ "model": "fake-1", "stream": true, "max_tokens": 9, "messages": [{ "role": "user", "content": content }] })
}

fn events(answer: &Answer) -> Vec<Value> {
    answer.sse_data().iter().filter(|data| **data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn chat_completions_streams_text_a_finish_reason_usage_and_done() {
    let fake = FakeProvider::start();
    let answer = post(&fake, "/v1/chat/completions", &chat("hello")).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/event-stream; charset=utf-8"));
    let chunks = events(&answer);
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Hello from the fake provider.");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    let usage = &chunks[chunks.len() - 1]["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(120), &json!(6)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 20);
    assert_eq!(answer.sse_data().last(), Some(&"[DONE]"));
}

#[tokio::test]
async fn responses_numbers_its_events_and_ends_with_the_whole_response() {
    let fake = FakeProvider::start();
    let answer = post(&fake, "/v1/responses", &responses("[[script:thinking]]")).await;
    let events = events(&answer);
    let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("response.created", "response.completed"));
    let whole = &events.last().unwrap()["response"];
    assert_eq!(whole["output"][0]["type"], "reasoning");
    assert_eq!(whole["output"][1]["content"][0]["text"], "Hello from the fake provider.");
    assert_eq!(whole["usage"]["input_tokens_details"]["cached_tokens"], 20);
    assert!(answer.text.starts_with("event: response.created\ndata: {"));
}

#[tokio::test]
async fn messages_opens_and_closes_every_block() {
    let fake = FakeProvider::start();
    let answer = post(&fake, "/v1/messages", &messages("[[script:tool]]")).await;
    let events = events(&answer);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("message_start", "message_stop"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "content_block_start").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| **kind == "content_block_stop").count(), 2);
    let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, "{}");
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn a_tool_result_is_followed_by_the_default_answer() {
    let fake = FakeProvider::start();
    let mut body = chat("[[script:tool]]");
    let asked = events(&post(&fake, "/v1/chat/completions", &body).await);
    assert!(asked.iter().any(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["id"].is_string()));
    let list = body["messages"].as_array_mut().unwrap();
    list.push(json!({ "role": "assistant", "tool_calls": [] }));
    list.push(json!({ "role": "tool", "tool_call_id": "call_1x0", "content": "fine" }));
    let answered = post(&fake, "/v1/chat/completions", &body).await;
    assert!(answered.text.contains("Hello"), "{}", answered.text);
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_queued_script_comes_before_the_marker_and_only_once() {
    let fake = FakeProvider::start();
    fake.push(Script { when: Some("other".into()), ..Script::text("not mine") });
    fake.push(Script::text("queued"));
    let first = post(&fake, "/v1/chat/completions", &chat("[[script:echo]] x")).await;
    assert!(first.text.contains("queued"), "{}", first.text);
    let second = post(&fake, "/v1/chat/completions", &chat("[[script:echo]] x")).await;
    assert!(second.text.contains("[[script:echo]] x"), "{}", second.text);
}

#[tokio::test]
async fn scripts_come_over_http_and_requests_go_back() {
    let fake = FakeProvider::start();
    let queued = post(&fake, "/script", &json!([{ "text": ["a", "b"] }, { "error": { "status": 418 } }])).await;
    assert_eq!(queued.json(), json!({ "queued": 2 }));
    let bad = post(&fake, "/script", &json!({ "txt": "misspelt" })).await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    assert!(post(&fake, "/v1/responses", &responses("one")).await.text.contains("\"ab\""));
    assert_eq!(post(&fake, "/v1/messages", &messages("two")).await.status, 418);
    let list = http::client().get(format!("{}/requests", fake.root_url())).send().await.unwrap();
    let list = Answer::read(list).await.json();
    assert_eq!(list[0]["userText"], "one");
    assert_eq!(list[1]["wire"], "anthropic-messages");
    assert_eq!(list[1]["outcome"], "done");
}

#[tokio::test]
async fn errors_carry_status_headers_and_the_body_of_their_wire() {
    let fake = FakeProvider::start();
    let headers = json!({ "retry-after": "7" }).as_object().unwrap().clone();
    fake.push(Script { error: Some(ErrorReply { status: 529, headers, body: None }), ..Script::default() });
    let url = format!("{}/v1/messages", fake.root_url());
    let response = http::client().post(url).json(&messages("x")).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "7");
    let answer = Answer::read(response).await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (529, &json!("overloaded_error")));
    let answer = post(&fake, "/v1/chat/completions", &chat("[[script:error-401]]")).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("invalid_api_key")));
}

#[tokio::test]
async fn each_fault_breaks_the_stream_in_its_own_way() {
    let fake = FakeProvider::start();
    let url = format!("{}/v1/chat/completions", fake.root_url());
    let read = async |name: &str| {
        let call = http::client().post(&url).json(&chat(&format!("[[script:{name}]]"))).timeout(Duration::from_secs(1));
        match call.send().await {
            Ok(response) => response.text().await.map_err(|error| error.is_timeout()),
            Err(error) => Err(error.is_timeout()),
        }
    };
    assert_eq!(read("hang-head").await, Err(true));
    assert_eq!(read("hang-mid").await, Err(true));
    assert_eq!(read("drop").await, Err(false));
    let malformed = read("malformed").await.unwrap();
    assert!(malformed.contains("Hello") && malformed.ends_with("{\"delta\":\n\n"), "{malformed}");
    let unfinished = read("no-finish").await.unwrap();
    assert!(unfinished.contains("provider") && !unfinished.contains("[DONE]"), "{unfinished}");
    assert!(!unfinished.contains("\"finish_reason\":\"stop\""), "{unfinished}");
    assert!(read("error-event").await.unwrap().contains("server_error"));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_any_more_is_recorded_as_dropped() {
    let fake = FakeProvider::start();
    let url = format!("{}/v1/chat/completions", fake.root_url());
    let call = http::client().post(url).json(&chat("[[script:hang-mid]]")).timeout(Duration::from_millis(300));
    assert!(call.send().await.unwrap().text().await.is_err());
    fake.wait_for_outcome("hang-mid", Outcome::Dropped, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_split_stream_cuts_characters_and_loses_nothing() {
    let fake = FakeProvider::start();
    let answer = post(&fake, "/v1/messages", &messages("[[script:utf8]]")).await;
    let text: String = events(&answer).iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "Grüße 🦞🦀 終わり");
    fake.push(Script { fault: Some(Fault::NoFinish), ..Script::default() });
    assert!(!post(&fake, "/v1/messages", &messages("x")).await.text.contains("message_stop"));
}

#[tokio::test]
async fn the_model_list_names_the_configured_models() {
    let fake = FakeProvider::start();
    let answer = http::client().get(format!("{}/models", fake.base_url())).send().await.unwrap();
    assert_eq!(Answer::read(answer).await.json()["data"][0]["id"], "fake-1");
}
