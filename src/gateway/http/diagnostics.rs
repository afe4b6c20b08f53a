//! `/api/diagnostics/prometheus`: the metrics for whoever collects them.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Response};
use openclaw_actors::protocol::scope::Scope;

use super::{answer, auth};
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::metrics;
use crate::gateway::services::Services;

/// Source: operations specification §9.
const FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub async fn prometheus(services: &Services, peer: SocketAddr, method: &Method, headers: &HeaderMap) -> Response<Body> {
    if !super::is_read(method) {
        return answer::wrong_method("GET, HEAD");
    }
    let facts = RequestFacts::new(peer.ip(), headers, &services.config.load().settings.gateway);
    if let Err(refused) = auth::admit(services, &facts, method, headers, Scope::Read).await {
        return *refused;
    }
    let text = if *method == Method::HEAD { String::new() } else { metrics::text(services).await };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, FORMAT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
