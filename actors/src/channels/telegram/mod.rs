//! Telegram, through its Bot API.
//!
//! * `settings` – the keys of an account
//! * `update`, `mention`, `inbound` – what an update says
//! * `render` – Markdown as Telegram shows it
//! * `api` – one call, and what kind of no it can get
//! * `outbound` – how a part is sent
//! * `polling` – how updates are asked for
//!
//! Telegram recognises no repetition: a part whose sending nobody has seen the end of is not sent again.

mod api;
mod inbound;
mod mention;
mod outbound;
mod polling;
mod render;
mod settings;
mod update;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::account::Account;
use super::channel::{About, Channel, Inbound, Transport};
use super::line::{End, Line};
use super::policy::Access;
use crate::config::handle::Snapshot;
use crate::delivery::machine::Attempt;
use crate::model::http::HttpClients;
use crate::store::outbox::OutboxRow;
use api::Api;

pub const ID: &str = "telegram";

/// The adapter; holds the connections that answers go over.
#[derive(Debug, Clone)]
pub struct Telegram {
    http: HttpClients,
}

impl Default for Telegram {
    fn default() -> Self {
        Self { http: HttpClients::without_redirects() }
    }
}

impl Channel for Telegram {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> About {
        About { label: "Telegram", detail: "Telegram Bot", image: "paperplane" }
    }

    fn mode(&self, _: &Snapshot, _: &str) -> &'static str {
        "polling"
    }

    fn accounts(&self, snapshot: &Snapshot) -> Vec<Account> {
        settings::accounts(snapshot)
    }

    fn access(&self, snapshot: &Snapshot, account: &str) -> Access {
        settings::access(snapshot, account)
    }

    fn normalize(&self, raw: &str) -> Result<Option<Inbound>, String> {
        inbound::normalize(raw)
    }

    fn target(&self, to: &str) -> Result<String, String> {
        outbound::target(to)
    }

    /// Ids of groups and channels are negative, and who has a name that others can write to is no person to a bot.
    fn is_direct(&self, target: &str) -> bool {
        target.parse::<i64>().is_ok_and(|id| id > 0)
    }

    fn render(&self, text: &str, snapshot: &Snapshot, account: &str) -> Vec<String> {
        let parts = render::parts(text, &settings::looks(snapshot, account)).into_iter();
        parts.filter_map(|part| serde_json::to_string(&part).ok()).collect() // two texts are always JSON
    }

    fn transport(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Polling))
    }

    fn repeatable(&self) -> bool {
        false
    }

    fn send(&self, snapshot: Arc<Snapshot>, part: OutboxRow) -> BoxFuture<'static, Attempt> {
        let http = self.http.clone();
        Box::pin(async move {
            let login = match settings::login(&snapshot, &part.account) {
                Ok(login) => login,
                Err(problem) => return Attempt::Failed { error: problem },
            };
            outbound::send(&Api::new(http, login), &part, &settings::looks(&snapshot, &part.account)).await
        })
    }
}

/// Each line has connections of its own: a poll that hangs is in nobody's way.
struct Polling;

impl Transport for Polling {
    fn listen(&self, line: Line) -> BoxFuture<'static, End> {
        Box::pin(polling::listen(line))
    }
}
