//! What an adapter of a chat platform is. It knows its platform and nothing of sessions, policy, queues or retries.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::account::Account;
use super::line::{End, Line};
use super::policy::{Access, Chat};
use crate::config::handle::Snapshot;
use crate::delivery::machine::Attempt;
use crate::store::outbox::OutboxRow;

/// One chat platform.
pub trait Channel: Send + Sync + 'static {
    /// As in the configuration, lower case.
    fn id(&self) -> &'static str;
    fn about(&self) -> About;
    /// How an account hears of messages: `polling`, `webhook`, …
    fn mode(&self, snapshot: &Snapshot, account: &str) -> &'static str;
    /// Every account that the configuration names, whether it can run or not.
    fn accounts(&self, snapshot: &Snapshot) -> Vec<Account>;
    /// Who may write to this account.
    fn access(&self, snapshot: &Snapshot, account: &str) -> Access;
    /// What listens to a platform that does not call by itself.
    fn transport(&self) -> Option<Arc<dyn Transport>> {
        None
    }
    /// What an event, as it came, says. `None`: nothing for us. The error is for the log; it must not hold a secret.
    fn normalize(&self, raw: &str) -> Result<Option<Inbound>, String>;
    /// A chat as an operator names it, as `Route` has it. The error is for people.
    fn target(&self, to: &str) -> Result<String, String>;
    /// Is a chat, as `target` gives it, with a single person?
    fn is_direct(&self, target: &str) -> bool;
    /// Cuts a text into parts that the platform takes, each as its `send` will read it.
    fn render(&self, text: &str, snapshot: &Snapshot, account: &str) -> Vec<String>;
    /// Does the platform recognise a part that it has already, by our id?
    fn repeatable(&self) -> bool;
    /// Sends one part. Dropped at its deadline, it counts as unclear.
    fn send(&self, snapshot: Arc<Snapshot>, part: OutboxRow) -> BoxFuture<'static, Attempt>;
}

/// The receiving side of an adapter. It knows nothing of who may write, and takes up no line again that it has given back.
pub trait Transport: Send + Sync {
    /// Listens until it cannot go on. Dropped, it leaves nothing behind but what is kept.
    fn listen(&self, line: Line) -> BoxFuture<'static, End>;
}

/// What people call a platform, and the symbol that clients show for it.
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub label: &'static str,
    pub detail: &'static str,
    pub image: &'static str,
}

/// A message as a person wrote it, whatever the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    pub chat: Chat,
    /// Where an answer goes.
    pub target: String,
    pub thread: Option<String>,
    pub sender: Sender,
    pub text: String,
    /// The bot is meant: named, or answered.
    pub mentioned: bool,
    /// The platform's id of the message.
    pub message_id: String,
    /// What it answers.
    pub quote: Option<Quote>,
}

/// A message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub sender: Sender,
    pub message_id: String,
    pub text: String,
}

/// Characters of a name that are shown.
const NAME_MAX: usize = 64;

/// Who wrote it. The id is the platform's, the name is whatever its owner likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub id: String,
    pub name: Option<String>,
}

impl Sender {
    /// What a person calls the sender, on one line: a name must not look like what somebody else has said.
    pub fn label(&self) -> String {
        let name = self.name.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(&self.id);
        let plain = |c: char| if c.is_control() || c == ':' { ' ' } else { c };
        name.trim().chars().take(NAME_MAX).map(plain).collect()
    }
}
