#[allow(dead_code, unused_imports)]
mod client;

fn main() {}
