//! What a resident size asks for.

use std::time::Duration;

use crate::config::settings::MemoryLimits;

/// Between two restarts for the sake of memory: what fills up faster has a cause that no restart mends.
const RESTART_APART: Duration = Duration::from_secs(30 * 60);
const MB: u64 = 1024 * 1024;

/// How much there is of it. Names of 2026.5.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    #[default]
    Fine,
    /// Above `diagnostics.memory.softLimitMb`.
    Warning,
    /// Above `diagnostics.memory.hardLimitMb`.
    Critical,
}

impl Level {
    pub fn of(rss: u64, limits: MemoryLimits) -> Self {
        if rss >= limits.hard_limit_mb.saturating_mul(MB) {
            Self::Critical
        } else if rss >= limits.soft_limit_mb.saturating_mul(MB) {
            Self::Warning
        } else {
            Self::Fine
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Let go what can be let go.
    pub shed: bool,
    pub restart: bool,
}

/// `last_restart`: how long ago a restart was asked for because of memory, also by an earlier process.
pub fn judge(level: Level, last_restart: Option<Duration>) -> Verdict {
    let due = last_restart.is_none_or(|ago| ago >= RESTART_APART);
    Verdict { shed: level >= Level::Warning, restart: level == Level::Critical && due }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_size_decides_and_restarts_are_kept_apart() {
        const MINUTE: Duration = Duration::from_secs(60);
        let limits = MemoryLimits { soft_limit_mb: 512, hard_limit_mb: 1024 };
        // (MB, last restart, level, shed, restart)
        let cases = [
            (100, None, Level::Fine, false, false),
            (511, Some(MINUTE), Level::Fine, false, false),
            (512, None, Level::Warning, true, false),
            (1023, None, Level::Warning, true, false),
            (1024, None, Level::Critical, true, true),
            (5000, Some(MINUTE * 29), Level::Critical, true, false),
            (5000, Some(MINUTE * 30), Level::Critical, true, true),
        ];
        for (mb, last, level, shed, restart) in cases {
            assert_eq!(Level::of(mb * MB, limits), level, "{mb} MB");
            assert_eq!(judge(level, last), Verdict { shed, restart }, "{mb} MB, {last:?}");
        }
    }

    #[test]
    fn a_hard_limit_below_the_soft_one_counts_all_the_same() {
        let limits = MemoryLimits { soft_limit_mb: 512, hard_limit_mb: 256 };
        assert_eq!(Level::of(300 * MB, limits), Level::Critical);
    }
}
