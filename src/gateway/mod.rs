//! The running service: from a checked configuration to a tree that serves, and back down.
//!
//! `serve` is the whole life in order: lock the state directory, bind the port, start the log, start the tree, say that
//! it is ready, wait for a signal, stop in reverse. Each step is one call.

pub mod auth;
mod bind;
mod boot;
mod boots;
mod health;
mod http;
mod listener;
mod lock;
mod logging;
mod metrics;
mod next_start;
pub mod offline;
mod restart_note;
mod rpc;
mod service_manager;
mod services;
mod stop;
mod turns;
mod ws;

use std::path::Path;

use openclaw_actors::files;
use openclaw_actors::run::context::key_rules;

use crate::cli::gateway::run::RunOptions;
use crate::cli::{Exit, Failure, Outcome};
use crate::client::run_file::{RunFile, process_start_time};
use restart_note::RestartNote;

/// Version of the product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the service until it is told to stop.
pub fn serve(options: RunOptions) -> Outcome {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    raise_file_limit();
    let program = std::env::current_exe(); // an upgrade may put another file in its place while we run
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = options.workers.or(options.snapshot.settings.performance.workers) {
        runtime.worker_threads(workers.max(1));
    }
    let runtime = runtime.enable_all().build().map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(live(options));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match ended? {
        End::Done => DONE,
        End::Restart if service_manager::is_ours() => DONE, // whoever started us does it again
        End::Restart => Err(start_again(program)),
    }
}

/// Each client is a file: as many as the machine lets us have. Where that is refused, the usual limit holds.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // as before, then
    }
}

/// How the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    Restart,
}

/// Flags that mean one start only: a restart must not move the state away again, nor end anybody.
const ONCE: [&str; 2] = ["--reset", "--force"];

/// Puts a new process of the same program, with the same arguments, in the place of this one. Returns only why not.
#[allow(clippy::disallowed_methods, reason = "nothing is left that could own a process")]
fn start_again(program: std::io::Result<std::path::PathBuf>) -> Failure {
    use std::os::unix::process::CommandExt;
    let error = match program {
        Ok(program) => {
            let args = std::env::args_os().skip(1).filter(|arg| !ONCE.iter().any(|once| arg == once));
            std::process::Command::new(program).args(args).exec()
        }
        Err(error) => error,
    };
    Failure::error(format!("the gateway could not be started again: {error}"))
}

async fn live(options: RunOptions) -> Result<End, Failure> {
    let owner = lock::this(&options.paths, options.listen.port);
    let _lock = match lock::acquire(&options.paths.state_dir, &owner) {
        Ok(lock) => lock,
        Err(held @ lock::LockError::Held { .. }) => {
            bind::bind(&options.listen)?; // a taken port says more: who holds it, and where
            return Err(refused_lock(held));
        }
        Err(error) => return Err(refused_lock(error)),
    };
    let sockets = bind::bind(&options.listen)?;
    let port = sockets.port;
    let log = logging::init(&options)?;
    logging::note_panics();
    let upkeep = metrics::start();
    offline::take_over(&options.paths, &key_rules(&options.snapshot.settings))?;
    let mut signals = stop::Signals::listen().map_err(|error| Failure::error(error.to_string()))?;
    let made_up = boot::made_up_token(&options);
    let note = leave_note(&options.paths.state_dir, port, made_up.clone())?;
    let (boots, crashes) = boots::Boots::note(&options.paths.state_dir);
    let came_from = RestartNote::take(&options.paths.state_dir);
    let mut gateway = boot::start(options, made_up, sockets, log.handle().clone(), crashes).await?;
    tracing::info!(target: "gateway", "ready");
    if let Some(note) = came_from {
        tracing::info!(target: "gateway", reason = note.reason, "back online after a restart");
        gateway.services.context.restarts.came_out_of_one(note.ago(), note.for_memory_ago());
    }
    service_manager::ready();
    let watchdog = service_manager::watchdog(&gateway.services);
    let reason = stop::wait(&mut signals, &gateway.services, &mut gateway.tree).await;
    let outcome = stop::stop(&gateway.services, gateway.tree, &mut signals, reason).await;
    drop((watchdog, upkeep));
    if outcome.is_ok() {
        boots.stopped_cleanly();
    }
    if let Err(error) = std::fs::remove_file(&note) {
        tracing::debug!(%error, "the run file was gone already");
    }
    drop(log); // writes what is queued
    outcome
}

/// Two gateways on one state directory would write over each other's sessions.
fn refused_lock(error: lock::LockError) -> Failure {
    let held = matches!(error, lock::LockError::Held { .. });
    let failure = Failure::error(error.to_string());
    if held {
        failure.line("If the gateway is supervised, stop it with: openclaw gateway stop").exit(bind::duplicate_exit())
    } else {
        failure
    }
}

/// Tells the local command line where this gateway is, and the token if it was made up for this run.
fn leave_note(state_dir: &Path, port: u16, token: Option<String>) -> Result<std::path::PathBuf, Failure> {
    let pid = std::process::id();
    let note = RunFile {
        pid,
        start_time: process_start_time(pid).unwrap_or_default(),
        port,
        url: format!("ws://127.0.0.1:{port}"),
        token,
    };
    let path = RunFile::path(state_dir);
    let failed = |error: std::io::Error| Failure::error(format!("{}: {error}", path.display()));
    path.parent().map_or(Ok(()), files::ensure_dir).map_err(failed)?;
    let text = serde_json::to_string(&note).map_err(|error| failed(error.into()))?;
    files::replace(&path, text.as_bytes()).map_err(failed)?;
    Ok(path)
}

/// Is a service manager looking after this process?
pub fn is_supervised() -> bool {
    std::env::var_os("INVOCATION_ID").is_some() || std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How the process ends when it did all that it was asked for.
pub const DONE: Outcome = Ok(Exit::Done);
