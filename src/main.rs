//! The program: arguments in, exit code out; nothing else.

mod cli;
mod client;

use std::process::ExitCode;

use cli::{Failure, Hooks};

fn main() -> ExitCode {
    let hooks = Hooks {
        serve: |options| {
            eprintln!("{options:#?}");
            Err(Failure::error("this build has no gateway"))
        },
        sessions_offline: |_, _| Err(Failure::error("this build has no store")),
        sessions_export: |_, _| Err(Failure::error("this build has no store")),
        sessions_import: |_, _| Err(Failure::error("this build has no store")),
    };
    // names and values that are no UTF-8 cannot be ours
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    ExitCode::from(cli::run(std::env::args_os().collect(), env.collect(), &hooks))
}
