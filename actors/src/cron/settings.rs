//! `cron` of the configuration. Source for names, units and defaults: configuration reference of 2026.5.12.

use serde::Deserialize;

use super::job::Destination;

/// `cron.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cron {
    /// Without it jobs can be seen and changed, and none begins.
    pub enabled: bool,
    pub max_concurrent_runs: usize,
    pub session_retention: Option<Retention>,
    pub retry: CronRetry,
    pub run_log: CronRunLog,
    pub failure_alert: CronFailureAlert,
    pub failure_destination: Destination,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            max_concurrent_runs: 1,
            session_retention: None,
            retry: CronRetry::default(),
            run_log: CronRunLog::default(),
            failure_alert: CronFailureAlert::default(),
            failure_destination: Destination::default(),
        }
    }
}

/// How long something is kept: a duration, or `false` for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Retention {
    Kept(String),
    Switch(bool),
}

/// `cron.retry.*`: one-shots that failed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronRetry {
    pub max_attempts: u32,
    /// Milliseconds before each further try; the last one counts for all that follow.
    pub backoff_ms: Vec<i64>,
    /// What may pass by itself.
    pub retry_on: Option<Vec<String>>,
}

impl Default for CronRetry {
    fn default() -> Self {
        Self { max_attempts: 3, backoff_ms: vec![30_000, 60_000, 300_000], retry_on: None }
    }
}

/// `cron.runLog.*`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronRunLog {
    /// Of each job.
    pub keep_lines: u32,
}

impl Default for CronRunLog {
    fn default() -> Self {
        Self { keep_lines: 2_000 }
    }
}

/// `cron.failureAlert.*`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronFailureAlert {
    pub enabled: bool,
    /// Failures in a row.
    pub after: u32,
    /// Milliseconds.
    pub cooldown_ms: i64,
    pub include_skipped: bool,
}

impl Default for CronFailureAlert {
    fn default() -> Self {
        Self { enabled: false, after: 3, cooldown_ms: 3_600_000, include_skipped: false }
    }
}
