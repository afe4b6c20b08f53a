//! Memory of this process: looked at twice a minute. Above the soft limit what can be let go is let go; above the hard
//! limit the gateway asks for a restart, in order.
//!
//! parent: infra · children: one task that looks · restart: permanent
//!
//! What can be let go is little, because everything else has a bound of its own: sessions without work, and the ends of
//! runs that the store knows as well. The resident size need not fall with it: the allocator may keep what it has.

mod actor;
mod judge;
mod usage;

pub use actor::{Pressure, child};
pub use usage::{Usage, now as usage_now};
