//! The models that there are: the built-in ones and the configured ones, merged; and what it takes to call one.
//!
//! Invariant: a catalogue holds no secret. Keys are looked up when a target is made and live in the target only.
//! Source: model catalogue and provider keys of 2026.5.12.

use std::time::Duration;

use serde::Serialize;

use super::builtin::{self, Builtin, BuiltinModel};
use super::error::ModelError;
use super::provider::Target;
use super::reference::{self, ModelRef};
use super::target::{headers_of, key_from_env, key_of, wire_of};
use crate::config::settings::{ModelCost, ModelsMode, Provider, ProviderModel, SecretInput, Settings};

/// Context window of a model that nobody described, tokens.
pub const CONTEXT_WINDOW_DEFAULT: u64 = 200_000;
/// Limit on its answers, tokens.
pub const MAX_TOKENS_DEFAULT: u64 = 8_192;
/// Longest silence of a model; `timeoutSeconds` of its provider raises it.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(120);

/// A row of `models.list`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    pub id: String,
    pub name: String,
    pub provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Tokens.
    pub context_window: u64,
    pub reasoning: bool,
    /// `text`, `image`, …
    pub input: Vec<String>,
}

/// Which rows `models.list` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What may be chosen: the allowlist, or everything without one.
    Default,
    /// What the configuration names.
    Configured,
    All,
}

/// The models of one generation of the configuration.
#[derive(Debug, Clone)]
pub struct Catalogue {
    settings: Settings,
    models: Vec<Entry>,
    warnings: Vec<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    info: ModelInfo,
    /// Named by the configuration, not only built in.
    configured: bool,
    /// Limit on the answer, tokens.
    max_tokens: u64,
}

impl Catalogue {
    /// Never fails: a provider whose wire we do not speak is left out with a warning.
    pub fn from_settings(settings: &Settings) -> Self {
        let mut catalogue = Self { settings: settings.clone(), models: Vec::new(), warnings: Vec::new() };
        for (id, provider) in &settings.models.providers {
            catalogue.add_configured(id, provider);
        }
        if settings.models.mode == ModelsMode::Merge {
            builtin::PROVIDERS.iter().for_each(|provider| catalogue.add_builtin(provider));
        }
        catalogue.add_named();
        catalogue
    }

    /// For the operator: providers that were left out, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn list(&self, view: View) -> Vec<ModelInfo> {
        let defaults = &self.settings.agents.defaults;
        let shown = |entry: &&Entry| match view {
            View::All => true,
            View::Configured => entry.configured,
            View::Default => reference::is_allowed(&ModelRef::new(&entry.info.provider, &entry.info.id), defaults),
        };
        self.models.iter().filter(shown).map(|entry| entry.info.clone()).collect()
    }

    /// Resolves what somebody wrote (alias, `provider/model`, bare id) and checks it against the allowlist.
    pub fn choose(&self, text: &str) -> Result<reference::Resolved, ModelError> {
        let defaults = &self.settings.agents.defaults;
        let found = self.reference(text)?;
        reference::check_allowed(&found.model, defaults).map(|()| found)
    }

    /// Resolves without the allowlist: for references of the configuration itself.
    pub fn reference(&self, text: &str) -> Result<reference::Resolved, ModelError> {
        let configured = self.models.iter().filter(|entry| entry.configured);
        let known: Vec<ModelRef> = configured.map(|e| ModelRef::new(&e.info.provider, &e.info.id)).collect();
        let defaults = &self.settings.agents.defaults;
        let primary = reference::chain(defaults.model.as_ref()).next().and_then(ModelRef::parse);
        let default_provider =
            primary.map(|model| model.provider).or_else(|| known.first().map(|m| m.provider.clone()));
        reference::resolve(text, defaults, &known, default_provider.as_deref())
    }

    /// The model to use when nobody chose one: the configured default, else the first model of the configuration, else
    /// the first of a built-in provider that has a key, in the configuration or the environment, else none.
    pub fn default_model(&self, env: impl Fn(&str) -> Option<String>) -> Option<ModelRef> {
        let primary = reference::chain(self.settings.agents.defaults.model.as_ref()).next();
        if let Some(primary) = primary.and_then(|text| self.reference(text).ok()) {
            return Some(primary.model);
        }
        let of = |entry: &Entry| ModelRef::new(&entry.info.provider, &entry.info.id);
        let providers = &self.settings.models.providers;
        let in_env = |id: &str| builtin::provider(id).is_some_and(|known| key_from_env(known, &env).is_some());
        let has_key = |id: &str| providers.get(id).is_some_and(|provider| provider.api_key.is_some()) || in_env(id);
        let configured = self.models.iter().find(|entry| entry.configured);
        configured.or_else(|| self.models.iter().find(|entry| has_key(&entry.info.provider))).map(of)
    }

    /// Everything that a call of this model needs. `secret` resolves a configured secret, `env` reads a variable.
    ///
    /// A model that the catalogue does not list is called all the same if its provider is known: providers add models
    /// faster than lists do. The key comes from the provider's configuration, else from its environment variable.
    pub fn target(
        &self,
        model: &ModelRef,
        secret: impl Fn(&SecretInput) -> Option<String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Target, ModelError> {
        let configured = self.settings.models.providers.get(&model.provider);
        let known = self.built_in(&model.provider);
        let described = configured.and_then(|provider| provider.models.iter().find(|m| m.id == model.model));
        let (api, base_url) = wire_of(&model.provider, configured, described, known)?;
        let headers = headers_of(&model.provider, configured, described, &secret)?;
        let api_key = key_of(&model.provider, configured, known, &headers, &secret, &env)?;
        let entry = self.models.iter().find(|e| e.info.provider == model.provider && e.info.id == model.model);
        let mut compat = described.map(|m| m.compat.clone()).unwrap_or_default();
        if compat.max_tokens_field.is_none() {
            compat.max_tokens_field = known.and_then(|known| known.max_tokens_field).map(str::to_owned);
        }
        let provider = configured.cloned().unwrap_or_default();
        Ok(Target {
            provider: model.provider.clone(),
            model: model.model.clone(),
            api: api.to_owned(),
            base_url,
            api_key,
            auth_header: provider.auth_header,
            headers,
            reasoning: entry.is_some_and(|entry| entry.info.reasoning),
            images: entry.is_some_and(|entry| entry.info.input.iter().any(|kind| kind == "image")),
            cost: described.map_or(ModelCost::default(), |m| m.cost),
            context_window: entry.map_or_else(|| window(&provider, None, None), |entry| entry.info.context_window),
            max_tokens: entry
                .map_or_else(|| provider.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT), |entry| entry.max_tokens),
            compat,
            idle: provider.timeout_seconds.map_or(IDLE_DEFAULT, |secs| IDLE_DEFAULT.max(Duration::from_secs(secs))),
        })
    }

    fn add_configured(&mut self, id: &str, provider: &Provider) {
        let known = self.built_in(id);
        if let Err(error) = wire_of(id, Some(provider), None, known) {
            self.warnings.push(format!("{error}; the provider is left out"));
            return;
        }
        for model in &provider.models {
            let built_in = known.and_then(|known| known.models.iter().find(|m| m.id == model.id));
            self.models.push(Entry {
                info: ModelInfo {
                    id: model.id.clone(),
                    name: if model.name.is_empty() { model.id.clone() } else { model.name.clone() },
                    provider: id.to_owned(),
                    alias: self.alias(id, &model.id),
                    context_window: window(provider, Some(model), built_in),
                    reasoning: model.reasoning,
                    input: if model.input.is_empty() { vec!["text".to_owned()] } else { model.input.clone() },
                },
                configured: true,
                max_tokens: model.max_tokens.or(provider.max_tokens).unwrap_or(MAX_TOKENS_DEFAULT),
            });
        }
    }

    /// A configured provider of the same id has its own models first; the built-in ones fill up.
    fn add_builtin(&mut self, provider: &Builtin) {
        for model in provider.models {
            if self.has(provider.id, model.id) {
                continue;
            }
            let configured = self.settings.models.providers.get(provider.id).cloned().unwrap_or_default();
            let kinds: &[&str] = if model.images { &["text", "image"] } else { &["text"] };
            self.models.push(Entry {
                info: ModelInfo {
                    id: model.id.to_owned(),
                    name: model.name.to_owned(),
                    provider: provider.id.to_owned(),
                    alias: self.alias(provider.id, model.id),
                    context_window: window(&configured, None, Some(model)),
                    reasoning: model.reasoning,
                    input: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
                },
                configured: self.is_named(&ModelRef::new(provider.id, model.id)),
                max_tokens: configured.max_tokens.unwrap_or(model.max_tokens),
            });
        }
    }

    /// Models that the configuration names and nobody describes.
    fn add_named(&mut self) {
        let defaults = &self.settings.agents.defaults;
        let named: Vec<ModelRef> = reference::chain(defaults.model.as_ref())
            .chain(defaults.models.keys().map(String::as_str))
            .filter_map(ModelRef::parse)
            .filter(|model| model.model != "*")
            .collect();
        for model in named {
            if self.has(&model.provider, &model.model) || !self.is_known_provider(&model.provider) {
                continue;
            }
            let provider = self.settings.models.providers.get(&model.provider).cloned().unwrap_or_default();
            self.models.push(Entry {
                info: ModelInfo {
                    name: model.model.clone(),
                    alias: self.alias(&model.provider, &model.model),
                    context_window: window(&provider, None, None),
                    reasoning: false,
                    input: vec!["text".to_owned()],
                    id: model.model,
                    provider: model.provider,
                },
                configured: true,
                max_tokens: provider.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT),
            });
        }
    }

    fn has(&self, provider: &str, id: &str) -> bool {
        self.models.iter().any(|entry| entry.info.provider == provider && entry.info.id == id)
    }

    fn built_in(&self, id: &str) -> Option<&'static Builtin> {
        builtin::provider(id).filter(|_| self.settings.models.mode == ModelsMode::Merge)
    }

    fn is_known_provider(&self, id: &str) -> bool {
        wire_of(id, self.settings.models.providers.get(id), None, self.built_in(id)).is_ok()
    }

    fn is_named(&self, model: &ModelRef) -> bool {
        let defaults = &self.settings.agents.defaults;
        let mut named = reference::chain(defaults.model.as_ref()).chain(defaults.models.keys().map(String::as_str));
        named.any(|text| ModelRef::parse(text).as_ref() == Some(model))
    }

    fn alias(&self, provider: &str, id: &str) -> Option<String> {
        self.settings.agents.defaults.models.get(&format!("{provider}/{id}")).and_then(|entry| entry.alias.clone())
    }
}

/// The smallest that is said about the window, tokens: `contextTokens` caps `contextWindow`, on the model or else on
/// its provider.
fn window(provider: &Provider, model: Option<&ProviderModel>, built_in: Option<&BuiltinModel>) -> u64 {
    let window = model.and_then(|m| m.context_window).or(provider.context_window);
    let window = window.or(built_in.map(|m| m.context_window)).unwrap_or(CONTEXT_WINDOW_DEFAULT);
    let cap = model.and_then(|m| m.context_tokens).or(provider.context_tokens);
    cap.map_or(window, |cap| cap.min(window))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn catalogue(value: Value) -> Catalogue {
        Catalogue::from_settings(&serde_json::from_value(value).unwrap())
    }

    fn plain(input: &SecretInput) -> Option<String> {
        match input {
            SecretInput::Plain(text) => Some(text.clone()),
            SecretInput::Ref { .. } => None,
        }
    }

    fn keys(catalogue: &Catalogue, view: View) -> Vec<String> {
        catalogue.list(view).iter().map(|row| format!("{}/{}", row.provider, row.id)).collect()
    }

    fn acme() -> Value {
        json!({"baseUrl": "http://10.0.0.1/v1", "contextTokens": 50_000, "timeoutSeconds": 300, "models": [
            {"id": "m-1", "name": "M One", "reasoning": true, "input": ["text", "image"], "contextWindow": 64_000,
             "maxTokens": 4_096, "cost": {"input": 1.5}, "compat": {"requiresStringContent": true}},
            {"id": "m-2", "name": "", "contextTokens": 9_000},
        ]})
    }

    #[test]
    fn configured_models_come_with_or_instead_of_the_built_in_ones() {
        let merged = catalogue(json!({"models": {"providers": {"acme": acme()}}}));
        let all = keys(&merged, View::All);
        assert_eq!(all[..2], ["acme/m-1", "acme/m-2"]);
        assert!(all.contains(&"openai/gpt-5.2".to_owned()) && all.contains(&"anthropic/claude-opus-4-6".to_owned()));
        assert_eq!(keys(&merged, View::Configured), ["acme/m-1", "acme/m-2"]);
        assert_eq!(keys(&merged, View::Default), all);
        let replaced = catalogue(json!({"models": {"mode": "replace", "providers": {"acme": acme()}}}));
        assert_eq!(keys(&replaced, View::All), ["acme/m-1", "acme/m-2"]);
    }

    #[test]
    fn named_models_are_configured_and_the_allowlist_narrows_the_default_view() {
        let named = catalogue(json!({
            "agents": {"defaults": {"model": "anthropic/claude-next", "models": {
                "openai/gpt-5.2": {"alias": "gpt"}, "groq/*": {}, "nobody/x": {}}}},
        }));
        assert_eq!(keys(&named, View::Configured), ["openai/gpt-5.2", "anthropic/claude-next"]);
        let shown = named.list(View::Default);
        assert!(shown.iter().all(|row| row.provider == "groq" || row.id == "gpt-5.2" || row.id == "claude-next"));
        assert_eq!(shown.iter().find(|row| row.id == "gpt-5.2").unwrap().alias.as_deref(), Some("gpt"));
        assert_eq!(named.choose("GPT").unwrap().model.to_string(), "openai/gpt-5.2");
        assert_eq!(named.choose("openai/gpt-4.1"), Err(ModelError::NotAllowed("openai/gpt-4.1".into())));
        assert_eq!(named.reference("claude-9").unwrap().model.to_string(), "anthropic/claude-9");
    }

    #[test]
    fn rows_have_the_fields_of_the_contract() {
        let rows = catalogue(json!({"models": {"mode": "replace", "providers": {"acme": acme()}}})).list(View::All);
        assert_eq!(
            serde_json::to_value(rows).unwrap(),
            json!([
                {"id": "m-1", "name": "M One", "provider": "acme", "contextWindow": 50_000, "reasoning": true,
                 "input": ["text", "image"]},
                {"id": "m-2", "name": "m-2", "provider": "acme", "contextWindow": 9_000, "reasoning": false,
                 "input": ["text"]},
            ])
        );
    }

    #[test]
    fn a_provider_of_an_unknown_wire_is_left_out_with_a_warning() {
        let catalogue = catalogue(json!({"models": {"mode": "replace", "providers": {
            "odd": {"baseUrl": "http://a", "api": "carrier-pigeon", "models": [{"id": "x", "name": "x"}]}}}}));
        assert_eq!(catalogue.list(View::All), []);
        assert_eq!(catalogue.warnings().len(), 1);
    }

    #[test]
    fn a_target_has_everything_resolved() {
        let catalogue = catalogue(json!({"models": {"providers": {"acme": acme()}}}));
        let target =
            |model: &str| catalogue.target(&ModelRef::parse(model).unwrap(), plain, |_| Some("key".to_owned()));
        let known = target("acme/m-1").unwrap();
        assert_eq!((known.api.as_str(), known.base_url.as_str()), ("openai-completions", "http://10.0.0.1/v1"));
        assert_eq!((known.reasoning, known.images, known.api_key.as_deref()), (true, true, None));
        assert_eq!((known.context_window, known.max_tokens, known.cost.input), (50_000, 4_096, 1.5));
        assert_eq!((known.compat.requires_string_content, known.idle), (true, Duration::from_secs(300)));
        let unlisted = target("acme/m-9").unwrap();
        assert_eq!(
            (unlisted.context_window, unlisted.max_tokens, unlisted.images),
            (50_000, MAX_TOKENS_DEFAULT, false)
        );
        let built_in = target("mistral/mistral-large-latest").unwrap();
        assert_eq!((built_in.api_key.as_deref(), built_in.idle), (Some("key"), IDLE_DEFAULT));
        assert_eq!(built_in.compat.max_tokens_field.as_deref(), Some("max_tokens"));
        assert!(matches!(target("nobody/x"), Err(ModelError::UnknownModel(_))));
    }

    #[test]
    fn without_a_choice_the_configuration_then_the_environment_decides() {
        let env = |name: &str| (name == "GROQ_API_KEY").then(|| "k".to_owned());
        let default = |value: Value| catalogue(value).default_model(env).map(|model| model.to_string());
        assert_eq!(default(json!({})), Some("groq/openai/gpt-oss-120b".into()));
        assert_eq!(default(json!({"models": {"providers": {"acme": acme()}}})), Some("acme/m-1".into()));
        assert_eq!(default(json!({"agents": {"defaults": {"model": "xai/grok-4"}}})), Some("xai/grok-4".into()));
        let keyed = json!({"models": {"providers": {"xai": {"baseUrl": "https://api.x.ai/v1", "apiKey": "k"}}}});
        let found = catalogue(keyed).default_model(|_| None).unwrap();
        assert_eq!(found.to_string(), "xai/grok-4");
        assert_eq!(catalogue(json!({})).default_model(|_| None), None);
    }
}
