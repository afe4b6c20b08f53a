//! A text as Telegram shows it: parts in its HTML, each with the plain text that is sent when the HTML is not taken.

use serde::{Deserialize, Serialize};

use super::super::text::{Limit, Span, Style, Styled, chunks, units};
use super::settings::{CHUNK_MAX, ChunkMode, Looks};

/// One part, as the outbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub text: String,
    pub html: String,
}

/// A link leads somewhere if it begins like this.
const SCHEMES: [&str; 4] = ["http://", "https://", "tg://", "mailto:"];

/// Cuts a text into parts. With its marks a part is not longer than Telegram's own limit either.
pub fn parts(markdown: &str, looks: &Looks) -> Vec<Part> {
    let limit = Limit { units: looks.limit, at_paragraphs: looks.mode == ChunkMode::Newline };
    fitting(&Styled::from_markdown(markdown), limit)
}

fn fitting(styled: &Styled, limit: Limit) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in chunks(styled, limit) {
        let html = html(&piece);
        if units(&html) <= CHUNK_MAX || limit.units < 64 {
            parts.push(Part { text: piece.text, html });
        } else {
            parts.extend(fitting(&piece, Limit { units: limit.units / 2, ..limit }));
        }
    }
    parts
}

pub fn html(styled: &Styled) -> String {
    let (mut out, mut at) = (String::new(), 0);
    let mut open: Vec<&Span> = Vec::new();
    for span in styled.outer_first() {
        while let Some(inner) = open.pop_if(|inner| inner.range.end <= span.range.start) {
            escape(&styled.text[at..inner.range.end], &mut out);
            at = inner.range.end;
            out.push_str(closing(&inner.style));
        }
        escape(&styled.text[at..span.range.start], &mut out);
        at = span.range.start;
        out.push_str(&opening(&span.style));
        open.push(span);
    }
    while let Some(inner) = open.pop() {
        escape(&styled.text[at..inner.range.end], &mut out);
        at = inner.range.end;
        out.push_str(closing(&inner.style));
    }
    escape(&styled.text[at..], &mut out);
    out
}

fn leads_somewhere(address: &str) -> bool {
    SCHEMES.iter().any(|scheme| address.starts_with(scheme))
}

fn opening(style: &Style) -> String {
    let attribute = |name: &str, value: &str| {
        let mut safe = String::new();
        escape(value, &mut safe);
        format!("{name}=\"{}\"", safe.replace('"', "&quot;"))
    };
    match style {
        Style::Bold => "<b>".to_owned(),
        Style::Italic => "<i>".to_owned(),
        Style::Strike => "<s>".to_owned(),
        Style::Spoiler => "<tg-spoiler>".to_owned(),
        Style::Code => "<code>".to_owned(),
        Style::Quote => "<blockquote>".to_owned(),
        Style::Fence(None) => "<pre>".to_owned(),
        Style::Fence(Some(language)) => {
            format!("<pre><code {}>", attribute("class", &format!("language-{language}")))
        }
        Style::Link(to) if leads_somewhere(to) => format!("<a {}>", attribute("href", to)),
        Style::Link(_) => String::new(),
    }
}

fn closing(style: &Style) -> &'static str {
    match style {
        Style::Bold => "</b>",
        Style::Italic => "</i>",
        Style::Strike => "</s>",
        Style::Spoiler => "</tg-spoiler>",
        Style::Code => "</code>",
        Style::Quote => "</blockquote>",
        Style::Fence(None) => "</pre>",
        Style::Fence(Some(_)) => "</code></pre>",
        Style::Link(to) if leads_somewhere(to) => "</a>",
        Style::Link(_) => "",
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::ReplyTo;
    use super::*;

    fn looks(limit: usize) -> Looks {
        Looks { limit, mode: ChunkMode::Length, reply_to: ReplyTo::Off, link_preview: true }
    }

    fn htmls(markdown: &str, limit: usize) -> Vec<String> {
        parts(markdown, &looks(limit)).into_iter().map(|part| part.html).collect()
    }

    #[test]
    fn markdown_is_shown_in_the_html_of_telegram() {
        for (markdown, expected) in [
            ("**done**", "<b>done</b>"),
            ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
            ("*a **b** c* ~~d~~", "<i>a <b>b</b> c</i> <s>d</s>"),
            ("`<x>` ||no||", "<code>&lt;x&gt;</code> <tg-spoiler>no</tg-spoiler>"),
            ("```py\nif a < b: pass\n```", "<pre><code class=\"language-py\">if a &lt; b: pass</code></pre>"),
            ("```\nx\n```", "<pre>x</pre>"),
            ("> quoted", "<blockquote>quoted</blockquote>"),
            ("[t](https://e.com/?a=1&b=%22)", "<a href=\"https://e.com/?a=1&amp;b=%22\">t</a>"),
            ("[t](src/x.rs) [j](javascript:x)", "t j"),
            ("# Hi\n- a\n- b", "<b>Hi</b>\n\n• a\n• b"),
        ] {
            assert_eq!(htmls(markdown, 4000), [expected], "{markdown}");
        }
        let part = parts("**a** & b", &looks(4000)).remove(0);
        assert_eq!((part.text.as_str(), part.html.as_str()), ("a & b", "<b>a</b> &amp; b"));
    }

    #[test]
    fn no_mark_is_open_at_the_end_of_a_part() {
        assert_eq!(htmls("**one two**", 4), ["<b>one</b>", "<b>two</b>"]);
        assert_eq!(
            htmls("```js\na\nb\n```", 2),
            ["a", "b"].map(|line| format!("<pre><code class=\"language-js\">{line}</code></pre>"))
        );
        assert!(htmls("", 4).is_empty());
        let many = "& ".repeat(2000);
        let parts = parts(&many, &looks(4000));
        assert!(parts.len() > 1 && parts.iter().all(|part| units(&part.html) <= CHUNK_MAX), "escapes count");
    }

    /// Every mark that is opened is closed, the inner ones first.
    fn is_balanced(html: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1) {
            let Some((tag, _)) = tag.split_once('>') else { return false };
            match tag.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                Some(_) => {}
                None => open.push(tag.split(' ').next().unwrap_or_default()),
            }
        }
        open.is_empty()
    }

    proptest! {
        #[test]
        fn whatever_a_model_writes_is_html_that_telegram_reads(
            text in "([a-z]{0,5}|[ \n]|\\*\\*|\\*|_|~~|`|```\n|\\|\\||\\||> |- |# |<b>|&|\\[a\\]\\(https://e\\.com\\)|1\\. ){0,40}",
            limit in 2usize..60,
        ) {
            for part in parts(&text, &looks(limit)) {
                prop_assert!(is_balanced(&part.html), "{}", part.html);
                prop_assert!(units(&part.text) <= limit);
            }
        }
    }
}
