//! Cuts a text into parts: at a line end, else at a space, else anywhere between two characters as people see them. A block
//! of code is not cut if it fits into a part of its own; one that is cut goes on as a block of code.

use std::ops::Range;

use unicode_segmentation::GraphemeCursor;

use super::{Style, Styled, units};

/// How long a part may be.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// UTF-16 units.
    pub units: usize,
    /// An empty line is looked for before any line end.
    pub at_paragraphs: bool,
}

/// The parts of a text, in order; what is cut away between them is white space.
pub fn chunks(styled: &Styled, limit: Limit) -> Vec<Styled> {
    let text = styled.text.as_str();
    let (mut parts, mut start) = (Vec::new(), 0);
    while start < text.len() {
        let cut = cut(styled, start, limit);
        let end = start + text[start..cut].trim_end().len();
        if end > start {
            parts.push(styled.piece(&(start..end)));
        }
        start = next_start(styled, cut);
    }
    parts
}

/// The next part begins with a line, indented as it is, or with a word.
fn next_start(styled: &Styled, cut: usize) -> usize {
    let rest = &styled.text[cut..];
    let in_code = fence_at(styled, cut).is_some_and(|fence| fence.start < cut);
    let skipped = if in_code { rest.strip_prefix('\n').unwrap_or(rest) } else { rest.trim_start() };
    cut + rest.len() - skipped.len()
}

/// Where the part that begins at `start` ends.
fn cut(styled: &Styled, start: usize, limit: Limit) -> usize {
    let text = styled.text.as_str();
    let Some(end) = hard_end(text, start, limit.units) else { return text.len() };
    if let Some(fence) = fence_at(styled, end).filter(|fence| fence.start > start && fence.start < end) {
        let before = text[start..fence.start].trim_end();
        if !before.is_empty() && units(&text[fence]) <= limit.units {
            return start + before.len();
        }
    }
    let head = &text[start..end];
    let blank = head.rfind("\n\n").filter(|_| limit.at_paragraphs);
    // The limit may fall right before a line end or a space.
    let at_end = text[end..].starts_with(char::is_whitespace).then_some(head.len());
    let line = || if text[end..].starts_with('\n') { at_end } else { head.rfind('\n') };
    let place = blank.or_else(line).or(at_end).or_else(|| last_space(head));
    let place = place.filter(|&place| !head[..place].trim().is_empty());
    place.map_or(end, |place| start + place)
}

/// The last space that is not between parentheses, else the last.
fn last_space(text: &str) -> Option<usize> {
    let (mut depth, mut outside) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && depth == 0 => outside = Some(at),
            _ => {}
        }
    }
    outside.or_else(|| text.rfind(char::is_whitespace))
}

/// As far as the limit goes, whole characters as people see them. `None`: to the end.
fn hard_end(text: &str, start: usize, limit: usize) -> Option<usize> {
    let mut room = limit.max(2); // one character outside the first plane
    let end = text[start..].char_indices().find_map(|(at, c)| match room.checked_sub(c.len_utf16()) {
        Some(left) => {
            room = left;
            None
        }
        None => Some(start + at),
    })?;
    let mut cursor = GraphemeCursor::new(end, text.len(), true);
    if cursor.is_boundary(text, 0) == Ok(true) {
        return Some(end);
    }
    let before = cursor.prev_boundary(text, 0).ok().flatten().filter(|&before| before > start);
    Some(before.unwrap_or(end))
}

/// The block of code that has this byte in it, not as its first one.
fn fence_at(styled: &Styled, at: usize) -> Option<Range<usize>> {
    let fences =
        styled.spans.iter().filter(|span| matches!(span.style, Style::Fence(_))).map(|span| span.range.clone());
    fences.into_iter().find(|range| range.start < at && at < range.end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(markdown: &str, limit: usize) -> Vec<String> {
        let limit = Limit { units: limit, at_paragraphs: false };
        chunks(&Styled::from_markdown(markdown), limit).into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn a_text_is_cut_at_lines_then_words_then_anywhere() {
        for (text, limit, expected) in [
            ("short", 10, vec!["short"]),
            ("one two\nthree four", 12, vec!["one two", "three four"]),
            ("one two three", 8, vec!["one two", "three"]),
            ("one two three", 7, vec!["one two", "three"]),
            ("call (a b c d) now", 12, vec!["call", "(a b c d)", "now"]),
            ("äöüäöüäöü", 4, vec!["äöüä", "öüäö", "ü"]),
            ("👍👍👍", 5, vec!["👍👍", "👍"]),
            ("👩‍👩‍👧👩‍👩‍👧", 9, vec!["👩‍👩‍👧", "👩‍👩‍👧"]),
            ("e\u{301}e\u{301}", 3, vec!["e\u{301}", "e\u{301}"]),
            ("one\n\ntwo", 4, vec!["one", "two"]),
            ("", 4, vec![]),
        ] {
            assert_eq!(texts(text, limit), expected, "{text}");
        }
        let limit = Limit { units: 16, at_paragraphs: true };
        let parts = chunks(&Styled::from_markdown("aaaa\n\nbbbb\ncccc\ndddd"), limit);
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["aaaa", "bbbb\ncccc\ndddd"]);
    }

    #[test]
    fn a_block_of_code_stays_whole_if_it_can_and_goes_on_if_it_cannot() {
        let parts = chunks(
            &Styled::from_markdown("before it\n\n```rust\nlet a;\nlet b;\n```"),
            Limit { units: 20, at_paragraphs: false },
        );
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["before it", "let a;\nlet b;"]);
        let long = Styled::from_markdown("```rust\nlet a;\n  let b;\nlet c;\n```");
        let parts = chunks(&long, Limit { units: 16, at_paragraphs: false });
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["let a;\n  let b;", "let c;"]);
        for part in &parts {
            assert_eq!(part.spans.len(), 1);
            assert_eq!(part.spans[0].style, Style::Fence(Some("rust".into())));
            assert_eq!(part.spans[0].range, 0..part.text.len());
        }
        assert_eq!(texts("```\naaaa\n    bb\n```", 8), ["aaaa", "    bb"], "an indented line stays indented");
    }

    proptest! {
        #[test]
        fn parts_are_within_the_limit_and_lose_nothing_but_space(text in "([a-z(]{0,9}|[ \n]{1,2}|👍|é|```\n|\\*\\*){0,40}", limit in 2usize..40) {
            let styled = Styled::from_markdown(&text);
            let parts = chunks(&styled, Limit { units: limit, at_paragraphs: limit % 2 == 0 });
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let joined: String = parts.iter().map(|part| part.text.as_str()).collect();
            prop_assert_eq!(bare(&joined), bare(&styled.text));
            for part in &parts {
                prop_assert!(units(&part.text) <= limit && !part.text.is_empty());
                prop_assert!(part.spans.iter().all(|span| part.text.get(span.range.clone()).is_some()));
            }
        }
    }
}
