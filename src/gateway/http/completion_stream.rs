//! A chat completion as a stream of chunks: the role, texts as they come, the end.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures::stream;
use openclaw_actors::run::directory::Ticket;
use openclaw_actors::run::message::EndedRun;
use serde_json::{Value, json};

use super::chat_completions::{Head, NOTHING_SAID, said, usage};
use super::live_run::{Heard, LiveRun};
use super::sse;

/// What a failed run says; its cause goes to the log only.
const FAILED: &str = "Error: internal error";

/// The answer that follows a run to its end. When the client goes away, the stream is dropped and with it the run.
pub fn response(run: LiveRun, ticket: Ticket, head: Head, include_usage: bool) -> Response<Body> {
    let first = sse::event(&chunk(&head, &json!({ "role": "assistant" }), None));
    let chunks = Chunks {
        run,
        ticket,
        head,
        include_usage,
        shown: String::new(),
        heard: String::new(),
        ready: VecDeque::from([first]),
        over: false,
    };
    sse::response(stream::unfold(chunks, |mut chunks| async { chunks.next().await.map(|bytes| (bytes, chunks)) }))
}

struct Chunks {
    run: LiveRun,
    ticket: Ticket,
    head: Head,
    include_usage: bool,
    /// Everything that the client was sent.
    shown: String,
    /// The whole text as the run told it last.
    heard: String,
    ready: VecDeque<Bytes>,
    over: bool,
}

impl Chunks {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.over {
                return None;
            }
            match self.run.next(&self.ticket).await {
                Ok(Heard::Text(all)) => self.show(&all),
                Ok(Heard::Ended(ended)) => self.finish(&ended).await,
                Err(error) => {
                    tracing::error!(error = %error.message, "the run of an HTTP stream was lost");
                    self.fail();
                }
            }
        }
    }

    /// Sends what is new in the whole text so far.
    fn show(&mut self, all: &str) {
        let new = news(&self.heard, all);
        all.clone_into(&mut self.heard);
        self.say(new);
    }

    async fn finish(&mut self, ended: &EndedRun) {
        let (rest, missed) = self.run.rest().await;
        if let Some(all) = rest {
            self.show(&all);
        }
        let Some(answer) = said(ended) else { return self.fail() };
        if self.shown.is_empty() {
            self.say(if answer.is_empty() { NOTHING_SAID } else { answer }.to_owned());
        } else if missed {
            self.say(missing(&self.shown, answer).to_owned());
        }
        self.push(&chunk(&self.head, &json!({}), Some("stop")));
        if self.include_usage {
            let mut last = chunk(&self.head, &json!({}), None);
            last["choices"] = json!([]);
            last["usage"] = usage(&ended.facts.usage);
            self.push(&last);
        }
        self.ready.push_back(sse::DONE);
        self.over = true;
    }

    fn fail(&mut self) {
        self.push(&chunk(&self.head, &json!({ "content": FAILED }), Some("stop")));
        self.ready.push_back(sse::DONE);
        self.over = true;
    }

    fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.push(&chunk(&self.head, &json!({ "content": text }), None));
            self.shown.push_str(&text);
        }
    }

    fn push(&mut self, data: &Value) {
        self.ready.push_back(sse::event(data));
    }
}

fn chunk(head: &Head, delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
    })
}

/// What `all` says beyond what was heard before.
///
/// Nothing that was sent can be taken back: a text that begins anew, after a model failed, follows as a new paragraph.
fn news(heard: &str, all: &str) -> String {
    all.strip_prefix(heard).map_or_else(|| format!("\n\n{all}"), str::to_owned)
}

/// The part of `answer` that does not end `shown` yet.
fn missing<'a>(shown: &str, answer: &'a str) -> &'a str {
    let ends = answer.char_indices().map(|(at, _)| at).chain([answer.len()]);
    let longest = ends.rev().find(|end| shown.ends_with(&answer[..*end])).unwrap_or(0);
    &answer[longest..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_the_recorded_one() {
        let head = Head { id: "chatcmpl_1".into(), created: 5, model: "openclaw/default".into() };
        assert_eq!(
            chunk(&head, &json!({"role": "assistant"}), None).to_string(),
            r#"{"id":"chatcmpl_1","object":"chat.completion.chunk","created":5,"model":"openclaw/default","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}"#
        );
    }

    #[test]
    fn only_what_is_new_is_sent() {
        for (heard, all, expected) in [
            ("", "Hel", "Hel"),
            ("Hel", "Hello", "lo"),
            ("Hello", "Hello", ""),
            ("Half an ans", "Another", "\n\nAnother"),
        ] {
            assert_eq!(news(heard, all), expected, "{heard:?} {all:?}");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_without_repeating() {
        for (shown, answer, expected) in [
            ("Checking.\n\nHel", "Hello", "lo"),
            ("Checking.\n\nHello", "Hello", ""),
            ("Checking.", "Hello", "Hello"),
            ("", "é", "é"),
        ] {
            assert_eq!(missing(shown, answer), expected, "{shown:?} {answer:?}");
        }
    }
}
