//! The actor of one run: it owns the task of the turn, passes steering and aborts on, and reports the end to its session.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::message::{AbortCause, Outcome, RunEnd, RunMsg, Turn};
use super::pulse::Pulse;
use super::steering::{self, Steering, Told};
use super::stream::{RunStream, now_ms};
use super::turn::{self, Progress, TurnArgs};
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Mail, spawn_linked};

/// What a run is started with.
pub struct RunArgs {
    pub turn: TurnArgs,
    /// Where its progress is seen.
    pub pulse: Pulse,
    /// Hands the end to the session.
    pub report: Report,
}

/// Told once, when the run is over.
pub type Report = Box<dyn FnOnce(RunEnd) + Send>;

struct RunActor;

struct RunActorState {
    abort: watch::Sender<Option<AbortCause>>,
    steering: mpsc::Sender<Told>,
    /// Steering that came so far.
    opened: usize,
    /// Steering that came after the turn had its answer.
    late: Vec<Turn>,
    report: Option<Report>,
    _task: Task,
}

/// Starts a run below its session.
pub async fn spawn(args: RunArgs, session: ActorCell) -> Result<ActorRef<Mail<RunMsg>>, SpawnErr> {
    spawn_linked("run", RunActor, args, session).await
}

impl Actor for RunActor {
    type Msg = Mail<RunMsg>;
    type State = RunActorState;
    type Arguments = RunArgs;

    async fn pre_start(&self, me: ActorRef<Self::Msg>, args: RunArgs) -> Result<RunActorState, ActorProcessingErr> {
        let (abort, aborted) = watch::channel(None);
        let (steering, steered) = steering::channel();
        let span = tracing::info_span!("run", run = %args.turn.turn.run_id, session = %args.turn.key);
        let work = drive(args.turn, args.pulse, aborted, steered).instrument(span);
        let task = task::spawn_reporting("run", work, move |end| {
            let ended = match end {
                TaskEnd::Done(end) => Ok(Box::new(end)),
                TaskEnd::Panicked(message) => Err(message),
            };
            let _ = me.send_message(Mail::own(RunMsg::Ended(ended))); // gone only when the task was aborted
        });
        Ok(RunActorState { abort, steering, opened: 0, late: Vec::new(), report: Some(args.report), _task: task })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut RunActorState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            RunMsg::Steer(turn) => {
                state.opened += 1;
                if let Err(refused) = state.steering.try_send(Told { turn, is_copy: false }) {
                    state.late.push(refused.into_inner().turn);
                }
            }
            RunMsg::Hint(turn) => {
                let _ = state.steering.try_send(Told { turn, is_copy: true }); // too late, or too many: it is kept elsewhere
            }
            RunMsg::Abort(cause) => {
                state.abort.send_replace(Some(cause));
            }
            RunMsg::Ended(Ok(mut end)) => {
                end.unsteered.append(&mut state.late);
                end.opened = state.opened;
                if let Some(report) = state.report.take() {
                    report(*end);
                }
                me.stop(None);
            }
            RunMsg::Ended(Err(panic)) => return Err(panic.into()),
        }
        Ok(())
    }
}

/// Runs the turn until it ends, is aborted, or has taken too long.
async fn drive(
    args: TurnArgs,
    pulse: Pulse,
    aborted: watch::Receiver<Option<AbortCause>>,
    mut steering: Steering,
) -> RunEnd {
    let context = Arc::clone(&args.context);
    let mut stream = RunStream::new(context.events.clone(), &args.turn.run_id, args.key.as_str()).with_pulse(pulse);
    stream.started(now_ms()).await;
    let mut progress = Progress::new(stream);
    let limit =
        args.turn.timeout_seconds.unwrap_or_else(|| context.config.load().settings.agents.defaults.timeout_seconds);
    let limit = if limit == 0 { Duration::MAX } else { Duration::from_secs(limit) };
    let cause = tokio::select! {
        biased;
        cause = abort_cause(aborted) => cause,
        ended = tokio::time::timeout(limit, turn::run(&args, &mut progress, &mut steering)) => match ended {
            Ok(outcome) => return end(outcome, progress, steering),
            Err(_) => AbortCause::Timeout,
        },
    };
    progress.stream.flush_chat().await;
    let partial = progress.stream.chat_text().to_owned();
    end(Outcome::Aborted { cause, partial }, progress, steering)
}

fn end(outcome: Outcome, mut progress: Progress, steering: Steering) -> RunEnd {
    progress.facts.seq = progress.stream.seq();
    let last = progress.take_last(&outcome);
    RunEnd { outcome, last, unsteered: steering.unread(), opened: 0, facts: progress.facts }
}

async fn abort_cause(mut aborted: watch::Receiver<Option<AbortCause>>) -> AbortCause {
    let cause = aborted.wait_for(Option::is_some).await.map(|cause| *cause);
    match cause {
        Ok(cause) => cause.unwrap_or(AbortCause::Rpc),
        Err(_) => std::future::pending().await, // the actor is gone; this task is being aborted with it
    }
}
