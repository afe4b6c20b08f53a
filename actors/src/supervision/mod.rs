//! Supervision over ractor: child specs, restart decisions, bounded mailboxes, owned tasks.
//!
//! ractor gives links and exit events; this module adds what makes a tree: restart types, strategies, intensity with
//! escalation, back-off, ordered start and stop with deadlines, addresses that survive a restart, and tasks with owners.
//!
//! * `spec` – what a supervisor is told about a child
//! * `exit` – how a child ended
//! * `restart` – the decisions, as plain functions
//! * `supervisor` – a fixed list of children
//! * `group` – many children of one kind, by key
//! * `mailbox` – bounded mail, addresses
//! * `task` – the one place that starts tasks and threads
//! * `stop` – ask, wait, kill

mod exit;
pub mod group;
pub mod mailbox;
pub mod restart;
pub mod spec;
mod stop;
pub mod supervisor;
pub mod task;

pub use exit::{Ended, ended};
pub use group::{Group, GroupSpec};
pub use mailbox::{Address, Mail, Unavailable};
pub use spec::{Child, ChildSpec, Intensity, Restart, StartFn, Strategy};
pub use supervisor::{ChildInfo, Supervisor, SupervisorArgs, SupervisorMsg};
