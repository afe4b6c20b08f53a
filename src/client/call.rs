//! Calls over an open connection.
//!
//! One call at a time; its answers are matched by id. Events that arrive meanwhile are kept up to a bound. Source: WebSocket protocol of 2026.5.12, frames and runs.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::connect::{self, ConnectOptions};
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::wire::{Answer, Event, Incoming, Wire};

/// Longest wait for an answer unless `set_deadline` says otherwise.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Events that are kept for `next_event`; the oldest go first.
const EVENTS_MAX: usize = 1000;
/// Without any frame for this many ticks the gateway is gone.
const SILENT_TICKS: u32 = 2;

/// An authenticated connection to a gateway.
pub struct Client {
    wire: Wire,
    hello: Value,
    next_id: u64,
    events: VecDeque<Event>,
    events_dropped: u64,
    deadline: Option<Instant>,
    silence_max: Duration,
}

impl Client {
    /// Connects to a gateway and completes the handshake.
    pub async fn connect(endpoint: &Endpoint, options: ConnectOptions<'_>) -> Result<Self, ClientError> {
        let (wire, hello) = connect::handshake(endpoint, &options).await?;
        let tick_ms = hello["policy"]["tickIntervalMs"].as_u64().unwrap_or(30_000).max(1000);
        Ok(Self {
            wire,
            hello,
            next_id: 0,
            events: VecDeque::new(),
            events_dropped: 0,
            deadline: None,
            silence_max: Duration::from_millis(tick_ms) * SILENT_TICKS,
        })
    }

    /// The payload of `hello-ok`.
    pub fn hello(&self) -> &Value {
        &self.hello
    }

    /// Ends every wait from now on at this instant, whatever its own limit; how `--timeout` covers connect and call together.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Events that nobody fetched in time.
    #[cfg(test)]
    pub fn events_dropped(&self) -> u64 {
        self.events_dropped
    }

    /// Calls a method and waits for its first answer: 30 s, or the deadline that was set.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.send(method, &params).await?;
        let answer = self.first_answer(&id, method, &mut |_| false).await?;
        outcome(method, answer)
    }

    /// Calls a method that may answer `accepted` first, and waits for the last answer.
    ///
    /// Every event meanwhile goes to `on_event` and is not kept. The last answer may take as long as it needs, up to the deadline
    /// that was set; a gateway that sends nothing at all for two ticks counts as gone.
    pub async fn call_expect_final(
        &mut self,
        method: &str,
        params: Value,
        mut on_event: impl FnMut(&Event),
    ) -> Result<Value, ClientError> {
        let id = self.send(method, &params).await?;
        let mut take = |event: &Event| {
            on_event(event);
            true
        };
        let mut answer = self.first_answer(&id, method, &mut take).await?;
        let started = Instant::now();
        while is_accepted(&answer) {
            answer = loop {
                let deadline = self.until(self.silence_max);
                match self.read(deadline, &mut take).await? {
                    Read::Answer(answer) if answer.id == id => break answer,
                    Read::Late => return Err(late(method, deadline - started)),
                    Read::Answer(_) | Read::Other => {}
                }
            };
        }
        outcome(method, answer)
    }

    /// The next event, `None` when there is none within `limit`.
    #[cfg(test)]
    pub async fn next_event(&mut self, limit: Duration) -> Result<Option<Event>, ClientError> {
        let deadline = self.until(limit);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Read::Late = self.read(deadline, &mut |_| false).await? {
                return Ok(None);
            }
        }
    }

    /// Ends the connection in good order, within a second.
    pub async fn close(self) {
        self.wire.close().await;
    }

    fn until(&self, limit: Duration) -> Instant {
        let own = Instant::now() + limit;
        self.deadline.map_or(own, |deadline| deadline.min(own))
    }

    async fn send(&mut self, method: &str, params: &Value) -> Result<String, ClientError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.wire.send_request(&id, method, params, self.until(CALL_LIMIT)).await?;
        Ok(id)
    }

    async fn first_answer(
        &mut self,
        id: &str,
        method: &str,
        take_event: &mut impl FnMut(&Event) -> bool,
    ) -> Result<Answer, ClientError> {
        let (started, deadline) = (Instant::now(), self.until(CALL_LIMIT));
        loop {
            match self.read(deadline, take_event).await? {
                Read::Answer(answer) if answer.id == id => return Ok(answer),
                Read::Late => return Err(late(method, deadline - started)),
                // An answer to a call that was given up.
                Read::Answer(_) | Read::Other => {}
            }
        }
    }

    /// Reads one frame; an event that `take_event` does not take is kept.
    async fn read(
        &mut self,
        deadline: Instant,
        take_event: &mut impl FnMut(&Event) -> bool,
    ) -> Result<Read, ClientError> {
        match self.wire.next(deadline).await? {
            None => Ok(Read::Late),
            Some(Incoming::Res(answer)) => Ok(Read::Answer(answer)),
            Some(Incoming::Event(event)) => {
                if !take_event(&event) {
                    self.keep(event);
                }
                Ok(Read::Other)
            }
            Some(Incoming::Unknown) => Ok(Read::Other),
        }
    }

    fn keep(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
            self.events_dropped += 1;
        }
        self.events.push_back(event);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.hello["server"]).finish_non_exhaustive()
    }
}

/// What one wait for a frame brought.
enum Read {
    Answer(Answer),
    /// An event that was taken or kept, or a frame of no interest.
    Other,
    /// Nothing until the deadline.
    Late,
}

fn late(method: &str, limit: Duration) -> ClientError {
    ClientError::Timeout { what: method.to_owned(), limit }
}

fn is_accepted(answer: &Answer) -> bool {
    answer.ok && answer.payload.as_ref().is_some_and(|payload| payload["status"] == "accepted")
}

fn outcome(method: &str, answer: Answer) -> Result<Value, ClientError> {
    match answer {
        Answer { ok: true, payload, .. } => Ok(payload.unwrap_or(Value::Null)),
        Answer { error: Some(error), payload, .. } => {
            Err(ClientError::Rpc { method: method.to_owned(), error, payload })
        }
        Answer { error: None, .. } => Err(ClientError::Malformed(format!("a failure of {method} without an error"))),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
