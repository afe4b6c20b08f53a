//! Probes: alive, ready, started. Without authority they tell only that.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use super::{answer, auth, is_read};
use crate::gateway::auth::request::RequestFacts;
use crate::gateway::services::Services;

/// The process lives. Constant.
pub fn live(method: &Method) -> Response<Body> {
    if !is_read(method) {
        return answer::wrong_method("GET, HEAD");
    }
    answer::fresh_json(StatusCode::OK, &json!({ "ok": true, "status": "live" }), method == Method::HEAD)
}

/// The gateway takes work. Details only for local callers and holders of the secret.
pub async fn ready(services: &Services, peer: SocketAddr, method: &Method, headers: &HeaderMap) -> Response<Body> {
    if !is_read(method) {
        return answer::wrong_method("GET, HEAD");
    }
    let unwritable = services.is_ready() && services.context.store.check().await.is_err();
    let reasons = [
        (services.draining(), "draining"),
        (!services.is_ready() && !services.draining(), "starting"),
        (unwritable, "store"),
    ];
    let failing: Vec<&str> = reasons.into_iter().filter_map(|(fails, name)| fails.then_some(name)).collect();
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let facts = RequestFacts::new(peer.ip(), headers, &services.config.load().settings.gateway);
    let mut payload = json!({ "ready": failing.is_empty() });
    if facts.is_local_direct() || auth::is_authorised(services, &facts, headers).await {
        payload["failing"] = json!(failing);
        payload["uptimeMs"] = json!(services.uptime_ms());
        if let Some(report) = services.health.cache.latest() {
            payload["eventLoop"] = json!(report.event_loop);
        }
    }
    answer::fresh_json(status, &payload, method == Method::HEAD)
}

/// The start is over.
pub fn started(services: &Services, method: &Method) -> Response<Body> {
    if !is_read(method) {
        return answer::wrong_method("GET, HEAD");
    }
    let started = services.ready.load(std::sync::atomic::Ordering::Relaxed);
    let mut payload = json!({
        "ok": started, "status": if started { "started" } else { "starting" },
        "version": services.version, "uptimeMs": services.uptime_ms(),
    });
    if !started {
        payload["pendingReason"] = json!("startup-sidecars");
    }
    let status = if started { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::fresh_json(status, &payload, method == Method::HEAD)
}
