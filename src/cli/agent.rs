//! `openclaw agent`: one turn of an agent, run by the gateway.
//!
//! Invariant: never runs a turn in this process. When the connection is lost after the gateway may have accepted the turn, the
//! text says so, because repeating the command would run it twice. Source: command line specification §6.

use std::io::Read;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::rpc::{self, Gateway, Invalid, RpcArgs};
use super::text::{list, string};
use crate::client::ClientError;

/// Seconds of one turn when nobody says otherwise.
const TURN_SECONDS: u64 = 600;
/// How much longer than the turn we wait for its answer.
const GRACE: Duration = Duration::from_secs(30);

/// Ask an agent and print its answer
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw agent -m \"what is new?\"
  openclaw agent --agent ops --message \"check the backups\" --json
  openclaw agent --message-file question.md --thinking high")]
pub struct AgentArgs {
    /// What to say
    #[arg(short, long, value_name = "text", required_unless_present = "message_file")]
    pub message: Option<String>,
    /// File with what to say; - reads standard input
    #[arg(long, value_name = "path", conflicts_with = "message")]
    pub message_file: Option<String>,
    /// Agent to ask; the default one otherwise
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Person or place whose conversation is continued
    #[arg(short, long, value_name = "recipient")]
    pub to: Option<String>,
    /// Session by its id
    #[arg(long, value_name = "id")]
    pub session_id: Option<String>,
    /// Session by its key
    #[arg(long, value_name = "key")]
    pub session_key: Option<String>,
    /// Model for this turn: provider/model or an alias
    #[arg(long, value_name = "model")]
    pub model: Option<String>,
    /// How hard to think: off, minimal, low, medium, high
    #[arg(long, value_name = "level")]
    pub thinking: Option<String>,
    /// Whether the session shows tools at work: on or off
    #[arg(long, value_name = "on|off")]
    pub verbose: Option<String>,
    /// Channel that the turn belongs to
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    /// Also send the answer to the channel
    #[arg(long)]
    pub deliver: bool,
    /// Channel for the answer
    #[arg(long, value_name = "channel")]
    pub reply_channel: Option<String>,
    /// Recipient of the answer
    #[arg(long, value_name = "recipient")]
    pub reply_to: Option<String>,
    /// Account that sends the answer
    #[arg(long, value_name = "account")]
    pub reply_account: Option<String>,
    /// Run the turn without a gateway
    #[arg(long)]
    pub local: bool,
    #[command(flatten)]
    pub rpc: AgentRpcArgs,
}

/// The shared options; the time limit counts seconds here and is the turn's own.
#[derive(Debug, Clone, Args)]
pub struct AgentRpcArgs {
    /// Address of the gateway; needs --token or --password beside it
    #[arg(long, value_name = "url")]
    pub url: Option<String>,
    /// Port of a gateway on this host
    #[arg(long, value_name = "n", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Token of the gateway
    #[arg(long, value_name = "token")]
    pub token: Option<String>,
    /// Password of the gateway
    #[arg(long, value_name = "password")]
    pub password: Option<String>,
    /// Seconds for the turn; 0 waits as long as it takes
    #[arg(long, value_name = "s", default_value_t = TURN_SECONDS)]
    pub timeout: u64,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Always so for a turn; accepted because every command takes it
    #[arg(long)]
    pub expect_final: bool,
}

impl AgentRpcArgs {
    fn target(&self) -> RpcArgs {
        RpcArgs {
            url: self.url.clone(),
            port: self.port,
            token: self.token.clone(),
            password: self.password.clone(),
            json: self.json,
            ..RpcArgs::default()
        }
    }

    /// Longest wait for the last answer.
    fn limit(&self) -> Duration {
        const FOREVER: Duration = Duration::from_secs(30 * 86_400);
        if self.timeout == 0 { FOREVER } else { Duration::from_secs(self.timeout).min(FOREVER) + GRACE }
    }
}

pub fn run(args: &AgentArgs, context: &Context) -> Outcome {
    if args.local {
        return Err(Failure::usage("This release runs agents in the gateway only; it does not have --local."));
    }
    if args.verbose.is_some() {
        context.output.note("--verbose is accepted and has no effect in this release.");
    }
    let message = message(args, context)?;
    let gateway = rpc::locate(context, &args.rpc.target(), Invalid::Stops)?;
    let params = params(args, &message, &Uuid::new_v4().to_string());
    let answer = context.block_on(gateway.call_final("agent", params, args.rpc.limit()))?;
    let answer = answer.map_err(|error| failure(&gateway, error))?;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        for line in lines(&answer) {
            context.output.line(line)?;
        }
    }
    if string(&answer, "/status") == Some("ok") {
        return Ok(Exit::Done);
    }
    context.output.note(format!("The turn ended early: {}", string(&answer, "/summary").unwrap_or("no reason given")));
    Ok(Exit::Failed)
}

fn message(args: &AgentArgs, context: &Context) -> Result<String, Failure> {
    let text = match (&args.message, args.message_file.as_deref()) {
        (Some(text), _) => text.clone(),
        (None, Some("-")) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        (None, Some(path)) => std::fs::read_to_string(context.cwd.join(path))
            .map_err(|error| Failure::usage(format!("--message-file {path}: {error}")))?,
        (None, None) => String::new(),
    };
    if text.trim().is_empty() {
        return Err(Failure::usage("The message is empty."));
    }
    Ok(text)
}

/// The parameters of `agent`; what nobody said is left out. `key` makes the turn unique.
fn params(args: &AgentArgs, message: &str, key: &str) -> Value {
    let texts = [
        ("agentId", &args.agent),
        ("to", &args.to),
        ("sessionId", &args.session_id),
        ("sessionKey", &args.session_key),
        ("model", &args.model),
        ("thinking", &args.thinking),
        ("channel", &args.channel),
        ("replyChannel", &args.reply_channel),
        ("replyTo", &args.reply_to),
        ("replyAccountId", &args.reply_account),
    ];
    let mut params: Map<String, Value> =
        texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))).collect();
    params.insert("message".into(), json!(message));
    params.insert("deliver".into(), json!(args.deliver));
    params.insert("timeout".into(), json!(args.rpc.timeout));
    params.insert("idempotencyKey".into(), json!(key));
    Value::Object(params)
}

/// The texts of the answer, then what it attached.
fn lines(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for payload in list(answer, "/result/payloads") {
        lines.extend(string(payload, "/text").map(str::to_owned));
        lines.extend(string(payload, "/mediaUrl").map(|url| format!("MEDIA: {url}")));
    }
    lines
}

fn failure(gateway: &Gateway<'_>, error: ClientError) -> Failure {
    let unknown_agent = match &error {
        ClientError::Rpc { error, .. } => unknown_agent(&error.message),
        _ => None,
    };
    let may_still_run = matches!(error, ClientError::Closed { .. } | ClientError::Timeout { .. });
    let mut failure = gateway.failure(error);
    if let Some(text) = unknown_agent {
        failure.lines[0] = text;
    }
    if may_still_run {
        let warning = "The turn may still be running in the gateway: look at the session before you repeat it.";
        failure.lines.insert(1.min(failure.lines.len()), warning.to_owned());
    }
    failure
}

fn unknown_agent(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown agent id \"")?;
    let (id, _) = rest.split_once('"')?;
    Some(format!("Unknown agent id \"{id}\". Use \"openclaw config get agents.list\" to see configured agents."))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &[&str]) -> AgentArgs {
        match Cli::try_parse_from([&["openclaw", "agent"], line].concat()).unwrap().command {
            Some(Command::Agent(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_target_the_gateway_chooses_the_default_agent() {
        let args = parse(&["-m", "hi"]);
        let expected = json!({ "message": "hi", "deliver": false, "timeout": 600, "idempotencyKey": "k" });
        assert_eq!(params(&args, "hi", "k"), expected);
    }

    #[test]
    fn every_flag_travels_under_its_name() {
        let args =
            parse(&["-m", "hi", "--agent", "ops", "--model", "a/b", "--deliver", "--reply-to", "x", "--timeout", "5"]);
        let expected = json!({
            "agentId": "ops", "model": "a/b", "replyTo": "x", "message": "hi",
            "deliver": true, "timeout": 5, "idempotencyKey": "k"
        });
        assert_eq!(params(&args, "hi", "k"), expected);
    }

    #[test]
    fn the_wait_is_longer_than_the_turn() {
        assert_eq!(parse(&["-m", "hi", "--timeout", "5"]).rpc.limit(), Duration::from_secs(35));
        assert!(parse(&["-m", "hi", "--timeout", "0"]).rpc.limit() > Duration::from_secs(86_400));
    }

    #[test]
    fn an_answer_is_its_texts_and_attachments() {
        let answer =
            json!({ "result": { "payloads": [{ "text": "one", "mediaUrl": null }, { "mediaUrl": "file:///a.png" }] } });
        assert_eq!(lines(&answer), ["one", "MEDIA: file:///a.png"]);
    }

    #[test]
    fn an_unknown_agent_is_named_with_the_way_to_the_known_ones() {
        let text = unknown_agent("invalid agent params: unknown agent id \"nope\"").unwrap();
        assert!(text.starts_with("Unknown agent id \"nope\". "), "{text}");
        assert_eq!(unknown_agent("model not allowed"), None);
    }
}
