//! HTTP on the gateway's port: probes, the OpenAI-compatible endpoints, webhooks, and the way to the WebSocket.

mod answer;
mod auth;
mod channel_webhook;
mod chat_completions;
mod completion_request;
mod completion_stream;
mod diagnostics;
mod endpoints;
mod live_run;
mod models;
mod openai_error;
mod pace;
mod probes;
mod prompt_messages;
mod sse;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, Response, StatusCode};

use super::services::Services;
use super::ws::upgrade;

/// The one router: every request goes through `handle`.
pub fn router(services: Arc<Services>) -> Router {
    Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>| {
        let services = Arc::clone(&services);
        async move { answer::with_common_headers(handle(services, peer, request).await) }
    })
}

/// Order: WebSocket upgrades on any path, probes, endpoints, nothing.
async fn handle(services: Arc<Services>, peer: SocketAddr, request: Request<Body>) -> Response<Body> {
    if upgrade::is_upgrade(request.headers()) {
        return upgrade::accept(services, peer, request).await;
    }
    match request.uri().path() {
        "/health" | "/healthz" => probes::live(request.method()),
        "/ready" | "/readyz" => probes::ready(&services, peer, request.method(), request.headers()).await,
        "/api/diagnostics/prometheus" => {
            diagnostics::prometheus(&services, peer, request.method(), request.headers()).await
        }
        "/startupz" => probes::started(&services, request.method()),
        path if path.starts_with("/channels/") => channel_webhook::receive(services, peer, request).await,
        path if path.starts_with("/v1/") => endpoints::handle(services, peer, request).await,
        _ => answer::text(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// Is this a read?
fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
