//! What was asked and how each answer ended, so that a test can look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::Serialize;
use serde_json::{Map, Value};

/// How far an answer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Still being sent, or hanging as scripted.
    Open,
    /// Sent to its scripted end.
    Done,
    /// The client went away before that.
    Dropped,
}

/// One recorded request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Counts from 1.
    pub number: u64,
    /// `openai-completions`, `openai-responses` or `anthropic-messages`.
    pub wire: &'static str,
    /// Header names in lower case.
    pub headers: Map<String, Value>,
    pub body: Value,
    /// The last text of the last user message.
    pub user_text: String,
    pub outcome: Outcome,
}

/// A recorded request together with the cell in which its outcome is kept.
pub struct Entry {
    request: Request,
    outcome: Arc<AtomicU8>,
}

impl Entry {
    pub fn new(request: Request) -> (Self, Answering) {
        let outcome = Arc::new(AtomicU8::new(OPEN));
        (Self { request, outcome: outcome.clone() }, Answering { outcome })
    }

    pub fn look(&self) -> Request {
        Request { outcome: self.outcome(), ..self.request.clone() }
    }

    pub fn outcome(&self) -> Outcome {
        match self.outcome.load(Ordering::SeqCst) {
            OPEN => Outcome::Open,
            DONE => Outcome::Done,
            _ => Outcome::Dropped,
        }
    }
}

const OPEN: u8 = 0;
const DONE: u8 = 1;
const DROPPED: u8 = 2;

/// Held while an answer is being sent; dropped before `done`, the client went away.
pub struct Answering {
    outcome: Arc<AtomicU8>,
}

impl Answering {
    pub fn done(&self) {
        self.outcome.store(DONE, Ordering::SeqCst);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // only an open answer can be dropped: a finished one stays done
        let _ = self.outcome.compare_exchange(OPEN, DROPPED, Ordering::SeqCst, Ordering::SeqCst);
    }
}
