//! What this release does not have, said truthfully to the clients that ask for it on connect: there is none.
//!
//! A method stands here only while its honest answer is empty; what would have to promise something has no row at all.

use jiff::Timestamp;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::scope::Scope;
use serde_json::{Value, json};

use super::agents::named_agent;
use super::{Access, Call, Method, Reply};

const READ: Access = Access::Operator(Scope::Read);

pub const METHODS: &[Method] = &[
    Method::new("plugins.uiDescriptors", READ, |_| Box::pin(async { say(json!({ "ok": true, "descriptors": [] })) })),
    Method::new("voicewake.get", READ, |_| Box::pin(async { say(json!({ "triggers": [] })) })),
    Method::new("tasks.list", READ, |_| Box::pin(async { say(json!({ "tasks": [] })) })),
    Method::new("node.list", READ, |_| Box::pin(async { say(json!({ "ts": now_ms(), "nodes": [] })) })),
    Method::new("node.pair.list", Access::Operator(Scope::Pairing), |_| {
        Box::pin(async { say(json!({ "pending": [], "paired": [] })) })
    }),
    Method::new("models.authStatus", READ, |_| Box::pin(async { say(json!({ "ts": now_ms(), "providers": [] })) })),
    Method::new("update.status", Access::Operator(Scope::Admin), |_| {
        Box::pin(async { say(json!({ "sentinel": null, "updateAvailable": null })) })
    }),
    Method::new("skills.status", READ, |call| Box::pin(skills(call))),
];

fn say(answer: Value) -> Result<Reply, ErrorShape> {
    Ok(Reply::Value(answer))
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The places where skills would be, and that none is loaded from there.
async fn skills(call: Call) -> Result<Reply, ErrorShape> {
    let agent = named_agent(&call)?;
    say(json!({
        "workspaceDir": call.services.context.workspace(&agent).display().to_string(),
        "managedSkillsDir": call.services.state_dir.join("skills").display().to_string(),
        "skills": [],
    }))
}
