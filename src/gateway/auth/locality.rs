//! How near a client is, for the exceptions that only this machine's owner gets.
//!
//! Invariant: a name never makes a client local, except `localhost`: names of other sites can be made to resolve to us.

use std::net::IpAddr;

use openclaw_actors::devices::pairing::Locality;

use super::request::{RequestFacts, is_loopback_host};

/// How near the client is. `secret_verified`: it has shown the shared secret, which a forwarded port asks for.
pub fn locality(request: &RequestFacts, secret_verified: bool) -> Locality {
    if request.is_local_direct() {
        return Locality::LocalDirect;
    }
    let plain = request.peer().is_loopback() && !request.is_forwarded() && request.origin().is_none();
    if secret_verified && plain && request.host_name().is_some_and(is_private_host) {
        Locality::PortForward
    } else {
        Locality::Remote
    }
}

/// A literal address that no name of another site can stand for.
fn is_private_host(host: &str) -> bool {
    is_loopback_host(host)
        || match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V4(ip)) => ip.is_private(),
            Ok(IpAddr::V6(ip)) => ip.is_unique_local(),
            Err(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::settings::Gateway;

    use super::super::request::tests::request;
    use super::*;

    #[test]
    fn a_forwarded_port_is_local_only_to_a_literal_private_address_with_the_secret() {
        use Locality::{LocalDirect, PortForward, Remote};
        let none: &[(&str, &str)] = &[];
        for (peer, host, extra, verified, expected) in [
            ("127.0.0.1", "localhost:1", none, false, LocalDirect),
            ("127.0.0.1", "172.17.0.2:1", none, true, PortForward),
            ("::1", "[fd00::1]:1", none, true, PortForward),
            ("127.0.0.1", "172.17.0.2:1", none, false, Remote),
            ("127.0.0.1", "172.17.0.2.evil:1", none, true, Remote),
            ("127.0.0.1", "8.8.8.8", none, true, Remote),
            ("127.0.0.1", "172.17.0.2", &[("origin", "http://localhost")], true, Remote),
            ("127.0.0.1", "172.17.0.2", &[("via", "x")], true, Remote),
            ("172.17.0.1", "172.17.0.2", none, true, Remote),
        ] {
            let headers: Vec<_> = [("host", host)].into_iter().chain(extra.iter().copied()).collect();
            let facts = request(peer, &headers, &Gateway::default());
            assert_eq!(locality(&facts, verified), expected, "{peer} {host} {extra:?}");
        }
    }
}
