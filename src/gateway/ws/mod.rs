//! The WebSocket front end: upgrade, handshake, one actor per connection.
//!
//! parent: front · children: the connection's own task · restart: temporary (clients connect again by themselves)

pub mod client;
mod connection;
mod dispatch;
mod handshake;
mod io;
mod membership;
mod talk;
pub mod upgrade;

pub use connection::{Connections, group_spec};
