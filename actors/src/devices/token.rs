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
        revoked_at_ms: None,
        last_used_at_ms: None,
    }
}

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
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
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
    }
}
