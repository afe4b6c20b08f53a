//! `openclaw metrics`: the figures that the running gateway collects.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{list, string};
use super::watch;

/// Milliseconds for one look.
const TIMEOUT_MS: u64 = 10_000;

/// Show the figures that the gateway collects
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw metrics
  openclaw metrics --prometheus
  openclaw metrics --watch 5")]
pub struct MetricsArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Print the text format of Prometheus
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// Look again every so many seconds until Ctrl-C; with --json one document a line
    #[arg(short, long, value_name = "seconds", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
}

pub fn run(args: &MetricsArgs, context: &Context) -> Outcome {
    match args.watch {
        Some(seconds) => watch::again(Duration::from_secs(seconds), context, || show(args, context)),
        None => show(args, context).map(|()| Exit::Done),
    }
}

fn show(args: &MetricsArgs, context: &Context) -> Result<(), Failure> {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let params = if args.prometheus { json!({ "format": "prometheus" }) } else { json!({}) };
    let answer = context.block_on(gateway.call("diagnostics.metrics", params, args.rpc.deadline(TIMEOUT_MS)))??;
    if args.rpc.json && args.watch.is_some() {
        context.output.line(answer.to_string())?;
    } else if args.rpc.json {
        context.output.json(&answer)?;
    } else if args.prometheus {
        context.output.line(string(&answer, "/text").unwrap_or_default().trim_end())?;
    } else {
        context.output.table(&["Metric", "Labels", "Value"], &rows(&answer))?;
    }
    Ok(())
}

/// One row a series; of durations only how many there were and their sum.
fn rows(answer: &Value) -> Vec<Vec<String>> {
    let series = list(answer, "/families").iter().flat_map(|family| list(family, "/series"));
    let shown = series.filter(|series| !string(series, "/name").is_some_and(|name| name.ends_with("_bucket")));
    shown
        .map(|series| {
            let labels = series.get("labels").and_then(Value::as_object);
            let labels = labels.into_iter().flatten();
            let labels: Vec<String> =
                labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
            let value = series.get("value").and_then(Value::as_f64).unwrap_or_default();
            vec![string(series, "/name").unwrap_or("?").to_owned(), labels.join(" "), format!("{value}")]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_a_row_and_buckets_are_left_out() {
        let answer = json!({ "families": [{ "name": "x_seconds", "type": "histogram", "series": [
            { "name": "x_seconds_bucket", "labels": { "le": "1" }, "value": 2.0 },
            { "name": "x_seconds_sum", "labels": { "a": "b" }, "value": 1.5 },
        ] }] });
        assert_eq!(rows(&answer), [["x_seconds_sum", "a=b", "1.5"]]);
    }
}
