//! Binding the port: the first act that others can see, and what is said when somebody has it already.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::cli::gateway::check::Listen;
use crate::cli::listeners;
use crate::cli::{Exit, Failure};
use crate::client::knock;

/// How long a probe of the other process may take.
const PROBE_LIMIT: Duration = Duration::from_millis(500);

/// The bound sockets, all on one port.
pub struct Sockets {
    pub port: u16,
    pub bound: Vec<TcpListener>,
}

/// Binds every address. The first must work; others, such as `::1` on a host without IPv6, may fail.
pub fn bind(listen: &Listen) -> Result<Sockets, Failure> {
    let mut port = listen.port;
    let mut bound = Vec::new();
    for (index, host) in listen.hosts.iter().enumerate() {
        match open(*host, port) {
            Ok(socket) => {
                port = socket.local_addr().map_or(port, |address| address.port());
                bound.push(socket);
            }
            Err(error) if index == 0 => return Err(refused(*host, port, &error)),
            Err(_) => {}
        }
    }
    Ok(Sockets { port, bound })
}

/// Why these addresses could not be bound, while this process holds `own`. Nothing stays open.
pub fn refusal(listen: &Listen, own: u16) -> Option<String> {
    let host = *listen.hosts.first()?;
    // our own port is taken by ourselves: then only the address is tried
    let port = if listen.port == own { 0 } else { listen.port };
    let error = open(host, port).err()?;
    Some(format!("cannot listen on {}: {error}", SocketAddr::new(host, listen.port)))
}

fn open(host: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpListener::bind(SocketAddr::new(host, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Another gateway is no failure of ours unless a service manager would start us again and again.
pub fn duplicate_exit() -> Exit {
    if super::is_supervised() { Exit::Configuration } else { Exit::Done }
}

fn refused(host: IpAddr, port: u16, error: &std::io::Error) -> Failure {
    let address = SocketAddr::new(host, port);
    if error.kind() != ErrorKind::AddrInUse {
        return Failure::error(format!("cannot listen on {address}: {error}"));
    }
    let healthy = knock::is_gateway(address, PROBE_LIMIT);
    let first = if healthy {
        format!("another gateway instance is already listening on ws://{address} (GatewayLockError, EADDRINUSE)")
    } else {
        format!("cannot listen on {address}: address already in use (EADDRINUSE)")
    };
    let mut failure = Failure::error(first);
    if healthy {
        failure =
            failure.line("If the gateway is supervised, stop it with: openclaw gateway stop").exit(duplicate_exit());
    }
    failure = failure.line(format!("Port {port} is already in use."));
    listeners::on_port(port).listeners.iter().fold(failure, |failure, listener| failure.line(listener.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_listener_is_told_from_a_gateway() {
        let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = foreign.local_addr().unwrap();
        let failure = refused(address.ip(), address.port(), &ErrorKind::AddrInUse.into());
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message().contains("EADDRINUSE"));
        assert!(failure.lines.iter().any(|line| line.contains(&format!("pid {}", std::process::id()))), "{failure:?}");
    }
}
