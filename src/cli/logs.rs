//! `openclaw logs`: the gateway's log, from the gateway while it runs, from the file when it does not.
//!
//! Invariant: filters mean the same either way; what the gateway did not filter is filtered here.
//! Source: command line specification §3.6, operations specification §8.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_actors::logs::filter::Grep;
use openclaw_actors::logs::path::LogPath;
use openclaw_actors::logs::render::{self, LineStyle};
use openclaw_actors::logs::tail;
use openclaw_actors::logs::tail_params::{BYTES_MAX, LIMIT_MAX, TailParams};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::rpc::{self, Gateway, Link, RpcArgs};
use super::text::{list, number, string};

/// Milliseconds for connecting and one answer.
const TIMEOUT_MS: u64 = 30_000;
/// Milliseconds between two attempts to reach a gateway that went away while we follow it.
const RETRY: Duration = Duration::from_secs(2);

/// Show the log of the gateway
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw logs --follow
  openclaw logs --tail 50 --level warn
  openclaw logs --since 2h --component gateway --json")]
pub struct LogsArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Keep showing new lines
    #[arg(short, long)]
    pub follow: bool,
    /// Lines to show at most
    #[arg(short = 'n', long, visible_alias = "tail", value_name = "n", default_value_t = 200,
        value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX as u64))]
    pub limit: u64,
    /// Bytes of the log to look at
    #[arg(long, value_name = "n", default_value_t = 250_000, value_parser = clap::value_parser!(u64).range(1..=BYTES_MAX))]
    pub max_bytes: u64,
    /// Milliseconds between two looks with --follow
    #[arg(long, value_name = "ms", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..))]
    pub interval: u64,
    /// No colours, even on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Times of this host's zone instead of UTC
    #[arg(long)]
    pub local_time: bool,
    /// At least this severe
    #[arg(long, value_name = "level")]
    pub level: Option<String>,
    /// Subsystem, or the beginning of one: gateway, gateway/ws
    #[arg(long, value_name = "name")]
    pub component: Option<String>,
    /// From this time on: 15m, 2h, 3d, a date or a timestamp
    #[arg(long, value_name = "time")]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "time")]
    pub until: Option<String>,
    /// Only what took at least this many milliseconds
    #[arg(long, value_name = "ms", num_args = 0..=1, default_missing_value = "1000")]
    pub slow: Option<u64>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "regex")]
    pub grep: Option<String>,
}

pub fn run(args: &LogsArgs, context: &Context) -> Outcome {
    let reader = Reader::new(args, context)?;
    context.block_on(reader.run())?
}

/// Where lines come from.
enum Origin<'a> {
    Gateway(Gateway<'a>, Option<Link>),
    Files(LogPath),
}

struct Reader<'a> {
    args: &'a LogsArgs,
    context: &'a Context,
    params: Map<String, Value>,
    /// The same parameters as the gateway understands them, for filtering here.
    filters: TailParams,
    grep: Option<Grep>,
    style: LineStyle,
}

impl<'a> Reader<'a> {
    fn new(args: &'a LogsArgs, context: &'a Context) -> Result<Self, Failure> {
        let params = params(args);
        let zone = TimeZone::system();
        let filters = TailParams::parse(&Value::Object(params.clone()), Timestamp::now(), &zone)
            .map_err(|error| Failure::usage(format!("--{}: {}", flag_of(error.key), error.message)))?;
        let grep = args.grep.as_deref().map(Grep::new).transpose().map_err(|error| Failure::usage(error.to_string()))?;
        let style =
            LineStyle { zone: args.local_time.then_some(zone), colour: !args.plain && context.output.colour() };
        Ok(Self { args, context, params, filters, grep, style })
    }

    async fn run(&self) -> Outcome {
        let mut origin = Origin::Gateway(rpc::locate(self.context, &self.args.rpc)?, None);
        let mut cursor = None;
        loop {
            match self.look(&mut origin, cursor).await {
                Ok(batch) => {
                    self.show(&batch, cursor.is_none())?;
                    cursor = number(&batch, "/cursor").or(cursor);
                }
                Err(failure) => self.after_failure(failure, &mut origin, cursor.is_some()).await?,
            }
            if !self.args.follow && cursor.is_some() {
                return Ok(Exit::Done);
            }
            if cursor.is_some() {
                tokio::time::sleep(Duration::from_millis(self.args.interval)).await;
            }
        }
    }

    /// One batch: `{file, cursor, size, lines, truncated, reset}`.
    async fn look(&self, origin: &mut Origin<'_>, cursor: Option<u64>) -> Result<Value, Failure> {
        match origin {
            Origin::Files(path) => self.look_into(path, cursor),
            Origin::Gateway(gateway, link) => {
                let deadline = self.args.rpc.deadline(TIMEOUT_MS);
                let mut params = self.params.clone();
                params.extend(cursor.map(|cursor| ("cursor".to_owned(), json!(cursor))));
                let mut open = match link.take() {
                    Some(open) => open,
                    None => gateway.open("logs.tail", deadline).await?,
                };
                let batch = gateway.call_on(&mut open, "logs.tail", Value::Object(params), deadline).await?;
                *link = Some(open);
                Ok(batch)
            }
        }
    }

    fn look_into(&self, path: &LogPath, cursor: Option<u64>) -> Result<Value, Failure> {
        let today = Timestamp::now().to_zoned(TimeZone::system()).date();
        let current = path.on(today);
        let older = path.generations()?.into_iter().map(|file| file.path).filter(|file| *file != current);
        let files: Vec<PathBuf> = std::iter::once(current.clone()).chain(older).collect();
        let params = TailParams { cursor, ..self.filters.clone() };
        serde_json::to_value(tail::tail(&files, &params)?).map_err(|error| Failure::error(error.to_string()))
    }

    /// A gateway that is down is replaced by its file, unless somebody named it; one that went away is waited for.
    async fn after_failure(
        &self,
        failure: Failure,
        origin: &mut Origin<'_>,
        had_answers: bool,
    ) -> Result<(), Failure> {
        let Origin::Gateway(gateway, _) = origin else { return Err(failure) };
        if failure.kind != rpc::TRANSPORT {
            return Err(failure);
        }
        if had_answers && self.args.follow {
            self.notice("Gateway went away; waiting for it to return.")?;
            tokio::time::sleep(RETRY).await;
            return Ok(());
        }
        if !gateway.is_implicit_local() {
            return Err(failure);
        }
        self.context.output.note("Local Gateway RPC unavailable; reading configured file log instead.");
        *origin = Origin::Files(self.context.log_path(gateway.keys()));
        Ok(())
    }

    fn show(&self, batch: &Value, first: bool) -> Result<(), Failure> {
        let output = &self.context.output;
        let file = string(batch, "/file").unwrap_or_default();
        let size = number(batch, "/size").unwrap_or(0);
        if first && self.args.rpc.json {
            let cursor = number(batch, "/cursor");
            output.json_line(&json!({ "type": "meta", "file": file, "cursor": cursor, "size": size }))?;
        } else if first {
            output.line(format!("Log file: {}", self.context.show(&PathBuf::from(file))))?;
        }
        if batch.get("reset") == Some(&Value::Bool(true)) {
            self.notice("Log cursor reset (file rotated).")?;
        }
        for line in list(batch, "/lines").iter().filter_map(Value::as_str).filter(|line| self.wanted(line)) {
            if self.args.rpc.json {
                output.line(render::json(line))?;
            } else {
                output.line(render::human(line, &self.style))?;
            }
        }
        if first && batch.get("truncated") == Some(&Value::Bool(true)) {
            self.notice("Log tail truncated (increase --max-bytes).")?;
        }
        Ok(())
    }

    fn wanted(&self, line: &str) -> bool {
        let plain = || render::human(line, &LineStyle::default());
        self.filters.filter.admits_text(line) && self.grep.as_ref().is_none_or(|grep| grep.finds(&plain()))
    }

    fn notice(&self, message: &str) -> Result<(), Failure> {
        if self.args.rpc.json {
            self.context.output.json_line(&json!({ "type": "notice", "message": message }))?;
        } else {
            self.context.output.note(message);
        }
        Ok(())
    }
}

/// The parameters of `logs.tail` for these flags.
fn params(args: &LogsArgs) -> Map<String, Value> {
    let flags = [
        ("limit", Some(json!(args.limit))),
        ("maxBytes", Some(json!(args.max_bytes))),
        ("level", args.level.as_ref().map(|text| json!(text))),
        ("component", args.component.as_ref().map(|text| json!(text))),
        ("since", args.since.as_ref().map(|text| json!(text))),
        ("until", args.until.as_ref().map(|text| json!(text))),
        ("minDurationMs", args.slow.map(|ms| json!(ms))),
    ];
    flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The flag behind a parameter.
fn flag_of(parameter: &str) -> &str {
    match parameter {
        "maxBytes" => "max-bytes",
        "minDurationMs" => "slow",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> LogsArgs {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Some(Command::Logs(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_parameters_and_absent_ones_are_left_out() {
        let args = parse("openclaw logs --tail 5 --level warn --component gateway --since 2h --slow");
        let expected = json!({
            "limit": 5, "maxBytes": 250_000, "level": "warn", "component": "gateway", "since": "2h", "minDurationMs": 1000
        });
        assert_eq!(Value::Object(params(&args)), expected);
        assert_eq!(Value::Object(params(&parse("openclaw logs"))), json!({ "limit": 200, "maxBytes": 250_000 }));
    }

    #[test]
    fn slow_takes_a_figure_of_its_own() {
        assert_eq!(parse("openclaw logs --slow 250").slow, Some(250));
        assert_eq!(parse("openclaw logs").slow, None);
    }
}
