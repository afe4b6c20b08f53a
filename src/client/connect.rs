//! The handshake from the client's side: challenge, signed `connect`, `hello-ok`.
//!
//! The signature is dated with the challenge's own time, so a wrong local clock does not matter. While the gateway starts, the
//! handshake is repeated as long as the deadline allows. Source: WebSocket protocol of 2026.5.12, handshake and startup.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use openclaw_actors::devices::{DeviceIdentity, SignedFields};
use openclaw_actors::protocol::PROTOCOL_VERSION;
use openclaw_actors::protocol::hello::{
    Challenge, ClientInfo, ConnectAuth, ConnectParams, DeviceProof, client_id, client_mode,
};
use openclaw_actors::protocol::scope::Role;

use super::endpoint::Endpoint;
use super::error::ClientError;
use super::wire::{Incoming, Wire};

/// What the connection says of itself.
#[derive(Debug, Clone)]
pub struct ConnectOptions<'a> {
    /// One of the known client ids; `cli` by default.
    pub client_id: &'a str,
    /// One of the known modes; `cli` by default.
    pub mode: &'a str,
    pub display_name: Option<&'a str>,
    /// Least scopes for what follows; none by default.
    pub scopes: Vec<String>,
    pub caps: Vec<String>,
    /// Signs the challenge; without it the connection has no device.
    pub device: Option<&'a DeviceIdentity>,
    pub min_protocol: u32,
    pub max_protocol: u32,
    /// From the first byte to `hello-ok`, with all repetitions; 10 s by default.
    pub timeout: Duration,
}

impl Default for ConnectOptions<'_> {
    fn default() -> Self {
        Self {
            client_id: client_id::CLI,
            mode: client_mode::CLI,
            display_name: None,
            scopes: Vec::new(),
            caps: Vec::new(),
            device: None,
            min_protocol: PROTOCOL_VERSION,
            max_protocol: PROTOCOL_VERSION,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Connects and returns the payload of `hello-ok`.
pub async fn handshake(endpoint: &Endpoint, options: &ConnectOptions<'_>) -> Result<(Wire, Value), ClientError> {
    let deadline = Instant::now() + options.timeout;
    loop {
        let error = match attempt(endpoint, options, deadline).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let Some(pause) = pause_before_retry(&error) else { return Err(error) };
        if Instant::now() + pause >= deadline {
            return Err(error);
        }
        sleep(pause).await;
    }
}

/// Only a gateway that says it is starting is asked again.
fn pause_before_retry(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused(refusal) if refusal.code == "UNAVAILABLE" && refusal.retryable == Some(true) => {
            Some(Duration::from_millis(refusal.retry_after_ms.unwrap_or(500).clamp(100, 2000)))
        }
        ClientError::Closed { code: 1013, .. } => Some(Duration::from_millis(500)),
        _ => None,
    }
}

async fn attempt(
    endpoint: &Endpoint,
    options: &ConnectOptions<'_>,
    deadline: Instant,
) -> Result<(Wire, Value), ClientError> {
    let late = |what: &str| ClientError::Timeout { what: what.to_owned(), limit: options.timeout };
    let mut wire = Wire::open(&endpoint.url, deadline).await?;
    let challenge = loop {
        match wire.next(deadline).await?.ok_or_else(|| late("the connection"))? {
            Incoming::Event(event) if event.event == "connect.challenge" => break event.payload,
            _ => {}
        }
    };
    let challenge: Challenge = serde_json::from_value(challenge)
        .map_err(|error| ClientError::Malformed(format!("a challenge that is not understood: {error}")))?;
    let params = serde_json::to_value(params(endpoint, options, &challenge))
        .map_err(|error| ClientError::Malformed(error.to_string()))?;
    wire.send_request(CONNECT_ID, "connect", &params, deadline).await?;
    loop {
        match wire.next(deadline).await?.ok_or_else(|| late("connect"))? {
            Incoming::Res(answer) if answer.id == CONNECT_ID => match (answer.error, answer.payload) {
                (Some(error), _) => return Err(ClientError::Refused(error)),
                (None, Some(hello)) if answer.ok => return Ok((wire, hello)),
                _ => return Err(ClientError::Malformed("an answer to connect without content".to_owned())),
            },
            _ => {}
        }
    }
}

/// Ids of calls count from 1.
const CONNECT_ID: &str = "0";

fn params(endpoint: &Endpoint, options: &ConnectOptions<'_>, challenge: &Challenge) -> ConnectParams {
    let auth = ConnectAuth {
        token: endpoint.token.clone(),
        password: endpoint.password.clone(),
        device_token: endpoint.device_token.clone().filter(|_| options.device.is_some()),
        bootstrap_token: None,
    };
    let mut params = ConnectParams {
        min_protocol: options.min_protocol,
        max_protocol: options.max_protocol,
        client: ClientInfo {
            id: options.client_id.to_owned(),
            mode: options.mode.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: std::env::consts::OS.to_owned(),
            display_name: options.display_name.map(str::to_owned),
            ..ClientInfo::default()
        },
        role: Some(Role::Operator.as_str().to_owned()),
        scopes: options.scopes.clone(),
        caps: options.caps.clone(),
        auth: (auth != ConnectAuth::default()).then_some(auth),
        ..ConnectParams::default()
    };
    params.device = options.device.map(|identity| prove(identity, &params, challenge));
    params
}

fn prove(identity: &DeviceIdentity, params: &ConnectParams, challenge: &Challenge) -> DeviceProof {
    let signed = SignedFields::of(params, identity.device_id(), challenge.ts, &challenge.nonce);
    DeviceProof {
        id: identity.device_id().to_owned(),
        public_key: identity.public_key(),
        signature: identity.sign(&signed.v3()),
        signed_at: challenge.ts,
        nonce: challenge.nonce.clone(),
    }
}
