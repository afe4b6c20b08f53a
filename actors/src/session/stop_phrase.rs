//! Messages that mean "stop what you are doing".
//!
//! Only whole messages count: a sentence that contains such a word is a message like any other.
//! Source: abort phrases of 2026.5.12.

const WORDS: [&str; 30] = [
    "/stop",
    "stop",
    "esc",
    "abort",
    "wait",
    "exit",
    "interrupt",
    "halt",
    "stopp",
    "anhalten",
    "aufhören",
    "hör auf",
    "pare",
    "detente",
    "deten",
    "detén",
    "arrete",
    "arrête",
    "停止",
    "やめて",
    "止めて",
    "रुको",
    "توقف",
    "стоп",
    "остановись",
    "останови",
    "прекрати",
    "please stop",
    "stop please",
    "stop run",
];
const PHRASES: [&str; 8] = [
    "stop the run",
    "stop agent",
    "stop the agent",
    "stop action",
    "stop current action",
    "stop doing anything",
    "stop openclaw",
    "openclaw stop",
];

/// Does the whole text ask to stop? Case, white space and punctuation at the end do not matter.
pub fn is_stop(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.trim_end_matches(is_trailing).split_whitespace().collect();
    let text = words.join(" ");
    WORDS.contains(&text.as_str()) || PHRASES.contains(&text.as_str())
}

fn is_trailing(c: char) -> bool {
    c.is_whitespace() || c.is_ascii_punctuation() || "…。！？、，；：।؟’”»".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_stop_whatever_their_dress() {
        for text in [
            "stop",
            "STOP!!!",
            " /stop ",
            "Stop please.",
            "please  stop",
            "стоп",
            "停止。",
            "रुको।",
            "Arrête !",
            "stop the agent…",
        ] {
            assert!(is_stop(text), "{text}");
        }
    }

    #[test]
    fn sentences_about_stopping_do_not() {
        for text in ["", "!", "stop the music", "don't stop", "stop. then go on", "bus stop", "/stopwatch", "waiting"] {
            assert!(!is_stop(text), "{text}");
        }
    }
}
