//! What a chat completion asks for, read from its headers and body.

use axum::http::HeaderMap;
use openclaw_actors::run::context::{Context, agents};
use openclaw_actors::run::message::{Authority, Turn, TurnImage, TurnKind};
use openclaw_actors::session::{AgentId, KeyRules, SessionKey};
use serde_json::Value;
use uuid::Uuid;

use super::models::{Named, named};
use super::openai_error::Refusal;
use super::prompt_messages;
use crate::gateway::rpc::attachments;

/// Images of one request at most, and their bytes: each, and all together.
const IMAGES_MAX: usize = 8;
const IMAGE_BYTES_MAX: usize = 10 * 1024 * 1024;
const IMAGES_BYTES_MAX: usize = 20 * 1024 * 1024;

/// A request that can be served.
pub struct Wish {
    pub key: SessionKey,
    pub turn: Turn,
    /// The `model` text as it was sent.
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
}

/// Reads a request. `now` is in milliseconds since the epoch.
pub fn read(
    context: &Context,
    may_choose_model: bool,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<Wish, Refusal> {
    let body = parse(body)?;
    check_tools(&body)?;
    let model = body.get("model").and_then(Value::as_str).unwrap_or("openclaw").to_owned();
    let rules = context.key_rules();
    let known = agents(&context.config.load().settings);
    let agent_header = header(headers, &["x-openclaw-agent-id", "x-openclaw-agent"]);
    let agent = agent(&model, agent_header, &known)?;
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let prompt =
        prompt_messages::read(messages).ok_or_else(|| Refusal::invalid("Missing user message in `messages`."))?;
    let user = body.get("user").and_then(Value::as_str);
    let session = Session { header: header(headers, &["x-openclaw-session-key"]), user, agent: agent.as_ref() };
    let key = session_key(session, &rules, &known)?;
    let agent = key.agent().unwrap_or(rules.default_agent);
    let chosen = header(headers, &["x-openclaw-model"]);
    let turn = Turn {
        run_id: format!("chatcmpl_{}", Uuid::new_v4()),
        kind: TurnKind::Http,
        text: prompt.text,
        images: images(&prompt.images)?,
        model: chosen
            .map(|text| backend_model(text, may_choose_model, &agent, |text| context.models.resolve(text)))
            .transpose()?,
        thinking: None,
        extra_system_prompt: prompt.system,
        timeout_seconds: None,
        max_tokens: ["max_completion_tokens", "max_tokens"].iter().find_map(|name| body.get(*name)?.as_u64()),
        channel: Some(header(headers, &["x-openclaw-message-channel"]).unwrap_or("webchat").to_owned()),
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now,
    };
    let flag = |pointer: &str| body.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    Ok(Wish { key, turn, model, stream: flag("/stream"), include_usage: flag("/stream_options/include_usage") })
}

/// The body as JSON; an empty one is an empty object.
fn parse(body: &[u8]) -> Result<Value, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Default::default()));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::invalid(error.to_string()))
}

/// The first of these headers that says something.
fn header<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    let said = |name: &&str| headers.get(*name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty());
    names.iter().find_map(said)
}

/// Client tools are refused, not ignored, unless the request itself says not to use them.
fn check_tools(body: &Value) -> Result<(), Refusal> {
    let refuse = |reason: &str| Err(Refusal::invalid(format!("Invalid tools/tool_choice: {reason}")));
    let tools = match body.get("tools") {
        None | Some(Value::Null) => 0,
        Some(Value::Array(tools)) => tools.len(),
        Some(_) => return refuse("tools must be an array"),
    };
    match body.get("tool_choice") {
        Some(Value::String(choice)) if choice == "none" => Ok(()),
        Some(Value::String(choice)) if choice == "required" => refuse("tool_choice=required is not supported"),
        Some(Value::Object(_)) => refuse("tool_choice=function is not supported"),
        _ if tools > 0 => refuse("client tools are not supported"),
        _ => Ok(()),
    }
}

/// The agent that the header names, else the model; `None` when neither does. It must exist.
fn agent(model: &str, header: Option<&str>, known: &[AgentId]) -> Result<Option<AgentId>, Refusal> {
    let by_model =
        named(model).ok_or_else(|| Refusal::invalid("Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."))?;
    let agent = match (header, by_model) {
        (Some(text), _) => AgentId::slug(text),
        (None, Named::Agent(agent)) => agent,
        (None, Named::Default) => return Ok(None),
    };
    exists(&agent, known).map(|()| Some(agent))
}

fn exists(agent: &AgentId, known: &[AgentId]) -> Result<(), Refusal> {
    if known.contains(agent) { Ok(()) } else { Err(Refusal::invalid(format!("Unknown agent '{agent}'."))) }
}

/// What a request says about its session.
#[derive(Debug, Clone, Copy, Default)]
struct Session<'a> {
    header: Option<&'a str>,
    user: Option<&'a str>,
    agent: Option<&'a AgentId>,
}

/// The session that the header names, else the one of the `user`, else a fresh one.
fn session_key(session: Session<'_>, rules: &KeyRules, known: &[AgentId]) -> Result<SessionKey, Refusal> {
    let agent = session.agent.unwrap_or(&rules.default_agent);
    let rules = KeyRules { default_agent: agent.clone(), scope: rules.scope };
    let parse = |raw: &str| SessionKey::parse(raw, &rules).map_err(|error| Refusal::invalid(error.to_string()));
    let Some(raw) = session.header else {
        return match session.user.map(str::trim).filter(|user| !user.is_empty()) {
            Some(user) => parse(&format!("agent:{agent}:openai-user:{user}")),
            None => parse(&format!("agent:{agent}:openai:{}", Uuid::new_v4())),
        };
    };
    let key = parse(raw)?;
    if key.is_reserved() {
        let text = "`x-openclaw-session-key` cannot use reserved internal session namespaces.";
        return Err(Refusal::invalid(text));
    }
    match (session.agent, key.agent()) {
        (Some(agent), _) => key.require_agent(agent).map_err(|error| Refusal::invalid(error.to_string()))?,
        (None, Some(agent)) => exists(&agent, known)?,
        (None, None) => {}
    }
    Ok(key)
}

/// The model behind the agent for this request.
fn backend_model(
    text: &str,
    may_choose: bool,
    agent: &AgentId,
    resolve: impl Fn(&str) -> Result<(String, String), String>,
) -> Result<String, Refusal> {
    if !may_choose {
        return Err(Refusal::Forbidden("missing scope: operator.admin".into()));
    }
    match resolve(text) {
        Ok((provider, model)) => Ok(format!("{provider}/{model}")),
        Err(_) if text.contains('/') => {
            Err(Refusal::invalid(format!("Model '{text}' is not allowed for agent '{agent}'.")))
        }
        Err(_) => Err(Refusal::invalid("Invalid `x-openclaw-model`.")),
    }
}

/// Only `data:` addresses: nothing is fetched for a client.
fn images(urls: &[String]) -> Result<Vec<TurnImage>, Refusal> {
    let refused = || Refusal::invalid("Invalid image_url content in `messages`.");
    if urls.len() > IMAGES_MAX {
        return Err(refused());
    }
    let image = |url: &String| {
        let (_, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
        attachments::image(data, IMAGE_BYTES_MAX).ok()
    };
    let images: Vec<TurnImage> = urls.iter().map(image).collect::<Option<_>>().ok_or_else(refused)?;
    let bytes: usize = images.iter().map(|image| image.data.len() / 4 * 3).sum();
    if bytes > IMAGES_BYTES_MAX { Err(refused()) } else { Ok(images) }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::settings::SessionScope;
    use serde_json::json;

    use super::*;

    fn refused<T>(message: &str) -> Result<T, Refusal> {
        Err(Refusal::invalid(message))
    }

    #[test]
    fn the_header_chooses_the_agent_before_the_model_does() {
        let known = [AgentId::slug("home"), AgentId::slug("ops")];
        for (model, header, expected) in [
            ("openclaw", None, Ok(None)),
            ("openclaw/ops", None, Ok(Some("ops"))),
            ("openclaw/home", Some("OPS"), Ok(Some("ops"))),
            ("openclaw/x", None, refused("Unknown agent 'x'.")),
            ("openclaw", Some("x"), refused("Unknown agent 'x'.")),
            ("gpt-4o", None, refused("Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.")),
        ] {
            let expected = expected.map(|id| id.map(AgentId::slug));
            assert_eq!(agent(model, header, &known), expected, "{model} {header:?}");
        }
    }

    #[test]
    fn the_session_is_the_named_one_or_the_users() {
        let rules = KeyRules { default_agent: AgentId::slug("home"), scope: SessionScope::PerSender };
        let ops = AgentId::slug("ops");
        let known = [AgentId::slug("home"), ops.clone()];
        let key = |session| session_key(session, &rules, &known).map(|key| key.as_str().to_owned());
        let of_ops = Session { agent: Some(&ops), ..Session::default() };
        let reserved = "`x-openclaw-session-key` cannot use reserved internal session namespaces.";
        let mismatch = r#"agent "ops" does not match session key agent "home""#;
        for (session, expected) in [
            (Session { header: Some("notes"), user: Some("u"), ..of_ops }, Ok("agent:ops:notes")),
            (Session { user: Some("U 1"), ..of_ops }, Ok("agent:ops:openai-user:u 1")),
            (Session { user: Some("u"), ..Session::default() }, Ok("agent:home:openai-user:u")),
            (Session { header: Some("agent:ops:x"), ..Session::default() }, Ok("agent:ops:x")),
            (Session { header: Some("agent:gone:x"), ..Session::default() }, refused("Unknown agent 'gone'.")),
            (Session { header: Some("agent:home:x"), ..of_ops }, refused(mismatch)),
            (Session { header: Some("cron:x"), ..of_ops }, refused(reserved)),
            (Session { header: Some("agent:ops:subagent:1"), ..of_ops }, refused(reserved)),
            (Session { header: Some("agent:"), ..of_ops }, refused(r#"malformed session key "agent:""#)),
        ] {
            assert_eq!(key(session), expected.map(str::to_owned), "{session:?}");
        }
        assert!(key(Session { user: Some(" "), ..of_ops }).unwrap().starts_with("agent:ops:openai:"));
    }

    #[test]
    fn tools_of_the_client_are_refused_unless_they_are_not_to_be_used() {
        let tool = json!([{"type": "function", "function": {"name": "get_weather"}}]);
        for (body, problem) in [
            (json!({}), None),
            (json!({"tools": []}), None),
            (json!({"tools": tool, "tool_choice": "none"}), None),
            (json!({"tools": tool}), Some("client tools are not supported")),
            (json!({"tools": {}}), Some("tools must be an array")),
            (json!({"tools": tool, "tool_choice": "required"}), Some("tool_choice=required is not supported")),
            (json!({"tool_choice": {"type": "function"}}), Some("tool_choice=function is not supported")),
        ] {
            let expected = problem.map_or(Ok(()), |text| refused(&format!("Invalid tools/tool_choice: {text}")));
            assert_eq!(check_tools(&body), expected, "{body}");
        }
    }

    #[test]
    fn a_backend_model_needs_the_right_to_choose_it() {
        let agent = AgentId::slug("ops");
        let resolve =
            |text: &str| if text == "fake/fake-1" { Ok(("fake".into(), "fake-1".into())) } else { Err(String::new()) };
        assert_eq!(backend_model("fake/fake-1", true, &agent, resolve), Ok("fake/fake-1".into()));
        assert_eq!(backend_model("x/y", true, &agent, resolve), refused("Model 'x/y' is not allowed for agent 'ops'."));
        assert_eq!(backend_model("nope", true, &agent, resolve), refused("Invalid `x-openclaw-model`."));
        let missing = Err(Refusal::Forbidden("missing scope: operator.admin".into()));
        assert_eq!(backend_model("fake/fake-1", false, &agent, resolve), missing);
    }

    #[test]
    fn only_images_that_come_with_the_request_are_taken() {
        let gif = "data:image/gif;base64,R0lGODlh".to_owned();
        assert_eq!(images(std::slice::from_ref(&gif)).unwrap()[0].mime_type, "image/gif");
        assert!(images(&vec![gif.clone(); IMAGES_MAX + 1]).is_err());
        for url in ["https://example.com/a.gif", "data:image/gif,R0lG", "data:text/plain;base64,aGk=", ""] {
            assert_eq!(images(&[url.to_owned()]), refused("Invalid image_url content in `messages`."), "{url}");
        }
    }

    #[test]
    fn an_empty_body_is_an_empty_object_and_a_broken_one_is_refused() {
        assert_eq!(parse(b" \n"), Ok(json!({})));
        assert!(matches!(parse(b"{bad"), Err(Refusal::Invalid(_))));
    }
}
