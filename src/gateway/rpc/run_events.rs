//! Who receives the tool events of a run, and who follows sessions. The hub forgets what concerns a closed connection.

use openclaw_actors::events::{ConnId, EventsMsg, FOLLOWED_MAX};
use openclaw_actors::protocol::ErrorShape;

use super::call::Call;
use crate::gateway::services::{ASK_LIMIT, unavailable};

/// The caller starts or joins a run; asked for before the run starts, so that no event is missed.
pub async fn join(call: &Call, run_id: &str) {
    if call.client.tool_events {
        send(call, EventsMsg::JoinRun(call.client.conn.clone(), run_id.to_owned())).await;
    }
}

/// The run was refused or is long over: nobody waits for its tool events.
pub async fn forget(call: &Call, run_id: &str) {
    if call.client.tool_events {
        send(call, EventsMsg::ForgetRun(run_id.to_owned())).await;
    }
}

/// Follows the messages of one session, or no longer.
pub async fn follow_messages(call: &Call, key: &str, on: bool) -> Result<(), ErrorShape> {
    let (conn, key) = (call.client.conn.clone(), key.to_owned());
    let events = &call.services.context.events;
    let follows = events.ask(ASK_LIMIT, |reply| EventsMsg::FollowMessages(conn, key, on, reply)).await;
    if follows.map_err(unavailable)? {
        return Ok(());
    }
    Err(ErrorShape::invalid(format!(
        "this connection follows {FOLLOWED_MAX} sessions already; unsubscribe from some, or follow all with sessions.subscribe"
    )))
}

/// Changes what the caller follows.
pub async fn follow(call: &Call, message: impl FnOnce(ConnId) -> EventsMsg) -> Result<(), ErrorShape> {
    let message = message(call.client.conn.clone());
    call.services.context.events.send(message).await.map_err(unavailable)
}

/// While the hub restarts the connections are closing: there is nobody to be told.
async fn send(call: &Call, message: EventsMsg) {
    if let Err(error) = call.services.context.events.send(message).await {
        tracing::warn!(%error, "tool events are not routed");
    }
}
