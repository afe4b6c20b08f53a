//! What a session is doing, and what it keeps meanwhile.

use std::sync::Arc;

use ractor::ActorRef;

use super::entry::SessionEntry;
use super::state::{AdmissionReply, Me, SessionState};
use super::step::End;
use crate::delivery::Route;
use crate::run::message::{RunEnd, RunMsg, Turn};
use crate::run::pulse::Pulse;
use crate::store::StoreError;
use crate::supervision::task::Timer;
use crate::supervision::{Address, Mail};

/// What a session is doing. All but `Idle` and `Running` are short: a step is on its way to disk.
pub enum Phase {
    Loading,
    Idle,
    Accepting(Box<Accepting>),
    Running(Box<Running>),
    Ending(Box<Ending>),
}

/// A turn that is becoming a run.
pub struct Accepting {
    pub turn: Turn,
    pub entry: SessionEntry,
    pub message: serde_json::Value,
    pub reply: Option<AdmissionReply>,
    /// The waiting turns that it was made of, if it comes from the queue.
    pub batch: Vec<Waiting>,
    pub new_session: bool,
}

/// A turn that runs.
pub struct Running {
    pub turn: Turn,
    pub actor: ActorRef<Mail<RunMsg>>,
    /// Where its session asks whether it is still there.
    pub address: Address<RunMsg>,
    /// When it does next.
    pub check: Timer,
    /// Number of the last time it did.
    pub asked: u32,
    /// When it made progress last.
    pub pulse: Pulse,
    /// Somebody has been told that it makes none.
    pub warned: bool,
    pub started_at: i64,
    /// Messages that were steered into it.
    pub steered: Vec<Turn>,
    /// Asked to end; what for.
    pub aborting: bool,
    /// The chat from which somebody ended it.
    pub stopped_by: Option<Route>,
}

/// A run that is over, on its way to disk.
pub struct Ending {
    pub turn: Turn,
    pub end: RunEnd,
    pub started_at: i64,
    pub entry: SessionEntry,
    /// The write that is on its way.
    pub step: Arc<End>,
}

/// A change of the entry, on its way to disk.
pub struct Change {
    /// `None`: the session is deleted.
    pub entry: Option<SessionEntry>,
    /// Told when it is done.
    pub done: Done,
    pub reason: &'static str,
}

/// What follows a change.
pub type Done = Box<dyn FnOnce(&mut SessionState, &Me, Result<(), StoreError>) + Send>;

/// A turn that waits for its time.
pub struct Waiting {
    pub turn: Turn,
    /// On disk?
    pub stored: bool,
    /// An earlier life of the gateway or of the session left it: it begins by itself, and so not in safe mode.
    pub restored: bool,
    /// Meant for the live run; if that ends first, it is a turn like any other.
    pub steer: bool,
    pub reply: Option<AdmissionReply>,
}
