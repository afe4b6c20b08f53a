//! One call to a gateway, as every client command makes it.
//!
//! Invariant: one connection per call, only the scopes that the method needs, one deadline over connect and call; no hidden
//! fallback to another gateway or to an agent inside this process. Source: command line specification §1.7.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::keys::{self, GatewayKeys};
use super::run_file;
use super::target::{self, Flags, Source, Target, Variables};
use crate::client::{Client, ClientError, ConnectOptions, Endpoint};

/// Silence after which people are told what we wait for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The options that every command with a call has.
#[derive(Debug, Clone, Default, Args)]
pub struct RpcArgs {
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
    /// Milliseconds for connecting and the answer together
    #[arg(long, value_name = "ms")]
    pub timeout: Option<u64>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Wait for the last answer of a method that answers twice
    #[arg(long)]
    pub expect_final: bool,
}

impl RpcArgs {
    pub fn deadline(&self, default_ms: u64) -> Duration {
        Duration::from_millis(self.timeout.unwrap_or(default_ms))
    }

    fn flags(&self) -> Flags<'_> {
        let text = |value: &'_ Option<String>| -> Option<&str> { value.as_deref().filter(|text| !text.is_empty()) };
        Flags { url: text(&self.url), token: text(&self.token), password: text(&self.password), port: self.port }
    }
}

/// `kind` of a failure where nobody answered; commands with a fallback look for it.
pub const TRANSPORT: &str = "gateway_transport_error";
/// `kind` of a failure where the gateway said no.
pub const REQUEST: &str = "gateway_request_error";

/// The gateway that a command means.
pub struct Gateway<'a> {
    context: &'a Context,
    keys: GatewayKeys,
    target: Target,
}

/// An open connection, for commands that call more than once.
pub struct Link(Client);

/// Finds out which gateway is meant; connects to nothing.
pub fn locate<'a>(context: &'a Context, args: &RpcArgs) -> Result<Gateway<'a>, Failure> {
    let keys = context.keys()?;
    let target = target(context, args.flags(), &keys)
        .map_err(|error| refuse(context, &error))?;
    Ok(Gateway { context, keys, target })
}

/// The target of a probe, which shows a mistake instead of failing on it.
pub fn target(context: &Context, flags: Flags<'_>, keys: &GatewayKeys) -> Result<Target, TargetError> {
    let env = Variables {
        url: context.env.non_empty("OPENCLAW_GATEWAY_URL"),
        port: context.env_port().ok().flatten(),
        token: context.env.non_empty("OPENCLAW_GATEWAY_TOKEN"),
        password: context.env.non_empty("OPENCLAW_GATEWAY_PASSWORD"),
        insecure_private: context.env.non_empty("OPENCLAW_ALLOW_INSECURE_PRIVATE_WS") == Some("1"),
    };
    let mut target = target::resolve(flags, env, keys, context.paths.port_default)?;
    if target.source == Source::Loopback && target.token.is_none() && target.password.is_none() {
        target.token = run_file::read(&context.paths.state_dir).and_then(|note| note.token);
    }
    Ok(target)
}
