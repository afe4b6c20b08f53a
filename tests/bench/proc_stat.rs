//! Memory and processor time of a process, from `/proc`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Kernel ticks a second; fixed at 100 for user space on Linux.
const TICKS: f64 = 100.0;

pub struct Memory {
    pub rss_kib: f64,
    /// Shared pages counted by their share.
    pub pss_kib: f64,
}

pub fn memory(pid: u32) -> Memory {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
        line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
    };
    Memory { rss_kib: field("Rss:"), pss_kib: field("Pss:") }
}

/// Share of one core that a process uses, in percent.
pub async fn cpu_percent(pid: u32, time: Duration) -> f64 {
    let (started, before) = (Instant::now(), ticks(pid));
    sleep(time).await;
    (ticks(pid) - before) / TICKS / started.elapsed().as_secs_f64() * 100.0
}

/// User and system time so far. The name in field 2 may hold spaces, so counting starts behind its bracket.
fn ticks(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let (_, rest) = text.rsplit_once(") ").expect("the name's bracket");
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| fields[at].parse::<f64>().expect("a number");
    number(11) + number(12) // utime and stime are fields 14 and 15, and `rest` starts with field 3
}
