//! `POST /channels/…`: what a front-end of the generic webhook says. Answered when it is on disk.
//!
//! Nobody learns more than that he was refused: not whether the path is there, not what was wrong with a signature.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use openclaw_actors::channels::AccountKey;
use openclaw_actors::channels::webhook::{self, inbound, signature};
use openclaw_actors::disk::Room;
use openclaw_actors::store::spool::{self, SpoolRow};
use openclaw_actors::store::{Connection, StoreError};
use serde_json::json;

use super::answer;
use super::endpoints::read;
use super::pace::Pace;
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::services::Services;

/// Bytes of a post.
const BODY_MAX: usize = 256 * 1024;
/// Posts of one account that may wait to be looked at.
const PENDING_MAX: i64 = 10_000;
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
    let endpoint = webhook::endpoint_at(&snapshot, parts.uri.path());
    // All paths that are not there are one.
    let path = endpoint.as_ref().map_or("", |_| parts.uri.path());
    let place = match PACE.enter(client, path) {
        Ok(place) => place,
        Err(seconds) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
    };
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let (at, signed) = (header(signature::TIMESTAMP), header(signature::SIGNATURE));
    let now = Timestamp::now();
    if !signature::may_be_valid(at, signed, now.as_second()) {
        return unsigned(client);
    }
    let body = match read(&parts.headers, body, BODY_MAX).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let secret = endpoint.as_ref().map_or("", |endpoint| endpoint.secret.as_str());
    let valid = signature::is_valid(secret, at, signed, &body, now.as_second());
    let (Some(endpoint), true) = (endpoint, valid) else { return unsigned(client) };
    place.give_back(); // only guesses count
    let Ok(text) = std::str::from_utf8(&body) else { return refuse(StatusCode::BAD_REQUEST, "the body must be UTF-8") };
    match inbound::event(&endpoint.account, text, now.as_millisecond()) {
        Ok(row) => accept(&services, row).await,
        Err(problem) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &problem),
    }
}

fn unsigned(client: IpAddr) -> Response<Body> {
    tracing::warn!(client = %client, event = "blocked", "webhook: blocked a post without a valid signature");
    refuse(StatusCode::UNAUTHORIZED, "unauthorized")
}

/// On disk, then acknowledged.
async fn accept(services: &Services, row: SpoolRow) -> Response<Body> {
    let key = AccountKey::new(&row.channel, &row.account);
    if let Room::None { .. } = services.context.disk.room() {
        return later(&key, "the disk is full");
    }
    match services.context.store.write(move |db| keep(db, &row)).await {
        Ok(Kept::Full) => later(&key, "too many posts wait"),
        Ok(Kept::OfAnother) => refuse(StatusCode::CONFLICT, "this id was used in another conversation"),
        Ok(kept) => {
            services.context.channels.event_stored(&key);
            answer::json(StatusCode::OK, &json!({ "ok": true, "duplicate": kept == Kept::Known }))
        }
        Err(error) => later(&key, &error.to_string()),
    }
}

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    New,
    Known,
    /// Its id is known, from another conversation: two messages, and one would be lost.
    OfAnother,
    Full,
}

fn keep(db: &Connection, row: &SpoolRow) -> Result<Kept, StoreError> {
    if let Some(known) = spool::get(db, &row.channel, &row.account, &row.event_key)? {
        return Ok(if known.lane == row.lane { Kept::Known } else { Kept::OfAnother });
    }
    if spool::count_pending(db, &row.channel, &row.account)? >= PENDING_MAX {
        return Ok(Kept::Full);
    }
    spool::add(db, row)?;
    Ok(Kept::New)
}

fn later(account: &AccountKey, why: &str) -> Response<Body> {
    tracing::error!(account = %account, error = why, "a post could not be stored; the front-end is to send it again");
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "not stored; send it again");
    response.headers_mut().insert(RETRY_AFTER, AGAIN);
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn refuse(status: StatusCode, why: &str) -> Response<Body> {
    answer::json(status, &json!({ "ok": false, "error": why }))
}

#[cfg(test)]
mod tests {
    use openclaw_actors::store::schema;
    use openclaw_actors::store::spool::EventState;

    use super::*;

    fn row(key: &str, lane: &str) -> SpoolRow {
        SpoolRow {
            channel: "webhook".into(),
            account: "front".into(),
            event_key: key.into(),
            lane: lane.into(),
            raw: "{}".into(),
            received_at: 1,
            state: EventState::Pending,
            attempts: 0,
            outcome: None,
        }
    }

    #[test]
    fn a_post_is_kept_once_in_one_conversation_and_while_there_is_room() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert_eq!(keep(&db, &row("m1", "a")).unwrap(), Kept::New);
        assert_eq!(keep(&db, &row("m1", "a")).unwrap(), Kept::Known);
        assert_eq!(keep(&db, &row("m1", "b")).unwrap(), Kept::OfAnother);
        for n in 1..PENDING_MAX {
            assert_eq!(keep(&db, &row(&format!("x{n}"), "a")).unwrap(), Kept::New);
        }
        assert_eq!(keep(&db, &row("one more", "a")).unwrap(), Kept::Full);
        assert_eq!(keep(&db, &row("m1", "a")).unwrap(), Kept::Known, "what is there is still acknowledged");
    }
}
