//! The handshake: challenge, `connect`, decision, pairing, `hello-ok`. Nothing is stored before the decision.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use openclaw_actors::devices::{Admittance, Claim, DevicesMsg, Paired, Token};
use openclaw_actors::events::{Close, ConnId, Outbox};
use openclaw_actors::metrics;
use openclaw_actors::presence::PresenceMsg;
use openclaw_actors::protocol::hello::{
    Challenge, ConnectParams, Features, HelloAuth, HelloOk, HelloServer, HelloSnapshot, HelloTag, Policy,
    SessionDefaults,
};
use openclaw_actors::protocol::scope::{Role, Scope};
use openclaw_actors::protocol::{ErrorShape, PROTOCOL_VERSION, RequestFrame, ResponseFrame, validate_connect};
use openclaw_actors::run::stream::now_ms;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::client::{AUTH_CHANGED, ClientFacts, Preauth};
use super::io::{self, PREAUTH_MESSAGE_MAX, Socket};
use super::membership::Membership;
use super::talk::close_for;
use crate::gateway::auth::decide::{self, Decision, Facts, Lockouts, Pairing};
use crate::gateway::auth::limits::{Attempt, Outcome as AttemptOutcome, Surface};
use crate::gateway::auth::origin::RequestFacts;
use crate::gateway::auth::shared_secret::mode_name;
use crate::gateway::rpc;
use crate::gateway::services::{self, ASK_LIMIT, Services};

/// Events that a client may receive; a hint in `hello-ok`.
const EVENTS: [&str; 20] = [
    "connect.challenge",
    "agent",
    "chat",
    "session.message",
    "session.tool",
    "sessions.changed",
    "presence",
    "tick",
    "shutdown",
    "health",
    "heartbeat",
    "cron",
    "device.pair.requested",
    "device.pair.resolved",
    "exec.approval.requested",
    "exec.approval.resolved",
    "config.reload",
    "supervisor.child",
    "disk",
    "delivery",
];

/// Why there is no connection: how the socket is closed, if anybody is left to be told.
type Refusal = Option<Close>;

/// Takes a socket from its first byte to `hello-ok`. Until the client is known it keeps its place among the strangers.
pub async fn perform(
    services: &Arc<Services>,
    conn: &ConnId,
    socket: &mut Socket,
    request: &RequestFacts,
    preauth: Preauth,
) -> Result<Membership, Refusal> {
    let limit = Duration::from_millis(services.config.load().settings.gateway.handshake_timeout_ms);
    let deadline = Instant::now() + limit;
    match timeout_at(deadline, negotiate(services, conn, socket, request, preauth)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::info!(target: "gateway/ws", %conn, "handshake timeout");
            Err(Some(Close { code: 1000, reason: String::new() }))
        }
    }
}

async fn negotiate(
    services: &Arc<Services>,
    conn: &ConnId,
    socket: &mut Socket,
    request: &RequestFacts,
    preauth: Preauth,
) -> Result<Membership, Refusal> {
    let nonce = Uuid::new_v4().to_string();
    let challenge = Challenge { nonce: nonce.clone(), ts: u64::try_from(now_ms()).unwrap_or_default() };
    send(socket, &json!({ "type": "event", "event": "connect.challenge", "payload": challenge })).await?;
    let (id, params) = first_request(socket).await?;
    match admit(services, conn, request, &params, &nonce).await {
        Ok((facts, token)) => {
            drop(preauth); // before the client hears that it is known
            welcome(services, socket, &id, facts, token, &params).await
        }
        Err((error, code, reason)) => {
            tracing::warn!(
                target: "gateway/ws", %conn, client = %params.client.id, mode = %params.client.mode,
                user_agent = request.user_agent(), reason = %error.message, "connect refused"
            );
            send(socket, &ResponseFrame::err(id, error)).await?;
            Err(Some(Close { code, reason }))
        }
    }
}

async fn send(socket: &mut Socket, frame: &impl Serialize) -> Result<(), Refusal> {
    for piece in io::json_pieces(frame).map_err(|_| None)? {
        socket.feed(piece).await.map_err(|_| None)?;
    }
    socket.flush().await.map_err(|_| None)
}

/// The `connect` request, which must be the first frame.
async fn first_request(socket: &mut Socket) -> Result<(String, ConnectParams), Refusal> {
    let text = first_text(socket).await?;
    let close = |code, reason: &str| Some(Close { code, reason: reason.to_owned() });
    let value: Value = serde_json::from_str(&text).map_err(|_| close(1000, ""))?;
    let is_request = value.get("type").and_then(Value::as_str) == Some("req");
    let request: RequestFrame = match serde_json::from_str(&text) {
        Ok(request) if is_request => request,
        _ => return Err(close(1008, "invalid request frame")),
    };
    let refused = if request.method == "connect" {
        let params = value.get("params").cloned().unwrap_or_else(|| json!({}));
        match validate_connect(&params) {
            Ok(params) => return Ok((request.id, params)),
            Err(problem) => format!("invalid connect params: {problem}"),
        }
    } else {
        "invalid handshake: first request must be connect".to_owned()
    };
    send(socket, &ResponseFrame::err(request.id, ErrorShape::invalid(&refused))).await?;
    Err(close(1008, &refused))
}

async fn first_text(socket: &mut Socket) -> Result<String, Refusal> {
    let too_large = || Some(Close { code: 1009, reason: "preauth payload too large".into() });
    loop {
        let text: String = match socket.next().await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Ok(_)) => continue,
            Some(Err(tokio_tungstenite::tungstenite::Error::Io(_))) => return Err(too_large()),
            Some(Err(error)) => return Err(close_for(&error)),
        };
        return if text.len() > PREAUTH_MESSAGE_MAX { Err(too_large()) } else { Ok(text) };
    }
}

type Denied = (ErrorShape, u16, String);

/// Decides about the connection and, for a device, has its record brought up to date.
async fn admit(
    services: &Services,
    conn: &ConnId,
    request: &RequestFacts,
    params: &ConnectParams,
    nonce: &str,
) -> Result<(ClientFacts, Option<Token>), Denied> {
    if !services.is_ready() {
        let error = ErrorShape::retry_after("gateway starting; retry shortly", 500)
            .with_details(json!({ "reason": "startup-sidecars" }));
        return Err((error, 1013, "gateway starting".into()));
    }
    let paired = paired(services, params).await?;
    let snapshot = services.config.load();
    let secrets = services.auth.secrets();
    let now = Instant::now();
    let secret_attempt = services.auth.limits.attempt(Surface::SharedSecret, request, now);
    let token_attempt = services.auth.limits.attempt(Surface::DeviceToken, request, now);
    let lockouts = Lockouts { shared_secret: secret_attempt.is_locked(), device_token: token_attempt.is_locked() };
    let decision = decide::decide(&Facts {
        params,
        request,
        gateway: &snapshot.settings.gateway,
        secrets: &secrets,
        paired: paired.as_ref(),
        lockouts,
        now_ms: u64::try_from(now_ms()).unwrap_or_default(),
        nonce,
    });
    settle(secret_attempt, token_attempt, &decision).await;
    match decision {
        Decision::Refused { error, code, reason, .. } => Err((error, code, reason)),
        Decision::Accepted { role, scopes, method, device, pairing, .. } => {
            let token = match &device {
                Some(claim) => pair(services, claim, pairing).await?,
                None => None,
            };
            let generation = method.verified_secret().then(|| secrets.generation());
            Ok((client_facts(conn, request, params, role, scopes, device, generation), token))
        }
    }
}

/// Tells the limits how it went; a guess beyond the limit on this machine waits for its answer.
async fn settle(secret: Attempt<'_>, token: Attempt<'_>, decision: &Decision) {
    let (secret_outcome, token_outcome) = decision.outcomes();
    if secret_outcome == AttemptOutcome::Wrong {
        metrics::auth_failure("shared_secret");
    }
    if token_outcome == AttemptOutcome::Wrong {
        metrics::auth_failure("device_token");
    }
    let now = Instant::now();
    let delay = secret.settle(secret_outcome, now).max(token.settle(token_outcome, now));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

async fn paired(services: &Services, params: &ConnectParams) -> Result<Option<Paired>, Denied> {
    let Some(device) = &params.device else { return Ok(None) };
    let asked = services.devices.ask(ASK_LIMIT, |reply| DevicesMsg::Lookup(device.id.clone(), reply)).await;
    asked.map_err(|error| overloaded(services::unavailable(error)))
}

fn overloaded(error: ErrorShape) -> Denied {
    (error, 1013, "gateway starting".into())
}

async fn pair(services: &Services, claim: &Claim, pairing: Pairing) -> Result<Option<Token>, Denied> {
    let admittance = match pairing {
        Pairing::None => Admittance::Covered,
        Pairing::Silent { reason } => Admittance::Silent(reason),
        Pairing::Required { reason } => Admittance::Ask(reason),
    };
    let claim = claim.clone();
    let asked = services.devices.ask(ASK_LIMIT, |reply| DevicesMsg::Admit { claim, admittance, reply }).await;
    match asked {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(refused)) => Err((refused.error, 1008, refused.close_reason)),
        Err(error) => Err(overloaded(services::unavailable(error))),
    }
}

fn client_facts(
    conn: &ConnId,
    request: &RequestFacts,
    params: &ConnectParams,
    role: Role,
    scopes: Vec<Scope>,
    device: Option<Claim>,
    auth_generation: Option<[u8; 32]>,
) -> ClientFacts {
    let client = &params.client;
    let local_direct = request.is_local_direct();
    ClientFacts {
        conn: conn.clone(),
        role,
        scopes,
        client_id: client.id.clone(),
        mode: client.mode.clone(),
        display_name: client.display_name.clone(),
        version: client.version.clone(),
        platform: client.platform.clone(),
        instance_id: client.instance_id.clone(),
        device_id: device.map(|claim| claim.device_id),
        ip: request.client_ip().filter(|_| !local_direct),
        tool_events: params.caps.iter().any(|cap| cap == "tool-events"),
        auth_generation,
    }
}

/// Registers the client, then sends `hello-ok`: no event between the two is lost.
async fn welcome(
    services: &Arc<Services>,
    socket: &mut Socket,
    id: &str,
    facts: ClientFacts,
    token: Option<Token>,
    params: &ConnectParams,
) -> Result<Membership, Refusal> {
    let outbox = Outbox::new(Policy::STANDARD.max_buffered_bytes);
    let member = Membership::enter(services, facts, outbox, params).await;
    // The secret may have changed after the decision, before the client could be found among those to be closed.
    if !member.client.is_current(services.auth.generation()) {
        return Err(Some(Close { code: 4001, reason: AUTH_CHANGED.into() }));
    }
    let hello = hello(services, &member.client, token).await;
    send(socket, &Welcome { kind: "res", id, ok: true, payload: hello }).await?;
    member.greet(services);
    Ok(member)
}

/// The response frame of `connect`; written as it is, because its lists can be long.
#[derive(Serialize)]
struct Welcome<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    ok: bool,
    payload: HelloOk,
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()) // plain data: cannot fail
}

async fn hello(services: &Services, client: &ClientFacts, token: Option<Token>) -> HelloOk {
    let presence = services.presence.ask(ASK_LIMIT, PresenceMsg::Texts).await.unwrap_or_default();
    let health = services.health.cached().and_then(|text| RawValue::from_string(text.to_string()).ok());
    let rules = services.context.key_rules();
    let admin = client.is_admin();
    let shown = |path: &std::path::Path| admin.then(|| path.display().to_string());
    let effective = || client.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    HelloOk {
        kind: HelloTag::HelloOk,
        protocol: PROTOCOL_VERSION,
        server: HelloServer { version: services.version.to_owned(), conn_id: client.conn.to_string() },
        features: Features {
            methods: rpc::advertised().into_iter().map(str::to_owned).collect(),
            events: EVENTS.map(str::to_owned).to_vec(),
        },
        snapshot: HelloSnapshot {
            presence,
            health: health.unwrap_or_else(|| raw(&json!({}))),
            state_version: services.versions.now(),
            uptime_ms: services.uptime_ms(),
            config_path: shown(&services.paths.config_path),
            state_dir: shown(&services.paths.state_dir),
            session_defaults: SessionDefaults {
                default_agent_id: rules.default_agent.as_str().to_owned(),
                main_key: "main".into(),
                main_session_key: rules.main_key().as_str().to_owned(),
                scope: scope_name(rules.scope).to_owned(),
            },
            auth_mode: admin.then(|| mode_name(services.auth.mode()).to_owned()),
            update_available: None,
        },
        plugin_surface_urls: Default::default(),
        auth: HelloAuth {
            role: client.role,
            scopes: token.as_ref().map_or_else(effective, |token| token.scopes.clone()),
            issued_at_ms: token.as_ref().map(Token::issued_at_ms),
            device_token: token.map(|token| token.token),
        },
        policy: Policy::STANDARD,
    }
}

fn scope_name(scope: openclaw_actors::config::settings::SessionScope) -> &'static str {
    match scope {
        openclaw_actors::config::settings::SessionScope::PerSender => "per-sender",
        openclaw_actors::config::settings::SessionScope::Global => "global",
    }
}
