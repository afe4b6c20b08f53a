//! `POST /channels/…`: what a front-end of the generic webhook says. Answered when it is on disk.
//!
//! Nobody learns more than that he was refused: not whether the path is there, not what was wrong with a signature.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use openclaw_actors::channels::AccountKey;
use openclaw_actors::channels::webhook::{self, inbound, signature};
use openclaw_actors::store::spool;
use serde_json::json;

use super::answer;
use super::endpoints::read;
use super::pace::Pace;
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::services::Services;

/// Bytes of a post.
const BODY_MAX: usize = 1024 * 1024;
/// When a front-end may try again, seconds.
const AGAIN: HeaderValue = HeaderValue::from_static("1");

/// Unsigned posts of everybody; for the life of the process.
static PACE: Pace = Pace::new();

pub async fn receive(services: Arc<Services>, peer: SocketAddr, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return answer::wrong_method("POST");
    }
    if !is_json(&parts.headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json");
    }
    let snapshot = services.config.load();
    let facts = RequestFacts::new(peer.ip(), &parts.headers, &snapshot.settings.gateway);
    let client = facts.client_ip().unwrap_or_else(|| facts.peer());
    let place = match PACE.enter(client, parts.uri.path()) {
        Ok(place) => place,
        Err(seconds) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
    };
    let body = match read(&parts.headers, body, BODY_MAX).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let endpoint = webhook::endpoint_at(&snapshot, parts.uri.path());
    let secret = endpoint.as_ref().map_or("", |endpoint| endpoint.secret.as_str());
    let now = Timestamp::now();
    let (at, signed) = (header(signature::TIMESTAMP), header(signature::SIGNATURE));
    let valid = signature::is_valid(secret, at, signed, &body, now.as_second());
    let (Some(endpoint), true) = (endpoint, valid) else {
        tracing::warn!(client = %client, event = "blocked", "webhook: blocked a post without a valid signature");
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized");
    };
    place.give_back(); // only guesses count
    let Ok(text) = std::str::from_utf8(&body) else { return refuse(StatusCode::BAD_REQUEST, "the body must be UTF-8") };
    match inbound::event(&endpoint.account, text, now.as_millisecond()) {
        Ok(row) => accept(&services, row).await,
        Err(problem) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &problem),
    }
}

/// On disk, then acknowledged.
async fn accept(services: &Services, row: spool::SpoolRow) -> Response<Body> {
    let key = AccountKey::new(&row.channel, &row.account);
    match services.context.store.write(move |db| spool::add(db, &row)).await {
        Ok(new) => {
            services.context.channels.event_stored(&key);
            answer::json(StatusCode::OK, &json!({ "ok": true, "duplicate": !new }))
        }
        Err(error) => {
            tracing::error!(account = %key, %error, "a post could not be stored; the front-end is to send it again");
            let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "not stored; send it again");
            response.headers_mut().insert(RETRY_AFTER, AGAIN);
            response
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn refuse(status: StatusCode, why: &str) -> Response<Body> {
    answer::json(status, &json!({ "ok": false, "error": why }))
}
