//! Texts on their way to a chat: Markdown becomes plain text with marked ranges, that is cut into parts, and each adapter
//! writes the parts in its platform's markup. Cut before it is written, no part has a mark that is open.
//!
//! Source: channel specification §7.3.

mod chunk;
mod markdown;

use std::ops::Range;

pub use chunk::{Limit, chunks};

/// Plain text, and what is special about parts of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Styled {
    pub text: String,
    /// Of two that share characters one lies within the other. Byte ranges.
    pub spans: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub range: Range<usize>,
    pub style: Style,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    Bold,
    Italic,
    Strike,
    Spoiler,
    Code,
    Quote,
    /// A block of code, and its language if that is said.
    Fence(Option<String>),
    Link(String),
}

impl Styled {
    pub fn from_markdown(text: &str) -> Self {
        markdown::read(text)
    }

    /// The spans, outer ones first.
    pub fn outer_first(&self) -> Vec<&Span> {
        // Of two with the same characters the outer one was closed last.
        let mut spans: Vec<&Span> = self.spans.iter().rev().collect();
        spans.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
        spans
    }

    /// A piece of it, with what is special about that piece.
    fn piece(&self, range: &Range<usize>) -> Self {
        let clip = |span: &Span| {
            let (start, end) = (span.range.start.max(range.start), span.range.end.min(range.end));
            let style = span.style.clone();
            (start < end).then(|| Span { range: start - range.start..end - range.start, style })
        };
        Self { text: self.text[range.clone()].to_owned(), spans: self.spans.iter().filter_map(clip).collect() }
    }
}

/// Length as most platforms count it: UTF-16 units.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
