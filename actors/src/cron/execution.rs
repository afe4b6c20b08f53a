//! One run of a job, from its turn to what is written down and said. A task of the cron actor.
//!
//! A crash at any moment is answered at the next look: a turn that is over is written down as it ended, one that still runs in
//! this process is waited for, and anything else was interrupted. Nothing is done twice.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::delivery::{self, Plan};
use super::handle::Event;
use super::job::{DeliveryStatus, FailureAlert, Job, Payload, RunStatus};
use super::plan::{Alert, Rules};
use super::record::{self, RunEntry, RunUsage};
use super::round::{After, Claim, Over, Written};
use super::settings::Cron as Settings;
use super::verdict::Verdict;
use crate::delivery::{Message, Route};
use crate::events::{self, EventsMsg};
use crate::run::context::Context;
use crate::run::directory::Ticket;
use crate::run::message::{AbortCause, Authority, Turn, TurnKind};
use crate::run::stream::now_ms;
use crate::session::submit::{self, SubmitError, Submitted};
use crate::session::thinking::ThinkLevel;
use crate::session::{Admission, SessionError, SessionKey, SessionMsg};
use crate::store::cron::{self, RunRow};
use crate::store::outbox::OutboxRow;
use crate::store::runs;

/// Limit of a turn that names none, seconds.
const TIMEOUT_SECONDS: u64 = 3_600;
/// Limit of anything else.
const OTHER_LIMIT: Duration = Duration::from_secs(600);
/// So much longer than its limit a turn may take, since others may run before it.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a turn that was told to end may take for it.
const CLEANUP: Duration = Duration::from_secs(20);
/// Characters of an answer that the log of runs keeps.
const SUMMARY_MAX: usize = 4_000;
/// Pause before an end that could not be written down is tried again; doubles up to a minute.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Does what a job says, and writes down how it ended.
pub async fn begin(context: Arc<Context>, claim: Claim) {
    let verdict = match &claim.job.payload {
        Payload::SystemEvent { text } => tell(&context, &claim.job, text).await,
        Payload::AgentTurn { .. } => match turn(&context, &claim) {
            Ok((key, turn)) => run(&context, &key, turn).await,
            Err(error) => Verdict::failed(error),
        },
    };
    write_down(&context, &claim.run, Some(&claim.job), verdict).await;
}

/// Takes up a run that an earlier life of the actor, or of the gateway, had begun.
pub async fn take_up(context: Arc<Context>, run: RunRow) {
    let id = run.job_id.clone();
    let job = context.store.read(move |db| cron::job(db, &id)).await.ok().flatten().map(|planned| planned.job);
    let verdict = match context.directory.get(&run.run_id) {
        Some(ticket) => {
            let key = SessionKey::from_stored(ticket.session_key.clone());
            wait(&context, &key, ticket, limit(job.as_ref().and_then(timeout))).await
        }
        None => recorded(&context, &run.run_id).await.unwrap_or_else(Verdict::interrupted),
    };
    write_down(&context, &run, job.as_ref(), verdict).await;
}

/// Seconds that the job gives its turn.
fn timeout(job: &Job) -> Option<u64> {
    match &job.payload {
        Payload::AgentTurn { timeout_seconds, .. } => *timeout_seconds,
        Payload::SystemEvent { .. } => None,
    }
}

/// How long the end of a turn is waited for that may take so many seconds; 0: as long as it likes.
fn limit(seconds: Option<u64>) -> Duration {
    match seconds.unwrap_or(TIMEOUT_SECONDS) {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds).saturating_add(PATIENCE),
    }
}

/// How the turn of this id ended, as far as the store knows.
async fn recorded(context: &Context, run_id: &str) -> Option<Verdict> {
    let mut pause = RETRY;
    loop {
        let id = run_id.to_owned();
        match context.store.read(move |db| runs::get(db, &id)).await {
            Ok(run) => return run.as_ref().and_then(Verdict::of_record),
            Err(error) => tracing::warn!(run = run_id, %error, "a cron run cannot be looked up yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Puts an event into the agent's main session.
async fn tell(context: &Context, job: &Job, text: &str) -> Verdict {
    let Some(main) = context.cron.main_session() else {
        return Verdict::failed("the main session takes no events in this release");
    };
    let event = Event {
        agent: delivery::agent(context, job),
        text: text.to_owned(),
        job_id: job.id.clone(),
        wake_mode: job.wake_mode,
    };
    match tokio::time::timeout(OTHER_LIMIT, main.wake(event)).await {
        Ok(Ok(())) => Verdict::default(),
        Ok(Err(error)) => Verdict::failed(error),
        Err(_) => Verdict::timed_out(),
    }
}

/// The turn of a run, and the session that it belongs to.
fn turn(context: &Context, claim: &Claim) -> Result<(SessionKey, Turn), String> {
    let Payload::AgentTurn { message, model, thinking, timeout_seconds, .. } = &claim.job.payload else {
        return Err("the job has no turn".to_owned());
    };
    let key = claim.run.session_key.clone().ok_or("the run has no session")?;
    let resolve = |model: &String| context.models.resolve(model).map(|(provider, model)| format!("{provider}/{model}"));
    let turn = Turn {
        run_id: claim.run.run_id.clone(),
        kind: TurnKind::Cron,
        // In front of what the job says, so that no word of it is taken for a command.
        text: format!("[cron:{} {}] {message}", claim.job.id, claim.job.name),
        images: Vec::new(),
        model: model.as_ref().map(resolve).transpose()?,
        thinking: thinking.as_deref().and_then(ThinkLevel::parse).map(|level| level.as_str().to_owned()),
        extra_system_prompt: None,
        timeout_seconds: Some(timeout_seconds.unwrap_or(TIMEOUT_SECONDS)),
        max_tokens: None,
        channel: None,
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now_ms(),
    };
    Ok((SessionKey::from_stored(key), turn))
}

/// Hands the turn to its session and waits for its end.
async fn run(context: &Context, key: &SessionKey, turn: Turn) -> Verdict {
    let limit = limit(turn.timeout_seconds);
    match submit::submit(context, key, turn, None).await {
        Ok(Submitted::Admitted { admission: Admission::Known(record), .. }) => match Verdict::of_record(&record) {
            Some(verdict) => verdict,
            None => Verdict::interrupted(),
        },
        Ok(Submitted::Admitted { ticket, .. } | Submitted::Repeated(ticket)) => wait(context, key, ticket, limit).await,
        Err(SubmitError::Session(SessionError::Refused(error))) => Verdict::failed(error),
        Err(error) => Verdict::for_now(error.to_string(), "overloaded"),
    }
}

/// Waits for the end of a turn; one that takes too long is ended.
async fn wait(context: &Context, key: &SessionKey, mut ticket: Ticket, limit: Duration) -> Verdict {
    if let Some(verdict) = end_within(context, &mut ticket, limit).await {
        return verdict;
    }
    let run_id = ticket.run_id.clone();
    let abort = |reply| SessionMsg::Abort { run_id: Some(run_id.clone()), cause: AbortCause::Timeout, reply };
    if let Err(error) = context.ask_session(key, abort).await {
        tracing::warn!(session = %key, run = ticket.run_id, error, "a cron run takes too long and could not be ended");
    }
    end_within(context, &mut ticket, CLEANUP).await.unwrap_or_else(Verdict::timed_out)
}

async fn end_within(context: &Context, ticket: &mut Ticket, limit: Duration) -> Option<Verdict> {
    let ended = tokio::time::timeout(limit, ticket.ended.wait_for(Option::is_some)).await.ok()?;
    let told = ended.ok().and_then(|end| end.as_ref().map(|end| Verdict::of_end(end)));
    match told {
        Some(verdict) => Some(verdict),
        // Whoever had the turn took it back: it was not accepted, or the store knows its end.
        None => Some(recorded(context, &ticket.run_id).await.unwrap_or_else(Verdict::interrupted)),
    }
}

/// Writes the end down until it is on disk, and says what is to be said.
async fn write_down(context: &Arc<Context>, run: &RunRow, job: Option<&Job>, verdict: Verdict) {
    let settled = settle(context, run, job, verdict).await;
    let mut pause = RETRY;
    let written = loop {
        let (context, settled) = (Arc::clone(context), settled.clone());
        let store = context.store.clone();
        match store.write(move |db| settled.write(&context, db)).await {
            Ok(written) => break written,
            Err(error) => {
                tracing::warn!(run = run.run_id, %error, "the end of a cron run could not be written down yet")
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    };
    let Some(Written { entry, job, missed, says }) = written else { return };
    let error = entry.error.as_deref();
    tracing::info!(job = entry.job_id, run = entry.run_id, status = entry.status.as_str(), error, "cron run ended");
    crate::metrics::cron_run(entry.status.as_str());
    context.channels.message_stored(&says);
    for entry in missed.iter().chain([&entry]) {
        publish(context, &record::finished(entry, job.as_ref())).await;
    }
}

/// Tells everybody who may hear of jobs.
pub async fn publish(context: &Context, payload: &serde_json::Value) {
    let event = events::Event::broadcast("cron", payload);
    let _ = context.events.send(EventsMsg::Publish(event)).await; // the hub starts anew: whoever asks reads the store
}

/// An end with everything that follows from the configuration.
#[derive(Clone)]
struct Settled {
    entry: RunEntry,
    reason: Option<&'static str>,
    says: Vec<OutboxRow>,
    /// Where it is told that a job keeps failing.
    alert_to: Option<Route>,
    settings: Settings,
}

async fn settle(context: &Context, run: &RunRow, job: Option<&Job>, verdict: Verdict) -> Settled {
    let snapshot = context.config.load();
    let settings = snapshot.settings.cron.clone();
    let now = now_ms();
    let mut entry =
        RunEntry::new(&run.job_id, run.run_id.clone(), run.started_at.unwrap_or(now), verdict.status(), now);
    entry.error.clone_from(&verdict.error);
    entry.summary = Some(verdict.text.chars().take(SUMMARY_MAX).collect()).filter(|text: &String| !text.is_empty());
    entry.duration_ms = Some((now - entry.run_at_ms).max(0));
    entry.session_id = verdict.session_id;
    entry.session_key.clone_from(&run.session_key);
    if let Some(facts) = &verdict.facts {
        entry.model = Some(facts.model.clone());
        entry.provider = Some(facts.provider.clone());
        entry.usage = Some(RunUsage::from(&facts.usage));
    }
    let mut settled = Settled { entry, reason: verdict.reason, says: Vec::new(), alert_to: None, settings };
    let Some(job) = job else { return settled };
    let last = delivery::last_route(context, &delivery::agent(context, job)).await;
    let plan = delivery::plan(job.delivery.as_ref(), &context.channels, &snapshot, last.as_ref());
    settled.deliver(context, &plan, &verdict.text);
    let fallback = settled.settings.failure_destination.clone();
    let failures = delivery::failures(job, &fallback, &context.channels, &snapshot, last.as_ref());
    if let (Some(error), Plan::Say(route)) = (&settled.entry.error, &failures) {
        let text = format!("⚠️ Cron job \"{}\" failed: {error}", job.name);
        let rows = settled.rows(context, "failure", route, &text);
        settled.says.extend(rows);
    }
    let named = match &job.failure_alert {
        Some(FailureAlert::Rule(rule)) => Some(&rule.destination),
        _ => None,
    };
    let named = named.filter(|to| to.channel.is_some() || to.to.is_some());
    settled.alert_to = match (named, failures) {
        (Some(to), _) => delivery::destination(to, &context.channels, &snapshot, last.as_ref()).ok(),
        (None, Plan::Say(route)) => Some(route),
        (None, _) => None,
    };
    settled
}

impl Settled {
    /// What becomes of the answer.
    fn deliver(&mut self, context: &Context, plan: &Plan, text: &str) {
        let went_well = self.entry.status == RunStatus::Ok;
        match plan {
            // An agent that chose to say nothing has nothing to deliver.
            Plan::Say(_) | Plan::Nowhere { .. } if went_well && text.trim().is_empty() => {
                self.entry.delivery_status = Some(DeliveryStatus::NotRequested);
            }
            Plan::Say(route) if went_well => {
                self.says = self.rows(context, "answer", route, text);
                self.entry.delivery_status = Some(plan.status());
            }
            Plan::Nowhere { error, fails } if went_well => {
                self.entry.delivery_status = Some(plan.status());
                self.entry.delivery_error = Some(error.clone());
                if *fails {
                    self.entry.status = RunStatus::Error;
                    self.entry.error = Some(error.clone());
                }
            }
            Plan::NotRequested => self.entry.delivery_status = Some(plan.status()),
            Plan::Say(_) | Plan::Nowhere { .. } => self.entry.delivery_status = Some(DeliveryStatus::NotDelivered),
        }
        self.entry.delivered = Some(self.entry.delivery_status == Some(DeliveryStatus::Delivered));
    }

    /// The rows of what is said of this run.
    fn rows(&self, context: &Context, what: &str, route: &Route, text: &str) -> Vec<OutboxRow> {
        let source = format!("{}:{what}", self.entry.run_id);
        let session_key = self.entry.session_key.as_deref();
        let message = Message { source: &source, route, session_key, run_id: Some(&self.entry.run_id) };
        context.channels.rows(message, text, &context.config.load(), self.entry.ts)
    }

    fn write(&self, context: &Context, db: &rusqlite::Connection) -> Result<Option<Written>, crate::store::StoreError> {
        let alert = |job: &Job, failures: u32| {
            let Some(route) = &self.alert_to else { return Vec::new() };
            let error = self.entry.error.as_deref().unwrap_or("skipped");
            let text = format!("Cron job \"{}\" failed {failures} times\nLast error: {error}", job.name);
            self.rows(context, "alert", route, &text)
        };
        let after = After {
            host: &TimeZone::system(),
            keep: self.settings.run_log.keep_lines,
            rules: &|job| rules(job, &self.settings),
            alert: &alert,
        };
        let retried = self.settings.retry.retry_on.as_ref();
        let passes = self.reason.is_some_and(|reason| retried.is_none_or(|on| on.iter().any(|word| word == reason)));
        after.end(db, Over { entry: self.entry.clone(), reason: self.reason, passes, says: self.says.clone() })
    }
}

/// What the configuration and the job say about failures.
fn rules(job: &Job, settings: &Settings) -> Rules {
    let general = &settings.failure_alert;
    let alert = match &job.failure_alert {
        Some(FailureAlert::Switch(_)) => None,
        Some(FailureAlert::Rule(rule)) => Some(Alert {
            after: rule.after.unwrap_or(2),
            cooldown_ms: rule.cooldown_ms.unwrap_or(general.cooldown_ms),
            include_skipped: rule.include_skipped.unwrap_or(general.include_skipped),
        }),
        None => general.enabled.then_some(Alert {
            after: general.after,
            cooldown_ms: general.cooldown_ms,
            include_skipped: general.include_skipped,
        }),
    };
    Rules { retry_backoff_ms: settings.retry.backoff_ms.clone(), retry_max: settings.retry.max_attempts, alert }
}
