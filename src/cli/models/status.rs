//! `openclaw models status`: the chosen model, its fallbacks, and the keys of the providers in use.
//!
//! Invariant: a key is shown by four characters at most. The text is made from the document.
//! Source: command line specification §8.

use clap::Args;
use openclaw_actors::config::Snapshot;
use openclaw_actors::config::settings::ModelChoice;
use openclaw_actors::model::{Catalogue, ModelRef, View};
use serde_json::{Map, Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::setup::default_agent;
use crate::cli::text::{list, masked, string};

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Models of this agent
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print the chosen model only
    #[arg(long)]
    pub plain: bool,
    /// Fail if a key is missing
    #[arg(long)]
    pub check: bool,
    /// Ask the providers themselves
    #[arg(long)]
    pub probe: bool,
}

pub fn run(args: &StatusArgs, context: &Context) -> Outcome {
    if args.probe {
        return Err(Failure::usage(
            "This release does not have --probe; \"openclaw doctor\" asks whether providers can be reached.",
        ));
    }
    let snapshot = context.snapshot()?;
    let document = document(snapshot, context, args.agent.as_deref())?;
    if args.json {
        context.output.json(&document)?;
    } else if args.plain {
        context.output.line(string(&document, "/resolvedDefault").unwrap_or("none"))?;
    } else {
        for line in lines(&document, &|path| context.show(path.as_ref())) {
            context.output.line(line)?;
        }
    }
    let missing = !list(&document, "/auth/missingProvidersInUse").is_empty();
    Ok(if args.check && missing { Exit::Failed } else { Exit::Done })
}

/// One reference as a person wrote it, and those that follow it.
fn chain(choice: Option<&ModelChoice>) -> (Option<String>, Vec<String>) {
    match choice {
        None => (None, Vec::new()),
        Some(ModelChoice::One(model)) => (Some(model.clone()), Vec::new()),
        Some(ModelChoice::Chain { primary, fallbacks }) => (primary.clone(), fallbacks.clone()),
    }
}

fn document(snapshot: &Snapshot, context: &Context, agent: Option<&str>) -> Result<Value, Failure> {
    let settings = &snapshot.settings;
    let id = agent.unwrap_or_else(|| default_agent(settings));
    let entry = settings.agents.list.iter().find(|entry| entry.id == id);
    if agent.is_some() && entry.is_none() && id != "main" {
        return Err(Failure::error(format!("Unknown agent id \"{id}\".")));
    }
    let catalogue = Catalogue::from_settings(settings);
    let own = entry.and_then(|entry| entry.model.as_ref());
    let (primary, fallbacks) = chain(own.or(settings.agents.defaults.model.as_ref()));
    let env = |name: &str| snapshot.env.get(name).map(str::to_owned);
    let by_name = primary.as_deref().and_then(|text| catalogue.reference(text).ok()).map(|found| found.model);
    let resolved = by_name.or_else(|| catalogue.default_model(env));
    let agent_dir = context.paths.state_dir.join("agents").join(id).join("agent");
    let in_use: Vec<ModelRef> = resolved
        .iter()
        .cloned()
        .chain(fallbacks.iter().filter_map(|text| catalogue.reference(text).ok()).map(|found| found.model))
        .collect();
    let providers = providers(snapshot, &catalogue, &in_use);
    let missing: Vec<&str> = providers
        .iter()
        .filter(|provider| provider["inUse"] == json!(true) && provider["effective"]["kind"] == json!("missing"))
        .filter_map(|provider| string(provider, "/provider"))
        .collect();
    let aliases: Map<String, Value> = settings
        .agents
        .defaults
        .models
        .iter()
        .filter_map(|(model, entry)| Some((entry.alias.clone()?, json!(model))))
        .collect();
    Ok(json!({
        "configPath": context.paths.config_path,
        "agentId": id,
        "agentDir": agent_dir,
        "defaultModel": primary,
        "resolvedDefault": resolved.map(|model| model.to_string()),
        "fallbacks": fallbacks,
        "imageModel": null,
        "imageFallbacks": [],
        "aliases": aliases,
        "allowed": settings.agents.defaults.models.keys().collect::<Vec<_>>(),
        "auth": {
            "storePath": agent_dir.join("auth-profiles.json"),
            "shellEnvFallback": { "enabled": false, "appliedKeys": [] },
            "providersWithOAuth": [],
            "missingProvidersInUse": missing,
            "providers": providers,
            "unusableProfiles": [],
            "oauth": { "warnAfterMs": 86_400_000, "profiles": [], "providers": [] },
        },
    }))
}

/// One entry per provider that is configured, in use, or has its key in the environment.
fn providers(snapshot: &Snapshot, catalogue: &Catalogue, in_use: &[ModelRef]) -> Vec<Value> {
    let configured = &snapshot.settings.models.providers;
    let mut models: Vec<ModelRef> = in_use.to_vec();
    let known = catalogue.list(View::All).into_iter().map(|model| ModelRef::new(model.provider, model.id));
    models.extend(known);
    let mut ids: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for model in &models {
        if ids.contains(&model.provider.as_str()) {
            continue;
        }
        ids.push(&model.provider);
        let used = in_use.iter().any(|used| used.provider == model.provider);
        let entry = provider(snapshot, catalogue, model, used);
        if used || configured.contains_key(&model.provider) || entry["effective"]["kind"] == json!("env") {
            found.push(entry);
        }
    }
    found
}

fn provider(snapshot: &Snapshot, catalogue: &Catalogue, model: &ModelRef, in_use: bool) -> Value {
    let secret = |input: &_| snapshot.secrets.resolve(input).map(str::to_owned);
    let target = catalogue.target(model, secret, |name| snapshot.env.get(name).map(str::to_owned));
    let from_config = snapshot.settings.models.providers.get(&model.provider).is_some_and(|p| p.api_key.is_some());
    let (kind, detail, source) = match target {
        Err(error) => ("missing", error.to_string(), String::new()),
        Ok(target) => match target.api_key {
            None => ("none", "no key needed".to_owned(), String::new()),
            Some(key) if from_config => {
                ("config", masked(&key), format!("config: models.providers.{}.apiKey", model.provider))
            }
            Some(key) => ("env", masked(&key), format!("env: {}", variable_of(snapshot, &key))),
        },
    };
    json!({
        "provider": model.provider,
        "inUse": in_use,
        "effective": { "kind": kind, "detail": detail },
        "source": source,
        "profiles": { "count": 0, "oauth": 0, "token": 0, "apiKey": 0, "labels": [] },
    })
}

/// The variable that holds this key.
fn variable_of<'a>(snapshot: &'a Snapshot, key: &str) -> &'a str {
    let holds = |(name, value): &(&str, &str)| name.ends_with("_API_KEY") && value.trim() == key;
    snapshot.env.iter().find(holds).map_or("environment", |(name, _)| name)
}

/// The text of the document.
fn lines(document: &Value, show: &dyn Fn(&str) -> String) -> Vec<String> {
    let path = |pointer: &str| show(string(document, pointer).unwrap_or("-"));
    let texts = |pointer: &str| -> Vec<&str> { list(document, pointer).iter().filter_map(Value::as_str).collect() };
    let or_dash = |texts: &[&str], none: &str| if texts.is_empty() { none.to_owned() } else { texts.join(", ") };
    let (fallbacks, allowed) = (texts("/fallbacks"), texts("/allowed"));
    let aliases: Vec<String> = document["aliases"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(alias, model)| format!("{alias} -> {}", model.as_str().unwrap_or("?")))
        .collect();
    let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    let mut lines = vec![
        format!("Config        : {}", path("/configPath")),
        format!("Agent dir     : {}", path("/agentDir")),
        format!("Default       : {}", string(document, "/resolvedDefault").unwrap_or("-")),
        format!("Fallbacks ({}) : {}", fallbacks.len(), or_dash(&fallbacks, "-")),
        format!("Image model   : {}", string(document, "/imageModel").unwrap_or("-")),
        "Image fallbacks (0): -".to_owned(),
        format!("Aliases ({})   : {}", aliases.len(), or_dash(&aliases, "-")),
        format!("Configured models ({}): {}", allowed.len(), or_dash(&allowed, "all")),
        String::new(),
        "Auth overview".to_owned(),
        format!("Auth store    : {}", path("/auth/storePath")),
        "Shell env     : off".to_owned(),
        "Providers w/ OAuth/tokens (0): -".to_owned(),
    ];
    lines.extend(list(document, "/auth/providers").iter().map(auth));
    lines.extend(["", "OAuth/token status", "- none"].map(str::to_owned));
    lines
}

fn auth(provider: &Value) -> String {
    let at = |pointer: &str| string(provider, pointer).unwrap_or("-");
    let source = string(provider, "/source").map(|source| format!(" | source={source}")).unwrap_or_default();
    format!("- {} effective={}:{}{source}", at("/provider"), at("/effective/kind"), at("/effective/detail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_choice_and_keys() {
        let document = json!({
            "configPath": "/s/openclaw.json", "agentDir": "/s/agents/main/agent",
            "defaultModel": "stub/stub-1", "resolvedDefault": "stub/stub-1",
            "fallbacks": ["a/b"], "imageModel": null, "aliases": { "fast": "a/b" }, "allowed": [],
            "auth": {
                "storePath": "/s/auth-profiles.json",
                "providers": [{
                    "provider": "stub", "effective": { "kind": "config", "detail": "st...56" },
                    "source": "config: models.providers.stub.apiKey"
                }]
            }
        });
        let lines = lines(&document, &|path| path.to_owned());
        for expected in [
            "Config        : /s/openclaw.json",
            "Default       : stub/stub-1",
            "Fallbacks (1) : a/b",
            "Aliases (1)   : fast -> a/b",
            "Configured models (0): all",
            "- stub effective=config:st...56 | source=config: models.providers.stub.apiKey",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
        }
    }

    #[test]
    fn a_choice_is_a_model_with_what_follows() {
        assert_eq!(chain(Some(&ModelChoice::One("a/b".into()))), (Some("a/b".into()), vec![]));
        let choice = ModelChoice::Chain { primary: None, fallbacks: vec!["c/d".into()] };
        assert_eq!(chain(Some(&choice)), (None, vec!["c/d".into()]));
    }
}
