//! `cron.status`, `list`, `get`, `runs`: jobs, and what they did.

use openclaw_actors::cron::job::{DeliveryMode, DeliveryStatus, Job, RunStatus};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::Connection;
use openclaw_actors::store::cron as store;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const READ: Access = Access::Operator(Scope::Read);

/// Rows of one answer.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;
pub const METHODS: &[Method] = &[
    Method::new("cron.status", READ, |call| Box::pin(status(call))),
    Method::new("cron.list", READ, |call| Box::pin(list(call))),
    Method::new("cron.get", READ, |call| Box::pin(get(call))),
    Method::new("cron.runs", READ, |call| Box::pin(runs(call))),
];

/// The job that something is done with.
#[derive(Deserialize)]
pub struct One {
    #[serde(alias = "jobId")]
    pub id: String,
}

impl Params for One {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    include_disabled: Option<bool>,
    limit: Option<u64>,
    #[serde(default)]
    offset: u32,
    query: Option<String>,
    enabled: Option<Which>,
    sort_by: Option<SortBy>,
    sort_dir: Option<SortDir>,
    agent_id: Option<String>,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
enum Which {
    #[serde(rename = "all")]
    All,
    #[serde(rename = "enabled")]
    On,
    #[serde(rename = "disabled")]
    Off,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum SortBy {
    NextRunAtMs,
    UpdatedAtMs,
    Name,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum SortDir {
    Asc,
    Desc,
}

impl Params for List {
    fn check(&self) -> Result<(), String> {
        params::range("limit", self.limit, 1, LIMIT_MAX)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runs {
    scope: Option<ScopeOf>,
    #[serde(alias = "jobId")]
    id: Option<String>,
    limit: Option<u64>,
    #[serde(default)]
    offset: u32,
    status: Option<StatusWord>,
    #[serde(default)]
    statuses: Vec<RunStatus>,
    delivery_status: Option<DeliveryStatus>,
    #[serde(default)]
    delivery_statuses: Vec<DeliveryStatus>,
    query: Option<String>,
    sort_dir: Option<SortDir>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ScopeOf {
    Job,
    All,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusWord {
    All,
    Ok,
    Error,
    Skipped,
}

impl Params for Runs {
    fn check(&self) -> Result<(), String> {
        params::range("limit", self.limit, 1, LIMIT_MAX)?;
        match (&self.scope, &self.id) {
            (Some(ScopeOf::Job), None) => Err("missing id".to_owned()),
            _ => Ok(()),
        }
    }
}

/// `{enabled, storePath, jobs, nextWakeAtMs}`
async fn status(call: Call) -> Result<Reply, ErrorShape> {
    let context = &call.services.context;
    let read = |db: &Connection| Ok((store::count_jobs(db)?, store::next_at(db)?));
    let (jobs, next) = context.store.read(read).await.map_err(store_failed)?;
    let enabled = context.config.load().settings.cron.enabled && !context.cron.is_skipped();
    Ok(Reply::Value(json!({
        "enabled": enabled, "storePath": context.store.path().display().to_string(), "jobs": jobs, "nextWakeAtMs": next,
    })))
}

/// `{jobs, total, offset, limit, hasMore, nextOffset, deliveryPreviews}`
async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let wanted: List = call.params()?;
    let planned = call.services.context.store.read(store::jobs).await.map_err(store_failed)?;
    let mut jobs: Vec<Job> = planned.into_iter().map(|planned| planned.job).filter(|job| fits(job, &wanted)).collect();
    match wanted.sort_by.unwrap_or(SortBy::NextRunAtMs) {
        SortBy::NextRunAtMs => jobs.sort_by_key(|job| job.state.next_run_at_ms.unwrap_or(i64::MAX)),
        SortBy::UpdatedAtMs => jobs.sort_by_key(|job| job.updated_at_ms),
        SortBy::Name => jobs.sort_by_key(|job| job.name.to_lowercase()),
    }
    if wanted.sort_dir == Some(SortDir::Desc) {
        jobs.reverse();
    }
    let total = jobs.len() as u64;
    // Who names no limit gets all of them, as far as one answer goes.
    let limit = wanted.limit.unwrap_or(if total == 0 { LIMIT } else { total.min(LIMIT_MAX) });
    let offset = u64::from(wanted.offset);
    let page: Vec<&Job> = jobs.iter().skip(usize(offset)).take(usize(limit)).collect();
    let previews: Map<String, Value> = page.iter().map(|job| (job.id.clone(), preview(job))).collect();
    let mut answer = paged("jobs", json!(page), page.len(), total, offset, limit);
    answer["deliveryPreviews"] = Value::Object(previews);
    Ok(Reply::Value(answer))
}

fn fits(job: &Job, wanted: &List) -> bool {
    let shown = match (wanted.enabled, wanted.include_disabled) {
        (Some(Which::All), _) | (None, Some(true)) => true,
        (Some(Which::Off), _) => !job.enabled,
        (Some(Which::On), _) | (None, _) => job.enabled,
    };
    let contains = |text: Option<&str>, query: &str| text.is_some_and(|text| text.to_lowercase().contains(query));
    let query = wanted.query.as_deref().map(str::to_lowercase);
    let found = query.is_none_or(|query| {
        [Some(job.name.as_str()), job.description.as_deref(), Some(job.id.as_str())]
            .into_iter()
            .any(|text| contains(text, &query))
    });
    shown && found && wanted.agent_id.as_ref().is_none_or(|agent| job.agent_id.as_ref() == Some(agent))
}

/// In words, where results of a job go.
fn preview(job: &Job) -> Value {
    let Some(delivery) = job.delivery.as_ref().filter(|delivery| delivery.mode == DeliveryMode::Announce) else {
        return json!({ "label": "not requested", "detail": "not requested" });
    };
    let channel = delivery.channel.as_deref().unwrap_or("last");
    let detail = delivery.to.as_ref().map_or_else(|| channel.to_owned(), |to| format!("{channel} {to}"));
    json!({ "label": "announce", "detail": detail })
}

/// The job.
async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let One { id } = call.params()?;
    let wanted = id.clone();
    let found = call.services.context.store.read(move |db| store::job(db, &wanted)).await.map_err(store_failed)?;
    let found = found.ok_or_else(|| ErrorShape::invalid(format!("cron job not found: {id}")))?;
    Reply::of(&found.job)
}

/// `{entries, total, offset, limit, hasMore, nextOffset}`
async fn runs(call: Call) -> Result<Reply, ErrorShape> {
    let wanted: Runs = call.params()?;
    let is_of_all = wanted.scope == Some(ScopeOf::All) || wanted.id.is_none();
    let word = match wanted.status {
        None | Some(StatusWord::All) => None,
        Some(StatusWord::Ok) => Some(RunStatus::Ok),
        Some(StatusWord::Error) => Some(RunStatus::Error),
        Some(StatusWord::Skipped) => Some(RunStatus::Skipped),
    };
    let filter = store::Filter {
        job_id: wanted.id.filter(|_| !is_of_all),
        statuses: wanted.statuses.into_iter().chain(word).collect(),
        deliveries: wanted.delivery_statuses.into_iter().chain(wanted.delivery_status).collect(),
        query: wanted.query.filter(|query| !query.is_empty()),
        oldest_first: wanted.sort_dir == Some(SortDir::Asc),
    };
    let (limit, offset) = (wanted.limit.unwrap_or(LIMIT), wanted.offset);
    let read = move |db: &Connection| store::ended(db, &filter, offset, u32::try_from(limit).unwrap_or(u32::MAX));
    let (found, total) = call.services.context.store.read(read).await.map_err(store_failed)?;
    let entries: Vec<Value> = found
        .iter()
        .map(|(entry, name)| {
            let mut line = json!(entry);
            if let (true, Some(name)) = (is_of_all, name) {
                line["jobName"] = json!(name);
            }
            line
        })
        .collect();
    let (count, total) = (entries.len(), u64::try_from(total).unwrap_or(0));
    Ok(Reply::Value(paged("entries", json!(entries), count, total, u64::from(offset), limit)))
}

fn paged(name: &str, rows: Value, count: usize, total: u64, offset: u64, limit: u64) -> Value {
    let next = offset + count as u64;
    let has_more = next < total;
    let next = has_more.then_some(next);
    let mut page = Map::from_iter([(name.to_owned(), rows)]);
    for (key, value) in [
        ("total", json!(total)),
        ("offset", json!(offset)),
        ("limit", json!(limit)),
        ("hasMore", json!(has_more)),
        ("nextOffset", json!(next)),
    ] {
        page.insert(key.to_owned(), value);
    }
    Value::Object(page)
}

fn usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
