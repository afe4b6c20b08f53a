//! Who may use an HTTP endpoint: the gates for browsers, then the shared secret.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use openclaw_actors::config::settings::AuthMode;
use openclaw_actors::protocol::scope::Scope;
use serde_json::json;
use tokio::time::Instant;

use super::answer;
use crate::gateway::auth::http_gates;
use crate::gateway::auth::limits::{Outcome, Surface};
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::auth::trusted_proxy;
use crate::gateway::services::Services;

/// Lets a request through, or answers it. The scopes are those that the caller holds.
pub async fn admit(
    services: &Services,
    facts: &RequestFacts,
    method: &Method,
    headers: &HeaderMap,
    needed: Scope,
) -> Result<Vec<Scope>, Box<Response<Body>>> {
    let snapshot = services.config.load();
    let gateway = &snapshot.settings.gateway;
    let secrets = services.auth.secrets();
    let bearer = bearer(headers);
    let gate = http_gates::refused_host(facts, gateway, secrets.mode)
        .or_else(|| http_gates::refused_origin(facts, gateway, method, true))
        .or_else(|| {
            (!super::is_read(method)).then(|| http_gates::refused_content_type(facts, bearer.is_some())).flatten()
        });
    if let Some((status, message)) = gate {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        return Err(Box::new(answer::error(status, "forbidden", message)));
    }
    let scopes = match secrets.mode {
        AuthMode::None => trusted_proxy::narrow(Scope::ALL.to_vec(), facts.scopes_header()),
        AuthMode::TrustedProxy => match trusted_proxy::verify(facts, gateway) {
            Ok(_) => trusted_proxy::narrow(Scope::ALL.to_vec(), facts.scopes_header()),
            Err(_) => return Err(Box::new(unauthorized())),
        },
        AuthMode::Token | AuthMode::Password => {
            verify(services, facts, bearer).await?;
            Scope::ALL.to_vec()
        }
    };
    if scopes.iter().any(|held| held.covers(needed)) {
        return Ok(scopes);
    }
    let message = format!("missing scope: {}", needed.as_str());
    Err(Box::new(answer::json(
        StatusCode::FORBIDDEN,
        &json!({ "ok": false, "error": { "type": "forbidden", "message": message } }),
    )))
}

/// Does the request carry the right secret? For answers that say more to those who do; a wrong one counts as elsewhere.
pub async fn is_authorised(services: &Services, facts: &RequestFacts, headers: &HeaderMap) -> bool {
    match bearer(headers) {
        Some(bearer) => verify(services, facts, Some(bearer)).await.is_ok(),
        None => false,
    }
}

async fn verify(services: &Services, facts: &RequestFacts, bearer: Option<&str>) -> Result<(), Box<Response<Body>>> {
    let attempt = services.auth.limits.attempt(Surface::SharedSecret, facts, Instant::now());
    if let Some(left) = attempt.retry_after() {
        let mut response = answer::error(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many failed authentication attempts. Please try again later.",
        );
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(left.as_secs().max(1)));
        return Err(Box::new(response));
    }
    let right = bearer.is_some_and(|bearer| services.auth.secrets().verify_bearer(bearer));
    let outcome = match (right, bearer) {
        (true, _) => Outcome::Right,
        (false, Some(_)) => Outcome::Wrong,
        (false, None) => Outcome::Neither,
    };
    let delay = attempt.settle(outcome, Instant::now());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if right { Ok(()) } else { Err(Box::new(unauthorized())) }
}

fn unauthorized() -> Response<Body> {
    answer::error(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
}

/// The credential of `Authorization: Bearer <secret>`; the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim()).filter(|secret| !secret.is_empty())
}
