//! Supervision over ractor: child specs, restart decisions, bounded mailboxes, owned tasks.
//!
//! ractor gives links and exit events; this module adds what makes a tree: restart types, strategies, intensity with
//! escalation or giving up, back-off, ordered start and stop with deadlines, a look whether everybody still answers,
//! addresses that survive a restart, and tasks with owners.
//!
//! * `spec` – what a supervisor is told about a child
//! * `exit` – how a child ended
//! * `restart` – the decisions, as plain functions
//! * `life` – one child's life, as data
//! * `machine` – what a supervisor of a fixed list decides, as a state machine
//! * `supervisor` – a fixed list of children
//! * `group` – many children of one kind, by key
//! * `view` – the tree as operators see it
//! * `mailbox` – bounded mail, addresses
//! * `task` – the one place that starts tasks and threads
//! * `stop` – ask, wait, kill
//! * `stall` – who holds a worker of the runtime up; the way every actor is started

mod exit;
pub mod group;
pub mod life;
pub mod machine;
pub mod mailbox;
pub mod restart;
pub mod spec;
mod stall;
mod stop;
pub mod supervisor;
pub mod task;
pub mod view;

pub use exit::{Ended, ended};
pub use group::{Group, GroupSpec};
pub use machine::Operation;
pub use mailbox::{Address, Mail, Mailbox, Unavailable};
pub use spec::{Child, ChildSpec, Exceeded, Intensity, Restart, StartFn, Strategy};
pub use stall::{spawn_linked, spawn_root};
pub use supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
pub use view::{Branch, Node, Observer};
