//! Decides whether a device needs approval, whether it is given silently, and what an approval changes.
//!
//! Approval is the only thing that widens a record, and a silent one only with the connection's own claim: what another
//! connection asked for is never approved along with it. Source: WebSocket protocol of 2026.5.12, pairing; decisions D2 and D3.

use rand::CryptoRng;

use super::proof::{PublicKey, normalise_metadata};
use super::reason::Reason;
use super::record::{Paired, Pending};
use super::token;
use crate::protocol::scope::{self, Role};

/// What a device that proved its key says of itself and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub device_id: String,
    /// base64url without padding.
    pub public_key: String,
    pub role: Role,
    pub scopes: Vec<String>,
    pub display_name: Option<String>,
    pub platform: Option<String>,
    pub device_family: Option<String>,
    pub client_id: Option<String>,
    pub client_mode: Option<String>,
    /// Absent for a local client and when it is not known.
    pub remote_ip: Option<String>,
}

/// Does the claim need approval? The first reason wins.
pub fn required(paired: Option<&Paired>, claim: &Claim) -> Option<Reason> {
    let Some(record) = paired.filter(|record| same_key(record, claim)) else {
        return Some(Reason::NotPaired);
    };
    if differs(record.platform.as_deref(), claim.platform.as_deref())
        || differs(record.device_family.as_deref(), claim.device_family.as_deref())
    {
        return Some(Reason::MetadataUpgrade);
    }
    if !record.roles.contains(&claim.role) || record.live_token(claim.role).is_none() {
        return Some(Reason::RoleUpgrade);
    }
    (!record.covers(claim.role, &claim.scopes)).then_some(Reason::ScopeUpgrade)
}

/// A pinned value differs from the claimed one; nothing pinned differs from nothing.
fn differs(pinned: Option<&str>, claimed: Option<&str>) -> bool {
    pinned.is_some_and(|pinned| normalise_metadata(pinned) != normalise_metadata(claimed.unwrap_or("")))
}

/// The record is of the key that the claim was proved with.
pub fn same_key(record: &Paired, claim: &Claim) -> bool {
    let key = PublicKey::decode(&claim.public_key);
    key.is_some() && PublicKey::decode(&record.public_key) == key
}

/// Does the claim ask for more scopes in a role that the device was granted before?
///
/// True also when another reason comes first, so that no reason hides a widening.
pub fn widens(paired: Option<&Paired>, claim: &Claim) -> bool {
    paired
        .filter(|record| same_key(record, claim) && record.roles.contains(&claim.role))
        .is_some_and(|record| !record.covers(claim.role, &claim.scopes))
}

/// Facts about the connection that ask for a silent approval; all of them the server's own, except the client's kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentFacts {
    /// Loopback peer, loopback Host, no forwarding header.
    pub local_direct: bool,
    pub has_origin: bool,
    pub origin_is_loopback: bool,
    /// The shared secret was compared and found right; having sent one is not enough.
    pub secret_verified: bool,
    /// Control UI or webchat.
    pub is_panel: bool,
    pub is_cli: bool,
    /// One of the apps for a desktop or a phone.
    pub is_native_app: bool,
    /// `widens` of this claim.
    pub widens: bool,
}

/// May the approval happen without asking anybody?
///
/// Never for a remote client. A browser only as a panel from a loopback page that knows the secret. More scopes for a known role
/// only for the local owner's command line. Differs: a connection through a forwarded container port counts as remote.
pub fn silent(reason: Reason, facts: &SilentFacts) -> bool {
    if !facts.local_direct {
        return false;
    }
    if facts.has_origin && !(facts.is_panel && facts.origin_is_loopback && facts.secret_verified) {
        return false;
    }
    let is_owner = facts.secret_verified && !facts.has_origin;
    if facts.widens && !(facts.is_cli && is_owner) {
        return false;
    }
    match reason {
        Reason::NotPaired | Reason::RoleUpgrade => true,
        Reason::ScopeUpgrade => facts.is_cli && is_owner,
        Reason::MetadataUpgrade => facts.is_native_app && is_owner,
    }
}

/// What becomes of a claim that needs approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Approved silently: store the record, announce `request_id` as approved.
    Approved { request_id: String, paired: Box<Paired> },
    /// It waits: store the request in place of the device's former one; announce it if it is new.
    Waiting { pending: Box<Pending>, is_new: bool },
}

/// Approves the claim or lets it wait.
///
/// `waiting`: the device's request, if there is one. `request_id`: a fresh UUID.
/// Differs: 5.12 merges a silent claim into a waiting request and then refuses it, which locks out the very command that would
/// approve the request.
pub fn settle(
    claim: &Claim,
    is_silent: bool,
    waiting: Option<&Pending>,
    paired: Option<&Paired>,
    now_ms: u64,
    request_id: String,
    rng: &mut impl CryptoRng,
) -> Settled {
    let own = request(claim, is_silent, paired, now_ms, request_id);
    if is_silent {
        let paired = Box::new(approve(&own, paired, now_ms, rng));
        return Settled::Approved { request_id: own.request_id, paired };
    }
    let (pending, is_new) = merge_pending(waiting, own);
    Settled::Waiting { pending: Box::new(pending), is_new }
}

fn request(claim: &Claim, silent: bool, paired: Option<&Paired>, now_ms: u64, request_id: String) -> Pending {
    Pending {
        request_id,
        device_id: claim.device_id.clone(),
        public_key: claim.public_key.clone(),
        display_name: claim.display_name.clone(),
        platform: claim.platform.clone(),
        device_family: claim.device_family.clone(),
        client_id: claim.client_id.clone(),
        client_mode: claim.client_mode.clone(),
        role: claim.role,
        roles: vec![claim.role],
        scopes: claim.scopes.clone(),
        remote_ip: claim.remote_ip.clone(),
        silent,
        is_repair: paired.is_some(),
        ts: now_ms,
    }
}

/// Joins a request with the one of the same device that waits already. The flag says that it is a new request.
///
/// Asking the same again refreshes the waiting request under its id. Anything else replaces it by one with a new id and the roles
/// and scopes of both, so whoever approves an id approves exactly what was shown under it.
pub fn merge_pending(waiting: Option<&Pending>, own: Pending) -> (Pending, bool) {
    let is_mate =
        |old: &&Pending| !old.is_expired(own.ts) && old.device_id == own.device_id && old.public_key == own.public_key;
    let Some(old) = waiting.filter(is_mate) else {
        return (own, true);
    };
    let silent = old.silent && own.silent;
    if same_set(&old.roles, &own.roles) && same_set(&old.scopes, &own.scopes) {
        return (Pending { request_id: old.request_id.clone(), silent, ..own }, false);
    }
    let mut roles = old.roles.clone();
    roles.extend(own.roles.iter().filter(|role| !old.roles.contains(role)));
    let scopes = scope::union(&old.scopes, &own.scopes);
    (Pending { roles, scopes, silent, ..own }, true)
}

fn same_set<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
}

/// Grants a request: roles and scopes are added to the record, and each requested role gets a new token.
///
/// Scopes that none of the requested roles can have are not granted. Platform and family become the pinned ones. A record of another key is replaced, not widened.
pub fn approve(pending: &Pending, paired: Option<&Paired>, now_ms: u64, rng: &mut impl CryptoRng) -> Paired {
    let old = paired.filter(|record| PublicKey::decode(&record.public_key) == PublicKey::decode(&pending.public_key));
    let asked = if pending.roles.is_empty() { vec![pending.role] } else { pending.roles.clone() };
    let mut roles = old.map(|record| record.roles.clone()).unwrap_or_default();
    let mut tokens = old.map(|record| record.tokens.clone()).unwrap_or_default();
    for role in asked.iter().copied() {
        if !roles.contains(&role) {
            roles.push(role);
        }
        let replaced = tokens.get(&role);
        // An operator that asks for no scope keeps what its token could do.
        let kept = replaced.filter(|old| pending.scopes.is_empty() && old.revoked_at_ms.is_none());
        let scopes = kept.map_or(pending.scopes.as_slice(), |old| &old.scopes);
        let fresh = token::issue(replaced, role, scopes, now_ms, rng);
        tokens.insert(role, fresh);
    }
    let granted: Vec<String> = pending.scopes.iter().filter(|s| scope::may_hold(&asked, s)).cloned().collect();
    let scopes = scope::union(old.map_or(&[], |record| record.approved()), &granted);
    Paired {
        device_id: pending.device_id.clone(),
        public_key: pending.public_key.clone(),
        display_name: pending.display_name.clone().or_else(|| old.and_then(|record| record.display_name.clone())),
        platform: pending.platform.clone(),
        device_family: pending.device_family.clone(),
        client_id: pending.client_id.clone(),
        client_mode: pending.client_mode.clone(),
        role: pending.role,
        roles,
        approved_scopes: scopes.clone(),
        scopes,
        remote_ip: pending.remote_ip.clone(),
        tokens,
        created_at_ms: old.map_or(now_ms, |record| record.created_at_ms),
        approved_at_ms: now_ms,
        last_seen_at_ms: old.and_then(|record| record.last_seen_at_ms),
        last_seen_reason: old.and_then(|record| record.last_seen_reason.clone()),
    }
}

#[cfg(test)]
#[path = "pairing_tests.rs"]
mod tests;
