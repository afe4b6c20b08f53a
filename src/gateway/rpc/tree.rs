//! `system.tree`: the supervision tree as it is now, and what operators may do to an actor of it.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::supervision::Operation;
use openclaw_actors::supervision::view::Refused;
use openclaw_actors::tree::overview::{OperateError, Overview};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::unavailable;

const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("system.tree", Access::Operator(Scope::Read), |call| Box::pin(tree(call))),
    Method::new("system.tree.restart", ADMIN, |call| Box::pin(operate(call, Operation::Restart))),
    Method::new("system.tree.start", ADMIN, |call| Box::pin(operate(call, Operation::Start))),
    Method::new("system.tree.stop", ADMIN, |call| Box::pin(operate(call, Operation::Stop))),
];

#[derive(Deserialize)]
struct TreeParams {
    /// Groups with many children in full.
    #[serde(default)]
    all: bool,
}

impl Params for TreeParams {}

#[derive(Deserialize)]
struct OperateParams {
    /// A path, or a name that only one actor has.
    name: String,
}

impl Params for OperateParams {}

/// `{ts, root, totals}`
async fn tree(call: Call) -> Result<Reply, ErrorShape> {
    let params: TreeParams = call.params()?;
    let overview = &call.services.context.overview;
    let root = overview.snapshot(params.all).await;
    let totals: Vec<Value> = overview
        .counts()
        .into_iter()
        .map(|(kind, counts)| {
            json!({ "kind": kind, "restarts": counts.restarts, "failures": counts.failures, "gaveUp": counts.gave_up })
        })
        .collect();
    Ok(Reply::Value(json!({ "ts": openclaw_actors::run::stream::now_ms(), "root": root, "totals": totals })))
}

async fn operate(call: Call, operation: Operation) -> Result<Reply, ErrorShape> {
    let params: OperateParams = call.params()?;
    let node = call.services.context.overview.operate(&params.name, operation).await.map_err(refused)?;
    Ok(Reply::Value(json!({ "ok": true, "node": node })))
}

pub fn refused(error: OperateError) -> ErrorShape {
    match error {
        OperateError::Refused(Refused::Unavailable(error)) => unavailable(error),
        error => ErrorShape::invalid(error.to_string()),
    }
}

/// What `status` says: how many actors run, and which do not.
pub async fn summary(overview: &Overview) -> Value {
    let (summary, down) = overview.summary().await;
    let restarts: u64 = overview.counts().iter().map(|(_, counts)| counts.restarts).sum();
    json!({ "actors": summary.actors, "running": summary.running, "restarts": restarts, "down": down })
}
