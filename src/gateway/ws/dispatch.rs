//! From the text of a frame to a running method.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;
use openclaw_actors::events::Outbox;
use openclaw_actors::protocol::{ErrorShape, RequestFrame};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::client::ClientFacts;
use crate::gateway::rpc::{self, Call, Responder};
use crate::gateway::services::Services;

/// Requests of one connection that may wait for their first answer.
const UNANSWERED_MAX: usize = 32;
/// Calls of the wrong role in a row after which the connection ends.
const WRONG_ROLE_MAX: u32 = 10;
/// When an overloaded connection may try again, milliseconds.
const RETRY_AFTER_MS: u64 = 250;

/// The requests of one connection.
pub struct Dispatcher {
    services: Arc<Services>,
    client: Arc<ClientFacts>,
    outbox: Outbox,
    places: Arc<Semaphore>,
    wrong_role: AtomicU32,
}

impl Dispatcher {
    pub fn new(services: Arc<Services>, client: Arc<ClientFacts>, outbox: Outbox) -> Self {
        Self {
            services,
            client,
            outbox,
            places: Arc::new(Semaphore::new(UNANSWERED_MAX)),
            wrong_role: AtomicU32::new(0),
        }
    }

    /// Starts what the frame asks for; `None` when it is answered already or is to be ignored.
    pub fn accept(&self, text: &str) -> Option<BoxFuture<'static, ()>> {
        if self.outbox.is_closing() {
            return None; // it has lost its place; what it still sends has no authority
        }
        let request = match parse(text) {
            Ok(request) => request,
            Err(Unreadable::NotJson) => {
                tracing::debug!("a frame that is not JSON was ignored");
                return None;
            }
            Err(Unreadable::BadFrame { id, reason }) => {
                let error = ErrorShape::invalid(format!("invalid request frame: {reason}"));
                Responder::new(&id, self.outbox.clone()).reply(Err(error));
                return None;
            }
        };
        let responder = Responder::new(&request.id, self.outbox.clone());
        match self.admit(&request, &responder) {
            Ok(future) => Some(future),
            Err(error) => {
                responder.reply(Err(error));
                None
            }
        }
    }

    fn admit(&self, request: &RequestFrame, responder: &Responder) -> Result<BoxFuture<'static, ()>, ErrorShape> {
        let method = rpc::find(&request.method)
            .ok_or_else(|| ErrorShape::invalid(format!("unknown method: {}", request.method)))?;
        if let Err(denied) = rpc::check(method.access, self.client.role, &self.client.scopes) {
            if denied.wrong_role && self.wrong_role.fetch_add(1, Ordering::Relaxed) >= WRONG_ROLE_MAX {
                self.outbox.close(1008, "repeated unauthorized calls");
            }
            return Err(denied.error);
        }
        self.wrong_role.store(0, Ordering::Relaxed);
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| ErrorShape::retry_after("too many unanswered requests on this connection", RETRY_AFTER_MS))?;
        let call = Call {
            services: Arc::clone(&self.services),
            client: Arc::clone(&self.client),
            method: method.name,
            params: request.params.clone(),
            responder: responder.clone().holding(place),
        };
        let responder = call.responder.clone();
        let run = (method.run)(call);
        Ok(Box::pin(async move { responder.reply(run.await) }))
    }
}

enum Unreadable {
    NotJson,
    BadFrame { id: String, reason: String },
}

fn parse(text: &str) -> Result<RequestFrame, Unreadable> {
    if let Ok(request) = serde_json::from_str::<RequestFrame>(text) {
        return Ok(request);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    let id = value.get("id").and_then(Value::as_str).unwrap_or("invalid").to_owned();
    Err(Unreadable::BadFrame { id, reason: fault(&value) })
}

fn fault(frame: &Value) -> String {
    let Some(frame) = frame.as_object() else { return "must be object".into() };
    if frame.get("type").and_then(Value::as_str) != Some("req") {
        return "at /type: must be equal to constant".into();
    }
    for key in ["id", "method"] {
        match frame.get(key) {
            None => return format!("must have required property '{key}'"),
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_)) => return format!("at /{key}: must NOT have fewer than 1 characters"),
            Some(_) => return format!("at /{key}: must be string"),
        }
    }
    "malformed".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_request_or_says_what_is_wrong_with_it() {
        assert!(parse(r#"{"type":"req","id":"1","method":"health"}"#).is_ok());
        assert!(parse(r#"{"method":"health","id":"1","future":true,"type":"req","params":{}}"#).is_ok());
        assert!(matches!(parse("{"), Err(Unreadable::NotJson)));
        for (text, id, reason) in [
            (r#"{"type":"req","method":"x"}"#, "invalid", "must have required property 'id'"),
            (r#"{"type":"req","id":"7"}"#, "7", "must have required property 'method'"),
            (r#"{"type":"req","id":"7","method":5}"#, "7", "at /method: must be string"),
            (r#"{"type":"event","id":"7"}"#, "7", "at /type: must be equal to constant"),
            ("[]", "invalid", "must be object"),
        ] {
            match parse(text) {
                Err(Unreadable::BadFrame { id: seen, reason: said }) => {
                    assert_eq!((seen.as_str(), said.as_str()), (id, reason))
                }
                _ => panic!("{text} was not refused"),
            }
        }
    }
}
