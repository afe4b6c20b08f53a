//! `openclaw cron`: jobs that run at their times, and what they did.

mod flags;
mod show;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::flags::JobFlags;
use super::Failure;
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{list, string};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 30_000;

/// Have an agent do something at a time, again and again, or by the calendar
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw cron add --name report --cron \"0 9 * * 1-5\" --tz Europe/Berlin --message \"Summarise yesterday's logs\"
  openclaw cron add --name once --at 20m --message \"Check the build\" --no-deliver
  openclaw cron list
  openclaw cron runs --id <id>")]
pub struct CronArgs {
    #[command(subcommand)]
    pub command: CronCommand,
}

#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// Say whether jobs run, how many there are, and when the next one is due
    #[command(after_help = "Examples:
  openclaw cron status")]
    Status(RpcArgs),
    /// List jobs, the next one first
    #[command(after_help = "Examples:
  openclaw cron list
  openclaw cron list --all --json")]
    List(ListArgs),
    /// Print one job as JSON
    #[command(after_help = "Examples:
  openclaw cron get <id>")]
    Get(IdArgs),
    /// Describe one job, by its id or its name
    #[command(after_help = "Examples:
  openclaw cron show report")]
    Show(IdArgs),
    /// Make a job
    #[command(
        alias = "create",
        after_help = "Examples:
  openclaw cron add --name hourly --every 1h --message \"Look at the queue\" --channel webhook --to direct:ada
  openclaw cron add --name exact --cron \"0 * * * *\" --exact --message \"Ping\" --no-deliver"
    )]
    Add(AddArgs),
    /// Change a job
    #[command(after_help = "Examples:
  openclaw cron edit <id> --every 2h
  openclaw cron edit <id> --message \"Look at both queues\" --clear-agent")]
    Edit(EditArgs),
    /// Let a job run again
    #[command(after_help = "Examples:
  openclaw cron enable <id>")]
    Enable(IdArgs),
    /// Keep a job, but do not run it
    #[command(after_help = "Examples:
  openclaw cron disable <id>")]
    Disable(IdArgs),
    /// Remove a job
    #[command(
        alias = "remove",
        after_help = "Examples:
  openclaw cron rm <id>"
    )]
    Rm(IdArgs),
    /// Run a job now
    #[command(after_help = "Examples:
  openclaw cron run <id>
  openclaw cron run <id> --due")]
    Run(RunArgs),
    /// Print what a job did, newest first
    #[command(after_help = "Examples:
  openclaw cron runs --id <id> --limit 5")]
    Runs(RunsArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Disabled jobs as well
    #[arg(long)]
    pub all: bool,
    /// Only jobs of this agent
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    /// Id of the job
    pub id: String,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// Make it, but do not run it yet
    #[arg(long)]
    pub disabled: bool,
    #[command(flatten)]
    pub job: JobFlags,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct EditArgs {
    /// Id of the job
    pub id: String,
    /// Let it run again
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Do not run it
    #[arg(long)]
    pub disable: bool,
    /// Leave it to the default agent
    #[arg(long, conflicts_with = "agent")]
    pub clear_agent: bool,
    /// Forget on whose behalf it was made
    #[arg(long, conflicts_with = "session_key")]
    pub clear_session_key: bool,
    /// Tell somebody after so many failures in a row
    #[arg(long, value_name = "n", value_parser = clap::value_parser!(u32).range(1..))]
    pub failure_alert: Option<u32>,
    /// Never tell anybody of failures in a row
    #[arg(long, conflicts_with = "failure_alert")]
    pub no_failure_alert: bool,
    #[command(flatten)]
    pub job: JobFlags,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Id of the job
    pub id: String,
    /// Only if it is due
    #[arg(long)]
    pub due: bool,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Id of the job
    #[arg(long, value_name = "id")]
    pub id: String,
    /// How many to print
    #[arg(long, value_name = "n", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub limit: u64,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl CronArgs {
    /// All but two print JSON anyway.
    pub fn json(&self) -> bool {
        match &self.command {
            CronCommand::List(args) => args.rpc.json,
            CronCommand::Show(args) => args.rpc.json,
            _ => true,
        }
    }
}

pub fn run(args: &CronArgs, context: &Context) -> Outcome {
    match &args.command {
        CronCommand::Status(rpc) => print(rpc, "cron.status", json!({}), context),
        CronCommand::List(args) => listed(args, context),
        CronCommand::Get(args) => print(&args.rpc, "cron.get", json!({ "id": args.id }), context),
        CronCommand::Show(args) => shown(args, context),
        CronCommand::Add(args) => add(args, context),
        CronCommand::Edit(args) => edit(args, context),
        CronCommand::Enable(args) => enable(args, true, context),
        CronCommand::Disable(args) => enable(args, false, context),
        CronCommand::Rm(args) => print(&args.rpc, "cron.remove", json!({ "id": args.id }), context),
        CronCommand::Run(args) => {
            let mode = if args.due { "due" } else { "force" };
            print(&args.rpc, "cron.run", json!({ "id": args.id, "mode": mode }), context)
        }
        CronCommand::Runs(args) => {
            print(&args.rpc, "cron.runs", json!({ "id": args.id, "limit": args.limit }), context)
        }
    }
}

fn call(args: &RpcArgs, method: &str, params: Value, context: &Context) -> Result<Value, Failure> {
    let gateway = rpc::locate(context, args, Invalid::Noted)?;
    context.block_on(gateway.call(method, params, args.deadline(TIMEOUT_MS)))?
}

/// Prints the answer as it is.
fn print(args: &RpcArgs, method: &str, params: Value, context: &Context) -> Outcome {
    context.output.json(&call(args, method, params, context)?)?;
    Ok(Exit::Done)
}

fn listed(args: &ListArgs, context: &Context) -> Outcome {
    let mut params = json!({ "includeDisabled": args.all });
    if let Some(agent) = &args.agent {
        params["agentId"] = json!(agent);
    }
    let mut answer = call(&args.rpc, "cron.list", params, context)?;
    for job in answer.get_mut("jobs").and_then(Value::as_array_mut).into_iter().flatten() {
        job["status"] = json!(show::status(job));
    }
    if args.rpc.json {
        context.output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let now = rpc::epoch_ms();
    let rows: Vec<Vec<String>> = list(&answer, "/jobs").iter().map(|job| show::row(job, &answer, now)).collect();
    if rows.is_empty() {
        context.output.line("No cron jobs.")?;
    } else {
        context.output.table(&show::HEADERS, &rows)?;
    }
    Ok(Exit::Done)
}

/// Describes the job of this id or, if there is none, of this name.
fn shown(args: &IdArgs, context: &Context) -> Outcome {
    let params = json!({ "includeDisabled": true, "query": args.id });
    let answer = call(&args.rpc, "cron.list", params, context)?;
    let jobs = list(&answer, "/jobs");
    let is = |pointer| move |job: &&Value| string(job, pointer) == Some(args.id.as_str());
    let named: Vec<&Value> = match jobs.iter().find(is("/id")) {
        Some(job) => vec![job],
        None => jobs.iter().filter(is("/name")).collect(),
    };
    match named.as_slice() {
        [job] if args.rpc.json => context.output.json(job)?,
        [job] => {
            for line in show::lines(job, &answer, rpc::epoch_ms()) {
                context.output.line(line)?;
            }
        }
        [] => {
            let text = format!("cron job not found: {}; `openclaw cron list --all` shows what there is", args.id);
            return Err(Failure::error(text));
        }
        _ => return Err(Failure::error(format!("several cron jobs are called {}; name one by its id", args.id))),
    }
    Ok(Exit::Done)
}

fn add(args: &AddArgs, context: &Context) -> Outcome {
    let mut params = args.job.new_job(Timestamp::now().as_millisecond()).map_err(Failure::usage)?;
    params.insert("enabled".into(), json!(!args.disabled));
    if args.job.agent.is_none() {
        context.output.note("No --agent is given: the default agent does it.");
    }
    print(&args.rpc, "cron.add", Value::Object(params), context)
}

fn edit(args: &EditArgs, context: &Context) -> Outcome {
    let mut patch = args.job.patch(Timestamp::now().as_millisecond()).map_err(Failure::usage)?;
    if args.enable || args.disable {
        patch.insert("enabled".into(), json!(args.enable));
    }
    for (key, clear) in [("agentId", args.clear_agent), ("sessionKey", args.clear_session_key)] {
        if clear {
            patch.insert(key.into(), Value::Null);
        }
    }
    match (args.failure_alert, args.no_failure_alert) {
        (Some(after), _) => drop(patch.insert("failureAlert".into(), json!({ "after": after }))),
        (None, true) => drop(patch.insert("failureAlert".into(), json!(false))),
        (None, false) => {}
    }
    if patch.is_empty() {
        return Err(Failure::usage("Nothing to change. Name what is to be different, such as --every 2h."));
    }
    changed(&args.rpc, &args.id, patch, context)
}

fn enable(args: &IdArgs, enabled: bool, context: &Context) -> Outcome {
    changed(&args.rpc, &args.id, Map::from_iter([("enabled".to_owned(), json!(enabled))]), context)
}

fn changed(args: &RpcArgs, id: &str, patch: Map<String, Value>, context: &Context) -> Outcome {
    print(args, "cron.update", json!({ "id": id, "patch": patch }), context)
}
