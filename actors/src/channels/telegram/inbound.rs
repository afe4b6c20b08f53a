//! What an update says: pure, from a row of the spool to a message.

use serde_json::value::RawValue;

use super::super::channel::{Inbound, Quote, Sender};
use super::super::policy;
use super::mention;
use super::update::{Bot, Chat, Heard, Message, Numbered, Update, User};

/// The topic of a forum that everything without a topic is in.
const GENERAL: i64 = 1;

/// An update as the spool keeps it.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub number: i64,
    pub lane: String,
    pub raw: String,
}

/// The error: it has no number, so it can neither be kept nor confirmed.
pub fn event(bot: &Bot, update: &RawValue) -> Result<Event, String> {
    let Numbered { update_id } = serde_json::from_str(update.get()).map_err(|error| error.to_string())?;
    // One that cannot be read is kept as well, and will say so.
    let read: Option<Update> = serde_json::from_str(update.get()).ok();
    let lane = read.and_then(|update| update.message).map(|message| target(&message));
    let raw = serde_json::to_string(&Heard { bot: bot.clone(), update }).map_err(|error| error.to_string())?;
    Ok(Event { number: update_id, lane: lane.unwrap_or_else(|| "other".to_owned()), raw })
}

/// The message of a row, if it is one for us.
pub fn normalize(raw: &str) -> Result<Option<Inbound>, String> {
    let heard: Heard<'_> = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    let update: Update = serde_json::from_str(heard.update.get()).map_err(|error| error.to_string())?;
    Ok(update.message.and_then(|message| read(message, &heard.bot)))
}

fn read(message: Message, bot: &Bot) -> Option<Inbound> {
    let chat = match message.chat.kind.as_str() {
        "private" => policy::Chat::Direct,
        "group" | "supergroup" => policy::Chat::Group { id: message.chat.id.to_string() },
        _ => return None,
    };
    let sender = sender(&message)?;
    let answered = message.reply_to_message.as_deref().filter(|other| !is_start_of_topic(&message, other));
    let of_bot = |other: &Message| other.from.as_ref().is_some_and(|user| user.id == bot.id);
    let (text, entities) = match &message.text {
        Some(text) => (text.as_str(), &message.entities),
        None => (message.caption.as_deref().unwrap_or_default(), &message.caption_entities),
    };
    let said = mention::read(text, entities, bot);
    if said.for_another {
        return None;
    }
    let quote = answered.map(|other| Quote {
        sender: author(other),
        message_id: other.message_id.to_string(),
        text: message.quote.as_ref().map_or_else(|| body(other), |quote| quote.text.clone()),
    });
    Some(Inbound {
        chat,
        target: target(&message),
        thread: topic(&message).map(|topic| topic.to_string()),
        sender,
        text: if said.text.trim().is_empty() { stand_in(&message) } else { said.text },
        mentioned: said.named || answered.is_some_and(of_bot),
        message_id: message.message_id.to_string(),
        quote,
    })
}

/// Whoever writes as a chat is that chat, and not the stand-in account that Telegram shows for it. Bots are not listened to,
/// this one included.
fn sender(message: &Message) -> Option<Sender> {
    if let Some(chat) = &message.sender_chat {
        return Some(Sender { id: chat.id.to_string(), name: Some(chat.title.clone()) });
    }
    let user = message.from.as_ref().filter(|user| !user.is_bot)?;
    Some(Sender { id: user.id.to_string(), name: Some(name(user)) })
}

fn name(user: &User) -> String {
    format!("{} {}", user.first_name, user.last_name).trim().to_owned()
}

/// Whoever wrote a message that is quoted, bots included.
fn author(message: &Message) -> Sender {
    let by_chat = message.sender_chat.as_ref().map(|chat| (chat.id, chat.title.clone()));
    let by_user = || message.from.as_ref().map(|user| (user.id, name(user)));
    let (id, name) = by_chat.or_else(by_user).unwrap_or((message.chat.id, message.chat.title.clone()));
    Sender { id: id.to_string(), name: Some(name) }
}

/// In a topic every message that answers none seems to answer the one that opened it.
fn is_start_of_topic(message: &Message, answered: &Message) -> bool {
    message.chat.is_forum && message.message_thread_id == Some(answered.message_id)
}

fn topic(message: &Message) -> Option<i64> {
    let Chat { is_forum, .. } = message.chat;
    is_forum.then(|| message.message_thread_id.unwrap_or(GENERAL))
}

/// Where an answer goes: `<chat>` or `<chat>:topic:<id>`.
fn target(message: &Message) -> String {
    match topic(message) {
        Some(topic) => format!("{}:topic:{topic}", message.chat.id),
        None => message.chat.id.to_string(),
    }
}

/// Text, caption, or what stands in for neither.
fn body(message: &Message) -> String {
    let text = message.text.as_deref().or(message.caption.as_deref()).filter(|text| !text.trim().is_empty());
    text.map_or_else(|| stand_in(message), str::to_owned)
}

/// What a message without words is to the agent; empty when there is nothing to say about it.
fn stand_in(message: &Message) -> String {
    if let Some(place) = &message.location {
        let (lat, lon) = (place.latitude, place.longitude);
        let accuracy = place.horizontal_accuracy.map(|metres| format!(" ±{metres:.0}m")).unwrap_or_default();
        let kind = if place.live_period.is_some() { "🛰 Live location:" } else { "📍" };
        return format!("{kind} {lat:.6}, {lon:.6}{accuracy}");
    }
    let kinds = [
        // An animation is a document as well.
        ("video", message.video.is_some() || message.video_note.is_some() || message.animation.is_some()),
        ("image", message.photo.is_some()),
        ("audio", message.voice.is_some() || message.audio.is_some()),
        ("sticker", message.sticker.is_some()),
        ("document", message.document.is_some()),
    ];
    kinds.into_iter().find(|(_, is)| *is).map(|(kind, _)| format!("<media:{kind}>")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use policy::Chat::{Direct, Group};
    use serde_json::{Value, json};

    use super::*;

    fn bot() -> Bot {
        Bot { id: 7_000_000_001, username: "clawd_test_bot".into() }
    }

    fn row(update: &str) -> Event {
        event(&bot(), &RawValue::from_string(update.to_owned()).unwrap()).unwrap()
    }

    fn said(update: &str) -> Option<Inbound> {
        normalize(&row(update).raw).unwrap()
    }

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/golden/channels/telegram/update.", $name, ".json"))
        };
    }

    #[test]
    fn each_kind_of_update_says_what_it_says() {
        let ops = || Group { id: "-1001234567890".into() };
        for (update, chat, target, sender, text, mentioned) in [
            (golden!("dm-text"), Direct, "555000111", "555000111", "hello 你好", false),
            (golden!("dm-command"), Direct, "555000111", "555000111", "/status", false),
            (golden!("group-mention"), ops(), "-1001234567890", "555000111", "disk?", true),
            (golden!("group-plain"), ops(), "-1001234567890", "555000222", "anyone here?", false),
            (golden!("group-reply-to-bot"), ops(), "-1001234567890", "555000222", "and memory?", true),
            (
                golden!("forum-topic"),
                Group { id: "-1002222333344".into() },
                "-1002222333344:topic:42",
                "555000111",
                "topic hi",
                true,
            ),
            (golden!("photo-caption"), Direct, "555000111", "555000111", "what is this?", false),
            (golden!("album-1of2"), Direct, "555000111", "555000111", "two pics", false),
            (golden!("album-2of2"), Direct, "555000111", "555000111", "<media:image>", false),
            (golden!("voice"), Direct, "555000111", "555000111", "<media:audio>", false),
            (golden!("document"), Direct, "555000111", "555000111", "<media:document>", false),
            (golden!("location"), Direct, "555000111", "555000111", "📍 31.230400, 121.473700 ±12m", false),
            (golden!("migrate"), Group { id: "-400123".into() }, "-400123", "555000111", "", false),
        ] {
            let inbound = said(update).unwrap();
            assert_eq!((&inbound.chat, inbound.target.as_str()), (&chat, target), "{update}");
            assert_eq!((inbound.sender.id.as_str(), inbound.text.as_str()), (sender, text), "{update}");
            assert_eq!(inbound.mentioned, mentioned, "{update}");
        }
        assert_eq!(said(golden!("dm-text")).unwrap().sender.label(), "Ann Li");
        assert_eq!(said(golden!("dm-text")).unwrap().message_id, "41");
        assert_eq!(said(golden!("forum-topic")).unwrap().thread.as_deref(), Some("42"));
        let quote = said(golden!("group-reply-to-bot")).unwrap().quote.unwrap();
        assert_eq!((quote.sender.label().as_str(), quote.message_id.as_str()), ("Clawd Test", "1200"));
        assert_eq!(quote.text, "disk", "the part that was marked");
    }

    #[test]
    fn what_is_not_for_us_is_kept_and_says_nothing() {
        for update in [golden!("edited"), golden!("callback-query"), golden!("reaction"), golden!("unknown-kind")] {
            assert_eq!(said(update), None, "{update}");
            assert_eq!(row(update).lane, "other");
        }
        let with = |change: &dyn Fn(&mut Value)| {
            let mut update: Value = serde_json::from_str(golden!("group-mention")).unwrap();
            change(&mut update["message"]);
            said(&update.to_string())
        };
        assert!(with(&|_| {}).is_some());
        assert_eq!(with(&|message| message["from"] = json!({ "id": bot().id, "is_bot": true })), None, "its own words");
        assert_eq!(with(&|message| message["from"]["is_bot"] = json!(true)), None, "bots are not listened to");
        assert_eq!(with(&|message| message["chat"]["type"] = json!("channel")), None);
        let other = |message: &mut Value| {
            message["text"] = json!("/status@other_bot");
            message["entities"] = json!([{ "type": "bot_command", "offset": 0, "length": 17 }]);
        };
        assert_eq!(with(&other), None, "a command for another bot");
    }

    #[test]
    fn whoever_writes_as_a_chat_is_that_chat() {
        let mut update: Value = serde_json::from_str(golden!("group-mention")).unwrap();
        update["message"]["from"] = json!({ "id": 1_087_968_824, "is_bot": true, "first_name": "Group" });
        update["message"]["sender_chat"] =
            json!({ "id": -1_001_234_567_890_i64, "title": "Ops room", "type": "supergroup" });
        let inbound = said(&update.to_string()).unwrap();
        assert_eq!((inbound.sender.id.as_str(), inbound.sender.label().as_str()), ("-1001234567890", "Ops room"));
    }

    #[test]
    fn in_a_forum_the_first_message_of_a_topic_is_not_answered_and_no_topic_is_the_general_one() {
        let mut update: Value = serde_json::from_str(golden!("forum-topic")).unwrap();
        let message = &mut update["message"];
        message["text"] = json!("hi");
        message["entities"] = json!([]);
        let opened_by_bot =
            json!({ "message_id": 42, "from": { "id": bot().id, "is_bot": true }, "chat": message["chat"] });
        message["reply_to_message"] = opened_by_bot;
        let inbound = said(&update.to_string()).unwrap();
        assert!(!inbound.mentioned && inbound.quote.is_none());
        update["message"].as_object_mut().unwrap().remove("message_thread_id");
        let inbound = said(&update.to_string()).unwrap();
        assert!(inbound.mentioned, "now it answers that message");
        assert_eq!((inbound.thread.as_deref(), inbound.target.as_str()), (Some("1"), "-1002222333344:topic:1"));
        update["message"]["chat"]["is_forum"] = json!(false);
        update["message"]["message_thread_id"] = json!(9);
        assert_eq!(said(&update.to_string()).unwrap().target, "-1002222333344", "a thread of answers is no topic");
    }

    #[test]
    fn what_cannot_be_read_is_kept_under_its_number() {
        let Event { number, lane, raw } = row(r#"{"update_id":5,"message":{"message_id":"x"}}"#);
        assert_eq!((number, lane.as_str()), (5, "other"));
        assert!(normalize(&raw).is_err());
        assert!(event(&bot(), &RawValue::from_string(r#"{"message":{}}"#.into()).unwrap()).is_err());
    }
}
