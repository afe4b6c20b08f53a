//! What a tool call comes to, in the texts that models know.
//!
//! Differs: failures carry `isError: true`; 2026.5.12 leaves it false. Source: tool results of 2026.5.12.

use serde_json::{Value, json};

use crate::model::message::Part;

/// The result of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutcome {
    /// Text and images for the model.
    pub content: Vec<Part>,
    /// For clients; the model does not see it.
    pub details: Option<Value>,
    pub is_error: bool,
}

impl ToolOutcome {
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Part::text(text)], details: None, is_error: false }
    }

    /// A result that is data: the model reads it as JSON text, clients as details.
    pub fn json(value: Value) -> Self {
        Self { content: vec![Part::text(value.to_string())], details: Some(value), is_error: false }
    }

    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The tool ran and failed. `error` must hold no secret.
    pub fn error(tool: &str, error: impl Into<String>) -> Self {
        let details = json!({"status": "error", "tool": tool, "error": error.into()});
        Self { is_error: true, ..Self::json(details) }
    }

    pub fn not_found(tool: &str) -> Self {
        Self { is_error: true, ..Self::text(format!("Tool {tool} not found")) }
    }

    /// The arguments did not fit; `text` says how.
    pub fn invalid(text: String) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// The result with its texts cut to `chars_max` characters together.
    pub fn limited(mut self, chars_max: usize) -> Self {
        let mut left = chars_max;
        for part in &mut self.content {
            if let Part::Text { text } = part {
                *text = truncate(text, left);
                left = left.saturating_sub(text.chars().count());
            }
        }
        self
    }
}

/// Cuts a text to `chars_max` characters, of which the last say how many are missing.
///
/// The note is never cut, so a budget smaller than the note is exceeded by it. Ends at a line's end when one is near.
pub fn truncate(text: &str, chars_max: usize) -> String {
    let total = text.chars().count();
    if total <= chars_max {
        return text.to_owned();
    }
    let note = |missing: usize| format!("[... {missing} more characters truncated]");
    let budget = chars_max.saturating_sub(note(total).len() + 1);
    let head: String = text.chars().take(budget).collect();
    let head = match head.rfind('\n') {
        Some(end) if end > head.len() * 7 / 10 => &head[..end],
        _ => head.as_str(),
    };
    let note = note(total - head.chars().count());
    if head.is_empty() { note } else { format!("{head}\n{note}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failure_is_told_as_data() {
        let outcome = ToolOutcome::error("read", "no such file");
        assert_eq!(outcome.content[0].as_text(), Some(r#"{"status":"error","tool":"read","error":"no such file"}"#));
        assert_eq!(outcome.details.unwrap()["tool"], "read");
        assert!(outcome.is_error);
    }

    #[test]
    fn a_long_text_keeps_its_head_and_says_what_is_missing() {
        assert_eq!(truncate("short", 5), "short");
        let cut = truncate(&"x".repeat(1000), 100);
        assert_eq!(cut, format!("{}\n[... 937 more characters truncated]", "x".repeat(63)));
        let lines = truncate(&"0123456789\n".repeat(100), 100);
        assert!(lines.starts_with("0123456789\n") && lines.contains("9\n[... "), "{lines}");
    }

    #[test]
    fn several_texts_share_one_budget() {
        let parts = vec![Part::text("a".repeat(80)), Part::text("b".repeat(80)), Part::text("c")];
        let outcome = ToolOutcome { content: parts, details: None, is_error: false }.limited(130);
        let texts: Vec<&str> = outcome.content.iter().filter_map(Part::as_text).collect();
        assert_eq!(texts[0].len(), 80);
        assert!(texts[1].starts_with('b') && texts[1].len() <= 50, "{texts:?}");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_counts_right(text in "[a-zä\n]{0,300}", max in 60usize..200) {
            let cut = truncate(&text, max);
            prop_assert!(cut.chars().count() <= max);
            if text.chars().count() > max {
                let (head, note) = cut.rsplit_once("[... ").unwrap();
                let missing: usize = note.split(' ').next().unwrap().parse().unwrap();
                prop_assert_eq!(head.strip_suffix('\n').unwrap().chars().count() + missing, text.chars().count());
            }
        }
    }
}
