//! Words by which an agent says that it has nothing to say.
//!
//! Source: sentinel rules of 2026.5.12. The heartbeat run has rules of its own.

const SILENT: &str = "NO_REPLY";
const HEARTBEAT: &str = "HEARTBEAT_OK";

/// Could this text, which may still grow, turn out to be the silent answer? Then it is held back.
pub fn may_be_silent(text: &str) -> bool {
    let text = text.trim_start();
    let begins =
        |word: &str| word.as_bytes().get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()));
    !text.is_empty() && (begins(SILENT) || begins(HEARTBEAT))
}

/// What a person is shown of an answer: nothing for the silent one, no heartbeat token at either end.
pub fn visible(text: &str) -> &str {
    let text = text.trim();
    if text.eq_ignore_ascii_case(SILENT) {
        return "";
    }
    let text = text.strip_prefix(HEARTBEAT).unwrap_or(text);
    text.strip_suffix(HEARTBEAT).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_answer_is_a_whole_message_in_any_case() {
        for (text, expected) in [
            ("NO_REPLY", ""),
            ("  no_reply \n", ""),
            ("NO_REPLY to that", "NO_REPLY to that"),
            ("HEARTBEAT_OK", ""),
            ("HEARTBEAT_OK all is well", "all is well"),
            ("all is well HEARTBEAT_OK", "all is well"),
            ("the HEARTBEAT_OK token", "the HEARTBEAT_OK token"),
            ("hello", "hello"),
        ] {
            assert_eq!(visible(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_beginning_of_the_silent_answer_is_held_back() {
        for (text, expected) in
            [("", false), ("N", true), ("no_re", true), ("NO_REPLY", true), ("NO_REPLYx", false), ("Now", false)]
        {
            assert_eq!(may_be_silent(text), expected, "{text}");
        }
    }
}
