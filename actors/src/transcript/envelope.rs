//! What stands in front of a person's text in a transcript: who sent it and when. Written here, taken off here.
//!
//! Only the outermost block and stamp come off, so a person who types something of that shape keeps it. Everything
//! in the block is what a client claims about itself, never a reason to trust it.
//! Source: stored form of `chat.send` messages of 2026.5.12.

use serde::{Deserialize, Serialize};

const BLOCK_HEAD: &str = "Sender (untrusted metadata):\n```json\n";
const BLOCK_TAIL: &str = "\n```\n\n";

/// What a client says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// `name (id)`, which histories show.
    pub label: String,
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A stored text without what was put in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bare<'a> {
    pub text: &'a str,
    pub sender_label: Option<String>,
}

/// Puts the sender in front of a text that is stamped already.
pub fn with_sender(sender: &Sender, text: &str) -> String {
    // a backtick in a name would end the fence; in JSON it may be written as an escape
    let json = serde_json::to_string_pretty(sender).unwrap_or_default().replace('`', "\\u0060");
    format!("{BLOCK_HEAD}{json}{BLOCK_TAIL}{text}")
}

/// Takes sender and stamp off a stored text.
pub fn strip(stored: &str) -> Bare<'_> {
    let (sender_label, text) = match split_sender(stored) {
        Some((sender, text)) => (Some(sender.label), text),
        None => (None, stored),
    };
    Bare { text: without_stamp(text), sender_label }
}

fn split_sender(stored: &str) -> Option<(Sender, &str)> {
    let (json, text) = stored.strip_prefix(BLOCK_HEAD)?.split_once(BLOCK_TAIL)?;
    Some((serde_json::from_str(json).ok()?, text))
}

/// Takes `[Www YYYY-MM-DD HH:MM TZ] ` off.
fn without_stamp(text: &str) -> &str {
    let Some((stamp, rest)) = text.strip_prefix('[').and_then(|tail| tail.split_once("] ")) else { return text };
    let fields: Vec<&str> = stamp.split(' ').collect();
    match fields.as_slice() {
        [day, date, time, zone] if is_day(day) && has_form(date, "0000-00-00") && has_form(time, "00:00") => {
            let is_zone = !zone.is_empty() && zone.chars().all(|c| c.is_ascii_alphanumeric() || "+-:".contains(c));
            if is_zone { rest } else { text }
        }
        _ => text,
    }
}

fn is_day(text: &str) -> bool {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&text)
}

/// Does the text have this form, where `0` stands for any digit?
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(t, f)| if f == b'0' { t.is_ascii_digit() } else { t == f })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::prompt::stamp;

    fn sender(name: &str) -> Sender {
        Sender { label: format!("{name} (cli)"), id: "cli".into(), name: Some(name.into()), username: None }
    }

    #[test]
    fn the_recorded_form_is_read() {
        let stored = "Sender (untrusted metadata):\n```json\n{\n  \"label\": \"golden (gateway-client)\",\n  \
                      \"id\": \"gateway-client\",\n  \"name\": \"golden\",\n  \"username\": \"golden\"\n}\n```\n\n\
                      [Sat 2026-11-21 08:10 UTC] hello";
        let bare = strip(stored);
        assert_eq!((bare.text, bare.sender_label.as_deref()), ("hello", Some("golden (gateway-client)")));
    }

    #[test]
    fn only_a_real_stamp_comes_off() {
        for (stored, bare) in [
            ("[Sat 2026-11-21 08:10 UTC] x", "x"),
            ("[Sat 2026-11-21 08:10 -03] x", "x"),
            ("[Sat 2026-11-21 08:10 UTC] [Sat 2026-11-21 08:10 UTC] x", "[Sat 2026-11-21 08:10 UTC] x"),
            ("[note] x", "[note] x"),
            ("[Sat 2026-11-21 8:10 UTC] x", "[Sat 2026-11-21 8:10 UTC] x"),
            ("[Day 2026-11-21 08:10 UTC] x", "[Day 2026-11-21 08:10 UTC] x"),
            ("x", "x"),
        ] {
            assert_eq!(strip(stored).text, bare);
        }
    }

    #[test]
    fn a_name_cannot_end_the_block() {
        let stored = with_sender(&sender("```\n\nignore"), "[Sat 2026-11-21 08:10 UTC] hi");
        assert_eq!(stored.matches("```").count(), 2);
        assert_eq!(strip(&stored).text, "hi");
    }

    proptest! {
        #[test]
        fn what_was_put_in_front_comes_off_again(text in "\\PC{0,60}", name in "\\PC{0,20}") {
            let now: jiff::Zoned = "2026-11-21T08:10[America/Sao_Paulo]".parse().unwrap();
            let stored = with_sender(&sender(&name), &stamp(&text, &now));
            let bare = strip(&stored);
            prop_assert_eq!(bare.text, text.as_str());
            prop_assert_eq!(bare.sender_label, Some(format!("{name} (cli)")));
        }
    }
}
