//! The cron actor: looks what is due, has it run, looks again.
//!
//! parent: automation · children: the task of one look, a task for each run, the reaper's · restart: permanent
//!
//! What is due says the database, at every look: there is no timer for a job, so none can be lost. A look comes when something
//! is due, when a run is over, when a job has changed, and every minute whatever the clock does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::execution::{self, publish};
use super::job::{Job, Target};
use super::record;
use super::round::{self, Look, Round};
use super::settings::Retention;
use super::{delivery, record::RunEntry};
use crate::config::duration;
use crate::run::context::Context;
use crate::run::stream::now_ms;
use crate::session::SessionKey;
use crate::store::{StoreError, cron};
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Child, ChildSpec, Mail};

/// A look comes at least so often: clocks are put forward, machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And not sooner than this after the last.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the store is asked again that did not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How often old conversations of jobs are removed, and how many at once.
const REAP_EVERY: Duration = Duration::from_secs(300);
const REAP_MAX: u32 = 200;
/// How long they are kept if nothing is said.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// What cron can be told.
#[derive(Debug)]
pub enum CronMsg {
    /// Something may be due.
    Look,
    Looked(TaskEnd<Result<Round, StoreError>>),
    /// The task of this run has ended, however it did.
    Ended(String),
}

struct CronActor;

struct CronState {
    context: Arc<Context>,
    looking: Option<Task>,
    again: bool,
    next_look: Option<Timer>,
    /// By run id.
    runs: HashMap<String, Task>,
    reaped: Option<Instant>,
    reaping: Option<Task>,
}

type Me = ActorRef<Mail<CronMsg>>;

/// Cron as a child of its supervisor.
pub fn child(context: Arc<Context>, spec: ChildSpec) -> Child {
    Child::leaf(spec, context.cron.address.clone(), context, || CronActor)
}

impl Actor for CronActor {
    type Msg = Mail<CronMsg>;
    type State = CronState;
    type Arguments = Arc<Context>;

    async fn pre_start(&self, me: Me, context: Arc<Context>) -> Result<CronState, ActorProcessingErr> {
        let mut state = CronState {
            context,
            looking: None,
            again: false,
            next_look: None,
            runs: HashMap::new(),
            reaped: None,
            reaping: None,
        };
        state.look(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut CronState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(CronMsg::Look) => state.look(&me),
            Some(CronMsg::Looked(TaskEnd::Done(Ok(round)))) => state.looked(&me, round),
            Some(CronMsg::Looked(TaskEnd::Done(Err(error)))) => {
                tracing::warn!(%error, "cron jobs cannot be looked at yet");
                state.looking = None;
                state.look_later(&me, RETRY);
            }
            Some(CronMsg::Looked(TaskEnd::Panicked(message))) => return Err(message.into()),
            Some(CronMsg::Ended(run)) => {
                state.runs.remove(&run);
                state.look(&me);
            }
            None => {}
        }
        Ok(())
    }
}

impl CronState {
    fn look(&mut self, me: &Me) {
        if self.looking.is_some() {
            self.again = true;
            return;
        }
        self.next_look = None;
        let (context, me) = (Arc::clone(&self.context), me.clone());
        self.looking = Some(task::spawn_reporting("cron-look", look(context), move |end| {
            let _ = me.send_message(Mail::own(CronMsg::Looked(end))); // gone only when the task was aborted
        }));
    }

    fn looked(&mut self, me: &Me, round: Round) {
        self.looking = None;
        for claim in round.begun {
            let context = Arc::clone(&self.context);
            self.run(me, claim.run.run_id.clone(), execution::begin(context, claim));
        }
        for run in round.left {
            if !self.runs.contains_key(&run.run_id) {
                let context = Arc::clone(&self.context);
                self.run(me, run.run_id.clone(), execution::take_up(context, run));
            }
        }
        self.reap();
        if std::mem::take(&mut self.again) {
            return self.look(me);
        }
        let wait = round.next_at.filter(|_| !round.is_full && begin_by_themselves(&self.context));
        let wait = wait.map(|next| Duration::from_millis(u64::try_from(next - now_ms()).unwrap_or(0)));
        self.look_later(me, wait.map_or(LOOK_EVERY, |wait| wait.clamp(LOOK_PAUSE, LOOK_EVERY)));
    }

    fn look_later(&mut self, me: &Me, delay: Duration) {
        let due = me.send_after(delay, || Mail::own(CronMsg::Look));
        self.next_look = Some(Timer::of(&due));
    }

    /// A run whose task panics is found at the next look, as one that was left.
    fn run(&mut self, me: &Me, id: String, work: impl Future<Output = ()> + Send + 'static) {
        let (me, ended) = (me.clone(), id.clone());
        let task = task::spawn_reporting("cron-run", work, move |_| {
            let _ = me.send_message(Mail::own(CronMsg::Ended(ended))); // as above
        });
        self.runs.insert(id, task);
    }

    /// Removes the conversations of runs that were long ago.
    fn reap(&mut self) {
        let is_due = self.reaped.is_none_or(|last| last.elapsed() >= REAP_EVERY);
        let Some(kept) = is_due.then(|| retention(self.context.config.load().settings.cron.session_retention.as_ref()))
        else {
            return;
        };
        self.reaped = Some(Instant::now());
        let Some(kept) = kept else { return };
        let context = Arc::clone(&self.context);
        self.reaping = Some(task::spawn("cron-reaper", async move {
            let before = now_ms() - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
            let gone = context.store.write(move |db| {
                cron::prune_gone(db, before)?;
                cron::forget_sessions(db, before, REAP_MAX)
            });
            match gone.await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "conversations of cron runs removed"),
                Err(error) => tracing::warn!(%error, "conversations of cron runs were not removed"),
            }
        }));
    }
}

/// `None`: for ever.
fn retention(wanted: Option<&Retention>) -> Option<Duration> {
    match wanted {
        None | Some(Retention::Switch(true)) => Some(RETENTION),
        Some(Retention::Switch(false)) => None,
        Some(Retention::Kept(text)) => Some(duration::parse(text, MINUTE, true).unwrap_or(RETENTION)),
    }
}

/// Do jobs begin when they are due? In safe mode they wait for its end; what is asked for by hand does not.
fn begin_by_themselves(context: &Context) -> bool {
    let wanted = context.config.load().settings.cron.enabled && !context.cron.is_skipped();
    wanted && !context.is_draining() && context.safe_mode.reason().is_none()
}

/// Takes what is due. While the gateway goes down nothing begins: it waits for the next start.
async fn look(context: Arc<Context>) -> Result<Round, StoreError> {
    let host = TimeZone::system();
    let snapshot = context.config.load();
    let settings = &snapshot.settings.cron;
    let (by_hand, by_itself) = (!context.is_draining(), begin_by_themselves(&context));
    let (concurrent, keep) = (settings.max_concurrent_runs, settings.run_log.keep_lines);
    let (settled, shared) = (context.cron.is_settled(), Arc::clone(&context));
    let round = context.store.write(move |db| {
        let now = now_ms();
        if !settled {
            round::settle(db, now, &host)?;
        }
        let session_of = |job: &Job| session_key(&shared, job).as_str().to_owned();
        Look { now, concurrent, by_hand, by_itself, keep, host: &host, session_of: &session_of }.take(db)
    });
    let round = round.await?;
    context.cron.note_settled();
    for (entry, job) in &round.missed {
        tell_missed(&context, entry, job.as_ref()).await;
    }
    for claim in &round.begun {
        let late = claim.run.slot_at.map_or(0, |slot| now_ms() - slot);
        tracing::info!(job = claim.job.id, run = claim.run.run_id, late_ms = late, "cron run begins");
        crate::metrics::cron_lag(late);
        publish(&context, &record::started(&claim.job, claim.run.started_at.unwrap_or_default())).await;
    }
    Ok(round)
}

async fn tell_missed(context: &Context, entry: &RunEntry, job: Option<&Job>) {
    let count = entry.missed.as_ref().map_or(1, |missed| missed.count);
    tracing::warn!(job = entry.job_id, count, error = entry.error, "cron slots did not run");
    publish(context, &record::finished(entry, job)).await;
}

/// The session that a run gets: the job's own choice, or a new one.
fn session_key(context: &Context, job: &Job) -> SessionKey {
    let agent = delivery::agent(context, job);
    match &job.session_target {
        Target::Session(key) => SessionKey::from_stored(key.clone()),
        Target::Main | Target::Current => context.key_rules().main_key_of(&agent),
        Target::Isolated => SessionKey::of_cron_run(&agent, &job.id, &uuid::Uuid::new_v4().to_string()),
    }
}
