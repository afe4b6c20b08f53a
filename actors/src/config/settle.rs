//! When is an edited file ready to be read? A state machine over ticks, looks and time; no clock and no file in here.
//!
//! Quiet first (editors write several times), then still (size and time of change the same twice, 200 ms apart), then report once.
//! A file that vanishes is looked for again twice, because editors delete and rename.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How long the files must not change between two looks.
pub const STILL: Duration = Duration::from_millis(200);
/// Wait before looking again for a file that is gone.
pub const RETRY: Duration = Duration::from_millis(150);
/// Looks again for a file that is gone.
pub const RETRIES: u32 = 2;
/// Longest time that a stream of edits may keep us from reading.
pub const QUIET_MAX: Duration = Duration::from_secs(5);

/// What one file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub path: PathBuf,
    /// `None`: not there.
    pub about: Option<About>,
}

/// Changes whenever the content was replaced or rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub bytes: u64,
    pub modified: SystemTime,
    pub inode: u64,
}

/// All watched files; the main one first.
pub type Seen = Vec<Look>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Idle,
    /// Something happened; waiting until nothing more does. `since` is the first tick.
    Quiet {
        since: Instant,
        until: Instant,
    },
    /// Looked once; looking again at `until`.
    Still {
        seen: Seen,
        until: Instant,
    },
    /// The main file is gone; looking again at `until`.
    Gone {
        tries: u32,
        until: Instant,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something may have changed.
    Tick,
    /// The time that the state waits for has come: the files look like this.
    Looked(Seen),
}

/// What the watcher reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The files differ from the last report and hold still.
    Changed,
    /// The main file has been gone for a while.
    Vanished,
}

/// When the driver has to look next; `None` means at the next tick.
pub fn due(state: &State) -> Option<Instant> {
    match state {
        State::Idle => None,
        State::Quiet { until, .. } | State::Still { until, .. } | State::Gone { until, .. } => Some(*until),
    }
}

/// The next state, and what to report. `known` is what the last report was about and is kept up to date.
pub fn step(state: State, event: Event, known: &mut Seen, debounce: Duration, now: Instant) -> (State, Option<Change>) {
    match (state, event) {
        (State::Quiet { since, .. }, Event::Tick) => {
            (State::Quiet { since, until: (now + debounce).min(since + QUIET_MAX) }, None)
        }
        (State::Idle, Event::Tick) => (State::Quiet { since: now, until: now + debounce }, None),
        (waiting @ (State::Still { .. } | State::Gone { .. }), Event::Tick) => (waiting, None), // it looks again anyway
        (State::Idle, Event::Looked(_)) => (State::Idle, None),
        (state, Event::Looked(seen)) => looked(state, seen, known, now),
    }
}

fn looked(state: State, seen: Seen, known: &mut Seen, now: Instant) -> (State, Option<Change>) {
    if seen.first().is_none_or(|main| main.about.is_none()) {
        return gone(state, seen, known, now);
    }
    if seen == *known {
        return (State::Idle, None);
    }
    match state {
        State::Still { seen: before, .. } if before == seen => {
            *known = seen;
            (State::Idle, Some(Change::Changed))
        }
        _ => (State::Still { seen, until: now + STILL }, None),
    }
}

fn gone(state: State, seen: Seen, known: &mut Seen, now: Instant) -> (State, Option<Change>) {
    let tries = match state {
        State::Gone { tries, .. } => tries + 1,
        _ => 0,
    };
    if tries < RETRIES {
        return (State::Gone { tries, until: now + RETRY }, None);
    }
    let news = (seen != *known).then_some(Change::Vanished);
    *known = seen;
    (State::Idle, news)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBOUNCE: Duration = Duration::from_millis(300);

    fn seen(bytes: Option<u64>) -> Seen {
        let about = bytes.map(|bytes| About { bytes, modified: SystemTime::UNIX_EPOCH, inode: 1 });
        vec![Look { path: "/c".into(), about }]
    }

    /// Plays a list of (millisecond, tick or look) and returns what was reported when. Looks happen when they are due.
    fn play(ticks: &[u64], file: impl Fn(u64) -> Option<u64>) -> Vec<(u64, Change)> {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut state, mut known, mut out) = (State::Idle, seen(Some(1)), Vec::new());
        for ms in 0..60_000 {
            let mut events = Vec::new();
            if ticks.contains(&ms) {
                events.push(Event::Tick);
            }
            if due(&state).is_some_and(|due| due <= at(ms)) {
                events.push(Event::Looked(seen(file(ms))));
            }
            for event in events {
                let (next, change) = step(state, event, &mut known, DEBOUNCE, at(ms));
                state = next;
                out.extend(change.map(|change| (ms, change)));
            }
        }
        assert_eq!(state, State::Idle);
        out
    }

    #[test]
    fn an_edit_is_reported_once_after_quiet_and_still() {
        assert_eq!(play(&[10, 20, 100], |_| Some(2)), [(600, Change::Changed)]);
        assert_eq!(play(&[10], |_| Some(1)), []);
    }

    #[test]
    fn a_file_that_still_grows_is_waited_for() {
        assert_eq!(play(&[0], |ms| Some(2 + ms.min(800))), [(1100, Change::Changed)]);
    }

    #[test]
    fn a_hundred_edits_a_second_are_one_change_and_an_endless_stream_cannot_starve_us() {
        let second: Vec<u64> = (0..1000).step_by(10).collect();
        assert_eq!(play(&second, |ms| Some(2 + ms.min(990))), [(1490, Change::Changed)]);
        let endless: Vec<u64> = (0..20_000).step_by(100).collect();
        assert_eq!(play(&endless, |_| Some(2))[0], (5200, Change::Changed));
    }

    #[test]
    fn a_rename_save_is_a_change_and_a_lost_file_is_reported_once() {
        assert_eq!(play(&[0], |ms| (ms >= 400).then_some(2)), [(650, Change::Changed)]);
        assert_eq!(play(&[0], |ms| (ms >= 400).then_some(1)), []);
        assert_eq!(play(&[0, 5000], |_| None), [(600, Change::Vanished)]);
        assert_eq!(play(&[0, 5000], |ms| (ms > 4000).then_some(1)), [(600, Change::Vanished), (5500, Change::Changed)]);
    }
}
