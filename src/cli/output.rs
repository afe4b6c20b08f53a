//! Where a command writes: answers to stdout, notes to stderr, colour only where somebody looks.
//!
//! Invariant: with `--json`, stdout carries exactly one document; everything else goes to stderr.

use std::io::{self, IsTerminal, Write};

use owo_colors::{OwoColorize, Style};
use serde_json::Value;

use super::exit::Failure;
use super::table::{self, Frame};

/// Columns when the terminal does not say.
const WIDTH: u16 = 120;

/// The two streams of this process and what they can show.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub stdout_tty: bool,
    pub stderr_tty: bool,
    colour_out: bool,
    colour_err: bool,
}

/// What a piece of text means; the colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Heading,
    Good,
    Warn,
    Bad,
}

impl Output {
    /// Looks at the real streams. `no_color` is the flag.
    pub fn detect(no_color: bool, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let (stdout_tty, stderr_tty) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let refused = no_color || env("NO_COLOR").is_some_and(|value| !value.is_empty());
        let forced = env("FORCE_COLOR").is_some_and(|value| !value.is_empty() && value != "0");
        Self {
            stdout_tty,
            stderr_tty,
            colour_out: colour(stdout_tty, refused, forced),
            colour_err: colour(stderr_tty, refused, forced),
        }
    }

    pub fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", text.as_ref())
    }

    /// A document of its own, indented by two.
    pub fn json(&self, document: &Value) -> io::Result<()> {
        self.line(serde_json::to_string_pretty(document)?)
    }

    /// A note, a warning or progress. A closed stderr loses it, which is what whoever closed it wanted.
    pub fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref()); // nowhere else to say it
    }

    /// The text of a failure on stderr, and its document on stdout if `json`.
    pub fn failure(&self, failure: &Failure, json: bool) -> io::Result<()> {
        for (index, line) in failure.lines.iter().enumerate() {
            let tone = (index == 0 && self.colour_err).then_some(Tone::Bad);
            self.note(paint(tone, line));
        }
        if json { self.json(&failure.document()) } else { Ok(()) }
    }

    /// A heading or a word of an answer in its colour.
    pub fn tint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_out.then_some(tone), text)
    }

    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let frame = if self.stdout_tty { Frame::Boxed { width: terminal_width() } } else { Frame::Plain };
        self.line(table::render(header, rows, frame))
    }

    /// May stdout have colours?
    pub fn colour(&self) -> bool {
        self.colour_out
    }

    /// May stderr have colours?
    pub fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// What clap may do with its help texts.
    pub fn clap_colour(&self) -> clap::ColorChoice {
        if self.colour_out { clap::ColorChoice::Always } else { clap::ColorChoice::Never }
    }
}

/// Colour only for somebody who looks and has not refused it; `forced` stands in for the terminal.
fn colour(tty: bool, refused: bool, forced: bool) -> bool {
    !refused && (tty || forced)
}

fn paint(tone: Option<Tone>, text: &str) -> String {
    let style = match tone {
        None => return text.to_owned(),
        Some(Tone::Heading) => Style::new().bold(),
        Some(Tone::Good) => Style::new().green(),
        Some(Tone::Warn) => Style::new().yellow(),
        Some(Tone::Bad) => Style::new().red(),
    };
    text.style(style).to_string()
}

fn terminal_width() -> u16 {
    comfy_table::Table::new().width().unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal_or_force_and_yields_to_a_refusal() {
        let cases = [
            ((true, false, false), true),
            ((false, false, false), false),
            ((false, false, true), true),
            ((true, true, false), false),
            ((true, true, true), false),
        ];
        for ((tty, refused, forced), expected) in cases {
            assert_eq!(colour(tty, refused, forced), expected, "tty {tty}, refused {refused}, forced {forced}");
        }
    }

    #[test]
    fn text_without_a_tone_has_no_escape() {
        assert_eq!(paint(None, "ok"), "ok");
        assert!(paint(Some(Tone::Good), "ok").contains('\u{1b}'));
    }
}
