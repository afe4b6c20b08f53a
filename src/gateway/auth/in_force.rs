//! What every listener checks against right now: the shared secrets and the counters of failed attempts.
//!
//! Replaced as a whole when the configuration changes; counters stay.

use std::sync::{Arc, PoisonError, RwLock};

use openclaw_actors::config::settings::{AuthMode, AuthRateLimit};

use super::limits::Limits;
use super::shared_secret::SharedSecrets;

/// Shared by all listeners and connections.
pub struct Auth {
    secrets: RwLock<Arc<SharedSecrets>>,
    pub limits: Limits,
}

impl Auth {
    pub fn new(secrets: SharedSecrets, rate: &AuthRateLimit) -> Self {
        Self { secrets: RwLock::new(Arc::new(secrets)), limits: Limits::new(rate) }
    }

    /// The secrets in force; keep them for one decision only.
    pub fn secrets(&self) -> Arc<SharedSecrets> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn mode(&self) -> AuthMode {
        self.secrets().mode
    }

    /// What connections that rely on the secret remember; see [`SharedSecrets::generation`].
    pub fn generation(&self) -> [u8; 32] {
        self.secrets().generation()
    }

    /// Puts other secrets and limits in force. Returns whether connections of the old generation must end.
    pub fn replace(&self, secrets: SharedSecrets, rate: &AuthRateLimit) -> bool {
        self.limits.configure(rate);
        let mut current = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.generation() != secrets.generation();
        *current = Arc::new(secrets);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_secret_ends_connections() {
        let rate = AuthRateLimit::default();
        let secrets = |token| SharedSecrets::new(AuthMode::Token, Some(token), None);
        let auth = Auth::new(secrets("a"), &rate);
        let before = auth.generation();
        assert!(!auth.replace(secrets("a"), &rate));
        assert_eq!(auth.generation(), before);
        assert!(auth.replace(secrets("b"), &rate));
        assert_ne!(auth.generation(), before);
    }
}
