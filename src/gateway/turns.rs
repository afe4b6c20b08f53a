//! How a request becomes a turn of a session, whatever way it came: registered, handed over, on disk, answered.

use std::sync::Arc;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::directory::Ticket;
use openclaw_actors::run::message::Turn;
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
    if services.draining() {
        return Err(ErrorShape::retry_after("Gateway is draining for restart; new tasks are not accepted", 1_500));
    }
    let directory = &services.context.directory;
    let ticket = match directory.register(&turn.run_id, key.as_str(), turn.accepted_at, owner) {
        Ok(ticket) => ticket,
        Err(known) => return Ok(Submitted::Repeated(known)),
    };
    let asked = services.ask_session(key, |reply| SessionMsg::Submit(turn.clone(), reply)).await;
    match asked {
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

/// A session's refusal as clients are told.
pub fn refused(error: SessionError) -> ErrorShape {
    match error {
        SessionError::Store(error) => services::store_failed(error),
        SessionError::QueueFull(_) => ErrorShape::retry_after(error.to_string(), 1_000),
        SessionError::Refused(_) | SessionError::NotFound => ErrorShape::invalid(error.to_string()),
    }
}
