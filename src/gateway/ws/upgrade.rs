//! The way in: a WebSocket upgrade on any path becomes a visitor of the connections' group.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use openclaw_actors::events::ConnId;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

use super::connection;
use super::talk::Visitor;
use crate::gateway::auth::origin::{self, RequestFacts};
use crate::gateway::services::Services;

/// Does the request ask for a WebSocket?
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// Answers the upgrade and starts the connection, or says why not. The connection's actor completes the upgrade.
pub async fn accept(services: Arc<Services>, peer: SocketAddr, mut request: Request<Body>) -> Response<Body> {
    let version = request.headers().get(header::SEC_WEBSOCKET_VERSION).map(|value| value.as_bytes() == b"13");
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    let (Some(true), Some(key), Some(upgrade)) = (version, key, request.extensions_mut().remove::<OnUpgrade>()) else {
        return text(StatusCode::BAD_REQUEST, "Bad WebSocket upgrade");
    };
    let snapshot = services.config.load();
    let facts = RequestFacts::new(peer.ip(), request.headers(), &snapshot.settings.gateway);
    if let Some(refused) = refuse(&services, &facts) {
        return refused;
    }
    let Some(preauth) = services.preauth.enter(facts.client_ip()) else {
        openclaw_actors::metrics::preauth_rejected("too_many_unauthenticated");
        return text(StatusCode::SERVICE_UNAVAILABLE, "Too many unauthenticated sockets");
    };
    let conn: ConnId = Uuid::new_v4().to_string().into();
    let visitor = Visitor { conn: conn.clone(), upgrade, facts, preauth };
    let connections = services.connections.clone();
    if let Err(error) = connections.start(conn, connection::spawn_fn(services, visitor)).await {
        tracing::warn!(%error, "a connection could not be started");
        return text(StatusCode::SERVICE_UNAVAILABLE, "Gateway websocket handlers unavailable");
    }
    let accept = derive_accept_key(key.as_bytes());
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

/// A browser page whose origin is not allowed does not even get a socket.
fn refuse(services: &Services, facts: &RequestFacts) -> Option<Response<Body>> {
    if services.draining() {
        return Some(text(StatusCode::SERVICE_UNAVAILABLE, "Gateway websocket handlers unavailable"));
    }
    let snapshot = services.config.load();
    if services.clients.len() >= snapshot.settings.gateway.max_connections {
        return Some(text(StatusCode::SERVICE_UNAVAILABLE, "Too many connections"));
    }
    origin::refused_at_upgrade(facts, &snapshot.settings.gateway, services.auth.mode())
        .map(|(status, message)| text(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), message))
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(message));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1")); // a place may be free by then
    }
    response
}
