//! `status --resources`: what the gateway's process and its folders take.
//!
//! Read from `/proc` and the disk of this host; empty for a gateway elsewhere. Source: operations specification §7.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use super::document::Facts;
use crate::cli::context::Context;
use crate::cli::keys::GatewayKeys;
use crate::cli::text::number;

/// Clock ticks per second in `/proc`; the kernel's user interface fixes it.
const TICKS: f64 = 100.0;
/// Directories shown.
const LARGEST: usize = 5;
/// Entries looked at in one directory tree, so that the command stays quick.
const ENTRIES_MAX: usize = 200_000;

pub fn collect(context: &Context, keys: &GatewayKeys, facts: &Facts<'_>) -> Value {
    let state = &context.paths.state_dir;
    let logs = context.log_path(keys).dir().to_owned();
    let process = facts.pid.and_then(process);
    json!({
        "rssBytes": process.as_ref().map(|process| process.rss_bytes),
        "heapBytes": null,
        "cpuPct": process.as_ref().map(|process| process.cpu_pct),
        "fds": process.as_ref().and_then(|process| process.fds),
        "threads": process.as_ref().map(|process| process.threads),
        "diskBytes": { "state": size(state), "logs": size(&logs), "sessions": size(&state.join("agents")) },
        "diskFreeBytes": free(state),
        "largest": largest(state),
        "uptimeMs": facts.reach.hello.as_ref().and_then(|hello| number(hello, "/snapshot/uptimeMs")),
        "queues": null,
    })
}

#[derive(Debug, PartialEq)]
struct Process {
    rss_bytes: u64,
    threads: u64,
    /// Of one core, averaged over the life of the process.
    cpu_pct: f64,
    fds: Option<usize>,
}

fn process(pid: u32) -> Option<Process> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
    Some(Process { fds, ..parsed(&file("status")?, &file("stat")?, uptime)? })
}

fn parsed(status: &str, stat: &str, uptime_s: f64) -> Option<Process> {
    let field = |name: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| -> Option<f64> { fields.get(index)?.parse().ok() };
    let (busy, life) = ((ticks(11)? + ticks(12)?) / TICKS, uptime_s - ticks(19)? / TICKS);
    let cpu_pct = if life > 0.0 { (busy / life * 1000.0).round() / 10.0 } else { 0.0 };
    Some(Process { rss_bytes: field("VmRSS:")? * 1024, threads: field("Threads:")?, cpu_pct, fds: None })
}

/// Bytes of the files below a directory; links are not followed.
fn size(dir: &Path) -> u64 {
    let mut left = ENTRIES_MAX;
    size_within(dir, &mut left)
}

fn size_within(dir: &Path, left: &mut usize) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 }; // absent or not ours: takes nothing that we know of
    let mut bytes = 0;
    for entry in entries.flatten() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() { size_within(&entry.path(), left) } else { meta.len() };
    }
    bytes
}

fn largest(state: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(state) else { return Vec::new() };
    let dirs = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink());
    let mut sized: Vec<(u64, PathBuf)> = dirs.map(|path| (size(&path), path)).collect();
    sized.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    sized.truncate(LARGEST);
    sized.into_iter().map(|(bytes, path)| json!({ "path": path, "bytes": bytes })).collect()
}

#[allow(clippy::useless_conversion, reason = "these counts have other types on other systems")]
fn free(dir: &Path) -> Option<u64> {
    let disk = statvfs(dir).ok()?;
    Some(u64::from(disk.blocks_available()) * u64::from(disk.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_process_come_from_its_two_files() {
        let status = "Name:\topenclaw\nVmRSS:\t  2048 kB\nThreads:\t4\n";
        let stat = "9 (a b) S 1 9 9 0 -1 0 1 0 0 0 150 50 0 0 20 0 4 0 1000 5 6";
        let expected = Process { rss_bytes: 2_097_152, threads: 4, cpu_pct: 10.0, fds: None };
        assert_eq!(parsed(status, stat, 30.0), Some(expected));
        assert_eq!(parsed("", stat, 30.0), None);
    }

    #[test]
    fn the_largest_directories_come_first() {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in [("small", 10), ("large", 1000)] {
            let dir = root.path().join(name);
            openclaw_actors::files::ensure_dir(&dir).unwrap();
            openclaw_actors::files::replace(&dir.join("f"), &vec![0; bytes]).unwrap();
        }
        let largest = largest(root.path());
        assert_eq!(largest[0]["bytes"], 1000);
        assert_eq!(size(root.path()), 1010);
        assert!(free(root.path()).is_some_and(|bytes| bytes > 0));
    }
}
