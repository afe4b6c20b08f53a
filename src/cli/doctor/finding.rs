//! One thing that doctor has to say.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::output::Tone;

/// The titled parts of the report, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Config,
    Changes,
    KeysWithoutEffect,
    Gateway,
    State,
    Security,
    Secrets,
    Models,
}

impl Section {
    pub fn title(self, fixing: bool) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Changes if fixing => "Doctor changes",
            Self::Changes => "Doctor changes (preview)",
            Self::KeysWithoutEffect => "Config keys without effect",
            Self::Gateway => "Gateway",
            Self::State => "State integrity",
            Self::Security => "Security",
            Self::Secrets => "Secrets",
            Self::Models => "Models",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Fine,
    /// Worth knowing; nothing has to be done.
    Note,
    Problem,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// A repair that `--fix` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Gives a file or directory exactly this mode.
    Mode(PathBuf, u32),
    /// Creates a directory of mode 0700.
    CreateDir(PathBuf),
    /// Rewrites other spellings of keys into the canonical ones.
    CanonicalKeys,
    /// Puts the last configuration that worked back, and keeps the broken one beside it.
    LastGood(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub section: Section,
    pub severity: Severity,
    pub message: String,
    pub repair: Option<Repair>,
    pub repaired: bool,
}

impl Finding {
    fn new(section: Section, severity: Severity, message: impl Into<String>) -> Self {
        Self { section, severity, message: message.into(), repair: None, repaired: false }
    }

    pub fn fine(section: Section, message: impl Into<String>) -> Self {
        Self::new(section, Severity::Fine, message)
    }

    pub fn note(section: Section, message: impl Into<String>) -> Self {
        Self::new(section, Severity::Note, message)
    }

    pub fn problem(section: Section, message: impl Into<String>) -> Self {
        Self::new(section, Severity::Problem, message)
    }

    pub fn with(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }

    pub fn is_open_problem(&self) -> bool {
        self.severity == Severity::Problem && !self.repaired
    }

    pub fn lines(&self) -> Vec<String> {
        let mark = match (self.severity, self.repaired) {
            (_, true) => "✓ repaired:",
            (Severity::Fine, _) => "✓",
            (Severity::Note, _) => "-",
            (Severity::Problem, _) => "✗",
        };
        let mut lines = self.message.lines();
        let first = format!("{mark} {}", lines.next().unwrap_or_default());
        std::iter::once(first).chain(lines.map(|line| format!("  {line}"))).collect()
    }

    pub fn tone(&self) -> Tone {
        match (self.severity, self.repaired) {
            (_, true) | (Severity::Fine, _) => Tone::Good,
            (Severity::Note, _) => Tone::Warn,
            (Severity::Problem, _) => Tone::Bad,
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "section": self.section.title(true),
            "severity": self.severity.word(),
            "message": self.message,
            "fixable": self.repair.is_some(),
            "fixed": self.repaired,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repaired_problem_is_no_open_one() {
        let mut finding = Finding::problem(Section::Security, "readable by others\nmode 0644");
        assert!(finding.is_open_problem());
        assert_eq!(finding.lines(), ["✗ readable by others", "  mode 0644"]);
        finding.repaired = true;
        assert!(!finding.is_open_problem());
        assert_eq!(finding.lines()[0], "✓ repaired: readable by others");
        assert!(!Finding::note(Section::Config, "x").is_open_problem());
    }

    #[test]
    fn sections_come_in_their_order() {
        assert!(
            Section::Config < Section::Changes
                && Section::Gateway < Section::State
                && Section::Security < Section::Secrets
        );
    }
}
