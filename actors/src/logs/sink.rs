//! The queue between the code that logs and the thread that writes.
//!
//! Logging never waits for a disk or a terminal: a full queue refuses info and below at once, and warn and above after 50 ms.
//! Every refusal is counted, and the log itself says how many records it misses.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use jiff::Timestamp;

use super::counters::Counters;
use super::level::{Level, LiveLevels};
use super::record::Record;
use crate::supervision::task;

/// Records that wait for one thread.
const QUEUE_RECORDS_MAX: usize = 8192;

/// How long a warning waits for a place, and how often it looks.
const URGENT_WAIT_MS: u32 = 50;
const URGENT_STEP: Duration = Duration::from_millis(1);

/// Something that records are written to. Failures stay inside and are counted.
pub(super) trait Output: Send {
    fn write(&mut self, record: &Record);
    /// The queue is empty: what was collected goes out.
    fn flush(&mut self);
    /// The file may have been moved away.
    fn reopen(&mut self) {}
}

/// Which live level an output follows when it has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    File,
    Console,
}

/// An output and its threshold.
pub(super) struct Sink {
    pub level: Option<Level>,
    pub output: Box<dyn Output>,
}

/// The outputs of one thread, which share a live level.
pub(super) struct Sinks {
    pub sinks: Vec<Sink>,
    pub live: Arc<LiveLevels>,
    pub follows: Follows,
}

impl Sinks {
    pub fn write(&mut self, record: &Record) {
        let live = self.live.of(self.follows);
        for sink in self.sinks.iter_mut().filter(|sink| sink.level.unwrap_or(live).admits(record.level)) {
            sink.output.write(record);
        }
    }

    pub fn flush(&mut self) {
        self.sinks.iter_mut().for_each(|sink| sink.output.flush());
    }
}

pub(super) enum Command {
    Record(Arc<Record>),
    Flush(SyncSender<()>),
    Reopen,
    /// Other outputs from now on: a configuration reload.
    Replace(Vec<Sink>),
    /// Writes what came before and ends the thread.
    Stop(SyncSender<()>),
}

/// The sending side of one writer thread; clones feed the same thread.
#[derive(Clone)]
pub(super) struct Queue {
    sender: SyncSender<Command>,
    counters: Arc<Counters>,
}

impl Queue {
    /// Starts the thread `name`. It ends with [`Queue::stop`] or when every queue is dropped.
    pub fn start(name: &str, sinks: Sinks, counters: Arc<Counters>) -> io::Result<Queue> {
        let (sender, receiver) = sync_channel(QUEUE_RECORDS_MAX);
        let counted = counters.clone();
        // The handle is not kept: stop() waits for the last write, and a thread stuck in a dead terminal must not hold the exit.
        drop(task::thread(name, move || run(receiver, sinks, &counted))?);
        Ok(Queue { sender, counters })
    }

    /// Queues a record, or counts it as dropped.
    pub fn send(&self, record: Arc<Record>) {
        let urgent = Level::Warn.admits(record.level);
        if !self.offer(Command::Record(record), if urgent { URGENT_WAIT_MS } else { 0 }) {
            self.counters.add_dropped();
        }
    }

    /// Queues another command; `false` when the queue stayed full.
    pub fn command(&self, command: Command) -> bool {
        self.offer(command, URGENT_WAIT_MS)
    }

    /// Waits until everything queued so far is written, at most `limit`. `false`: it was not.
    pub fn flush(&self, limit: Duration) -> bool {
        self.acknowledged(Command::Flush, limit)
    }

    /// Like [`Queue::flush`], and ends the thread.
    pub fn stop(&self, limit: Duration) -> bool {
        self.acknowledged(Command::Stop, limit)
    }

    fn acknowledged(&self, command: fn(SyncSender<()>) -> Command, limit: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        self.command(command(done)) && wait.recv_timeout(limit).is_ok()
    }

    fn offer(&self, mut command: Command, wait_ms: u32) -> bool {
        for _ in 0..wait_ms {
            match self.sender.try_send(command) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => command = back,
            }
            std::thread::sleep(URGENT_STEP);
        }
        self.sender.try_send(command).is_ok()
    }
}

/// The writer thread: writes what is queued, flushes when nothing is.
fn run(receiver: Receiver<Command>, mut sinks: Sinks, counters: &Counters) {
    let mut noted = 0;
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        while let Some(command) = next {
            let step = guarded(counters, || {
                let step = apply(command, &mut sinks);
                note_dropped(&step, &mut noted, &mut sinks, counters);
                step
            });
            if let Some(Step::Stop(done)) = step {
                drop(receiver); // from here on a record is refused and counted
                let _ = done.try_send(()); // whoever asked may have given up
                return;
            }
            next = receiver.try_recv().ok();
        }
        guarded(counters, || sinks.flush());
    }
}

/// A panic while writing loses what it was about and must not end the log.
fn guarded<T>(counters: &Counters, work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).inspect_err(|_| counters.add_lost(1)).ok()
}

enum Step {
    /// Time of the record, if it was one.
    Continue(Option<Timestamp>),
    /// Everything is written; tell once the queue is closed.
    Stop(SyncSender<()>),
}

fn apply(command: Command, sinks: &mut Sinks) -> Step {
    match command {
        Command::Record(record) => {
            sinks.write(&record);
            return Step::Continue(Some(record.at));
        }
        Command::Reopen => sinks.sinks.iter_mut().for_each(|sink| sink.output.reopen()),
        Command::Replace(other) => {
            sinks.flush();
            sinks.sinks = other;
        }
        Command::Flush(done) => {
            sinks.flush();
            let _ = done.try_send(()); // whoever asked may have given up
        }
        Command::Stop(done) => {
            sinks.flush();
            return Step::Stop(done);
        }
    }
    Step::Continue(None)
}

/// Leaves a trace of what is missing, in the place where it is missing.
fn note_dropped(step: &Step, noted: &mut u64, sinks: &mut Sinks, counters: &Counters) {
    let (Step::Continue(Some(at)), dropped) = (step, counters.counts().dropped) else { return };
    if dropped > *noted {
        let text = format!("log records dropped because the queue was full count={}", dropped - *noted);
        sinks.write(&Record::own(*at, Level::Warn, text));
        *noted = dropped;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::level::Levels;
    use super::*;

    /// Keeps what is written; says on `begun` that a record has come, then stands still while `gate` is locked.
    struct Kept {
        begun: SyncSender<()>,
        lines: Arc<Mutex<Vec<String>>>,
        gate: Arc<Mutex<()>>,
        panics_at: Option<&'static str>,
    }

    impl Output for Kept {
        fn write(&mut self, record: &Record) {
            let _ = self.begun.try_send(()); // one sign is enough
            drop(self.gate.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
            assert_ne!(Some(record.text.as_str()), self.panics_at);
            self.lines.lock().unwrap().push(record.text.clone());
        }

        fn flush(&mut self) {}
    }

    struct Bench {
        begun: Receiver<()>,
        queue: Queue,
        counters: Arc<Counters>,
        lines: Arc<Mutex<Vec<String>>>,
        gate: Arc<Mutex<()>>,
    }

    const SOON: Duration = Duration::from_secs(20);

    fn bench(panics_at: Option<&'static str>) -> Bench {
        let (lines, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
        let (sign, begun) = sync_channel(1);
        let output = Box::new(Kept { begun: sign, lines: lines.clone(), gate: gate.clone(), panics_at });
        let live = Arc::new(LiveLevels::new(Levels { file: Level::Info, console: Level::Silent }));
        let sinks = Sinks { sinks: vec![Sink { level: None, output }], live, follows: Follows::File };
        let counters = Arc::new(Counters::default());
        Bench { begun, queue: Queue::start("log-test", sinks, counters.clone()).unwrap(), counters, lines, gate }
    }

    fn record(level: Level, text: &str) -> Arc<Record> {
        Arc::new(Record::own(Timestamp::UNIX_EPOCH, level, text.into()))
    }

    #[test]
    fn what_was_queued_is_written_before_a_flush_returns() {
        let b = bench(None);
        for n in 0..100 {
            b.queue.send(record(Level::Info, &n.to_string()));
        }
        b.queue.send(record(Level::Debug, "below the level"));
        assert!(b.queue.flush(SOON));
        assert_eq!(b.lines.lock().unwrap().len(), 100);
        assert!(b.queue.stop(SOON));
        b.queue.send(record(Level::Info, "after the end"));
        assert_eq!(b.counters.counts().dropped, 1);
    }

    #[test]
    fn a_full_queue_drops_and_says_so() {
        let b = bench(None);
        let held = b.gate.lock().unwrap();
        b.queue.send(record(Level::Info, "in the writer's hands"));
        b.begun.recv().unwrap();
        for n in 0..QUEUE_RECORDS_MAX + 10 {
            b.queue.send(record(Level::Info, &n.to_string()));
        }
        let dropped = b.counters.counts().dropped;
        assert_eq!(dropped, 10);
        b.queue.send(record(Level::Error, "waited in vain"));
        assert_eq!(b.counters.counts().dropped, dropped + 1);
        assert!(!b.queue.flush(Duration::from_millis(1)), "a stuck writer does not hold its caller");
        drop(held);
        b.queue.send(record(Level::Error, "waited for a place"));
        assert!(b.queue.flush(SOON));
        let lines = b.lines.lock().unwrap();
        assert_eq!(lines.last().unwrap(), "waited for a place");
        let note = format!("log records dropped because the queue was full count={}", dropped + 1);
        assert_eq!(lines.iter().filter(|line| **line == note).count(), 1);
    }

    #[test]
    fn a_panic_loses_one_record() {
        let b = bench(Some("bad"));
        for text in ["a", "bad", "b"] {
            b.queue.send(record(Level::Info, text));
        }
        assert!(b.queue.flush(SOON));
        assert_eq!(*b.lines.lock().unwrap(), ["a", "b"]);
        assert_eq!(b.counters.counts().lost, 1);
    }

    #[test]
    fn outputs_can_be_exchanged() {
        let (old, new) = (bench(None), bench(None));
        old.queue.send(record(Level::Info, "old"));
        let (begun, _) = sync_channel(1);
        let output = Box::new(Kept { begun, lines: new.lines.clone(), gate: new.gate.clone(), panics_at: None });
        assert!(old.queue.command(Command::Replace(vec![Sink { level: Some(Level::Warn), output }])));
        old.queue.send(record(Level::Info, "too quiet"));
        old.queue.send(record(Level::Warn, "new"));
        assert!(old.queue.flush(SOON));
        assert_eq!(*old.lines.lock().unwrap(), ["old"]);
        assert_eq!(*new.lines.lock().unwrap(), ["new"]);
    }
}
