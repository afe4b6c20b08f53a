//! `tools.catalog`, the tools that exist, and `tools.effective`, those that a session may call.

use openclaw_actors::model::provider::ToolSpec;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::run::context;
use openclaw_actors::session::SessionKey;
use openclaw_actors::tools::{builtin, catalog};
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::named_agent;
use super::{Access, Call, Method, Reply};

const READ: Access = Access::Operator(Scope::Read);

pub const METHODS: &[Method] = &[
    Method::new("tools.catalog", READ, |call| Box::pin(tools_catalog(call))),
    Method::new("tools.effective", READ, |call| Box::pin(tools_effective(call))),
];

async fn tools_catalog(call: Call) -> Result<Reply, ErrorShape> {
    let agent = named_agent(&call)?;
    let tools: Vec<ToolSpec> = builtin::all(&call.services.context).iter().map(|tool| tool.spec()).collect();
    Ok(Reply::Value(catalog::catalog(agent.as_str(), &tools)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EffectiveParams {
    session_key: String,
}

impl Params for EffectiveParams {}

/// The tools under the policy in force. A session that has not begun yet has those that it would begin with.
async fn tools_effective(call: Call) -> Result<Reply, ErrorShape> {
    let params: EffectiveParams = call.params()?;
    let shared = &call.services.context;
    let unknown = || ErrorShape::invalid(format!("unknown session key \"{}\"", params.session_key));
    let key = SessionKey::parse(&params.session_key, &shared.key_rules()).map_err(|_| unknown())?;
    let agent = shared.agent_of(&key);
    if !context::agents(&shared.config.load().settings).contains(&agent) {
        return Err(unknown());
    }
    let tools: Vec<Value> = shared.toolbox().specs().iter().map(row).collect();
    let core = json!({ "id": "core", "label": "Built-in tools", "source": "core", "tools": tools });
    let groups = if core["tools"].as_array().is_some_and(Vec::is_empty) { json!([]) } else { json!([core]) };
    Ok(Reply::Value(json!({ "agentId": agent.as_str(), "profile": "full", "groups": groups })))
}

fn row(tool: &ToolSpec) -> Value {
    json!({
        "id": tool.name, "label": label(&tool.name), "description": tool.description,
        "rawDescription": tool.description, "source": "core",
    })
}

/// `sessions_list` as `Sessions List`.
fn label(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_labelled_by_its_words() {
        assert_eq!(
            (label("sessions_list"), label("read"), label("")),
            ("Sessions List".into(), "Read".into(), "".into())
        );
    }
}
