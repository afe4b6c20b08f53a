//! What the person in a chat is told of the end of a turn: rows of the outbox, written with that end.

use super::key::SessionKey;
use crate::delivery::Message;
use crate::heartbeat::record;
use crate::run::context::Context;
use crate::run::message::{AbortCause, Outcome, Turn};
use crate::store::outbox::OutboxRow;

const TOOK_TOO_LONG: &str = "⚠️ This took too long and was stopped. Send the message again to try once more.";
const STOPPED: &str =
    "⏹️ This was stopped from elsewhere, before I could answer. Send the message again if you still want it.";
const CUT_OFF: &str = "⚠️ The gateway was restarted several times while I was working on your message, and I have stopped trying. \
                       Please send it again.";

/// What the outcome does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ending {
    /// Another turn takes it up.
    pub goes_on: bool,
    /// Whoever stopped it sits in the chat where it was asked, and knows.
    pub by_himself: bool,
}

/// What is said; `None`: nothing.
fn said(outcome: &Outcome, end: Ending) -> Option<String> {
    match outcome {
        Outcome::Completed { text } => Some(text.clone()),
        Outcome::Failed { reply, .. } => Some(reply.clone()),
        Outcome::Aborted { cause: AbortCause::Timeout, partial } if partial.trim().is_empty() => {
            Some(TOOK_TOO_LONG.to_owned())
        }
        Outcome::Aborted { cause: AbortCause::Timeout, partial } => Some(format!("{partial}\n\n{TOOK_TOO_LONG}")),
        Outcome::Aborted { cause: AbortCause::Restart, .. } if end.goes_on => None,
        Outcome::Aborted { cause: AbortCause::Restart, .. } => Some(CUT_OFF.to_owned()),
        Outcome::Aborted { .. } if end.by_himself => None,
        Outcome::Aborted { .. } => Some(STOPPED.to_owned()),
    }
}

/// The rows of an answer. A turn that did not come from a chat platform has none.
pub fn rows(
    context: &Context,
    key: &SessionKey,
    turn: &Turn,
    outcome: &Outcome,
    end: Ending,
    now: i64,
) -> Vec<OutboxRow> {
    let text = match &turn.heartbeat {
        Some(heartbeat) => record::said(heartbeat, outcome),
        None => said(outcome, end),
    };
    text.map(|text| of_text(context, key, turn, &text, now)).unwrap_or_default()
}

/// The rows of a text that answers a turn.
pub fn of_text(context: &Context, key: &SessionKey, turn: &Turn, text: &str, now: i64) -> Vec<OutboxRow> {
    let Some(route) = &turn.route else { return Vec::new() };
    let (source, session_key) = (turn.run_id.as_str(), Some(key.as_str()));
    let message = Message { source, route, session_key, run_id: Some(source) };
    context.channels.rows(message, text, &context.config.load(), now)
}

/// What is said of a turn that is not taken up again.
pub fn of_cut_off(context: &Context, key: &SessionKey, turn: &Turn, now: i64) -> Vec<OutboxRow> {
    match turn.heartbeat {
        Some(_) => Vec::new(), // nobody has asked
        None => of_text(context, key, turn, CUT_OFF, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::message::FailureKind;

    #[test]
    fn whoever_waits_is_told_unless_it_goes_on_or_was_stopped_by_hand() {
        let aborted = |cause, partial: &str| Outcome::Aborted { cause, partial: partial.to_owned() };
        let failed =
            Outcome::Failed { message: "401 key".into(), reply: "⚠️ sorry".into(), kind: FailureKind::Unknown };
        let (over, goes_on) = (Ending::default(), Ending { goes_on: true, by_himself: false });
        let by_himself = Ending { goes_on: false, by_himself: true };
        for (outcome, end, expected) in [
            (Outcome::Completed { text: "hi".into() }, over, Some("hi".to_owned())),
            (failed, over, Some("⚠️ sorry".to_owned())),
            (aborted(AbortCause::Timeout, ""), over, Some(TOOK_TOO_LONG.to_owned())),
            (aborted(AbortCause::Timeout, "half"), over, Some(format!("half\n\n{TOOK_TOO_LONG}"))),
            (aborted(AbortCause::Restart, "half"), goes_on, None),
            (aborted(AbortCause::Restart, "half"), over, Some(CUT_OFF.to_owned())),
            (aborted(AbortCause::Stop, "half"), by_himself, None),
            (aborted(AbortCause::Rpc, "half"), over, Some(STOPPED.to_owned())),
        ] {
            assert_eq!(said(&outcome, end), expected, "{outcome:?}");
        }
    }
}
