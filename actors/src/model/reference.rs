//! Model references: how `provider/model`, an alias or a bare id becomes one model, and whether it may be used.
//!
//! Source: model reference and allowlist rules of 2026.5.12.

use std::fmt;

use super::error::ModelError;
use crate::config::settings::{AgentDefaults, ModelChoice};

/// A model by provider and id. The id may contain further slashes: only the first one splits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    pub provider: String,
    pub model: String,
}

impl ModelRef {
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into() }
    }

    /// `provider/model`; `None` without a slash or with nothing on one side of it.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.trim().split_once('/')?;
        let (provider, model) = (provider.trim(), model.trim());
        (!provider.is_empty() && !model.is_empty()).then(|| Self::new(provider, model))
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// What a reference resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub model: ModelRef,
    /// It was a bare id that nothing knows, put on the default provider: deprecated, worth a warning.
    pub guessed: bool,
}

/// Resolves what a person or the configuration wrote: alias, then `provider/model`, then a bare id that exactly one of
/// `known` has, then a bare id on `default_provider`.
pub fn resolve(
    text: &str,
    defaults: &AgentDefaults,
    known: &[ModelRef],
    default_provider: Option<&str>,
) -> Result<Resolved, ModelError> {
    let text = text.trim();
    let certain = |model| Ok(Resolved { model, guessed: false });
    if let Some(model) = by_alias(text, defaults).or_else(|| ModelRef::parse(text)) {
        return certain(model);
    }
    let mut same_id = known.iter().filter(|model| model.model == text);
    match (same_id.next(), same_id.next(), default_provider) {
        (Some(only), None, _) => certain(only.clone()),
        _ if text.is_empty() || text.contains('/') => {
            Err(ModelError::UnknownModel(format!("`{text}` is not a model reference; write provider/model")))
        }
        (_, _, Some(provider)) => Ok(Resolved { model: ModelRef::new(provider, text), guessed: true }),
        (Some(_), Some(_), None) => {
            Err(ModelError::UnknownModel(format!("several providers have a model `{text}`; write provider/model")))
        }
        _ => Err(ModelError::UnknownModel(format!("no model or alias is called `{text}`; write provider/model"))),
    }
}

/// The model with this alias; letter case does not matter.
pub fn by_alias(alias: &str, defaults: &AgentDefaults) -> Option<ModelRef> {
    let lower = alias.to_lowercase();
    let has_alias = |given: &Option<String>| given.as_ref().is_some_and(|given| given.trim().to_lowercase() == lower);
    let found = defaults.models.iter().find(|(_, entry)| has_alias(&entry.alias));
    found.and_then(|(reference, _)| ModelRef::parse(reference))
}

/// May this model be chosen? `agents.defaults.models` is the list of those that may, `provider/*` for all of one
/// provider; empty allows everything. The configured default and its fallbacks need no entry.
pub fn is_allowed(model: &ModelRef, defaults: &AgentDefaults) -> bool {
    let listed = |entry: &str| {
        ModelRef::parse(entry)
            .is_some_and(|e| e.provider == model.provider && (e.model == "*" || e.model == model.model))
    };
    let is_default = chain(defaults.model.as_ref())
        .any(|text| by_alias(text, defaults).or_else(|| ModelRef::parse(text)).as_ref() == Some(model));
    defaults.models.is_empty() || is_default || defaults.models.keys().any(|entry| listed(entry))
}

/// `Err` carries the text for whoever asked.
pub fn check_allowed(model: &ModelRef, defaults: &AgentDefaults) -> Result<(), ModelError> {
    if is_allowed(model, defaults) { Ok(()) } else { Err(ModelError::NotAllowed(model.to_string())) }
}

/// The references of a choice, the primary first.
pub fn chain(choice: Option<&ModelChoice>) -> impl Iterator<Item = &str> {
    let (primary, fallbacks) = match choice {
        Some(ModelChoice::One(one)) => (Some(one), [].as_slice()),
        Some(ModelChoice::Chain { primary, fallbacks }) => (primary.as_ref(), fallbacks.as_slice()),
        None => (None, [].as_slice()),
    };
    primary.into_iter().chain(fallbacks).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn defaults(value: Value) -> AgentDefaults {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_the_first_slash_splits() {
        for (text, expected) in [
            ("openai/gpt-5", Some(("openai", "gpt-5"))),
            ("openrouter/meta/llama-4", Some(("openrouter", "meta/llama-4"))),
            (" a / b ", Some(("a", "b"))),
            ("gpt-5", None),
            ("/gpt-5", None),
            ("openai/", None),
            ("", None),
        ] {
            assert_eq!(ModelRef::parse(text), expected.map(|(p, m)| ModelRef::new(p, m)), "{text:?}");
        }
    }

    #[test]
    fn references_are_resolved_in_order() {
        let defaults = defaults(json!({"models": {"a/one": {"alias": "Fast"}, "b/two": {}}}));
        let known = [ModelRef::new("a", "one"), ModelRef::new("b", "two"), ModelRef::new("c", "two")];
        for (text, default_provider, expected) in [
            ("fast", None, Some(("a/one", false))),
            ("x/y/z", None, Some(("x/y/z", false))),
            ("one", Some("d"), Some(("a/one", false))),
            ("two", Some("d"), Some(("d/two", true))),
            ("three", Some("d"), Some(("d/three", true))),
            ("two", None, None),
            ("three", None, None),
            ("", Some("d"), None),
            ("x/", Some("d"), None),
        ] {
            let found = resolve(text, &defaults, &known, default_provider).ok();
            let found = found.map(|found| (found.model.to_string(), found.guessed));
            assert_eq!(found, expected.map(|(model, guessed)| (model.to_owned(), guessed)), "{text:?}");
        }
    }

    #[test]
    fn the_allowlist_lets_through_what_it_names_and_the_default() {
        let list = json!({
            "model": {"primary": "p/main", "fallbacks": ["q/second"]},
            "models": {"a/one": {}, "b/*": {}},
        });
        for (model, expected) in [
            ("a/one", true),
            ("a/two", false),
            ("b/anything/at/all", true),
            ("p/main", true),
            ("q/second", true),
            ("q/third", false),
        ] {
            let model = ModelRef::parse(model).unwrap();
            assert_eq!(is_allowed(&model, &defaults(list.clone())), expected, "{model}");
            assert!(is_allowed(&model, &defaults(json!({}))), "{model} without a list");
        }
        let refused = check_allowed(&ModelRef::new("a", "two"), &defaults(list)).unwrap_err();
        assert_eq!(refused, ModelError::NotAllowed("a/two".into()));
    }
}
