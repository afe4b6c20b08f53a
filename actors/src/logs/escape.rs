//! Makes text safe to show: no control characters, no terminal sequences, no reordering of what is read, bounded length.
//!
//! Everything that reaches a sink and everything a reader prints passes here, whoever wrote the text.

use std::borrow::Cow;
use std::fmt::Write;

/// Longest text of a client (header, name, method) that one record may carry, characters.
pub const UNTRUSTED_CHARS_MAX: usize = 300;

/// Replaces control, bidirectional and line-separator characters by visible escapes (`\n`, `\x1b`, `\u{202e}`).
///
/// Differs: an escaped backslash is not doubled, so the escape is for eyes and cannot be undone.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(unsafe_to_show) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !unsafe_to_show(c) => out.push(c),
            c if c.is_ascii() => drop(write!(out, "\\x{:02x}", c as u32)), // writing to a string cannot fail
            c => drop(write!(out, "\\u{{{:x}}}", c as u32)),
        }
    }
    Cow::Owned(out)
}

/// Escapes the same characters inside a JSON text, where only string contents can hold them; the value stays the same.
pub fn escape_json_controls(json: String) -> String {
    if !json.contains(unsafe_to_show) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if unsafe_to_show(c) {
            let _ = write!(out, "\\u{:04x}", c as u32); // all of them are in the basic plane
        } else {
            out.push(c);
        }
    }
    out
}

/// Cuts text to `chars_max` characters, the mark `… (<n> more)` included.
pub fn clip(text: &str, chars_max: usize) -> Cow<'_, str> {
    if text.len() <= chars_max {
        return Cow::Borrowed(text);
    }
    let total = text.chars().count();
    if total <= chars_max {
        return Cow::Borrowed(text);
    }
    const MARK_CHARS_MAX: usize = 28;
    let kept = chars_max.saturating_sub(MARK_CHARS_MAX);
    let head: String = text.chars().take(kept).collect();
    Cow::Owned(format!("{head}… ({} more)", total - kept))
}

/// What a record may say of a text that came from a client: escaped and at most [`UNTRUSTED_CHARS_MAX`] characters.
pub fn untrusted(text: &str) -> String {
    // Cut before escaping, so that 15 KB of header cost nothing, and after, since escapes are longer.
    let head = clip(text, UNTRUSTED_CHARS_MAX);
    clip(&escape_controls(&head), UNTRUSTED_CHARS_MAX).into_owned()
}

/// C0, DEL, C1, bidirectional marks and overrides, line and paragraph separators, the byte order mark.
fn unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        for (input, expected) in [
            ("plain ← text", "plain ← text"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred", "\\x1b[31mred"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}\0", "\\x7f\\x00"),
            ("abc\u{202e}fdp", "abc\\u{202e}fdp"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(escape_controls(input), expected);
        }
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({"raw": "a\u{9b}b\u{1b}c\u{202e}\u{7f}"});
        let text = escape_json_controls(value.to_string());
        assert!(!text.contains(unsafe_to_show));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_poisonous_header_shrinks_to_one_short_line() {
        let header = "Mozilla\r\n\u{1b}[2J{\"0\":\"forged\",\"level\":\"fatal\"}\n".repeat(400);
        let shown = untrusted(&header);
        assert!(shown.chars().count() <= UNTRUSTED_CHARS_MAX, "{}", shown.chars().count());
        assert!(!shown.contains(unsafe_to_show));
        assert!(shown.starts_with("Mozilla\\r\\n\\x1b[2J"));
        assert!(shown.ends_with("more)"));
    }

    #[test]
    fn clipping_counts_characters_and_keeps_short_text() {
        assert_eq!(clip("ééé", 3), "ééé");
        let long = "é".repeat(500);
        assert!(clip(&long, 300).chars().count() <= 300);
    }
}
