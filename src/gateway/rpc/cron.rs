//! `cron.*`: jobs, and what they did. Every change is one transaction; then cron looks what is due.

use jiff::tz::TimeZone;
use openclaw_actors::cron::draft::{self, Draft, Offered, Refused};
use openclaw_actors::cron::job::{DeliveryMode, DeliveryStatus, Job, JobState, RunStatus, Schedule};
use openclaw_actors::cron::plan::{Begin, Planned};
use openclaw_actors::cron::{publish, record, round};
use openclaw_actors::protocol::params::{self, Params, invalid};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::protocol::{ErrorCode, ErrorShape};
use openclaw_actors::run::context::agents;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::store::cron::{self as store, RunRow, RunState};
use openclaw_actors::store::{Connection, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const READ: Access = Access::Operator(Scope::Read);
const ADMIN: Access = Access::Operator(Scope::Admin);

/// Rows of one answer.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// Jobs that there may be.
const JOBS_MAX: i64 = 1_000;

pub const METHODS: &[Method] = &[
    Method::new("cron.status", READ, |call| Box::pin(status(call))),
    Method::new("cron.list", READ, |call| Box::pin(list(call))),
    Method::new("cron.get", READ, |call| Box::pin(get(call))),
    Method::new("cron.runs", READ, |call| Box::pin(runs(call))),
    Method::new("cron.add", ADMIN, |call| Box::pin(add(call))),
    Method::new("cron.update", ADMIN, |call| Box::pin(update(call))),
    Method::new("cron.remove", ADMIN, |call| Box::pin(remove(call))),
    Method::new("cron.run", ADMIN, |call| Box::pin(run(call))),
];

#[derive(Deserialize)]
struct One {
    #[serde(alias = "jobId")]
    id: String,
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

#[derive(Deserialize)]
struct Update {
    #[serde(alias = "jobId")]
    id: String,
    patch: Map<String, Value>,
}

impl Params for Update {
    fn check(&self) -> Result<(), String> {
        let kept = ["id", "createdAtMs", "updatedAtMs", "state"];
        match self.patch.keys().find(|key| kept.contains(&key.as_str())) {
            Some(key) => Err(format!("at /patch/{key}: is kept by the gateway; leave it out")),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Run {
    #[serde(alias = "jobId")]
    id: String,
    mode: Option<Mode>,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Due,
    Force,
}

impl Params for Run {}

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

/// The new job.
async fn add(call: Call) -> Result<Reply, ErrorShape> {
    let draft: Draft = call.params()?;
    let (id, now, host) = (uuid::Uuid::new_v4().to_string(), now_ms(), TimeZone::system());
    let job = judge(&call, draft, &id, None, now)?;
    let planned = Planned::new(job, now, &host).map_err(|error| refused(&call, &error.into()))?;
    let added = planned.clone();
    let write = move |db: &Connection| {
        if store::count_jobs(db)? >= JOBS_MAX {
            return Err(StoreError::Refused(format!("there are {JOBS_MAX} cron jobs already; remove one first")));
        }
        store::put_job(db, &added)
    };
    call.services.context.store.write(write).await.map_err(store_failed)?;
    tell(&call, "added", &planned.job).await
}

/// The changed job.
async fn update(call: Call) -> Result<Reply, ErrorShape> {
    let Update { id, patch } = call.params()?;
    let (now, host) = (now_ms(), TimeZone::system());
    let wanted = id.clone();
    let before = call.services.context.store.read(move |db| store::job(db, &wanted)).await.map_err(store_failed)?;
    let before = before.ok_or_else(|| unknown(&id))?.job;
    let draft: Draft = params::from_value(call.method, draft::patched(&before, &patch))?;
    let after = judge(&call, draft, &id, Some(&before), now)?;
    let (wanted, known) = (id.clone(), wish(&before));
    let write = move |db: &Connection| {
        let Some(mut planned) = store::job(db, &wanted)? else { return Ok(None) };
        let moved = planned.job.schedule != after.schedule || planned.job.enabled != after.enabled;
        if wish(&planned.job) != known {
            return Err(StoreError::Refused("the job was changed by somebody else meanwhile; do it again".to_owned()));
        }
        // A run may have begun or ended meanwhile; that stays.
        planned.job = Job { state: planned.job.state, ..after };
        if moved && let Err(error) = planned.begin_anew(now, &host) {
            return Err(StoreError::Refused(error.to_string()));
        }
        store::put_job(db, &planned)?;
        Ok(Some(planned.job))
    };
    let changed = call.services.context.store.write(write).await.map_err(store_failed)?;
    tell(&call, "updated", &changed.ok_or_else(|| unknown(&id))?).await
}

/// What people have said of a job, without what running it has changed.
fn wish(job: &Job) -> Job {
    Job { updated_at_ms: 0, state: JobState::default(), ..job.clone() }
}

/// `{ok, removed}`. A run that is under way goes on to its end.
async fn remove(call: Call) -> Result<Reply, ErrorShape> {
    let One { id } = call.params()?;
    let write = move |db: &Connection| {
        let before = store::job(db, &id)?;
        Ok((store::delete_job(db, &id)?, before))
    };
    let (removed, before) = call.services.context.store.write(write).await.map_err(store_failed)?;
    if let Some(before) = before {
        tell(&call, "removed", &before.job).await?;
    }
    Ok(Reply::Value(json!({ "ok": true, "removed": removed })))
}

/// What becomes of a wish to run a job now.
enum Asked {
    Enqueued,
    Not(&'static str),
    Unknown,
}

/// `{ok, enqueued, runId}` or `{ok, ran, reason}`.
async fn run(call: Call) -> Result<Reply, ErrorShape> {
    let Run { id, mode } = call.params()?;
    let (now, host) = (now_ms(), TimeZone::system());
    let context = &call.services.context;
    let run_id = context.cron.id_by_hand(&id, now);
    let keep = context.config.load().settings.cron.run_log.keep_lines;
    let (job, new) = (id.clone(), run_id.clone());
    let write = move |db: &Connection| {
        let Some(mut planned) = store::job(db, &job)? else { return Ok(Asked::Unknown) };
        if store::open_run_of(db, &job)?.is_some() {
            return Ok(Asked::Not("already-running"));
        }
        let slot_at = match mode {
            Some(Mode::Due) => match due(db, &mut planned, now, &host, keep)? {
                Some(slot) => Some(slot),
                None => return Ok(Asked::Not("not-due")),
            },
            Some(Mode::Force) | None => None,
        };
        let row = RunRow {
            run_id: new,
            job_id: job,
            slot_at,
            state: RunState::Queued,
            queued_at: now,
            started_at: None,
            session_key: None,
            entry: None,
        };
        Ok(if store::add_run(db, &row)? { Asked::Enqueued } else { Asked::Not("already-running") })
    };
    match context.store.write(write).await.map_err(store_failed)? {
        Asked::Unknown => Err(unknown(&id)),
        Asked::Not(reason) => Ok(Reply::Value(json!({ "ok": true, "ran": false, "reason": reason }))),
        Asked::Enqueued => {
            context.cron.look();
            Ok(Reply::Value(json!({ "ok": true, "enqueued": true, "runId": run_id })))
        }
    }
}

/// Takes the slot of a job that is due, for a run that waits for its turn.
fn due(
    db: &Connection,
    planned: &mut Planned,
    now: i64,
    host: &TimeZone,
    keep: u32,
) -> Result<Option<i64>, StoreError> {
    let (slot, missed) = match planned.begin(now, host) {
        Begin::NotDue => return Ok(None),
        Begin::Run { slot, missed } => (Some(slot), missed),
        Begin::Missed(missed) => (None, Some(missed)),
    };
    planned.job.state.running_at_ms = None; // not yet
    store::put_job(db, planned)?;
    if let Some(missed) = missed {
        round::add_missed(db, &record::RunEntry::of_missed(&planned.job, &missed, now), keep)?;
    }
    Ok(slot)
}

/// The job that a draft asks for.
fn judge(call: &Call, draft: Draft, id: &str, before: Option<&Job>, now: i64) -> Result<Job, ErrorShape> {
    let context = &call.services.context;
    let snapshot = context.config.load();
    let (keys, known) = (context.key_rules(), agents(&snapshot.settings));
    let takes_events = context.cron.takes_events();
    let offered = Offered { host: &TimeZone::system(), keys: &keys, agents: &known, takes_events, now };
    draft.into_job(id, before, &offered).map_err(|error| refused(call, &error))
}

fn refused(call: &Call, error: &Refused) -> ErrorShape {
    if error.is_of_params() { invalid(call.method, &error.to_string()) } else { ErrorShape::invalid(error.to_string()) }
}

fn unknown(id: &str) -> ErrorShape {
    ErrorShape::new(ErrorCode::Unavailable, format!("Error: unknown cron job id: {id}"))
}

/// Everybody hears of it, cron looks what is due now, and the caller gets the job.
async fn tell(call: &Call, action: &str, job: &Job) -> Result<Reply, ErrorShape> {
    publish(&call.services.context, &record::changed(action, job)).await;
    call.services.context.cron.look();
    tracing::info!(
        job = job.id,
        name = job.name,
        action,
        once = matches!(job.schedule, Schedule::At { .. }),
        "cron job"
    );
    Reply::of(job)
}
