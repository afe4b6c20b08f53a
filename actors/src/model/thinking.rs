//! What a thinking level means on each wire.
//!
//! Levels are `off minimal low medium high xhigh`; anything else counts as `off`.

/// Tokens that the answer keeps for itself when reasoning has a budget.
const ANSWER_TOKENS_MIN: u64 = 1_024;

/// The effort word of the OpenAI wires; `None` means that the model decides.
///
/// `xhigh` is lowered to `high` for models that refuse it.
pub fn effort(level: &str, model: &str) -> Option<&'static str> {
    match level {
        "minimal" => Some("minimal"),
        "low" => Some("low"),
        "medium" => Some("medium"),
        "high" => Some("high"),
        "xhigh" if takes_xhigh(model) => Some("xhigh"),
        "xhigh" => Some("high"),
        _ => None,
    }
}

/// GPT from 5.2 on, and the largest Codex of 5.1.
fn takes_xhigh(model: &str) -> bool {
    let id = model.rsplit('/').next().unwrap_or(model);
    let version = id.strip_prefix("gpt-").map(|rest| rest.split('-').next().unwrap_or(rest));
    let at_least_5_2 = version.and_then(major_minor).is_some_and(|version| version >= (5, 2));
    at_least_5_2 || id.contains("codex-max")
}

fn major_minor(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// How an Anthropic model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnthropicThinking {
    Off,
    /// Reasoning tokens, and the limit on the whole answer that goes with them.
    Budget {
        tokens: u64,
        answer_max: u64,
    },
    /// The model measures its reasoning itself, by this effort.
    Adaptive(&'static str),
}

/// `answer_max`: limit on the answer without reasoning; `model_max`: limit of the model on both together. Tokens.
pub fn anthropic(level: &str, model: &str, answer_max: u64, model_max: u64) -> AnthropicThinking {
    let wanted = match level {
        "minimal" => 1_024,
        "low" => 2_048,
        "medium" => 8_192,
        "high" => 16_384,
        "xhigh" => 32_768,
        _ => return AnthropicThinking::Off,
    };
    let version = claude_version(model);
    if version >= Some((4, 6)) {
        let effort = match level {
            "minimal" | "low" => "low",
            "medium" => "medium",
            "xhigh" if version >= Some((4, 7)) => "xhigh",
            _ => "high",
        };
        return AnthropicThinking::Adaptive(effort);
    }
    let answer_max = (answer_max + wanted).min(model_max);
    match wanted.min(answer_max.saturating_sub(ANSWER_TOKENS_MIN)) {
        0..1_024 => AnthropicThinking::Off, // the wire's least budget
        tokens => AnthropicThinking::Budget { tokens, answer_max },
    }
}

/// `(4, 6)` of `claude-opus-4-6`, `claude-sonnet-4.6-20260101` or `anthropic/claude-opus-4.6`. Models of generation 3
/// put the number before the name and are answered with `None`.
fn claude_version(model: &str) -> Option<(u32, u32)> {
    let id = model.rsplit('/').next()?.strip_prefix("claude-")?;
    let (name, version) = id.split_once('-')?;
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut words = version.split(['-', '.']);
    let major = words.next()?.parse().ok()?;
    // what has more than two digits is a date
    let minor = words.next().filter(|word| word.len() <= 2).and_then(|word| word.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_efforts() {
        for (level, model, expected) in [
            ("off", "gpt-5", None),
            ("", "gpt-5", None),
            ("minimal", "gpt-5", Some("minimal")),
            ("xhigh", "gpt-5", Some("high")),
            ("xhigh", "gpt-5.1", Some("high")),
            ("xhigh", "gpt-5.1-codex-max", Some("xhigh")),
            ("xhigh", "openai/gpt-5.2", Some("xhigh")),
            ("xhigh", "gpt-5.4-mini", Some("xhigh")),
            ("xhigh", "gpt-oss-120b", Some("high")),
        ] {
            assert_eq!(effort(level, model), expected, "{level} {model}");
        }
    }

    #[test]
    fn the_version_is_read_from_the_id() {
        for (model, expected) in [
            ("claude-opus-4-6", Some((4, 6))),
            ("anthropic/claude-opus-4.6", Some((4, 6))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-3-7-sonnet-20250219", None),
            ("m-1", None),
        ] {
            assert_eq!(claude_version(model), expected, "{model}");
        }
    }

    #[test]
    fn the_budget_leaves_room_for_the_answer() {
        use AnthropicThinking::*;
        for (level, model, answer_max, model_max, expected) in [
            ("off", "claude-opus-4-5", 8_192, 64_000, Off),
            ("high", "claude-opus-4-5", 8_192, 64_000, Budget { tokens: 16_384, answer_max: 24_576 }),
            ("high", "claude-opus-4-5", 8_192, 8_192, Budget { tokens: 7_168, answer_max: 8_192 }),
            ("high", "m-1", 1_500, 1_500, Off),
            ("minimal", "claude-opus-4-6", 8_192, 64_000, Adaptive("low")),
            ("xhigh", "claude-opus-4-6", 8_192, 64_000, Adaptive("high")),
            ("xhigh", "claude-opus-4-7", 8_192, 64_000, Adaptive("xhigh")),
        ] {
            assert_eq!(anthropic(level, model, answer_max, model_max), expected, "{level} {model}");
        }
    }
}
