//! The decision about one `connect`, after its parameters were found valid and before anything is stored.
//!
//! Invariant: pure. Everything that may influence the answer is in [`Facts`]; what a client says of itself only ever selects
//! a rule, the rule then asks for proved facts. Order and texts: handshake of the WebSocket protocol of 2026.5.12.
//! Differs: the local owner keeps the scopes it asks for (command line without a device) and is widened silently; the
//! panel without auth skips pairing only on this machine.

use openclaw_actors::config::settings::{AuthMode, Gateway};
use openclaw_actors::devices::key::same_key;
use openclaw_actors::devices::pairing::{self, Claim, Locality, Reason, SilentFacts};
use openclaw_actors::devices::token::{self, TokenFault};
use openclaw_actors::devices::{Paired, PublicKey};
use openclaw_actors::protocol::hello::{ConnectAuth, ConnectParams, client_id, client_mode};
use openclaw_actors::protocol::scope::{Role, Scope};
use openclaw_actors::protocol::{ErrorShape, PROTOCOL_VERSION};

use super::device;
use super::limits::Outcome;
use super::locality::locality;
use super::origin;
use super::refusal::{self, Refusal};
use super::request::RequestFacts;
use super::shared_secret::{self, Method, SharedSecrets};
use super::trusted_proxy;

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub params: &'a ConnectParams,
    pub request: &'a RequestFacts,
    pub gateway: &'a Gateway,
    pub secrets: &'a SharedSecrets,
    /// The record of the device id in the parameters.
    pub paired: Option<&'a Paired>,
    pub lockouts: Lockouts,
    pub now_ms: u64,
    /// The nonce of this socket's challenge.
    pub nonce: &'a str,
}

/// Which secrets must not be looked at, because this client guessed too often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lockouts {
    pub shared_secret: bool,
    pub device_token: bool,
}

/// What becomes of the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Accepted {
        role: Role,
        /// What the connection may do from now on, in the order requested.
        scopes: Vec<Scope>,
        method: Method,
        /// The proved device; absent for clients without one and for a panel whose device is ignored.
        device: Option<Claim>,
        pairing: Pairing,
        /// Let in by its device token, with a wrong shared secret beside it: counts against the client.
        secret_failure: bool,
    },
    Refused {
        error: ErrorShape,
        /// Of the close frame.
        code: u16,
        /// Of the close frame, not yet cut to what it holds.
        reason: String,
        /// A wrong shared secret was presented: counts against the client.
        secret_failure: bool,
        /// A wrong device token was presented as such: counts against the client.
        device_token_failure: bool,
    },
}

impl Decision {
    /// What the attempts on the shared secret and on the device token came to, for the limits.
    pub fn outcomes(&self) -> (Outcome, Outcome) {
        let wrong = |failed| if failed { Outcome::Wrong } else { Outcome::Neither };
        match self {
            Self::Accepted { method, .. } if method.verified_secret() => (Outcome::Right, Outcome::Neither),
            Self::Accepted { method: Method::DeviceToken, secret_failure, .. } => {
                (wrong(*secret_failure), Outcome::Right)
            }
            Self::Accepted { .. } => (Outcome::Neither, Outcome::Neither),
            Self::Refused { secret_failure, device_token_failure, .. } => {
                (wrong(*secret_failure), wrong(*device_token_failure))
            }
        }
    }
}

/// Does the device need an approval before the connection is served?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    None,
    /// Yes, and nobody has to be asked, provided that no request that was not silent already waits for this device.
    Silent {
        reason: Reason,
    },
    /// Yes, and somebody has to be asked: the connection is refused with [`pairing::refusal`].
    Required {
        reason: Reason,
    },
}

/// Decides. Checks run in a fixed order; the first that fails is the answer.
pub fn decide(facts: &Facts) -> Decision {
    let mut failures = Failures::default();
    judge(facts, &mut failures).unwrap_or_else(|Refusal { error, close_code }| Decision::Refused {
        reason: error.message.clone(),
        error: *error,
        code: close_code,
        secret_failure: failures.shared_secret,
        device_token_failure: failures.device_token,
    })
}

#[derive(Default)]
struct Failures {
    shared_secret: bool,
    device_token: bool,
}

/// What the credential beside the device says: the method, or why it does not hold.
type Credential = Result<Method, String>;

fn judge(facts: &Facts, failures: &mut Failures) -> Result<Decision, Refusal> {
    let params = facts.params;
    if !speaks_our_protocol(params) {
        return Err(refusal::protocol(params));
    }
    let role = Role::parse(params.role_name()).ok_or_else(refusal::role)?;
    let origin_matters = facts.request.origin().is_some() || origin::needs_origin(&params.client);
    if origin_matters && let Some(reason) = origin::refused_origin(facts.request, facts.gateway) {
        return Err(refusal::origin(reason));
    }
    let credential = credential(facts);
    match params.device.as_ref().filter(|_| !is_device_ignored(facts, role)) {
        None => without_device(facts, role, credential, failures),
        Some(proof) => {
            let key = device::prove(params, proof, facts.nonce, facts.now_ms)?;
            with_device(facts, role, &key, credential, failures)
        }
    }
}

/// Clients of this protocol, older probes, and older nodes, which reconnect with ours.
fn speaks_our_protocol(params: &ConnectParams) -> bool {
    let (min, max) = (params.min_protocol, params.max_protocol);
    let mode = params.client.mode.as_str();
    let contains = |version| min <= version && version <= max;
    contains(PROTOCOL_VERSION)
        || (mode == client_mode::PROBE && contains(PROTOCOL_VERSION - 1))
        || (mode == client_mode::NODE && params.role_name() == Role::Node.as_str() && contains(PROTOCOL_VERSION - 1))
}

fn credential(facts: &Facts) -> Credential {
    match facts.secrets.mode {
        AuthMode::None => Ok(Method::None),
        AuthMode::TrustedProxy => trusted_proxy::verify(facts.request, facts.gateway).map(|_user| Method::TrustedProxy),
        AuthMode::Token | AuthMode::Password if facts.lockouts.shared_secret => Err("rate_limited".into()),
        AuthMode::Token | AuthMode::Password => facts.secrets.verify(facts.params.auth.as_ref()).map_err(str::to_owned),
    }
}

fn unauthorized(facts: &Facts, reason: &str, failures: &mut Failures) -> Refusal {
    failures.shared_secret |= matches!(reason, "token_mismatch" | "password_mismatch");
    refusal::unauthorized(reason, facts.params)
}

// ---- without a device ----

fn without_device(
    facts: &Facts,
    role: Role,
    credential: Credential,
    failures: &mut Failures,
) -> Result<Decision, Refusal> {
    let client = &facts.params.client;
    let is_ui = client.id == client_id::CONTROL_UI || client.id == client_id::TUI;
    if is_ui && !is_ui_excepted(facts, role, &credential) {
        return Err(refusal::control_ui_device_required());
    }
    let method = match credential {
        Ok(method) => method,
        Err(reason) if is_ui || shared_secret::supplied(facts.params.auth.as_ref()) => {
            return Err(unauthorized(facts, &reason, failures));
        }
        Err(_) => return Err(refusal::device_required()),
    };
    let keeps_scopes = is_ui || is_local_owner(facts, role, method);
    let known = method.verified_secret() || method == Method::TrustedProxy;
    if role != Role::Operator || !(keeps_scopes || known) {
        return Err(refusal::device_required());
    }
    let scopes = if keeps_scopes { effective_scopes(facts, role, method) } else { Vec::new() };
    let pairing = Pairing::None;
    Ok(Decision::Accepted { role, scopes, method, device: None, pairing, secret_failure: false })
}

/// May this panel come without a device? Whether its credential holds is asked afterwards.
fn is_ui_excepted(facts: &Facts, role: Role, credential: &Credential) -> bool {
    let ui = &facts.gateway.control_ui;
    let is_owners = facts.request.is_local_direct()
        && (credential.as_ref().is_ok_and(|method| method.verified_secret())
            || (credential.is_err() && shared_secret::supplied(facts.params.auth.as_ref())));
    facts.params.client.id == client_id::CONTROL_UI
        && role == Role::Operator
        && (credential == &Ok(Method::TrustedProxy)
            || ui.dangerously_disable_device_auth
            || (ui.allow_insecure_auth && is_owners))
}

/// A switch of the configuration, for panels only.
fn is_device_ignored(facts: &Facts, role: Role) -> bool {
    facts.gateway.control_ui.dangerously_disable_device_auth
        && facts.params.client.id == client_id::CONTROL_UI
        && role == Role::Operator
}

/// The owner's own programs on this machine, which need no device: the backend client, and the command line once it has
/// shown the secret.
fn is_local_owner(facts: &Facts, role: Role, method: Method) -> bool {
    if role != Role::Operator || facts.request.origin().is_some() {
        return false;
    }
    let client = &facts.params.client;
    let local_direct = facts.request.is_local_direct();
    match (client.id.as_str(), client.mode.as_str()) {
        (client_id::GATEWAY_CLIENT, client_mode::BACKEND) => {
            (method == Method::None && local_direct)
                || (method.verified_secret() && locality(facts.request, true) != Locality::Remote)
        }
        (client_id::CLI, client_mode::CLI | client_mode::PROBE) => method.verified_secret() && local_direct,
        _ => false,
    }
}

// ---- with a device ----

fn with_device(
    facts: &Facts,
    role: Role,
    key: &PublicKey,
    credential: Credential,
    failures: &mut Failures,
) -> Result<Decision, Refusal> {
    let claim = claim(facts, role, key);
    let method = match credential {
        Ok(method) => method,
        Err(reason) => fallback(facts, &claim, &reason, failures)
            .map(|()| Method::DeviceToken)
            .map_err(|reason| unauthorized(facts, &reason, failures))?,
    };
    let pairing = if skips_pairing(facts, role, method) { Pairing::None } else { pairing(facts, &claim, method) };
    let scopes = effective_scopes(facts, role, method);
    let secret_failure = failures.shared_secret;
    Ok(Decision::Accepted { role, scopes, method, device: Some(claim), pairing, secret_failure })
}

/// The shared secret failed for `shared`: does the device's own token hold? Else the reason to give.
fn fallback(facts: &Facts, claim: &Claim, shared: &str, failures: &mut Failures) -> Result<(), String> {
    let auth = facts.params.auth.as_ref();
    let sent = |secret: Option<&'_ String>| secret.filter(|text| !text.is_empty()).cloned();
    let explicit = sent(auth.and_then(|auth| auth.device_token.as_ref()));
    let presented = explicit.clone().or_else(|| sent(auth.and_then(|auth| auth.token.as_ref())));
    // Wrong shared secrets count even when a device token comes beside them.
    failures.shared_secret = matches!(shared, "token_mismatch" | "password_mismatch");
    let Some(presented) = presented else {
        let bootstrap = sent(auth.and_then(|auth| auth.bootstrap_token.as_ref())).is_some();
        // Setup codes are not given out, so none is valid.
        return Err(if bootstrap { "bootstrap_token_invalid".into() } else { shared.to_owned() });
    };
    if facts.lockouts.device_token {
        return Err("rate_limited".into());
    }
    let own = facts.paired.filter(|paired| same_key(&paired.public_key, &claim.public_key));
    let fault = match own.map(|paired| token::check(paired, claim.role, &claim.scopes, &presented)) {
        Some(Ok(())) => {
            // The valid token itself was no guess; what came beside it was, or its holder could guess without end.
            failures.shared_secret &=
                shared != "token_mismatch" || auth.is_some_and(|auth| !is_token(auth, &presented));
            return Ok(());
        }
        Some(Err(fault)) => fault,
        None => TokenFault::Mismatch,
    };
    Err(match fault {
        TokenFault::Scopes => "scope_mismatch".into(),
        TokenFault::Mismatch if explicit.is_none() || shared == "rate_limited" => shared.to_owned(),
        TokenFault::Mismatch => {
            failures.device_token = true;
            "device_token_mismatch".into()
        }
    })
}

fn is_token(auth: &ConnectAuth, presented: &str) -> bool {
    auth.token.as_deref() == Some(presented)
}

fn skips_pairing(facts: &Facts, role: Role, method: Method) -> bool {
    let is_panel = facts.params.client.id == client_id::CONTROL_UI && role == Role::Operator;
    let is_trusted = method == Method::TrustedProxy || (method == Method::None && facts.request.is_local_direct());
    (is_panel && is_trusted) || is_local_owner_backend(facts, role, method)
}

fn is_local_owner_backend(facts: &Facts, role: Role, method: Method) -> bool {
    facts.params.client.id == client_id::GATEWAY_CLIENT && is_local_owner(facts, role, method)
}

fn pairing(facts: &Facts, claim: &Claim, method: Method) -> Pairing {
    let Some(reason) = pairing::required(facts.paired, claim) else { return Pairing::None };
    let secret_verified = method.verified_secret();
    let silent = pairing::silent(
        reason,
        &SilentFacts {
            locality: locality(facts.request, secret_verified),
            origin: facts.request.origin().is_some(),
            origin_loopback: facts.request.is_origin_loopback(),
            secret_verified,
            claim,
        },
    );
    if silent { Pairing::Silent { reason } } else { Pairing::Required { reason } }
}

fn claim(facts: &Facts, role: Role, key: &PublicKey) -> Claim {
    let client = &facts.params.client;
    let is_local = facts.request.is_local_direct();
    Claim {
        device_id: key.device_id(),
        public_key: key.encode(),
        role,
        scopes: facts.params.scopes.clone(),
        display_name: client.display_name.clone(),
        platform: Some(client.platform.clone()),
        device_family: client.device_family.clone(),
        client_id: client.id.clone(),
        client_mode: client.mode.clone(),
        remote_ip: facts.request.client_ip().filter(|_| !is_local).map(|ip| ip.to_string()),
    }
}

// ---- both ----

/// What a connection that keeps its request may do. Names that we do not know open nothing.
fn effective_scopes(facts: &Facts, role: Role, method: Method) -> Vec<Scope> {
    if role != Role::Operator {
        return Vec::new();
    }
    let mut scopes = Vec::new();
    for scope in facts.params.scopes.iter().filter_map(|name| Scope::parse(name)) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let header = facts.request.scopes_header().filter(|_| method == Method::TrustedProxy);
    trusted_proxy::narrow(scopes, header)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
