//! `agents_list`: the agents of this gateway.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::model::provider::ToolSpec;
use crate::run::context::{self, Context};
use crate::tools::{Tool, ToolContext, ToolOutcome};

pub struct AgentsList {
    context: Arc<Context>,
}

impl AgentsList {
    pub fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context) }
    }

    fn list(&self, asker: &ToolContext) -> ToolOutcome {
        let snapshot = self.context.config.load();
        let requester = self.context.agent_of(&asker.session_key);
        let agents: Vec<Value> = context::agents(&snapshot.settings)
            .into_iter()
            .map(|agent| {
                let configured = context::agent_entry(&snapshot.settings, &agent).is_some();
                json!({ "id": agent.as_str(), "configured": configured, "model": self.context.models.default_of(&agent).0 })
            })
            .collect();
        ToolOutcome::json(json!({ "requester": requester.as_str(), "allowAny": false, "agents": agents }))
    }
}

impl Tool for AgentsList {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "agents_list".into(),
            description: "Lists the agents of this gateway with their models.".into(),
            parameters: json!({ "type": "object", "properties": {} }),
        }
    }

    fn read_only(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, context: &'a ToolContext, _: &'a Value) -> BoxFuture<'a, ToolOutcome> {
        let outcome = self.list(context);
        async move { outcome }.boxed()
    }
}
