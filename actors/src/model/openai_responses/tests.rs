//! Recorded answers through the decoder, and the whole wire against a server on this machine.

use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::error::FailureClass;
use crate::model::fake_server::{Answer, FakeServer};
use crate::model::message::{AssistantMessage, Message, Part, StopReason, ToolCall};
use crate::model::provider::Delta;
use crate::model::samples::{check_any_split, outcome, replay, request, target, user};

const TEXT: &str = include_str!("../golden/openai_responses/text.sse");
const TWO_CALLS: &str = include_str!("../golden/openai_responses/two_calls.sse");
const REASONING: &str = include_str!("../golden/openai_responses/reasoning.sse");
const LENGTH: &str = include_str!("../golden/openai_responses/length.sse");
const WHOLE_ITEMS: &str = include_str!("../golden/openai_responses/whole_items.sse");
const FAILED: &str = include_str!("../golden/openai_responses/failed.sse");
const ERROR: &str = include_str!("../golden/openai_responses/error.sse");
const TRUNCATED: &str = include_str!("../golden/openai_responses/truncated.sse");

fn decoder() -> ResponsesDecoder {
    ResponsesDecoder::new(&target(API))
}

fn whole(recording: &str) -> AssistantMessage {
    outcome(decoder(), recording).unwrap()
}

fn text(text: &str) -> Result<Delta, ModelError> {
    Ok(Delta::Text(text.into()))
}

#[test]
fn text_arrives_in_pieces_and_whole() {
    let deltas = replay(decoder(), vec![TEXT.into()]);
    assert_eq!(deltas[..2], [text("Grüße, "), text("Welt 👋")]);
    assert_eq!(deltas.len(), 3);
    let message = whole(TEXT);
    assert_eq!(message.content, [Part::text("Grüße, Welt 👋")]);
    assert_eq!((message.stop_reason, message.response_id.as_deref()), (StopReason::Stop, Some("resp_1")));
    let usage = message.usage;
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.total_tokens), (20, 100, 9, 129));
}

#[test]
fn an_item_without_deltas_is_shown_at_its_end() {
    assert_eq!(replay(decoder(), vec![WHOLE_ITEMS.into()])[0], text("all at once"));
    assert_eq!(whole(WHOLE_ITEMS).content, [Part::text("all at once")]);
}

#[test]
fn interleaved_calls_keep_both_their_ids() {
    let message = whole(TWO_CALLS);
    let call = |id: &str, name: &str, arguments: Value| {
        Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments })
    };
    assert_eq!(
        message.content,
        [call("call_A|fc_A", "exec", json!({"command": "ls"})), call("call_B|fc_B", "read", json!({"path": "a.txt"})),]
    );
    assert_eq!(message.stop_reason, StopReason::ToolUse);
}

#[test]
fn reasoning_comes_back_as_the_item_that_the_server_gave() {
    let deltas = replay(decoder(), vec![REASONING.into()]);
    let shown: String = deltas
        .iter()
        .filter_map(|d| if let Ok(Delta::Thinking(text)) = d { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(shown, "First.\n\nSecond.");
    let message = whole(REASONING);
    let Part::Thinking { thinking, .. } = &message.content[0] else { panic!("{message:?}") };
    assert_eq!(thinking, "First.\n\nSecond.");
    let messages = [user("x"), Message::Assistant(message), user("y")];
    let sent = body(&target(API), &request(&messages, &[]));
    assert_eq!(
        sent["input"][1],
        json!({
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Second."}],
            "id": "rs_1",
            "encrypted_content": "opaque==",
        })
    );
    assert_eq!(sent["input"][2]["content"][0]["text"], "42");
}

#[test]
fn an_answer_ends_by_its_last_event() {
    assert_eq!(whole(LENGTH).stop_reason, StopReason::Length);
    assert_eq!(outcome(decoder(), TRUNCATED), Err(ModelError::Interrupted));
    let failed = outcome(decoder(), FAILED).unwrap_err();
    assert_eq!(failed, ModelError::InStream { kind: "server_error".into(), message: "try again".into() });
    let error = outcome(decoder(), ERROR).unwrap_err();
    assert_eq!(error, ModelError::InStream { kind: "rate_limit_exceeded".into(), message: "slow down".into() });
    assert_eq!(error.class(), FailureClass::RateLimit);
}

proptest! {
    #[test]
    fn the_cuts_of_the_network_do_not_show(
        which in prop::sample::select(vec![TEXT, TWO_CALLS, REASONING, FAILED, TRUNCATED]),
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
    let provider = Responses::new(HttpClients::default());
    let stream = provider.stream(&target, request(&messages, &[])).await?;
    Ok(stream.collect().await)
}

#[tokio::test]
async fn the_wire_works_over_a_socket() {
    let server = FakeServer::start(Answer::events(REASONING, 50)).await;
    let deltas = ask(&server, Duration::from_secs(10)).await.unwrap();
    assert_eq!(deltas, replay(decoder(), vec![REASONING.into()]));
    assert!(server.requests().await[0].starts_with("POST /v1/responses HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_last_event_ends_the_answer_even_if_the_connection_stays_open() {
    let server = FakeServer::start(Answer::events(TEXT, 4096).then_hanging()).await;
    let deltas = ask(&server, Duration::from_secs(600)).await.unwrap();
    assert_eq!(deltas.len(), 3);
}

#[tokio::test]
async fn refusal_and_silence_are_told_apart() {
    let server = FakeServer::start(Answer::with_headers(429, "retry-after-ms: 1500\r\n", "{}")).await;
    let refused = ask(&server, Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(1_500)));
    let idle = Duration::from_millis(100);
    let server = FakeServer::start(Answer::silence()).await;
    assert_eq!(ask(&server, idle).await, Err(ModelError::Idle(idle)));
}
