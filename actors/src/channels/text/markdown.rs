//! Markdown as models write it, read into plain text with marked ranges.
//!
//! Tables become blocks of code, headings bold lines, bullets dots; what is no Markdown stays as it is.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::{Span, Style, Styled};

const SPOILER: &str = "||";

pub fn read(text: &str) -> Styled {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    let mut reader = Reader::default();
    for event in TextMergeStream::new(Parser::new_ext(text, options)) {
        reader.take(event);
    }
    let mut out = reader.out;
    let length = out.text.trim_end().len();
    out.text.truncate(length);
    for span in &mut out.spans {
        span.range.end = span.range.end.min(length);
    }
    out.spans.retain(|span| span.range.start < span.range.end);
    out
}

#[derive(Default)]
struct Reader {
    out: Styled,
    /// Line ends that are due before the next character.
    gap: usize,
    /// Marks that are open: where they began, and what they will be.
    open: Vec<(usize, Option<Style>)>,
    /// Lists that are open: the next number, or `None` in one with dots.
    lists: Vec<Option<u64>>,
    /// The last that was written is the sign of a list: what comes stands behind it.
    after_sign: bool,
    /// Cells of the table that is open, by row.
    table: Option<Vec<Vec<String>>>,
    /// Where a spoiler may have begun, and how many marks were open there.
    spoiler: Option<(usize, usize)>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code() => self.push(&text),
            Event::Text(text) => self.prose(&text),
            Event::Code(text) => {
                self.begin(Some(Style::Code));
                self.push(&text);
                self.close();
            }
            Event::Html(text) | Event::InlineHtml(text) => self.push(&text),
            Event::SoftBreak | Event::HardBreak => self.push("\n"),
            Event::Rule => {
                self.block();
                self.push("———");
                self.block();
            }
            // Of extensions that are not switched on.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.push(&text),
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => self.open_block(Some(Style::Bold)),
            Tag::CodeBlock(kind) => self.open_block(Some(Style::Fence(language(&kind)))),
            Tag::BlockQuote(_) => {
                // Platforms know no quote within a quote.
                let is_quoted = self.open.iter().any(|(_, style)| *style == Some(Style::Quote));
                self.open_block((!is_quoted).then_some(Style::Quote));
            }
            Tag::Paragraph | Tag::HtmlBlock => self.block(),
            Tag::List(first) => {
                self.block();
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Emphasis => self.begin(Some(Style::Italic)),
            Tag::Strong => self.begin(Some(Style::Bold)),
            Tag::Strikethrough => self.begin(Some(Style::Strike)),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.begin(Some(Style::Link(dest_url.into_string())));
            }
            Tag::Table(_) => self.table = Some(Vec::new()),
            Tag::TableHead | Tag::TableRow => self.table.iter_mut().for_each(|rows| rows.push(Vec::new())),
            Tag::TableCell => {
                self.table.iter_mut().filter_map(|rows| rows.last_mut()).for_each(|row| row.push(String::new()));
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::BlockQuote(_) => {
                self.close();
                self.block();
            }
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.block(),
            TagEnd::List(_) => {
                self.lists.pop();
                self.block();
            }
            TagEnd::Item => self.gap = self.gap.max(1),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image => self.close(),
            TagEnd::Table => self.end_table(),
            _ => {}
        }
    }

    /// What comes next stands by itself: after an empty line, in a list on a line of its own.
    fn block(&mut self) {
        self.spoiler = None;
        if !self.out.text.is_empty() && !self.after_sign {
            self.gap = self.gap.max(if self.lists.is_empty() { 2 } else { 1 });
        }
    }

    fn open_block(&mut self, style: Option<Style>) {
        self.block();
        self.begin(style);
    }

    fn item(&mut self) {
        if !self.out.text.is_empty() {
            self.gap = self.gap.max(1);
        }
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let sign = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}.", *number - 1)
            }
            _ => "•".to_owned(),
        };
        self.push(&format!("{indent}{sign} "));
        self.after_sign = true;
    }

    fn begin(&mut self, style: Option<Style>) {
        if self.table.is_none() {
            self.fill_gap();
        }
        self.open.push((self.out.text.len(), style));
    }

    fn close(&mut self) {
        let Some((start, style)) = self.open.pop() else { return };
        self.spoiler = self.spoiler.take_if(|(_, depth)| *depth <= self.open.len());
        if self.table.is_some() {
            return; // a block of code has no marks
        }
        if matches!(style, Some(Style::Fence(_))) {
            // Its last line end is not part of a block of code.
            let end = self.out.text.trim_end_matches('\n').len();
            self.out.text.truncate(end.max(start));
        }
        let end = self.out.text.len();
        if let Some(style) = style {
            self.out.spans.push(Span { range: start..end, style });
        }
    }

    fn in_code(&self) -> bool {
        self.table.is_some() || self.open.iter().any(|(_, style)| matches!(style, Some(Style::Fence(_))))
    }

    fn fill_gap(&mut self) {
        let text = &mut self.out.text;
        let there = text.len() - text.trim_end_matches('\n').len();
        let missing = std::mem::take(&mut self.gap).saturating_sub(there);
        text.push_str(&"\n".repeat(missing));
    }

    fn push(&mut self, text: &str) {
        if let Some(cell) = self.table.as_mut().and_then(|rows| rows.last_mut()?.last_mut()) {
            return cell.push_str(text);
        }
        if !text.is_empty() {
            self.fill_gap();
            self.after_sign = false;
            self.out.text.push_str(text);
        }
    }

    /// Text between marks, in which two bars begin and end a spoiler.
    fn prose(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(SPOILER) {
            self.push(&rest[..at]);
            rest = &rest[at + SPOILER.len()..];
            match self.spoiler.take() {
                Some((start, depth)) if depth == self.open.len() && self.out.text.len() > start + SPOILER.len() => {
                    self.hide(start);
                }
                _ => {
                    self.push(SPOILER);
                    self.spoiler = Some((self.out.text.len() - SPOILER.len(), self.open.len()));
                }
            }
        }
        self.push(rest);
    }

    /// Everything since `start`, where the bars are, is a spoiler; the bars go.
    fn hide(&mut self, start: usize) {
        self.out.text.replace_range(start..start + SPOILER.len(), "");
        for span in self.out.spans.iter_mut().filter(|span| span.range.start > start) {
            span.range = span.range.start - SPOILER.len()..span.range.end - SPOILER.len();
        }
        self.out.spans.push(Span { range: start..self.out.text.len(), style: Style::Spoiler });
    }

    fn end_table(&mut self) {
        let Some(rows) = self.table.take() else { return };
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cell = |(text, width): (&String, &usize)| format!("{text}{}", " ".repeat(width - text.chars().count()));
            let cells: Vec<String> = row.iter().zip(&widths).map(cell).collect();
            cells.join(" | ").trim_end().to_owned()
        };
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        if lines.len() > 1 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            lines.insert(1, rule.join("-|-"));
        }
        self.open_block(Some(Style::Fence(None)));
        self.push(&lines.join("\n"));
        self.close();
        self.block();
    }
}

fn language(kind: &CodeBlockKind<'_>) -> Option<String> {
    let CodeBlockKind::Fenced(info) = kind else { return None };
    info.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The marks as letters around what they mark.
    fn shown(markdown: &str) -> String {
        let styled = read(markdown);
        let mut marks: Vec<(usize, bool, usize, String)> = Vec::new();
        for (number, span) in styled.outer_first().into_iter().enumerate() {
            let name = match &span.style {
                Style::Bold => "b".to_owned(),
                Style::Italic => "i".to_owned(),
                Style::Strike => "s".to_owned(),
                Style::Spoiler => "hide".to_owned(),
                Style::Code => "code".to_owned(),
                Style::Quote => "quote".to_owned(),
                Style::Fence(language) => format!("pre {}", language.as_deref().unwrap_or_default()).trim().to_owned(),
                Style::Link(to) => format!("a {to}"),
            };
            marks.push((span.range.start, true, number, format!("<{name}>")));
            marks.push((span.range.end, false, usize::MAX - number, "</>".to_owned()));
        }
        marks.sort();
        let (mut shown, mut at) = (String::new(), 0);
        for (place, _, _, mark) in marks {
            shown.push_str(&styled.text[at..place]);
            shown.push_str(&mark);
            at = place;
        }
        shown + &styled.text[at..]
    }

    #[test]
    fn marks_within_a_line() {
        for (markdown, expected) in [
            ("plain < & > text", "plain < & > text"),
            ("**bold** and __bold__", "<b>bold</> and <b>bold</>"),
            ("*it* _it_ ~~no~~", "<i>it</> <i>it</> <s>no</>"),
            ("**a *b* c**", "<b>a <i>b</> c</>"),
            ("`x < y` **`z`**", "<code>x < y</> <b><code>z</></>"),
            ("[a *b*](https://example.com/?q=1&r)", "<a https://example.com/?q=1&r>a <i>b</></>"),
            ("![alt](https://example.com/a.png)", "<a https://example.com/a.png>alt</>"),
            ("||secret **part**|| open", "<hide>secret <b>part</></> open"),
            ("a || b, and `||` too", "a || b, and <code>||</> too"),
            ("**a || b** c ||", "<b>a || b</> c ||"),
            ("snake_case and 2*3*4", "snake_case and 2<i>3</>4"),
            ("Vec<u8> stays", "Vec<u8> stays"),
        ] {
            assert_eq!(shown(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn blocks_stand_apart() {
        for (markdown, expected) in [
            ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
            ("# Title\ntext", "<b>Title</>\n\ntext"),
            ("- a\n- b\n  - c\n\nend", "• a\n• b\n  • c\n\nend"),
            ("3. c\n4. d", "3. c\n4. d"),
            ("- a\n\n- b", "• a\n• b"),
            ("```rust\nlet x = 1;\n\nlet y;\n```\nafter", "<pre rust>let x = 1;\n\nlet y;</>\n\nafter"),
            ("text\n\n    indented\n", "text\n\n<pre>indented</>"),
            ("> a\n> > b\n\nc", "<quote>a\n\nb</>\n\nc"),
            ("a\n\n---\n\nb", "a\n\n———\n\nb"),
            ("| a | bb |\n|---|---|\n| ccc | **d** |", "<pre>a   | bb\n----|---\nccc | d</>"),
            ("- a\n  ```\n  x\n  ```\n- b", "• a\n<pre>x</>\n• b"),
            ("", ""),
        ] {
            assert_eq!(shown(markdown), expected, "{markdown}");
        }
    }
}
