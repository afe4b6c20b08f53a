//! What a plain HTTP request must show before it may change anything or read with authority: host, origin, content type.
//!
//! Invariant: a page of another site can neither cause a change nor read an answer, in any auth mode, `none` included.
//! Differs: 5.12 runs a cross-site simple POST when no auth is configured.

use axum::http::Method;
use openclaw_actors::config::settings::{AuthMode, Gateway};

use super::origin::{self, HOST_REFUSED, ORIGIN_REFUSED};
use super::request::RequestFacts;

pub const CONTENT_TYPE_REFUSED: &str = "content type must be application/json";

/// Is the Host refused? Not asked for `/healthz` and `/readyz`.
pub fn refused_host(facts: &RequestFacts, gateway: &Gateway, mode: AuthMode) -> Option<(u16, &'static str)> {
    (!origin::passes_host_gate(facts, gateway, mode)).then_some((421, HOST_REFUSED))
}

/// Is the page that asks refused? For everything but public reads: any method that changes, and reads with authority.
pub fn refused_origin(
    facts: &RequestFacts,
    gateway: &Gateway,
    method: &Method,
    authenticated: bool,
) -> Option<(u16, &'static str)> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !authenticated {
        return None;
    }
    let cross = facts.sec_fetch_site().is_some_and(|site| matches!(site.trim(), "cross-site" | "same-site"));
    match facts.origin() {
        Some(_) => origin::refused_origin(facts, gateway).map(|reason| (403, reason)),
        None => cross.then_some((403, ORIGIN_REFUSED)),
    }
}

/// Is the content type refused? Without a credential in its header, a request must be one that a form cannot send.
pub fn refused_content_type(facts: &RequestFacts, explicit_credential: bool) -> Option<(u16, &'static str)> {
    let json = facts.content_type().is_some_and(|text| {
        text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    (!explicit_credential && !json).then_some((415, CONTENT_TYPE_REFUSED))
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::request;
    use super::*;

    #[test]
    fn a_foreign_page_changes_nothing_and_reads_nothing_with_authority() {
        let gateway = Gateway::default();
        let evil = Some("http://evil.test");
        for (method, authenticated, origin, site, refused) in [
            (Method::POST, false, None, None, false),
            (Method::POST, true, None, Some("same-origin"), false),
            (Method::POST, true, None, Some("cross-site"), true),
            (Method::POST, true, None, Some("same-site"), true),
            (Method::POST, true, evil, None, true),
            (Method::DELETE, false, Some("null"), None, true),
            (Method::POST, true, Some("http://localhost:18789"), Some("same-site"), false),
            (Method::GET, false, evil, Some("cross-site"), false),
            (Method::GET, true, evil, None, true),
            (Method::GET, true, None, None, false),
        ] {
            let mut headers = vec![("host", "localhost:18789")];
            headers.extend(origin.map(|origin| ("origin", origin)));
            headers.extend(site.map(|site| ("sec-fetch-site", site)));
            let facts = request("127.0.0.1", &headers, &gateway);
            let answer = refused_origin(&facts, &gateway, &method, authenticated);
            assert_eq!(answer.map(|(status, _)| status), refused.then_some(403), "{method} {origin:?} {site:?}");
        }
    }

    #[test]
    fn without_a_credential_only_json_is_accepted() {
        let gateway = Gateway::default();
        for (kind, credential, refused) in [
            (Some("application/json"), false, false),
            (Some("Application/JSON; charset=utf-8"), false, false),
            (Some("text/plain"), false, true),
            (Some("text/plain, application/json"), false, true),
            (Some("application/json-patch"), false, true),
            (None, false, true),
            (Some("application/x-www-form-urlencoded"), true, false),
        ] {
            let headers: Vec<_> = kind.map(|kind| ("content-type", kind)).into_iter().collect();
            let facts = request("127.0.0.1", &headers, &gateway);
            assert_eq!(refused_content_type(&facts, credential).is_some(), refused, "{kind:?}");
        }
    }

    #[test]
    fn without_auth_only_our_own_names_are_served() {
        let gateway = Gateway::default();
        let facts = |host| request("127.0.0.1", &[("host", host)], &gateway);
        assert_eq!(refused_host(&facts("evil.test"), &gateway, AuthMode::None), Some((421, HOST_REFUSED)));
        assert_eq!(refused_host(&facts("evil.test"), &gateway, AuthMode::Token), None);
        assert_eq!(refused_host(&facts("localhost"), &gateway, AuthMode::None), None);
    }
}
