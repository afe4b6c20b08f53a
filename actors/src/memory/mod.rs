//! Memory of this process: looked at twice a minute. Above the soft limit what can be let go is let go; above the hard
//! limit the gateway asks for a restart, in order.
//!
//! parent: infra · children: one task that looks · restart: permanent
//!
//! What can be let go is little, because everything else has a bound of its own: sessions without work, and the ends of
//! runs that the store knows as well. What was freed is given back to the kernel when there is enough of it.

mod actor;
pub mod allocator;
mod judge;
mod usage;

pub use actor::{Pressure, child};
pub use usage::{Usage, now as usage_now};
