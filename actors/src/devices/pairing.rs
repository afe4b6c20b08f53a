//! When a device needs an approval, when nobody has to be asked for it, and what an approval makes of the record.
//!
//! Invariant: nothing here widens what a device may do except `approve`, and `silent` is the only way to it without a person.
//! Source: pairing of the WebSocket protocol of 2026.5.12.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::key::{normalise, same_key};
use super::record::{Paired, Pending};
use super::token::{self, Random};
use crate::protocol::error::{ErrorCode, ErrorShape};
use crate::protocol::hello::client_id;
use crate::protocol::scope::{self, Role};

/// How long a request waits for its answer, milliseconds.
pub const PENDING_TTL_MS: u64 = 300_000;
/// Requests that wait at most; the oldest goes first.
pub const PENDING_MAX: usize = 200;

/// What a device that has proved its key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub device_id: String,
    /// Canonical base64url.
    pub public_key: String,
    pub role: Role,
    /// As requested, in order.
    pub scopes: Vec<String>,
    pub display_name: Option<String>,
    pub platform: Option<String>,
    pub device_family: Option<String>,
    pub client_id: String,
    pub client_mode: String,
    /// Absent when the client is local.
    pub remote_ip: Option<String>,
}

/// Why an approval is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    NotPaired,
    MetadataUpgrade,
    RoleUpgrade,
    ScopeUpgrade,
}

impl Reason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::MetadataUpgrade => "metadata-upgrade",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::NotPaired => "pairing required: device is not approved yet",
            Self::MetadataUpgrade => "pairing required: device identity changed and must be re-approved",
            Self::RoleUpgrade => "pairing required: device is asking for a higher role than currently approved",
            Self::ScopeUpgrade => "pairing required: device is asking for more scopes than currently approved",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::NotPaired => "Approve this device from the pending pairing requests.",
            Self::MetadataUpgrade => "Review the refreshed device details, then approve the pending request.",
            Self::RoleUpgrade => "Review the requested role upgrade, then approve the pending request.",
            Self::ScopeUpgrade => "Review the requested scopes, then approve the pending upgrade.",
        }
    }
}

/// Does this claim need an approval?
pub fn required(paired: Option<&Paired>, claim: &Claim) -> Option<Reason> {
    let Some(paired) = paired.filter(|paired| same_key(&paired.public_key, &claim.public_key)) else {
        return Some(Reason::NotPaired);
    };
    if differs(&paired.platform, &claim.platform) || differs(&paired.device_family, &claim.device_family) {
        return Some(Reason::MetadataUpgrade);
    }
    if !paired.roles.contains(&claim.role) || paired.live_token(claim.role).is_none() {
        return Some(Reason::RoleUpgrade);
    }
    let approved = scope::covers_all(paired.approved(), &claim.scopes);
    let own = claim.role == Role::Operator || foreign_scope(&[claim.role], &claim.scopes).is_none();
    (!approved || !own).then_some(Reason::ScopeUpgrade)
}

/// Where a connection comes from, as far as pairing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locality {
    /// Loopback peer, no forwarding header, loopback Host.
    LocalDirect,
    /// Like local direct with a private Host, the secret verified and no Origin: a container's forwarded port.
    PortForward,
    Remote,
}

/// What decides whether somebody has to be asked.
#[derive(Debug, Clone, Copy)]
pub struct SilentFacts<'a> {
    pub locality: Locality,
    /// The request carries an Origin header.
    pub origin: bool,
    /// The Origin, if any, names this machine.
    pub origin_loopback: bool,
    /// The shared secret was presented and is right.
    pub secret_verified: bool,
    pub claim: &'a Claim,
}

/// May the approval be given without asking anybody?
///
/// Only to local clients that are new or take another role; a browser only as the Control UI, from this machine, with the
/// verified secret. A wider set of scopes only to the owner's own command line: local direct, secret verified, no Origin.
/// Differs: 5.12 never widens scopes silently, which makes its own command line unusable; and it accepts changed metadata
/// of native apps, we never do.
pub fn silent(reason: Reason, facts: &SilentFacts) -> bool {
    let claim = facts.claim;
    if facts.locality == Locality::Remote || foreign_scope(&[claim.role], &claim.scopes).is_some() {
        return false;
    }
    if facts.origin && !(claim.client_id == client_id::CONTROL_UI && facts.origin_loopback && facts.secret_verified) {
        return false;
    }
    match reason {
        Reason::NotPaired | Reason::RoleUpgrade => true,
        Reason::MetadataUpgrade => false,
        Reason::ScopeUpgrade => {
            claim.client_id == client_id::CLI
                && claim.role == Role::Operator
                && facts.locality == Locality::LocalDirect
                && facts.secret_verified
                && !facts.origin
        }
    }
}

/// Lets the oldest request go when there is no room for that of `device`, which may have one already.
pub fn make_room(pending: &mut HashMap<String, Pending>, device: &str) {
    if pending.len() < PENDING_MAX || pending.contains_key(device) {
        return;
    }
    if let Some(oldest) = pending.values().min_by_key(|pending| pending.ts).map(|pending| pending.device_id.clone()) {
        pending.remove(&oldest);
    }
}

/// The request that waits after this claim, and whether it is a new one that must be announced.
///
/// `waiting` is what waited for this device until now, expired ones included. The same key, roles and scopes refresh it;
/// anything else replaces it by one with both, silent only if both were.
pub fn merge_pending(
    waiting: Option<&Pending>,
    claim: &Claim,
    silent: bool,
    is_repair: bool,
    now_ms: u64,
    new_id: impl FnOnce() -> String,
) -> (Pending, bool) {
    let waiting = waiting.filter(|pending| !expired(pending, now_ms));
    let fresh = Pending {
        request_id: String::new(),
        device_id: claim.device_id.clone(),
        public_key: claim.public_key.clone(),
        display_name: claim.display_name.clone(),
        platform: claim.platform.clone(),
        device_family: claim.device_family.clone(),
        client_id: Some(claim.client_id.clone()),
        client_mode: Some(claim.client_mode.clone()),
        role: Some(claim.role),
        roles: vec![claim.role],
        scopes: claim.scopes.clone(),
        remote_ip: claim.remote_ip.clone(),
        silent,
        is_repair,
        ts: now_ms,
    };
    match waiting {
        Some(old) if same_request(old, &fresh) => {
            (Pending { request_id: old.request_id.clone(), silent: old.silent && silent, ..fresh }, false)
        }
        // A request of another key says nothing about this one.
        Some(old) if same_key(&old.public_key, &fresh.public_key) => {
            let merged = Pending {
                request_id: new_id(),
                roles: union(&old.roles, &fresh.roles),
                scopes: union(&old.scopes, &fresh.scopes),
                silent: old.silent && silent,
                ..fresh
            };
            (merged, true)
        }
        _ => (Pending { request_id: new_id(), ..fresh }, true),
    }
}

/// Has the request waited too long?
pub fn expired(pending: &Pending, now_ms: u64) -> bool {
    now_ms.saturating_sub(pending.ts) > PENDING_TTL_MS
}

/// The first scope that none of the roles may hold: such a request cannot be approved.
pub fn foreign_scope<'a>(roles: &[Role], scopes: &'a [String]) -> Option<&'a str> {
    scopes.iter().map(String::as_str).find(|scope| !roles.iter().any(|role| token::belongs(*role, scope)))
}

/// The record after the approval of `pending`: roles and scopes merged, a new token for each requested role.
///
/// A record of another key is replaced, not merged. Scopes that no requested role may hold are dropped; whether the
/// approver may grant the rest is the caller's question. Each token states all that its role is approved for.
pub fn approve(pending: &Pending, paired: Option<&Paired>, now_ms: u64, random: Random) -> Paired {
    let old = paired.filter(|paired| same_key(&paired.public_key, &pending.public_key));
    let requested_roles = match (pending.roles.as_slice(), pending.role) {
        ([], role) => vec![role.unwrap_or(Role::Operator)],
        (roles, _) => roles.to_vec(),
    };
    let granted: Vec<String> = pending
        .scopes
        .iter()
        .filter(|scope| requested_roles.iter().any(|role| token::belongs(*role, scope)))
        .cloned()
        .collect();
    let roles = union(old.map_or(&[], |old| old.roles.as_slice()), &requested_roles);
    let scopes = union(old.map_or(&[], Paired::approved), &granted);
    let mut tokens = old.map(|old| old.tokens.clone()).unwrap_or_default();
    for role in &requested_roles {
        let token = token::issue(tokens.get(role), *role, &scopes, now_ms, random);
        tokens.insert(*role, token);
    }
    Paired {
        device_id: pending.device_id.clone(),
        public_key: pending.public_key.clone(),
        display_name: pending.display_name.clone().or_else(|| old?.display_name.clone()),
        platform: pending.platform.clone().or_else(|| old?.platform.clone()),
        device_family: pending.device_family.clone().or_else(|| old?.device_family.clone()),
        client_id: pending.client_id.clone().or_else(|| old?.client_id.clone()),
        client_mode: pending.client_mode.clone().or_else(|| old?.client_mode.clone()),
        role: pending.role.or(requested_roles.last().copied()).unwrap_or(Role::Operator),
        roles,
        approved_scopes: Some(scopes.clone()),
        scopes,
        remote_ip: pending.remote_ip.clone().or_else(|| old?.remote_ip.clone()),
        tokens,
        created_at_ms: old.map_or(now_ms, |old| old.created_at_ms),
        approved_at_ms: now_ms,
        last_seen_at_ms: old.and_then(|old| old.last_seen_at_ms),
        last_seen_reason: old.and_then(|old| old.last_seen_reason.clone()),
    }
}

/// The refusal of a connection that must be approved first.
pub fn refusal(reason: Reason, request_id: &str, claim: &Claim, paired: Option<&Paired>) -> ErrorShape {
    let mut details = json!({
        "code": "PAIRING_REQUIRED",
        "reason": reason.as_str(),
        "requestId": request_id,
        "remediationHint": reason.hint(),
        "deviceId": claim.device_id,
        "requestedRole": claim.role,
        "requestedScopes": claim.scopes,
    });
    // Only the holder of the key learns what its record says.
    if let Some(paired) = paired.filter(|paired| same_key(&paired.public_key, &claim.public_key)) {
        details["approvedRoles"] = Value::from_iter(paired.roles.iter().map(|role| role.as_str()));
        details["approvedScopes"] = Value::from_iter(paired.approved().iter().cloned());
    }
    ErrorShape::new(ErrorCode::NotPaired, reason.message()).with_details(details)
}

/// The reason of the close frame that follows `refusal`; the sender cuts it to what a frame holds.
pub fn close_reason(refusal: &ErrorShape, request_id: &str) -> String {
    format!("{} (requestId: {request_id})", refusal.message)
}

fn differs(pinned: &Option<String>, claimed: &Option<String>) -> bool {
    let pinned = normalise(pinned.as_deref().unwrap_or(""));
    !pinned.is_empty() && pinned != normalise(claimed.as_deref().unwrap_or(""))
}

fn same_request(left: &Pending, right: &Pending) -> bool {
    let sorted = |scopes: &[String]| {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes
    };
    same_key(&left.public_key, &right.public_key)
        && left.roles == right.roles
        && sorted(&left.scopes) == sorted(&right.scopes)
}

fn union<T: Clone + PartialEq>(first: &[T], second: &[T]) -> Vec<T> {
    let mut all = first.to_vec();
    for item in second {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

#[cfg(test)]
#[path = "pairing_tests.rs"]
pub(super) mod tests;
