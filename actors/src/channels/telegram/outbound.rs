//! Sends one part. What Telegram would never take in this form is sent once more in another: without marks, to the group's
//! new id, or without its topic.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::render::Part;
use super::settings::{Looks, ReplyTo};
use crate::delivery::machine::Attempt;
use crate::store::outbox::OutboxRow;

/// Forms of one part that are tried: as it is, and after each of the three changes.
const FORMS: usize = 4;
/// How long to wait when Telegram wants us to, and does not say how long.
const WAIT: Duration = Duration::from_secs(5);
/// The topic that a message must not name.
const GENERAL: i64 = 1;

#[derive(Deserialize)]
struct Sent {
    message_id: i64,
}

pub async fn send(api: &Api, row: &OutboxRow, looks: &Looks) -> Attempt {
    let mut form = match Form::new(row, looks) {
        Ok(form) => form,
        Err(error) => return Attempt::Refused { error },
    };
    for _ in 0..FORMS {
        match api.call::<Sent>("sendMessage", &form.request()).await {
            Ok(sent) => {
                return Attempt::Sent { receipt: json!({ "messageId": sent.message_id.to_string() }).to_string() };
            }
            Err(error) if form.change(&error) => {
                tracing::debug!(target: "delivery", id = %row.id, %error, "sent once more in another form");
            }
            Err(error) => return judge(error),
        }
    }
    Attempt::Failed { error: "Telegram wants it in another form each time".to_owned() }
}

/// What follows from an error that no other form helps against.
fn judge(error: ApiError) -> Attempt {
    match error {
        ApiError::Unreachable(error) => Attempt::Failed { error },
        ApiError::Lost(error) => Attempt::Unclear { error },
        ApiError::Refused { code: 429, retry_after, .. } => Attempt::Later { after: retry_after.unwrap_or(WAIT) },
        // What is wrong here is the token or the address, and an operator can put it right.
        error if error.is_final() => Attempt::Failed { error: error.to_string() },
        ApiError::Refused { code: 400 | 403, description, .. } => Attempt::Refused { error: description },
        error @ ApiError::Refused { .. } => Attempt::Failed { error: error.to_string() },
    }
}

/// One way to send a part.
struct Form {
    chat: Value,
    topic: Option<i64>,
    part: Part,
    as_html: bool,
    reply_to: Option<i64>,
    link_preview: bool,
}

impl Form {
    fn new(row: &OutboxRow, looks: &Looks) -> Result<Self, String> {
        let part: Part =
            serde_json::from_str(&row.body).map_err(|error| format!("the part cannot be read: {error}"))?;
        let (chat, topic) = match row.target.split_once(":topic:") {
            Some((chat, topic)) => (chat, Some(topic)),
            None => (row.target.as_str(), row.thread.as_deref()),
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| format!("{text} is no topic of Telegram"));
        // What an operator wants answered is, whatever holds for turns.
        let replies = row.run_id.is_none()
            || match looks.reply_to {
                ReplyTo::Off => false,
                ReplyTo::First => row.id.ends_with(":0"),
                ReplyTo::All => true,
            };
        Ok(Self {
            chat: chat.parse::<i64>().map_or_else(|_| json!(chat), |id| json!(id)),
            topic: topic.map(number).transpose()?.filter(|topic| *topic != GENERAL),
            part,
            as_html: true,
            reply_to: row.reply_to.as_deref().filter(|_| replies).and_then(|id| id.parse().ok()),
            link_preview: looks.link_preview,
        })
    }

    fn request(&self) -> Value {
        let mut request = match self.as_html {
            true => json!({ "chat_id": self.chat, "text": self.part.html, "parse_mode": "HTML" }),
            false => json!({ "chat_id": self.chat, "text": self.part.text }),
        };
        if let Some(topic) = self.topic {
            request["message_thread_id"] = json!(topic);
        }
        if !self.link_preview {
            request["link_preview_options"] = json!({ "is_disabled": true });
        }
        if let Some(message) = self.reply_to {
            request["reply_parameters"] = json!({ "message_id": message, "allow_sending_without_reply": true });
        }
        request
    }

    /// Is there another form that this error does not hold against?
    fn change(&mut self, error: &ApiError) -> bool {
        if self.as_html && error.says("can't parse entities") {
            self.as_html = false;
            return true;
        }
        if self.topic.is_some() && error.says("message thread not found") {
            self.topic = None;
            return true;
        }
        match error {
            ApiError::Refused { migrated_to: Some(id), .. } if self.chat != json!(id) => {
                self.chat = json!(id);
                true
            }
            _ => false,
        }
    }
}

/// A chat as an operator names it: `123`, `@name`, `-100…:topic:42`, with or without `telegram:` before it.
pub fn target(to: &str) -> Result<String, String> {
    let to = to.trim();
    let lower = to.to_lowercase();
    let prefix = ["telegram:", "tg:"].into_iter().find(|prefix| lower.starts_with(prefix)).map_or(0, str::len);
    let bare = to[prefix..].trim();
    let bare = bare.strip_prefix("group:").unwrap_or(bare);
    let (chat, topic) = bare.split_once(":topic:").map_or((bare, None), |(chat, topic)| (chat, Some(topic)));
    let named = chat
        .strip_prefix('@')
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let fits = (named || chat.parse::<i64>().is_ok()) && topic.is_none_or(|topic| topic.parse::<u32>().is_ok());
    match fits {
        true => Ok(bare.to_owned()),
        false => Err(format!("{to} is no chat of Telegram; 123456789, @name and -100123:topic:4 are")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::ChunkMode;
    use super::*;
    use crate::store::outbox::tests::row;

    const LOOKS: Looks = Looks { limit: 4000, mode: ChunkMode::Length, reply_to: ReplyTo::All, link_preview: false };

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/golden/channels/telegram/", $name, ".json"))
        };
    }

    fn part(target: &str) -> OutboxRow {
        let body = json!({ "text": "done", "html": "<b>done</b>" }).to_string();
        OutboxRow { body, reply_to: Some("41".into()), run_id: Some("run".into()), ..row("run:0", target) }
    }

    fn request(row: &OutboxRow, looks: &Looks) -> Value {
        Form::new(row, looks).map(|form| form.request()).unwrap()
    }

    fn refused(code: u16, description: &str) -> ApiError {
        ApiError::Refused { code, description: description.into(), retry_after: None, migrated_to: None }
    }

    #[test]
    fn a_part_is_a_request_as_telegram_knows_it() {
        let expected: Value = serde_json::from_str(golden!("sendMessage.request")).unwrap();
        assert_eq!(request(&part("555000111"), &LOOKS), expected);
        let looks = |reply_to| Looks { reply_to, link_preview: true, ..LOOKS };
        let bare = json!({ "chat_id": 555_000_111, "text": "<b>done</b>", "parse_mode": "HTML" });
        assert_eq!(request(&part("555000111"), &looks(ReplyTo::Off)), bare);
        let second = OutboxRow { id: "run:1".into(), ..part("555000111") };
        assert_eq!(request(&second, &looks(ReplyTo::First)), bare);
        assert_ne!(request(&part("555000111"), &looks(ReplyTo::First)), bare);
        let by_hand = OutboxRow { run_id: None, ..part("555000111") };
        assert_ne!(request(&by_hand, &looks(ReplyTo::Off)), bare);
        for (target, thread, expected) in [
            ("-1002222333344:topic:42", None, Some(42)),
            ("-1002222333344", Some("42"), Some(42)),
            ("-1002222333344:topic:1", None, None),
            ("-1002222333344", None, None),
        ] {
            let row = OutboxRow { thread: thread.map(str::to_owned), ..part(target) };
            let request = request(&row, &LOOKS);
            assert_eq!(request["chat_id"], json!(-1_002_222_333_344_i64));
            assert_eq!(request["message_thread_id"].as_i64(), expected, "{target}");
        }
        assert!(Form::new(&OutboxRow { thread: Some("x".into()), ..part("5") }, &LOOKS).is_err());
    }

    #[test]
    fn what_is_not_taken_in_one_form_is_sent_once_in_each_other_that_helps() {
        let mut form = Form::new(&part("-1:topic:42"), &LOOKS).unwrap();
        assert!(form.change(&refused(400, "Bad Request: can't parse entities: x")));
        assert_eq!((form.request().get("parse_mode"), &form.request()["text"]), (None, &json!("done")));
        assert!(!form.change(&refused(400, "Bad Request: can't parse entities: x")));
        assert!(form.change(&refused(400, "Bad Request: message thread not found")));
        assert_eq!(form.request().get("message_thread_id"), None);
        let moved =
            ApiError::Refused { code: 400, description: String::new(), retry_after: None, migrated_to: Some(-2) };
        assert!(form.change(&moved) && !form.change(&moved));
        assert_eq!(form.request()["chat_id"], json!(-2));
    }

    #[test]
    fn each_error_says_whether_it_may_be_sent_again() {
        let busy = ApiError::Refused {
            code: 429,
            description: String::new(),
            retry_after: Some(Duration::from_secs(3)),
            migrated_to: None,
        };
        assert_eq!(judge(busy), Attempt::Later { after: Duration::from_secs(3) });
        assert!(matches!(judge(ApiError::Unreachable("x".into())), Attempt::Failed { .. }));
        assert!(matches!(judge(ApiError::Lost("x".into())), Attempt::Unclear { .. }));
        for (code, is_for_good) in [(400, true), (403, true), (401, false), (404, false), (409, false)] {
            let attempt = judge(refused(code, "no"));
            assert_eq!(matches!(attempt, Attempt::Refused { .. }), is_for_good, "{code}");
            assert_eq!(matches!(attempt, Attempt::Failed { .. }), !is_for_good, "{code}");
        }
    }

    #[test]
    fn a_chat_is_named_by_number_name_or_topic() {
        for (to, expected) in [
            ("123456789", "123456789"),
            (" telegram:-100123 ", "-100123"),
            ("TG:@Some_name", "@Some_name"),
            ("telegram:group:-100123:topic:42", "-100123:topic:42"),
        ] {
            assert_eq!(target(to).as_deref(), Ok(expected));
        }
        for to in ["", "ada", "@", "@a/b", "-100:topic:x", "12:topic:"] {
            assert!(target(to).is_err(), "{to}");
        }
    }
}
