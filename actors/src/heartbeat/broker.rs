//! Who asks for a heartbeat, and when it runs: several who ask at once get one, and nobody can ask for ever more.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::session::AgentId;

/// Wakes that come so close together are one.
const COALESCE: Duration = Duration::from_millis(250);
/// Pause before one that could not run is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// From one run that an event has caused to the next.
const SPACING: Duration = Duration::from_secs(30);
/// Runs of one conversation in `FLOOD_TIME`, whoever asks.
const FLOOD_MAX: usize = 5;
const FLOOD_TIME: Duration = Duration::from_secs(60);
/// Conversations with a pending wake; beyond it nobody new is taken.
const PENDING_MAX: usize = 1024;

/// Which conversation is woken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub agent: AgentId,
    /// Absent: the one that the configuration names.
    pub session: Option<String>,
}

/// Who asks, least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It could not run a moment ago.
    Retry,
    /// The clock.
    Interval,
    /// Something has happened, and waits to be told.
    Event,
    /// A person wants it now.
    Manual,
}

/// A wake that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    pub target: Target,
    pub source: Source,
    /// The beat of the clock that it stands for, milliseconds since the epoch.
    pub slot: Option<i64>,
}

#[derive(Debug)]
struct Pending {
    source: Source,
    slot: Option<i64>,
    due: Instant,
}

/// The wakes that wait, and the runs that were.
#[derive(Debug, Default)]
pub struct Broker {
    pending: HashMap<Target, Pending>,
    runs: HashMap<Target, VecDeque<Instant>>,
}

impl Broker {
    /// Somebody asks. One wake waits for each conversation: the more important one, and never later than it was to come.
    /// `false` when there is no room.
    pub fn ask(&mut self, target: Target, source: Source, slot: Option<i64>, now: Instant) -> bool {
        if self.pending.len() >= PENDING_MAX && !self.pending.contains_key(&target) {
            return false;
        }
        let pause = if source == Source::Retry { AGAIN } else { COALESCE };
        let due = self.earliest(&target, source, now).max(now + pause);
        let pending = self.pending.entry(target).or_insert(Pending { source, slot, due });
        pending.slot = pending.slot.or(slot);
        if source > pending.source {
            (pending.source, pending.due) = (source, due.min(pending.due));
        }
        true
    }

    /// When this conversation may run again.
    fn earliest(&self, target: &Target, source: Source, now: Instant) -> Instant {
        let Some(runs) = self.runs.get(target) else { return now };
        let flood =
            runs.len().checked_sub(FLOOD_MAX).and_then(|first| runs.get(first)).map(|first| *first + FLOOD_TIME);
        let spacing = runs.back().filter(|_| source == Source::Event).map(|last| *last + SPACING);
        [flood, spacing].into_iter().flatten().fold(now, Instant::max)
    }

    /// Takes the wake that has waited longest, if one is due. Nothing that is not due yet is dropped.
    pub fn take(&mut self, now: Instant) -> Option<Wake> {
        let (target, _) = self.pending.iter().filter(|(_, wake)| wake.due <= now).min_by_key(|(_, wake)| wake.due)?;
        let target = target.clone();
        let Pending { source, slot, .. } = self.pending.remove(&target)?;
        Some(Wake { target, source, slot })
    }

    /// One has run, with a model.
    pub fn ran(&mut self, target: Target, now: Instant) {
        let runs = self.runs.entry(target).or_default();
        runs.push_back(now);
        if runs.len() > FLOOD_MAX {
            runs.pop_front();
        }
        self.runs.retain(|_, runs| runs.back().is_some_and(|last| now - *last < FLOOD_TIME));
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.pending.values().map(|wake| wake.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(agent: &str) -> Target {
        Target { agent: AgentId::slug(agent), session: None }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn wakes_that_come_together_are_one_and_the_more_important_counts() {
        let (mut broker, now) = (Broker::default(), Instant::now());
        assert!(broker.ask(target("main"), Source::Interval, Some(5), now));
        assert!(broker.ask(target("main"), Source::Manual, None, now + Duration::from_millis(100)));
        assert!(broker.ask(target("main"), Source::Event, None, now + Duration::from_millis(200)));
        assert_eq!(broker.take(now + Duration::from_millis(249)), None);
        let wake = broker.take(now + COALESCE).unwrap();
        assert_eq!((wake.source, wake.slot), (Source::Manual, Some(5)));
        assert_eq!(broker.take(now + seconds(60)), None);
    }

    #[test]
    fn events_wait_for_their_spacing_and_are_never_dropped() {
        let (mut broker, now) = (Broker::default(), Instant::now());
        broker.ran(target("main"), now);
        broker.ask(target("main"), Source::Event, None, now + seconds(1));
        assert_eq!(broker.take(now + seconds(29)), None);
        assert_eq!(broker.next_due(), Some(now + SPACING));
        assert!(broker.take(now + SPACING).is_some());
        broker.ask(target("main"), Source::Manual, None, now + seconds(1));
        assert!(broker.take(now + seconds(2)).is_some(), "a person does not wait");
    }

    #[test]
    fn nobody_is_woken_more_than_five_times_a_minute() {
        let (mut broker, now) = (Broker::default(), Instant::now());
        for run in 0..5 {
            broker.ran(target("main"), now + seconds(run));
        }
        broker.ask(target("main"), Source::Manual, None, now + seconds(10));
        broker.ask(target("ops"), Source::Manual, None, now + seconds(10));
        assert_eq!(
            broker.take(now + seconds(59)).map(|wake| wake.target),
            Some(target("ops")),
            "only who asks too often"
        );
        assert_eq!(broker.take(now + seconds(59)), None);
        assert!(broker.take(now + seconds(60)).is_some());
    }

    #[test]
    fn what_could_not_run_is_tried_again_unless_something_better_comes() {
        let (mut broker, now) = (Broker::default(), Instant::now());
        broker.ask(target("main"), Source::Retry, Some(7), now);
        assert_eq!(broker.take(now + Duration::from_millis(999)), None);
        broker.ask(target("main"), Source::Interval, Some(9), now);
        let wake = broker.take(now + COALESCE).unwrap();
        assert_eq!((wake.source, wake.slot), (Source::Interval, Some(7)), "the beat that was missed is still owed");
    }

    #[test]
    fn there_is_room_for_so_many_and_who_waits_already_may_ask_again() {
        let (mut broker, now) = (Broker::default(), Instant::now());
        for number in 0..PENDING_MAX {
            let session = Some(format!("agent:main:{number}"));
            assert!(broker.ask(Target { agent: AgentId::main(), session }, Source::Event, None, now));
        }
        assert!(!broker.ask(target("ops"), Source::Manual, None, now));
        let known = Target { agent: AgentId::main(), session: Some("agent:main:0".into()) };
        assert!(broker.ask(known, Source::Manual, None, now));
    }
}
