//! A chat message on its way to its session: what stands against it, and how a repetition is answered.
//!
//! A repeated key is a repetition, and so is the same text to a session that is busy with just that.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::chat::{ChatSendResult, ChatSendStatus};
use openclaw_actors::run::message::{EndedRun, Outcome, Turn};
use openclaw_actors::session::{Admission, SessionKey, lookup};

use super::{Call, Reply, run_end, run_events, run_result};
use crate::gateway::services::store_failed;
use crate::gateway::turns::{self, Submitted};

/// What became of a chat message.
pub enum Sent {
    /// Its run, and how that stands.
    Known(ChatSendResult),
    /// It was a stop phrase; these runs were ended.
    Stopped(Vec<String>),
    /// Its run, from an earlier request, has failed.
    Failed(Reply),
}

/// Sends a message to its session.
pub async fn send(call: &Call, key: &SessionKey, turn: Turn) -> Result<Sent, ErrorShape> {
    admit(call, key).await?;
    let run_id = turn.run_id.clone();
    run_events::join(call, &run_id).await;
    match turns::submit(&call.services, key, turn, Some(call.client.owner())).await {
        Err(error) => {
            run_events::forget(call, &run_id).await;
            Err(error)
        }
        Ok(Submitted::Repeated(ticket)) => {
            let ended = ticket.ended.borrow().clone();
            if ended.is_some() {
                run_events::forget(call, &run_id).await;
            }
            repeated(run_id, ended.as_deref())
        }
        Ok(Submitted::Admitted { admission, .. }) => match admission {
            Admission::Known(record) => {
                let ended = run_end::recorded(&record);
                if ended.is_some() {
                    run_events::forget(call, &run_id).await;
                }
                repeated(run_id, ended.as_ref())
            }
            Admission::InFlight(live) => {
                run_events::forget(call, &run_id).await;
                run_events::join(call, &live).await;
                Ok(known(live, ChatSendStatus::InFlight))
            }
            Admission::Stopped(run_ids) => {
                run_events::forget(call, &run_id).await;
                Ok(Sent::Stopped(run_ids))
            }
            Admission::Started | Admission::Queued { .. } | Admission::Steered | Admission::Answered => {
                Ok(known(run_id, ChatSendStatus::Started))
            }
        },
    }
}

/// A deadline in whole seconds, rounded up; 0 sets none.
pub fn seconds(ms: Option<u64>) -> Option<u64> {
    ms.filter(|ms| *ms > 0).map(|ms| ms.div_ceil(1000))
}

/// May a message go to this session now?
pub async fn admit(call: &Call, key: &SessionKey) -> Result<(), ErrorShape> {
    let key = key.clone();
    let entry = call.services.context.store.read(move |db| lookup::entry(db, &key)).await.map_err(store_failed)?;
    match entry.and_then(|entry| entry.send_policy).as_deref() {
        Some("deny") => Err(ErrorShape::invalid("send blocked by session policy")),
        _ => Ok(()),
    }
}

fn repeated(run_id: String, ended: Option<&EndedRun>) -> Result<Sent, ErrorShape> {
    match ended {
        None => Ok(known(run_id, ChatSendStatus::InFlight)),
        Some(ended) if matches!(ended.outcome, Outcome::Failed { .. }) => {
            run_result::final_reply(&run_id, ended).map(Sent::Failed)
        }
        Some(_) => Ok(known(run_id, ChatSendStatus::Ok)),
    }
}

fn known(run_id: String, status: ChatSendStatus) -> Sent {
    Sent::Known(ChatSendResult { run_id, status })
}

#[cfg(test)]
mod tests {
    use openclaw_actors::run::message::{FailureKind, RunFacts};

    use super::*;

    #[test]
    fn a_repetition_is_answered_by_how_its_run_stands() {
        let ended = |outcome| EndedRun {
            outcome,
            facts: RunFacts::default(),
            session_id: "s".into(),
            started_at: 1,
            ended_at: 2,
        };
        let status = |ended: Option<&EndedRun>| match repeated("r".into(), ended).unwrap() {
            Sent::Known(result) => Some(result.status),
            _ => None,
        };
        assert_eq!(status(None), Some(ChatSendStatus::InFlight));
        assert_eq!(status(Some(&ended(Outcome::Completed { text: "x".into() }))), Some(ChatSendStatus::Ok));
        let failed = Outcome::Failed { message: "no".into(), reply: "no".into(), kind: FailureKind::Unknown };
        assert_eq!(status(Some(&ended(failed))), None);
    }

    #[test]
    fn a_deadline_is_rounded_up_and_zero_is_none() {
        assert_eq!([None, Some(0), Some(1), Some(2_001)].map(seconds), [None, None, Some(1), Some(3)]);
    }
}
