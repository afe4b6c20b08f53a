//! `config set`, `config unset` and `config patch`.
//!
//! Invariant: the change is made on the file as it is under the writer's lock, so two commands at once both count.

use std::io::Read;

use clap::Args;
use jiff::Timestamp;
use openclaw_actors::config::issue::KeyPath;
use openclaw_actors::config::patch::{self, Arrays};
use openclaw_actors::config::settings::ReloadMode;
use openclaw_actors::config::write::{self as writer, Base, WriteError, Writer, Written};
use openclaw_actors::config::{Phase, diff, key_path, load, parse, tree};
use serde_json::{Value, json};

use super::effect;
use super::value::{self, Assignment};
use crate::cli::VERSION;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};

/// Change one value, or several with a batch
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config set gateway.port 19000
  openclaw config set agents.defaults.models '{\"openai/gpt-5\": {}}' --merge
  openclaw config set gateway.auth.token --ref-source env --ref-id GATEWAY_TOKEN
  openclaw config set --batch-file changes.json --dry-run")]
pub struct SetArgs {
    /// Place in the file: a.b, a[0].b, a[\"key.with.dots\"], list[id=name]
    #[arg(value_name = "path", required_unless_present_any = ["batch_json", "batch_file"])]
    pub path: Option<String>,
    /// Value: JSON5, or else the text itself
    #[arg(value_name = "value", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// The value must be JSON5
    #[arg(long, alias = "json")]
    pub strict_json: bool,
    /// Merge an object into the stored one
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,
    /// Allow a map of models, providers or profiles to lose entries
    #[arg(long)]
    pub replace: bool,
    /// Check the result and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Accepted: references to programs are checked when the gateway starts
    #[arg(long)]
    pub allow_exec: bool,
    /// Say what was written where
    #[arg(short, long)]
    pub verbose: bool,
    /// Kind of a reference to a secret: env, file or exec
    #[arg(long, value_name = "source", requires = "ref_id", conflicts_with = "value")]
    pub ref_source: Option<String>,
    /// Provider of the reference
    #[arg(long, value_name = "name", requires = "ref_source")]
    pub ref_provider: Option<String>,
    /// Name of the secret there
    #[arg(long, value_name = "id", requires = "ref_source")]
    pub ref_id: Option<String>,
    /// Several changes: [{\"path\":…,\"value\":…}]
    #[arg(long, value_name = "json", conflicts_with_all = ["path", "batch_file"])]
    pub batch_json: Option<String>,
    /// File with several changes
    #[arg(long, value_name = "path", conflicts_with = "path")]
    pub batch_file: Option<String>,
}

/// Remove one value
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config unset agents.defaults.thinkingDefault")]
pub struct UnsetArgs {
    /// Place in the file
    #[arg(value_name = "path")]
    pub path: String,
    /// Check the result and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Say what was written where
    #[arg(short, long)]
    pub verbose: bool,
}

/// Merge an object into the file: objects merge, lists and single values replace, null deletes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config patch --file change.json5
  echo '{logging: {level: \"debug\"}}' | openclaw config patch --stdin")]
pub struct PatchArgs {
    /// File with the patch
    #[arg(long, value_name = "path", required_unless_present = "stdin")]
    pub file: Option<String>,
    /// Read the patch from standard input
    #[arg(long, conflicts_with = "file")]
    pub stdin: bool,
    /// Check the result and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Accepted: references to programs are checked when the gateway starts
    #[arg(long)]
    pub allow_exec: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Replace the object at this place instead of merging
    #[arg(long, value_name = "path")]
    pub replace_path: Vec<String>,
    /// Say what was written where
    #[arg(short, long)]
    pub verbose: bool,
}

pub fn set(args: &SetArgs, context: &Context) -> Outcome {
    let assignments = assignments(args, context)?;
    let (merge, replace) = (args.merge, args.replace);
    let change = |config: &Value| assign(config, &assignments, merge, replace);
    let done = apply(context, &change, args.dry_run, args.verbose)?;
    if let Some(count) = done.checked {
        context.output.line(format!(
            "Dry run successful: {count} update(s) validated against {}.",
            context.show(&context.paths.config_path)
        ))?;
        return Ok(Exit::Done);
    }
    let what = match assignments.as_slice() {
        [one] => format!("Updated {}.", one.path),
        several => format!("Applied {} config update(s).", several.len()),
    };
    context.output.line(format!("{what} {}", done.effect))?;
    Ok(Exit::Done)
}

pub fn unset(args: &UnsetArgs, context: &Context) -> Outcome {
    let change = |config: &Value| {
        let keys = key_path::parse(&args.path, config).map_err(|error| Failure::usage(error.to_string()))?;
        let mut changed = config.clone();
        let hint = "Run openclaw config get <path> first if you are unsure of the path.";
        tree::remove(&mut changed, &keys)
            .map(|_| changed)
            .ok_or_else(|| Failure::error(format!("Config path not found: {}. Nothing was changed. {hint}", args.path)))
    };
    let done = apply(context, &change, args.dry_run, args.verbose)?;
    report(context, args.json, &done, &format!("Removed {}.", args.path))
}

pub fn patch(args: &PatchArgs, context: &Context) -> Outcome {
    let text = match &args.file {
        Some(path) => std::fs::read_to_string(context.cwd.join(path))
            .map_err(|error| Failure::usage(format!("--file {path}: {error}")))?,
        None => read_stdin()?,
    };
    let patch = parse::config(&text).map_err(|issue| Failure::usage(format!("Error: the patch: {}", issue.message)))?;
    let change = |config: &Value| {
        let replaced: Result<Vec<KeyPath>, _> =
            args.replace_path.iter().map(|path| key_path::parse(path, config)).collect();
        let replaced = replaced.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(patch::merge(config, &patch, Arrays::Replace, &replaced))
    };
    let done = apply(context, &change, args.dry_run, args.verbose)?;
    report(context, args.json, &done, &format!("Applied {} config update(s).", done.changed.len()))
}

fn report(context: &Context, json: bool, done: &Done, text: &str) -> Outcome {
    if json {
        context.output.json(&json!({
            "ok": true,
            "path": context.paths.config_path,
            "dryRun": done.checked.is_some(),
            "changedPaths": done.changed,
            "effect": done.effect,
        }))?;
    } else if done.checked.is_some() {
        context.output.line(format!("Dry run successful: {} path(s) would change.", done.changed.len()))?;
    } else {
        context.output.line(format!("{text} {}", done.effect))?;
    }
    Ok(Exit::Done)
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn assignments(args: &SetArgs, context: &Context) -> Result<Vec<Assignment>, Failure> {
    if let Some(text) = &args.batch_json {
        return value::batch(text);
    }
    if let Some(path) = &args.batch_file {
        let text = std::fs::read_to_string(context.cwd.join(path))
            .map_err(|error| Failure::usage(format!("--batch-file {path}: {error}")))?;
        return value::batch(&text);
    }
    let path = args.path.clone().unwrap_or_default();
    let value = match (&args.value, &args.ref_source, &args.ref_id) {
        (_, Some(source), Some(id)) => value::reference(source, args.ref_provider.as_deref(), id),
        (Some(text), ..) => value::typed(text, args.strict_json)?,
        _ => return Err(Failure::usage("Missing required argument \"<value>\".")),
    };
    Ok(vec![Assignment { path, value }])
}

/// The configuration with every assignment made, in order.
fn assign(config: &Value, assignments: &[Assignment], merge: bool, replace: bool) -> Result<Value, Failure> {
    let mut changed = config.clone();
    for Assignment { path, value } in assignments {
        let keys = key_path::parse(path, &changed).map_err(|error| Failure::usage(error.to_string()))?;
        let value = match tree::get(&changed, &keys) {
            Some(stored) if merge => patch::merge(stored, value, Arrays::MergeById, &[]),
            _ => value.clone(),
        };
        let lost = patch::dropped_entries(&changed, &keys, &value);
        if !replace && !lost.is_empty() {
            return Err(Failure::error(format!(
                "Error: {path} would lose {}. Use --merge to add, or --replace if that is what you want.",
                lost.join(", ")
            )));
        }
        if !tree::set(&mut changed, &keys, value) {
            return Err(Failure::error(format!("Error: {path} leads through a value that is no object or list.")));
        }
    }
    Ok(changed)
}

/// What a write did, or would do.
struct Done {
    changed: Vec<String>,
    effect: &'static str,
    /// Only checked: how many places would change.
    checked: Option<usize>,
}

type Change<'a> = dyn Fn(&Value) -> Result<Value, Failure> + 'a;

/// Writes the change, or only checks it.
fn apply(context: &Context, change: &Change<'_>, dry_run: bool, verbose: bool) -> Result<Done, Failure> {
    let before = context.loaded().ok();
    let keys = context.keys_or_salvage()?;
    let mode = before.map_or(ReloadMode::Hybrid, |snapshot| snapshot.settings.gateway.reload.mode);
    let source = before.map_or_else(|| json!({}), |snapshot| snapshot.source.clone());
    if dry_run {
        let after = change(&source)?;
        load::check(&after, &context.env)
            .map_err(|issues| failed("Error: Config validation failed", &issues[0].to_text()))?;
        let changed: Vec<String> =
            diff::changed(&source, &after).iter().map(|keys| openclaw_actors::config::issue::dotted(keys)).collect();
        return Ok(Done { checked: Some(changed.len()), changed, effect: "Nothing was written." });
    }
    let written = write_with(context, change)?;
    if verbose {
        context.output.note(overwrite_line(context, &written));
    }
    let places = diff::changed(&source, &written.snapshot.source);
    let effect = effect::sentence(effect::is_running(context, &keys), mode, &places);
    Ok(Done { changed: written.changed, effect, checked: None })
}

/// One write under the lock. A change that cannot be made leaves the file as it is.
pub fn write_with(context: &Context, change: &Change<'_>) -> Result<Written, Failure> {
    let writer = Writer {
        actor: "cli",
        base: Base::Any,
        replace: false,
        secrets_required: false,
        version: Some(VERSION),
        now: Timestamp::now(),
    };
    let mut refused = None;
    let make = |config: &Value| {
        change(config).unwrap_or_else(|failure| {
            refused = Some(failure);
            config.clone()
        })
    };
    let written = writer::change(&context.paths, &context.env, &writer, make);
    match refused {
        Some(failure) => Err(failure),
        None => written.map_err(|error| refusal(&error)),
    }
}

fn refusal(error: &WriteError) -> Failure {
    match error {
        WriteError::Invalid(invalid) if invalid.phase == Phase::Parse => {
            failed("OpenClaw config cannot be read", &invalid.issues[0].to_text())
        }
        WriteError::Invalid(invalid) => {
            let first = failed("Error: Config validation failed", &invalid.issues[0].to_text());
            invalid.issues[1..].iter().fold(first, |failure, issue| failure.line(issue.to_text()))
        }
        other => Failure::config(format!("Error: {other}")),
    }
}

fn failed(what: &str, why: &str) -> Failure {
    Failure::config(format!("{what}: {why}"))
}

fn overwrite_line(context: &Context, written: &Written) -> String {
    let Some(file) = &written.file else { return "Config unchanged".to_owned() };
    let hash = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".to_owned());
    let backup = written.backup.as_ref().map_or_else(|| "none".to_owned(), |path| context.show(path));
    format!(
        "Config overwrite: {} (sha256 {} -> {}, backup={backup})",
        context.show(file),
        hash(&written.previous_hash),
        hash(&written.snapshot.hash)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, value: Value) -> Vec<Assignment> {
        vec![Assignment { path: path.into(), value }]
    }

    #[test]
    fn a_value_lands_at_its_place() {
        let config = json!({ "agents": { "list": [{ "id": "main" }, { "id": "ops", "name": "a" }] } });
        let changed = assign(&config, &one("agents.list[id=ops].name", json!("b")), false, false).unwrap();
        assert_eq!(changed.pointer("/agents/list/1/name"), Some(&json!("b")));
        let made = assign(&json!({}), &one("gateway.auth.mode", json!("none")), false, false).unwrap();
        assert_eq!(made, json!({ "gateway": { "auth": { "mode": "none" } } }));
    }

    #[test]
    fn a_map_that_people_grow_loses_nothing_by_accident() {
        let config = json!({ "models": { "providers": { "a": {}, "b": {} } } });
        let new = one("models.providers", json!({ "c": {} }));
        let refused = assign(&config, &new, false, false).unwrap_err();
        assert!(refused.message().contains("would lose a, b"), "{refused:?}");
        let merged = assign(&config, &new, true, false).unwrap();
        assert_eq!(merged["models"]["providers"], json!({ "a": {}, "b": {}, "c": {} }));
        let replaced = assign(&config, &new, false, true).unwrap();
        assert_eq!(replaced["models"]["providers"], json!({ "c": {} }));
    }

    #[test]
    fn a_path_through_a_single_value_is_refused() {
        assert!(assign(&json!({ "a": 1 }), &one("a.b", json!(2)), false, false).is_err());
    }
}
