//! `test.panic`: makes an actor of the running gateway panic, so that a test can look at what goes on beside it.
//!
//! Compiled only with the feature `fault-injection`; no program that people run has it.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{Params, invalid};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::session::{SessionKey, SessionMsg};
use serde::Deserialize;
use serde_json::json;

use super::{Access, Call, Method, Reply};
use crate::gateway::services::unavailable;
use crate::gateway::ws::ConnectionMsg;

pub const METHODS: &[Method] =
    &[Method::new("test.panic", Access::Operator(Scope::Admin), |call| Box::pin(panic(call))).hidden()];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestPanic {
    what: Victim,
    /// Whose run, or which session; a connection is always the caller's own.
    session_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Victim {
    Run,
    Session,
    Connection,
}

impl Params for TestPanic {}

/// `{hit}`: whether there was something to hit. A connection may end before it has its answer.
async fn panic(call: Call) -> Result<Reply, ErrorShape> {
    let request: TestPanic = call.params()?;
    let hit = match request.what {
        Victim::Connection => match call.services.connections.get(&call.client.conn) {
            Some(connection) => connection.try_send(ConnectionMsg::Panic).map(|()| true).map_err(unavailable)?,
            None => false,
        },
        Victim::Session => {
            let session = call.services.session(&key(&call, request.session_key.as_deref())?).await?;
            session.try_send(SessionMsg::Panic).map(|()| true).map_err(unavailable)?
        }
        Victim::Run => {
            let key = key(&call, request.session_key.as_deref())?;
            call.services.ask_session(&key, SessionMsg::PanicRun).await?
        }
    };
    Ok(Reply::Value(json!({ "hit": hit })))
}

fn key(call: &Call, raw: Option<&str>) -> Result<SessionKey, ErrorShape> {
    call.services.key(call.method, raw.ok_or_else(|| invalid(call.method, "sessionKey is missing"))?)
}
