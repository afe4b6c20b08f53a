//! RPC: the table of methods, who may call them, and how an answer becomes a frame.
//!
//! A new method is one function and one row in the table of its family's file. What is not in a table does not exist:
//! it is refused as `unknown method` and not listed in `hello-ok`.

mod abort;
mod absent;
mod access;
mod agent;
mod agent_files;
mod agents;
pub mod attachments;
mod budget;
mod call;
mod channels;
mod chat;
mod chat_turn;
mod commands;
mod config;
mod config_view;
mod cron;
mod cron_view;
mod devices;
mod exec_approvals;
#[cfg(feature = "fault-injection")]
mod fault;
mod heartbeat;
mod inbox;
mod logs;
mod metrics;
mod models;
mod outbox;
mod pairing;
mod restart;
mod rows;
pub mod run_end;
mod run_events;
mod run_result;
mod send;
mod session_changes;
mod session_choice;
pub mod session_rows;
mod session_turns;
pub mod sessions;
mod spool;
mod stability;
mod status;
mod system;
mod tools;
mod tree;

use std::collections::HashMap;
use std::sync::LazyLock;

use openclaw_actors::protocol::ErrorShape;

pub use access::{Access, check};
pub use budget::ControlBudget;
pub use call::{Call, Reply, Responder};

/// One method of the protocol.
pub struct Method {
    pub name: &'static str,
    pub access: Access,
    pub run: Handler,
    /// Callable but not advertised.
    pub hidden: bool,
}

/// What a method does. The future belongs to the connection: it ends when the connection does.
pub type Handler = fn(Call) -> futures::future::BoxFuture<'static, Result<Reply, ErrorShape>>;

impl Method {
    pub const fn new(name: &'static str, access: Access, run: Handler) -> Self {
        Self { name, access, run, hidden: false }
    }

    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// Every family's table, in the order in which `hello-ok` lists them.
const FAMILIES: &[&[Method]] = &[
    system::METHODS,
    restart::METHODS,
    status::METHODS,
    tree::METHODS,
    logs::METHODS,
    metrics::METHODS,
    config::METHODS,
    models::METHODS,
    agents::METHODS,
    commands::METHODS,
    tools::METHODS,
    chat::METHODS,
    agent::METHODS,
    channels::METHODS,
    pairing::METHODS,
    send::METHODS,
    inbox::METHODS,
    heartbeat::METHODS,
    outbox::METHODS,
    spool::METHODS,
    cron_view::METHODS,
    cron::METHODS,
    sessions::METHODS,
    devices::METHODS,
    exec_approvals::METHODS,
    absent::METHODS,
    #[cfg(feature = "fault-injection")]
    fault::METHODS,
];

static METHODS: LazyLock<HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|method| (method.name, method)).collect());

/// The method with this name.
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.get(name).copied()
}

/// Names for `hello-ok.features.methods`.
pub fn advertised() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.iter()).filter(|method| !method.hidden).map(|method| method.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_method_is_listed_twice() {
        let listed: usize = FAMILIES.iter().map(|family| family.len()).sum();
        assert_eq!(METHODS.len(), listed, "a name that stands twice hides one of its methods");
    }
}
