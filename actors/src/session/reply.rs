//! What the person in a chat is told of the end of a turn: rows of the outbox, written with that end.

use super::key::SessionKey;
use crate::delivery::Message;
use crate::run::context::Context;
use crate::run::message::{AbortCause, Outcome, Turn};
use crate::store::outbox::OutboxRow;

const TOOK_TOO_LONG: &str = "⚠️ This took too long and was stopped. Send the message again to try once more.";
const CUT_OFF: &str = "⚠️ The gateway was restarted several times while I was working on your message, and I have stopped trying. \
                       Please send it again.";

/// What is said; `None`: nothing.
fn said(outcome: &Outcome, goes_on: bool) -> Option<String> {
    match outcome {
        Outcome::Completed { text } => Some(text.clone()),
        Outcome::Failed { reply, .. } => Some(reply.clone()),
        Outcome::Aborted { cause: AbortCause::Timeout, partial } if partial.trim().is_empty() => {
            Some(TOOK_TOO_LONG.to_owned())
        }
        Outcome::Aborted { cause: AbortCause::Timeout, partial } => Some(format!("{partial}\n\n{TOOK_TOO_LONG}")),
        Outcome::Aborted { cause: AbortCause::Restart, .. } if !goes_on => Some(CUT_OFF.to_owned()),
        // Whoever stopped it knows; what a restart cut off goes on by itself.
        Outcome::Aborted { .. } => None,
    }
}

/// The rows of an answer. A turn that did not come from a chat platform has none. `goes_on`: another turn takes it up.
pub fn rows(
    context: &Context,
    key: &SessionKey,
    turn: &Turn,
    outcome: &Outcome,
    goes_on: bool,
    now: i64,
) -> Vec<OutboxRow> {
    said(outcome, goes_on).map(|text| of_text(context, key, turn, &text, now)).unwrap_or_default()
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
    of_text(context, key, turn, CUT_OFF, now)
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
        for (outcome, goes_on, expected) in [
            (Outcome::Completed { text: "hi".into() }, false, Some("hi".to_owned())),
            (failed, false, Some("⚠️ sorry".to_owned())),
            (aborted(AbortCause::Timeout, ""), false, Some(TOOK_TOO_LONG.to_owned())),
            (aborted(AbortCause::Timeout, "half"), false, Some(format!("half\n\n{TOOK_TOO_LONG}"))),
            (aborted(AbortCause::Restart, "half"), true, None),
            (aborted(AbortCause::Restart, "half"), false, Some(CUT_OFF.to_owned())),
            (aborted(AbortCause::Stop, "half"), false, None),
            (aborted(AbortCause::Rpc, "half"), false, None),
        ] {
            assert_eq!(said(&outcome, goes_on), expected, "{outcome:?}");
        }
    }
}
