//! What a session can be told, and what it answers.

use ractor::RpcReplyPort;
use serde_json::{Map, Value};

use super::debts::Debt;
use super::entry::SessionEntry;
use crate::protocol::session_calls::ResetReason;
use crate::run::message::{AbortCause, RunEnd, Turn};
use crate::store::StoreError;
use crate::store::runs::RunRecord;

/// What a session can be told.
pub enum SessionMsg {
    /// A turn to run; answered when it is on disk, long before the reply exists.
    Submit(Box<Turn>, RpcReplyPort<Result<Admission, SessionError>>),
    /// Ends the current run, or only the one with this id, and forgets what waits. Answers with the ids it ended.
    Abort {
        run_id: Option<String>,
        cause: AbortCause,
        reply: RpcReplyPort<Vec<String>>,
    },
    /// Changes preferences; `null` clears. `model` is `provider/model`. Answers with the entry as it is then.
    Patch(Map<String, Value>, RpcReplyPort<Result<SessionEntry, SessionError>>),
    /// Starts a new conversation; a running turn is aborted first.
    Reset(ResetReason, RpcReplyPort<Result<SessionEntry, SessionError>>),
    /// Forgets the session; its transcript is archived. Answers whether there was one.
    Delete(RpcReplyPort<Result<bool, SessionError>>),
    /// Appends an assistant message. Answers with its id.
    Inject(String, RpcReplyPort<Result<String, SessionError>>),
    Status(RpcReplyPort<SessionStatus>),
    /// Memory is scarce: rest at once if there is no work.
    Rest,
    /// News to itself and from its run.
    News(News),
    /// Makes the live run fail; only tests send it. Answers whether there was one.
    #[cfg(feature = "fault-injection")]
    FailRun(crate::supervision::mailbox::Fault, RpcReplyPort<bool>),
}

/// What a session learns from the store, its run and its clock.
pub enum News {
    Loaded(Result<Box<Loaded>, StoreError>),
    /// The turn in `Accepting` is on disk, or its id was known.
    Accepted(Result<Option<RunRecord>, StoreError>),
    /// A turn that waits, or that steers the run, is on disk.
    Queued {
        run_id: String,
        stored: Result<Option<RunRecord>, StoreError>,
    },
    RunEnded {
        run_id: String,
        end: Box<RunEnd>,
    },
    /// The end of the run is on disk; with the id of the last message.
    EndStored(Result<Option<(String, i64)>, StoreError>),
    /// A change of the entry is on disk.
    Changed(Result<(), StoreError>),
    /// What nobody waits for is on disk, or is owed from now on.
    Recorded {
        debt: Debt,
        stored: Result<(), StoreError>,
    },
    /// What is owed is to be tried again.
    PayDue,
    /// The first `count` debts are on disk, or none is.
    Paid {
        count: usize,
        stored: Result<(), StoreError>,
    },
    /// The store was not there when the session was to be loaded: again.
    LoadDue,
    /// Quiet time after a run is over: waiting messages may be collected.
    CollectDue(u64),
    /// The run with this id is asked whether it is there.
    CheckRun(String),
    /// Nobody has wanted anything for a while.
    Idle(u64),
}

/// What the store knew of this session.
pub struct Loaded {
    pub entry: Option<SessionEntry>,
    /// Runs that were accepted and are not over, in order.
    pub open: Vec<RunRecord>,
}

/// What became of a submitted turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// It runs now.
    Started,
    /// It runs later, after this many others.
    Queued { ahead: usize },
    /// It was given to the live run.
    Steered,
    /// It was a stop phrase; these runs were aborted.
    Stopped(Vec<String>),
    /// It was answered without a model.
    Answered,
    /// A run with this id was accepted earlier.
    Known(Box<RunRecord>),
    /// The live run, whose id this is, is about the very same message: nothing new was accepted.
    InFlight(String),
}

/// Why a session could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The queue of the session is full and its rule is to refuse.
    #[error("session queue is full ({0} waiting); try again later")]
    QueueFull(usize),
    /// So many runs of all sessions wait that no new one is accepted.
    #[error("too many runs are waiting ({0}); try again later")]
    LaneFull(usize),
    #[error("{0}")]
    Refused(String),
    #[error("session not found")]
    NotFound,
}

/// How a session stands.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    pub entry: Option<SessionEntry>,
    pub running: Option<String>,
    pub waiting: usize,
}
