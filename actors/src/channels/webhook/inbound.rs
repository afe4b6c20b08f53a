//! What a front-end posts: `{id, conversation{id, kind}, sender{id, name}, text, mentionsBot?}`.

use serde::Deserialize;

use super::super::channel::{Inbound, Sender};
use super::super::policy::Chat;
use super::ID;
use crate::store::spool::{EventState, SpoolRow};

/// Longest id, characters.
const ID_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    id: String,
    conversation: Conversation,
    sender: From,
    #[serde(default)]
    text: String,
    #[serde(default)]
    mentions_bot: bool,
    #[serde(default)]
    attachments: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Conversation {
    id: String,
    kind: Kind,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Direct,
    Group,
}

#[derive(Deserialize)]
struct From {
    id: String,
    name: Option<String>,
}

fn read(raw: &str) -> Result<Post, String> {
    let post: Post = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    for (name, id) in [("id", &post.id), ("conversation.id", &post.conversation.id), ("sender.id", &post.sender.id)] {
        if id.trim().is_empty() || id.chars().count() > ID_MAX || id.chars().any(char::is_control) {
            return Err(format!("{name} must be 1 to {ID_MAX} characters without control characters"));
        }
    }
    if !post.attachments.is_empty() {
        return Err("attachments are not taken in this release".to_owned());
    }
    Ok(post)
}

/// The row of a post whose signature was checked. The error says what is wrong with it.
pub fn event(account: &str, body: &str, now: i64) -> Result<SpoolRow, String> {
    let post = read(body)?;
    Ok(SpoolRow {
        channel: ID.to_owned(),
        account: account.to_owned(),
        lane: target(&post),
        event_key: post.id,
        raw: body.to_owned(),
        received_at: now,
        state: EventState::Pending,
        attempts: 0,
        outcome: None,
    })
}

/// Where an answer goes: kind and id of the conversation.
fn target(post: &Post) -> String {
    let kind = if post.conversation.kind == Kind::Direct { "direct" } else { "group" };
    format!("{kind}:{}", post.conversation.id)
}

pub fn normalize(raw: &str) -> Result<Inbound, String> {
    let post = read(raw)?;
    Ok(Inbound {
        chat: match post.conversation.kind {
            Kind::Direct => Chat::Direct,
            Kind::Group => Chat::Group { id: post.conversation.id.clone() },
        },
        target: target(&post),
        thread: None,
        sender: Sender { id: post.sender.id, name: post.sender.name },
        text: post.text,
        mentioned: post.mentions_bot,
        message_id: post.id,
        quote: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn post() -> serde_json::Value {
        json!({ "id": "m1", "conversation": { "id": "room", "kind": "group" }, "sender": { "id": "u1", "name": "Ada" },
                "text": "hi", "mentionsBot": true })
    }

    #[test]
    fn a_post_is_an_event_of_its_conversation_under_its_own_id() {
        let row = event("front", &post().to_string(), 5).unwrap();
        assert_eq!((row.event_key.as_str(), row.lane.as_str(), row.received_at), ("m1", "group:room", 5));
        let inbound = normalize(&row.raw).unwrap();
        assert_eq!((inbound.chat, inbound.target.as_str()), (Chat::Group { id: "room".into() }, "group:room"));
        assert_eq!((inbound.sender.label().as_str(), inbound.text.as_str(), inbound.mentioned), ("Ada", "hi", true));
    }

    #[test]
    fn a_post_without_ids_or_with_what_is_not_built_is_refused() {
        for (key, value) in [
            ("id", json!("")),
            ("id", json!("a\nb")),
            ("id", json!("x".repeat(201))),
            ("sender", json!({ "id": " " })),
            ("conversation", json!({ "id": "c", "kind": "channel" })),
            ("attachments", json!([{ "url": "https://example.com/a.png" }])),
        ] {
            let mut post = post();
            post[key] = value;
            assert!(event("front", &post.to_string(), 5).is_err(), "{post}");
        }
    }
}
