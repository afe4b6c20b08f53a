//! Calls to a gateway, as every client command makes them.
//!
//! Invariant: one connection per command, only the scopes that the method needs, one deadline over connect and call; no hidden
//! fallback to another gateway or to an agent inside this process. Source: command line specification §1.3 and §1.7.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use clap::Args;
use openclaw_actors::devices::DeviceIdentity;
use openclaw_actors::protocol::PROTOCOL_VERSION;
use openclaw_actors::protocol::hello::{client_id, client_mode};
use openclaw_actors::protocol::scope::Scope;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::context::Context;
use super::exit::Failure;
use super::gateway::reach::Reach;
use super::keys::GatewayKeys;
use super::scopes;
use super::text::string;
use crate::client::{
    self, Client, ClientError, ConnectOptions, Endpoint, EndpointError, EndpointInputs, GivenCredentials, RunFile,
    UrlSource,
};

/// Silence after which people are told what we wait for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The oldest protocol that a probe admits to; gateways of the next generation ask for it.
const PROBE_PROTOCOL_MIN: u32 = 3;

/// `kind` of a failure where nobody answered; commands with a fallback look for it.
pub const TRANSPORT: &str = "gateway_transport_error";
/// `kind` of a failure where the gateway said no.
pub const REQUEST: &str = "gateway_request_error";

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
    #[arg(long, value_name = "ms", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
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
}

/// What a command does when the configuration is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Says so and stops.
    Stops,
    /// Says so and goes on with what can be read.
    Noted,
}

/// The gateway that a command means.
pub struct Gateway<'a> {
    context: &'a Context,
    keys: GatewayKeys,
    endpoint: Endpoint,
}

/// An open connection, for commands that call more than once.
pub struct Link(Box<Client>);

/// Finds out which gateway is meant; connects to nothing.
pub fn locate<'a>(context: &'a Context, args: &RpcArgs, invalid: Invalid) -> Result<Gateway<'a>, Failure> {
    let keys = match invalid {
        Invalid::Stops => context.keys()?,
        Invalid::Noted => context.keys_or_note()?,
    };
    let endpoint = endpoint(context, args, &keys)?;
    Ok(Gateway { context, keys, endpoint })
}

/// The address and credentials of these options.
pub fn endpoint(context: &Context, args: &RpcArgs, keys: &GatewayKeys) -> Result<Endpoint, Failure> {
    let note = RunFile::read(&context.paths.state_dir);
    let own_port = args.port.is_some() && args.url.is_none(); // a port means this host, whatever is configured
    let inputs = EndpointInputs {
        flag_url: args.url.as_deref(),
        flags: GivenCredentials { token: args.token.as_deref(), password: args.password.as_deref() },
        env_url: context.env.non_empty("OPENCLAW_GATEWAY_URL").filter(|_| !own_port),
        env: GivenCredentials {
            token: context.env.non_empty("OPENCLAW_GATEWAY_TOKEN"),
            password: context.env.non_empty("OPENCLAW_GATEWAY_PASSWORD"),
        },
        allow_private_plain: context.env.non_empty("OPENCLAW_ALLOW_INSECURE_PRIVATE_WS") == Some("1"),
        remote_mode: keys.remote_mode && !own_port,
        remote_url: keys.remote_url.as_deref(),
        remote: GivenCredentials { token: keys.remote_token.as_deref(), password: keys.remote_password.as_deref() },
        auth: GivenCredentials { token: keys.token.as_deref(), password: keys.password.as_deref() },
        port: port_of(context, args, keys, note.as_ref())?,
        tls: keys.tls,
        run_file: note.as_ref(),
        device_token: None,
    };
    resolve(&inputs, keys).map_err(|error| refuse(context, &error))
}

/// The local gateway's port: flag, environment, the one where a gateway of this state directory listens now,
/// configuration, default.
pub fn local_port(context: &Context, args: &RpcArgs, keys: &GatewayKeys) -> Result<u16, Failure> {
    let note = RunFile::read(&context.paths.state_dir);
    port_of(context, args, keys, note.as_ref())
}

fn port_of(context: &Context, args: &RpcArgs, keys: &GatewayKeys, note: Option<&RunFile>) -> Result<u16, Failure> {
    let named = args.port.or(context.env_port()?);
    Ok(named.or(note.map(|note| note.port)).or(keys.port).unwrap_or(context.paths.port_default))
}

/// A gateway without authentication needs no credential, not even at an address that somebody named.
fn resolve(inputs: &EndpointInputs<'_>, keys: &GatewayKeys) -> Result<Endpoint, EndpointError> {
    match Endpoint::resolve(inputs) {
        Err(EndpointError::NoCredentials) if keys.auth_is_none() => {
            let flags = GivenCredentials { token: Some("none"), password: None };
            Endpoint::resolve(&EndpointInputs { flags, ..*inputs }).map(|endpoint| Endpoint { token: None, ..endpoint })
        }
        resolved => resolved,
    }
}

/// A target that cannot be used, in the words of the command line.
fn refuse(context: &Context, error: &EndpointError) -> Failure {
    let failure = Failure::usage(error.to_string());
    let failure = match error {
        EndpointError::NoCredentials => failure.line("Fix: pass --token or --password together with the address."),
        _ => failure,
    };
    failure.line(format!("Config: {}", context.show(&context.paths.config_path)))
}

impl Gateway<'_> {
    pub fn keys(&self) -> &GatewayKeys {
        &self.keys
    }

    /// Nobody named an address: a command may look at local files instead.
    pub fn is_implicit_local(&self) -> bool {
        self.endpoint.source == UrlSource::Loopback
    }

    /// The lines that say which gateway was meant.
    pub fn details(&self) -> Vec<String> {
        let mut lines = vec![
            format!("Gateway target: {}", self.endpoint.url),
            format!("Source: {}", self.endpoint.source.as_str()),
            format!("Config: {}", self.context.show(&self.context.paths.config_path)),
        ];
        lines.extend(self.bind_detail());
        lines
    }

    fn bind_detail(&self) -> Option<String> {
        self.is_implicit_local().then(|| format!("Bind: {}", self.keys.bind_mode()))
    }

    /// One call: connect, ask, close.
    pub async fn call(&self, method: &str, params: Value, limit: Duration) -> Result<Value, Failure> {
        let deadline = Instant::now() + limit;
        let work = async {
            let mut client = self.connect(&scopes::needed(method, &params), limit).await?;
            client.set_deadline(deadline);
            let answer = client.call(method, params).await;
            client.close().await;
            answer
        };
        self.patient(work).await.map_err(|error| self.failure(error))
    }

    /// One call of a method that answers twice; the last answer counts.
    pub async fn call_final(&self, method: &str, params: Value, limit: Duration) -> Result<Value, ClientError> {
        let deadline = Instant::now() + limit;
        let mut client = self.connect(&scopes::needed(method, &params), limit.min(CONNECT_LIMIT)).await?;
        client.set_deadline(deadline);
        let answer = client.call_expect_final(method, params, |_| {}).await;
        client.close().await;
        answer
    }

    /// A connection for several calls, with the scopes of `method`.
    pub async fn open(&self, method: &str, params: &Value, limit: Duration) -> Result<Link, Failure> {
        let scopes = scopes::needed(method, params);
        let work = self.connect(&scopes, limit);
        self.patient(work).await.map(|client| Link(Box::new(client))).map_err(|error| self.failure(error))
    }

    pub async fn call_on(
        &self,
        link: &mut Link,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, Failure> {
        link.0.set_deadline(Instant::now() + limit);
        link.0.call(method, params).await.map_err(|error| self.failure(error))
    }

    async fn connect(&self, scopes: &[Scope], limit: Duration) -> Result<Client, ClientError> {
        let device = if self.is_open_local() { None } else { self.device() };
        let options = ConnectOptions {
            device: device.as_ref(),
            timeout: limit,
            ..identity(self.is_open_local(), client_mode::CLI, scopes)
        };
        let client = Client::connect(&self.endpoint, options).await?;
        if let Some(device) = &device {
            self.keep_token(device, client.hello());
        }
        Ok(client)
    }

    fn is_open_local(&self) -> bool {
        self.is_implicit_local() && self.keys.auth_is_none()
    }

    /// This device's identity; none where it cannot be kept, or where nothing is kept yet: asking creates no state directory.
    fn device(&self) -> Option<DeviceIdentity> {
        if !self.context.paths.state_dir.is_dir() {
            return None;
        }
        DeviceIdentity::load_or_create(&self.context.paths.state_dir, epoch_ms(), rand::random).ok()
    }

    /// Written only when it is new: most commands write nothing.
    fn keep_token(&self, device: &DeviceIdentity, hello: &Value) {
        let state_dir = &self.context.paths.state_dir;
        let Some(token) = string(hello, "/auth/deviceToken").filter(|_| self.is_implicit_local()) else { return };
        if client::load_device_token(state_dir, device.device_id()).as_deref() == Some(token) {
            return;
        }
        let scopes: Vec<String> = serde_json::from_value(hello["auth"]["scopes"].clone()).unwrap_or_default();
        if let Err(error) = client::store_device_token(state_dir, device.device_id(), token, &scopes, epoch_ms()) {
            self.context.output.note(format!("The gateway's token for this device could not be kept: {error}"));
        }
    }

    /// Tells people what we wait for when it takes longer than they expect.
    async fn patient<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        match tokio::time::timeout(PATIENCE, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                if self.context.output.stderr_tty && !self.context.json {
                    self.context.output.note(format!("Waiting for the gateway at {} …", self.endpoint.url));
                }
                work.await
            }
        }
    }

    /// What went wrong, with the gateway that was meant.
    pub fn failure(&self, error: ClientError) -> Failure {
        let failure = match error {
            ClientError::Rpc { error, .. } => return Failure::new(REQUEST, error.message).fact("code", error.code),
            ClientError::Refused(refusal) => {
                let failure = Failure::new(REQUEST, format!("gateway connect failed: {}", refusal.message));
                failure.fact("kind", "connect").fact("code", refusal.code)
            }
            ClientError::Unreachable { url, reason, detail } => self
                .absent(format!("Gateway not reachable at {url} ({reason})."))
                .fact("kind", "closed")
                .fact("reason", detail),
            ClientError::Closed { code, reason } => {
                let text = if reason.is_empty() { "no close reason".to_owned() } else { reason };
                Failure::new(TRANSPORT, format!("gateway closed ({code}): {text}"))
                    .fact("kind", "closed")
                    .fact("reason", text)
            }
            ClientError::Timeout { what, limit } => {
                let text = format!("gateway timeout after {}ms waiting for {what}", limit.as_millis());
                Failure::new(TRANSPORT, text).fact("kind", "timeout").fact("reason", what)
            }
            ClientError::Malformed(what) => {
                Failure::new(TRANSPORT, format!("the gateway sent {what}")).fact("kind", "protocol")
            }
        };
        let mut failure = self.details().into_iter().fold(failure, Failure::line);
        failure.gateway = Some(Box::new(json!({
            "url": self.endpoint.url,
            "urlSource": self.endpoint.source.as_str(),
            "bindDetail": self.bind_detail(),
        })));
        failure
    }

    fn absent(&self, message: String) -> Failure {
        let (run, status) = (self.context.hint("gateway run"), self.context.hint("gateway status"));
        Failure::new(TRANSPORT, message).line(format!("Start it with `{run}` or check `{status}`."))
    }
}

/// Longest wait for a connection of a call that itself may take long.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Who we say we are. A local gateway without authentication keeps the scopes of its own helpers only.
fn identity(open_local: bool, mode: &'static str, scopes: &[Scope]) -> ConnectOptions<'static> {
    let (client_id, mode) = match open_local {
        true => (client_id::GATEWAY_CLIENT, client_mode::BACKEND),
        false => (client_id::CLI, mode),
    };
    let scopes = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    ConnectOptions { client_id, mode, scopes, ..ConnectOptions::default() }
}

/// A method and its parameters.
pub type Call = (&'static str, Value);

/// Connects without a device, reads what can be read, and reports; never fails.
pub async fn probe(endpoint: &Endpoint, keys: &GatewayKeys, calls: &[Call], limit: Duration) -> Reach {
    let start = Instant::now();
    let open_local = endpoint.source == UrlSource::Loopback && keys.auth_is_none();
    let options = ConnectOptions {
        min_protocol: PROBE_PROTOCOL_MIN.min(PROTOCOL_VERSION),
        timeout: limit,
        ..identity(open_local, client_mode::PROBE, &[Scope::Admin, Scope::Read, Scope::Write])
    };
    let mut client = match Client::connect(endpoint, options).await {
        Ok(client) => client,
        Err(error) => return unreached(&error),
    };
    let latency_ms = u64::try_from(start.elapsed().as_millis()).ok();
    client.set_deadline(start + limit);
    let mut reads = Vec::new();
    for (method, params) in calls {
        reads.push((*method, client.call(method, params.clone()).await.map_err(|error| error.to_string())));
    }
    let reach = Reach { hello: Some(client.hello().clone()), latency_ms, reads, ..Reach::default() };
    client.close().await;
    reach
}

fn unreached(error: &ClientError) -> Reach {
    let pairing_pending =
        matches!(error, ClientError::Refused(refusal) if refusal.detail_code() == Some("PAIRING_REQUIRED"));
    let text = match error {
        ClientError::Unreachable { detail, .. } => detail.clone(),
        other => other.to_string(),
    };
    Reach { error: Some(text), pairing_pending, ..Reach::default() }
}

/// Milliseconds since 1970.
pub fn epoch_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
