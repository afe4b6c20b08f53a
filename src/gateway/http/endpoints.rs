//! The OpenAI-compatible endpoints behind their gates: enabled, method, authentication, body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use openclaw_actors::protocol::scope::Scope;

use super::{answer, auth, chat_completions, models};
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::services::Services;

/// How long a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// An endpoint that is off does not exist; so does one that is not built.
pub async fn handle(services: Arc<Services>, peer: SocketAddr, request: Request<Body>) -> Response<Body> {
    let snapshot = services.config.load();
    let gateway = &snapshot.settings.gateway;
    let endpoints = &gateway.http.endpoints;
    let facts = RequestFacts::new(peer.ip(), request.headers(), gateway);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let model = path.strip_prefix("/v1/models").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(model) = model.filter(|_| endpoints.chat_completions.enabled || endpoints.responses.enabled) {
        if !super::is_read(&parts.method) {
            return answer::wrong_method("GET");
        }
        if let Err(refused) = auth::admit(&services, &facts, &parts.method, &parts.headers, Scope::Read).await {
            return *refused;
        }
        return match model.strip_prefix('/') {
            None => models::list(&services),
            Some(id) => models::one(&services, id),
        };
    }
    if path == "/v1/chat/completions" && endpoints.chat_completions.enabled {
        if parts.method != Method::POST {
            return answer::wrong_method("POST");
        }
        let scopes = match auth::admit(&services, &facts, &parts.method, &parts.headers, Scope::Write).await {
            Ok(scopes) => scopes,
            Err(refused) => return *refused,
        };
        let caller = chat_completions::Caller { may_choose_model: scopes.contains(&Scope::Admin) };
        return match read(&parts.headers, body, endpoints.chat_completions.max_body_bytes).await {
            Ok(body) => chat_completions::create(services, caller, parts.headers, body).await,
            Err(refused) => *refused,
        };
    }
    answer::text(StatusCode::NOT_FOUND, "Not Found")
}

/// The whole body, or the answer to one that is too large, too slow or broken off.
pub async fn read(headers: &HeaderMap, body: Body, max: usize) -> Result<Bytes, Box<Response<Body>>> {
    let refused = |status, message| Err(Box::new(answer::error(status, "invalid_request_error", message)));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large");
    }
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => refused(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "Request body broke off"),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "Request body timeout"),
    }
}
