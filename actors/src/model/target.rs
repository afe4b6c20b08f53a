//! What it takes to call a model: wire, address, headers and key, from the configuration or built in.
//!
//! Invariant: an error names the provider and what is missing, never a value.

use std::collections::BTreeMap;

use super::builtin::Builtin;
use super::error::ModelError;
use super::openai_completions;
use super::wires::spoken;
use crate::config::settings::{Provider, ProviderModel, SecretInput};

/// Wire and base URL: the model's own, else its provider's, else the built-in one's.
pub fn wire_of(
    id: &str,
    configured: Option<&Provider>,
    model: Option<&ProviderModel>,
    known: Option<&Builtin>,
) -> Result<(&'static str, String), ModelError> {
    let of_provider = configured.map(|provider| provider.base_url.as_str()).filter(|url| !url.is_empty());
    let base_url = model.and_then(|m| m.base_url.as_deref()).or(of_provider).or(known.map(|known| known.base_url));
    let Some(base_url) = base_url else {
        let text = if configured.is_some() {
            format!("models.providers.{id}.baseUrl is missing")
        } else {
            format!("model provider `{id}` is not known: add models.providers.{id} to the configuration")
        };
        return Err(ModelError::UnknownModel(text));
    };
    // the built-in wire belongs to the built-in address: another address may be anything
    let built_in = known.filter(|known| of_provider.is_none_or(|url| is_at(known, url)));
    let api = model.and_then(|m| m.api.as_deref()).or_else(|| configured.and_then(|provider| provider.api.as_deref()));
    let api = api.or(built_in.map(|known| known.api)).unwrap_or(openai_completions::API);
    spoken(api, base_url).ok_or_else(|| {
        ModelError::Unusable(format!("models.providers.{id}.api: `{api}` is not a wire that this gateway speaks"))
    })
}

/// Configured headers, those of the model over those of the provider.
pub fn headers_of(
    id: &str,
    configured: Option<&Provider>,
    model: Option<&ProviderModel>,
    secret: impl Fn(&SecretInput) -> Option<String>,
) -> Result<BTreeMap<String, String>, ModelError> {
    let of_provider = configured.into_iter().flat_map(|provider| &provider.headers);
    let of_model = model.into_iter().flat_map(|model| &model.headers);
    let resolve = |(name, input): (&String, &SecretInput)| match secret(input) {
        Some(value) => Ok((name.clone(), value)),
        None => Err(ModelError::MissingKey(format!("models.providers.{id}.headers.{name} could not be resolved"))),
    };
    of_provider.chain(of_model).map(resolve).collect()
}

/// The key: the configured one, else the environment's. Only a built-in provider at its own address must have one:
/// local servers have none, and a header may stand in for it.
pub fn key_of(
    id: &str,
    configured: Option<&Provider>,
    known: Option<&Builtin>,
    headers: &BTreeMap<String, String>,
    secret: impl Fn(&SecretInput) -> Option<String>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, ModelError> {
    if let Some(input) = configured.and_then(|provider| provider.api_key.as_ref()) {
        let key = secret(input).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let missing =
            || ModelError::MissingKey(format!("models.providers.{id}.apiKey is empty or could not be resolved"));
        return key.map(Some).ok_or_else(missing);
    }
    let Some(known) = known else { return Ok(None) };
    if let Some(key) = key_from_env(known, env) {
        return Ok(Some(key));
    }
    let has_own = |name: &str| headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    let elsewhere = configured.is_some_and(|provider| !is_at(known, &provider.base_url));
    if elsewhere || has_own("authorization") || has_own("x-api-key") {
        return Ok(None);
    }
    let variables = known.key_env.join(" or ");
    Err(ModelError::MissingKey(format!(
        "no API key for provider `{id}`: set models.providers.{id}.apiKey or {variables}"
    )))
}

/// The first of the provider's variables that is set to something.
pub fn key_from_env(provider: &Builtin, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &&str| env(name).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    provider.key_env.iter().find_map(set)
}

fn is_at(known: &Builtin, base_url: &str) -> bool {
    base_url.is_empty() || base_url.trim_end_matches('/') == known.base_url
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::builtin;

    fn provider(value: Value) -> Provider {
        serde_json::from_value(value).unwrap()
    }

    fn plain(input: &SecretInput) -> Option<String> {
        match input {
            SecretInput::Plain(text) => Some(text.clone()),
            SecretInput::Ref { .. } => None,
        }
    }

    #[test]
    fn the_wire_comes_from_the_model_its_provider_or_the_table() {
        let openai = builtin::provider("openai");
        let local = json!({"baseUrl": "http://10.0.0.1/v1"});
        for (configured, model, known, expected) in [
            (Some(local.clone()), None, None, "openai-completions http://10.0.0.1/v1"),
            (Some(local.clone()), None, openai, "openai-completions http://10.0.0.1/v1"),
            (Some(json!({"apiKey": "x"})), None, openai, "openai-responses https://api.openai.com/v1"),
            (None, None, openai, "openai-responses https://api.openai.com/v1"),
            (
                Some(json!({"baseUrl": "http://a", "api": "anthropic-messages"})),
                None,
                None,
                "anthropic-messages http://a",
            ),
            (
                Some(local.clone()),
                Some(json!({"api": "openai-responses", "baseUrl": "http://b/v1"})),
                None,
                "openai-responses http://b/v1",
            ),
        ] {
            let configured = configured.map(provider);
            let model: Option<ProviderModel> = model.map(|value| serde_json::from_value(value).unwrap());
            let (api, url) = wire_of("p", configured.as_ref(), model.as_ref(), known).unwrap();
            assert_eq!(format!("{api} {url}"), expected);
        }
        for (configured, expected) in [
            (None, "model provider `p` is not known: add models.providers.p to the configuration"),
            (Some(json!({})), "models.providers.p.baseUrl is missing"),
            (
                Some(json!({"baseUrl": "http://a", "api": "carrier-pigeon"})),
                "models.providers.p.api: `carrier-pigeon` is not a wire that this gateway speaks",
            ),
        ] {
            let configured = configured.map(provider);
            assert_eq!(wire_of("p", configured.as_ref(), None, None).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_key_comes_from_the_configuration_then_from_the_environment() {
        let openai = builtin::provider("openai");
        let with_env = |name: &str| (name == "OPENAI_API_KEY").then(|| " env-key ".to_owned());
        let no_env = |_: &str| None;
        let unresolved = json!({"apiKey": {"source": "env", "id": "NOT_SET"}});
        let header = BTreeMap::from([("Authorization".to_owned(), "Basic x".to_owned())]);
        let none = BTreeMap::new();
        let key =
            |configured: Value, known, headers: &BTreeMap<String, String>, env: &dyn Fn(&str) -> Option<String>| {
                key_of("openai", Some(&provider(configured)), known, headers, plain, env)
                    .map_err(|error| error.to_string())
            };
        assert_eq!(key(json!({"apiKey": "own"}), openai, &none, &with_env), Ok(Some("own".into())));
        assert_eq!(key(json!({}), openai, &none, &with_env), Ok(Some("env-key".into())));
        assert_eq!(key(json!({}), openai, &header, &no_env), Ok(None));
        assert_eq!(key(json!({"baseUrl": "http://10.0.0.1/v1"}), openai, &none, &no_env), Ok(None));
        assert_eq!(key(json!({}), None, &none, &no_env), Ok(None));
        assert_eq!(
            key(json!({}), openai, &none, &no_env),
            Err("no API key for provider `openai`: set models.providers.openai.apiKey or OPENAI_API_KEY".into())
        );
        for bad in [unresolved, json!({"apiKey": " "})] {
            assert_eq!(
                key(bad, openai, &none, &with_env),
                Err("models.providers.openai.apiKey is empty or could not be resolved".into())
            );
        }
    }

    #[test]
    fn headers_of_the_model_win_and_an_unresolved_one_is_named() {
        let configured = provider(json!({"headers": {"x-a": "1", "x-b": "1"}}));
        let model: ProviderModel = serde_json::from_value(json!({"headers": {"x-b": "2"}})).unwrap();
        let headers = headers_of("p", Some(&configured), Some(&model), plain).unwrap();
        assert_eq!(headers, BTreeMap::from([("x-a".into(), "1".into()), ("x-b".into(), "2".into())]));
        let configured = provider(json!({"headers": {"x-c": {"source": "env", "id": "NOT_SET"}}}));
        let error = headers_of("p", Some(&configured), None, plain).unwrap_err().to_string();
        assert_eq!(error, "models.providers.p.headers.x-c could not be resolved");
    }
}
