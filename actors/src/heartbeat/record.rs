//! How a heartbeat went: what `last-heartbeat` answers and the event `heartbeat` says.

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::settings::Visibility;
use crate::delivery::Route;
use crate::run::message::{HeartbeatTurn, Outcome};
use crate::run::sentinel;

/// Characters of what was said.
const PREVIEW: usize = 200;

/// What became of it, as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// `sent`, `ok-empty`, `ok-token`, `skipped` or `failed`.
    pub status: &'static str,
    pub reason: Option<String>,
    pub text: Option<String>,
    /// Somebody was told.
    pub said: bool,
}

/// What a person is told of it; `None`: nothing.
pub fn said(turn: &HeartbeatTurn, outcome: &Outcome) -> Option<String> {
    let Outcome::Completed { text } = outcome else { return None };
    match answer::read(text, turn.ack_max) {
        Answer::Ok | Answer::Empty => turn.show_ok.then(|| answer::TOKEN.to_owned()),
        Answer::Alert(text) => (turn.show_alerts && turn.previous.as_ref() != Some(&text)).then_some(text),
    }
}

/// The outcome as clients that watch the conversation are shown it: without the token.
pub fn shown(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Completed { text } => Outcome::Completed { text: sentinel::visible(text).to_owned() },
        other => other.clone(),
    }
}

/// How a heartbeat ended. `no_route` says why nobody can be told.
pub fn fate(turn: &HeartbeatTurn, outcome: &Outcome, no_route: Option<&str>) -> Fate {
    let plain = |status, reason: Option<&str>, text: Option<String>| Fate {
        status,
        reason: reason.map(str::to_owned),
        text,
        said: false,
    };
    let text = match outcome {
        Outcome::Completed { text } => text,
        Outcome::Failed { message, .. } => return plain("failed", Some(message), None),
        Outcome::Aborted { cause, .. } => return plain("failed", Some(cause.as_str()), None),
    };
    let said = no_route.is_none() && said(turn, outcome).is_some();
    match answer::read(text, turn.ack_max) {
        Answer::Ok => Fate { said, ..plain("ok-token", None, None) },
        Answer::Empty => Fate { said, ..plain("ok-empty", None, None) },
        Answer::Alert(text) if turn.previous.as_ref() == Some(&text) => plain("skipped", Some("duplicate"), Some(text)),
        Answer::Alert(text) if !turn.show_alerts => plain("skipped", Some("alerts-disabled"), Some(text)),
        Answer::Alert(text) => match no_route {
            Some(reason) => plain("skipped", Some(reason), Some(text)),
            None => Fate { said, ..plain("sent", None, Some(text)) },
        },
    }
}

/// `{ts, status, reason?, preview?, durationMs, hasMedia, channel?, accountId?, to?, silent?, indicatorType?}`
pub fn record(fate: &Fate, route: Option<&Route>, seen: Visibility, now: i64, took_ms: i64) -> Value {
    let mut record = json!({ "ts": now, "status": fate.status });
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            record[key] = value;
        }
    };
    put("reason", fate.reason.as_ref().map(|reason| json!(reason)));
    put("preview", fate.text.as_ref().map(|text| json!(text.chars().take(PREVIEW).collect::<String>())));
    put("durationMs", Some(json!(took_ms)));
    put("hasMedia", Some(json!(false)));
    if let Some(route) = route.filter(|_| fate.said) {
        put("channel", Some(json!(route.channel)));
        put("accountId", Some(json!(route.account)));
        put("to", Some(json!(route.target)));
    }
    let is_ok = fate.status.starts_with("ok-");
    put("silent", (is_ok && !fate.said).then_some(json!(true)));
    let indicator = match fate.status {
        "sent" => Some("alert"),
        "failed" => Some("error"),
        _ => is_ok.then_some("ok"),
    };
    put("indicatorType", indicator.filter(|_| seen.indicator).map(|indicator| json!(indicator)));
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::message::{AbortCause, FailureKind};

    const TURN: HeartbeatTurn =
        HeartbeatTurn { ack_max: 20, show_ok: false, show_alerts: true, previous: None, fresh: false };

    fn completed(text: &str) -> Outcome {
        Outcome::Completed { text: text.to_owned() }
    }

    #[test]
    fn what_is_said_and_what_is_recorded_follow_from_the_answer() {
        let again = HeartbeatTurn { previous: Some("the oven".into()), ..TURN };
        let loud = HeartbeatTurn { show_ok: true, ..TURN };
        let mute = HeartbeatTurn { show_alerts: false, ..TURN };
        for (turn, answer, no_route, heard, status, reason) in [
            (&TURN, "HEARTBEAT_OK", None, None, "ok-token", None),
            (&TURN, "", None, None, "ok-empty", None),
            (&loud, "HEARTBEAT_OK", None, Some("HEARTBEAT_OK"), "ok-token", None),
            (&TURN, "the oven", None, Some("the oven"), "sent", None),
            (&TURN, "the oven", Some("no-target"), Some("the oven"), "skipped", Some("no-target")),
            (&again, "the oven", None, None, "skipped", Some("duplicate")),
            (&mute, "the oven", None, None, "skipped", Some("alerts-disabled")),
        ] {
            assert_eq!(said(turn, &completed(answer)).as_deref(), heard, "{answer}");
            let fate = fate(turn, &completed(answer), no_route);
            assert_eq!((fate.status, fate.reason.as_deref()), (status, reason), "{answer}");
            assert_eq!(fate.said, no_route.is_none() && heard.is_some(), "{answer}");
        }
    }

    #[test]
    fn a_failure_is_recorded_and_told_to_nobody() {
        let failed = Outcome::Failed { message: "401".into(), reply: "sorry".into(), kind: FailureKind::Unknown };
        let aborted = Outcome::Aborted { cause: AbortCause::Timeout, partial: "half".into() };
        for (outcome, reason) in [(failed, "401"), (aborted, "timeout")] {
            assert_eq!(said(&TURN, &outcome), None);
            let fate = fate(&TURN, &outcome, None);
            assert_eq!((fate.status, fate.reason.as_deref()), ("failed", Some(reason)));
        }
    }

    #[test]
    fn a_record_names_where_it_was_said_and_how_clients_show_it() {
        let seen = Visibility { ok: false, alerts: true, indicator: true };
        let route =
            Route { channel: "webhook".into(), account: "front".into(), target: "ada".into(), ..Route::default() };
        let sent = fate(&TURN, &completed("the oven"), None);
        let expected = json!({ "ts": 5, "status": "sent", "preview": "the oven", "durationMs": 3, "hasMedia": false,
            "channel": "webhook", "accountId": "front", "to": "ada", "indicatorType": "alert" });
        assert_eq!(record(&sent, Some(&route), seen, 5, 3), expected);
        let quiet = fate(&TURN, &completed("HEARTBEAT_OK"), None);
        let unseen = Visibility { indicator: false, ..seen };
        let expected = json!({ "ts": 5, "status": "ok-token", "durationMs": 3, "hasMedia": false, "silent": true });
        assert_eq!(record(&quiet, Some(&route), unseen, 5, 3), expected);
    }
}
