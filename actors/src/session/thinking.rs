//! Thinking levels: their names, their aliases, and what a model makes of one that it does not have.
//!
//! Source: thinking levels of 2026.5.12.

/// How much a model is asked to reason before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThinkLevel {
    Off,
    Minimal,
    Low,
    Medium,
    Adaptive,
    High,
    XHigh,
    Max,
}

/// What a model offers unless it says otherwise, in the order that clients list.
pub const COMMON_LEVELS: [ThinkLevel; 5] =
    [ThinkLevel::Off, ThinkLevel::Minimal, ThinkLevel::Low, ThinkLevel::Medium, ThinkLevel::High];

impl ThinkLevel {
    /// Reads a level or one of its aliases, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_lowercase().as_str() {
            "off" => Self::Off,
            "minimal" | "min" | "think" => Self::Minimal,
            "low" | "on" => Self::Low,
            "medium" | "med" | "mid" => Self::Medium,
            "high" | "ultra" | "highest" => Self::High,
            "xhigh" | "extrahigh" | "extra-high" => Self::XHigh,
            "adaptive" => Self::Adaptive,
            "max" => Self::Max,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Adaptive => "adaptive",
            Self::Max => "max",
        }
    }

    /// The level to use with a model that offers only `offered`: the same, else the nearest below, else the lowest.
    ///
    /// For stored levels. An explicit level that a model does not have is refused, not remapped.
    pub fn nearest(self, offered: &[Self]) -> Self {
        let below = offered.iter().copied().filter(|level| *level <= self).max();
        below.or_else(|| offered.iter().copied().min()).unwrap_or(Self::Off)
    }
}

/// `off|minimal|…`, for refusals and listings.
pub fn names(levels: &[ThinkLevel], separator: &str) -> String {
    levels.iter().map(|level| level.as_str()).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_their_aliases_are_read_in_any_case() {
        for (text, level) in [
            ("on", ThinkLevel::Low),
            ("Mid", ThinkLevel::Medium),
            ("ULTRA", ThinkLevel::High),
            ("extrahigh", ThinkLevel::XHigh),
            ("think", ThinkLevel::Minimal),
        ] {
            assert_eq!(ThinkLevel::parse(text), Some(level));
        }
        assert_eq!(ThinkLevel::parse("banana"), None);
        for level in COMMON_LEVELS {
            assert_eq!(ThinkLevel::parse(level.as_str()), Some(level));
        }
    }

    #[test]
    fn a_level_that_a_model_lacks_becomes_the_nearest_one_below() {
        assert_eq!(ThinkLevel::Max.nearest(&COMMON_LEVELS), ThinkLevel::High);
        assert_eq!(ThinkLevel::Adaptive.nearest(&COMMON_LEVELS), ThinkLevel::Medium);
        assert_eq!(ThinkLevel::Off.nearest(&[ThinkLevel::Low, ThinkLevel::High]), ThinkLevel::Low);
        assert_eq!(ThinkLevel::High.nearest(&[]), ThinkLevel::Off);
    }
}
