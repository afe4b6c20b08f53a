//! `HEARTBEAT.md`: is there anything in it to look after?

/// The file of the workspace.
pub const FILE: &str = "HEARTBEAT.md";

/// Has it nothing but blank lines, headings, empty items and fences? Then a heartbeat would ask for nothing.
pub fn is_empty(text: &str) -> bool {
    text.lines().all(|line| says_nothing(line.trim()))
}

fn says_nothing(line: &str) -> bool {
    let is_heading =
        line.trim_start_matches('#').len() < line.len() && line.trim_start_matches('#').starts_with([' ', '\t']);
    let is_bare_heading = !line.is_empty() && line.chars().all(|c| c == '#');
    let is_fence = line.starts_with("```") || line.starts_with("~~~");
    line.is_empty() || is_heading || is_bare_heading || is_fence || is_empty_item(line)
}

/// `-`, `*`, `+` or `1.`, with or without a box, and nothing behind it.
fn is_empty_item(line: &str) -> bool {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let body = match line.strip_prefix(['-', '*', '+']) {
        Some(body) => body,
        None if digits.len() < line.len() => match digits.strip_prefix(['.', ')']) {
            Some(body) => body,
            None => return false,
        },
        None => return false,
    };
    matches!(body.trim(), "" | "[ ]" | "[x]" | "[X]" | "[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_empty_items_ask_for_nothing() {
        for text in ["", "\n \n", "# Heartbeat\n\n## Tasks\n", "- \n* [ ]\n1.\n+ [x]", "```\n```", "###"] {
            assert!(is_empty(text), "{text:?}");
        }
        for text in
            ["look at the oven", "# Tasks\n- look at the oven", "- [ ] mail", "#hashtag", "1 oven", "-5 degrees"]
        {
            assert!(!is_empty(text), "{text:?}");
        }
    }
}
