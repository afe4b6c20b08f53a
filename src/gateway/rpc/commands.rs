//! `commands.list`: the slash commands that chats understand.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::session::command::{COMMANDS, CommandInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::named_agent;
use super::{Access, Call, Method, Reply};

pub const METHODS: &[Method] =
    &[Method::new("commands.list", Access::Operator(Scope::Read), |call| Box::pin(commands_list(call)))];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListParams {
    scope: Option<ScopeName>,
    /// Default: yes.
    include_args: Option<bool>,
}

/// Where a command is typed: as text, or in a platform's own command menu.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ScopeName {
    Text,
    Native,
    Both,
}

impl Params for ListParams {}

/// No platform has a command menu yet, so every command is a text command.
async fn commands_list(call: Call) -> Result<Reply, ErrorShape> {
    let params: ListParams = call.params()?;
    named_agent(&call)?;
    let listed: &[CommandInfo] = if params.scope == Some(ScopeName::Native) { &[] } else { &COMMANDS };
    let with_args = params.include_args.unwrap_or(true);
    Ok(Reply::Value(json!({ "commands": listed.iter().map(|command| row(command, with_args)).collect::<Vec<_>>() })))
}

fn row(command: &CommandInfo, with_args: bool) -> Value {
    let aliases = std::iter::once(&command.name).chain(command.aliases).map(|name| format!("/{name}"));
    let args: Vec<Value> = arguments(command.args)
        .map(|name| json!({ "name": name, "description": command.summary, "type": "string" }))
        .collect();
    let mut row = json!({
        "name": command.name,
        "textAliases": aliases.collect::<Vec<_>>(),
        "description": command.summary,
        "category": command.category,
        "source": "native",
        "scope": "text",
        "acceptsArgs": !args.is_empty(),
    });
    if with_args && !args.is_empty() {
        row["args"] = Value::Array(args);
    }
    row
}

/// The names in `[model] [message]`; of alternatives the first.
fn arguments(usage: &str) -> impl Iterator<Item = &str> {
    usage.split('[').skip(1).filter_map(|part| part.split([']', '|']).next()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_listed_with_its_aliases_and_arguments() {
        let find = |name: &str| *COMMANDS.iter().find(|command| command.name == name).unwrap();
        let new = row(&find("new"), true);
        let names: Vec<&Value> = new["args"].as_array().unwrap().iter().map(|arg| &arg["name"]).collect();
        assert_eq!(
            (names.as_slice(), &new["acceptsArgs"]),
            ([&json!("model"), &json!("message")].as_slice(), &json!(true))
        );
        let think = row(&find("think"), false);
        assert_eq!(think["textAliases"], json!(["/think", "/thinking", "/t"]));
        assert_eq!((&think["args"], &think["acceptsArgs"]), (&Value::Null, &json!(true)));
        assert_eq!(arguments("[level | default]").collect::<Vec<_>>(), ["level"]);
        let status = row(&find("status"), true);
        assert_eq!((&status["args"], &status["acceptsArgs"]), (&Value::Null, &json!(false)));
    }

    #[test]
    fn every_category_is_one_that_clients_know() {
        for command in &COMMANDS {
            assert!(
                ["session", "options", "status", "management", "media", "tools", "docks"].contains(&command.category)
            );
        }
    }
}
