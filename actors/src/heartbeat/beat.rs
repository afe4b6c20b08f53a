//! One heartbeat from end to end: may it run, what is asked, what became of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::broker::{Source, Wake};
use super::gate::{self, Facts, Skip};
use super::record::{self, Fate};
use super::settings::{self, Beat, Visibility};
use super::{ISOLATED, checklist, contact, prompt};
use crate::delivery::Route;
use crate::events::{Event, EventsMsg};
use crate::run::context::Context;
use crate::run::message::{Authority, EndedRun, HeartbeatTurn, Turn, TurnKind};
use crate::run::stream::now_ms;
use crate::session::submit::{self, Submitted};
use crate::session::{SessionEntry, SessionKey, SessionMsg, SessionStatus};
use crate::store::heartbeats::{self, Alert};
use crate::store::system_events;
use crate::supervision::task;

/// How long the same alert is not said again.
const DUPLICATE: i64 = 24 * 60 * 60 * 1000;
/// Longest heartbeat; the run has its own deadline, so this one only frees the next.
const LIMIT: Duration = Duration::from_secs(3600);

/// What came of a wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A model was asked.
    Ran,
    Skipped,
    /// It is to be tried again in a moment.
    Again,
}

/// Wakes an agent. `beat` is `None` when it does not beat; `on` is false when heartbeats are switched off as a whole.
pub async fn run(context: Arc<Context>, beat: Option<Beat>, wake: Wake, on: bool) -> Done {
    let began = now_ms();
    let Some(beat) = beat.filter(|_| on) else {
        tell(&context, wake.target.agent.as_str(), skipped(gate::DISABLED, began), None).await;
        return Done::Skipped;
    };
    match attempt(&context, &beat, &wake).await {
        Ok(done) => done,
        Err(Failure::Skip(skip)) if skip.again => Done::Again,
        Err(Failure::Skip(skip)) => {
            tracing::info!(agent = %beat.agent, reason = skip.reason, "heartbeat skipped");
            tell(&context, beat.agent.as_str(), skipped(skip.reason, began), None).await;
            Done::Skipped
        }
        Err(Failure::Passing(error)) => {
            tracing::warn!(agent = %beat.agent, error, "heartbeat waits");
            Done::Again
        }
    }
}

enum Failure {
    Skip(Skip),
    /// It may go better in a moment.
    Passing(String),
}

impl From<Skip> for Failure {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

/// Where a heartbeat takes place, and what is known there.
struct Place {
    /// The conversation that has the contacts and what waits to be told.
    base: SessionKey,
    /// The conversation that it runs in.
    key: SessionKey,
    entry: Option<SessionEntry>,
    busy: bool,
}

async fn attempt(context: &Arc<Context>, beat: &Beat, wake: &Wake) -> Result<Done, Failure> {
    let place = place(context, beat, wake).await?;
    let snapshot = context.config.load();
    let route = contact::resolve(beat, place.entry.as_ref(), &context.channels, &snapshot);
    let at = route.as_ref().ok().map(|route| (route.channel.as_str(), route.account.as_str()));
    let seen = settings::visibility(&snapshot, at);
    gate::decide(facts(context, beat, wake, &place, seen).await?)?;

    let began = now_ms();
    let turn = turn(context, beat, wake, route.as_ref().ok(), seen, began).await?;
    let ended = match submit::submit(context, &place.key, turn.clone(), None).await {
        Ok(Submitted::Admitted { ticket, .. } | Submitted::Repeated(ticket)) => ticket.ended,
        Err(error) => return Err(Failure::Passing(error.to_string())),
    };
    let Some(ended) = end_of(ended).await else { return Ok(Done::Ran) };
    let Some(asked) = &turn.heartbeat else { return Ok(Done::Ran) };
    let fate = record::fate(asked, &ended.outcome, route.as_ref().err().copied());
    let alert = fate.text.clone().filter(|_| fate.status == "sent").map(|text| Alert { text, at: began });
    let took = ended.ended_at - began;
    let told = record::record(&fate, route.as_ref().ok(), seen, ended.ended_at, took);
    tell(context, beat.agent.as_str(), told, alert).await;
    Ok(Done::Ran)
}

/// `None`: whoever ran it has gone, and nobody knows how it ended.
async fn end_of(mut ended: crate::run::message::EndWatch) -> Option<Arc<EndedRun>> {
    let end = async { ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()) };
    tokio::time::timeout(LIMIT, end).await.ok().flatten()
}

async fn place(context: &Context, beat: &Beat, wake: &Wake) -> Result<Place, Failure> {
    let rules = context.key_rules();
    let named = wake.target.session.as_deref().or(beat.session.as_deref());
    let base = match named {
        None => rules.main_key_of(&beat.agent),
        Some(key) => SessionKey::parse(key, &rules).map_err(|error| Failure::Passing(error.to_string()))?,
    };
    let key = match beat.isolated {
        true => SessionKey::from_stored(format!("{}{ISOLATED}", base.as_str())),
        false => base.clone(),
    };
    let base_status = status(context, &base).await?;
    let busy = match beat.isolated {
        true => is_busy(&status(context, &key).await?),
        false => is_busy(&base_status),
    };
    Ok(Place { base, key, entry: base_status.entry, busy })
}

async fn status(context: &Context, key: &SessionKey) -> Result<SessionStatus, Failure> {
    context.ask_session(key, SessionMsg::Status).await.map_err(Failure::Passing)
}

fn is_busy(status: &SessionStatus) -> bool {
    status.running.is_some() || status.waiting > 0
}

async fn facts(
    context: &Arc<Context>,
    beat: &Beat,
    wake: &Wake,
    place: &Place,
    seen: Visibility,
) -> Result<Facts, Failure> {
    let file = context.workspace(&beat.agent).join(checklist::FILE);
    let read = task::blocking(move || std::fs::read_to_string(file)).await.map_err(Failure::Passing)?;
    let base = place.base.as_str().to_owned();
    let waits = context.store.read(move |db| system_events::list(db, &base)).await;
    let waits = waits.map_err(|error| Failure::Passing(error.to_string()))?;
    Ok(Facts {
        switched_off: false,
        quiet: beat.hours.as_ref().is_some_and(|hours| !hours.contain(Timestamp::now())),
        lane_busy: context.lanes.main.is_full(),
        nothing_to_do: read.is_ok_and(|text| checklist::is_empty(&text)), // a file that is not there forbids nothing
        called: !waits.is_empty() || wake.source == Source::Manual,
        session_busy: place.busy,
        invisible: seen.is_none(),
    })
}

async fn turn(
    context: &Arc<Context>,
    beat: &Beat,
    wake: &Wake,
    route: Option<&Route>,
    seen: Visibility,
    now: i64,
) -> Result<Turn, Failure> {
    let agent = beat.agent.as_str().to_owned();
    let last = context.store.read(move |db| heartbeats::last_alert(db, &agent)).await;
    let last = last.map_err(|error| Failure::Passing(error.to_string()))?;
    let words = prompt::words(
        beat.prompt.as_deref(),
        &context.workspace(&beat.agent),
        &Timestamp::now().to_zoned(context.zone()),
    );
    // A beat of the clock has one id, whoever asks for it and however often: it runs once.
    let run_id = match wake.slot {
        Some(slot) => format!("heartbeat:{}:{slot}", beat.agent),
        None => format!("heartbeat:{}:{}", beat.agent, uuid::Uuid::new_v4()),
    };
    Ok(Turn {
        run_id,
        kind: TurnKind::Heartbeat,
        text: words,
        images: Vec::new(),
        model: beat.model.clone(),
        thinking: None,
        extra_system_prompt: None,
        timeout_seconds: beat.timeout_seconds,
        max_tokens: None,
        channel: route.map(|route| route.channel.clone()),
        route: route.cloned(),
        sender: None,
        authority: Authority::Owner,
        heartbeat: Some(Box::new(HeartbeatTurn {
            ack_max: beat.ack_max,
            show_ok: seen.ok,
            show_alerts: seen.alerts,
            previous: last.filter(|alert| now - alert.at < DUPLICATE).map(|alert| alert.text),
            fresh: beat.isolated,
        })),
        resume: None,
        accepted_at: now,
    })
}

fn skipped(reason: &str, began: i64) -> Value {
    let fate = Fate { status: "skipped", reason: Some(reason.to_owned()), text: None, said: false };
    let unseen = Visibility { ok: false, alerts: false, indicator: false };
    record::record(&fate, None, unseen, now_ms(), now_ms() - began)
}

/// Keeps the record and tells every client.
async fn tell(context: &Context, agent: &str, record: Value, alert: Option<Alert>) {
    let event = Event::broadcast("heartbeat", &record);
    let (agent, now) = (agent.to_owned(), now_ms());
    let write = move |db: &rusqlite::Connection| heartbeats::put(db, &agent, now, &record, alert.as_ref());
    if let Err(error) = context.store.write(write).await {
        tracing::warn!(%error, "how a heartbeat went could not be kept");
    }
    if let Err(error) = context.events.try_send(EventsMsg::Publish(event)) {
        tracing::debug!(%error, "clients were not told of a heartbeat; `last-heartbeat` shows it");
    }
}
