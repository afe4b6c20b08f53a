//! What becomes of a turn that was cut off: it is told as interrupted, and the agent goes on in a turn of its own.
//!
//! The message itself is in the transcript, with everything that was done for it; what was not finished is not. At most
//! `MAX` times: a message that takes its gateway down each time ends there.

use serde_json::{Value, json};

use crate::run::message::{Resume, Turn};

/// How often one message is taken up again.
pub const MAX: u8 = 3;

/// What the agent is told.
const NOTICE: &str = "[System] The gateway was restarted while you were working on the last message; whatever you had not \
                      finished was cut off. Go on from the conversation above and answer. Do not repeat what is done. A \
                      tool call without a result may or may not have had its effect: look first, do it again only if it is missing.";

/// The same, when other messages were answered since.
const OLDER: &str = "[System] The following earlier message was cut off by restarts of the gateway and never answered. A tool call \
                     without a result may or may not have had its effect: look first. Answer it now.";

/// The turn that goes on after this one. `None`: nobody waits for it any more, or it was tried often enough.
pub fn after(turn: &Turn, now: i64) -> Option<Turn> {
    if turn.kind.is_given_up() {
        return None; // whoever asked saw the connection break, and asks again; a job has its own rules
    }
    let (of, attempt) = match &turn.resume {
        Some(resume) => (resume.of.clone(), resume.attempt + 1),
        None => (turn.run_id.clone(), 1),
    };
    if attempt > MAX {
        return None;
    }
    Some(Turn {
        run_id: uuid::Uuid::new_v4().to_string(),
        text: NOTICE.to_owned(),
        images: Vec::new(),
        resume: Some(Resume { of, attempt }),
        accepted_at: now,
        ..turn.clone()
    })
}

/// The turn that goes on after a dead one because somebody says so, counted from the start. `original` is the message that was
/// cut off first; `is_last` tells whether it is still the last that was said.
///
/// Its id follows from the dead one's: asked for twice, it is the same turn.
pub fn again(dead_run: &str, original: &Turn, is_last: bool, now: i64) -> Option<Turn> {
    let next = after(&Turn { resume: None, ..original.clone() }, now)?;
    let text = if is_last { NOTICE.to_owned() } else { format!("{OLDER}\n\n{}", original.text) };
    Some(Turn { run_id: format!("{dead_run}:again"), text, ..next })
}

/// Marks a message of the transcript that no person wrote.
pub fn provenance(resume: &Resume) -> Value {
    json!({ "kind": "internal_system", "sourceTool": "gateway.restart", "resumes": resume.of, "attempt": resume.attempt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::message::TurnKind;

    #[test]
    fn a_turn_is_taken_up_three_times_and_never_for_a_lost_http_client() {
        let turn: Turn = serde_json::from_value(
            json!({ "runId": "r", "kind": "chat", "text": "hi", "acceptedAt": 1, "model": "p/m" }),
        )
        .unwrap();
        let mut next = turn.clone();
        for attempt in 1..=MAX {
            next = after(&next, 5).unwrap();
            assert_eq!(next.resume, Some(Resume { of: "r".into(), attempt }));
            assert_eq!((next.model.as_deref(), next.accepted_at), (Some("p/m"), 5));
            assert!(next.text.starts_with("[System]") && next.run_id != "r");
        }
        assert_eq!(after(&next, 5), None);
        for kind in [TurnKind::Http, TurnKind::Cron] {
            assert_eq!(after(&Turn { kind, ..turn.clone() }, 5), None);
        }
    }

    #[test]
    fn a_dead_message_is_tried_again_under_one_id_and_named_when_it_is_not_the_last() {
        let turn: Turn =
            serde_json::from_value(json!({ "runId": "r", "kind": "chat", "text": "hi there", "acceptedAt": 1 }))
                .unwrap();
        let last = again("dead", &turn, true, 5).unwrap();
        assert_eq!((last.run_id.as_str(), last.text.as_str()), ("dead:again", NOTICE));
        assert_eq!(last.resume, Some(Resume { of: "r".into(), attempt: 1 }));
        let older = again("dead", &turn, false, 6).unwrap();
        assert_eq!(older.run_id, last.run_id);
        assert!(older.text.starts_with("[System]") && older.text.ends_with("hi there"), "{}", older.text);
    }
}
