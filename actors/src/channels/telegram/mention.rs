//! Is the bot meant, and what is left of the text when its name is taken out.

use std::ops::Range;

use super::update::{Bot, Entity};

/// A text as the bot reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub text: String,
    /// The text names the bot.
    pub named: bool,
    /// It begins with a command for another bot.
    pub for_another: bool,
}

/// Reads a text with its entities: `@name` of the bot and links to it name it, and so does `/command@name`, of which the
/// command stays.
pub fn read(text: &str, entities: &[Entity], bot: &Bot) -> Read {
    let mut read = Read { text: text.to_owned(), named: false, for_another: false };
    let mut cuts: Vec<Range<usize>> = Vec::new();
    for entity in entities {
        let Some(range) = bytes(text, entity.offset, entity.length) else { continue };
        let part = &text[range.clone()];
        match entity.kind.as_str() {
            "mention" if is_bot(part, bot) => cuts.push(range),
            "text_mention" if entity.user.as_ref().is_some_and(|user| user.id == bot.id) => cuts.push(range),
            "bot_command" => match part.split_once('@') {
                Some((command, _)) if is_bot(&part[command.len()..], bot) => {
                    cuts.push(range.start + command.len()..range.end);
                }
                Some(_) if text[..range.start].trim().is_empty() => read.for_another = true,
                _ => {}
            },
            _ => {}
        }
    }
    read.named = !cuts.is_empty();
    let left = without(text, cuts);
    if !left.is_empty() {
        read.text = left; // who says nothing but the name means that name
    }
    read
}

fn is_bot(name: &str, bot: &Bot) -> bool {
    let name = name.strip_prefix('@').unwrap_or(name);
    !bot.username.is_empty() && name.eq_ignore_ascii_case(&bot.username)
}

/// The bytes of so many UTF-16 units from such an offset. `None`: they do not lie on characters.
fn bytes(text: &str, offset: usize, length: usize) -> Option<Range<usize>> {
    let end = offset.checked_add(length)?;
    let (mut units, mut from) = (0, None);
    for (at, c) in text.char_indices().map(|(at, c)| (at, Some(c))).chain([(text.len(), None)]) {
        if units == offset {
            from = Some(at);
        }
        if units == end {
            return from.map(|from| from..at);
        }
        units += c.map_or(0, char::len_utf16);
    }
    None
}

/// The text without these pieces, and without the space that they leave behind.
fn without(text: &str, mut cuts: Vec<Range<usize>>) -> String {
    cuts.sort_by_key(|cut| cut.start);
    let (mut left, mut at) = (String::new(), 0);
    for cut in cuts {
        if cut.start < at {
            continue; // they overlap
        }
        left.push_str(&text[at..cut.start]);
        at = cut.end;
        if left.is_empty() || left.ends_with(char::is_whitespace) {
            at += text[at..].len() - text[at..].trim_start_matches([' ', ',', ':']).len();
        }
    }
    left.push_str(&text[at..]);
    left.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, entities: serde_json::Value, expected: (&str, bool, bool)) {
        let entities: Vec<Entity> = serde_json::from_value(entities).unwrap();
        let bot = Bot { id: 7, username: "Clawd_bot".into() };
        let read = read(text, &entities, &bot);
        assert_eq!((read.text.as_str(), read.named, read.for_another), expected, "{text}");
    }

    #[test]
    fn the_bot_is_named_by_its_name_by_a_link_or_in_a_command() {
        let one =
            |kind: &str, offset: usize, length: usize| json!([{ "type": kind, "offset": offset, "length": length }]);
        check("@clawd_bot disk?", one("mention", 0, 10), ("disk?", true, false));
        check("hey @clawd_bot, disk?", one("mention", 4, 10), ("hey disk?", true, false));
        check("thanks @clawd_bot", one("mention", 7, 10), ("thanks", true, false));
        check("@clawd_bot", one("mention", 0, 10), ("@clawd_bot", true, false));
        check("@clawd_botany disk?", one("mention", 0, 13), ("@clawd_botany disk?", false, false));
        check("@clawd_bot disk?", json!([]), ("@clawd_bot disk?", false, false));
        check("/status@CLAWD_bot now", one("bot_command", 0, 17), ("/status now", true, false));
        check("/status", one("bot_command", 0, 7), ("/status", false, false));
        check("/status@other_bot", one("bot_command", 0, 17), ("/status@other_bot", false, true));
        check("see /status@other_bot", one("bot_command", 4, 17), ("see /status@other_bot", false, false));
        let link = |id: i64| json!([{ "type": "text_mention", "offset": 0, "length": 5, "user": { "id": id } }]);
        check("Clawd help", link(7), ("help", true, false));
        check("Clawd help", link(8), ("Clawd help", false, false));
    }

    #[test]
    fn offsets_count_utf16_units_and_nonsense_names_nobody() {
        let at = |offset: usize, length: usize| json!([{ "type": "mention", "offset": offset, "length": length }]);
        check("👍👍 @clawd_bot 你好", at(5, 10), ("👍👍 你好", true, false));
        check("👍👍 @clawd_bot 你好", at(3, 10), ("👍👍 @clawd_bot 你好", false, false));
        for (offset, length) in [(1, 1), (usize::MAX, 2), (99, 1), (0, 99)] {
            check("👍 @clawd_bot", at(offset, length), ("👍 @clawd_bot", false, false));
        }
        let twice =
            json!([{ "type": "mention", "offset": 0, "length": 10 }, { "type": "mention", "offset": 0, "length": 10 }]);
        check("@clawd_bot hi", twice, ("hi", true, false));
    }
}
