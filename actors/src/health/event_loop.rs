//! How well the runtime keeps up: late timers, busy workers, processor time.
//!
//! Nothing is measured in the background: timers are watched only during a look, the rest is a difference between two
//! looks. Names are those of 2026.5.12, which has one event loop; ours is a pool of workers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Timers that one look watches, one after the other, and how long each is.
const TIMERS: u32 = 4;
const TIMER: Duration = Duration::from_millis(5);
/// A timer that is later than this means that workers were held up.
const DELAY_MAX: Duration = Duration::from_millis(500);
/// Part of the time, of all workers or cores, from which on they count as exhausted.
const EXHAUSTED: f64 = 0.95;
/// Shorter intervals say nothing about load: a start or two looks in a row are busy by nature.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// One look. Ratios are rounded to a thousandth, milliseconds to a tenth.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLoop {
    pub degraded: bool,
    /// `event_loop_delay`, `event_loop_utilization`, `cpu`.
    pub reasons: Vec<&'static str>,
    /// Since the look before, or since the start.
    pub interval_ms: u64,
    pub delay_p99_ms: f64,
    pub delay_max_ms: f64,
    /// Part of the workers' time that they worked, 0 to 1.
    pub utilization: f64,
    /// Cores that the process kept busy; may exceed 1.
    pub cpu_core_ratio: f64,
}

/// What lies between two looks.
#[derive(Debug, Clone, Default)]
struct Measured {
    interval: Duration,
    delay_max: Duration,
    busy: Duration,
    workers: usize,
    cpu: Duration,
    cores: usize,
}

/// Remembers the counters of the latest look.
#[derive(Debug)]
pub struct Meter {
    last: Mutex<Counters>,
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    busy: Duration,
    cpu: Duration,
}

impl Meter {
    /// Counts from now. Must be called inside the runtime.
    pub fn new() -> Self {
        Self { last: Mutex::new(Counters::now()) }
    }

    /// Looks; takes some twenty milliseconds.
    pub async fn look(&self) -> EventLoop {
        let delay_max = latest_timer().await;
        let now = Counters::now();
        let before = std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), now);
        judge(&Measured {
            interval: now.at.duration_since(before.at),
            delay_max,
            busy: now.busy.saturating_sub(before.busy),
            workers: Handle::current().metrics().num_workers(),
            cpu: now.cpu.saturating_sub(before.cpu),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

impl Counters {
    fn now() -> Self {
        let metrics = Handle::current().metrics();
        let busy = (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        let usage = getrusage(UsageWho::RUSAGE_SELF);
        let cpu_us = usage.map_or(0, |usage| (usage.user_time() + usage.system_time()).num_microseconds());
        Self { at: Instant::now(), busy, cpu: Duration::from_micros(u64::try_from(cpu_us).unwrap_or(0)) }
    }
}

/// By how much the latest of a few timers was late.
async fn latest_timer() -> Duration {
    let mut latest = Duration::ZERO;
    for _ in 0..TIMERS {
        let start = Instant::now();
        tokio::time::sleep(TIMER).await;
        latest = latest.max(start.elapsed().saturating_sub(TIMER));
    }
    latest
}

fn judge(measured: &Measured) -> EventLoop {
    let Measured { interval, delay_max, busy, workers, cpu, cores } = measured;
    let seconds = interval.as_secs_f64().max(0.001);
    let utilization = busy.as_secs_f64() / (seconds * (*workers).max(1) as f64);
    let cpu_core_ratio = cpu.as_secs_f64() / seconds;
    let long = *interval >= INTERVAL_MIN;
    let reasons: Vec<&'static str> = [
        ("event_loop_delay", *delay_max >= DELAY_MAX),
        ("event_loop_utilization", long && utilization >= EXHAUSTED),
        ("cpu", long && cpu_core_ratio >= EXHAUSTED * (*cores).max(1) as f64),
    ]
    .into_iter()
    .filter_map(|(reason, holds)| holds.then_some(reason))
    .collect();
    // of so few timers the 99th percentile is the latest
    let delay_ms = (delay_max.as_secs_f64() * 10_000.0).round() / 10.0;
    EventLoop {
        degraded: !reasons.is_empty(),
        reasons,
        interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        delay_p99_ms: delay_ms,
        delay_max_ms: delay_ms,
        utilization: thousandth(utilization.min(1.0)),
        cpu_core_ratio: thousandth(cpu_core_ratio),
    }
}

fn thousandth(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(delay_ms: u64, busy_s: u64, cpu_s: u64, interval_s: u64, reasons: &[&str]) {
        let judged = judge(&Measured {
            interval: Duration::from_secs(interval_s),
            delay_max: Duration::from_millis(delay_ms),
            busy: Duration::from_secs(busy_s),
            workers: 2,
            cpu: Duration::from_secs(cpu_s),
            cores: 2,
        });
        assert_eq!((judged.reasons.as_slice(), judged.degraded), (reasons, !reasons.is_empty()));
    }

    #[test]
    fn an_idle_gateway_is_never_degraded_and_a_stuck_one_says_why() {
        check(3, 0, 0, 60, &[]);
        check(500, 0, 0, 60, &["event_loop_delay"]);
        check(3, 119, 60, 60, &["event_loop_utilization"]);
        check(3, 60, 119, 60, &["cpu"]);
        check(900, 120, 120, 60, &["event_loop_delay", "event_loop_utilization", "cpu"]);
        check(3, 4, 4, 2, &[]);
    }

    #[tokio::test]
    async fn a_look_counts_from_the_look_before() {
        let meter = Meter::new();
        let first = meter.look().await;
        assert!(first.interval_ms >= 20, "{first:?}");
        let second = meter.look().await;
        assert!(second.interval_ms < first.interval_ms + 1_000 && second.utilization <= 1.0, "{second:?}");
        let text = serde_json::to_value(&second).unwrap();
        assert!(text["delayP99Ms"].is_number() && text["cpuCoreRatio"].is_number(), "{text}");
    }
}
