//! The concrete outputs: the log file as JSON lines, and the console.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::tz::TimeZone;

use super::console::{self, Style};
use super::file::LogFile;
use super::record::{LineContext, Record};
use super::sink::Output;

/// Console lines are collected up to this size before they are written, bytes.
const BATCH_BYTES_MAX: usize = 16 * 1024;

pub(super) struct FileOutput {
    pub context: Arc<LineContext>,
    pub file: LogFile,
}

impl Output for FileOutput {
    fn write(&mut self, record: &Record) {
        self.file.push(&self.context.line(record), record.at);
    }

    fn flush(&mut self) {
        self.file.flush();
    }

    fn reopen(&mut self) {
        self.file.reopen();
    }
}

/// The console style in force; changed by a configuration reload.
#[derive(Debug, Default)]
pub(super) struct LiveStyle(AtomicU8);

impl LiveStyle {
    pub fn get(&self) -> Style {
        Style::from_u8(self.0.load(Ordering::Relaxed))
    }

    pub fn set(&self, style: Style) {
        self.0.store(style as u8, Ordering::Relaxed);
    }
}

pub(super) struct ConsoleOutput {
    pub out: Box<dyn Write + Send>,
    pub style: Arc<LiveStyle>,
    pub colour: bool,
    /// Shows this subsystem alone (`--cli-backend-logs`).
    pub only: Option<String>,
    pub zone: TimeZone,
    pub batch: Vec<u8>,
}

impl Output for ConsoleOutput {
    fn write(&mut self, record: &Record) {
        if self.only.as_ref().is_some_and(|only| *only != record.subsystem) {
            return;
        }
        let line = console::line(record, self.style.get(), self.colour, &self.zone);
        self.batch.extend_from_slice(line.as_bytes());
        self.batch.push(b'\n');
        if self.batch.len() >= BATCH_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            // A closed stderr has nobody to tell; the file has the record.
            let _ = self.out.write_all(&self.batch).and_then(|()| self.out.flush());
            self.batch.clear();
        }
    }
}
