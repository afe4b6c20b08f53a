//! How a request becomes a turn of a session, whatever way it came: registered, handed over, on disk, answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openclaw_actors::disk::Room;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::directory::{Directory, Ticket};
use openclaw_actors::run::message::{Turn, TurnKind};
use openclaw_actors::session::{Admission, SessionError, SessionKey, SessionMsg};

use super::services::{self, Services};

/// What became of a request.
pub enum Submitted {
    /// It is on disk.
    Admitted { ticket: Ticket, admission: Admission },
    /// A run with this id is known from a moment ago.
    Repeated(Ticket),
}

/// Hands a turn to its session. When this returns, the turn is on disk or refused.
///
/// `owner` names the device or connection that may abort the run.
pub async fn submit(
    services: &Services,
    key: &SessionKey,
    turn: Turn,
    owner: Option<Arc<str>>,
) -> Result<Submitted, ErrorShape> {
    refuse_without_room(services)?;
    if turn.kind == TurnKind::Http {
        refuse_while_draining(services)?; // nobody would be there to read the answer
    }
    let directory = &services.context.directory;
    let ticket = match directory.register(&turn.run_id, key.as_str(), turn.accepted_at, owner) {
        Ok(ticket) => ticket,
        Err(known) => return Ok(Submitted::Repeated(known)),
    };
    let held = Held { directory, run_id: &turn.run_id, is_handed_over: AtomicBool::new(false) };
    let asked = services.ask_session(key, |reply| {
        held.is_handed_over.store(true, Ordering::Relaxed);
        SessionMsg::Submit(turn.clone(), reply)
    });
    match asked.await {
        Ok(Ok(admission)) => Ok(Submitted::Admitted { ticket, admission }),
        Ok(Err(error)) => {
            directory.forget(&turn.run_id);
            Err(refused(error))
        }
        Err(error) => {
            directory.forget(&turn.run_id);
            Err(error)
        }
    }
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
fn refuse_without_room(services: &Services) -> Result<(), ErrorShape> {
    match services.context.disk.room() {
        Room::None { free_bytes } => {
            let dir = services.state_dir.display();
            let message = format!("the disk of {dir} is full ({free_bytes} bytes left); make room, then send it again");
            Err(ErrorShape::retry_after(message, 60_000))
        }
        Room::Enough | Room::Low { .. } => Ok(()),
    }
}

/// Nothing new begins while the gateway goes down.
pub fn refuse_while_draining(services: &Services) -> Result<(), ErrorShape> {
    if services.draining() {
        return Err(ErrorShape::retry_after("Gateway is draining for restart; new tasks are not accepted", 1_500));
    }
    Ok(())
}

/// A session's refusal as clients are told.
pub fn refused(error: SessionError) -> ErrorShape {
    match error {
        SessionError::Store(error) => services::store_failed(error),
        SessionError::QueueFull(_) | SessionError::LaneFull(_) => ErrorShape::retry_after(error.to_string(), 1_000),
        SessionError::Refused(_) | SessionError::NotFound => ErrorShape::invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_is_told_when_to_come_back() {
        use openclaw_actors::store::StoreError;
        for error in [SessionError::QueueFull(20), SessionError::LaneFull(200), StoreError::Overloaded.into()] {
            let told = refused(error.clone());
            assert_eq!(told.retryable, Some(true), "{error}");
            assert!(told.retry_after_ms.is_some_and(|ms| ms > 0), "{error}");
        }
    }

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
