//! The `openclaw` command: arguments and environment in, exit code out.

mod cli;
mod client;
mod gateway;

use std::process::ExitCode;

use openclaw_actors::config::env::Env;

fn main() -> ExitCode {
    let env: Env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let hooks = cli::Hooks {
        serve: gateway::serve,
        sessions_offline: gateway::offline::sessions,
        sessions_export: gateway::offline::export,
        sessions_import: gateway::offline::import,
    };
    ExitCode::from(cli::run(std::env::args_os().collect(), env, &hooks))
}
