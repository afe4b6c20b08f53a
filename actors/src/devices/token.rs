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
        revoked_at_ms: None,
        last_used_at_ms: None,
    }
}

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
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
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
    }
}
