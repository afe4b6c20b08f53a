//! Sessions without a running gateway: listing them, and moving them out to files and in from them.
//!
//! Reading is always allowed. Writing takes the lock of the state directory, so it never meets a running gateway.
//! Source: command line specification §6; files as release 2026.5.12 has them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openclaw_actors::config::ConfigHandle;
use openclaw_actors::config::paths::Paths;
use openclaw_actors::protocol::session_calls::SessionsList;
use openclaw_actors::run::context::{Context as RunContext, key_rules};
use openclaw_actors::session::{AgentId, KeyRules, SessionKey};
use openclaw_actors::store::transfer::{self, Taken};
use openclaw_actors::store::{Connection, StoreError, open};
use openclaw_actors::transcript::export;
use openclaw_actors::transcript::import::{self, Import, ImportedSession};
use serde_json::{Value, json};

use super::rpc::{session_rows, sessions};
use super::{boot, lock};
use crate::cli::context::Context;
use crate::cli::sessions::{ExportArgs, ImportArgs};
use crate::cli::{Exit, Failure, Outcome};

/// The payload of `sessions.list`, read from the database itself.
pub fn sessions(params: &Value, context: &Context) -> Result<Value, Failure> {
    let request: SessionsList =
        serde_json::from_value(params.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    let run = run_context(context)?;
    let (rows, total) = match reader(&context.paths)? {
        None => (Vec::new(), 0),
        Some(db) => {
            let query = session_rows::query(&run, &request, sessions::limit(&request));
            let (found, total) = query(&db).map_err(unreadable)?;
            (session_rows::rows(&run, found), total)
        }
    };
    let answer = sessions::answer(&run, &request, (rows, total));
    serde_json::to_value(answer).map_err(|error| Failure::error(error.to_string()))
}

/// `openclaw sessions export`
pub fn export(args: &ExportArgs, context: &Context) -> Outcome {
    let output = context.cwd.join(&args.output);
    if !is_absent_or_empty(&output)? {
        return Err(Failure::usage(format!("{} is not empty; name a folder that is new.", context.show(&output))));
    }
    let rules = key_rules(&context.snapshot()?.settings);
    let key = args.key.as_deref().map(|key| SessionKey::parse(key, &rules)).transpose();
    let key = key.map_err(|error| Failure::usage(error.to_string()))?;
    let agent = args.agent.as_deref().map(AgentId::slug);
    let found = match reader(&context.paths)? {
        None => Vec::new(),
        Some(db) => transfer::give_out(&db, agent.as_ref().map(AgentId::as_str), key.as_ref().map(SessionKey::as_str))
            .map_err(unreadable)?,
    };
    if let (Some(key), true) = (&key, found.is_empty()) {
        return Err(Failure::error(format!(
            "No session {key} is stored; openclaw sessions list shows those that are."
        )));
    }
    for (agent, sessions) in by_agent(&found, &rules) {
        let dir = output.join("agents").join(agent.as_str()).join("sessions");
        export::write_dir(&dir, &sessions).map_err(|error| at(&dir, &error))?;
    }
    let keys: Vec<&str> = found.iter().map(|session| session.key.as_str()).collect();
    if args.rpc.json {
        context.output.json(&json!({ "ok": true, "output": output, "sessions": keys }))?;
    } else {
        context.output.line(format!("Exported {} to {}", count(keys.len()), context.show(&output)))?;
    }
    Ok(Exit::Done)
}

/// `openclaw sessions import`
pub fn import(args: &ImportArgs, context: &Context) -> Outcome {
    let source = context.cwd.join(&args.source);
    let rules = key_rules(&context.snapshot()?.settings);
    let only = args.agent.as_deref().map(AgentId::slug);
    let dirs = session_dirs(&source, only.as_ref()).map_err(|error| at(&source, &error))?;
    if dirs.is_empty() {
        let message = format!(
            "{} holds no sessions: there is no agents/<id>/sessions/sessions.json in it.",
            context.show(&source)
        );
        return Err(Failure::error(message));
    }
    let mut sum = Sum::default();
    if args.dry_run {
        for dir in &dirs {
            let import = read(dir, &rules)?;
            sum.warnings.extend(import.warnings);
            sum.taken.added.extend(import.sessions.into_iter().map(|session| session.key));
        }
    } else {
        let _lock = lock::acquire(&context.paths.state_dir, &lock::this(&context.paths, 0)).map_err(|error| {
            Failure::error(error.to_string()).line("Stop the gateway first: it keeps the sessions while it runs.")
        })?;
        sum = take_in(&dirs, &context.paths, &rules)?;
    }
    for warning in &sum.warnings {
        context.output.note(warning);
    }
    report(args, context, &sum)
}

fn report(args: &ImportArgs, context: &Context, sum: &Sum) -> Outcome {
    let Sum { taken, warnings } = sum;
    if args.rpc.json {
        context.output.json(&json!({
            "ok": true, "dryRun": args.dry_run, "added": taken.added, "unchanged": taken.unchanged,
            "keptOurs": taken.kept_ours, "warnings": warnings,
        }))?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        context.output.line(format!("Would read {}", count(taken.added.len())))?;
        return Ok(Exit::Done);
    }
    context.output.line(format!("Imported {}", count(taken.added.len())))?;
    for (keys, what) in [(&taken.unchanged, "Already here"), (&taken.kept_ours, "Kept what is here instead of")] {
        if !keys.is_empty() {
            context.output.line(format!("{what}: {}", keys.join(", ")))?;
        }
    }
    Ok(Exit::Done)
}

/// Takes in what another release left in a state directory that has no database yet. The files stay as they are.
pub fn take_over(paths: &Paths, rules: &KeyRules) -> Result<(), Failure> {
    if paths.state_dir.join(open::FILE).exists() {
        return Ok(());
    }
    let dirs = session_dirs(&paths.state_dir, None).map_err(|error| at(&paths.state_dir, &error))?;
    if dirs.is_empty() {
        return Ok(());
    }
    let sum = take_in(&dirs, paths, rules)?;
    tracing::info!(target: "gateway", sessions = sum.taken.added.len(), "took over the sessions of the release before");
    for warning in sum.warnings {
        tracing::warn!(target: "gateway", "{warning}");
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Sum {
    taken: Taken,
    warnings: Vec<String>,
}

/// Reads everything, then writes one transaction per agent: what cannot be read at all changes nothing.
fn take_in(dirs: &[PathBuf], paths: &Paths, rules: &KeyRules) -> Result<Sum, Failure> {
    let imports = dirs.iter().map(|dir| read(dir, rules)).collect::<Result<Vec<Import>, Failure>>()?;
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let (mut db, _) = open::open_writer(&paths.state_dir, &stamp)
        .map_err(|error| Failure::error(format!("the session database could not be opened: {error}")))?;
    let mut sum = Sum::default();
    for import in imports {
        let Taken { added, unchanged, kept_ours } = transfer::take_in(&mut db, &import.sessions).map_err(unreadable)?;
        sum.taken.added.extend(added);
        sum.taken.unchanged.extend(unchanged);
        sum.taken.kept_ours.extend(kept_ours);
        sum.warnings.extend(import.warnings);
    }
    Ok(sum)
}

/// One sessions directory, its keys made canonical; a key that cannot be is left out with a warning.
fn read(dir: &Path, rules: &KeyRules) -> Result<Import, Failure> {
    let Import { sessions, mut warnings } = import::read_dir(dir).map_err(|error| at(dir, &error))?;
    let mut kept: Vec<ImportedSession> = Vec::with_capacity(sessions.len());
    for mut session in sessions {
        match SessionKey::parse(&session.key, rules) {
            Ok(key) => session.key = key.to_string(),
            Err(error) => {
                warnings.push(format!("session {}: {error}; left out", session.key));
                continue;
            }
        }
        // Of two spellings of one key, the younger conversation is the one that goes on.
        match kept.iter_mut().find(|other| other.key == session.key) {
            Some(other) => {
                warnings.push(format!("session {}: stored twice; the younger one is kept", session.key));
                if session.entry.updated_at > other.entry.updated_at {
                    *other = session;
                }
            }
            None => kept.push(session),
        }
    }
    Ok(Import { sessions: kept, warnings })
}

/// The directories with a `sessions.json`: one per agent of a state directory, or the given one itself.
fn session_dirs(source: &Path, only: Option<&AgentId>) -> io::Result<Vec<PathBuf>> {
    const INDEX: &str = "sessions.json";
    if source.join(INDEX).is_file() {
        return Ok(vec![source.to_owned()]);
    }
    let agents = match fs::read_dir(source.join("agents")) {
        Ok(agents) => agents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut dirs = Vec::new();
    for agent in agents {
        let agent = agent?;
        let wanted = only.is_none_or(|only| agent.file_name() == only.as_str());
        let dir = agent.path().join("sessions");
        if wanted && dir.join(INDEX).is_file() {
            dirs.push(dir);
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// Sessions beside the agent whose folder they belong in; those of no agent go to the default one.
fn by_agent(sessions: &[ImportedSession], rules: &KeyRules) -> Vec<(AgentId, Vec<ImportedSession>)> {
    let mut groups: Vec<(AgentId, Vec<ImportedSession>)> = Vec::new();
    for session in sessions {
        let agent = SessionKey::from_stored(session.key.clone()).agent().unwrap_or_else(|| rules.default_agent.clone());
        match groups.iter_mut().find(|(known, _)| *known == agent) {
            Some((_, group)) => group.push(session.clone()),
            None => groups.push((agent, vec![session.clone()])),
        }
    }
    groups
}

fn run_context(context: &Context) -> Result<RunContext, Failure> {
    let snapshot = context.snapshot()?;
    Ok(boot::context(&context.paths, &ConfigHandle::new(snapshot.clone())))
}

/// The database for reading, if there is one.
fn reader(paths: &Paths) -> Result<Option<Connection>, Failure> {
    if !paths.state_dir.join(open::FILE).exists() {
        return Ok(None);
    }
    open::open_reader(&paths.state_dir).map(Some).map_err(|error| unreadable(error.into()))
}

fn is_absent_or_empty(dir: &Path) -> Result<bool, Failure> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(at(dir, &error)),
    }
}

fn count(sessions: usize) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") }
}

fn at(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("{}: {error}", path.display()))
}

fn unreadable(error: StoreError) -> Failure {
    Failure::error(format!("the session database could not be read: {error}"))
}
