//! One call: its parameters, who makes it, and how it is answered.

use std::sync::{Arc, Mutex, PoisonError};

use openclaw_actors::events::Outbox;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::protocol::{ErrorShape, ResponseFrame};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::services::Services;
use crate::gateway::ws::client::ClientFacts;

/// A call that passed the access check.
pub struct Call {
    pub services: Arc<Services>,
    pub client: Arc<ClientFacts>,
    pub method: &'static str,
    pub params: Option<Box<RawValue>>,
    pub responder: Responder,
}

impl Call {
    /// The parameters as the method's type.
    pub fn params<P: Params>(&self) -> Result<P, ErrorShape> {
        params::parse(self.method, self.params.as_deref())
    }
}

/// What a method answers.
pub enum Reply {
    Value(Value),
    /// JSON text that was serialised before, such as the cached `health`.
    Text(Arc<str>),
    /// `ok: false` with both a payload and an error: the final answer of a failed run.
    Failed {
        payload: Value,
        error: ErrorShape,
    },
    /// Everything was said through the responder.
    Said,
}

impl Reply {
    /// An answer from anything that serialises.
    pub fn of(payload: &impl Serialize) -> Result<Self, ErrorShape> {
        serde_json::to_value(payload)
            .map(Self::Value)
            .map_err(|error| ErrorShape::unavailable(format!("answer could not be written: {error}")))
    }
}

/// Sends answers to one request; a method that answers twice keeps it.
#[derive(Clone)]
pub struct Responder {
    id: Arc<str>,
    outbox: Outbox,
    /// The place among the connection's unanswered requests; free after the first answer.
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Responder {
    pub fn new(id: &str, outbox: Outbox) -> Self {
        Self { id: id.into(), outbox, place: Arc::default() }
    }

    /// Holds a place until the first answer.
    pub fn holding(self, place: OwnedSemaphorePermit) -> Self {
        Self { place: Arc::new(Mutex::new(Some(place))), ..self }
    }

    pub fn reply(&self, reply: Result<Reply, ErrorShape>) {
        let frame = match reply {
            Ok(Reply::Value(payload)) => ResponseFrame::ok(&*self.id, payload),
            Ok(Reply::Failed { payload, error }) => {
                ResponseFrame { payload: Some(payload), ..ResponseFrame::err(&*self.id, error) }
            }
            Err(error) => ResponseFrame::err(&*self.id, error),
            Ok(Reply::Text(payload)) => return self.raw(&payload),
            Ok(Reply::Said) => return,
        };
        match serde_json::to_string(&frame) {
            Ok(text) => self.push(text),
            Err(error) => tracing::error!(%error, "an answer could not be serialised"),
        }
    }

    /// An `ok` answer around JSON text.
    fn raw(&self, payload: &str) {
        let id = Value::from(&*self.id).to_string();
        self.push(format!(r#"{{"type":"res","id":{id},"ok":true,"payload":{payload}}}"#));
    }

    fn push(&self, frame: String) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.outbox.push(frame, false); // refused only by an outbox that is closing
    }
}
