//! What a request says of where it comes from, reduced to the facts that decisions may use.
//!
//! Invariant: the socket's peer is the only address that is believed without configuration, and any forwarding header,
//! believed or not, ends "local direct". Source: client address rules of 2026.5.12, with more headers counted as forwarding.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;
use openclaw_actors::config::settings::Gateway;
use url::Url;

/// Whoever adds one of these is not the client itself.
const FORWARDING_HEADERS: [&str; 9] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "via",
    "cf-connecting-ip",
    "x-original-forwarded-for",
    "tailscale-user-login",
];
/// The header that narrows the scopes of an identity that a proxy vouches for.
pub const SCOPES_HEADER: &str = "x-openclaw-scopes";
/// Header text in logs ends here, characters.
const SHOWN_CHARS_MAX: usize = 300;

/// Where one request comes from. Holds no credential.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    peer: IpAddr,
    /// The peer is one of `gateway.trustedProxies`.
    peer_trusted: bool,
    client_ip: Option<IpAddr>,
    forwarded: bool,
    host: Option<String>,
    origin: Option<String>,
    user_agent: Option<String>,
    sec_fetch_site: Option<String>,
    content_type: Option<String>,
    /// The headers that the configured proxy mode names, by lower-case name.
    identity: BTreeMap<String, String>,
}

impl RequestFacts {
    pub fn new(peer: IpAddr, headers: &HeaderMap, gateway: &Gateway) -> Self {
        let peer = peer.to_canonical();
        let trusted: Vec<IpNet> = gateway.trusted_proxies.iter().filter_map(|text| parse_net(text)).collect();
        let peer_trusted = contains(&trusted, peer);
        let forwarded = FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name));
        let client_ip = match (forwarded, peer_trusted) {
            (false, _) => Some(peer),
            (true, true) => forwarded_for(headers, &trusted, gateway.allow_real_ip_fallback),
            (true, false) => None,
        };
        Self {
            peer,
            peer_trusted,
            client_ip,
            forwarded,
            host: single(headers, "host"),
            origin: joined(headers, "origin"),
            user_agent: joined(headers, "user-agent").map(|text| shown(&text)),
            sec_fetch_site: joined(headers, "sec-fetch-site"),
            content_type: joined(headers, "content-type"),
            identity: identity(headers, gateway),
        }
    }

    /// The other end of the socket.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    pub fn is_peer_trusted(&self) -> bool {
        self.peer_trusted
    }

    /// The client as far as it can be known; `None` behind a proxy that is not trusted or does not say.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Some hop added a forwarding header.
    pub fn is_forwarded(&self) -> bool {
        self.forwarded
    }

    /// From this machine itself, addressed as this machine. Only such requests get the owner's exceptions.
    pub fn is_local_direct(&self) -> bool {
        self.peer.is_loopback() && !self.forwarded && self.host_name().is_some_and(is_loopback_host)
    }

    /// The Host header as sent; `None` when it is absent or there are several.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The Host without its port and without brackets.
    pub fn host_name(&self) -> Option<&str> {
        split_host(self.host.as_deref()?)
    }

    /// The Origin header as sent, however strange; several are joined and so match nothing.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Does the Origin name this machine?
    pub fn is_origin_loopback(&self) -> bool {
        self.origin().and_then(origin_host).is_some_and(|host| is_loopback_host(&host))
    }

    /// Cleaned for logs.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    pub fn sec_fetch_site(&self) -> Option<&str> {
        self.sec_fetch_site.as_deref()
    }

    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// A header that the proxy mode names; blank counts as absent. `name` in any case.
    pub fn identity_header(&self, name: &str) -> Option<&str> {
        self.identity.get(&name.to_ascii_lowercase()).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What the proxy lets this identity do: absent means everything, blank means nothing.
    pub fn scopes_header(&self) -> Option<&str> {
        self.identity.get(SCOPES_HEADER).map(String::as_str)
    }
}

/// A literal loopback address, or exactly `localhost`. Wildcards and other names are not, whatever they resolve to.
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The host of an Origin, without brackets; `None` for `null` and whatever is no origin.
pub fn origin_host(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// The host part of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub fn split_host(text: &str) -> Option<&str> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let host = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        rest.is_empty().then_some(host).or_else(|| rest.strip_prefix(':').filter(|port| is_port(port)).map(|_| host))?
    } else {
        match text.split_once(':') {
            None => text,
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
        }
    };
    (!host.is_empty()).then_some(host)
}

/// An address or a CIDR.
pub fn parse_net(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical())))
}

pub fn contains(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

/// A header's text for a log line: control characters out, 300 characters at most.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
}

/// The nearest hop that is neither ours nor this machine.
fn forwarded_for(headers: &HeaderMap, trusted: &[IpNet], real_ip: bool) -> Option<IpAddr> {
    let Some(chain) = joined(headers, "x-forwarded-for") else {
        return if real_ip { single(headers, "x-real-ip").and_then(|text| parse_hop(&text)) } else { None };
    };
    for hop in chain.rsplit(',') {
        let ip = parse_hop(hop)?;
        if !ip.is_loopback() && !contains(trusted, ip) {
            return Some(ip);
        }
    }
    None
}

fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let ip = text.parse::<IpAddr>().ok().or_else(|| split_host(text)?.parse().ok())?;
    Some(ip.to_canonical())
}

fn identity(headers: &HeaderMap, gateway: &Gateway) -> BTreeMap<String, String> {
    let proxy = gateway.auth.trusted_proxy.iter();
    let named = proxy.flat_map(|proxy| proxy.required_headers.iter().chain([&proxy.user_header]));
    named
        .map(|name| name.trim().to_ascii_lowercase())
        .chain([SCOPES_HEADER.to_owned()])
        .filter_map(|name| joined(headers, &name).map(|text| (name, text)))
        .collect()
}

/// All values of a header as one list.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The value of a header that must not be repeated.
fn single(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| String::from_utf8_lossy(first.as_bytes()).into_owned())
}

#[cfg(test)]
pub mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::HeaderName;

    use super::*;

    /// A request from `peer` with these headers.
    pub fn request(peer: &str, headers: &[(&str, &str)], gateway: &Gateway) -> RequestFacts {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        RequestFacts::new(peer.parse().unwrap(), &map, gateway)
    }

    fn behind(proxies: &[&str]) -> Gateway {
        Gateway { trusted_proxies: proxies.iter().map(|text| (*text).to_owned()).collect(), ..Gateway::default() }
    }

    #[test]
    fn only_a_plain_request_from_this_machine_to_this_machine_is_local_direct() {
        let gateway = behind(&["127.0.0.1"]);
        for (peer, host, expected) in [
            ("127.0.0.1", "127.0.0.1:18789", true),
            ("127.0.0.9", "localhost", true),
            ("::1", "[::1]:18789", true),
            ("::ffff:127.0.0.1", "LOCALHOST:1", true),
            ("127.0.0.1", "[::ffff:127.0.0.1]", true),
            ("10.0.0.1", "localhost", false),
            ("127.0.0.1", "0.0.0.0:18789", false),
            ("127.0.0.1", "[::]:18789", false),
            ("127.0.0.1", "localhost.evil", false),
            ("127.0.0.1", "localhost.", false),
            ("127.0.0.1", "127.0.0.1.nip.io", false),
            ("127.0.0.1", "127.1", false),
            ("127.0.0.1", "0177.0.0.1", false),
            ("127.0.0.1", "evil.test", false),
            ("127.0.0.1", "localhost:evil", false),
            ("127.0.0.1", "", false),
        ] {
            let facts = request(peer, &[("host", host)], &gateway);
            assert_eq!(facts.is_local_direct(), expected, "{peer} {host}");
        }
        assert!(!request("127.0.0.1", &[], &gateway).is_local_direct());
        assert!(!request("127.0.0.1", &[("host", "localhost"), ("host", "evil")], &gateway).is_local_direct());
        for header in FORWARDING_HEADERS {
            let facts = request("127.0.0.1", &[("host", "localhost"), (header, "127.0.0.1")], &gateway);
            assert!(!facts.is_local_direct() && facts.is_forwarded(), "{header}");
        }
    }

    #[test]
    fn the_client_is_the_nearest_hop_that_is_not_a_trusted_proxy() {
        let gateway = behind(&["10.0.0.0/8", "127.0.0.1", "nonsense"]);
        let xff = "x-forwarded-for";
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        for (peer, headers, expected) in [
            ("192.0.2.1", vec![], ip("192.0.2.1")),
            ("::ffff:192.0.2.1", vec![], ip("192.0.2.1")),
            ("127.0.0.1", vec![], ip("127.0.0.1")),
            ("192.0.2.1", vec![(xff, "198.51.100.7")], None),
            ("10.0.0.1", vec![(xff, "198.51.100.7")], ip("198.51.100.7")),
            ("10.0.0.1", vec![(xff, "1.1.1.1, 198.51.100.7, 10.0.0.2,127.0.0.1")], ip("198.51.100.7")),
            ("10.0.0.1", vec![(xff, "1.1.1.1"), (xff, "198.51.100.7:4711")], ip("198.51.100.7")),
            ("10.0.0.1", vec![(xff, "[2001:db8::1]:4711")], ip("2001:db8::1")),
            ("10.0.0.1", vec![(xff, "198.51.100.7, unknown")], None),
            ("10.0.0.1", vec![(xff, "127.0.0.1")], None),
            ("10.0.0.1", vec![("x-real-ip", "198.51.100.7")], None),
        ] {
            assert_eq!(request(peer, &headers, &gateway).client_ip(), expected, "{peer} {headers:?}");
        }
        let gateway = Gateway { allow_real_ip_fallback: true, ..gateway };
        assert_eq!(request("10.0.0.1", &[("x-real-ip", "198.51.100.7")], &gateway).client_ip(), ip("198.51.100.7"));
        assert_eq!(request("192.0.2.1", &[("x-real-ip", "198.51.100.7")], &gateway).client_ip(), None);
    }

    #[test]
    fn what_goes_to_the_log_is_clean_and_short() {
        let long = format!("a\u{1b}[31m\n{}", "b".repeat(15_000));
        let text = shown(&long);
        assert_eq!(text.chars().count(), 300);
        assert!(text.starts_with("a[31mb"));
    }
}
