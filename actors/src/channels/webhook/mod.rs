//! The generic webhook: a platform of one's own. It posts what its people say, signed, and gets the answers posted back.
//!
//! `inbound` checks and reads what comes, `settings` knows the keys, `outbound` posts. The front-end vouches for its people
//! with its signature; who of them may write is decided by the same policy as anywhere, closed unless the configuration
//! opens it. There is no pairing.

pub mod inbound;
mod outbound;
mod settings;
pub mod signature;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::account::{self, Account};
use super::channel::{About, Channel, Inbound};
use super::policy::Access;
use crate::config::handle::Snapshot;
use crate::delivery::machine::Attempt;
use crate::model::http::HttpClients;
use crate::store::outbox::OutboxRow;
use settings::Keys;
pub use settings::{Endpoint, endpoint_at};

pub const ID: &str = "webhook";

/// The adapter; holds its HTTP clients.
#[derive(Debug, Clone)]
pub struct Webhook {
    http: HttpClients,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { http: HttpClients::without_redirects() }
    }
}

impl Channel for Webhook {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> About {
        About { label: "Webhook", detail: "Signed webhook", image: "link" }
    }

    fn mode(&self, _: &Snapshot, _: &str) -> &'static str {
        ID
    }

    fn accounts(&self, snapshot: &Snapshot) -> Vec<Account> {
        settings::accounts(snapshot)
    }

    fn access(&self, snapshot: &Snapshot, account: &str) -> Access {
        settings::access(snapshot, account)
    }

    fn normalize(&self, raw: &str) -> Result<Option<Inbound>, String> {
        inbound::normalize(raw).map(Some)
    }

    /// `direct:<id>` or `group:<id>`; an id alone is a person's.
    fn target(&self, to: &str) -> Result<String, String> {
        let to = to.trim();
        let to = to.strip_prefix("webhook:").unwrap_or(to);
        match to.split_once(':') {
            Some(("direct" | "group", id)) if !id.is_empty() => Ok(to.to_owned()),
            None if !to.is_empty() => Ok(format!("direct:{to}")),
            _ => Err(format!("{to} is no chat of a webhook; direct:<id> and group:<id> are")),
        }
    }

    /// By length alone: what a front-end of one's own shows, it knows best.
    fn is_direct(&self, target: &str) -> bool {
        target.starts_with("direct:")
    }

    fn render(&self, text: &str, snapshot: &Snapshot, account: &str) -> Vec<String> {
        let limit = account::resolve::<Keys>(snapshot, ID, account).and_then(|keys| keys.text_chunk_limit);
        outbound::parts(text, limit.unwrap_or(settings::CHUNK_DEFAULT))
    }

    fn repeatable(&self) -> bool {
        true // its posts carry an idempotency key
    }

    fn send(&self, snapshot: Arc<Snapshot>, part: OutboxRow) -> BoxFuture<'static, Attempt> {
        Box::pin(outbound::send(self.http.clone(), snapshot, part))
    }
}
