//! `openclaw gateway call`: any method, as it is.

use clap::Args;
use openclaw_actors::config::parse;
use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::rpc::{self, Invalid, RpcArgs};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

/// Call a method of the gateway and print its answer
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw gateway call status
  openclaw gateway call logs.tail --params '{\"sinceMs\": 60000}'
  openclaw gateway call agent --expect-final --params '{\"message\":\"hi\",\"idempotencyKey\":\"1\"}'")]
pub struct CallArgs {
    /// Name of the method
    #[arg(value_name = "method")]
    pub method: String,
    /// Parameters as JSON
    #[arg(long, value_name = "json", default_value = "{}")]
    pub params: String,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

pub fn run(args: &CallArgs, context: &Context) -> Outcome {
    let params = params(&args.params)?;
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let deadline = args.rpc.deadline(TIMEOUT_MS);
    let answer = context.block_on(async {
        if args.rpc.expect_final {
            gateway.call_final(&args.method, params, deadline).await.map_err(|error| gateway.failure(error))
        } else {
            gateway.call(&args.method, params, deadline).await
        }
    })?;
    let answer = answer.map_err(failed)?;
    if !args.rpc.json {
        context.output.line(format!("Gateway call: {}", args.method))?;
    }
    context.output.json(&answer)?;
    Ok(Exit::Done)
}

fn params(text: &str) -> Result<Value, Failure> {
    match parse::json5(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(Failure::usage("Gateway call failed: --params must be an object")),
        Err(error) => Err(Failure::usage(format!("Gateway call failed: {error}"))),
    }
}

/// A refusal of the gateway in this command's words; a gateway that is down keeps its own text.
fn failed(mut failure: Failure) -> Failure {
    if failure.kind == rpc::REQUEST
        && let Some(first) = failure.lines.first_mut()
    {
        *first = format!("Gateway call failed: {first}");
    }
    failure
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_an_object() {
        assert_eq!(params("{\"sinceMs\": 60000}"), Ok(json!({ "sinceMs": 60_000 })));
        for bad in ["{bad", "[]", "1"] {
            let failure = params(bad).unwrap_err();
            assert!(failure.message().starts_with("Gateway call failed: "), "{bad}");
            assert_eq!(failure.exit, Exit::Failed);
        }
    }

    #[test]
    fn only_a_refusal_gets_the_prefix() {
        assert_eq!(
            failed(Failure::new(rpc::REQUEST, "unknown method: x")).message(),
            "Gateway call failed: unknown method: x"
        );
        assert_eq!(failed(Failure::new(rpc::TRANSPORT, "not reachable")).message(), "not reachable");
    }
}
