//! `cron.add`, `update`, `remove`, `run`: every change of jobs is one transaction; then cron looks what is due.

use jiff::tz::TimeZone;
use openclaw_actors::cron::draft::{self, Draft, Offered, Refused};
use openclaw_actors::cron::job::{Job, JobState, Schedule};
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

use super::cron_view::One;
use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const ADMIN: Access = Access::Operator(Scope::Admin);

/// Jobs that there may be.
const JOBS_MAX: i64 = 1_000;

pub const METHODS: &[Method] = &[
    Method::new("cron.add", ADMIN, |call| Box::pin(add(call))),
    Method::new("cron.update", ADMIN, |call| Box::pin(update(call))),
    Method::new("cron.remove", ADMIN, |call| Box::pin(remove(call))),
    Method::new("cron.run", ADMIN, |call| Box::pin(run(call))),
];

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

/// The new job.
async fn add(call: Call) -> Result<Reply, ErrorShape> {
    let draft: Draft = call.params()?;
    let (id, now, host) = (uuid::Uuid::new_v4().to_string(), now_ms(), TimeZone::system());
    let job = judge(&call, draft, &id, None, now)?;
    let planned = Planned::new(job, now, &host).map_err(|error| refused(&call, &error.into()))?;
    let added = planned.clone();
    let write = move |db: &Connection| store::add_job(db, &added, JOBS_MAX);
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
