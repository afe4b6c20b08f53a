//! Delivery: what is to be said in a chat, from the end of a turn to the word of the platform.
//!
//! A reply is a row of the outbox for each part, written in one transaction with the end of its turn. The sender of the
//! account takes it up from there (`channels/sender.rs`); `machine` decides what follows from each try.

pub mod machine;
#[cfg(test)]
mod machine_tests;
mod route;

pub use route::{Message, Route, rows};
