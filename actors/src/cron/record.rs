//! What is told of a run: the line that `cron.runs` shows, and the event `cron`.
//!
//! Source: run log and events of 2026.5.12.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::job::{DeliveryStatus, Job, RunStatus};
use super::plan::Missed;
use crate::model::message::Usage;

/// A run that is over, or slots in a row that did not run. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEntry {
    /// When this was written down.
    pub ts: i64,
    pub job_id: String,
    /// Always `finished`.
    pub action: String,
    pub status: RunStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer, cut if it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    pub run_id: String,
    /// When it began; of slots that did not run, the first of them.
    pub run_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<RunUsage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<DeliveryStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// OURS: of slots that did not run, how many, and the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedSlots>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MissedSlots {
    pub count: u64,
    pub last_at_ms: i64,
}

/// Tokens of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&Usage> for RunUsage {
    fn from(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            total_tokens: usage.total_tokens,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
        }
    }
}

impl RunEntry {
    /// The line of a run without what only some runs have.
    pub fn new(job_id: &str, run_id: String, run_at_ms: i64, status: RunStatus, now: i64) -> Self {
        Self {
            ts: now,
            job_id: job_id.to_owned(),
            action: "finished".to_owned(),
            status,
            error: None,
            summary: None,
            run_id,
            run_at_ms,
            duration_ms: None,
            next_run_at_ms: None,
            model: None,
            provider: None,
            usage: None,
            delivered: None,
            delivery_status: None,
            delivery_error: None,
            session_id: None,
            session_key: None,
            missed: None,
        }
    }

    /// The line of slots that did not run.
    pub fn of_missed(job: &Job, missed: &Missed, now: i64) -> Self {
        Self {
            error: Some(missed.why.as_str().to_owned()),
            next_run_at_ms: job.state.next_run_at_ms,
            missed: Some(MissedSlots { count: missed.count, last_at_ms: missed.last }),
            ..Self::new(&job.id, missed_id(&job.id, missed), missed.first, RunStatus::Skipped, now)
        }
    }
}

/// Under which id slots that did not run are kept.
fn missed_id(job: &str, missed: &Missed) -> String {
    format!("missed:{job}:{}", missed.first)
}

/// A job has come, changed or gone: `added`, `updated`, `removed`.
pub fn changed(action: &str, job: &Job) -> Value {
    let mut event = json!({ "jobId": job.id, "action": action, "job": job });
    if let Some(next) = job.state.next_run_at_ms {
        event["nextRunAtMs"] = json!(next);
    }
    event
}

/// A run begins.
pub fn started(job: &Job, run_at_ms: i64) -> Value {
    json!({ "jobId": job.id, "action": "started", "job": job, "runAtMs": run_at_ms })
}

/// A run is over. The job as it is now, unless it is gone.
pub fn finished(entry: &RunEntry, job: Option<&Job>) -> Value {
    let mut event = json!({ "jobId": entry.job_id, "action": "finished" });
    if let Some(job) = job {
        event["job"] = json!(job);
    }
    if let (Value::Object(event), Ok(Value::Object(mut line))) = (&mut event, serde_json::to_value(entry)) {
        line.shift_remove("ts");
        event.extend(line);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_told_as_it_is_written_down() {
        let entry = RunEntry {
            summary: Some("done".into()),
            duration_ms: Some(5),
            usage: Some(RunUsage::from(&Usage { input: 11, output: 6, total_tokens: 17, ..Usage::default() })),
            delivery_status: Some(DeliveryStatus::NotRequested),
            ..RunEntry::new("j", "cron:j:7".into(), 7, RunStatus::Ok, 12)
        };
        let line = json!({
            "ts": 12, "jobId": "j", "action": "finished", "status": "ok", "summary": "done", "runId": "cron:j:7",
            "runAtMs": 7, "durationMs": 5, "usage": { "input_tokens": 11, "output_tokens": 6, "total_tokens": 17 },
            "deliveryStatus": "not-requested"
        });
        assert_eq!(serde_json::to_value(&entry).unwrap(), line);
        assert_eq!(serde_json::from_value::<RunEntry>(line.clone()).unwrap(), entry);
        let event = finished(&entry, None);
        assert_eq!(
            (&event["jobId"], &event["summary"], &event["ts"]),
            (&line["jobId"], &line["summary"], &Value::Null)
        );
    }
}
