//! When a conversation begins anew: by age, or because somebody says so.
//!
//! Age is looked at when the next message comes, never by a timer. Source: session reset of 2026.5.12.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::entry::SessionEntry;
use crate::config::settings::{ResetMode, SessionReset};

/// Hour of the daily reset unless configured, in the gateway's zone.
pub const DAILY_AT_HOUR: u8 = 4;

/// When a session is too old to go on. Both rules may be in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetRule {
    /// 0–23; begins anew at this hour of every day.
    pub daily_at_hour: Option<u8>,
    /// Begins anew after so many minutes without a message.
    pub idle_minutes: Option<u64>,
}

impl ResetRule {
    /// The rule behind `session.reset`. Nothing configured means daily; `idle` without minutes means never.
    pub fn from_settings(reset: Option<&SessionReset>) -> Self {
        let Some(reset) = reset else {
            return Self { daily_at_hour: Some(DAILY_AT_HOUR), idle_minutes: None };
        };
        let hour = reset.at_hour.unwrap_or(DAILY_AT_HOUR).min(23);
        Self {
            daily_at_hour: (reset.mode != Some(ResetMode::Idle)).then_some(hour),
            idle_minutes: reset.idle_minutes.filter(|minutes| *minutes > 0),
        }
    }
}

/// Which rule ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    Daily,
    Idle,
}

/// Is a session too old to go on at `now`, whose zone is the gateway's?
///
/// Entries of older versions lack the times; then the latest one that they have counts.
pub fn is_stale(rule: ResetRule, entry: &SessionEntry, now: &Zoned) -> Option<Stale> {
    let last = entry.last_interaction_at.or(entry.session_started_at).or(entry.updated_at)?;
    let started = entry.session_started_at.unwrap_or(last);
    let daily_from = rule.daily_at_hour.and_then(|hour| latest_boundary(hour, now));
    if daily_from.is_some_and(|boundary| started < boundary.as_millisecond()) {
        return Some(Stale::Daily);
    }
    let idle_ms = rule.idle_minutes.map(|minutes| minutes.saturating_mul(60_000));
    let is_idle = idle_ms.is_some_and(|idle| now.timestamp().as_millisecond() > last.saturating_add_unsigned(idle));
    is_idle.then_some(Stale::Idle)
}

/// The latest instant at or before `now` at which the day's clock shows `hour`. An hour that a clock change skips
/// happens when the clock is put forward.
fn latest_boundary(hour: u8, now: &Zoned) -> Option<Timestamp> {
    let time = Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok()?;
    let zone: &TimeZone = now.time_zone();
    let today = now.date().to_datetime(time).to_zoned(zone.clone()).ok()?;
    if today <= *now {
        return Some(today.timestamp());
    }
    let yesterday = now.date().checked_sub(1.day()).ok()?;
    Some(yesterday.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
}

/// A message that asks for a new conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetCommand {
    pub kind: ResetKind,
    /// What follows the command: perhaps a model's name, else the first message.
    pub rest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetKind {
    New,
    Reset,
    /// Keeps the history, and only rebuilds what is derived from it.
    SoftReset,
}

/// Reads a message as a reset command. No triggers configured means `/new` and `/reset`.
///
/// The trigger stands first and ends at white space; one with a slash may be followed by a colon. Any other trigger
/// than `/reset` is a `/new` by another name.
pub fn parse_reset_trigger(text: &str, triggers: &[String]) -> Option<ResetCommand> {
    let text = text.trim();
    let defaults = ["/new".to_owned(), "/reset".to_owned()];
    let triggers = if triggers.is_empty() { &defaults } else { triggers };
    triggers.iter().find_map(|trigger| {
        let trigger = trigger.trim().to_lowercase();
        let rest = rest_after(text, &trigger)?;
        let soft = (trigger == "/reset").then(|| rest_after(rest, "soft")).flatten();
        Some(match soft {
            Some(rest) => ResetCommand { kind: ResetKind::SoftReset, rest: rest.to_owned() },
            None if trigger == "/reset" => ResetCommand { kind: ResetKind::Reset, rest: rest.to_owned() },
            None => ResetCommand { kind: ResetKind::New, rest: rest.to_owned() },
        })
    })
}

/// What follows `word` at the start of a text, or `None` when the text does not begin with it.
fn rest_after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    if word.is_empty() {
        return None;
    }
    let head = text.get(..word.len())?;
    if head.to_lowercase() != word {
        return None;
    }
    let tail = &text[word.len()..];
    let after_colon = if word.starts_with('/') { tail.strip_prefix(':') } else { None };
    let ends_here = tail.is_empty() || tail.starts_with(char::is_whitespace);
    after_colon.or(ends_here.then_some(tail)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn entry(started: &str, last: &str) -> SessionEntry {
        let ms = |text| Some(at(text).timestamp().as_millisecond());
        SessionEntry { session_started_at: ms(started), last_interaction_at: ms(last), ..SessionEntry::new("s", 0) }
    }

    const DAILY: ResetRule = ResetRule { daily_at_hour: Some(4), idle_minutes: None };
    const IDLE: ResetRule = ResetRule { daily_at_hour: None, idle_minutes: Some(30) };
    const BOTH: ResetRule = ResetRule { daily_at_hour: Some(4), idle_minutes: Some(30) };
    const NEVER: ResetRule = ResetRule { daily_at_hour: None, idle_minutes: None };

    #[test]
    fn a_session_ends_at_the_hour_or_after_silence() {
        for (rule, started, last, now, expected) in [
            (DAILY, "2026-11-21T03:59[UTC]", "2026-11-21T03:59[UTC]", "2026-11-21T04:00[UTC]", Some(Stale::Daily)),
            (DAILY, "2026-11-21T04:00[UTC]", "2026-11-21T04:00[UTC]", "2026-11-22T03:59[UTC]", None),
            (DAILY, "2026-11-20T05:00[UTC]", "2026-11-21T03:00[UTC]", "2026-11-21T03:30[UTC]", None),
            (DAILY, "2026-11-19T05:00[UTC]", "2026-11-21T03:00[UTC]", "2026-11-21T03:30[UTC]", Some(Stale::Daily)),
            (IDLE, "2026-11-01T00:00[UTC]", "2026-11-21T08:00[UTC]", "2026-11-21T08:30[UTC]", None),
            (IDLE, "2026-11-01T00:00[UTC]", "2026-11-21T08:00[UTC]", "2026-11-21T08:30:01[UTC]", Some(Stale::Idle)),
            (BOTH, "2026-11-21T08:00[UTC]", "2026-11-21T08:00[UTC]", "2026-11-21T09:00[UTC]", Some(Stale::Idle)),
            (BOTH, "2026-11-20T08:00[UTC]", "2026-11-21T08:59[UTC]", "2026-11-21T09:00[UTC]", Some(Stale::Daily)),
            (NEVER, "2020-01-01T00:00[UTC]", "2020-01-01T00:00[UTC]", "2026-11-21T09:00[UTC]", None),
        ] {
            assert_eq!(is_stale(rule, &entry(started, last), &at(now)), expected, "{rule:?} at {now}");
        }
    }

    #[test]
    fn the_hour_is_that_of_the_gateways_own_day() {
        let rule = ResetRule { daily_at_hour: Some(2), idle_minutes: None };
        // 02:00 does not exist on this morning: the boundary is 03:00, when the clock was put forward
        let entry = entry("2026-03-29T01:30[Europe/Berlin]", "2026-03-29T01:30[Europe/Berlin]");
        assert_eq!(is_stale(rule, &entry, &at("2026-03-29T01:59[Europe/Berlin]")), None);
        assert_eq!(is_stale(rule, &entry, &at("2026-03-29T03:00[Europe/Berlin]")), Some(Stale::Daily));
    }

    #[test]
    fn an_entry_without_times_goes_by_the_one_it_has() {
        let bare = |updated_at| SessionEntry { updated_at, session_started_at: None, ..SessionEntry::new("s", 0) };
        let now = at("2026-11-21T09:00[UTC]");
        assert_eq!(is_stale(DAILY, &bare(None), &now), None);
        assert_eq!(is_stale(DAILY, &bare(Some(0)), &now), Some(Stale::Daily));
        assert_eq!(is_stale(DAILY, &bare(Some(now.timestamp().as_millisecond())), &now), None);
    }

    #[test]
    fn settings_become_rules() {
        let reset = |mode, at_hour, idle_minutes| SessionReset { mode, at_hour, idle_minutes };
        for (settings, rule) in [
            (None, DAILY),
            (Some(reset(None, None, Some(30))), BOTH),
            (Some(reset(Some(ResetMode::Daily), None, None)), DAILY),
            (Some(reset(Some(ResetMode::Idle), Some(9), Some(30))), IDLE),
            (Some(reset(Some(ResetMode::Idle), None, None)), NEVER),
        ] {
            assert_eq!(ResetRule::from_settings(settings.as_ref()), rule);
        }
    }

    #[test]
    fn triggers_are_read_with_what_follows_them() {
        let custom = ["Fresh start".to_owned(), "/reset".to_owned()];
        for (text, triggers, expected) in [
            ("/new", &[][..], Some((ResetKind::New, ""))),
            (" /NEW gpt hello ", &[], Some((ResetKind::New, "gpt hello"))),
            ("/new: hi", &[], Some((ResetKind::New, "hi"))),
            ("/new\nhi", &[], Some((ResetKind::New, "hi"))),
            ("/reset", &[], Some((ResetKind::Reset, ""))),
            ("/reset Soft go on", &[], Some((ResetKind::SoftReset, "go on"))),
            ("/reset softly", &[], Some((ResetKind::Reset, "softly"))),
            ("/newer", &[], None),
            ("please /new", &[], None),
            ("", &[], None),
            ("ü", &[], None),
            ("fresh START now", &custom, Some((ResetKind::New, "now"))),
            ("/new", &custom, None),
        ] {
            let parsed = parse_reset_trigger(text, triggers).map(|command| (command.kind, command.rest));
            assert_eq!(parsed, expected.map(|(kind, rest)| (kind, rest.to_owned())), "{text}");
        }
    }
}
