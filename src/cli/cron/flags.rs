//! The flags that say what a job is, and the parameters that become of them.

use std::time::Duration;

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use openclaw_actors::config::duration;
use openclaw_actors::cron::schedule;
use serde_json::{Map, Value, json};

const ONE_SCHEDULE: &str = "Choose exactly one schedule: --at, --every, or --cron";
const ONE_PAYLOAD: &str = "Choose exactly one payload: --system-event or --message";
const BAD_AT: &str = "Invalid --at. Use an ISO timestamp or a duration like 20m.";

/// What a job is.
#[derive(Debug, Default, Args)]
pub struct JobFlags {
    /// What people call it
    #[arg(long, value_name = "name")]
    pub name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "text")]
    pub description: Option<String>,
    /// The agent that does it
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Where it runs: main, isolated (a new conversation each time), current, or session:<key>
    #[arg(long, value_name = "target")]
    pub session: Option<String>,
    /// The session on whose behalf it is made
    #[arg(long, value_name = "key")]
    pub session_key: Option<String>,
    /// Once: an ISO time (UTC, or in --tz), or a duration from now like 20m or +2h
    #[arg(long, value_name = "when")]
    pub at: Option<String>,
    /// Again and again: a duration like 10m or 1h
    #[arg(long, value_name = "duration")]
    pub every: Option<String>,
    /// By the calendar: five fields, or six with seconds first
    #[arg(long, value_name = "expr")]
    pub cron: Option<String>,
    /// Time zone of --cron and --at, such as Europe/Berlin
    #[arg(long, value_name = "zone")]
    pub tz: Option<String>,
    /// Be late by up to so much, always by the same
    #[arg(long, value_name = "duration", conflicts_with = "exact")]
    pub stagger: Option<String>,
    /// Not late, also at the full hour
    #[arg(long)]
    pub exact: bool,
    /// When the main session looks at an event
    #[arg(long, value_name = "mode", value_parser = ["now", "next-heartbeat"])]
    pub wake: Option<String>,
    /// Text of an event for the main session
    #[arg(long, value_name = "text")]
    pub system_event: Option<String>,
    /// What the agent is asked
    #[arg(long, value_name = "text")]
    pub message: Option<String>,
    /// Model of these runs, as provider/model
    #[arg(long, value_name = "model")]
    pub model: Option<String>,
    /// How hard the model thinks
    #[arg(long, value_name = "level")]
    pub thinking: Option<String>,
    /// Seconds that a run may take; 0: as long as it likes
    #[arg(long, value_name = "n")]
    pub timeout_seconds: Option<u64>,
    /// Leave out what the workspace says
    #[arg(long)]
    pub light_context: bool,
    /// Only these tools, separated by commas
    #[arg(long, value_name = "names", value_delimiter = ',')]
    pub tools: Option<Vec<String>>,
    /// Say the answer in a chat
    #[arg(long, conflicts_with = "no_deliver")]
    pub announce: bool,
    /// Tell nobody
    #[arg(long)]
    pub no_deliver: bool,
    /// Channel of that chat, or last
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    /// The chat
    #[arg(long, value_name = "target")]
    pub to: Option<String>,
    /// Thread or topic of the chat
    #[arg(long, value_name = "id")]
    pub thread_id: Option<String>,
    /// Account of the channel
    #[arg(long, value_name = "id")]
    pub account: Option<String>,
    /// A run is no error because its answer could not be delivered
    #[arg(long)]
    pub best_effort_deliver: bool,
    /// Remove a one-shot that has succeeded
    #[arg(long, conflicts_with = "keep_after_run")]
    pub delete_after_run: bool,
    /// Keep it, disabled
    #[arg(long)]
    pub keep_after_run: bool,
}

impl JobFlags {
    /// Parameters of a new job.
    pub fn new_job(&self, now: i64) -> Result<Map<String, Value>, String> {
        if self.name.is_none() {
            return Err("Missing --name <name>".to_owned());
        }
        let schedule = self.schedule(now)?.ok_or(ONE_SCHEDULE)?;
        if self.system_event.is_some() == self.message.is_some() {
            return Err(ONE_PAYLOAD.to_owned());
        }
        let mut job = self.plain();
        let is_turn = self.message.is_some();
        let target = self.session.as_deref().unwrap_or(if is_turn { "isolated" } else { "main" });
        job.insert("schedule".into(), schedule);
        job.insert("sessionTarget".into(), json!(target));
        job.insert("wakeMode".into(), json!(self.wake.as_deref().unwrap_or("now")));
        job.insert("payload".into(), Value::Object(self.payload()));
        let mut delivery = self.delivery();
        if is_turn && target == "isolated" || !delivery.is_empty() {
            let mode = if self.no_deliver { "none" } else { "announce" };
            delivery.entry("mode").or_insert(json!(mode));
            delivery.entry("channel").or_insert(json!("last"));
            job.insert("delivery".into(), Value::Object(delivery));
        }
        Ok(job)
    }

    /// What is to be different of a job.
    pub fn patch(&self, now: i64) -> Result<Map<String, Value>, String> {
        if self.system_event.is_some() && self.message.is_some() {
            return Err(ONE_PAYLOAD.to_owned());
        }
        let mut patch = self.plain();
        let session = self.session.as_ref().map(|target| ("sessionTarget", json!(target)));
        let wake = self.wake.as_ref().map(|wake| ("wakeMode", json!(wake)));
        let schedule = self.schedule(now)?.map(|schedule| ("schedule", schedule));
        let (payload, delivery) = (self.payload(), self.delivery());
        let payload = (payload.len() > 1).then_some(("payload", Value::Object(payload)));
        let delivery = (!delivery.is_empty()).then_some(("delivery", Value::Object(delivery)));
        let all = [session, wake, schedule, payload, delivery].into_iter().flatten();
        patch.extend(all.map(|(key, value)| (key.to_owned(), value)));
        Ok(patch)
    }

    /// Fields that are one flag each.
    fn plain(&self) -> Map<String, Value> {
        let delete = match (self.delete_after_run, self.keep_after_run) {
            (true, _) => Some(json!(true)),
            (_, true) => Some(json!(false)),
            _ => None,
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        set([
            ("name", text(&self.name)),
            ("description", text(&self.description)),
            ("agentId", text(&self.agent)),
            ("sessionKey", text(&self.session_key)),
            ("deleteAfterRun", delete),
        ])
    }

    fn schedule(&self, now: i64) -> Result<Option<Value>, String> {
        let chosen = [&self.at, &self.every, &self.cron].into_iter().flatten().count();
        if chosen > 1 {
            return Err(ONE_SCHEDULE.to_owned());
        }
        if self.cron.is_none() && (self.stagger.is_some() || self.exact) {
            return Err("--stagger and --exact need --cron".to_owned());
        }
        if let Some(at) = &self.at {
            let at = moment(at, self.tz.as_deref(), now)?;
            return Ok(Some(json!({ "kind": "at", "at": schedule::iso(at) })));
        }
        if self.tz.is_some() && self.cron.is_none() {
            return Err("--tz needs --cron or --at".to_owned());
        }
        if let Some(every) = &self.every {
            let every = span(every).ok_or("Invalid --every. Use a duration like 10m or 1h.")?;
            return Ok(Some(json!({ "kind": "every", "everyMs": every })));
        }
        let Some(expr) = &self.cron else { return Ok(None) };
        let stagger = match &self.stagger {
            Some(text) => Some(json!(span(text).ok_or("Invalid --stagger. Use a duration like 30s or 5m.")?)),
            None => self.exact.then(|| json!(0)),
        };
        let tz = self.tz.as_ref().map(|tz| json!(tz));
        let schedule =
            set([("kind", Some(json!("cron"))), ("expr", Some(json!(expr))), ("tz", tz), ("staggerMs", stagger)]);
        Ok(Some(Value::Object(schedule)))
    }

    fn payload(&self) -> Map<String, Value> {
        if let Some(text) = &self.system_event {
            return set([("kind", Some(json!("systemEvent"))), ("text", Some(json!(text)))]);
        }
        set([
            ("kind", Some(json!("agentTurn"))),
            ("message", self.message.as_ref().map(|text| json!(text))),
            ("model", self.model.as_ref().map(|model| json!(model))),
            ("thinking", self.thinking.as_ref().map(|level| json!(level))),
            ("timeoutSeconds", self.timeout_seconds.map(|seconds| json!(seconds))),
            ("lightContext", self.light_context.then(|| json!(true))),
            ("toolsAllow", self.tools.as_ref().map(|tools| json!(tools))),
        ])
    }

    fn delivery(&self) -> Map<String, Value> {
        let mode = match (self.announce, self.no_deliver) {
            (true, _) => Some(json!("announce")),
            (_, true) => Some(json!("none")),
            _ => None,
        };
        set([
            ("mode", mode),
            ("channel", self.channel.as_ref().map(|channel| json!(channel))),
            ("to", self.to.as_ref().map(|to| json!(to))),
            ("threadId", self.thread_id.as_ref().map(|thread| json!(thread))),
            ("accountId", self.account.as_ref().map(|account| json!(account))),
            ("bestEffort", self.best_effort_deliver.then(|| json!(true))),
        ])
    }
}

fn set<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Milliseconds of a duration that names its unit, at least one.
fn span(text: &str) -> Option<i64> {
    if text.trim().parse::<f64>().is_ok() {
        return None;
    }
    let span = duration::parse(text, Duration::ZERO, true)?;
    i64::try_from(span.as_millis()).ok().filter(|ms| *ms > 0)
}

/// A time, or a duration from now; a time without an offset is one of the zone, or UTC.
fn moment(text: &str, tz: Option<&str>, now: i64) -> Result<i64, String> {
    if let Some(span) = span(text.trim().trim_start_matches('+')) {
        return now.checked_add(span).ok_or_else(|| BAD_AT.to_owned());
    }
    if let (Some(tz), Ok(civil)) = (tz, text.trim().parse::<DateTime>()) {
        let has_offset = text.trim().parse::<jiff::Timestamp>().is_ok();
        let zone = TimeZone::get(tz).map_err(|_| format!("Invalid --tz. There is no time zone {tz}."))?;
        if !has_offset {
            let at = civil.to_zoned(zone).map_err(|_| BAD_AT.to_owned())?;
            return Ok(at.timestamp().as_millisecond());
        }
    }
    schedule::instant(text).map_err(|_| BAD_AT.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: JobFlags,
    }

    fn flags(line: &str) -> JobFlags {
        Line::try_parse_from(std::iter::once("x").chain(line.split_whitespace())).unwrap().flags
    }

    #[test]
    fn a_new_job_is_asked_for_as_upstreams_command_does() {
        let asked = flags("--name t1 --every 1h --message ping --session isolated").new_job(NOW).unwrap();
        assert_eq!(
            Value::Object(asked),
            json!({
                "name": "t1", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "sessionTarget": "isolated",
                "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "ping" },
                "delivery": { "mode": "announce", "channel": "last" }
            })
        );
        let asked = flags("--name t2 --cron @daily --tz Asia/Shanghai --exact --system-event hi --wake next-heartbeat");
        let asked = Value::Object(asked.new_job(NOW).unwrap());
        assert_eq!(
            asked["schedule"],
            json!({ "kind": "cron", "expr": "@daily", "tz": "Asia/Shanghai", "staggerMs": 0 })
        );
        assert_eq!((&asked["sessionTarget"], &asked["delivery"]), (&json!("main"), &Value::Null));
        let asked = flags("--name t3 --at +2h --message m --no-deliver --keep-after-run --tools read,write");
        let asked = Value::Object(asked.new_job(NOW).unwrap());
        assert_eq!(asked["schedule"]["at"], json!(schedule::iso(NOW + 7_200_000)));
        assert_eq!(asked["delivery"], json!({ "mode": "none", "channel": "last" }));
        assert_eq!(
            (&asked["deleteAfterRun"], &asked["payload"]["toolsAllow"]),
            (&json!(false), &json!(["read", "write"]))
        );
    }

    #[test]
    fn a_time_is_one_of_the_zone_that_is_named() {
        for (line, at) in [
            ("--at 2026-06-01T09:00:00Z", "2026-06-01T09:00:00.000Z"),
            ("--at 2026-06-01T09:00", "2026-06-01T09:00:00.000Z"),
            ("--at 2026-06-01T09:00 --tz Europe/Berlin", "2026-06-01T07:00:00.000Z"),
            ("--at 2026-06-01T09:00:00+05:00 --tz Europe/Berlin", "2026-06-01T04:00:00.000Z"),
            ("--at 20m", "2027-01-15T08:20:00.000Z"),
        ] {
            assert_eq!(flags(line).schedule(NOW).unwrap().unwrap()["at"], json!(at), "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, text) in [
            ("--name n --message m", ONE_SCHEDULE),
            ("--name n --message m --at 5m --every 5m", ONE_SCHEDULE),
            ("--name n --every 5m", ONE_PAYLOAD),
            ("--name n --every 5m --message m --system-event e", ONE_PAYLOAD),
            ("--name n --at soon --message m", BAD_AT),
            ("--name n --at 5 --message m", BAD_AT),
            ("--name n --every 5 --message m", "Invalid --every. Use a duration like 10m or 1h."),
            ("--name n --every 5m --exact --message m", "--stagger and --exact need --cron"),
            ("--name n --every 5m --tz UTC --message m", "--tz needs --cron or --at"),
            ("--every 5m --message m", "Missing --name <name>"),
        ] {
            assert_eq!(flags(line).new_job(NOW).unwrap_err(), text, "{line}");
        }
    }

    #[test]
    fn a_patch_has_only_what_is_to_be_different() {
        assert!(flags("").patch(NOW).unwrap().is_empty());
        let patch = flags("--message ho --to room --session main").patch(NOW).unwrap();
        let expected = json!({ "sessionTarget": "main", "payload": { "kind": "agentTurn", "message": "ho" },
            "delivery": { "to": "room" } });
        assert_eq!(Value::Object(patch), expected);
    }
}
