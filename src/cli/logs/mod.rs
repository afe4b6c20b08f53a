//! `openclaw logs`: the gateway's log, from the gateway while it runs, from the file when it does not.
//!
//! Invariant: filters mean the same either way; what the gateway did not filter is filtered here.
//! Source: command line specification §3.6, operations specification §8.

mod page;

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_actors::logs::filter::{Filter, Grep};
use openclaw_actors::logs::path::LogPath;
use openclaw_actors::logs::render::LineStyle;
use openclaw_actors::logs::tail;
use openclaw_actors::logs::tail_params::{BYTES_MAX, LIMIT_MAX, TailParams};
use openclaw_actors::logs::when::{self, Bound};
use serde_json::{Value, json};

use self::page::{Out, View};
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::rpc::{self, Gateway, Invalid, Link, RpcArgs};
use super::text::{number, string};

/// Milliseconds for connecting and one answer.
const TIMEOUT_MS: u64 = 30_000;

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
    let view = view(args, context.output.colour(), Timestamp::now(), &TimeZone::system())?;
    let mut reader = Reader {
        args,
        context,
        view,
        origin: Origin::Gateway(Box::new(rpc::locate(context, &args.rpc, Invalid::Noted)?), None),
        file: None,
        cursor: None,
        lost: 0,
    };
    match context.block_on(reader.run())? {
        Err(failure) if args.rpc.json && !failure.reader_gone => reader.fail(&failure),
        outcome => outcome,
    }
}

/// Where lines come from.
enum Origin<'a> {
    Gateway(Box<Gateway<'a>>, Option<Link>),
    Files(LogPath),
}

struct Reader<'a> {
    args: &'a LogsArgs,
    context: &'a Context,
    view: View,
    origin: Origin<'a>,
    /// The file of the last answer.
    file: Option<String>,
    cursor: Option<u64>,
    /// Connections lost in a row.
    lost: u32,
}

impl Reader<'_> {
    async fn run(&mut self) -> Outcome {
        loop {
            match self.look().await {
                Ok(reply) => self.show(&reply)?,
                Err(failure) if failure.kind == rpc::TRANSPORT => self.after_loss(failure).await?,
                Err(failure) => return Err(failure),
            }
            if self.cursor.is_none() || self.lost > 0 {
                continue; // nothing was shown: another origin, or another try
            }
            if !self.args.follow {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(Duration::from_millis(self.args.interval)).await;
        }
    }

    /// One reply of `logs.tail`.
    async fn look(&mut self) -> Result<Value, Failure> {
        let deadline = self.args.rpc.deadline(TIMEOUT_MS);
        let params = page::params(self.cursor, self.args.limit, self.args.max_bytes, &self.view.filter);
        match &mut self.origin {
            Origin::Files(path) => {
                let today = Timestamp::now().to_zoned(TimeZone::system()).date();
                let params = TailParams {
                    cursor: self.cursor,
                    limit: usize::try_from(self.args.limit).unwrap_or(LIMIT_MAX),
                    bytes_max: self.args.max_bytes,
                    filter: self.view.filter.clone(),
                };
                Ok(serde_json::to_value(tail::tail(&path.to_read(today)?, &params)?).unwrap_or_default())
            }
            Origin::Gateway(gateway, link) => {
                let mut open = match link.take() {
                    Some(open) => open,
                    None => gateway.open("logs.tail", &params, deadline).await?,
                };
                let reply = gateway.call_on(&mut open, "logs.tail", params, deadline).await?;
                *link = Some(open);
                Ok(reply)
            }
        }
    }

    fn show(&mut self, reply: &Value) -> Result<(), Failure> {
        self.print(page::page(reply, self.file.as_deref(), &self.view))?;
        self.file = string(reply, "/file").map(str::to_owned);
        self.cursor = Some(number(reply, "/cursor").unwrap_or(0));
        self.lost = 0;
        Ok(())
    }

    /// A gateway that is down is replaced by its file, unless somebody named it; one that went away is waited for.
    async fn after_loss(&mut self, failure: Failure) -> Result<(), Failure> {
        let Origin::Gateway(gateway, _) = &self.origin else { return Err(failure) };
        if self.cursor.is_some() && self.args.follow {
            let attempt = self.lost;
            self.lost += 1;
            self.print(vec![page::reconnect_notice(attempt, failure.message(), &self.view)])?;
            tokio::time::sleep(page::reconnect_delay(attempt)).await;
            return Ok(());
        }
        if !gateway.is_implicit_local() {
            return Err(failure);
        }
        let path = self.context.log_path(gateway.keys());
        self.context.output.note(page::READING_FILE);
        self.origin = Origin::Files(path);
        Ok(())
    }

    /// The stream ends with an object that says why; people read the same on stderr.
    fn fail(&self, failure: &Failure) -> Outcome {
        let details = failure.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.print(vec![page::failure(failure.message(), details, &self.view)])?;
        for line in &failure.lines {
            self.context.output.note(line);
        }
        Ok(failure.exit)
    }

    fn print(&self, lines: Vec<Out>) -> Result<(), Failure> {
        for line in lines {
            match line {
                Out::Stdout(text) => self.context.output.line(text)?,
                Out::Stderr(text) => self.context.output.note(text),
            }
        }
        Ok(())
    }
}

/// What is shown, and how.
fn view(args: &LogsArgs, colour: bool, now: Timestamp, zone: &TimeZone) -> Result<View, Failure> {
    let time = |flag: &str, text: Option<&str>, bound| {
        let parsed = text.map(|text| when::parse(text, bound, now, zone)).transpose();
        parsed.map_err(|error| Failure::usage(format!("--{flag}: {error}")))
    };
    let level = args.level.as_deref().map(str::parse).transpose();
    let filter = Filter {
        level: level.map_err(|_| {
            Failure::usage("Invalid --level. Use \"fatal\", \"error\", \"warn\", \"info\", \"debug\", or \"trace\".")
        })?,
        component: args.component.clone().filter(|name| !name.is_empty()),
        since: time("since", args.since.as_deref(), Bound::Since)?,
        until: time("until", args.until.as_deref(), Bound::Until)?,
        duration_ms_min: args.slow.map(|ms| ms as f64),
    };
    let grep = args.grep.as_deref().map(Grep::new).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let style = LineStyle { zone: args.local_time.then(|| zone.clone()), colour: colour && !args.plain };
    Ok(View { json: args.rpc.json, style, filter, grep })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use openclaw_actors::logs::Level;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> LogsArgs {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Some(Command::Logs(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn seen(line: &str) -> Result<View, String> {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        view(&parse(line), true, now, &TimeZone::UTC).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn every_flag_of_the_tutorial_becomes_a_filter() {
        let view = seen("openclaw logs --tail 5 --level warn --component gateway --since 2h --until 2026-03-01 --slow")
            .unwrap();
        let expected = Filter {
            level: Some(Level::Warn),
            component: Some("gateway".into()),
            since: Some("2026-03-01T10:00:00Z".parse().unwrap()),
            until: view.filter.until,
            duration_ms_min: Some(1_000.0),
        };
        assert_eq!(view.filter, expected);
        assert!(view.filter.until.is_some());
        assert_eq!(parse("openclaw logs --tail 5").limit, 5);
        assert_eq!(seen("openclaw logs --slow 250").unwrap().filter.duration_ms_min, Some(250.0));
        assert!(seen("openclaw logs").unwrap().filter.is_open());
    }

    #[test]
    fn a_flag_that_means_nothing_is_named() {
        assert!(seen("openclaw logs --since soon").unwrap_err().starts_with("--since: \"soon\" is not a time"));
        assert!(seen("openclaw logs --level loud").unwrap_err().starts_with("Invalid --level."));
        assert!(seen("openclaw logs --grep (").unwrap_err().starts_with("--grep \"(\""));
    }

    #[test]
    fn plain_takes_the_colours_away() {
        assert!(seen("openclaw logs").unwrap().style.colour);
        assert!(!seen("openclaw logs --plain").unwrap().style.colour);
    }
}
