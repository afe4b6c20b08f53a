//! `openclaw setup`: the smallest configuration and workspace that work.
//!
//! Invariant: adds what is missing and changes nothing that is there, so running it again is harmless.
//! Source: command line specification §5.2; the token is written (§2.5 a), so that every local command can authenticate.

use std::path::{Path, PathBuf};

use clap::Args;
use openclaw_actors::config::paths::expand_tilde;
use openclaw_actors::config::settings::Settings;
use openclaw_actors::config::tree;
use openclaw_actors::files;
use rand::Rng;
use serde_json::{Value, json};

use super::config::write_with;
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::workspace;

/// Write a first configuration, a workspace and the folders of the state directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw setup
  openclaw setup --workspace ~/agent
  openclaw setup --mode remote --remote-url wss://gateway.example --remote-token <token>")]
pub struct SetupArgs {
    /// Folder of the default agent
    #[arg(long, value_name = "dir")]
    pub workspace: Option<String>,
    /// Ask step by step
    #[arg(long)]
    pub wizard: bool,
    /// Never ask; this release never does
    #[arg(long)]
    pub non_interactive: bool,
    /// Whether the gateway runs on this host or elsewhere
    #[arg(long, value_name = "local|remote", value_parser = ["local", "remote"])]
    pub mode: Option<String>,
    /// Address of the gateway elsewhere
    #[arg(long, value_name = "url")]
    pub remote_url: Option<String>,
    /// Token of the gateway elsewhere
    #[arg(long, value_name = "token")]
    pub remote_token: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &SetupArgs, context: &Context) -> Outcome {
    if args.wizard {
        return Err(Failure::usage("This release does not have the wizard; \"openclaw setup\" needs no answers."));
    }
    if args.mode.as_deref() == Some("remote") && args.remote_url.is_none() {
        return Err(Failure::usage("--mode remote needs --remote-url."));
    }
    context.snapshot()?;
    let token = random_token();
    let default = context.paths.workspace_default.clone();
    let written = write_with(context, &|config| Ok(complete(config, args, &default, &token)))?;
    let settings = &written.snapshot.settings;
    let workspace = workspace_of(settings, &context.paths.home, &default);
    let sessions = context.paths.state_dir.join("agents").join(default_agent(settings)).join("sessions");
    files::ensure_dir(&context.paths.state_dir)?;
    files::ensure_dir(&sessions)?;
    workspace::create(&workspace, !settings.agents.defaults.skip_bootstrap)?;
    if args.json {
        context.output.json(&json!({
            "ok": true,
            "config": context.paths.config_path,
            "configWritten": written.file.is_some(),
            "workspace": workspace,
            "sessions": sessions,
        }))?;
        return Ok(Exit::Done);
    }
    let config = context.show(&context.paths.config_path);
    for line in [
        if written.file.is_some() { format!("Wrote {config}") } else { format!("Config OK: {config}") },
        format!("Workspace OK: {}", context.show(&workspace)),
        format!("Sessions OK: {}", context.show(&sessions)),
        String::new(),
        "Setup complete: configuration, workspace and session folders are ready.".to_owned(),
        format!("Next: {}", context.hint("gateway")),
        format!("Choose a model: {}", context.hint("config set agents.defaults.model <provider/model>")),
        format!("Check everything: {}", context.hint("doctor")),
    ] {
        context.output.line(line)?;
    }
    Ok(Exit::Done)
}

/// 24 random bytes as 48 hex characters.
pub fn random_token() -> String {
    let mut bytes = [0_u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// The configuration with what is missing; `token` is used only if there is no credential and one is needed.
fn complete(config: &Value, args: &SetupArgs, workspace: &Path, token: &str) -> Value {
    let mut config = config.clone();
    let flags: [(&[&str], Option<Value>); 4] = [
        (&["gateway", "mode"], args.mode.as_ref().map(|mode| json!(mode))),
        (&["gateway", "remote", "url"], args.remote_url.as_ref().map(|url| json!(url))),
        (&["gateway", "remote", "token"], args.remote_token.as_ref().map(|token| json!(token))),
        (&["agents", "defaults", "workspace"], args.workspace.as_ref().map(|dir| json!(dir))),
    ];
    for (path, value) in flags {
        if let Some(value) = value {
            set(&mut config, path, value);
        }
    }
    if !has(&config, &["gateway", "mode"]) {
        set(&mut config, &["gateway", "mode"], json!("local"));
    }
    if !has(&config, &["agents", "defaults", "workspace"]) && !has(&config, &["agent", "workspace"]) {
        set(&mut config, &["agents", "defaults", "workspace"], json!(workspace));
    }
    let local = tree::text(&config, &["gateway", "mode"]) == Some("local");
    if local && !CREDENTIALS.iter().any(|path| has(&config, path)) {
        set(&mut config, &["gateway", "auth", "mode"], json!("token"));
        set(&mut config, &["gateway", "auth", "token"], json!(token));
    }
    config
}

/// Places that say how clients prove themselves.
const CREDENTIALS: [&[&str]; 4] = [
    &["gateway", "auth", "mode"],
    &["gateway", "auth", "token"],
    &["gateway", "auth", "password"],
    &["security", "accessToken"],
];

fn has(config: &Value, path: &[&str]) -> bool {
    tree::get(config, path).is_some()
}

/// Sets a value whose parents are objects or absent: the configuration was validated before.
fn set(config: &mut Value, path: &[&str], value: Value) {
    let placed = tree::set(config, path, value);
    debug_assert!(placed, "{path:?} leads through a value");
}

/// The agent that answers when nobody names one.
pub fn default_agent(settings: &Settings) -> &str {
    let list = &settings.agents.list;
    let chosen = list.iter().find(|agent| agent.default).or_else(|| list.first());
    chosen.map_or("main", |agent| agent.id.as_str())
}

/// The workspace of the default agent.
pub fn workspace_of(settings: &Settings, home: &Path, default: &Path) -> PathBuf {
    let id = default_agent(settings);
    let own = settings.agents.list.iter().find(|agent| agent.id == id).and_then(|agent| agent.workspace.as_deref());
    let named = own.or(settings.agents.defaults.workspace.as_deref());
    named.map_or_else(|| default.to_owned(), |path| expand_tilde(path, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> SetupArgs {
        SetupArgs {
            workspace: None,
            wizard: false,
            non_interactive: false,
            mode: None,
            remote_url: None,
            remote_token: None,
            json: false,
        }
    }

    fn completed(config: Value, args: &SetupArgs) -> Value {
        complete(&config, args, Path::new("/w"), "token")
    }

    #[test]
    fn an_empty_configuration_gets_mode_token_and_workspace() {
        let expected = json!({
            "gateway": { "mode": "local", "auth": { "mode": "token", "token": "token" } },
            "agents": { "defaults": { "workspace": "/w" } }
        });
        assert_eq!(completed(json!({}), &args()), expected);
        assert_eq!(completed(expected.clone(), &args()), expected, "a second run changes nothing");
    }

    #[test]
    fn what_is_there_stays() {
        let config = json!({
            "gateway": { "mode": "remote", "auth": { "password": "p" } },
            "agents": { "defaults": { "workspace": "/mine" } }
        });
        assert_eq!(completed(config.clone(), &args()), config);
    }

    #[test]
    fn flags_are_written() {
        let args = SetupArgs { mode: Some("remote".into()), remote_url: Some("wss://far".into()), ..args() };
        let config = completed(json!({}), &args);
        assert_eq!(config.pointer("/gateway/remote/url"), Some(&json!("wss://far")));
        assert_eq!(config.pointer("/gateway/auth"), None, "a remote gateway has its own token");
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (random_token(), random_token());
        assert_eq!(one.len(), 48);
        assert_ne!(one, two);
    }
}
