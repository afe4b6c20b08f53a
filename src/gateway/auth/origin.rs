//! Which hosts a client may call us by, and from which origins a browser page may talk to us.
//!
//! Invariant: a browser always sends its Origin on a WebSocket, so a page is refused unless its origin is allowed, in every mode.
//! Source: Control UI origin rule of 2026.5.12. Differs: also decided before the upgrade, and the Host is checked in mode `none`.

use openclaw_actors::config::settings::{AuthMode, Gateway};
use openclaw_actors::protocol::hello::{ClientInfo, client_id, client_mode};

pub use super::request::RequestFacts;
use super::request::{is_loopback_host, origin_host, split_host};

pub const HOST_REFUSED: &str = "Host not allowed";
pub const ORIGIN_REFUSED: &str = "origin not allowed";
pub const ORIGIN_INVALID: &str = "origin missing or invalid";

/// Must the upgrade be refused? HTTP status and text.
pub fn refused_at_upgrade(facts: &RequestFacts, gateway: &Gateway, mode: AuthMode) -> Option<(u16, &'static str)> {
    if !passes_host_gate(facts, gateway, mode) {
        return Some((421, HOST_REFUSED));
    }
    facts.origin()?;
    refused_origin(facts, gateway).map(|reason| (403, reason))
}

/// May a request for this Host be served at all? Only mode `none` is strict: there the name is all that a page of another
/// site, rebound to this address, cannot choose.
pub fn passes_host_gate(facts: &RequestFacts, gateway: &Gateway, mode: AuthMode) -> bool {
    mode != AuthMode::None || is_known_host(facts, gateway)
}

/// Is the request addressed to a name that is ours?
pub fn is_known_host(facts: &RequestFacts, gateway: &Gateway) -> bool {
    let Some(name) = facts.host_name() else { return false };
    let is_name = |other: &str| other.eq_ignore_ascii_case(name);
    let origins = gateway.control_ui.allowed_origins.iter();
    is_loopback_host(name)
        || gateway.custom_bind_host.as_deref().is_some_and(is_name)
        || gateway.http.allowed_hosts.iter().any(|host| split_host(host.trim()).is_some_and(is_name))
        || origins.filter_map(|origin| origin_host(origin)).any(|host| is_name(&host))
}

/// Why the request's Origin is not allowed; `None` when it is. A missing Origin is refused.
pub fn refused_origin(facts: &RequestFacts, gateway: &Gateway) -> Option<&'static str> {
    let Some((origin, host)) = facts.origin().and_then(|origin| Some((origin.trim(), origin_host(origin)?))) else {
        return Some(ORIGIN_INVALID);
    };
    let ui = &gateway.control_ui;
    let listed = ui.allowed_origins.iter().map(|allowed| allowed.trim());
    let allowed = listed.into_iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
        || (ui.dangerously_allow_host_header_origin_fallback && is_own_host(origin, facts))
        || (facts.is_local_direct() && is_loopback_host(&host));
    (!allowed).then_some(ORIGIN_REFUSED)
}

/// Must this client come from an allowed origin even if it sends none?
pub fn needs_origin(client: &ClientInfo) -> bool {
    client.id == client_id::CONTROL_UI || is_webchat(client)
}

/// A chat page, of whatever site.
pub fn is_webchat(client: &ClientInfo) -> bool {
    client.id == "webchat-ui" || client.mode == client_mode::WEBCHAT
}

fn is_own_host(origin: &str, facts: &RequestFacts) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority.trim_end_matches('/'));
    matches!((authority, facts.host()), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::request;
    use super::*;

    fn gateway(allowed: &[&str]) -> Gateway {
        let mut gateway = Gateway::default();
        gateway.control_ui.allowed_origins = allowed.iter().map(|text| (*text).to_owned()).collect();
        gateway
    }

    #[test]
    fn an_origin_must_be_listed_or_be_this_machine() {
        let listed = gateway(&["https://Panel.example", "tauri://localhost"]);
        let any = gateway(&["*"]);
        let mut fallback = gateway(&[]);
        fallback.control_ui.dangerously_allow_host_header_origin_fallback = true;
        let (local, lan) = (("127.0.0.1", "127.0.0.1:18789"), ("192.168.1.9", "box:18789"));
        for (gateway, (peer, host), origin, expected) in [
            (&listed, lan, "https://panel.example", None),
            (&listed, lan, "https://panel.example:444", Some(ORIGIN_REFUSED)),
            (&listed, lan, "http://panel.example", Some(ORIGIN_REFUSED)),
            (&listed, lan, "tauri://localhost", None),
            (&listed, lan, "http://localhost:18789", Some(ORIGIN_REFUSED)),
            (&listed, local, "http://localhost:3000", None),
            (&listed, local, "http://[::1]:1", None),
            (&listed, local, "http://evil.test", Some(ORIGIN_REFUSED)),
            (&listed, local, "http://localhost.evil", Some(ORIGIN_REFUSED)),
            (&listed, local, "null", Some(ORIGIN_INVALID)),
            (&listed, local, "", Some(ORIGIN_INVALID)),
            (&any, lan, "https://evil.test", None),
            (&any, lan, "null", Some(ORIGIN_INVALID)),
            (&fallback, lan, "http://BOX:18789", None),
            (&fallback, lan, "http://box", Some(ORIGIN_REFUSED)),
        ] {
            let facts = request(peer, &[("host", host), ("origin", origin)], gateway);
            assert_eq!(refused_origin(&facts, gateway), expected, "{peer} {origin}");
        }
        let twice = request(
            "127.0.0.1",
            &[("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.test")],
            &listed,
        );
        assert!(refused_origin(&twice, &listed).is_some());
        assert_eq!(
            refused_origin(&request("127.0.0.1", &[("host", "localhost")], &listed), &listed),
            Some(ORIGIN_INVALID)
        );
    }

    #[test]
    fn an_upgrade_is_refused_for_a_foreign_page_and_without_auth_for_a_foreign_host() {
        let mut ours = gateway(&["https://panel.example"]);
        ours.http.allowed_hosts = vec!["box.lan:8080".into()];
        ours.custom_bind_host = Some("192.0.2.5".into());
        let (local, evil) = ("127.0.0.1:18789", "rebind.test:18789");
        let (host_refused, origin_refused) = (Some((421, HOST_REFUSED)), Some((403, ORIGIN_REFUSED)));
        for (mode, host, origin, expected) in [
            (AuthMode::Token, local, None, None),
            (AuthMode::Token, evil, None, None),
            (AuthMode::Token, local, Some("http://evil.test"), origin_refused),
            (AuthMode::TrustedProxy, local, Some("http://evil.test"), origin_refused),
            (AuthMode::Token, local, Some("null"), Some((403, ORIGIN_INVALID))),
            (AuthMode::Token, evil, Some("http://rebind.test:18789"), origin_refused),
            (AuthMode::Token, evil, Some("http://localhost"), origin_refused),
            (AuthMode::None, local, None, None),
            (AuthMode::None, local, Some("http://localhost:18789"), None),
            (AuthMode::None, evil, None, host_refused),
            (AuthMode::None, evil, Some("http://evil.test"), host_refused),
            (AuthMode::None, "", None, host_refused),
            (AuthMode::None, "box.lan", None, None),
            (AuthMode::None, "panel.example", None, None),
            (AuthMode::None, "192.0.2.5:18789", None, None),
        ] {
            let mut headers = vec![("host", host)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            let facts = request("127.0.0.1", &headers, &ours);
            assert_eq!(refused_at_upgrade(&facts, &ours, mode), expected, "{mode:?} {host} {origin:?}");
        }
    }
}
