//! `openclaw doctor`: looks at everything that can be looked at without changing it; `--fix` repairs what can be repaired safely.
//!
//! Invariant: without `--fix` nothing is written; with it every repair is made once and a second run finds nothing left to do.
//! Ends with 0 when all is well or was repaired, with 1 when a problem remains.
//! Source: command line specification §3.7, security specification §18.

mod config;
mod finding;
mod gateway;
mod providers;
mod repair;
mod secrets;
mod state;

use clap::Args;
use serde_json::{Value, json};

use self::finding::{Finding, Section, Severity};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::output::Tone;

/// Look for problems, and repair them with --fix
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw doctor
  openclaw doctor --fix
  openclaw doctor --json")]
pub struct DoctorArgs {
    /// Repair what can be repaired safely
    #[arg(long, visible_alias = "repair")]
    pub fix: bool,
    /// Accepted: repairs never ask in this release
    #[arg(short, long)]
    pub yes: bool,
    /// Accepted: no repair needs it in this release
    #[arg(long)]
    pub force: bool,
    /// Accepted: doctor never asks in this release
    #[arg(long)]
    pub non_interactive: bool,
    /// Show what is well, too
    #[arg(long)]
    pub deep: bool,
    /// Write a gateway token if there is none
    #[arg(long)]
    pub generate_gateway_token: bool,
    /// Leave suggestions about the workspace out
    #[arg(long)]
    pub no_workspace_suggestions: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &DoctorArgs, context: &Context) -> Outcome {
    let mut findings = look(args, context)?;
    if args.fix {
        findings = repair::all(context, findings);
    }
    if args.generate_gateway_token {
        findings.push(repair::gateway_token(context));
    }
    let remaining = findings.iter().any(Finding::is_open_problem);
    if args.json {
        context.output.json(&document(&findings, remaining))?;
    } else {
        print(args, context, &findings)?;
    }
    Ok(if remaining { Exit::Failed } else { Exit::Done })
}

fn look(args: &DoctorArgs, context: &Context) -> Result<Vec<Finding>, Failure> {
    let mut findings = config::look(context);
    findings.extend(gateway::look(context)?);
    findings.extend(state::look(context, !args.no_workspace_suggestions));
    findings.extend(secrets::look(context));
    findings.extend(providers::look(context)?);
    findings.sort_by_key(|finding| finding.section); // stable: the order within a section stays
    Ok(findings)
}

fn document(findings: &[Finding], remaining: bool) -> Value {
    json!({
        "ok": !remaining,
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

fn print(args: &DoctorArgs, context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let output = &context.output;
    output.line(output.tint(Tone::Heading, "OpenClaw doctor"))?;
    let mut shown: Option<Section> = None;
    for finding in findings.iter().filter(|finding| args.deep || finding.severity != Severity::Fine) {
        if shown != Some(finding.section) {
            output.line("")?;
            output.line(output.tint(Tone::Heading, finding.section.title(args.fix)))?;
            shown = Some(finding.section);
        }
        for line in finding.lines() {
            output.line(output.tint(finding.tone(), &line))?;
        }
    }
    if shown.is_none() {
        output.line("Nothing to report.")?;
    }
    output.line("")?;
    let repairable = findings.iter().any(|finding| finding.repair.is_some() && !finding.repaired);
    if repairable && !args.fix {
        output.line(format!("Run \"{}\" to apply changes.", context.hint("doctor --fix")))?;
    } else {
        output.line("Doctor complete.")?;
    }
    Ok(())
}
