//! What Telegram sends, as far as it is read here. Everything is optional that Telegram may leave out, and what is not
//! known is skipped: a kind of update that nobody had heard of must not stop the bot.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The bot that heard something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    pub id: i64,
    #[serde(default)]
    pub username: String,
}

/// A row of the spool: an update as it came, and who heard it.
#[derive(Serialize, Deserialize)]
pub struct Heard<'a> {
    pub bot: Bot,
    #[serde(borrow)]
    pub update: &'a RawValue,
}

/// Of an update of any kind, its number.
#[derive(Debug, Deserialize)]
pub struct Numbered {
    pub update_id: i64,
}

/// Only new messages are read; edits, posts of channels, reactions and the rest are not for us.
#[derive(Debug, Deserialize)]
pub struct Update {
    pub message: Option<Message>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub message_id: i64,
    pub from: Option<User>,
    /// Somebody who writes as a chat: a channel, or a group's anonymous administrator.
    pub sender_chat: Option<Chat>,
    pub chat: Chat,
    pub message_thread_id: Option<i64>,
    pub text: Option<String>,
    pub caption: Option<String>,
    #[serde(default)]
    pub entities: Vec<Entity>,
    #[serde(default)]
    pub caption_entities: Vec<Entity>,
    pub reply_to_message: Option<Box<Message>>,
    pub quote: Option<Quoted>,
    pub location: Option<Location>,
    pub photo: Option<serde::de::IgnoredAny>,
    pub video: Option<serde::de::IgnoredAny>,
    pub video_note: Option<serde::de::IgnoredAny>,
    pub animation: Option<serde::de::IgnoredAny>,
    pub voice: Option<serde::de::IgnoredAny>,
    pub audio: Option<serde::de::IgnoredAny>,
    pub document: Option<serde::de::IgnoredAny>,
    pub sticker: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub struct User {
    pub id: i64,
    #[serde(default)]
    pub is_bot: bool,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
}

#[derive(Debug, Deserialize)]
pub struct Chat {
    pub id: i64,
    /// `private`, `group`, `supergroup`, `channel`
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub is_forum: bool,
}

/// Offset and length count UTF-16 units.
#[derive(Debug, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: String,
    pub offset: usize,
    pub length: usize,
    /// Of `text_mention`.
    pub user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub struct Quoted {
    pub text: String,
}

#[derive(Debug, Deserialize)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
    pub horizontal_accuracy: Option<f64>,
    /// Of one that moves.
    pub live_period: Option<i64>,
}
