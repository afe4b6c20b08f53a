//! `gateway.restart.*`: what a restart would wait for, and asking for one.

use std::time::Duration;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::restart::{Answer, Cause, Drain, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::Services;
use crate::gateway::{next_start, service_manager, stop};

/// Characters of a reason that are kept.
const REASON_CHARS: usize = 200;
/// Longest wait for running turns that can be asked for: a day, milliseconds.
const WAIT_MS_MAX: u64 = 86_400_000;

pub const METHODS: &[Method] = &[
    Method::new("gateway.restart.preflight", Access::Operator(Scope::Read), |call| Box::pin(preflight(call))),
    Method::new("gateway.restart.request", Access::Operator(Scope::Admin), |call| Box::pin(request(call))),
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestParams {
    reason: Option<String>,
    /// Cut running turns off; they go on after the start.
    skip_deferral: bool,
    /// An addition: how long running turns may go on; 0: as long as they take. Default: the configuration's.
    wait_ms: Option<u64>,
}

impl Params for RequestParams {
    fn check(&self) -> Result<(), String> {
        params::range("waitMs", self.wait_ms, 0, WAIT_MS_MAX)
    }
}

impl RequestParams {
    fn drain(&self) -> Drain {
        match (self.skip_deferral, self.wait_ms) {
            (true, _) => Drain::Skip,
            (false, Some(ms)) => Drain::Limit((ms > 0).then(|| Duration::from_millis(ms))),
            (false, None) => Drain::Configured,
        }
    }

    fn reason(&self) -> String {
        let given = self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        given.unwrap_or("gateway.restart.request").chars().take(REASON_CHARS).collect()
    }
}

async fn preflight(call: Call) -> Result<Reply, ErrorShape> {
    Ok(Reply::Value(Load::of(&call.services).preflight()))
}

/// Answered before the restart begins. An operator who may call this needs no `commands.restart`, which is about signals
/// and slash commands. Source: protocol specification §12 and §13.
async fn request(call: Call) -> Result<Reply, ErrorShape> {
    call.services.control_budget.spend(call.method, &call.client)?;
    let params: RequestParams = call.params()?;
    let (services, drain, reason) = (&call.services, params.drain(), params.reason());
    if services.draining() && !services.context.restarts.is_under_way() {
        return Err(ErrorShape::unavailable("the gateway is stopping"));
    }
    if let Err(refusal) = next_start::check(services).await {
        return Err(ErrorShape::unavailable(format!("the gateway would not start again: {refusal}")));
    }
    let load = Load::of(services);
    let request = Request { cause: Cause::Operator, reason: reason.clone(), drain };
    let answer = services.context.restarts.request(request);
    tracing::info!(target: "gateway", reason, client = %call.client.client_id, coalesced = answer.coalesced, "restart requested");
    let limit = stop::restart_limit(services, drain);
    Ok(Reply::Value(json!({
        "ok": true,
        "status": status(answer, drain, load),
        "preflight": load.preflight(),
        "restart": {
            "ok": true,
            "pid": std::process::id(),
            "delayMs": millis(answer.delay),
            "reason": reason,
            "mode": if service_manager::is_ours() { "supervisor" } else { "in-process" },
            "coalesced": answer.coalesced,
            "cooldownMsApplied": millis(answer.spacing),
            "drainMs": limit.map(millis),
        },
    })))
}

fn status(answer: Answer, drain: Drain, load: Load) -> &'static str {
    match (answer.coalesced, drain == Drain::Skip || load.is_idle()) {
        (true, _) => "coalesced",
        (false, true) => "scheduled",
        (false, false) => "deferred",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the gateway is busy with.
#[derive(Debug, Clone, Copy)]
struct Load {
    running: usize,
    /// Accepted and not begun. A restart does not wait for these: they wait in the store.
    queued: usize,
}

impl Load {
    fn of(services: &Services) -> Self {
        let directory = &services.context.directory;
        let running = directory.live().len();
        Self { running, queued: directory.open().saturating_sub(running) }
    }

    fn is_idle(self) -> bool {
        self.running + self.queued == 0
    }

    /// `{safe, counts, blockers, summary}`. Replies to channels and background tasks belong to later releases: none.
    fn preflight(self) -> Value {
        let found = [
            (self.queued, "queue", format!("{} queued turns", self.queued)),
            (self.running, "embedded-run", format!("{} running turns", self.running)),
        ];
        let found: Vec<_> = found.into_iter().filter(|(count, _, _)| *count > 0).collect();
        let blockers: Vec<Value> =
            found.iter().map(|(count, kind, text)| json!({ "kind": kind, "count": count, "message": text })).collect();
        let texts: Vec<&str> = found.iter().map(|(_, _, text)| text.as_str()).collect();
        let summary = match texts.as_slice() {
            [] => "safe to restart now".to_owned(),
            texts => format!("restart deferred: {}", texts.join("; ")),
        };
        json!({
            "safe": self.is_idle(),
            "counts": {
                "queueSize": self.queued, "pendingReplies": 0, "embeddedRuns": self.running, "activeTasks": 0,
                "totalActive": self.queued + self.running,
            },
            "blockers": blockers,
            "summary": summary,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_gateway_is_safe_to_restart_and_a_busy_one_says_with_what() {
        let idle = Load { running: 0, queued: 0 }.preflight();
        assert_eq!((&idle["safe"], &idle["summary"]), (&json!(true), &json!("safe to restart now")));
        assert_eq!(idle["blockers"], json!([]));
        let busy = Load { running: 2, queued: 1 }.preflight();
        assert_eq!((&busy["safe"], &busy["counts"]["totalActive"]), (&json!(false), &json!(3)));
        assert_eq!(busy["summary"], "restart deferred: 1 queued turns; 2 running turns");
        assert_eq!(busy["blockers"][1], json!({ "kind": "embedded-run", "count": 2, "message": "2 running turns" }));
    }

    #[test]
    fn the_status_says_when_it_happens() {
        let answer = |coalesced| Answer { coalesced, delay: Duration::ZERO, spacing: Duration::ZERO };
        let (idle, busy) = (Load { running: 0, queued: 0 }, Load { running: 1, queued: 0 });
        assert_eq!(status(answer(false), Drain::Configured, idle), "scheduled");
        assert_eq!(status(answer(false), Drain::Configured, busy), "deferred");
        assert_eq!(status(answer(false), Drain::Skip, busy), "scheduled");
        assert_eq!(status(answer(true), Drain::Skip, idle), "coalesced");
    }

    #[test]
    fn a_wait_of_nothing_has_no_end_and_skipping_wins() {
        let params = |value: Value| serde_json::from_value::<RequestParams>(value).unwrap();
        assert_eq!(params(json!({})).drain(), Drain::Configured);
        assert_eq!(params(json!({ "waitMs": 0 })).drain(), Drain::Limit(None));
        assert_eq!(params(json!({ "waitMs": 5 })).drain(), Drain::Limit(Some(Duration::from_millis(5))));
        assert_eq!(params(json!({ "waitMs": 5, "skipDeferral": true })).drain(), Drain::Skip);
        assert_eq!(params(json!({ "reason": "  " })).reason(), "gateway.restart.request");
        assert_eq!(params(json!({ "reason": "x".repeat(300) })).reason().len(), REASON_CHARS);
    }
}
