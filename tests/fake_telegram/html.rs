//! The HTML that Telegram reads: a few tags, each closed, the inner ones first.

const TAGS: [&str; 9] = ["b", "i", "s", "u", "code", "pre", "a", "blockquote", "tg-spoiler"];

/// The text without its tags, or what is wrong with them.
pub fn plain(html: &str) -> Result<String, String> {
    let (mut text, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = tag.split_once('>').ok_or("Unclosed start tag")?;
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        if !TAGS.contains(&name) {
            return Err(format!("Unsupported start tag \"{name}\" at byte offset {}", html.len() - rest.len()));
        }
        match tag.starts_with('/') {
            false => open.push(name),
            true if open.pop() == Some(name) => {}
            true => return Err(format!("Unmatched end tag at byte offset {}", html.len() - rest.len())),
        }
        rest = after;
    }
    text.push_str(rest);
    match open.pop() {
        Some(name) => Err(format!("Can't find end tag corresponding to start tag \"{name}\"")),
        None => Ok(text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")),
    }
}
