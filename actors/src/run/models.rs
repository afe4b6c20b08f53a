//! Where a run gets its models from.

use std::sync::Arc;

use crate::model::provider::{Provider, Target};

/// One model that a run may ask, with the wire to ask it by.
#[derive(Clone)]
pub struct Candidate {
    pub target: Target,
    pub provider: Arc<dyn Provider>,
}

impl Candidate {
    /// `provider/model`
    pub fn reference(&self) -> String {
        format!("{}/{}", self.target.provider, self.target.model)
    }
}

/// What a choice of model depends on.
#[derive(Debug, Clone, Default)]
pub struct ModelWish {
    pub agent_id: String,
    /// `provider/model` that the session was set to, and whether failover set it.
    pub session: Option<(String, bool)>,
    /// For this turn only.
    pub turn: Option<String>,
}

/// Chooses models. The configured one reads the current snapshot at every call.
pub trait ModelSource: Send + Sync {
    /// The models to try, best first. The error is a sentence for the person: unknown, not allowed, no key.
    fn candidates(&self, wish: &ModelWish) -> Result<Vec<Candidate>, String>;
}
