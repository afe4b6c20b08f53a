//! The fake provider as a program, for tests that are not written in Rust.
//!
//! Prints one JSON line `{"url":"http://127.0.0.1:<port>"}` and serves until its standard input closes, so it never
//! outlives whoever started it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test program: a failure is a panic, and it starts its own thread"
)]
#![allow(dead_code, reason = "tests in Rust use more of it")]

#[path = "mod.rs"]
mod fake_provider;

use std::io::Read;

use fake_provider::FakeProvider;

fn main() {
    let provider = FakeProvider::start();
    println!("{}", serde_json::json!({ "url": provider.root_url() }));
    let mut ignored = Vec::new();
    std::io::stdin().read_to_end(&mut ignored).expect("standard input");
}
