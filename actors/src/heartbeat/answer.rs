//! What the answer to a heartbeat means: that all is well, or something that a person should hear.

/// The word for "nothing needs attention".
pub const TOKEN: &str = "HEARTBEAT_OK";
/// Characters that are no letters and may stand behind the token.
const TAIL_MAX: usize = 4;

/// What an agent answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The token, with nothing beside it that is worth a message.
    Ok,
    /// Nothing at all.
    Empty,
    /// Something to be said, without the token.
    Alert(String),
}

/// Beside the token up to `ack_max` characters are no alert.
pub fn read(answer: &str, ack_max: usize) -> Answer {
    let text = without_wrappers(answer);
    if text.is_empty() {
        return Answer::Empty;
    }
    match without_token(&text) {
        Some(rest) if rest.chars().count() <= ack_max => Answer::Ok,
        Some(rest) => Answer::Alert(rest),
        None => Answer::Alert(answer.trim().to_owned()),
    }
}

/// The text without the token at its start and at its end; `None` when there is none. In the middle it is text.
fn without_token(text: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text.trim();
    let mut found = false;
    if let Some(after) = rest.strip_prefix(TOKEN).filter(|after| !after.starts_with(is_word)) {
        (rest, found) = (after.trim_start_matches(|c: char| !is_word(c)), true);
    }
    let body = rest.trim_end_matches(|c: char| !is_word(c));
    let tail = rest[body.len()..].chars().count();
    if tail <= TAIL_MAX
        && let Some(before) = body.strip_suffix(TOKEN).filter(|before| !before.ends_with(is_word))
    {
        (rest, found) = (before, true);
    }
    found.then(|| rest.trim().to_owned())
}

/// The text without tags and without the marks that make the whole of it bold, slanted or code.
fn without_wrappers(answer: &str) -> String {
    let mut text = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(open) = rest.find('<') {
        let tag = rest[open..].find('>').map(|close| open + close);
        let is_tag = rest[open + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        let Some(close) = tag.filter(|_| is_tag) else {
            text.push_str(&rest[..=open]);
            rest = &rest[open + 1..];
            continue;
        };
        text.push_str(&rest[..open]);
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    let text = text.replace("&nbsp;", " ");
    text.trim().trim_matches(|c| "*`~_".contains(c)).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(text: &str) -> Answer {
        Answer::Alert(text.to_owned())
    }

    #[test]
    fn the_token_at_either_end_with_little_beside_it_is_no_alert() {
        for (text, expected) in [
            ("HEARTBEAT_OK", Answer::Ok),
            ("  HEARTBEAT_OK.\n", Answer::Ok),
            ("HEARTBEAT_OK!!!!", Answer::Ok),
            ("**HEARTBEAT_OK**", Answer::Ok),
            ("`HEARTBEAT_OK`", Answer::Ok),
            ("<b>HEARTBEAT_OK</b>&nbsp;", Answer::Ok),
            ("HEARTBEAT_OK all is well", Answer::Ok),
            ("all is well. HEARTBEAT_OK", Answer::Ok),
            ("all is well. HEARTBEAT_OK :-) 1", alert("all is well. HEARTBEAT_OK :-) 1")),
            ("I say HEARTBEAT_OK when nothing is up", alert("I say HEARTBEAT_OK when nothing is up")),
            ("HEARTBEAT_OKAY", alert("HEARTBEAT_OKAY")),
            ("NOT_HEARTBEAT_OK", alert("NOT_HEARTBEAT_OK")),
            ("The oven is on", alert("The oven is on")),
            ("1 < 2 and 3 > 2", alert("1 < 2 and 3 > 2")),
            ("", Answer::Empty),
            (" <p></p> ", Answer::Empty),
        ] {
            assert_eq!(read(text, 20), expected, "{text:?}");
        }
    }

    #[test]
    fn beside_the_token_more_than_the_limit_is_an_alert_without_it() {
        let long = "The oven is on, and somebody is at the door";
        assert_eq!(read(&format!("HEARTBEAT_OK {long}"), 20), alert(long));
        assert_eq!(read(&format!("{long}\nHEARTBEAT_OK"), 20), alert(long));
        assert_eq!(read(&format!("{long}\nHEARTBEAT_OK"), 300), Answer::Ok);
    }
}
