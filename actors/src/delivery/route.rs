//! Where an answer goes, and the rows that it becomes.

use serde::{Deserialize, Serialize};

use crate::store::outbox::{OutboxRow, SendState};

/// A chat as an answer reaches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    pub channel: String,
    pub account: String,
    /// Chat on the platform.
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Message of the platform that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// What is to be said, and why.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Run id, or the idempotency key of whoever asked: the same is queued once.
    pub source: &'a str,
    pub route: &'a Route,
    pub session_key: Option<&'a str>,
    pub run_id: Option<&'a str>,
}

/// One row for each part, in order; each part is JSON as the channel's adapter reads it.
pub fn rows(message: Message<'_>, parts: Vec<String>, now: i64) -> Vec<OutboxRow> {
    let Message { source, route, session_key, run_id } = message;
    let row = |(number, body): (usize, String)| OutboxRow {
        id: format!("{source}:{number}"),
        channel: route.channel.clone(),
        account: route.account.clone(),
        target: route.target.clone(),
        thread: route.thread.clone(),
        reply_to: route.reply_to.clone(),
        session_key: session_key.map(str::to_owned),
        run_id: run_id.map(str::to_owned),
        state: SendState::Pending,
        body,
        attempts: 0,
        doubt: false,
        queued_at: now,
        next_at: now,
        ended_at: None,
        receipt: None,
        error: None,
    };
    parts.into_iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_an_id_of_its_own_that_follows_from_its_source() {
        let route =
            Route { channel: "webhook".into(), account: "default".into(), target: "c".into(), ..Route::default() };
        let message =
            Message { source: "run", route: &route, session_key: Some("agent:main:main"), run_id: Some("run") };
        let rows = rows(message, vec!["1".into(), "2".into()], 5);
        let ids: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.body.as_str(), row.next_at)).collect();
        assert_eq!(ids, [("run:0", "1", 5), ("run:1", "2", 5)]);
    }
}
