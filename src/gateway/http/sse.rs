//! Server-sent events as the OpenAI routes send them: one `data:` line an event, `[DONE]` at the end.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures::Stream;
use serde_json::Value;

/// What ends a stream.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// One event.
pub fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n")) // JSON text has no line breaks
}

/// The answer around a stream of events; each item is written as soon as it is there.
pub fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    use futures::StreamExt;
    let body = Body::from_stream(events.map(Ok::<_, std::convert::Infallible>));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        assert_eq!(event(&json!({"text": "a\nb"})), Bytes::from_static(b"data: {\"text\":\"a\\nb\"}\n\n"));
    }
}
