//! The shapes of HTTP answers, and the headers that each carries.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// A plain text.
pub fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", Body::from(text))
}

/// A JSON document.
pub fn json(status: StatusCode, value: &Value) -> Response<Body> {
    with_type(status, "application/json; charset=utf-8", Body::from(value.to_string()))
}

/// A JSON document that must not be kept by anybody on the way; `HEAD` has no body.
pub fn fresh_json(status: StatusCode, value: &Value, head: bool) -> Response<Body> {
    let mut response = json(status, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

/// An error of the OpenAI-compatible endpoints.
pub fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    json(status, &json!({ "error": { "message": message, "type": kind } }))
}

/// A method that the path does not have.
pub fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What every answer of this port says to browsers.
pub fn with_common_headers(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(self), geolocation=()"),
    );
    response
}

fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
