//! How a child ended, read from what the runtime says about it.
//!
//! A killed actor is reported like one that stopped by itself, but for its reason; here it counts as failed.

use ractor::{ActorCell, SupervisionEvent};

/// The reason that the runtime gives for a kill.
const KILLED: &str = "killed";

/// A child that has ended.
#[derive(Debug)]
pub struct Ended {
    pub cell: ActorCell,
    /// Absent when it stopped by itself or was asked to.
    pub failure: Option<String>,
}

/// `None` for news that is not about an end.
pub fn ended(event: SupervisionEvent) -> Option<Ended> {
    match event {
        SupervisionEvent::ActorFailed(cell, error) => Some(Ended { cell, failure: Some(error.to_string()) }),
        SupervisionEvent::ActorTerminated(cell, state, reason) => {
            let is_failure = state.is_none() || reason.as_deref() == Some(KILLED);
            let failure = is_failure.then(|| reason.unwrap_or_else(|| KILLED.to_owned()));
            Some(Ended { cell, failure })
        }
        _ => None,
    }
}
