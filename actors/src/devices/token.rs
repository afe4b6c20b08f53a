<<<<<<< HEAD
//! Device tokens: made, given out again, replaced, revoked, and compared.
//!
//! Invariant: a token never states more than its device is approved for in that role, and is compared in constant time.
//! Source: pairing and device tokens of the WebSocket protocol of 2026.5.12.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::record::{Paired, Token};
use crate::protocol::scope::{self, Role, Scope};

/// Where the 32 random bytes of a new token come from.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; 32];

/// Why a presented token does not let a device in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// There is no such token, it was revoked, or its value is another.
    Mismatch,
    /// The value is right, but it does not reach as far as the request or reaches further than the approval.
    Scopes,
}

/// Does `presented` let the device connect as `role` with these scopes?
pub fn check(paired: &Paired, role: Role, requested: &[String], presented: &str) -> Result<(), TokenFault> {
    let token = paired.live_token(role).ok_or(TokenFault::Mismatch)?;
    if !equal(&token.token, presented) {
        return Err(TokenFault::Mismatch);
    }
    let within = scope::covers_all(paired.approved(), &token.scopes) && scope::covers_all(&token.scopes, requested);
    if within { Ok(()) } else { Err(TokenFault::Scopes) }
}

/// The token that `hello-ok` carries, and whether the record was changed and must be stored.
///
/// The live one if it covers the request, else a new one with exactly the requested scopes. `None`: the role is not
/// approved, so there is nothing to give. The caller has made sure that the request lies within the approval.
pub fn for_hello(
    paired: &mut Paired,
    role: Role,
    requested: &[String],
    now_ms: u64,
    random: Random,
) -> Option<(Token, bool)> {
    if let Some(live) = paired.live_token(role)
        && scope::covers_all(&live.scopes, requested)
    {
        return Some((live.clone(), false));
    }
    if !paired.roles.contains(&role) || !scope::covers_all(paired.approved(), requested) {
        return None;
    }
    let token = issue(paired.tokens.get(&role), role, requested, now_ms, random);
    paired.tokens.insert(role, token.clone());
    Some((token, true))
}

/// Gives a role's token a new value. `scopes`: absent means unchanged; wider than approved is refused (`None`).
///
/// `None` also when the role has no token.
pub fn rotate(
    paired: &mut Paired,
    role: Role,
    scopes: Option<&[String]>,
    now_ms: u64,
    random: Random,
) -> Option<Token> {
    let old = paired.tokens.get(&role)?;
    let scopes = scopes.unwrap_or(&old.scopes);
    if !scope::covers_all(paired.approved(), scopes) {
        return None;
    }
    let token = issue(Some(old), role, scopes, now_ms, random);
    paired.tokens.insert(role, token.clone());
    Some(token)
}

/// Ends a role's token and returns when that happened; once revoked stays as it is. `None` when there is no token.
pub fn revoke(paired: &mut Paired, role: Role, now_ms: u64) -> Option<u64> {
    let token = paired.tokens.get_mut(&role)?;
    Some(*token.revoked_at_ms.get_or_insert(now_ms))
}

/// A new token value in the place of `old`.
pub fn issue(old: Option<&Token>, role: Role, scopes: &[String], now_ms: u64, random: Random) -> Token {
    Token {
        token: URL_SAFE_NO_PAD.encode(random()),
        role,
        scopes: normalise(role, scopes),
        created_at_ms: old.map_or(now_ms, |old| old.created_at_ms),
        rotated_at_ms: old.map(|_| now_ms),
=======
//! Device tokens: what a new one may do, and which one `hello-ok` hands out.
//!
//! A token never grants more than the device's record. Source: WebSocket protocol of 2026.5.12, pairing records.

use base64::Engine;
use rand::CryptoRng;

use super::proof::BASE64_URL;
use super::record::{Paired, Token};
use crate::protocol::scope::{self, Role};

/// Makes a new token value: 32 random bytes. Replacing a token keeps its birth and counts as a rotation.
pub fn issue(replaced: Option<&Token>, role: Role, scopes: &[String], now_ms: u64, rng: &mut impl CryptoRng) -> Token {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Token {
        token: BASE64_URL.encode(bytes),
        role,
        scopes: scope::normalise_token_scopes(role, scopes),
        created_at_ms: replaced.map_or(now_ms, |old| old.created_at_ms),
        rotated_at_ms: replaced.map(|_| now_ms),
>>>>>>> cli
        revoked_at_ms: None,
        last_used_at_ms: None,
    }
}

<<<<<<< HEAD
/// The scopes that a token of `role` states: those of the other role dropped, implied ones added, sorted, each once.
pub fn normalise(role: Role, scopes: &[String]) -> Vec<String> {
    let own = || scopes.iter().filter(|name| belongs(role, name));
    let known = scope::normalise(own().filter_map(|name| Scope::parse(name)));
    let mut all: Vec<String> = own()
        .filter(|name| Scope::parse(name).is_none())
        .cloned()
        .chain(known.iter().map(|s| s.as_str().into()))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// May `role` hold a scope of this name? Operators hold `operator.*`, nodes `node.*`.
pub fn belongs(role: Role, scope: &str) -> bool {
    scope.strip_prefix(role.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

fn equal(left: &str, right: &str) -> bool {
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
=======
/// The token that a `hello-ok` carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloToken {
    /// The live one covers the request.
    Kept(Token),
    /// A new one with exactly the requested scopes; the caller stores it in the record before it is sent.
    New(Token),
}

/// `None` when the record does not grant the role or the scopes: the connection then gets no token.
pub fn for_hello(
    record: &Paired,
    role: Role,
    requested: &[String],
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Option<HelloToken> {
    let wanted = scope::normalise_token_scopes(role, requested);
    if !record.covers(role, &wanted) {
        return None;
    }
    match record.live_token(role) {
        Some(token) if scope::covers(role, &token.scopes, &wanted) && record.covers(role, &token.scopes) => {
            Some(HelloToken::Kept(token.clone()))
        }
        _ => Some(HelloToken::New(issue(record.tokens.get(&role), role, &wanted, now_ms, rng))),
    }
>>>>>>> cli
}

#[cfg(test)]
mod tests {
<<<<<<< HEAD
    use super::super::pairing::tests::{names, paired};
    use super::*;

    fn random() -> impl FnMut() -> [u8; 32] {
        let mut count = 100;
        move || {
            count += 1;
            [count; 32]
        }
    }

    #[test]
    fn a_token_states_what_it_implies_and_nothing_of_another_role() {
        for (role, given, expected) in [
            (
                Role::Operator,
                "operator.admin operator.pairing",
                "operator.admin operator.pairing operator.read operator.write",
            ),
            (Role::Operator, "operator.write node.camera", "operator.read operator.write"),
            (
                Role::Operator,
                "operator.questions operator.admin",
                "operator.admin operator.questions operator.read operator.write",
            ),
            (Role::Operator, "operatorx.admin", ""),
            (Role::Node, "operator.admin", ""),
            (Role::Node, "node.camera", "node.camera"),
        ] {
            assert_eq!(normalise(role, &names(given)), names(expected), "{given}");
        }
    }

    #[test]
    fn a_presented_token_must_be_the_live_one_and_reach_far_enough() {
        let record = paired("operator.read operator.write");
        let value = record.tokens[&Role::Operator].token.clone();
        let check = |record: &Paired, role, wanted, value: &str| check(record, role, &names(wanted), value);
        assert_eq!(check(&record, Role::Operator, "operator.read", &value), Ok(()));
        assert_eq!(check(&record, Role::Operator, "operator.admin", &value), Err(TokenFault::Scopes));
        assert_eq!(check(&record, Role::Operator, "operator.read", "other"), Err(TokenFault::Mismatch));
        assert_eq!(check(&record, Role::Operator, "operator.admin", "other"), Err(TokenFault::Mismatch));
        assert_eq!(check(&record, Role::Node, "", &value), Err(TokenFault::Mismatch));
        let narrowed = Paired { approved_scopes: Some(names("operator.read")), ..record.clone() };
        assert_eq!(check(&narrowed, Role::Operator, "operator.read", &value), Err(TokenFault::Scopes));
        let mut revoked = record;
        assert_eq!(revoke(&mut revoked, Role::Operator, 9), Some(9));
        assert_eq!(revoke(&mut revoked, Role::Operator, 10), Some(9));
        assert_eq!(check(&revoked, Role::Operator, "operator.read", &value), Err(TokenFault::Mismatch));
    }

    #[test]
    fn hello_gives_the_live_token_again_or_a_new_one_for_the_request() {
        let mut record = paired("operator.read operator.write");
        let live = record.tokens[&Role::Operator].clone();
        let read = names("operator.read");
        assert_eq!(for_hello(&mut record, Role::Operator, &read, 50, &mut random()), Some((live.clone(), false)));
        revoke(&mut record, Role::Operator, 60);
        let (token, changed) = for_hello(&mut record, Role::Operator, &read, 70, &mut random()).unwrap();
        assert!(changed && token.token != live.token && token.scopes == read);
        assert_eq!((token.issued_at_ms(), token.revoked_at_ms), (70, None));
        assert_eq!(record.tokens[&Role::Operator], token);
        for (role, wanted) in [(Role::Node, ""), (Role::Operator, "operator.admin")] {
            let before = record.clone();
            assert_eq!(for_hello(&mut record, role, &names(wanted), 80, &mut random()), None);
            assert_eq!(record, before);
=======
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn list(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|s| (*s).to_owned()).collect()
    }

    fn record(approved: &[&str], token: &[&str]) -> Paired {
        let mut record: Paired = serde_json::from_value(serde_json::json!({
            "deviceId": "d", "publicKey": "k", "roles": ["operator"], "scopes": approved, "approvedScopes": approved,
            "createdAtMs": 1, "approvedAtMs": 1,
        }))
        .unwrap();
        let token = issue(None, Role::Operator, &list(token), 5, &mut StdRng::seed_from_u64(1));
        record.tokens.insert(Role::Operator, token);
        record
    }

    fn hello(record: &Paired, role: Role, requested: &[&str]) -> Option<HelloToken> {
        for_hello(record, role, &list(requested), 9, &mut StdRng::seed_from_u64(2))
    }

    #[test]
    fn a_token_is_32_random_bytes() {
        let mut rng = StdRng::seed_from_u64(7);
        let [one, two] = [(), ()].map(|()| issue(None, Role::Operator, &[], 1, &mut rng));
        assert_ne!(one.token, two.token);
        assert_eq!(BASE64_URL.decode(&one.token).unwrap().len(), 32);
        assert_eq!((one.created_at_ms, one.rotated_at_ms), (1, None));
    }

    #[test]
    fn a_live_token_that_covers_the_request_is_handed_out_again() {
        let record = record(&["operator.read", "operator.write"], &["operator.write"]);
        let live = record.tokens[&Role::Operator].clone();
        for requested in [&["operator.read"][..], &["operator.read", "operator.write"], &[]] {
            assert_eq!(hello(&record, Role::Operator, requested), Some(HelloToken::Kept(live.clone())));
>>>>>>> cli
        }
    }

    #[test]
<<<<<<< HEAD
    fn a_rotation_never_widens() {
        let mut record = paired("operator.read");
        let before = record.clone();
        let rotate = |record: &mut Paired, role, scopes: Option<&str>| {
            rotate(record, role, scopes.map(names).as_deref(), 90, &mut random())
        };
        assert_eq!(rotate(&mut record, Role::Operator, Some("operator.admin")), None);
        assert_eq!(rotate(&mut record, Role::Node, None), None);
        assert_eq!(record, before);
        let token = rotate(&mut record, Role::Operator, None).unwrap();
        assert_eq!((token.scopes, token.rotated_at_ms, token.created_at_ms), (names("operator.read"), Some(90), 5));
        assert_ne!(token.token, before.tokens[&Role::Operator].token);
        assert!(rotate(&mut record, Role::Operator, Some("")).unwrap().scopes.is_empty());
=======
    fn a_request_beyond_the_token_gets_a_new_one_with_just_that() {
        let record = record(&["operator.read", "operator.pairing"], &["operator.read"]);
        let Some(HelloToken::New(token)) = hello(&record, Role::Operator, &["operator.pairing"]) else {
            panic!("no new token")
        };
        assert_eq!(token.scopes, list(&["operator.pairing"]));
        assert_eq!((token.created_at_ms, token.rotated_at_ms, token.issued_at_ms()), (5, Some(9), 9));
    }

    #[test]
    fn nothing_beyond_the_record_is_issued() {
        let mut record = record(&["operator.read"], &["operator.read"]);
        assert_eq!(hello(&record, Role::Operator, &["operator.write"]), None);
        assert_eq!(hello(&record, Role::Node, &[]), None);
        record.tokens.insert(
            Role::Operator,
            issue(None, Role::Operator, &list(&["operator.admin"]), 1, &mut StdRng::seed_from_u64(3)),
        );
        let Some(HelloToken::New(token)) = hello(&record, Role::Operator, &["operator.read"]) else {
            panic!("a token wider than the record was kept")
        };
        assert_eq!(token.scopes, list(&["operator.read"]));
    }

    #[test]
    fn a_revoked_token_is_never_handed_out() {
        let mut record = record(&["operator.read"], &["operator.read"]);
        record.tokens.get_mut(&Role::Operator).unwrap().revoked_at_ms = Some(2);
        assert!(matches!(hello(&record, Role::Operator, &["operator.read"]), Some(HelloToken::New(_))));
>>>>>>> cli
    }
}
