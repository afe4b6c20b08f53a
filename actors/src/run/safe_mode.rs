//! Safe mode: after repeated crashes nothing begins by itself until somebody says so, or the gateway has proven stable.
//!
//! The control plane works as always: status, logs, configuration, and whatever a person asks for.

use std::sync::Arc;

use tokio::sync::watch;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct SafeMode(Arc<watch::Sender<Option<String>>>);

impl Default for SafeMode {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl SafeMode {
    pub fn enter(&self, reason: String) {
        self.0.send_replace(Some(reason));
    }

    /// Returns whether there was anything to lift.
    pub fn lift(&self) -> bool {
        self.0.send_replace(None).is_some()
    }

    /// Why nothing begins by itself; `None` when everything does.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until work may begin by itself.
    pub async fn lifted(&self) {
        let _ = self.0.subscribe().wait_for(Option::is_none).await; // the sender is here, so it cannot close
    }
}
