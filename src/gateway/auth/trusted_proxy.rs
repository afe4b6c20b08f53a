//! Mode `trusted-proxy`: a reverse proxy has authenticated the user and says who it is.
//!
//! Invariant: nothing that a header says counts unless the socket's peer is a configured proxy.
//! Source: trusted-proxy checks of 2026.5.12 and their reasons, in this order.

use openclaw_actors::config::settings::Gateway;
use openclaw_actors::protocol::scope::{self, Scope};

use super::request::RequestFacts;

/// The user that the proxy names, or why it is not believed.
pub fn verify(facts: &RequestFacts, gateway: &Gateway) -> Result<String, String> {
    let fail = |reason: &str| Err(format!("trusted_proxy_{reason}"));
    let Some(proxy) = gateway.auth.trusted_proxy.as_ref().filter(|proxy| !proxy.user_header.trim().is_empty()) else {
        return fail("config_missing");
    };
    if gateway.trusted_proxies.is_empty() {
        return fail("no_proxies_configured");
    }
    if !facts.is_peer_trusted() {
        return fail("untrusted_source");
    }
    if facts.peer().is_loopback() && !proxy.allow_loopback {
        return fail("loopback_source");
    }
    if let Some(missing) = proxy.required_headers.iter().find(|name| facts.identity_header(name.trim()).is_none()) {
        return fail(&format!("missing_header_{}", missing.trim().to_ascii_lowercase()));
    }
    let Some(user) = facts.identity_header(proxy.user_header.trim()) else {
        return fail("user_missing");
    };
    if !proxy.allow_users.is_empty() && !proxy.allow_users.iter().any(|allowed| allowed.trim() == user) {
        return fail("user_not_allowed");
    }
    Ok(user.to_owned())
}

/// The scopes that are left of a request when the proxy narrows it. Never adds one.
///
/// `header`: absent means all, else names separated by commas or blanks.
pub fn narrow(requested: Vec<Scope>, header: Option<&str>) -> Vec<Scope> {
    let Some(header) = header else { return requested };
    let allowed: Vec<&str> = header.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect();
    requested
        .into_iter()
        .filter(|scope| allowed.iter().any(|allowed| scope::covers_name(allowed, scope.as_str())))
        .collect()
}

#[cfg(test)]
pub mod tests {
    use openclaw_actors::config::settings::TrustedProxy;

    use super::super::request::tests::request;
    use super::*;

    pub fn gateway() -> Gateway {
        let mut gateway =
            Gateway { trusted_proxies: vec!["127.0.0.1".into(), "10.0.0.0/8".into()], ..Gateway::default() };
        gateway.auth.trusted_proxy = Some(TrustedProxy {
            user_header: "X-Forwarded-User".into(),
            allow_users: vec!["nick@example.com".into()],
            required_headers: vec!["X-Forwarded-Proto".into()],
            allow_loopback: true,
        });
        gateway
    }

    const GOOD: [(&str, &str); 2] = [("x-forwarded-user", "nick@example.com"), ("x-forwarded-proto", "https")];

    #[test]
    fn each_check_has_its_reason() {
        let full = gateway();
        let check =
            |peer, headers: &[(&str, &str)], gateway: &Gateway| verify(&request(peer, headers, gateway), gateway);
        let fails = |peer, headers: &[(&str, &str)], gateway: &Gateway, reason: &str| {
            assert_eq!(check(peer, headers, gateway), Err(format!("trusted_proxy_{reason}")));
        };
        assert_eq!(check("10.1.1.1", &GOOD, &full), Ok("nick@example.com".into()));
        assert_eq!(check("::ffff:127.0.0.1", &GOOD, &full), Ok("nick@example.com".into()));
        fails("10.1.1.1", &GOOD, &Gateway::default(), "config_missing");
        fails("10.1.1.1", &GOOD, &Gateway { trusted_proxies: vec![], ..full.clone() }, "no_proxies_configured");
        fails("192.0.2.1", &GOOD, &full, "untrusted_source");
        fails("10.1.1.1", &GOOD[..1], &full, "missing_header_x-forwarded-proto");
        fails("10.1.1.1", &[GOOD[1]], &full, "user_missing");
        fails("10.1.1.1", &[GOOD[1], ("x-forwarded-user", " ")], &full, "user_missing");
        fails("10.1.1.1", &[GOOD[1], ("x-forwarded-user", "eve")], &full, "user_not_allowed");
        fails("10.1.1.1", &[GOOD[1], GOOD[0], ("x-forwarded-user", "eve")], &full, "user_not_allowed");
        let mut outside = full;
        outside.auth.trusted_proxy.as_mut().unwrap().allow_loopback = false;
        fails("127.0.0.1", &GOOD, &outside, "loopback_source");
    }

    #[test]
    fn the_scopes_header_only_narrows() {
        use Scope::{Admin, Read, Write};
        for (requested, header, expected) in [
            (vec![Admin, Read], None, vec![Admin, Read]),
            (vec![Admin, Read], Some(""), vec![]),
            (vec![Admin, Write, Read], Some("operator.read"), vec![Read]),
            (vec![Admin, Write, Read], Some("operator.write, node.x"), vec![Write, Read]),
            (vec![Read], Some("operator.admin"), vec![Read]),
        ] {
            assert_eq!(narrow(requested, header), expected, "{header:?}");
        }
    }
}
