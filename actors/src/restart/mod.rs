//! Requested restarts: whoever wants one asks here, and whoever takes the gateway down learns of it here.
//!
//! Requests become one restart, and there is at most one in thirty seconds. Who may ask is decided by those who ask.
//! Source: operations specification §5. No actor: a request must not depend on anybody's mailbox.

mod decide;
mod handle;

pub use decide::{Answer, Cause, Drain, Order, Request, Timing};
pub use handle::Restarts;
