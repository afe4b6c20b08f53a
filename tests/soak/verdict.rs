//! Did anything grow? Decided on the samples alone.
//!
//! The first quarter is warm-up. The rest is cut into blocks, and each block counts with its median, so that a storm is no
//! trend. A slope counts against its own uncertainty: growth that the noise could have made is no finding.

use crate::sample::{SERIES, Sample, What};
use crate::tally::Tally;

/// What memory may grow in an hour.
const RSS_SLOPE_MAX: f64 = 1.0;
/// What memory may grow between the first block and the last, whatever the slope says.
const RSS_GROWTH_MAX: f64 = 8.0;
/// The same for a run that is too short for a slope: fresh memory is still being touched.
const RSS_GROWTH_MAX_SHORT: f64 = 48.0;
/// Seconds below which a slope says nothing.
const SHORT: f64 = 15.0 * 60.0;
const BLOCKS: usize = 24;

/// What was seen: idle before the load, under load, idle after it.
pub struct Watched<'a> {
    pub before: Sample,
    pub samples: &'a [Sample],
    pub after: Sample,
}

#[derive(Debug)]
pub struct Promise {
    pub what: String,
    pub measured: String,
    pub limit: String,
    pub kept: bool,
}

impl Promise {
    fn at_most(what: &str, measured: f64, limit: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{measured:.1}{unit}"),
            limit: format!("≤ {limit:.1}{unit}"),
            kept: measured <= limit,
        }
    }
}

pub fn judge(watched: &Watched<'_>, tally: &Tally) -> Vec<Promise> {
    let samples = &watched.samples[watched.samples.len() / 4..];
    let mut promises = memory(samples);
    // Under load the last third may not stand above the first one; storms make all of these jump, hence the room.
    for (what, name, room) in [
        (What::Files, "open files", 16.0),
        (What::Threads, "threads", 8.0),
        (What::Children, "child processes", 0.0),
        (What::Tasks, "tasks", 64.0),
        (What::Connections, "connection actors", 16.0),
    ] {
        let series: Vec<f64> = samples.iter().map(|sample| sample.get(what)).collect();
        let third = series.len().div_ceil(3).max(1);
        let early = median(&series[..third.min(series.len())]);
        let late = median(&series[series.len().saturating_sub(third)..]);
        promises.push(Promise::at_most(&format!("{name} under load, last third"), late, early + room, ""));
    }
    // Sessions rest after ten idle minutes only, so an actor and a task each may still be there.
    let sessions = watched.after.get(What::Sessions);
    for (what, name, room) in [
        (What::Files, "open files", 8.0), // connections to the provider rest in a pool for a while
        (What::Threads, "threads", 4.0),
        (What::Children, "child processes", 0.0),
        (What::Tasks, "tasks", 8.0 + 2.0 * sessions), // each connection of the pool has one
        (What::Actors, "actors", 1.0 + sessions),
        (What::Connections, "connection actors", 0.0),
    ] {
        let (before, after) = (watched.before.get(what), watched.after.get(what));
        promises.push(Promise::at_most(&format!("{name} after the load"), after, before + room, ""));
    }
    let (failures, _) = tally.failures();
    promises.push(Promise::at_most("answers that were missing or wrong", failures as f64, 0.0, ""));
    promises.push(at_least_one("turns", tally.count(crate::talkers::TURN)));
    promises.push(at_least_one("visitors of a storm", tally.count("visitor of a storm")));
    promises
}

/// A soak without load proves nothing.
fn at_least_one(what: &str, count: u64) -> Promise {
    Promise { what: what.to_owned(), measured: count.to_string(), limit: "≥ 1".to_owned(), kept: count >= 1 }
}

fn memory(samples: &[Sample]) -> Vec<Promise> {
    let points = blocks(samples);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return vec![at_least_one("samples", 0)];
    };
    let (time, growth) = (last.0 - first.0, last.1 - first.1);
    if time < SHORT {
        return vec![Promise::at_most("growth of RSS (too short for a slope)", growth, RSS_GROWTH_MAX_SHORT, " MB")];
    }
    let line = fit(&points);
    let slope = Promise {
        what: "slope of RSS after warm-up".to_owned(),
        measured: format!("{:.2} ± {:.2} MB/h", line.slope * 3600.0, line.error * 3600.0),
        limit: format!("≤ {RSS_SLOPE_MAX} MB/h, beyond twice its uncertainty"),
        kept: (line.slope - 2.0 * line.error) * 3600.0 <= RSS_SLOPE_MAX,
    };
    vec![slope, Promise::at_most("growth of RSS after warm-up", growth, RSS_GROWTH_MAX, " MB")]
}

/// The median time and RSS of each block.
fn blocks(samples: &[Sample]) -> Vec<(f64, f64)> {
    let size = samples.len().div_ceil(BLOCKS).max(1);
    let middle = |block: &[Sample]| {
        let of = |read: fn(&Sample) -> f64| median(&block.iter().map(read).collect::<Vec<_>>());
        (of(|sample| sample.at), of(|sample| sample.get(What::Rss)))
    };
    samples.chunks(size).map(middle).collect()
}

#[derive(Debug, PartialEq)]
struct Line {
    slope: f64,
    /// Standard error of the slope.
    error: f64,
}

/// Least squares; needs three points or more for the error, which is 0 otherwise.
fn fit(points: &[(f64, f64)]) -> Line {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if spread == 0.0 {
        return Line { slope: 0.0, error: 0.0 };
    }
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    let rest: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    let error = if points.len() > 2 { (rest / (count - 2.0) / spread).sqrt() } else { 0.0 };
    Line { slope, error }
}

/// The middle of a list; 0 of an empty one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The judge itself, tried before each soak: a leak must be found, and storms without a leak must not pass for one.
pub fn try_the_judge() {
    let hour_with = |mb_an_hour: f64| -> Vec<Sample> {
        let sample = |number: u32| {
            let at = f64::from(number) * 5.0;
            let storm = if number % 4 == 0 { 30.0 } else { f64::from(number * 7919 % 13) / 4.0 };
            let mut values = [0.0; SERIES.len()];
            values[What::Rss as usize] = 80.0 + storm + mb_an_hour * at / 3600.0;
            Sample { at, values }
        };
        (0..540).map(sample).collect()
    };
    for (mb_an_hour, expected) in [(0.0, true), (0.5, true), (4.0, false), (20.0, false)] {
        let promises = memory(&hour_with(mb_an_hour));
        let kept = promises.iter().all(|promise| promise.kept);
        assert_eq!(kept, expected, "{mb_an_hour} MB an hour: {promises:?}");
    }
}
