//! `GET /v1/models` and `/v1/models/{id}`: agents under the names by which OpenAI clients choose them.
//!
//! A provider's models are never listed: what a client chooses is an agent. Source: HTTP surface of 2026.5.12.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use openclaw_actors::run::context::agents;
use openclaw_actors::session::AgentId;
use serde_json::{Value, json};

use super::answer;
use super::openai_error::Refusal;
use crate::gateway::services::Services;

/// What a `model` text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Default,
    Agent(AgentId),
}

/// Reads `openclaw`, `openclaw/default`, `openclaw/<id>`, `openclaw:<id>` and `agent:<id>`, in any case.
pub fn named(model: &str) -> Option<Named> {
    let lower = model.trim().to_lowercase();
    if lower == "openclaw" || lower == "openclaw/default" {
        return Some(Named::Default);
    }
    let id = ["openclaw/", "openclaw:", "agent:"].iter().find_map(|prefix| lower.strip_prefix(prefix))?;
    let agent = AgentId::slug(id);
    (agent.as_str() == id).then_some(Named::Agent(agent)) // a slug of anything else differs from it
}

/// The whole list.
pub fn list(services: &Arc<Services>) -> Response<Body> {
    let known = agents(&services.config.load().settings);
    let fixed = ["openclaw".to_owned(), "openclaw/default".to_owned()].into_iter();
    let data: Vec<Value> = fixed.chain(known.iter().map(|id| format!("openclaw/{id}"))).map(|id| model(&id)).collect();
    answer::json(StatusCode::OK, &json!({ "object": "list", "data": data }))
}

/// One model; `id` is the rest of the path as it was sent.
pub fn one(services: &Arc<Services>, id: &str) -> Response<Body> {
    match find(id, &agents(&services.config.load().settings)) {
        Ok(id) => answer::json(StatusCode::OK, &model(&id)),
        Err(refusal) => refusal.into_response(),
    }
}

fn find(encoded: &str, known: &[AgentId]) -> Result<String, Refusal> {
    let id = decode(encoded).ok_or_else(|| Refusal::invalid("Invalid model id encoding."))?;
    let id = id.trim().to_owned();
    if id.is_empty() {
        return Err(Refusal::invalid("Missing model id."));
    }
    match named(&id) {
        None => Err(Refusal::invalid("Invalid model id.")),
        Some(Named::Agent(agent)) if !known.contains(&agent) => {
            Err(Refusal::NotFound(format!("Model '{id}' not found.")))
        }
        Some(_) => Ok(id),
    }
}

/// Percent-decodes; `None` for a broken escape or bytes that are no text.
fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": "openclaw", "permission": [] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_names_an_agent_in_any_of_its_forms() {
        let agent = |id: &str| Some(Named::Agent(AgentId::slug(id)));
        for (text, expected) in [
            ("openclaw", Some(Named::Default)),
            ("OpenClaw/Default", Some(Named::Default)),
            ("openclaw/ops", agent("ops")),
            ("openclaw:Ops", agent("ops")),
            ("agent:ops_2", agent("ops_2")),
            ("gpt-4o", None),
            ("openclaw/", None),
            ("openclaw/-x", None),
            ("openclaw/a b", None),
            ("", None),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
        assert_eq!(named(&format!("openclaw/{}", "a".repeat(65))), None);
    }

    #[test]
    fn one_model_is_found_or_refused_in_the_words_of_the_contract() {
        let known = [AgentId::main()];
        for (encoded, expected) in [
            ("openclaw%2Fmain", Ok("openclaw/main".to_owned())),
            ("openclaw/main", Ok("openclaw/main".to_owned())),
            ("gpt-4", Err(Refusal::invalid("Invalid model id."))),
            ("%20", Err(Refusal::invalid("Missing model id."))),
            ("openclaw%2", Err(Refusal::invalid("Invalid model id encoding."))),
            ("openclaw%+1", Err(Refusal::invalid("Invalid model id encoding."))),
            ("%ff", Err(Refusal::invalid("Invalid model id encoding."))),
            ("openclaw%2Fnope", Err(Refusal::NotFound("Model 'openclaw/nope' not found.".into()))),
        ] {
            assert_eq!(find(encoded, &known), expected, "{encoded}");
        }
        assert_eq!(
            model("openclaw"),
            json!({"id": "openclaw", "object": "model", "created": 0, "owned_by": "openclaw", "permission": []})
        );
    }
}
