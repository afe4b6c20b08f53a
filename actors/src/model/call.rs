//! One HTTP request to a model: headers, status, and the bytes of the answer.
//!
//! Invariant: what an error says contains neither the key nor the value of a configured header.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::fmt::rfc2822;
use reqwest::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::Value;

use super::decode::{Decoder, decode, error_of};
use super::error::ModelError;
use super::http::{HttpClients, describe, endpoint};
use super::provider::{ModelStream, Target};

/// Longest text of a refusal that is kept, bytes.
const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// Longest wait for the text of a refusal.
const REFUSAL_WAIT: Duration = Duration::from_secs(5);
/// A configured value shorter than this is no secret, and blanking it would garble the text.
const SECRET_LEN_MIN: usize = 6;

/// What one wire needs on the way.
pub struct Call<'a> {
    /// After the base URL, such as `/chat/completions`.
    pub path: &'a str,
    /// Header that takes the key, unless the target wants a bearer token.
    pub key_header: Option<&'static str>,
    /// The wire's own headers; configured ones win over them.
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Value,
}

/// Sends the request and answers with its deltas. Waits at most `target.idle` for the head of the answer.
pub async fn stream<D: Decoder>(
    clients: &HttpClients,
    target: &Target,
    call: Call<'_>,
    decoder: D,
) -> Result<ModelStream, ModelError> {
    let bytes = open(clients, target, call).await?;
    Ok(decode(bytes, decoder, target.idle).boxed())
}

async fn open(
    clients: &HttpClients,
    target: &Target,
    call: Call<'_>,
) -> Result<BoxStream<'static, Result<Bytes, ModelError>>, ModelError> {
    let url = endpoint(&target.base_url, call.path)?;
    let client = clients.for_url(&url)?;
    let headers = headers(target, &call)?;
    let sent = client.post(url).headers(headers).body(call.body.to_string()).send();
    let response = tokio::time::timeout(target.idle, sent).await.map_err(|_| ModelError::Idle(target.idle))?;
    let response = response.map_err(failure)?;
    if !response.status().is_success() {
        return Err(refusal(response, target).await);
    }
    if is_plain_json(response.headers()) {
        return Err(not_a_stream(&text_of(response, target).await));
    }
    Ok(response.bytes_stream().map(|chunk| chunk.map_err(failure)).boxed())
}

fn failure(error: reqwest::Error) -> ModelError {
    if error.is_builder() { ModelError::Unusable(describe(error)) } else { ModelError::Network(describe(error)) }
}

fn headers(target: &Target, call: &Call<'_>) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    for (name, value) in call.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(key) = &target.api_key {
        match call.key_header {
            Some(name) if !target.auth_header => {
                headers.insert(HeaderName::from_static(name), secret(target, name, key)?)
            }
            _ => headers.insert(AUTHORIZATION, secret(target, "authorization", &format!("Bearer {key}"))?),
        };
    }
    for (name, value) in &target.headers {
        let invalid = |_| ModelError::Unusable(format!("provider {}: `{name}` is not a header name", target.provider));
        headers.insert(name.parse::<HeaderName>().map_err(invalid)?, secret(target, name, value)?);
    }
    Ok(headers)
}

fn secret(target: &Target, name: &str, value: &str) -> Result<HeaderValue, ModelError> {
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
        ModelError::Unusable(format!("provider {}: the value of `{name}` cannot be sent as a header", target.provider))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn refusal(response: Response, target: &Target) -> ModelError {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    ModelError::Status { status, body: text_of(response, target).await, retry_after }
}

/// The start of a body as text, without secrets. What does not come in time is left out.
async fn text_of(mut response: Response, target: &Target) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            // twice the cap, so that a key which straddles it is seen whole
            if body.len() >= 2 * REFUSAL_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(REFUSAL_WAIT, read).await; // a part of the text is better than none
    let text = without_secrets(&String::from_utf8_lossy(&body), target);
    let end = text.floor_char_boundary(REFUSAL_BYTES_MAX.min(text.len()));
    text[..end].trim().to_owned()
}

fn without_secrets(text: &str, target: &Target) -> String {
    let secrets = target.api_key.iter().chain(target.headers.values()).map(|value| value.trim());
    secrets
        .filter(|value| value.len() >= SECRET_LEN_MIN)
        .fold(text.to_owned(), |text, value| text.replace(value, "***"))
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date. A date is measured against the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
    if let Some(millis) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(millis / 1_000.0).ok();
    }
    if let Some(seconds) = number(RETRY_AFTER.as_str()) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = rfc2822::parse(text(RETRY_AFTER.as_str())?).ok()?;
    let now = rfc2822::parse(text(DATE.as_str())?).ok()?;
    Some(Duration::try_from(until.timestamp().duration_since(now.timestamp())).unwrap_or(Duration::ZERO))
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A success that is one JSON document: an error in disguise, or a server that cannot stream.
fn not_a_stream(text: &str) -> ModelError {
    match serde_json::from_str::<Value>(text) {
        Ok(body) if !body["error"].is_null() => error_of(&body["error"]),
        _ => ModelError::Malformed("expected an event stream, got one JSON document".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::target;

    fn wish(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn the_wish_of_the_server_comes_in_four_spellings() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        for (headers, expected) in [
            (vec![], None),
            (vec![("retry-after", "7")], Some(Duration::from_secs(7))),
            (vec![("retry-after", "1.5")], Some(Duration::from_millis(1_500))),
            (vec![("retry-after-ms", "250"), ("retry-after", "7")], Some(Duration::from_millis(250))),
            (vec![("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), date], Some(Duration::from_secs(30))),
            (vec![("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), date], Some(Duration::ZERO)),
            (vec![("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "-3")], None),
        ] {
            assert_eq!(wish(&headers), expected, "{headers:?}");
        }
    }

    fn call(key_header: Option<&'static str>) -> Call<'static> {
        Call { path: "/x", key_header, headers: &[("x-version", "1")], body: Value::Null }
    }

    #[test]
    fn the_key_goes_where_the_wire_or_the_configuration_wants_it() {
        let mut target = target("wire");
        let sent = headers(&target, &call(None)).unwrap();
        assert_eq!(sent["authorization"], "Bearer key-123");
        let sent = headers(&target, &call(Some("x-api-key"))).unwrap();
        assert_eq!((&sent["x-api-key"], sent.get("authorization")), (&HeaderValue::from_static("key-123"), None));
        target.auth_header = true;
        let sent = headers(&target, &call(Some("x-api-key"))).unwrap();
        assert_eq!(
            (&sent["authorization"], sent.get("x-api-key")),
            (&HeaderValue::from_static("Bearer key-123"), None)
        );
        assert!(!format!("{sent:?}").contains("key-123"));
    }

    #[test]
    fn a_configured_header_wins_and_a_bad_one_is_named_without_its_value() {
        let mut target = target("wire");
        target.headers.insert("X-Version".into(), "2".into());
        assert_eq!(headers(&target, &call(None)).unwrap()["x-version"], "2");
        target.headers.insert("x-bad".into(), "line\nbreak".into());
        let error = headers(&target, &call(None)).unwrap_err().to_string();
        assert_eq!(error, "provider acme: the value of `x-bad` cannot be sent as a header");
    }

    #[test]
    fn secrets_are_blanked_out_of_a_refusal() {
        let mut target = target("wire");
        target.headers.insert("x-token".into(), "tok-456".into());
        assert_eq!(without_secrets("bad key-123, tok-456", &target), "bad ***, ***");
    }

    #[test]
    fn one_json_document_is_an_error_in_disguise_or_no_stream() {
        let refused = not_a_stream(r#"{"error":{"type":"overloaded_error","message":"busy"}}"#);
        assert_eq!(refused, ModelError::InStream { kind: "overloaded_error".into(), message: "busy".into() });
        assert!(matches!(not_a_stream(r#"{"choices":[]}"#), ModelError::Malformed(_)));
    }
}
