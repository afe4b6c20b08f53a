//! Restart decisions as plain functions: exit classes, back-off, intensity, and who goes down with whom.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::spec::{Intensity, Restart, Strategy};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It stopped by itself or because we asked.
    Normal,
    /// It failed, panicked, or was killed by somebody else.
    Abnormal,
}

/// Does a child that ended this way start again?
pub fn restarts(restart: Restart, exit: Exit) -> bool {
    match restart {
        Restart::Permanent => true,
        Restart::Transient => exit == Exit::Abnormal,
        Restart::Temporary => false,
    }
}

/// Which children must be stopped when `failed` goes down, in stop order (reverse of start order), without `failed`.
pub fn taken_along(strategy: Strategy, children: usize, failed: usize) -> Vec<usize> {
    match strategy {
        Strategy::OneForOne => Vec::new(),
        Strategy::OneForAll => (0..children).rev().filter(|&i| i != failed).collect(),
        Strategy::RestForOne => (failed + 1..children).rev().collect(),
    }
}

/// Delay before a restart: none the first time, then doubling with jitter up to a cap.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
    /// A child that lived this long starts from zero again.
    pub healthy_after: Duration,
}

impl Backoff {
    pub const DEFAULT: Self =
        Self { base: Duration::from_secs(1), max: Duration::from_secs(60), healthy_after: Duration::from_secs(300) };

    /// No delay at all.
    pub const NONE: Self = Self { base: Duration::ZERO, max: Duration::ZERO, healthy_after: Duration::from_secs(300) };

    /// `failures` counts the failures in a row, this one included; `jitter` is in 0.0–1.0 and spreads by ±20 %.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        if failures <= 1 {
            return Duration::ZERO;
        }
        let doubled = self.base.saturating_mul(2u32.saturating_pow((failures - 2).min(16)));
        doubled.min(self.max).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }

    /// Failures in a row after one more failure of a child that had lived for `lived`.
    pub fn count(&self, before: u32, lived: Duration) -> u32 {
        if lived >= self.healthy_after { 1 } else { before.saturating_add(1) }
    }
}

/// The restarts of a sliding window.
#[derive(Debug, Default)]
pub struct Window {
    times: VecDeque<Instant>,
}

impl Window {
    /// Counts a restart; `false` when the window now holds more than the intensity allows.
    pub fn record(&mut self, intensity: Intensity, now: Instant) -> bool {
        self.times.push_back(now);
        while self.times.front().is_some_and(|&t| now.duration_since(t) > intensity.period) {
            self.times.pop_front();
        }
        self.times.len() <= intensity.restarts
    }

    /// Restarts of the last `period`.
    pub fn count(&self, period: Duration, now: Instant) -> usize {
        self.times.iter().filter(|&&time| now.duration_since(time) <= period).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_follows_the_type_and_the_exit() {
        for (restart, exit, expected) in [
            (Restart::Permanent, Exit::Normal, true),
            (Restart::Permanent, Exit::Abnormal, true),
            (Restart::Transient, Exit::Normal, false),
            (Restart::Transient, Exit::Abnormal, true),
            (Restart::Temporary, Exit::Normal, false),
            (Restart::Temporary, Exit::Abnormal, false),
        ] {
            assert_eq!(restarts(restart, exit), expected, "{restart:?} {exit:?}");
        }
    }

    #[test]
    fn a_strategy_takes_along_the_right_children_in_stop_order() {
        assert_eq!(taken_along(Strategy::OneForOne, 4, 1), Vec::<usize>::new());
        assert_eq!(taken_along(Strategy::OneForAll, 4, 1), vec![3, 2, 0]);
        assert_eq!(taken_along(Strategy::RestForOne, 4, 1), vec![3, 2]);
        assert_eq!(taken_along(Strategy::RestForOne, 4, 3), Vec::<usize>::new());
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_double_to_the_cap() {
        let backoff = Backoff::DEFAULT;
        let seconds: Vec<u64> = (1..=10).map(|n| backoff.delay(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.delay(2, 0.0), Duration::from_millis(800));
        assert_eq!(backoff.delay(2, 1.0), Duration::from_millis(1200));
    }

    #[test]
    fn a_healthy_life_forgets_earlier_failures() {
        assert_eq!(Backoff::DEFAULT.count(7, Duration::from_secs(299)), 8);
        assert_eq!(Backoff::DEFAULT.count(7, Duration::from_secs(300)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_slides() {
        let intensity = Intensity::new(2, Duration::from_secs(10));
        let mut window = Window::default();
        let start = Instant::now();
        assert!(window.record(intensity, start));
        assert!(window.record(intensity, start + Duration::from_secs(5)));
        assert!(!window.record(intensity, start + Duration::from_secs(9)));
        assert!(!window.record(intensity, start + Duration::from_secs(12)), "three within ten seconds");
        assert!(window.record(intensity, start + Duration::from_secs(30)));
    }
}
