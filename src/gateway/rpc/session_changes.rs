//! `sessions.patch`, `sessions.reset`, `sessions.delete`: for admins, each one message to the session.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::session::AgentRuntime;
use openclaw_actors::protocol::session_calls::{
    ResetReason, ResolvedModel, SessionsDelete, SessionsDeleteResult, SessionsPatch, SessionsPatchResult,
    SessionsReset, SessionsResetResult,
};
use openclaw_actors::session::{SessionEntry, SessionKey, SessionMsg};
use serde_json::{Map, Value};

use super::{Call, Reply, sessions};
use crate::gateway::services::Services;
use crate::gateway::turns::refused;

pub async fn patch(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsPatch = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    let entry = apply(&call.services, &key, request.changes).await?;
    let defaults = call.services.context.session_defaults(&key);
    let row = entry.row(&key, Default::default(), &defaults);
    Reply::of(&SessionsPatchResult {
        ok: true,
        path: sessions::path(&call.services),
        key: key.as_str().to_owned(),
        entry: entry.to_value(),
        resolved: ResolvedModel {
            model_provider: row.model_provider,
            model: row.model,
            agent_runtime: AgentRuntime::default(),
        },
    })
}

/// Changes a session's preferences; it is created if it does not exist. A model is refused unless it may be chosen.
pub async fn apply(
    services: &Services,
    key: &SessionKey,
    mut changes: Map<String, Value>,
) -> Result<SessionEntry, ErrorShape> {
    if let Some(model) = changes.get_mut("model") {
        canonical_model(model, |text| services.context.models.resolve(text))?;
    }
    services.ask_session(key, |reply| SessionMsg::Patch(changes.clone(), reply)).await?.map_err(refused)
}

/// Writes a model as `provider/model`; `null` stays and means the agent's own.
fn canonical_model(
    model: &mut Value,
    resolve: impl Fn(&str) -> Result<(String, String), String>,
) -> Result<(), ErrorShape> {
    if model.is_null() {
        return Ok(());
    }
    let Some(text) = model.as_str().map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(ErrorShape::invalid("invalid model: must be a non-empty string or null"));
    };
    let (provider, name) = resolve(text).map_err(|_| ErrorShape::invalid(format!("model not allowed: {text}")))?;
    *model = format!("{provider}/{name}").into();
    Ok(())
}

pub async fn reset(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsReset = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    let reason = request.reason.unwrap_or(ResetReason::Reset);
    let entry = call.services.ask_session(&key, |reply| SessionMsg::Reset(reason, reply)).await?.map_err(refused)?;
    Reply::of(&SessionsResetResult { ok: true, key: key.as_str().to_owned(), entry: entry.to_value() })
}

/// The transcript is archived in the database, whatever `deleteTranscript` says: no file is written.
pub async fn delete(call: Call) -> Result<Reply, ErrorShape> {
    let request: SessionsDelete = call.params()?;
    let key = call.services.key(call.method, &request.key)?;
    if key.is_main() {
        return Err(ErrorShape::invalid(format!("Cannot delete the main session ({key}).")));
    }
    let deleted = call.services.ask_session(&key, SessionMsg::Delete).await?.map_err(refused)?;
    Reply::of(&SessionsDeleteResult { ok: true, key: key.as_str().to_owned(), deleted, archived: Vec::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_is_stored_by_its_full_name_or_refused() {
        let resolve = |text: &str| match text {
            "fast" => Ok(("fake".to_owned(), "fake-1".to_owned())),
            _ => Err("no".to_owned()),
        };
        for (given, expected) in [
            (json!("fast"), Ok(json!("fake/fake-1"))),
            (json!(null), Ok(json!(null))),
            (json!("none/nope"), Err("model not allowed: none/nope")),
            (json!("  "), Err("invalid model: must be a non-empty string or null")),
            (json!(5), Err("invalid model: must be a non-empty string or null")),
        ] {
            let mut model = given;
            let done = canonical_model(&mut model, resolve);
            assert_eq!(done.map(|()| model).map_err(|error| error.message), expected.map_err(str::to_owned));
        }
    }
}
