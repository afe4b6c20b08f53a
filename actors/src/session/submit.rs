//! How a message becomes a turn of a session, whatever way it came: registered, handed over, on disk, answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::RpcReplyPort;

use super::key::SessionKey;
use super::message::{Admission, SessionError, SessionMsg};
use super::stop_phrase;
use crate::disk::Room;
use crate::run::context::Context;
use crate::run::directory::{Directory, Ticket};
use crate::run::message::Turn;
use crate::supervision::Unavailable;

/// How long a session may take before whoever asks is told that it is too busy.
pub const ASK_LIMIT: Duration = Duration::from_secs(10);
/// Pause before a session that was just coming or going is asked once more.
const COMING: Duration = Duration::from_millis(100);

/// What became of a request.
pub enum Submitted {
    /// It is on disk.
    Admitted { ticket: Ticket, admission: Admission },
    /// A run with this id is known from a moment ago.
    Repeated(Ticket),
}

/// Why a turn was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("{0}")]
    NoRoom(String),
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session is busy, coming back or held back.
    #[error("{0}")]
    Unavailable(String),
}

impl Context {
    /// Asks a session, its actor started if necessary; once more after a moment when it was just coming or going. The
    /// error is for people, and passes.
    pub async fn ask_session<T, F>(&self, key: &SessionKey, message: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: Fn(RpcReplyPort<T>) -> SessionMsg,
    {
        for attempt in 0..2 {
            let session = self.sessions.get_or_start(key.clone()).await?;
            match session.ask(ASK_LIMIT, &message).await {
                Ok(answer) => return Ok(answer),
                Err(Unavailable::Restarting(_) | Unavailable::WentDown(_)) if attempt == 0 => {
                    tokio::time::sleep(COMING).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the session is restarting".to_owned())
    }
}

/// Hands a turn to its session. When this returns, the turn is on disk or refused.
///
/// `owner` names the device or connection that may abort the run.
pub async fn submit(
    context: &Context,
    key: &SessionKey,
    turn: Turn,
    owner: Option<Arc<str>>,
) -> Result<Submitted, SubmitError> {
    if !stop_phrase::is_stop(&turn.text) {
        room(context)?;
    }
    let directory = &context.directory;
    let ticket = match directory.register(&turn.run_id, key.as_str(), turn.accepted_at, owner) {
        Ok(ticket) => ticket,
        Err(known) => return Ok(Submitted::Repeated(known)),
    };
    let held = Held { directory, run_id: &turn.run_id, is_handed_over: AtomicBool::new(false) };
    let asked = context.ask_session(key, |reply| {
        held.is_handed_over.store(true, Ordering::Relaxed);
        SessionMsg::Submit(Box::new(turn.clone()), reply)
    });
    let refused = match asked.await {
        Ok(Ok(admission)) => return Ok(Submitted::Admitted { ticket, admission }),
        Ok(Err(error)) => SubmitError::Session(error),
        Err(error) => SubmitError::Unavailable(error),
    };
    directory.forget(&turn.run_id);
    Err(refused)
}

/// A ticket that nobody looks after until the session has the turn: a caller that goes away before takes it along.
struct Held<'a> {
    directory: &'a Directory,
    run_id: &'a str,
    /// From here on the session ends it or takes it back.
    is_handed_over: AtomicBool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.is_handed_over.load(Ordering::Relaxed) {
            self.directory.forget(self.run_id);
        }
    }
}

/// What is there must still be finished and stored.
fn room(context: &Context) -> Result<(), SubmitError> {
    match context.disk.room() {
        Room::None { free_bytes } => {
            let dir = context.store.dir().display();
            let message = format!("the disk of {dir} is full ({free_bytes} bytes left); make room, then send it again");
            Err(SubmitError::NoRoom(message))
        }
        Room::Enough | Room::Low { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_back_unless_the_session_has_the_turn() {
        for is_handed_over in [false, true] {
            let directory = Directory::default();
            let _ticket = directory.register("r", "k", 1, None).unwrap();
            drop(Held { directory: &directory, run_id: "r", is_handed_over: AtomicBool::new(is_handed_over) });
            assert_eq!(directory.get("r").is_some(), is_handed_over);
        }
    }
}
