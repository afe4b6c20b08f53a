//! The tracing layer: turns each event into one clean record and hands it to the sinks that want it.
//!
//! A record is built once. Other crates are heard from `warn` up only: what they say below that may quote traffic.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, merge};
use super::level::{Level, LiveLevels};
use super::record::{Draft, Record};
use super::redact::Redactor;
use super::sink::{Queue, Sinks};

/// Tells the time; an argument, so that tests decide what day it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How records reach the console.
pub(super) enum Console {
    /// Through a thread of its own: a stuck terminal holds nobody.
    Queued(Queue),
    /// At once, in the thread that logs: for commands, which start and end in milliseconds.
    Direct(Mutex<Sinks>),
}

/// Feeds the sinks from `tracing`. Made by [`super::build`].
pub struct LogLayer {
    pub(super) live: Arc<LiveLevels>,
    pub(super) redactor: Redactor,
    pub(super) clock: Clock,
    pub(super) files: Option<Queue>,
    pub(super) console: Option<Console>,
}

impl LogLayer {
    fn file_level(&self) -> Level {
        if self.files.is_some() { self.live.any_file() } else { Level::Silent }
    }

    fn console_level(&self) -> Level {
        if self.console.is_some() { self.live.console() } else { Level::Silent }
    }

    /// Spans always count: a warning needs the session that an info span names.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return is_ours(metadata);
        }
        let level = Level::of(metadata.level());
        let heard = is_ours(metadata) || Level::Warn.admits(level);
        // An error may turn out to be fatal.
        let level = if level == Level::Error { Level::Fatal } else { level };
        heard && self.file_level().max(self.console_level()).admits(level)
    }

    fn hand_over(&self, record: Record) {
        let record = Arc::new(record);
        if let Some(files) = self.files.as_ref().filter(|_| self.file_level().admits(record.level)) {
            files.send(record.clone());
        }
        if !self.console_level().admits(record.level) {
            return;
        }
        match &self.console {
            Some(Console::Queued(queue)) => queue.send(record),
            Some(Console::Direct(sinks)) => {
                let mut sinks = sinks.lock().unwrap_or_else(PoisonError::into_inner);
                sinks.write(&record);
                sinks.flush();
            }
            None => {}
        }
    }
}

/// Fields of a span, kept with it for the events inside.
struct SpanFields(Fields);

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let events = match self.file_level().max(self.console_level()) {
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
            _ => LevelFilter::INFO, // spans of info must reach us for the sake of warnings
        };
        Some(events)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.values.shrink_to_fit(); // as long-lived as a connection
        span.extensions_mut().insert(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Vec::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(SpanFields(known)) = span.extensions().get() {
                known.values.iter().for_each(|(name, value)| merge(&mut spans, *name, value.clone()));
            }
        }
        let source = metadata.file().zip(metadata.line()).filter(|_| is_ours(metadata));
        let draft = Draft {
            at: (self.clock)(),
            level: Level::of(metadata.level()),
            target: metadata.target(),
            source: source.map(|(file, line)| format!("{}:{line}", file.rsplit('/').next().unwrap_or(file))),
            event: fields,
            spans,
        };
        self.hand_over(Record::build(draft, &self.redactor));
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.module_path().is_some_and(|path| path.starts_with("openclaw"))
}
