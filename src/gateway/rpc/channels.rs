//! `channels.*`: how the accounts of chat platforms stand, and starting and stopping them by hand.

use jiff::Timestamp;
use openclaw_actors::channels::{AccountKey, account, status};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{Params, invalid};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::supervision::Operation;
use openclaw_actors::tree::overview::OperateError;
use serde::Deserialize;
use serde_json::json;

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("channels.status", Access::Operator(Scope::Read), |call| Box::pin(status(call))),
    Method::new("channels.start", ADMIN, |call| Box::pin(start(call))),
    Method::new("channels.stop", ADMIN, |call| Box::pin(stop(call))),
];

/// `probe` changes nothing here: no platform of this release can be asked without saying something in it.
async fn status(call: Call) -> Result<Reply, ErrorShape> {
    let (services, context) = (&call.services, &call.services.context);
    let snapshot = services.config.load();
    let accounts = context.channels.status(&context.store, &snapshot).await.map_err(store_failed)?;
    let mut answer = status::to_json(&accounts);
    answer.insert("ts".to_owned(), json!(Timestamp::now().as_millisecond()));
    answer.insert("eventLoop".to_owned(), json!(services.health.get(false).await?.event_loop));
    Ok(Reply::Value(answer.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    channel: String,
    account_id: Option<String>,
}

impl Params for One {}

/// `{channel, accountId, started}`. In safe mode this is what ends it.
async fn start(call: Call) -> Result<Reply, ErrorShape> {
    let key = one(&call)?;
    if call.services.context.safe_mode.lift() {
        tracing::info!(account = %key, "safe mode lifted: an account was started by hand");
    }
    let started = operate(&call, &key, Operation::Start).await? == "running";
    Ok(Reply::Value(json!({ "channel": key.channel, "accountId": key.account, "started": started })))
}

/// `{channel, accountId, stopped}`. It stays stopped until it is started by hand, or the gateway is.
async fn stop(call: Call) -> Result<Reply, ErrorShape> {
    let key = one(&call)?;
    let stopped = operate(&call, &key, Operation::Stop).await? != "running";
    Ok(Reply::Value(json!({ "channel": key.channel, "accountId": key.account, "stopped": stopped })))
}

/// The account that is meant; without a name the first one. The error says why it cannot run.
fn one(call: &Call) -> Result<AccountKey, ErrorShape> {
    let One { channel, account_id } = call.params()?;
    let adapter = call.services.context.channels.get(&channel);
    let adapter = adapter.ok_or_else(|| invalid(call.method, &format!("unknown channel: {channel}")))?;
    let accounts = adapter.accounts(&call.services.config.load());
    let found = match &account_id {
        Some(id) => accounts.iter().find(|account| account.id == *id),
        None => accounts.first(),
    };
    let account = found.ok_or_else(|| {
        ErrorShape::invalid(format!(
            "channel {channel} has no such account; `openclaw channels list` shows what there is"
        ))
    })?;
    match &account.problem {
        Some(problem) => Err(ErrorShape::invalid(format!("{channel} {} cannot run: {problem}", account.id))),
        None => Ok(AccountKey::new(&channel, &account.id)),
    }
}

/// The state of the account afterwards.
async fn operate(call: &Call, key: &AccountKey, operation: Operation) -> Result<&'static str, ErrorShape> {
    let context = &call.services.context;
    let path = format!("{}/{key}", account::PATH);
    match context.overview.operate(&path, operation).await {
        Ok(node) => Ok(node.state),
        // It was not started yet: whoever looks after the accounts does that now.
        Err(OperateError::Refused(_)) if operation == Operation::Start => {
            context.channels.configuration_changed();
            context.channels.accounts.get_or_start(key.clone()).await.map_err(ErrorShape::unavailable)?;
            Ok("running")
        }
        Err(OperateError::Refused(_)) => Ok("stopped"),
        Err(error) => Err(ErrorShape::invalid(error.to_string())),
    }
}
