//! Who may end a run: an admin any, everybody else those that it asked for itself.

use std::sync::Arc;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::message::AbortCause;
use openclaw_actors::session::{SessionKey, SessionMsg};

use super::call::Call;

/// Ends one run of a session, or everything that it does and has waiting. Returns the ids that were ended.
pub async fn abort(call: &Call, key: &SessionKey, run_id: Option<&str>) -> Result<Vec<String>, ErrorShape> {
    let directory = &call.services.context.directory;
    let run_id = match run_id {
        Some(run_id) => match directory.get(run_id) {
            Some(ticket) if ticket.session_key != key.as_str() => {
                return Err(ErrorShape::invalid("runId does not match sessionKey"));
            }
            Some(_) => Some(run_id.to_owned()),
            None => return Ok(Vec::new()),
        },
        None if call.client.is_admin() => None,
        // without an id others than an admin end only what runs now
        None => match call.services.ask_session(key, SessionMsg::Status).await?.running {
            Some(running) => Some(running),
            None => return Ok(Vec::new()),
        },
    };
    if let Some(run_id) = &run_id
        && !call.client.is_admin()
        && !owns(&call.client.owner(), directory.get(run_id).and_then(|ticket| ticket.owner).as_ref())
    {
        return Err(ErrorShape::invalid("unauthorized"));
    }
    let message = |reply| SessionMsg::Abort { run_id: run_id.clone(), cause: AbortCause::Rpc, reply };
    call.services.ask_session(key, message).await
}

/// A run without an owner, such as one that outlived a restart, belongs to admins.
fn owns(caller: &Arc<str>, owner: Option<&Arc<str>>) -> bool {
    owner == Some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_belongs_to_who_asked_for_it() {
        let (me, other): (Arc<str>, Arc<str>) = ("me".into(), "other".into());
        assert!(owns(&me, Some(&me)));
        assert!(!owns(&me, Some(&other)));
        assert!(!owns(&me, None));
    }
}
