//! One small HTTP question to a port of this host: does a gateway answer there, and is it ready?
//!
//! Blocking and without a client library: it is asked before there is a runtime. Every step has the same deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 4096;

/// `GET path`: the status and the rest of the answer. `None`: nobody answers in HTTP.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.set_write_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, answer.into_owned()))
}

/// Does whoever listens there answer like a gateway that lives?
pub fn is_gateway(address: SocketAddr, limit: Duration) -> bool {
    get(address, "/healthz", limit).is_some_and(|(_, answer)| answer.contains(r#""status":"live""#))
}

/// Does a gateway there go down? Then it takes no new connection.
pub fn is_draining(address: SocketAddr, limit: Duration) -> bool {
    get(address, "/readyz", limit).is_some_and(|(status, answer)| status == 503 && answer.contains(r#""draining""#))
}

/// Does a gateway there take work?
pub fn is_ready(address: SocketAddr, limit: Duration) -> bool {
    get(address, "/readyz", limit).is_some_and(|(status, _)| status == 200)
}
