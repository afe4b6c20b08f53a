//! What follows from each try to send a part, without clock, store or network.
//!
//! A part is marked as `sending` on disk before its first byte leaves. So whoever finds it in that state after a crash
//! knows that it may have arrived: it is repeated only where the platform recognises a repetition. Source: channel
//! specification §7.1.

use std::time::Duration;

use crate::store::outbox::{Change, OutboxRow, SendState};

/// Pauses before the tries after the first; then it is given up.
pub const RETRIES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(25),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(600),
];

/// The shortest time that a platform can put a part off for, and how old a part may become that way.
const LATER_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a part that was found as `sending` is not repeated.
pub const UNKNOWN: &str = "the gateway went down while it was being sent; whether it arrived is not known";

/// How one try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The platform has it; what it said, as JSON.
    Sent { receipt: String },
    /// The platform wants us to wait for so long. This does not count as a try.
    Later { after: Duration },
    /// It did not arrive, and may when it is tried again.
    Failed { error: String },
    /// It will never be taken.
    Refused { error: String },
    /// It may have arrived.
    Unclear { error: String },
}

/// A part that is due leaves: this is on disk before anything is sent.
pub fn claim(row: &OutboxRow) -> Change {
    Change { attempts: row.attempts + 1, error: row.error.clone(), ..to(row, SendState::Sending, row.next_at) }
}

/// A part that was marked, and has not left.
pub fn unclaim(row: &OutboxRow) -> Change {
    let attempts = row.attempts.saturating_sub(1);
    Change { attempts, error: row.error.clone(), ..to(row, SendState::Pending, row.next_at) }
}

/// What follows from a try. `repeatable`: the platform recognises a part that it has already.
pub fn after(attempt: &Attempt, row: &OutboxRow, repeatable: bool, now: i64) -> Change {
    let error = match attempt {
        Attempt::Sent { .. } => None,
        Attempt::Later { .. } => Some("put off by the platform".to_owned()),
        Attempt::Failed { error } | Attempt::Refused { error } | Attempt::Unclear { error } => Some(error.clone()),
    };
    let doubt = row.doubt || matches!(attempt, Attempt::Unclear { .. });
    let given_up = if doubt { SendState::Unknown } else { SendState::Failed };
    let change = match attempt {
        Attempt::Sent { receipt } => Change { receipt: Some(receipt.clone()), ..to(row, SendState::Sent, now) },
        Attempt::Later { .. } if now - row.queued_at > ms(AGE_MAX) => to(row, given_up, now),
        Attempt::Later { after } => {
            let after = after.max(&LATER_MIN);
            Change { attempts: row.attempts.saturating_sub(1), ..to(row, SendState::Pending, now + ms(*after)) }
        }
        Attempt::Refused { .. } => to(row, given_up, now),
        Attempt::Unclear { .. } if !repeatable => to(row, given_up, now),
        Attempt::Failed { .. } | Attempt::Unclear { .. } => match pause(row.attempts) {
            Some(pause) => to(row, SendState::Pending, now + ms(pause)),
            None => to(row, given_up, now),
        },
    };
    Change { doubt, error, ..change }
}

/// What becomes of a part that was on its way when its sender went down. That was no failure of the platform: it goes
/// again at once, but not for ever.
pub fn cut_off(row: &OutboxRow, repeatable: bool, now: i64) -> Change {
    let again = repeatable && row.attempts as usize <= RETRIES.len();
    let state = if again { SendState::Pending } else { SendState::Unknown };
    Change { doubt: true, error: Some(UNKNOWN.to_owned()), ..to(row, state, now) }
}

fn to(row: &OutboxRow, state: SendState, next_at: i64) -> Change {
    Change { state, attempts: row.attempts, doubt: row.doubt, next_at, receipt: None, error: None }
}

/// The pause after so many tries; `None`: that was the last.
fn pause(attempts: u32) -> Option<Duration> {
    RETRIES.get(usize::try_from(attempts.checked_sub(1)?).ok()?).copied()
}

/// Of the first open parts of each chat, those that may leave now, and when the next one may.
pub fn due(heads: Vec<OutboxRow>, now: i64) -> (Vec<OutboxRow>, Option<i64>) {
    let (due, later): (Vec<_>, Vec<_>) = heads.into_iter().partition(|row| row.next_at <= now);
    (due, later.iter().map(|row| row.next_at).min())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
