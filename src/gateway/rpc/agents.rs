//! Agents: which there are, how one presents itself, and the files of its workspace.

use openclaw_actors::config::settings::{AgentEntry, Identity, SessionScope, Settings};
use openclaw_actors::model::reference;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::protocol::session::AgentRuntime;
use openclaw_actors::run::context::{self, Context};
use openclaw_actors::session::AgentId;
use openclaw_actors::supervision::task;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::agent_files::{self, FileError};
use super::{Access, Call, Method, Reply};

const READ: Access = Access::Operator(Scope::Read);

pub const METHODS: &[Method] = &[
    Method::new("agents.list", READ, |call| Box::pin(agents_list(call))),
    Method::new("agent.identity.get", READ, |call| Box::pin(identity_get(call))),
    Method::new("agents.files.list", READ, |call| Box::pin(files_list(call))),
    Method::new("agents.files.get", READ, |call| Box::pin(files_get(call))),
    Method::new("agents.files.set", Access::Operator(Scope::Admin), |call| Box::pin(files_set(call))),
];

/// Name of an agent that gives itself none.
const NAME_DEFAULT: &str = "Assistant";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AgentParams {
    agent_id: Option<String>,
}

impl Params for AgentParams {}

/// The agent that `agentId` names, the default one without it; an unknown one is refused.
pub fn named_agent(call: &Call) -> Result<AgentId, ErrorShape> {
    let params: AgentParams = call.params()?;
    known_agent(&call.services.config.load().settings, params.agent_id.as_deref())
}

fn known_agent(settings: &Settings, id: Option<&str>) -> Result<AgentId, ErrorShape> {
    let Some(id) = id else { return Ok(context::default_agent(settings)) };
    let agent = AgentId::slug(id);
    let known = !id.trim().is_empty() && context::agents(settings).contains(&agent);
    known.then_some(agent).ok_or_else(|| ErrorShape::invalid(format!("unknown agent id \"{id}\"")))
}

async fn agents_list(call: Call) -> Result<Reply, ErrorShape> {
    let snapshot = call.services.config.load();
    let settings = &snapshot.settings;
    let shared = &call.services.context;
    let agents: Vec<Value> = context::agents(settings).iter().map(|agent| row(settings, shared, agent)).collect();
    let scope = match settings.session.scope {
        SessionScope::PerSender => "per-sender",
        SessionScope::Global => "global",
    };
    let default = context::default_agent(settings);
    Ok(Reply::Value(json!({ "defaultId": default.as_str(), "mainKey": "main", "scope": scope, "agents": agents })))
}

fn row(settings: &Settings, shared: &Context, agent: &AgentId) -> Value {
    let entry = context::agent_entry(settings, agent);
    let mut row = json!({ "id": agent.as_str() });
    if let Some(name) = entry.and_then(|entry| set(entry.name.as_ref())) {
        row["name"] = json!(name);
    }
    if let Some(identity) = entry.and_then(|entry| entry.identity.as_ref()) {
        row["identity"] = identity_of(identity);
    }
    row["workspace"] = json!(shared.workspace(agent).display().to_string());
    row["agentRuntime"] = json!(AgentRuntime::default());
    row["model"] = model_of(settings, entry).unwrap_or_else(|| json!({ "primary": shared.models.default_of(agent).0 }));
    row
}

/// As configured; absent keys are left out.
fn identity_of(identity: &Identity) -> Value {
    let avatar_url = identity.avatar.as_ref().filter(|avatar| is_remote(avatar));
    let fields = [
        ("name", &identity.name),
        ("theme", &identity.theme),
        ("emoji", &identity.emoji),
        ("avatar", &identity.avatar),
        ("avatarUrl", &avatar_url.cloned()),
    ];
    let set = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(set(value.as_ref())?))));
    Value::Object(set.collect::<Map<_, _>>())
}

/// The agent's own choice, else that of all agents. `None`: nothing is configured.
fn model_of(settings: &Settings, entry: Option<&AgentEntry>) -> Option<Value> {
    let own = entry.and_then(|entry| entry.model.as_ref());
    let choice = own.or(settings.agents.defaults.model.as_ref());
    let mut chain = reference::chain(choice);
    let primary = chain.next()?;
    let fallbacks: Vec<&str> = chain.collect();
    let mut model = json!({ "primary": primary });
    if !fallbacks.is_empty() {
        model["fallbacks"] = json!(fallbacks);
    }
    Some(model)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IdentityParams {
    agent_id: Option<String>,
    session_key: Option<String>,
}

impl Params for IdentityParams {}

async fn identity_get(call: Call) -> Result<Reply, ErrorShape> {
    let params: IdentityParams = call.params()?;
    let snapshot = call.services.config.load();
    let settings = &snapshot.settings;
    let agent = match (&params.agent_id, &params.session_key) {
        (Some(id), _) => known_agent(settings, Some(id))?,
        (None, Some(key)) => call.services.context.agent_of(&call.services.key(call.method, key)?),
        (None, None) => context::default_agent(settings),
    };
    let mut answer = presented(context::agent_entry(settings, &agent));
    answer["agentId"] = json!(agent.as_str());
    Ok(Reply::Value(answer))
}

/// How an agent presents itself. A picture that is a local file is not served: the emoji or an initial stands for it.
fn presented(entry: Option<&AgentEntry>) -> Value {
    let identity = entry.and_then(|entry| entry.identity.clone()).unwrap_or_default();
    let own = entry.and_then(|entry| set(entry.name.as_ref()));
    let name = set(identity.name.as_ref()).or(own).unwrap_or(NAME_DEFAULT);
    let emoji = set(identity.emoji.as_ref());
    let initial = || name.chars().next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let picture = set(identity.avatar.as_ref());
    let mut answer = json!({ "name": name });
    match picture {
        Some(picture) if is_remote(picture) || picture.starts_with("data:") => {
            let status = if is_remote(picture) { "remote" } else { "data" };
            (answer["avatar"], answer["avatarStatus"]) = (json!(picture), json!(status));
        }
        _ => {
            answer["avatar"] = json!(emoji.map_or_else(initial, str::to_owned));
            answer["avatarStatus"] = json!("none");
            answer["avatarReason"] = json!(if picture.is_some() { "unsupported" } else { "missing" });
        }
    }
    if let Some(emoji) = emoji {
        answer["emoji"] = json!(emoji);
    }
    answer
}

/// A text that says something.
fn set(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn is_remote(avatar: &str) -> bool {
    avatar.starts_with("https://") || avatar.starts_with("http://")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilesParams {
    agent_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileParams {
    agent_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetParams {
    agent_id: String,
    name: String,
    content: String,
}

impl Params for FilesParams {}
impl Params for FileParams {}
impl Params for SetParams {}

async fn files_list(call: Call) -> Result<Reply, ErrorShape> {
    let params: FilesParams = call.params()?;
    let (mut answer, dir) = workspace_of(&call, &params.agent_id)?;
    let list = move || agent_files::NAMES.iter().map(|name| agent_files::about(&dir, name)).collect::<Vec<_>>();
    answer["files"] = Value::Array(task::blocking(list).await.map_err(ErrorShape::unavailable)?);
    Ok(Reply::Value(answer))
}

async fn files_get(call: Call) -> Result<Reply, ErrorShape> {
    let params: FileParams = call.params()?;
    let (mut answer, dir) = workspace_of(&call, &params.agent_id)?;
    let read = task::blocking(move || agent_files::read(&dir, &params.name)).await;
    answer["file"] = read.map_err(ErrorShape::unavailable)?.map_err(refused)?;
    Ok(Reply::Value(answer))
}

async fn files_set(call: Call) -> Result<Reply, ErrorShape> {
    let params: SetParams = call.params()?;
    let (mut answer, dir) = workspace_of(&call, &params.agent_id)?;
    let write = task::blocking(move || agent_files::write(&dir, &params.name, &params.content)).await;
    answer["file"] = write.map_err(ErrorShape::unavailable)?.map_err(refused)?;
    answer["ok"] = json!(true);
    Ok(Reply::Value(answer))
}

/// The beginning of an answer about files, and the directory that they are in.
fn workspace_of(call: &Call, agent: &str) -> Result<(Value, std::path::PathBuf), ErrorShape> {
    let agent = known_agent(&call.services.config.load().settings, Some(agent))?;
    let dir = call.services.context.workspace(&agent);
    Ok((json!({ "agentId": agent.as_str(), "workspace": dir.display().to_string() }), dir))
}

fn refused(error: FileError) -> ErrorShape {
    match error {
        FileError::Io(_) => ErrorShape::unavailable(error.to_string()),
        _ => ErrorShape::invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_configured_agents_are_known() {
        let some = settings(json!({ "agents": { "list": [{ "id": "Ops" }, { "id": "home", "default": true }] } }));
        assert_eq!(known_agent(&some, None).unwrap().as_str(), "home");
        assert_eq!(known_agent(&some, Some("ops")).unwrap().as_str(), "ops");
        assert_eq!(known_agent(&some, Some("main")).unwrap_err().message, "unknown agent id \"main\"");
        assert!(known_agent(&some, Some(" ")).is_err());
        assert_eq!(known_agent(&Settings::default(), Some("main")).unwrap().as_str(), "main");
    }

    #[test]
    fn an_agent_without_an_identity_is_an_initial() {
        assert_eq!(
            presented(None),
            json!({ "name": "Assistant", "avatar": "A", "avatarStatus": "none", "avatarReason": "missing" })
        );
        let check = |avatar: &str, status: &str, shown: &str| {
            let identity = json!({ "name": "Rex", "emoji": "🦖", "avatar": avatar });
            let entry: AgentEntry = serde_json::from_value(json!({ "id": "a", "identity": identity })).unwrap();
            let answer = presented(Some(&entry));
            assert_eq!((&answer["avatarStatus"], &answer["avatar"]), (&json!(status), &json!(shown)), "{answer}");
        };
        check("https://x/y.png", "remote", "https://x/y.png");
        check("data:image/png;base64,AA", "data", "data:image/png;base64,AA");
        check("me.png", "none", "🦖");
        check("", "none", "🦖");
    }

    #[test]
    fn the_model_of_an_agent_is_its_own_or_everybodys() {
        let all = settings(json!({ "agents": { "defaults": { "model": { "primary": "p/m", "fallbacks": ["q/n"] } },
            "list": [{ "id": "a" }, { "id": "b", "model": "r/o" }] } }));
        let of = |id: &str| model_of(&all, context::agent_entry(&all, &AgentId::slug(id))).unwrap();
        assert_eq!(of("a"), json!({ "primary": "p/m", "fallbacks": ["q/n"] }));
        assert_eq!(of("b"), json!({ "primary": "r/o" }));
        assert_eq!(model_of(&Settings::default(), None), None);
    }
}
