//! Recorded answers through the decoder, and the whole wire against a server on this machine.

use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::decoder::REDACTED;
use super::*;
use crate::model::error::FailureClass;
use crate::model::fake_server::{Answer, FakeServer};
use crate::model::message::{AssistantMessage, Message, Part, StopReason, ToolCall};
use crate::model::provider::Delta;
use crate::model::samples::{check_any_split, outcome, replay, request, target, thinking, user};

const TEXT: &str = include_str!("../golden/anthropic_messages/text.sse");
const TWO_CALLS: &str = include_str!("../golden/anthropic_messages/two_calls.sse");
const REASONING: &str = include_str!("../golden/anthropic_messages/reasoning.sse");
const LENGTH: &str = include_str!("../golden/anthropic_messages/length.sse");
const NO_STOP_EVENT: &str = include_str!("../golden/anthropic_messages/no_stop_event.sse");
const REFUSAL: &str = include_str!("../golden/anthropic_messages/refusal.sse");
const ERROR: &str = include_str!("../golden/anthropic_messages/error.sse");
const TRUNCATED: &str = include_str!("../golden/anthropic_messages/truncated.sse");

fn decoder() -> MessagesDecoder {
    MessagesDecoder::new(&target(API))
}

fn whole(recording: &str) -> AssistantMessage {
    outcome(decoder(), recording).unwrap()
}

#[test]
fn text_arrives_in_pieces_and_whole() {
    let deltas = replay(decoder(), vec![TEXT.into()]);
    assert_eq!(deltas[..2], [Ok(Delta::Text("Grüße, ".into())), Ok(Delta::Text("Welt 👋".into()))]);
    assert_eq!(deltas.len(), 3);
    let message = whole(TEXT);
    assert_eq!(message.content, [Part::text("Grüße, Welt 👋")]);
    assert_eq!((message.stop_reason, message.response_id.as_deref()), (StopReason::Stop, Some("msg_1")));
}

#[test]
fn both_directions_of_the_cache_are_counted() {
    let usage = whole(TEXT).usage;
    assert_eq!((usage.input, usage.cache_read, usage.cache_write, usage.output), (20, 100, 7, 9));
    assert_eq!((usage.prompt_tokens(), usage.total_tokens), (127, 136));
}

#[test]
fn text_and_calls_keep_their_order() {
    let call = |id: &str, name: &str, arguments: Value| {
        Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments })
    };
    let message = whole(TWO_CALLS);
    assert_eq!(
        message.content,
        [
            Part::text("Two at once."),
            call("toolu_A", "exec", json!({"command": "ls"})),
            call("toolu_B", "read", json!({"path": "a.txt"})),
        ]
    );
    assert_eq!(message.stop_reason, StopReason::ToolUse);
}

#[test]
fn reasoning_comes_back_with_its_signature() {
    let message = whole(REASONING);
    assert_eq!(
        message.content,
        [thinking("Let me see.", "sig=="), thinking("", &format!("{REDACTED}blob==")), Part::text("42")]
    );
    let messages = [user("x"), Message::Assistant(message), user("y")];
    assert_eq!(
        body(&target(API), &request(&messages, &[]))["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "Let me see.", "signature": "sig=="},
            {"type": "redacted_thinking", "data": "blob=="},
            {"type": "text", "text": "42"},
        ])
    );
}

#[test]
fn an_answer_ends_by_its_stop_reason() {
    assert_eq!(whole(LENGTH).stop_reason, StopReason::Length);
    assert_eq!(whole(NO_STOP_EVENT).stop_reason, StopReason::Stop);
    let refused = whole(REFUSAL);
    assert_eq!((refused.stop_reason, refused.error_message.is_some()), (StopReason::Error, true));
    assert_eq!(outcome(decoder(), TRUNCATED), Err(ModelError::Interrupted));
    let error = outcome(decoder(), ERROR).unwrap_err();
    assert_eq!(error, ModelError::InStream { kind: "overloaded_error".into(), message: "Overloaded".into() });
    assert_eq!(error.class(), FailureClass::Overloaded);
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
    target.base_url = server.url.clone();
    target.idle = idle;
    let messages = [user("hi")];
    let provider = Messages::new(HttpClients::default());
    let stream = provider.stream(&target, request(&messages, &[])).await?;
    Ok(stream.collect().await)
}

#[tokio::test]
async fn the_wire_works_over_a_socket() {
    let server = FakeServer::start(Answer::events(TWO_CALLS, 50)).await;
    let deltas = ask(&server, Duration::from_secs(10)).await.unwrap();
    assert_eq!(deltas, replay(decoder(), vec![TWO_CALLS.into()]));
    let request = &server.requests().await[0];
    assert!(request.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-api-key: key-123\r\n") && request.contains("anthropic-version: 2023-06-01\r\n"));
}

#[tokio::test]
async fn refusal_and_silence_are_told_apart() {
    let server = FakeServer::start(Answer::with_headers(429, "retry-after: 3\r\n", "{}")).await;
    let refused = ask(&server, Duration::from_secs(10)).await.unwrap_err();
    assert_eq!((refused.class(), refused.retry_after()), (FailureClass::RateLimit, Some(Duration::from_secs(3))));
    let idle = Duration::from_millis(100);
    let server = FakeServer::start(Answer::silence()).await;
    assert_eq!(ask(&server, idle).await, Err(ModelError::Idle(idle)));
}

#[test]
fn the_version_is_in_the_path_once() {
    assert_eq!(path("https://api.anthropic.com"), "/v1/messages");
    assert_eq!(path("https://acme.dev/anthropic/v1/"), "/messages");
}
