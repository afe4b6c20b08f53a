//! Devices that may connect, requests to pair, and the tokens of devices.
//!
//! Who may do what to which device is decided by the devices actor; here requests become its messages, and sockets whose
//! right to be there has ended are closed, after the answer.

use openclaw_actors::devices::record::{Pending, ShownPaired};
use openclaw_actors::devices::{Approver, DevicesMsg};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::protocol::scope::{Role, Scope};
use ractor::RpcReplyPort;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::{ASK_LIMIT, unavailable};
use crate::gateway::ws::client::ClientFacts;

const PAIRING: Access = Access::Operator(Scope::Pairing);

pub const METHODS: &[Method] = &[
    Method::new("device.pair.list", PAIRING, |call| Box::pin(pair_list(call))),
    Method::new("device.pair.approve", PAIRING, |call| Box::pin(pair_approve(call))),
    Method::new("device.pair.reject", PAIRING, |call| Box::pin(pair_reject(call))),
    Method::new("device.pair.remove", PAIRING, |call| Box::pin(pair_remove(call))),
    Method::new("device.token.rotate", PAIRING, |call| Box::pin(token_rotate(call))),
    Method::new("device.token.revoke", PAIRING, |call| Box::pin(token_revoke(call))),
];

/// How sockets of a device end that was removed or whose token changed.
const CLOSE_CODE: u16 = 4001;
const CLOSE_REASON: &str = "device removed";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestParams {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceParams {
    device_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenParams {
    device_id: String,
    role: Role,
    /// For a rotation: absent keeps those of the old token.
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

impl Params for RequestParams {
    fn check(&self) -> Result<(), String> {
        params::length("requestId", &self.request_id, 1, usize::MAX)
    }
}

impl Params for DeviceParams {
    fn check(&self) -> Result<(), String> {
        params::length("deviceId", &self.device_id, 1, usize::MAX)
    }
}

impl Params for TokenParams {
    fn check(&self) -> Result<(), String> {
        params::length("deviceId", &self.device_id, 1, usize::MAX)
    }
}

async fn pair_list(call: Call) -> Result<Reply, ErrorShape> {
    let approver = approver(&call.client);
    let (pending, paired): (Vec<Pending>, Vec<ShownPaired>) =
        ask(&call, |reply| DevicesMsg::List(approver, reply)).await?;
    Ok(Reply::Value(json!({ "pending": pending, "paired": paired })))
}

async fn pair_approve(call: Call) -> Result<Reply, ErrorShape> {
    let RequestParams { request_id } = call.params()?;
    let (id, approver) = (request_id.clone(), approver(&call.client));
    let device = ask(&call, |reply| DevicesMsg::Approve { request_id: id, approver, reply }).await??;
    Ok(Reply::Value(json!({ "requestId": request_id, "device": device })))
}

async fn pair_reject(call: Call) -> Result<Reply, ErrorShape> {
    let RequestParams { request_id } = call.params()?;
    let (id, approver) = (request_id.clone(), approver(&call.client));
    let device_id = ask(&call, |reply| DevicesMsg::Reject { request_id: id, approver, reply }).await??;
    Ok(Reply::Value(json!({ "requestId": request_id, "deviceId": device_id })))
}

async fn pair_remove(call: Call) -> Result<Reply, ErrorShape> {
    let DeviceParams { device_id } = call.params()?;
    let (id, approver) = (device_id.clone(), approver(&call.client));
    ask(&call, |reply| DevicesMsg::Remove { device_id: id, approver, reply }).await??;
    Ok(answer_then_close(&call, json!({ "deviceId": device_id }), &device_id, None))
}

/// Only the device itself is told its new token.
async fn token_rotate(call: Call) -> Result<Reply, ErrorShape> {
    let TokenParams { device_id, role, scopes } = call.params()?;
    let (id, approver) = (device_id.clone(), approver(&call.client));
    let message = |reply| DevicesMsg::Rotate { device_id: id, role, scopes, approver, reply };
    let token = ask(&call, message).await??;
    let mut answer = json!({
        "deviceId": device_id, "role": role, "scopes": token.scopes, "rotatedAtMs": token.issued_at_ms(),
    });
    if call.client.device_id.as_deref() == Some(device_id.as_str()) {
        answer["token"] = json!(token.token);
    }
    Ok(answer_then_close(&call, answer, &device_id, Some(role)))
}

async fn token_revoke(call: Call) -> Result<Reply, ErrorShape> {
    let TokenParams { device_id, role, .. } = call.params()?;
    let (id, approver) = (device_id.clone(), approver(&call.client));
    let revoked_at = ask(&call, |reply| DevicesMsg::Revoke { device_id: id, role, approver, reply }).await??;
    let answer = json!({ "deviceId": device_id, "role": role, "revokedAtMs": revoked_at });
    Ok(answer_then_close(&call, answer, &device_id, Some(role)))
}

async fn ask<T, F>(call: &Call, message: F) -> Result<T, ErrorShape>
where
    T: Send + 'static,
    F: FnOnce(RpcReplyPort<T>) -> DevicesMsg,
{
    call.services.devices.ask(ASK_LIMIT, message).await.map_err(unavailable)
}

fn approver(client: &ClientFacts) -> Approver {
    Approver { device_id: client.device_id.clone(), scopes: client.scopes.clone() }
}

/// Answers first: the caller's own socket may be among those that end.
fn answer_then_close(call: &Call, answer: Value, device_id: &str, role: Option<Role>) -> Reply {
    call.responder.reply(Ok(Reply::Value(answer)));
    call.services.clients.close_where(CLOSE_CODE, CLOSE_REASON, |client| {
        client.device_id.as_deref() == Some(device_id) && role.is_none_or(|role| client.role == role)
    });
    Reply::Said
}
