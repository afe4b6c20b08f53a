//! The registry of metrics: what was counted, and what can be read off the gateway at the moment when somebody asks.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use openclaw_actors::memory;
use openclaw_actors::store::{outbox, runs};
use openclaw_actors::supervision::Node;
use openclaw_actors::supervision::task::{self, Task};
use serde_json::{Value, json};

use super::services::Services;

/// Bounds of all durations, seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];
/// How often what was measured is added up.
const UPKEEP: Duration = Duration::from_secs(10);
/// Series that are told; beyond, they are left out and counted.
const SERIES_MAX: usize = 2048;

/// One for the process, because what counts is too.
static REGISTRY: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS).ok()?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    Some(handle)
});

/// From here on everything is counted. The task adds up what was measured, which otherwise only somebody who asks would do.
#[must_use = "dropping it ends the upkeep"]
pub fn start() -> Option<Task> {
    let Some(registry) = REGISTRY.as_ref() else {
        tracing::warn!(target: "gateway", "metrics are not collected");
        return None;
    };
    Some(task::spawn("metrics-upkeep", async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            registry.run_upkeep();
        }
    }))
}

/// Everything in the text format of Prometheus, version 0.0.4.
pub async fn text(services: &Services) -> String {
    look(services).await;
    let Some(registry) = REGISTRY.as_ref() else { return String::new() };
    bounded(&registry.render())
}

/// The same as `{families: [{name, type, series: [{labels, value}]}]}`.
pub async fn json(services: &Services) -> Value {
    let mut families: Vec<Value> = Vec::new();
    for line in text(services).await.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.push(json!({ "name": name, "type": kind, "series": [] }));
        } else if let (Some(series), Some(family)) = (series(line), families.last_mut())
            && let Some(list) = family["series"].as_array_mut()
        {
            list.push(series);
        }
    }
    json!({ "families": families })
}

/// `name{key="value",…} 1.5`
fn series(line: &str) -> Option<Value> {
    let (head, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let value: f64 = value.parse().ok()?;
    let (name, labels) = match head.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (head, ""),
    };
    let mut map = serde_json::Map::new();
    for pair in labels.split("\",").filter(|pair| !pair.is_empty()) {
        let (key, text) = pair.split_once("=\"")?;
        map.insert(key.to_owned(), json!(text.trim_end_matches('"')));
    }
    Some(json!({ "name": name, "labels": map, "value": value }))
}

/// The text with at most `SERIES_MAX` series, and how many were left out.
fn bounded(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut series, mut dropped) = (0, 0);
    for line in text.lines() {
        let is_series = !line.is_empty() && !line.starts_with('#');
        series += usize::from(is_series);
        if is_series && series > SERIES_MAX {
            dropped += 1;
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept.push_str("# TYPE openclaw_prometheus_series_dropped_total counter\n");
    kept.push_str(&format!("openclaw_prometheus_series_dropped_total {dropped}\n"));
    kept
}

/// Reads off what has a value now.
async fn look(services: &Services) {
    let context = &services.context;
    gauge!("openclaw_gateway_build_info", "version" => services.version).set(1.0);
    for (role, count) in services.clients.roles() {
        gauge!("openclaw_ws_connections", "role" => role).set(count as f64);
    }
    let lane = &context.lanes.main;
    gauge!("openclaw_queue_lane_size", "lane" => "main").set(lane.waiting() as f64);
    let live = context.directory.live().len();
    gauge!("openclaw_session_queue_depth", "state" => "running").set(live as f64);
    gauge!("openclaw_session_queue_depth", "state" => "waiting")
        .set(context.directory.open().saturating_sub(live) as f64);
    for (kind, depth) in depths(&context.overview.snapshot(true).await) {
        gauge!("openclaw_mailbox_depth", "kind" => kind).set(depth as f64);
    }
    if let Ok(counts) = context.store.read(runs::counts).await {
        for (state, count) in counts {
            gauge!("openclaw_inbound_queue", "state" => state).set(count as f64);
        }
    }
    if let Ok(counts) = context.store.read(outbox::counts).await {
        for state in ["pending", "sending", "failed", "unknown"] {
            let count = counts.iter().find(|(found, _)| found == state).map_or(0, |(_, count)| *count);
            gauge!("openclaw_outbox", "state" => state).set(count as f64);
        }
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    gauge!("openclaw_runtime_tasks").set(tasks as f64);
    let of_process = || (memory::usage_now(), std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok());
    let (usage, files) = task::blocking(of_process).await.unwrap_or_default();
    if let Some(usage) = usage {
        gauge!("openclaw_memory_rss_bytes").set(usage.rss as f64);
    }
    if let Some(files) = files {
        gauge!("openclaw_open_fds").set(files as f64);
    }
}

/// Waiting mails by kind of actor; the deepest mailbox of a kind counts.
fn depths(root: &Node) -> Vec<(&'static str, usize)> {
    let mut depths: Vec<(&'static str, usize)> = Vec::new();
    for node in root.walk() {
        match depths.iter_mut().find(|(kind, _)| *kind == node.kind) {
            Some((_, depth)) => *depth = (*depth).max(node.mailbox),
            None => depths.push((node.kind, node.mailbox)),
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_series() {
        let line = r#"openclaw_x_bucket{kind="a b",le="0.5"} 3"#;
        let expected = json!({ "name": "openclaw_x_bucket", "labels": { "kind": "a b", "le": "0.5" }, "value": 3.0 });
        assert_eq!(series(line), Some(expected));
        assert_eq!(series("openclaw_x 1.5").unwrap()["value"], 1.5);
        assert_eq!(series("# HELP openclaw_x y"), None);
    }

    #[test]
    fn too_many_series_are_left_out_and_counted() {
        let text: String = (0..SERIES_MAX + 5).map(|n| format!("openclaw_x{{n=\"{n}\"}} 1\n")).collect();
        let bounded = bounded(&text);
        assert!(bounded.ends_with("openclaw_prometheus_series_dropped_total 5\n"));
        assert_eq!(bounded.lines().filter(|line| line.starts_with("openclaw_x")).count(), SERIES_MAX);
    }
}
