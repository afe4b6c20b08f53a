//! Does the gateway of this configuration answer, and who holds its port?

use std::time::Duration;

use serde_json::{Value, json};

use super::finding::{Finding, Section};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::gateway::reach::Reach;
use crate::cli::listeners::{self, PortUse};
use crate::cli::rpc::{self, RpcArgs};
use crate::cli::text::{list, number, string};
use crate::client::{Endpoint, RunFile, UrlSource};

/// Longest wait for the gateway.
const LIMIT: Duration = Duration::from_secs(3);

pub fn look(context: &Context) -> Result<Vec<Finding>, Failure> {
    let keys = context.keys_or_salvage()?;
    let args = RpcArgs::default();
    let endpoint = match rpc::endpoint(context, &args, &keys) {
        Ok(endpoint) => endpoint,
        Err(failure) => return Ok(vec![Finding::problem(Section::Gateway, failure.lines.join("\n"))]),
    };
    let calls = [("health", json!({})), ("status", json!({}))];
    let reach = context.block_on(rpc::probe(&endpoint, &keys, &calls, LIMIT))?;
    let note = RunFile::read(&context.paths.state_dir);
    let usage = listeners::on_port(rpc::local_port(context, &args, &keys)?);
    let mut findings = vec![judge(&endpoint, &reach, note.as_ref(), &usage, &context.hint("gateway run"))];
    findings.extend(reach.answer("status").map(troubles).unwrap_or_default());
    Ok(findings)
}

/// What the gateway itself says is not as it should be.
fn troubles(status: &Value) -> Vec<Finding> {
    let mut troubles = Vec::new();
    if let Some(reason) = string(status, "/safeMode") {
        troubles.push(format!("The gateway is in safe mode: {reason}"));
    }
    if string(status, "/disk").is_some_and(|room| room != "ok") {
        troubles.push("The disk of the state directory is almost full".to_owned());
    }
    for row in list(status, "/supervision/down") {
        let (path, state) = (string(row, "/path").unwrap_or("?"), string(row, "/state").unwrap_or("?"));
        troubles.push(format!("{path} does not run ({state}): openclaw tree"));
    }
    if let Some(dead) = number(status, "/inbox/dead").filter(|dead| *dead > 0) {
        troubles.push(format!("{dead} messages are dead: openclaw inbox list --state dead"));
    }
    if let Some(failed) = number(status, "/spool/failed").filter(|failed| *failed > 0) {
        troubles.push(format!("{failed} events of chats could not be read: openclaw spool list --state failed"));
    }
    for (state, what) in [("failed", "could not be delivered"), ("unknown", "may not have been delivered")] {
        if let Some(count) = number(status, &format!("/outbox/{state}")).filter(|count| *count > 0) {
            troubles.push(format!("{count} messages {what}: openclaw outbox list --state {state}"));
        }
    }
    troubles.into_iter().map(|text| Finding::problem(Section::Gateway, text)).collect()
}

/// A gateway that does not run is no problem; one that runs and does not answer is.
fn judge(endpoint: &Endpoint, reach: &Reach, note: Option<&RunFile>, usage: &PortUse, start: &str) -> Finding {
    let url = &endpoint.url;
    let reason = reach.error.as_deref().or(reach.failed_read()).unwrap_or("no reason given");
    let holders: Vec<String> = usage.listeners.iter().map(listeners::Listener::text).collect();
    match (reach.connected() && reach.answer("health").is_some(), note) {
        (true, _) => {
            Finding::fine(Section::Gateway, format!("Gateway answers at {url} ({})", reach.capability().text()))
        }
        (false, Some(note)) => {
            let text = format!("Gateway runs (pid {}) but does not answer at {url}: {reason}", note.pid);
            Finding::problem(Section::Gateway, text)
        }
        (false, None) if endpoint.source == UrlSource::Loopback && usage.busy() => {
            let text = format!("Another process holds the gateway's port ({url}): {reason}");
            Finding::problem(Section::Gateway, [vec![text], holders].concat().join("\n"))
        }
        (false, None) if endpoint.source == UrlSource::Loopback => {
            Finding::note(Section::Gateway, format!("Gateway does not run at {url}\nStart it: {start}"))
        }
        (false, None) => Finding::problem(Section::Gateway, format!("Gateway does not answer at {url}: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn endpoint(source: UrlSource) -> Endpoint {
        Endpoint { url: "ws://127.0.0.1:1".into(), source, token: None, password: None, device_token: None }
    }

    fn severity(source: UrlSource, reach: &Reach, note: bool, busy: bool) -> Severity {
        let run = RunFile { pid: 42, start_time: 1, port: 1, url: String::new(), token: None };
        let addresses = if busy { vec!["127.0.0.1:1".to_owned()] } else { Vec::new() };
        let usage = PortUse { addresses, ..PortUse::default() };
        judge(&endpoint(source), reach, note.then_some(&run), &usage, "openclaw gateway run").severity
    }

    #[test]
    fn what_the_gateway_says_of_itself_is_a_finding_each() {
        let well = json!({ "safeMode": null, "disk": "ok", "supervision": { "down": [] }, "inbox": { "dead": 0 } });
        assert!(troubles(&well).is_empty());
        let down = json!({ "path": "infra/devices", "state": "gave-up" });
        let ill = json!({ "safeMode": "3 starts", "disk": "full", "supervision": { "down": [down] }, "inbox": { "dead": 2 },
                          "outbox": { "failed": 1, "unknown": 1, "pending": 3 }, "spool": { "failed": 1 } });
        assert_eq!(troubles(&ill).len(), 7);
    }

    #[test]
    fn only_a_gateway_that_should_answer_is_a_problem() {
        let up = Reach { hello: Some(json!({})), reads: vec![("health", Ok(json!({})))], ..Reach::default() };
        let down = Reach { error: Some("connect ECONNREFUSED".into()), ..Reach::default() };
        assert_eq!(severity(UrlSource::Loopback, &up, true, true), Severity::Fine);
        assert_eq!(severity(UrlSource::Loopback, &down, false, false), Severity::Note);
        assert_eq!(severity(UrlSource::Loopback, &down, true, false), Severity::Problem);
        assert_eq!(severity(UrlSource::Loopback, &down, false, true), Severity::Problem);
        assert_eq!(severity(UrlSource::Remote, &down, false, false), Severity::Problem);
    }
}
