//! One look at the gateway: what the kernel says of the process, what it says of itself, and what lies on its disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Client, Gateway};
use crate::talkers::TURN;
use crate::tally::Tally;

/// What is measured, in the order of `Sample::values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Rss,
    Pss,
    Files,
    Threads,
    Children,
    Tasks,
    Actors,
    Sessions,
    Connections,
    Database,
    Log,
    Answer,
    Turns,
}

/// Every series with its name and unit.
pub const SERIES: [(What, &str); 13] = [
    (What::Rss, "RSS, MB"),
    (What::Pss, "PSS, MB"),
    (What::Files, "open files"),
    (What::Threads, "threads"),
    (What::Children, "child processes"),
    (What::Tasks, "tasks"),
    (What::Actors, "actors"),
    (What::Sessions, "session actors"),
    (What::Connections, "connection actors"),
    (What::Database, "database, MB"),
    (What::Log, "log, MB"),
    (What::Answer, "time of `system.tree`, ms"),
    (What::Turns, "turns so far"),
];

#[derive(Debug, Clone)]
pub struct Sample {
    /// Seconds since the sampler started.
    pub at: f64,
    pub values: [f64; SERIES.len()],
}

impl Sample {
    pub fn get(&self, what: What) -> f64 {
        self.values[what as usize]
    }

    /// The lower one of each value.
    pub fn lowest(mut self, other: &Self) -> Self {
        for (value, other) in self.values.iter_mut().zip(other.values) {
            *value = value.min(other);
        }
        self
    }
}

/// A connection of its own and the files to look at.
pub struct Sampler {
    client: Client,
    pid: u32,
    state: PathBuf,
    log: PathBuf,
    started: Instant,
}

impl Sampler {
    pub async fn start(gateway: &Gateway) -> Self {
        Self {
            client: Client::connect(&gateway.ws()).await,
            pid: gateway.pid(),
            state: gateway.place().state(),
            log: gateway.place().root().join("gateway.log"),
            started: Instant::now(),
        }
    }

    pub async fn take(&mut self, tally: &Tally) -> Sample {
        self.client.frames_for(Duration::ZERO).await; // what was told meanwhile is not kept
        let asked = Instant::now();
        let tree = self.client.ask("system.tree", json!({ "all": true })).await;
        let answer_ms = asked.elapsed().as_secs_f64() * 1e3;
        let metrics = self.client.ask("diagnostics.metrics", json!({})).await;
        let memory = proc_text(self.pid, "smaps_rollup");
        let status = proc_text(self.pid, "status");
        let mut values = [0.0; SERIES.len()];
        for (what, value) in [
            (What::Rss, field(&memory, "Rss:") * 1.024 / 1e3),
            (What::Pss, field(&memory, "Pss:") * 1.024 / 1e3),
            (What::Files, std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count) as f64),
            (What::Threads, field(&status, "Threads:")),
            (What::Children, children(self.pid) as f64),
            (What::Tasks, metric(&metrics, "openclaw_runtime_tasks")),
            (What::Actors, actors(&tree["root"], None)),
            (What::Sessions, actors(&tree["root"], Some("session"))),
            (What::Connections, actors(&tree["root"], Some("connection"))),
            (What::Database, size(&self.state) / 1e6),
            (What::Log, size(&self.log) / 1e6),
            (What::Answer, answer_ms),
            (What::Turns, tally.count(TURN) as f64),
        ] {
            values[what as usize] = value;
        }
        Sample { at: self.started.elapsed().as_secs_f64(), values }
    }
}

fn proc_text(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_else(|error| panic!("/proc/{pid}/{file}: {error}"))
}

/// The number behind a name at the start of a line, without its unit.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Processes whose parent is `pid`. A process may end while it is looked at.
fn children(pid: u32) -> usize {
    let parent = |entry: std::fs::DirEntry| -> Option<u32> {
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(parent).filter(|parent| *parent == pid).count()
}

fn metric(metrics: &Value, name: &str) -> f64 {
    let families = metrics["families"].as_array().expect("families");
    let family = families.iter().find(|family| family["name"] == name).unwrap_or_else(|| panic!("no metric {name}"));
    family["series"][0]["value"].as_f64().expect("a value")
}

/// Nodes of the tree, of one kind or of all.
fn actors(node: &Value, kind: Option<&str>) -> f64 {
    let own = f64::from(u8::from(kind.is_none_or(|kind| node["kind"] == kind)));
    own + node["children"].as_array().into_iter().flatten().map(|child| actors(child, kind)).sum::<f64>()
}

/// Bytes of a file, or of all files in a folder.
fn size(path: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0.0, |facts| facts.len() as f64);
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}
