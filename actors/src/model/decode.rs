//! Drives a wire's decoder with the bytes of an answer: idle deadline, events, deltas, the end.
//!
//! Invariant: the stream of deltas ends with exactly one `Done` or exactly one error, and reads nothing after it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use serde_json::Value;

use super::error::ModelError;
use super::message::AssistantMessage;
use super::provider::Delta;
use super::sse::Parser;

/// The state of one answer on one wire. Pure: no clock, no I/O.
pub trait Decoder: Send + 'static {
    /// Takes the JSON of one event. Unknown kinds and fields are ignored.
    fn feed(&mut self, event: &Value) -> Result<Vec<Delta>, ModelError>;

    /// Has the wire's last event come? What the server sends after it is not read.
    fn is_complete(&self) -> bool;

    /// The whole answer. `ModelError::Interrupted` if the server never said why it stopped.
    fn finish(&mut self) -> Result<AssistantMessage, ModelError>;
}

/// Ends the event stream on the OpenAI wires; optional there.
const DONE: &str = "[DONE]";

/// The deltas of an answer. `idle`: longest silence, measured on bytes, so that keep-alive comments count as life.
pub fn decode<D: Decoder>(
    bytes: BoxStream<'static, Result<Bytes, ModelError>>,
    decoder: D,
    idle: Duration,
) -> impl Stream<Item = Result<Delta, ModelError>> + Send + 'static {
    let state = Driver { bytes, decoder, idle, parser: Parser::default(), ready: VecDeque::new(), ended: false };
    stream::unfold(state, |mut driver| async move { driver.next().await.map(|item| (item, driver)) })
}

struct Driver<D> {
    bytes: BoxStream<'static, Result<Bytes, ModelError>>,
    decoder: D,
    idle: Duration,
    parser: Parser,
    ready: VecDeque<Delta>,
    ended: bool,
}

impl<D: Decoder> Driver<D> {
    async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some(Ok(delta));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    /// Decodes one event, or else reads one chunk.
    async fn advance(&mut self) -> Result<(), ModelError> {
        match self.parser.next_event() {
            Some(data) if data.trim() == DONE => self.end(None),
            Some(data) => self.feed(&data),
            None => match tokio::time::timeout(self.idle, self.bytes.next()).await {
                Ok(Some(Ok(chunk))) => self.parser.push(&chunk),
                Ok(Some(Err(error))) => self.end(Some(error)),
                Ok(None) => self.end(None),
                Err(_) => self.end(Some(ModelError::Idle(self.idle))),
            },
        }
    }

    fn feed(&mut self, data: &str) -> Result<(), ModelError> {
        if data.trim().is_empty() {
            return Ok(());
        }
        // the text itself stays out of the error: it may be anything, and any length
        let event =
            serde_json::from_str(data).map_err(|error| ModelError::Malformed(format!("event data: {error}")))?;
        self.ready.extend(self.decoder.feed(&event)?);
        if self.decoder.is_complete() { self.end(None) } else { Ok(()) }
    }

    /// An answer whose stop reason has come is whole, however the connection ended after it.
    fn end(&mut self, cause: Option<ModelError>) -> Result<(), ModelError> {
        let message = self.decoder.finish().map_err(|error| cause.unwrap_or(error))?;
        self.ended = true;
        self.ready.push_back(Delta::Done(Box::new(message)));
        Ok(())
    }
}

/// The failure in an event that carries an `error` object or text, whatever the wire calls its fields.
pub fn error_of(error: &Value) -> ModelError {
    let word = |key: &str| match &error[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let kind = word("type").or_else(|| word("code")).or_else(|| word("status")).unwrap_or_default();
    let message = word("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| {
        if kind.is_empty() { "the server reported an error without a text".to_owned() } else { kind.clone() }
    });
    // a code says more than a type such as `invalid_request_error`, and both decide the class
    let kind = match word("code") {
        Some(code) if code != kind => format!("{kind} {code}").trim().to_owned(),
        _ => kind,
    };
    ModelError::InStream { kind, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Text events until `{"stop": true}`, complete at `{"last": true}`.
    #[derive(Default)]
    struct Plain {
        stopped: bool,
        last: bool,
    }

    impl Decoder for Plain {
        fn feed(&mut self, event: &Value) -> Result<Vec<Delta>, ModelError> {
            self.stopped |= event["stop"] == true;
            self.last |= event["last"] == true;
            Ok(event["text"].as_str().map(|text| Delta::Text(text.into())).into_iter().collect())
        }

        fn is_complete(&self) -> bool {
            self.last
        }

        fn finish(&mut self) -> Result<AssistantMessage, ModelError> {
            if self.stopped { Ok(AssistantMessage::default()) } else { Err(ModelError::Interrupted) }
        }
    }

    /// `None` in the input is a silence without end.
    async fn run(chunks: Vec<Option<&'static str>>) -> Vec<Result<Delta, ModelError>> {
        let bytes = stream::iter(chunks).then(|chunk| async move {
            match chunk {
                Some("!") => Err(ModelError::Network("reset".into())),
                Some(text) => Ok(Bytes::from(text)),
                None => std::future::pending().await,
            }
        });
        decode(bytes.boxed(), Plain::default(), Duration::from_secs(120)).collect().await
    }

    fn done() -> Result<Delta, ModelError> {
        Ok(Delta::Done(Box::default()))
    }

    fn text(text: &str) -> Result<Delta, ModelError> {
        Ok(Delta::Text(text.into()))
    }

    const HI: &str = "data: {\"text\":\"hi\"}\n\n";
    const STOP: &str = "data: {\"stop\":true}\n\n";
    const LAST: &str = "data: {\"stop\":true,\"last\":true}\n\n";

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_once_however_the_connection_ends() {
        let idle = ModelError::Idle(Duration::from_secs(120));
        for (chunks, expected) in [
            (vec![Some(HI), Some(STOP)], vec![text("hi"), done()]),
            (vec![Some(HI), Some(STOP), Some("data: [DONE]\n\n"), Some(HI)], vec![text("hi"), done()]),
            (vec![Some(HI), Some(LAST), None], vec![text("hi"), done()]),
            (vec![Some(HI), Some(STOP), None], vec![text("hi"), done()]),
            (vec![Some(HI), Some(STOP), Some("!")], vec![text("hi"), done()]),
            (vec![Some(HI)], vec![text("hi"), Err(ModelError::Interrupted)]),
            (vec![Some(HI), Some("data: [DONE]\n\n")], vec![text("hi"), Err(ModelError::Interrupted)]),
            (vec![Some(HI), None], vec![text("hi"), Err(idle)]),
            (vec![Some(HI), Some("!")], vec![text("hi"), Err(ModelError::Network("reset".into()))]),
            (vec![Some(": alive\n\n"), Some("data: \n\n"), Some(LAST)], vec![done()]),
        ] {
            assert_eq!(run(chunks.clone()).await, expected, "{chunks:?}");
        }
    }

    #[tokio::test]
    async fn data_that_is_not_json_is_malformed() {
        let deltas = run(vec![Some("data: {\"text\":\n\n"), Some(LAST)]).await;
        assert!(matches!(deltas.as_slice(), [Err(ModelError::Malformed(_))]), "{deltas:?}");
    }

    #[test]
    fn an_error_object_keeps_its_words() {
        for (error, kind, message) in [
            (json!({"type": "overloaded_error", "message": "Overloaded"}), "overloaded_error", "Overloaded"),
            (json!({"code": 502, "message": "bad"}), "502", "bad"),
            (json!({"type": "a", "code": "b", "message": "c"}), "a b", "c"),
            (json!("plain"), "", "plain"),
            (json!({"code": "x"}), "x", "x"),
            (json!({}), "", "the server reported an error without a text"),
        ] {
            assert_eq!(error_of(&error), ModelError::InStream { kind: kind.into(), message: message.into() });
        }
    }
}
