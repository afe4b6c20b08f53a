//! One turn: model, tools, model again, until there is an answer.
//!
//! It is a plain future: dropping it at any await is safe, because everything that others may rely on was stored before
//! it was said. It does not send terminal events and does not store the last message: its session does both.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::context::Context;
use super::conversation::{self, Conversation, Joined};
use super::message::{FailureKind, Outcome, RunFacts, Turn};
use super::models::{Candidate, ModelWish};
use super::sentinel;
use super::steering::{Steering, Told};
use super::stream::{RunStream, now_ms};
use super::tools;
use crate::metrics;
use crate::model::error::{FailureClass, ModelError};
use crate::model::failover::{self, CandidateFailure, FailedTurn, Step};
use crate::model::history;
use crate::model::message::{AssistantMessage, Message, Part, StopReason};
use crate::model::provider::{Delta, Request, ToolSpec};
use crate::session::{SessionEntry, SessionKey};
use crate::store::StoreError;

/// Rounds of model and tools after which a turn is stopped.
pub const ROUNDS_MAX: usize = 50;
/// Misses of one unknown tool after which a turn is stopped.
const MISSES_MAX: usize = 10;

/// What a turn starts from.
pub struct TurnArgs {
    pub context: Arc<Context>,
    pub key: SessionKey,
    pub entry: SessionEntry,
    pub turn: Turn,
}

/// What has happened so far; survives the turn's future being dropped.
pub struct Progress {
    pub stream: RunStream,
    pub facts: RunFacts,
    /// The message that ends the turn.
    pub last: Option<AssistantMessage>,
    /// What the agent said, message by message.
    answers: Vec<String>,
}

impl Progress {
    pub fn new(stream: RunStream) -> Self {
        Self { stream, facts: RunFacts::default(), last: None, answers: Vec::new() }
    }

    /// Ends the answer with words of ours.
    fn give_up(&mut self, text: String) {
        self.last = Some(AssistantMessage {
            content: vec![Part::text(&text)],
            provider: self.facts.provider.clone(),
            model: self.facts.model.clone(),
            stop_reason: StopReason::Stop,
            timestamp: now_ms(),
            ..AssistantMessage::default()
        });
        self.answers.push(text);
    }

    /// The message that the transcript ends with: the answer, or what there is of it, with the reason why it ended.
    pub fn take_last(&mut self, outcome: &Outcome) -> Option<AssistantMessage> {
        let (stop_reason, error_message) = match outcome {
            Outcome::Completed { .. } => return self.last.take(),
            Outcome::Aborted { .. } => (StopReason::Aborted, None),
            Outcome::Failed { message, .. } => (StopReason::Error, Some(message.clone())),
        };
        let said = self.stream.message_text();
        Some(AssistantMessage {
            content: if said.is_empty() { Vec::new() } else { vec![Part::text(said)] },
            provider: self.facts.provider.clone(),
            model: self.facts.model.clone(),
            stop_reason,
            error_message,
            timestamp: now_ms(),
            ..AssistantMessage::default()
        })
    }
}

/// Why a turn has no answer.
#[derive(Debug)]
enum Failure {
    /// No model could be chosen; the text is for the person.
    NoModel(String),
    Models(Vec<CandidateFailure>),
    Store(StoreError),
    Empty,
    Stopped(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs the turn to its end.
pub async fn run(args: &TurnArgs, progress: &mut Progress, steering: &mut Steering) -> Outcome {
    match converse(args, progress, steering).await {
        Ok(()) => {
            progress.stream.flush_chat().await;
            // What the token of a heartbeat means is decided where its end is recorded.
            let shown = |text| if args.turn.heartbeat.is_some() { text } else { sentinel::visible(text) };
            let texts: Vec<&str> = progress.answers.iter().map(|text| shown(text.as_str())).collect();
            let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
            Outcome::Completed { text }
        }
        Err(failure) => {
            progress.stream.flush_chat().await;
            failed(&failure, progress.facts.tools_ran)
        }
    }
}

async fn converse(args: &TurnArgs, progress: &mut Progress, steering: &mut Steering) -> Result<(), Failure> {
    let context = &args.context;
    progress.stream.pulse().stand_in_line(true);
    let _permit = context.lanes.main.enter().await;
    progress.stream.pulse().stand_in_line(false);
    let candidates = context.models.candidates(&wish(args)).await.map_err(Failure::NoModel)?;
    let toolbox = context.toolbox();
    let specs = toolbox.specs();
    let system = context.system_prompt(args, &candidates, &specs).await;
    let mut conversation = Conversation::load(&context.store, &args.entry.session_id).await?;
    let mut misses = tools::Misses::new(MISSES_MAX);
    for _ in 0..ROUNDS_MAX {
        take_steering(args, &mut conversation, steering).await?;
        progress.stream.begin_message();
        let ask = Ask { args, system: &system, tools: &specs, messages: conversation.messages() };
        let answer = ask.any(&candidates, progress).await?;
        progress.facts.usage.add(&answer.usage);
        progress.facts.last_call = answer.usage;
        let calls: Vec<_> = answer.tool_calls().cloned().collect();
        if calls.is_empty() {
            if finish(args, progress, &mut conversation, answer, steering).await? {
                return Ok(());
            }
            continue;
        }
        progress.stream.flush_chat().await;
        let answer = Message::Assistant(answer);
        progress.answers.push(answer.text());
        conversation.append(vec![answer]).await?;
        progress.stream.begin_message(); // what was said is stored now
        progress.facts.tools_ran = true;
        let results = tools::run_batch(&toolbox, args, &calls, &mut progress.stream, &mut misses).await;
        conversation.append(results.into_iter().map(Message::ToolResult).collect()).await?;
        if let Some(name) = misses.exhausted() {
            steering.close(); // what waits in it becomes a turn of its own
            progress.give_up(format!(
                "I can't use the tool \"{name}\" here because it isn't available. \
                 I need to stop retrying it and answer without that tool."
            ));
            return Ok(());
        }
    }
    Err(Failure::Stopped(format!("The turn was stopped after {ROUNDS_MAX} rounds of tool calls.")))
}

/// Keeps an answer that made no calls. `false` when steering came meanwhile: the same run goes on with it.
async fn finish(
    args: &TurnArgs,
    progress: &mut Progress,
    conversation: &mut Conversation,
    answer: AssistantMessage,
    steering: &mut Steering,
) -> Result<bool, Failure> {
    let text = Message::Assistant(answer.clone()).text();
    if text.trim().is_empty() && answer.content.is_empty() {
        return Err(Failure::Empty);
    }
    progress.answers.push(text);
    let Some(next) = steering.take() else {
        // Nothing may slip in between here and the end: what comes from now on is a turn of its own.
        steering.close();
        progress.last = Some(answer);
        return Ok(true);
    };
    let message = conversation::user_message(&next.turn, &args.context.zone());
    let joined = Joined { runs: own(&[next]), into: args.turn.run_id.clone() };
    conversation.append_joined(vec![Message::Assistant(answer), message], joined).await?;
    steering.stored();
    Ok(false)
}

async fn take_steering(
    args: &TurnArgs,
    conversation: &mut Conversation,
    steering: &mut Steering,
) -> Result<(), StoreError> {
    let told: Vec<Told> = std::iter::from_fn(|| steering.take()).collect();
    if !told.is_empty() {
        let zone = args.context.zone();
        let messages = told.iter().map(|told| conversation::user_message(&told.turn, &zone)).collect();
        let joined = Joined { runs: own(&told), into: args.turn.run_id.clone() };
        conversation.append_joined(messages, joined).await?;
        steering.stored();
    }
    Ok(())
}

/// The runs of those that are not turns of their own besides.
fn own(told: &[Told]) -> Vec<String> {
    told.iter().filter(|told| !told.is_copy).map(|told| told.turn.run_id.clone()).collect()
}

fn wish(args: &TurnArgs) -> ModelWish {
    let entry = &args.entry;
    let session = entry.provider_override.as_ref().zip(entry.model_override.as_ref()).map(|(provider, model)| {
        let automatic = entry.model_override_source == Some(crate::session::entry::OverrideSource::Auto);
        (format!("{provider}/{model}"), automatic)
    });
    ModelWish { agent: args.context.agent_of(&args.key), session, turn: args.turn.model.clone() }
}

/// One question to the models.
struct Ask<'a> {
    args: &'a TurnArgs,
    system: &'a str,
    tools: &'a [ToolSpec],
    messages: &'a [Message],
}

impl Ask<'_> {
    /// The answer of the first candidate that gives one.
    async fn any(&self, candidates: &[Candidate], progress: &mut Progress) -> Result<AssistantMessage, Failure> {
        let mut failures = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let left = candidates.len() - index - 1;
            match self.one(candidate, left, progress).await {
                Ok(answer) => return Ok(answer),
                Err((error, step)) => {
                    let reference = candidate.reference();
                    let next = (step == Step::NextCandidate).then(|| candidates[index + 1].reference());
                    if candidates.len() > 1 {
                        let (reason, position) = (error.class().reason(), index as u64 + 1);
                        progress.stream.fell_back(&reference, next.as_deref(), reason, position).await;
                    }
                    tracing::warn!(model = %reference, %error, next = next.as_deref(), "model failed");
                    failures.push(CandidateFailure { model: reference, error });
                    if step != Step::NextCandidate {
                        break;
                    }
                }
            }
        }
        Err(Failure::Models(failures))
    }

    /// One candidate with its repeats. The error comes with what is to be done about it.
    async fn one(
        &self,
        candidate: &Candidate,
        candidates_left: usize,
        progress: &mut Progress,
    ) -> Result<AssistantMessage, (ModelError, Step)> {
        progress.facts.provider.clone_from(&candidate.target.provider);
        progress.facts.model.clone_from(&candidate.target.model);
        progress.facts.context_window = candidate.target.context_window;
        let mut retries = 0;
        loop {
            let since = Instant::now();
            let called = self.call(candidate, &mut progress.stream).await;
            let (target, class) = (&candidate.target, called.as_ref().err().map(|error| error.class().reason()));
            metrics::model_call(&target.provider, &target.model, &target.api, class, since.elapsed());
            let error = match called {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            progress.stream.discard_message();
            match failover::next_step(error.class(), error.retry_after(), retries, candidates_left) {
                Step::RetryAfter(delay) => {
                    tracing::info!(model = %candidate.reference(), %error, delay_ms = millis(delay), "model call repeated");
                    retries += 1;
                    sleep(delay).await;
                }
                step => return Err((error, step)),
            }
        }
    }

    async fn call(&self, candidate: &Candidate, stream: &mut RunStream) -> Result<AssistantMessage, ModelError> {
        let target = &candidate.target;
        let messages: Vec<Message> =
            history::for_request(self.messages, target.images).into_iter().map(Cow::into_owned).collect();
        let entry = &self.args.entry;
        let thinking = self.args.context.thinking(self.args);
        let request = Request {
            system: self.system,
            messages: &messages,
            tools: self.tools,
            thinking: &thinking,
            cache_key: &entry.session_id,
            max_tokens: self.args.turn.max_tokens,
        };
        let mut deltas = candidate.provider.stream(target, request).await?;
        loop {
            let due = stream.chat_due();
            let delta = tokio::select! {
                delta = deltas.next() => delta,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    stream.flush_chat().await;
                    continue;
                }
            };
            match delta {
                Some(Ok(Delta::Text(text))) => stream.text(&text).await,
                Some(Ok(Delta::Thinking(text))) => stream.thinking(&text).await,
                Some(Ok(Delta::ToolCallStarted { .. })) => stream.flush_chat().await,
                Some(Ok(Delta::Done(answer))) => return Ok(AssistantMessage { timestamp: now_ms(), ..*answer }),
                Some(Err(error)) => return Err(error),
                None => return Err(ModelError::Interrupted),
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn failed(failure: &Failure, tools_ran: bool) -> Outcome {
    let (message, reply, kind) = match failure {
        Failure::NoModel(text) => (text.clone(), text.clone(), FailureKind::Unknown),
        Failure::Models(failures) => {
            let reply = failover::chat_text(&FailedTurn::Models(failures)).to_owned();
            (models_message(failures), reply, kind_of(failures))
        }
        Failure::Store(error) => (error.to_string(), failover::OTHER.to_owned(), FailureKind::Unknown),
        Failure::Empty => {
            let reply = if tools_ran { failover::EMPTY_AFTER_TOOLS } else { failover::EMPTY };
            ("the model answered nothing".to_owned(), reply.to_owned(), FailureKind::Unknown)
        }
        Failure::Stopped(text) => (text.clone(), text.clone(), FailureKind::Unknown),
    };
    tracing::debug!(failure = %json!({ "message": message }), "turn failed");
    Outcome::Failed { message, reply, kind }
}

fn models_message(failures: &[CandidateFailure]) -> String {
    match failures {
        [one] => one.error.to_string(),
        all => failover::all_models_failed(all),
    }
}

fn kind_of(failures: &[CandidateFailure]) -> FailureKind {
    match failures.last().map(|failure| failure.error.class()) {
        Some(FailureClass::RateLimit | FailureClass::Overloaded) => FailureKind::RateLimit,
        Some(FailureClass::ContextOverflow) => FailureKind::ContextLength,
        Some(FailureClass::Transient)
            if failures.last().is_some_and(|failure| matches!(failure.error, ModelError::Idle(_))) =>
        {
            FailureKind::Timeout
        }
        _ => FailureKind::Unknown,
    }
}
