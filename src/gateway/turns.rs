//! How a request of a client becomes a turn of a session; what a session refuses, as clients are told.

use std::sync::Arc;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::message::{Turn, TurnKind};
pub use openclaw_actors::session::submit::Submitted;
use openclaw_actors::session::submit::{self, SubmitError};
use openclaw_actors::session::{SessionError, SessionKey};

use super::services::{self, RETRY_AFTER_MS, Services};

/// Hands a turn to its session. When this returns, the turn is on disk or refused.
///
/// `owner` names the device or connection that may abort the run.
pub async fn submit(
    services: &Services,
    key: &SessionKey,
    turn: Turn,
    owner: Option<Arc<str>>,
) -> Result<Submitted, ErrorShape> {
    if turn.kind == TurnKind::Http {
        refuse_while_draining(services)?; // nobody would be there to read the answer
    }
    submit::submit(&services.context, key, turn, owner).await.map_err(|error| match error {
        SubmitError::NoRoom(message) => ErrorShape::retry_after(message, 60_000),
        SubmitError::Session(error) => refused(error),
        SubmitError::Unavailable(message) => ErrorShape::retry_after(message, RETRY_AFTER_MS),
    })
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
}
