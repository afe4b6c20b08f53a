#[allow(dead_code)]
mod gateway;

fn main() {}
