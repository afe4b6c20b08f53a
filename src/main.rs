//! The program: arguments in, exit code out; nothing else.

mod cli;
mod client;

use std::process::ExitCode;

use cli::{Failure, Hooks};

fn main() -> ExitCode {
    let absent = || Failure::error("this build has no gateway");
    let hooks = Hooks {
        serve: |options| {
            eprintln!("{options:#?}");
            Err(Failure::error("this build has no gateway"))
        },
        sessions_offline: |_, _| Err(Failure::error("this build has no store")),
        sessions_export: |_, _| Err(Failure::error("this build has no store")),
        sessions_import: |_, _| Err(Failure::error("this build has no store")),
    };
    let _ = absent;
    ExitCode::from(cli::run(std::env::args_os().collect(), std::env::vars_os(), &hooks))
}
