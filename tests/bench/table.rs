//! The printed table: what, value, target.

use std::fmt::Write;
use std::time::Duration;

#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    pub fn row(&mut self, what: &str, value: String, target: &str) {
        eprintln!("{what}: {value}");
        self.rows.push([what.to_owned(), value, target.to_owned()]);
    }

    /// A duration in milliseconds, with the digits that mean something.
    pub fn ms(&mut self, what: &str, value: Duration, target: &str) {
        let ms = value.as_secs_f64() * 1e3;
        let text = if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") };
        self.row(what, text, target);
    }

    /// Markdown.
    pub fn text(&self) -> String {
        let mut text = "| what | value | target |\n|---|---|---|\n".to_owned();
        for [what, value, target] in &self.rows {
            writeln!(text, "| {what} | {value} | {target} |").expect("a string takes everything");
        }
        text
    }
}

/// The middle of a non-empty list; sorts it.
pub fn median(times: &mut [Duration]) -> Duration {
    percentile(times, 50)
}

/// The smallest value that `percent` % of a non-empty list do not exceed; sorts it.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100).saturating_sub(1)]
}
