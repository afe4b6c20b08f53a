//! What `cron.add` and `cron.update` ask for, and the job that becomes of it: defaults filled in, refused with the field and the
//! way out where it cannot be kept.
//!
//! Source: validation of 2026.5.12; the texts without a field in front are those that its clients know.

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::job::{Delivery, DeliveryMode, FailureAlert, Job, JobState, Payload, Schedule, Target, WakeMode};
use super::schedule::{self, ScheduleError, Slots};
use crate::protocol::params::{self, Params};
use crate::session::thinking::ThinkLevel;
use crate::session::{AgentId, KeyRules, SessionKey};

/// So far back a one-shot may lie.
const PAST_GRACE_MS: i64 = 60_000;
/// Characters.
const NAME_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 2_000;
const TEXT_MAX: usize = 32_000;

/// Why a job is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("schedule.at is in the past: {at} ({minutes} minutes ago). Current time: {now}")]
    Past { at: String, minutes: i64, now: String },
    #[error("main cron jobs require payload.kind=\"systemEvent\"")]
    MainNeedsEvent,
    #[error("isolated/current/session cron jobs require payload.kind=\"agentTurn\"")]
    NeedsTurn,
    #[error("cron channel delivery config is only supported for sessionTarget=\"isolated\"")]
    DeliveryOnMain,
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The field and what is wrong with it.
    #[error("{0}")]
    Field(String),
}

impl Refused {
    /// What is wrong is said of the parameters, rather than in a sentence of its own.
    pub fn is_of_params(&self) -> bool {
        matches!(self, Self::Schedule(_) | Self::Field(_))
    }
}

/// A job as it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    name: String,
    agent_id: Option<String>,
    session_key: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    delete_after_run: Option<bool>,
    schedule: Schedule,
    session_target: Option<Target>,
    wake_mode: Option<WakeMode>,
    payload: Payload,
    delivery: Option<Delivery>,
    failure_alert: Option<FailureAlert>,
}

impl Params for Draft {
    fn check(&self) -> Result<(), String> {
        params::length("name", self.name.trim(), 1, NAME_MAX)?;
        params::length("description", self.description.as_deref().unwrap_or_default(), 0, DESCRIPTION_MAX)?;
        match &self.payload {
            Payload::SystemEvent { text } => params::length("payload/text", text.trim(), 1, TEXT_MAX),
            Payload::AgentTurn { message, .. } => params::length("payload/message", message.trim(), 1, TEXT_MAX),
        }
    }
}

/// What a draft is held against.
pub struct Offered<'a> {
    /// Zone of a schedule that names none.
    pub host: &'a TimeZone,
    pub keys: &'a KeyRules,
    pub agents: &'a [AgentId],
    /// Does the main session take events?
    pub takes_events: bool,
    pub now: i64,
}

impl Draft {
    /// The job under this id. `before` is the job that it changes.
    pub fn into_job(self, id: &str, before: Option<&Job>, offered: &Offered<'_>) -> Result<Job, Refused> {
        let target = self.target()?;
        check_pair(&target, &self.payload, offered)?;
        let is_once = self.schedule.is_once();
        let mut job = Job {
            id: id.to_owned(),
            delivery: delivery(self.delivery, &target)?,
            agent_id: agent(self.agent_id.as_deref(), offered)?,
            session_key: self.session_key.filter(|key| !key.trim().is_empty()),
            name: self.name.trim().to_owned(),
            description: self.description,
            enabled: self.enabled.unwrap_or(true),
            delete_after_run: self.delete_after_run.or(is_once.then_some(true)),
            created_at_ms: before.map_or(offered.now, |job| job.created_at_ms),
            updated_at_ms: offered.now,
            schedule: complete(self.schedule, offered.now),
            session_target: target,
            wake_mode: self.wake_mode.unwrap_or_default(),
            payload: payload(self.payload)?,
            failure_alert: alert(self.failure_alert)?,
            state: before.map_or_else(JobState::default, |job| job.state.clone()),
        };
        check_key(&mut job, offered)?;
        Slots::of(&job.schedule, id, offered.host)?;
        if let Schedule::At { at } = &mut job.schedule {
            *at = schedule::iso(schedule::instant(at)?);
        }
        let counts_anew = before.is_none_or(|before| before.schedule != job.schedule || !before.enabled);
        if counts_anew && job.enabled {
            check_past(&job.schedule, offered.now)?;
        }
        Ok(job)
    }

    fn target(&self) -> Result<Target, Refused> {
        Ok(match (&self.session_target, &self.payload) {
            (Some(Target::Current), _) => match &self.session_key {
                Some(key) => Target::Session(key.clone()),
                None => {
                    let text =
                        "sessionTarget: current needs a session; name it with sessionKey, or write session:<key>";
                    return Err(Refused::Field(text.to_owned()));
                }
            },
            (Some(target), _) => target.clone(),
            (None, Payload::SystemEvent { .. }) => Target::Main,
            (None, Payload::AgentTurn { .. }) => Target::Isolated,
        })
    }
}

/// A job with a patch laid over it, as a draft reads it: `null` removes a field, the fields of a payload of the same kind and
/// of a delivery are laid over one by one.
pub fn patched(job: &Job, patch: &Map<String, Value>) -> Value {
    let mut whole = match serde_json::to_value(job) {
        Ok(Value::Object(whole)) => whole,
        _ => Map::new(), // a job is plain data
    };
    for (key, value) in patch {
        let same_kind = |old: &Value| value["kind"].is_null() || old["kind"] == value["kind"];
        match (whole.get_mut(key), value) {
            (_, Value::Null) => drop(whole.shift_remove(key)),
            (Some(Value::Object(old)), Value::Object(new)) if key == "delivery" => lay_over(old, new),
            (Some(old @ Value::Object(_)), Value::Object(new)) if key == "payload" && same_kind(old) => {
                if let Value::Object(old) = old {
                    lay_over(old, new);
                }
            }
            _ => drop(whole.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(whole)
}

fn lay_over(old: &mut Map<String, Value>, new: &Map<String, Value>) {
    for (key, value) in new {
        match value {
            Value::Null => drop(old.shift_remove(key)),
            value => drop(old.insert(key.clone(), value.clone())),
        }
    }
}

fn check_pair(target: &Target, payload: &Payload, offered: &Offered<'_>) -> Result<(), Refused> {
    match (target, payload) {
        (Target::Main, Payload::AgentTurn { .. }) => Err(Refused::MainNeedsEvent),
        (Target::Main, Payload::SystemEvent { .. }) if offered.takes_events => Ok(()),
        (Target::Main, Payload::SystemEvent { .. }) => Err(Refused::Field(
            "payload.kind: systemEvent needs the heartbeat, which this release does not have; use agentTurn with sessionTarget \
             isolated"
                .to_owned(),
        )),
        (_, Payload::SystemEvent { .. }) => Err(Refused::NeedsTurn),
        (_, Payload::AgentTurn { .. }) => Ok(()),
    }
}

fn agent(id: Option<&str>, offered: &Offered<'_>) -> Result<Option<String>, Refused> {
    let Some(id) = id.map(str::trim).filter(|id| !id.is_empty()) else { return Ok(None) };
    let agent = AgentId::slug(id);
    if offered.agents.contains(&agent) {
        return Ok(Some(agent.as_str().to_owned()));
    }
    let known: Vec<&str> = offered.agents.iter().map(AgentId::as_str).collect();
    Err(Refused::Field(format!("agentId: there is no agent {id:?}; there is {}", known.join(", "))))
}

/// The session that a job runs in is named in full, and belongs to its agent.
fn check_key(job: &mut Job, offered: &Offered<'_>) -> Result<(), Refused> {
    let Target::Session(key) = &job.session_target else { return Ok(()) };
    let refused = |error: crate::session::KeyError| Refused::Field(format!("sessionTarget: {error}"));
    let parsed = SessionKey::parse(key, offered.keys).map_err(refused)?;
    if parsed.is_reserved() {
        return Err(Refused::Field(format!("sessionTarget: {key:?} belongs to the gateway; name another session")));
    }
    if let Some(agent) = &job.agent_id {
        parsed.require_agent(&AgentId::slug(agent)).map_err(refused)?;
    }
    job.session_target = Target::Session(parsed.as_str().to_owned());
    Ok(())
}

fn complete(schedule: Schedule, now: i64) -> Schedule {
    match schedule {
        Schedule::Every { every_ms, anchor_ms } => Schedule::Every { every_ms, anchor_ms: anchor_ms.or(Some(now)) },
        Schedule::Cron { expr, tz, stagger_ms } => {
            let expr = expr.trim().to_owned();
            let stagger_ms = stagger_ms.or_else(|| schedule::default_stagger(&expr));
            Schedule::Cron { expr, tz: tz.filter(|tz| !tz.trim().is_empty()), stagger_ms }
        }
        Schedule::At { at } => Schedule::At { at },
    }
}

fn check_past(schedule: &Schedule, now: i64) -> Result<(), Refused> {
    let Schedule::At { at } = schedule else { return Ok(()) };
    let due = schedule::instant(at)?;
    if now - due <= PAST_GRACE_MS {
        return Ok(());
    }
    Err(Refused::Past { at: schedule::iso(due), minutes: (now - due) / 60_000, now: schedule::iso(now) })
}

fn payload(payload: Payload) -> Result<Payload, Refused> {
    let Payload::AgentTurn { model, thinking, fallbacks, light_context, tools_allow, .. } = &payload else {
        return Ok(payload);
    };
    let absent = [
        ("fallbacks", fallbacks.is_some(), "agents.defaults.model.fallbacks holds for all turns"),
        ("toolsAllow", tools_allow.is_some(), "tools.allow holds for all turns"),
        ("lightContext", *light_context == Some(true), "leave it out"),
    ];
    if let Some((field, _, way_out)) = absent.into_iter().find(|(_, is_set, _)| *is_set) {
        return Err(Refused::Field(format!("payload.{field}: not in this release; {way_out}")));
    }
    if let Some(level) = thinking.as_deref().filter(|level| ThinkLevel::parse(level).is_none()) {
        return Err(Refused::Field(format!(
            "payload.thinking: unknown level {level:?}; write off, low, medium or high"
        )));
    }
    if model.as_deref().is_some_and(|model| model.trim().is_empty()) {
        return Err(Refused::Field("payload.model: must not be empty; leave it out for that of the agent".to_owned()));
    }
    Ok(payload)
}

fn delivery(delivery: Option<Delivery>, target: &Target) -> Result<Option<Delivery>, Refused> {
    let Some(delivery) = delivery else {
        return Ok((*target == Target::Isolated).then_some(ANNOUNCE));
    };
    if *target == Target::Main && (delivery.mode != DeliveryMode::None || delivery.to.is_some()) {
        return Err(Refused::DeliveryOnMain);
    }
    let failures = delivery.failure_destination.as_ref().and_then(|destination| destination.mode);
    for (field, mode) in [("delivery.mode", Some(delivery.mode)), ("delivery.failureDestination.mode", failures)] {
        no_webhook(field, mode)?;
    }
    Ok(Some(delivery))
}

const ANNOUNCE: Delivery = Delivery {
    mode: DeliveryMode::Announce,
    channel: None,
    to: None,
    thread_id: None,
    account_id: None,
    best_effort: None,
    failure_destination: None,
};

fn no_webhook(field: &str, mode: Option<DeliveryMode>) -> Result<(), Refused> {
    if mode != Some(DeliveryMode::Webhook) {
        return Ok(());
    }
    Err(Refused::Field(format!("{field}: webhook is not in this release; use announce or none")))
}

fn alert(alert: Option<FailureAlert>) -> Result<Option<FailureAlert>, Refused> {
    match &alert {
        Some(FailureAlert::Switch(true)) => {
            Err(Refused::Field("failureAlert: must be false or an object such as {\"after\": 3}".to_owned()))
        }
        Some(FailureAlert::Rule(rule)) => {
            no_webhook("failureAlert.mode", rule.destination.mode)?;
            if rule.after == Some(0) || rule.cooldown_ms.is_some_and(|cooldown| cooldown < 0) {
                let text = "failureAlert: after must be 1 or more, cooldownMs 0 or more";
                return Err(Refused::Field(text.to_owned()));
            }
            Ok(alert)
        }
        Some(FailureAlert::Switch(false)) | None => Ok(alert),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::settings::SessionScope;

    const NOW: i64 = 1_800_000_000_000;

    fn read(params: Value, before: Option<&Job>, takes_events: bool) -> Result<Job, String> {
        let keys = KeyRules { default_agent: AgentId::main(), scope: SessionScope::PerSender };
        let agents = [AgentId::main(), AgentId::slug("ops")];
        let offered = Offered { host: &TimeZone::UTC, keys: &keys, agents: &agents, takes_events, now: NOW };
        let draft: Draft = params::from_value("cron.add", params).map_err(|error| error.message)?;
        draft.into_job("j", before, &offered).map_err(|refused| match refused.is_of_params() {
            true => format!("invalid cron.add params: {refused}"),
            false => refused.to_string(),
        })
    }

    fn base() -> Value {
        json!({ "name": "n", "schedule": { "kind": "every", "everyMs": 60_000 },
                "payload": { "kind": "agentTurn", "message": "hi" } })
    }

    /// The base with some fields in other values.
    fn with(changes: Value) -> Value {
        let mut params = base();
        for (key, value) in changes.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let job = serde_json::to_value(read(base(), None, false).unwrap()).unwrap();
        assert_eq!(
            job,
            json!({
                "id": "j", "name": "n", "enabled": true, "createdAtMs": NOW, "updatedAtMs": NOW,
                "schedule": { "kind": "every", "everyMs": 60_000, "anchorMs": NOW }, "sessionTarget": "isolated",
                "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "hi" },
                "delivery": { "mode": "announce" }, "state": {}
            })
        );
        let event = json!({ "payload": { "kind": "systemEvent", "text": "t" }, "wakeMode": "next-heartbeat" });
        let job = read(with(event), None, true).unwrap();
        assert_eq!((job.session_target, job.delivery), (Target::Main, None));
        let once = json!({ "schedule": { "kind": "at", "at": "2030-01-01 09:00" } });
        let job = read(with(once), None, false).unwrap();
        assert_eq!(job.schedule, Schedule::At { at: "2030-01-01T09:00:00.000Z".into() });
        assert_eq!(job.delete_after_run, Some(true));
        let hourly = json!({ "schedule": { "kind": "cron", "expr": " 0 * * * * ", "tz": "" } });
        let staggered = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: Some(300_000) };
        assert_eq!(read(with(hourly), None, false).unwrap().schedule, staggered);
    }

    #[test]
    fn the_session_that_a_job_runs_in_is_named_in_full() {
        let current = json!({ "sessionTarget": "current", "sessionKey": "Main", "delivery": null });
        let job = read(with(current), None, false).unwrap();
        assert_eq!((job.session_target, job.delivery), (Target::Session("agent:main:main".into()), None));
        let named = json!({ "sessionTarget": "session:standup", "agentId": "main" });
        assert_eq!(
            read(with(named), None, false).unwrap().session_target,
            Target::Session("agent:main:standup".into())
        );
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_field_and_the_way_out() {
        for (changes, text) in [
            (json!({ "name": " " }), "invalid cron.add params: at /name: must NOT have fewer than 1 characters"),
            (
                json!({ "schedule": { "kind": "cron", "expr": "nope" } }),
                "invalid cron.add params: schedule.expr: \"nope\" is not a cron expression (it has 1 fields)",
            ),
            (
                json!({ "schedule": { "kind": "every", "everyMs": 0 } }),
                "invalid cron.add params: schedule.everyMs: must be 1",
            ),
            (
                json!({ "schedule": { "kind": "at", "at": "2020-01-01T00:00:00Z" } }),
                "schedule.at is in the past: 2020-01-01T00:00:00.000Z (3702720 minutes ago). Current time: 2027-01-15T08:00:00.000Z",
            ),
            (json!({ "sessionTarget": "main" }), "main cron jobs require payload.kind=\"systemEvent\""),
            (
                json!({ "sessionTarget": "isolated", "payload": { "kind": "systemEvent", "text": "t" } }),
                "isolated/current/session cron jobs require payload.kind=\"agentTurn\"",
            ),
            (
                json!({ "payload": { "kind": "systemEvent", "text": "t" } }),
                "invalid cron.add params: payload.kind: systemEvent needs the heartbeat",
            ),
            (json!({ "sessionTarget": "current" }), "invalid cron.add params: sessionTarget: current needs a session"),
            (json!({ "sessionTarget": "elsewhere" }), "invalid cron.add params: at /sessionTarget: "),
            (
                json!({ "sessionTarget": "session:cron:x" }),
                "invalid cron.add params: sessionTarget: \"cron:x\" belongs to",
            ),
            (
                json!({ "sessionTarget": "session:agent:ops:x", "agentId": "main" }),
                "invalid cron.add params: sessionTarget: agent \"main\" does not match",
            ),
            (
                json!({ "agentId": "nobody" }),
                "invalid cron.add params: agentId: there is no agent \"nobody\"; there is main, ops",
            ),
            (
                json!({ "payload": { "kind": "agentTurn", "message": "m", "toolsAllow": ["read"] } }),
                "invalid cron.add params: payload.toolsAllow: not in this release; tools.allow holds for all turns",
            ),
            (
                json!({ "payload": { "kind": "agentTurn", "message": "m", "thinking": "deeply" } }),
                "invalid cron.add params: payload.thinking: unknown level \"deeply\"",
            ),
            (
                json!({ "delivery": { "mode": "webhook", "to": "https://x" } }),
                "invalid cron.add params: delivery.mode: webhook is not in this release; use announce or none",
            ),
            (json!({ "failureAlert": true }), "invalid cron.add params: failureAlert: must be false or an object"),
            (
                json!({ "failureAlert": { "after": 0 } }),
                "invalid cron.add params: failureAlert: after must be 1 or more",
            ),
        ] {
            let told = read(with(changes), None, false).unwrap_err();
            assert!(told.starts_with(text), "{told}");
        }
        let event = json!({ "payload": { "kind": "systemEvent", "text": "t" }, "delivery": { "mode": "announce" } });
        let told = read(with(event), None, true).unwrap_err();
        assert_eq!(told, "cron channel delivery config is only supported for sessionTarget=\"isolated\"");
    }

    #[test]
    fn a_patch_is_laid_over_what_there_is() {
        let full = json!({ "agentId": "ops", "delivery": { "mode": "none", "channel": "last" },
            "payload": { "kind": "agentTurn", "message": "hi", "model": "p/m", "timeoutSeconds": 5 } });
        let job = read(with(full), None, false).unwrap();
        let change = |patch: Value| {
            let whole = patched(&job, patch.as_object().unwrap());
            serde_json::to_value(read(whole, Some(&job), false).unwrap()).unwrap()
        };
        let changed = change(json!({ "agentId": null, "payload": { "message": "ho", "model": null }, "enabled": false,
            "delivery": { "to": "room" } }));
        assert_eq!(changed["payload"], json!({ "kind": "agentTurn", "message": "ho", "timeoutSeconds": 5 }));
        assert_eq!(changed["delivery"], json!({ "mode": "none", "channel": "last", "to": "room" }));
        assert_eq!((&changed["agentId"], &changed["enabled"]), (&Value::Null, &json!(false)));
        assert_eq!(
            change(json!({ "schedule": { "kind": "every", "everyMs": 5 } }))["schedule"]["anchorMs"],
            json!(NOW)
        );
    }

    #[test]
    fn a_one_shot_of_the_past_can_be_changed_but_not_enabled_again() {
        let job = read(with(json!({ "schedule": { "kind": "at", "at": "2030-01-01" } })), None, false).unwrap();
        let over = Job { schedule: Schedule::At { at: schedule::iso(NOW - 600_000) }, enabled: false, ..job };
        let change = |patch: Value| read(patched(&over, patch.as_object().unwrap()), Some(&over), false);
        assert_eq!(change(json!({ "name": "renamed" })).unwrap().name, "renamed");
        assert!(change(json!({ "enabled": true })).unwrap_err().contains("(10 minutes ago)"));
    }
}
