//! `openclaw completion`: the script that completes this command in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw completion -s bash > ~/.local/share/bash-completion/completions/openclaw
  openclaw completion --shell zsh > ~/.zfunc/_openclaw")]
pub struct CompletionArgs {
    /// Shell to complete in: bash, zsh, fish, powershell or elvish; by default the one of SHELL
    #[arg(short, long, value_name = "shell")]
    pub shell: Option<Shell>,
    /// Install the script for this user
    #[arg(short, long)]
    pub install: bool,
}

pub fn run(args: &CompletionArgs, context: &Context) -> Outcome {
    if args.install {
        return Err(Failure::usage(
            "This release does not install the script; redirect the output as the examples show.",
        ));
    }
    let shell = args.shell.or_else(|| context.env.non_empty("SHELL").and_then(Shell::from_shell_path));
    let shell =
        shell.ok_or_else(|| Failure::usage("Which shell? Use --shell bash, zsh, fish, powershell or elvish."))?;
    context.output.line(script(shell).trim_end())?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "openclaw", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let script = script(shell);
            assert!(script.contains("doctor") && script.contains("gateway"), "{shell}");
        }
    }
}
