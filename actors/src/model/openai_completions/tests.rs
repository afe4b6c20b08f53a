//! Recorded answers through the decoder, and the whole wire against a server on this machine.

use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::error::FailureClass;
use crate::model::fake_server::{Answer, FakeServer};
use crate::model::message::{AssistantMessage, Part, StopReason, ToolCall};
use crate::model::provider::Delta;
use crate::model::samples::{check_any_split, outcome, replay, request, target, thinking, user};

const TEXT: &str = include_str!("../golden/openai_completions/text.sse");
const TWO_CALLS: &str = include_str!("../golden/openai_completions/two_calls.sse");
const REASONING: &str = include_str!("../golden/openai_completions/reasoning.sse");
const NO_DONE: &str = include_str!("../golden/openai_completions/no_done.sse");
const CALLS_WITHOUT_INDEX: &str = include_str!("../golden/openai_completions/calls_without_index.sse");
const CALLS_ALL_ZERO: &str = include_str!("../golden/openai_completions/calls_all_zero.sse");
const CALLS_WITHOUT_ID: &str = include_str!("../golden/openai_completions/calls_without_id.sse");
const CONTENT_LIST: &str = include_str!("../golden/openai_completions/content_list.sse");
const ERROR: &str = include_str!("../golden/openai_completions/error.sse");
const TRUNCATED: &str = include_str!("../golden/openai_completions/truncated.sse");
const FILTERED: &str = include_str!("../golden/openai_completions/filtered.sse");

fn decoder() -> CompletionsDecoder {
    CompletionsDecoder::new(&target(API))
}

fn whole(recording: &str) -> AssistantMessage {
    outcome(decoder(), recording).unwrap()
}

fn call(id: &str, name: &str, arguments: serde_json::Value) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments })
}

#[test]
fn text_arrives_in_pieces_and_whole() {
    let deltas = replay(decoder(), vec![TEXT.into()]);
    assert_eq!(deltas[..2], [Ok(Delta::Text("Grüße, ".into())), Ok(Delta::Text("Welt 👋".into()))]);
    assert_eq!(deltas.len(), 3);
    let message = whole(TEXT);
    assert_eq!(message.content, [Part::text("Grüße, Welt 👋")]);
    assert_eq!((message.api.as_str(), message.provider.as_str(), message.model.as_str()), (API, "acme", "m-1"));
    assert_eq!((message.stop_reason, message.response_id.as_deref()), (StopReason::Stop, Some("chatcmpl-7")));
}

#[test]
fn cached_tokens_are_taken_out_of_the_input() {
    let usage = whole(TEXT).usage;
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.total_tokens), (20, 100, 9, 129));
    // prices of the sample target: 1 in, 2 out, 0.5 cached, per million
    assert!((usage.cost.total - (20.0 + 50.0 + 18.0) / 1e6).abs() < 1e-12);
    let usage = whole(REASONING).usage;
    assert_eq!((usage.input, usage.cache_read, usage.output), (6, 4, 20), "another name for cached tokens");
}

#[test]
fn parallel_calls_are_put_together_by_index() {
    let deltas = replay(decoder(), vec![TWO_CALLS.into()]);
    let started = |id: &str, name: &str| Ok(Delta::ToolCallStarted { id: id.into(), name: name.into() });
    assert_eq!(deltas[..2], [started("call_A", "exec"), started("call_B", "read")]);
    let message = whole(TWO_CALLS);
    assert_eq!(
        message.content,
        [call("call_A", "exec", json!({"command": "ls"})), call("call_B", "read", json!({"path": "a.txt"}))]
    );
    assert_eq!(message.stop_reason, StopReason::ToolUse);
}

#[test]
fn calls_are_told_apart_whatever_the_server_leaves_out() {
    let both = [call("a1", "exec", json!({"command": "ls"})), call("a2", "exec", json!({"command": "pwd"}))];
    assert_eq!(whole(CALLS_WITHOUT_INDEX).content, both);
    assert_eq!(whole(CALLS_WITHOUT_INDEX).stop_reason, StopReason::ToolUse, "although the server said stop");
    assert_eq!(whole(CALLS_ALL_ZERO).content, both);
    assert_eq!(
        whole(CALLS_WITHOUT_ID).content,
        [call("call_chatcmpl-7_0", "exec", json!({})), call("call_chatcmpl-7_1", "exec", json!("not json"))]
    );
}

#[test]
fn reasoning_is_kept_apart_with_the_name_of_its_field() {
    assert_eq!(whole(REASONING).content, [thinking("Let me see.", "reasoning_content"), Part::text("42")]);
    assert_eq!(whole(CONTENT_LIST).content, [thinking("hm", "content"), Part::text("yes")]);
}

#[test]
fn an_answer_ends_by_its_finish_reason() {
    assert_eq!(whole(NO_DONE).stop_reason, StopReason::Length, "without [DONE]");
    let filtered = whole(FILTERED);
    assert_eq!((filtered.stop_reason, filtered.content.len()), (StopReason::Error, 0));
    assert!(filtered.error_message.unwrap().contains("content_filter"));
    assert_eq!(outcome(decoder(), TRUNCATED), Err(ModelError::Interrupted));
    assert_eq!(outcome(decoder(), ""), Err(ModelError::Interrupted));
    let error = outcome(decoder(), ERROR).unwrap_err();
    assert_eq!(error, ModelError::InStream { kind: "502".into(), message: "upstream went away".into() });
    assert_eq!(error.class(), FailureClass::Transient);
}

proptest! {
    #[test]
    fn the_cuts_of_the_network_do_not_show(
        which in prop::sample::select(vec![TEXT, TWO_CALLS, REASONING, ERROR, TRUNCATED]),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        check_any_split(decoder, which, &cuts);
    }
}

async fn ask(server: &FakeServer, idle: Duration) -> Result<Vec<Result<Delta, ModelError>>, ModelError> {
    let mut target = target(API);
    target.base_url = format!("{}/v1", server.url);
    target.idle = idle;
    let messages = [user("hi")];
    let provider = Completions::new(HttpClients::default());
    let stream = provider.stream(&target, request(&messages, &[])).await?;
    Ok(stream.collect().await)
}

#[tokio::test]
async fn a_chunked_answer_is_read_from_a_socket() {
    let server = FakeServer::start(Answer::events(TEXT, 50)).await;
    let deltas = ask(&server, Duration::from_secs(10)).await.unwrap();
    assert_eq!(deltas, replay(decoder(), vec![TEXT.into()]));
    let request = &server.requests().await[0];
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer key-123\r\n"));
    assert!(request.contains(concat!("user-agent: openclaw/", env!("CARGO_PKG_VERSION"), "\r\n")));
    assert!(request.contains("\r\n\r\n{\"model\":\"m-1\""));
}

#[tokio::test]
async fn a_refusal_keeps_status_text_and_the_wish_of_the_server() {
    let body = format!("slow down, key-123{}", " x".repeat(10_000));
    let server = FakeServer::start(Answer::with_headers(429, "retry-after: 7\r\n", &body)).await;
    let Err(ModelError::Status { status, body, retry_after }) = ask(&server, Duration::from_secs(10)).await else {
        panic!("not refused")
    };
    assert_eq!((status, retry_after), (429, Some(Duration::from_secs(7))));
    assert!(body.starts_with("slow down, ***") && body.len() <= 4096, "{}", body.len());
}

#[tokio::test]
async fn silence_before_and_within_an_answer_ends_it() {
    let idle = Duration::from_millis(100);
    let server = FakeServer::start(Answer::silence()).await;
    assert_eq!(ask(&server, idle).await, Err(ModelError::Idle(idle)));
    let idle = Duration::from_secs(1);
    let begun: String = TEXT.split_inclusive("\n\n").take(3).collect();
    let server = FakeServer::start(Answer::events(&begun, 4096).then_hanging()).await;
    let deltas = ask(&server, idle).await.unwrap();
    assert_eq!(deltas, [Ok(Delta::Text("Grüße, ".into())), Err(ModelError::Idle(idle))]);
}

#[tokio::test]
async fn a_broken_connection_is_a_network_failure() {
    let begun: String = TEXT.split_inclusive("\n\n").take(3).collect();
    let server = FakeServer::start(Answer::events(&begun, 4096).cut_off()).await;
    let deltas = ask(&server, Duration::from_secs(10)).await.unwrap();
    assert!(matches!(deltas.last(), Some(Err(ModelError::Network(_)))), "{deltas:?}");
    let mut nobody = target(API);
    nobody.base_url = "http://127.0.0.1:1/secret-path".into();
    let messages = [user("hi")];
    let failed = Completions::new(HttpClients::default()).stream(&nobody, request(&messages, &[])).await.err().unwrap();
    assert!(matches!(failed, ModelError::Network(_)) && !failed.to_string().contains("secret-path"), "{failed}");
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed() {
    let other = FakeServer::start(Answer::events(TEXT, 4096)).await;
    let location = format!("location: {}/v1/chat/completions\r\n", other.url);
    let server = FakeServer::start(Answer::with_headers(307, &location, "")).await;
    let failed = ask(&server, Duration::from_secs(10)).await.unwrap_err();
    assert!(matches!(failed, ModelError::Status { status: 307, .. }), "{failed:?}");
    assert!(other.requests().await.is_empty());
}
