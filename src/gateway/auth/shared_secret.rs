//! The one secret that all owners share, and whether a client knows it.
//!
//! Invariant: secrets are compared in constant time, whatever their lengths, and are in no debug output.
//! Which secrets are configured, and whether they may be used, `openclaw_actors::config::start_rules` has decided before.

use std::fmt;

use openclaw_actors::config::settings::AuthMode;
use openclaw_actors::protocol::hello::ConnectAuth;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What is in force for all listeners.
#[derive(Clone)]
pub struct SharedSecrets {
    pub mode: AuthMode,
    token: Option<String>,
    password: Option<String>,
}

impl SharedSecrets {
    /// Empty secrets count as absent.
    pub fn new(mode: AuthMode, token: Option<&str>, password: Option<&str>) -> Self {
        let kept = |secret: Option<&str>| secret.filter(|secret| !secret.is_empty()).map(str::to_owned);
        Self { mode, token: kept(token), password: kept(password) }
    }

    /// Does the client know the secret of this mode? In the modes without one, nobody does.
    pub fn verify(&self, presented: Option<&ConnectAuth>) -> Result<Method, &'static str> {
        let token = presented.and_then(|auth| auth.token.as_deref());
        let password = presented.and_then(|auth| auth.password.as_deref());
        match self.mode {
            AuthMode::Token => compare(self.token.as_deref(), token, TOKEN_REASONS).map(|()| Method::Token),
            AuthMode::Password => {
                compare(self.password.as_deref(), password, PASSWORD_REASONS).map(|()| Method::Password)
            }
            AuthMode::None | AuthMode::TrustedProxy => Err("unauthorized"),
        }
    }

    /// Does an HTTP bearer know the secret? Both kinds of secret travel as a bearer.
    pub fn verify_bearer(&self, bearer: &str) -> bool {
        match self.mode {
            AuthMode::Token => self.token.as_deref().is_some_and(|secret| equal(secret, bearer)),
            AuthMode::Password => self.password.as_deref().is_some_and(|secret| equal(secret, bearer)),
            AuthMode::None | AuthMode::TrustedProxy => false,
        }
    }

    /// Changes whenever a connection that relies on the secret must end.
    pub fn generation(&self) -> [u8; 32] {
        let secret = match self.mode {
            AuthMode::Token => self.token.as_deref(),
            AuthMode::Password => self.password.as_deref(),
            AuthMode::None | AuthMode::TrustedProxy => None,
        };
        let mut hash = Sha256::new();
        hash.update(mode_name(self.mode));
        hash.update([0]);
        hash.update(secret.unwrap_or(""));
        hash.finalize().into()
    }
}

impl fmt::Debug for SharedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecrets").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// How a connection was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Nothing is asked for.
    None,
    Token,
    Password,
    TrustedProxy,
    DeviceToken,
}

impl Method {
    /// The shared secret itself was presented and is right.
    pub fn verified_secret(self) -> bool {
        matches!(self, Self::Token | Self::Password)
    }
}

/// The mode's name in the configuration and in `hello-ok`.
pub fn mode_name(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::None => "none",
        AuthMode::Token => "token",
        AuthMode::Password => "password",
        AuthMode::TrustedProxy => "trusted-proxy",
    }
}

/// Did the client send a shared secret at all, right or wrong?
pub fn supplied(presented: Option<&ConnectAuth>) -> bool {
    presented.is_some_and(|auth| {
        [&auth.token, &auth.password].into_iter().any(|secret| secret.as_deref().is_some_and(|text| !text.is_empty()))
    })
}

struct Reasons {
    not_configured: &'static str,
    missing: &'static str,
    mismatch: &'static str,
}

const TOKEN_REASONS: Reasons =
    Reasons { not_configured: "token_missing_config", missing: "token_missing", mismatch: "token_mismatch" };
const PASSWORD_REASONS: Reasons =
    Reasons { not_configured: "password_missing_config", missing: "password_missing", mismatch: "password_mismatch" };

fn compare(secret: Option<&str>, presented: Option<&str>, reasons: Reasons) -> Result<(), &'static str> {
    let secret = secret.ok_or(reasons.not_configured)?;
    let presented = presented.filter(|text| !text.is_empty()).ok_or(reasons.missing)?;
    if equal(secret, presented) { Ok(()) } else { Err(reasons.mismatch) }
}

fn equal(left: &str, right: &str) -> bool {
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(token: &str, password: &str) -> ConnectAuth {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        ConnectAuth { token: some(token), password: some(password), ..ConnectAuth::default() }
    }

    #[test]
    fn each_mode_asks_for_its_own_secret() {
        let token = SharedSecrets::new(AuthMode::Token, Some("t"), None);
        let password = SharedSecrets::new(AuthMode::Password, Some("t"), Some("p"));
        let empty = |mode| SharedSecrets::new(mode, Some(""), None);
        for (secrets, presented, expected) in [
            (&token, Some(auth("t", "-")), Ok(Method::Token)),
            (&token, Some(auth("tt", "-")), Err("token_mismatch")),
            (&token, Some(auth("-", "t")), Err("token_missing")),
            (&token, Some(auth("", "-")), Err("token_missing")),
            (&token, None, Err("token_missing")),
            (&password, Some(auth("wrong", "p")), Ok(Method::Password)),
            (&password, Some(auth("p", "-")), Err("password_missing")),
            (&password, Some(auth("-", "t")), Err("password_mismatch")),
            (&empty(AuthMode::Token), Some(auth("", "-")), Err("token_missing_config")),
            (&empty(AuthMode::Password), Some(auth("-", "x")), Err("password_missing_config")),
            (&empty(AuthMode::None), Some(auth("", "")), Err("unauthorized")),
            (&SharedSecrets::new(AuthMode::TrustedProxy, None, Some("p")), Some(auth("-", "p")), Err("unauthorized")),
        ] {
            assert_eq!(secrets.verify(presented.as_ref()), expected, "{secrets:?} {presented:?}");
        }
        assert!(token.verify_bearer("t") && password.verify_bearer("p"));
        assert!(!token.verify_bearer("") && !password.verify_bearer("t") && !empty(AuthMode::None).verify_bearer(""));
    }

    #[test]
    fn the_generation_follows_mode_and_secret_in_force() {
        let generation = |mode, token, password| SharedSecrets::new(mode, token, password).generation();
        let first = generation(AuthMode::Token, Some("a"), None);
        assert_eq!(first, generation(AuthMode::Token, Some("a"), Some("unused")));
        for other in [
            generation(AuthMode::Token, Some("b"), None),
            generation(AuthMode::Token, None, None),
            generation(AuthMode::Password, None, Some("a")),
            generation(AuthMode::None, Some("a"), None),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(hex::encode(first), hex::encode(Sha256::digest(b"token\0a")));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secrets = SharedSecrets::new(AuthMode::Token, Some("canary"), Some("canary"));
        assert!(!format!("{secrets:?}").contains("canary"));
    }
}
