//! What `inbox`, `outbox` and `spool` have in common: a list as a table, one row in full, something done with one row.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::list;

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its id, as `list` shows it
    pub id: String,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

/// How many rows, and how they are shown.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// How many to show
    #[arg(long, value_name = "n", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub limit: u64,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

/// How a list is shown.
pub struct Table {
    pub headers: &'static [&'static str],
    /// Makes a row from an item and the time now, in milliseconds.
    pub row: fn(&Value, u64) -> Vec<String>,
}

/// Asks for the rows that have the values of `only`, and shows them.
pub fn listed(
    page: &PageArgs,
    method: &str,
    only: &[(&str, &Option<String>)],
    table: &Table,
    context: &Context,
) -> Outcome {
    let mut params = Map::from_iter([("limit".to_owned(), json!(page.limit))]);
    params.extend(only.iter().filter_map(|(key, value)| Some(((*key).to_owned(), json!(value.as_ref()?)))));
    let answer = call(&page.rpc, method, Value::Object(params), context)?;
    if page.rpc.json {
        context.output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let now = rpc::epoch_ms();
    let rows: Vec<Vec<String>> = list(&answer, "/items").iter().map(|item| (table.row)(item, now)).collect();
    if rows.is_empty() {
        context.output.line("No messages.")?;
    } else {
        context.output.table(table.headers, &rows)?;
    }
    Ok(Exit::Done)
}

/// Asks for one row or has something done with it, and says what `lines` makes of the answer.
pub fn one(args: &OneArgs, method: &str, context: &Context, lines: impl Fn(&Value) -> Vec<String>) -> Outcome {
    let answer = call(&args.rpc, method, json!({ "id": args.id }), context)?;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        for line in lines(&answer) {
            context.output.line(line)?;
        }
    }
    Ok(Exit::Done)
}

/// Every field of a row that has a value.
pub fn show(answer: &Value) -> Vec<String> {
    let Some(Value::Object(item)) = answer.get("item") else { return Vec::new() };
    let told = item.iter().filter(|(_, value)| !value.is_null());
    told.map(|(key, value)| format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// What a `drop` did.
pub fn dropped(answer: &Value) -> Vec<String> {
    let dropped = match answer.get("dropped") {
        Some(Value::Bool(true)) => "Dropped".to_owned(),
        Some(Value::Number(count)) if count.as_u64() != Some(0) => format!("Dropped {count}"),
        _ => "It was gone already".to_owned(),
    };
    vec![dropped]
}

fn call(rpc: &RpcArgs, method: &str, params: Value, context: &Context) -> Result<Value, Failure> {
    let gateway = rpc::locate(context, rpc, Invalid::Noted)?;
    context.block_on(gateway.call(method, params, rpc.deadline(TIMEOUT_MS)))?
}
