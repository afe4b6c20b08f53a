//! What a front-end is posted: `{idempotencyKey, conversation{id, kind}, text, attachments, replyTo}`, signed like its own posts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use super::super::account;
use super::settings::Keys;
use super::{ID, signature};
use crate::config::handle::Snapshot;
use crate::delivery::machine::Attempt;
use crate::model::http::{HttpClients, describe};
use crate::run::stream::now_ms;
use crate::store::outbox::OutboxRow;

/// How long a front-end may make us wait.
const PUT_OFF_MAX: Duration = Duration::from_secs(3600);
/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 64 * 1024;
/// How long the rest of an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Cuts a text at the last line end, else the last space, before `limit` characters.
pub fn parts(text: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((end, _)) = rest.char_indices().nth(limit) {
        let head = &rest[..end];
        let cut = head.rfind('\n').or_else(|| head.rfind(' ')).filter(|&cut| cut > 0).unwrap_or(end);
        parts.push(json!({ "text": rest[..cut].trim_end() }).to_string());
        rest = rest[cut..].trim_start_matches([' ', '\n']);
    }
    if !rest.is_empty() {
        parts.push(json!({ "text": rest }).to_string());
    }
    parts
}

/// Posts one part.
pub async fn send(http: HttpClients, snapshot: Arc<Snapshot>, part: OutboxRow) -> Attempt {
    let refused = |error: &str| Attempt::Refused { error: error.to_owned() };
    let Some(keys) = account::resolve::<Keys>(&snapshot, ID, &part.account) else {
        return refused("outbound not configured for channel: webhook");
    };
    let Some(Ok(url)) = keys.callback_url.as_deref().map(reqwest::Url::parse) else {
        return refused("callbackUrl is not a URL");
    };
    let secret = keys.callback_secret.as_ref().or(keys.secret.as_ref());
    let Some(secret) = secret.and_then(|secret| snapshot.secrets.resolve(secret)) else {
        return refused("no callbackSecret and no secret to sign with");
    };
    let body = body(&part);
    let timestamp = (now_ms() / 1000).to_string();
    let signed = signature::sign(secret.trim(), &timestamp, body.as_bytes());
    let client = match http.for_url(&url) {
        Ok(client) => client,
        Err(error) => return Attempt::Failed { error: error.to_string() },
    };
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(signature::TIMESTAMP, timestamp)
        .header(signature::SIGNATURE, signed)
        .body(body);
    match request.send().await {
        Ok(answer) => judge(answer).await,
        Err(error) if error.is_connect() || error.is_builder() => Attempt::Failed { error: describe(error) },
        Err(error) => Attempt::Unclear { error: describe(error) },
    }
}

fn body(part: &OutboxRow) -> String {
    let said: Value = serde_json::from_str(&part.body).unwrap_or_default();
    let (kind, id) = part.target.split_once(':').unwrap_or(("direct", &part.target));
    json!({
        "idempotencyKey": part.id, "conversation": { "id": id, "kind": kind }, "text": said["text"],
        "attachments": [], "replyTo": part.reply_to,
    })
    .to_string()
}

/// At most `ANSWER_MAX` bytes of an answer.
async fn beginning(mut answer: reqwest::Response) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if text.len() + chunk.len() > ANSWER_MAX {
            break;
        }
        text.extend_from_slice(&chunk);
    }
    text
}

async fn judge(answer: reqwest::Response) -> Attempt {
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
    if status.is_success() {
        // It has been taken, whatever else is said and however long that takes.
        let text = tokio::time::timeout(ANSWER_LIMIT, beginning(answer)).await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&text).unwrap_or_default();
        return Attempt::Sent { receipt: json!({ "messageId": said["id"] }).to_string() };
    }
    match (status, wait) {
        (StatusCode::GONE, _) => {
            Attempt::Refused { error: "the front-end answered 410: it does not want this".to_owned() }
        }
        (StatusCode::TOO_MANY_REQUESTS, wait) => {
            Attempt::Later { after: Duration::from_secs(wait.unwrap_or(1)).min(PUT_OFF_MAX) }
        }
        // What stands between us may have lost the answer of a front-end that took it.
        (status, _) if status.is_server_error() => {
            Attempt::Unclear { error: format!("the front-end answered {status}") }
        }
        _ => Attempt::Failed { error: format!("the front-end answered {status}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, limit: usize) -> Vec<String> {
        let read = |part: String| serde_json::from_str::<Value>(&part).unwrap()["text"].as_str().unwrap().to_owned();
        parts(text, limit).into_iter().map(read).collect()
    }

    #[test]
    fn a_long_text_is_cut_at_lines_then_words_then_anywhere() {
        assert_eq!(texts("short", 10), ["short"]);
        assert_eq!(texts("one two\nthree four", 12), ["one two", "three four"]);
        assert_eq!(texts("one two three", 8), ["one two", "three"]);
        assert_eq!(texts("äöüäöüäöü", 4), ["äöüä", "öüäö", "ü"]);
        assert_eq!(texts("", 4), Vec::<String>::new());
    }

    #[test]
    fn a_post_names_its_part_and_its_conversation() {
        let part = OutboxRow {
            body: json!({ "text": "hi" }).to_string(),
            reply_to: Some("m1".into()),
            ..crate::store::outbox::tests::row("run:0", "group:a:b")
        };
        let body: Value = serde_json::from_str(&body(&part)).unwrap();
        let expected = json!({ "idempotencyKey": "run:0", "conversation": { "id": "a:b", "kind": "group" }, "text": "hi",
                               "attachments": [], "replyTo": "m1" });
        assert_eq!(body, expected);
    }
}
