//! The disk actor: asks the file system, keeps the answer, says so when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;

use crate::events::{Event, Events, EventsMsg};
use crate::run::stream::now_ms;
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// How often the file system is asked.
const EVERY: Duration = Duration::from_secs(60);
/// Below this part of the disk, or this many bytes, room is scarce.
const LOW_PART: u64 = 20;
const LOW_BYTES: u64 = 500 * 1024 * 1024;
/// Below this nothing new is begun: what is there must still be finished and stored.
const FULL_BYTES: u64 = 100 * 1024 * 1024;

/// How much room there is. Source: operations specification §14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Room {
    #[default]
    Enough,
    /// Less than 5 %, or less than 500 MB.
    Low { free_bytes: u64 },
    /// Less than 100 MB: no new turns.
    None { free_bytes: u64 },
}

impl Room {
    fn of(free_bytes: u64, total_bytes: u64) -> Self {
        if free_bytes < FULL_BYTES {
            Self::None { free_bytes }
        } else if free_bytes < LOW_BYTES || free_bytes < total_bytes / LOW_PART {
            Self::Low { free_bytes }
        } else {
            Self::Enough
        }
    }

    /// `ok`, `low` or `full`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enough => "ok",
            Self::Low { .. } => "low",
            Self::None { .. } => "full",
        }
    }
}

/// Where the answer is read; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<ArcSwap<Room>>);

impl Disk {
    pub fn room(&self) -> Room {
        **self.0.load()
    }
}

enum DiskMsg {
    LookDue,
    Seen(TaskEnd<Result<Room, String>>),
}

struct DiskActor;

#[derive(Clone)]
struct DiskArgs {
    dir: PathBuf,
    disk: Disk,
    events: Events,
}

struct DiskState {
    args: DiskArgs,
    look: Option<Task>,
}

/// The disk actor as a child of its supervisor.
pub fn child(dir: PathBuf, disk: Disk, events: Events, spec: ChildSpec) -> Child {
    let args = DiskArgs { dir, disk, events };
    Child::leaf(spec, Address::new("disk", 1), args, || DiskActor)
}

impl Actor for DiskActor {
    type Msg = Mail<DiskMsg>;
    type State = DiskState;
    type Arguments = DiskArgs;

    async fn pre_start(&self, me: ActorRef<Self::Msg>, args: DiskArgs) -> Result<DiskState, ActorProcessingErr> {
        let mut state = DiskState { args, look: None };
        state.look(&me);
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut DiskState,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(DiskMsg::LookDue) => state.look(&me),
            Some(DiskMsg::Seen(end)) => {
                drop(me.send_after(EVERY, || Mail::own(DiskMsg::LookDue)));
                state.seen(end);
            }
            None => {}
        }
        Ok(())
    }
}

impl DiskState {
    fn look(&mut self, me: &ActorRef<Mail<DiskMsg>>) {
        let (dir, me) = (self.args.dir.clone(), me.clone());
        let work = async move { task::blocking(move || free(&dir)).await.and_then(|free| free) };
        self.look = Some(task::spawn_reporting("disk-look", work, move |end| {
            let _ = me.send_message(Mail::own(DiskMsg::Seen(end))); // gone only when the task was aborted
        }));
    }

    /// A file system that does not answer leaves the last answer in force.
    fn seen(&mut self, end: TaskEnd<Result<Room, String>>) {
        let room = match end {
            TaskEnd::Done(Ok(room)) => room,
            TaskEnd::Done(Err(error)) | TaskEnd::Panicked(error) => {
                return tracing::warn!(error, "the room on the disk is not known");
            }
        };
        let before = self.args.disk.room().word();
        self.args.disk.0.store(Arc::new(room));
        if before == room.word() {
            return;
        }
        let dir = self.args.dir.display();
        match room {
            Room::Enough => tracing::info!("there is room again on the disk of {dir}"),
            Room::Low { free_bytes } => tracing::warn!(free_bytes, "the disk of {dir} is almost full"),
            Room::None { free_bytes } => {
                tracing::error!(free_bytes, "the disk of {dir} is full: no new turns until there is room");
            }
        }
        let payload = json!({ "ts": now_ms(), "room": room.word() });
        if let Err(error) = self.args.events.try_send(EventsMsg::Publish(Event::broadcast("disk", &payload))) {
            tracing::debug!(%error, "clients were not told of the disk; status shows it");
        }
    }
}

fn free(dir: &Path) -> Result<Room, String> {
    #[cfg(feature = "fault-injection")]
    if let Some(bytes) = std::env::var("OPENCLAW_TEST_DISK_FREE").ok().and_then(|text| text.parse().ok()) {
        return Ok(Room::of(bytes, bytes));
    }
    let about = nix::sys::statvfs::statvfs(dir).map_err(|error| error.to_string())?;
    let block = about.fragment_size();
    Ok(Room::of(about.blocks_available() * block, about.blocks() * block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_scarce_by_part_or_by_bytes() {
        const GB: u64 = 1 << 30;
        assert_eq!(Room::of(50 * GB, 100 * GB), Room::Enough);
        assert_eq!(Room::of(4 * GB, 100 * GB).word(), "low", "less than 5 %");
        assert_eq!(Room::of(GB / 4, GB).word(), "low", "less than 500 MB");
        assert_eq!(Room::of(99 * 1024 * 1024, GB).word(), "full");
    }
}
