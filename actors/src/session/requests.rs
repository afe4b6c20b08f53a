//! What a session does with the requests that reach it while no step is in flight.

use serde_json::json;

use super::command::{self, Command};
use super::entry::SessionEntry;
use super::message::{Admission, SessionError, SessionMsg};
use super::queue::{self, Decision};
use super::reset::{self, ResetKind};
use super::state::{AdmissionReply, Me, Phase, SessionState, Waiting, answer, new_session_id};
use super::{commands, step, stop_phrase};
use crate::model::message::{AssistantMessage, Message, Part};
use crate::protocol::session_calls::ResetReason;
use crate::run::message::{AbortCause, Outcome, RunMsg, Turn, TurnKind};
use crate::run::stream::now_ms;
use crate::store::StoreError;
use crate::store::runs::{RunRecord, RunState};
use crate::supervision::Mail;

/// Does what was asked. Called in phases `Idle` and `Running` only.
pub fn handle(state: &mut SessionState, me: &Me, request: SessionMsg) {
    match request {
        SessionMsg::Submit(turn, reply) => submit(state, me, turn, reply),
        SessionMsg::Abort { run_id, cause, reply } => {
            let ended = abort(state, me, run_id.as_deref(), cause);
            let _ = reply.send(ended); // the asker may have gone
        }
        SessionMsg::Patch(changes, reply) => patch(state, me, &changes, reply),
        SessionMsg::Inject(text, reply) => inject(state, me, text, reply),
        SessionMsg::Reset(reason, reply) => reset_session(state, me, reason, reply),
        SessionMsg::Delete(reply) => delete(state, me, reply),
        SessionMsg::Status(_) | SessionMsg::News(_) => {} // answered before they get here
    }
}
