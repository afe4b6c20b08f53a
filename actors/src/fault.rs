//! Faults that tests inject into the store: a chosen commit goes wrong, at a chosen moment of it.
//!
//! Compiled only with the feature `fault-injection`; no program that people run has it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::store::StoreError;

/// Where in a commit something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The writes are taken from the queue; nothing is done yet.
    Before,
    /// The writes are done, and not committed.
    Between,
    /// They are on disk, and nobody has been told.
    After,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The process ends on the spot, as with `kill -9`.
    Abort,
    /// The writing thread panics.
    Panic,
    /// The commit fails.
    Error,
    /// The disk takes a second.
    Hang,
}

/// The commit that goes wrong.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Plan {
    /// Counted from the moment when it is armed, from 1.
    pub commit: u32,
    pub stage: Stage,
    pub action: Action,
}

#[derive(Default)]
struct Armed {
    plan: Option<Plan>,
    /// Commits since then.
    seen: u32,
    acknowledge_early: bool,
}

static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

fn with<T>(what: impl FnOnce(&mut Armed) -> T) -> T {
    what(ARMED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Chooses the commit; `None` only counts. Returns how many commits there were since the last time.
pub fn arm(plan: Option<Plan>) -> u32 {
    with(|armed| {
        armed.plan = plan;
        std::mem::take(&mut armed.seen)
    })
}

/// Has writes acknowledged before they are on disk: what a checker of durability must find.
pub fn acknowledge_early(on: bool) {
    with(|armed| armed.acknowledge_early = on);
}

pub(crate) fn acknowledges_early() -> bool {
    with(|armed| armed.acknowledge_early)
}

/// Called at each stage of each commit.
pub(crate) fn commit(stage: Stage) -> Result<(), StoreError> {
    let action = with(|armed| {
        if stage == Stage::Before {
            armed.seen += 1;
        }
        let hit = armed.plan.is_some_and(|plan| plan.commit == armed.seen && plan.stage == stage);
        hit.then(|| armed.plan.take().map(|plan| plan.action)).flatten()
    });
    match action {
        None => Ok(()),
        Some(Action::Abort) => std::process::abort(),
        Some(Action::Panic) => panic!("injected"),
        Some(Action::Error) => Err(StoreError::Sql("injected".into())),
        Some(Action::Hang) => {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        }
    }
}
