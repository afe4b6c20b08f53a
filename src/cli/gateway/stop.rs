//! `openclaw gateway stop`: ends the gateway of this state directory, in order.

use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use serde_json::json;

use super::life::{self, Done};
use crate::cli::context::Context;
use crate::cli::exit::{Failure, Outcome};

/// How long the gateway may take: 25 s for running turns, the rest for what follows.
const LIMIT: Duration = Duration::from_secs(45);

/// Stop the gateway of this host; running turns get 25 seconds to finish
#[derive(Debug, Args)]
#[command(
    after_help = "To have the gateway run on with a new configuration or program, use restart: never stop and start.

Examples:
  openclaw gateway stop
  openclaw gateway stop --json"
)]
pub struct StopArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &StopArgs, context: &Context) -> Outcome {
    let Some(owner) = life::gateway(context)? else { return life::not_running(context, args.json, "stop") };
    let (pid, port) = (owner.pid, owner.port);
    life::signal(&owner, Signal::SIGTERM)?;
    if !context.block_on(life::gone(&context.paths.state_dir, &owner, LIMIT))? {
        return Err(Failure::error(format!(
            "the gateway (pid {pid}) was told to stop and still runs after {} s; {} says what it waits for",
            LIMIT.as_secs(),
            context.hint("logs")
        )));
    }
    let warning = "A service manager started this gateway and may start it again; stop it there as well.".to_owned();
    let done = Done {
        action: "stop",
        result: "stopped",
        message: format!("Stopped gateway (pid {pid}, port {port})."),
        warnings: owner.supervised.then_some(warning).into_iter().collect(),
        facts: json!({}),
    };
    life::tell(context, args.json, done)
}
