//! `test.fault`: makes an actor of the running gateway panic, fail or hang, so that a test can look at what goes on
//! beside it.
//!
//! Compiled only with the feature `fault-injection`; no program that people run has it.

use openclaw_actors::fault::{self, Plan};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::session::{SessionKey, SessionMsg};
use openclaw_actors::supervision::Operation;
use openclaw_actors::supervision::mailbox::Fault;
use serde::Deserialize;
use serde_json::json;

use super::{Access, Call, Method, Reply, tree};

const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("test.fault", ADMIN, |call| Box::pin(hit(call))).hidden(),
    Method::new("test.store", ADMIN, |call| Box::pin(store(call))).hidden(),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestStore {
    /// The commit that goes wrong.
    plan: Option<Plan>,
    /// Whether writes are acknowledged before they are on disk.
    acknowledge_early: Option<bool>,
}

impl Params for TestStore {}

/// `{commits}`: how many there were since the last call.
async fn store(call: Call) -> Result<Reply, ErrorShape> {
    let request: TestStore = call.params()?;
    if let Some(on) = request.acknowledge_early {
        fault::acknowledge_early(on);
    }
    Ok(Reply::Value(json!({ "commits": fault::arm(request.plan) })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestFault {
    /// A path of the tree; `connection` alone is the caller's own, `run` needs a session.
    name: String,
    fault: Fault,
    session_key: Option<String>,
}

impl Params for TestFault {}

/// `{hit}`: whether there was something to hit. A connection may end before it has its answer.
async fn hit(call: Call) -> Result<Reply, ErrorShape> {
    let request: TestFault = call.params()?;
    let overview = &call.services.context.overview;
    let hit = if let Some(key) = &request.session_key {
        let key: SessionKey = call.services.key(call.method, key)?;
        call.services.ask_session(&key, |reply| SessionMsg::FailRun(request.fault, reply)).await?
    } else {
        let own = format!("front/connections/{}", call.client.conn);
        let name = if request.name == "connection" { &own } else { &request.name };
        overview.operate(name, Operation::Fault(request.fault)).await.map_err(tree::refused)?;
        true
    };
    Ok(Reply::Value(json!({ "hit": hit })))
}
