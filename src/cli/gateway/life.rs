//! What the commands about the life of this host's gateway share: which one is meant, and the document that they answer.
//!
//! This release installs no service, so there is only the gateway that holds the lock of the state directory. Its lock says
//! who it is; a name or an open port alone proves nothing. Source: command line specification §4.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::listeners::{self, PortUse};
use crate::client::{LockOwner, knock};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long one question to the port may take.
const KNOCK: Duration = Duration::from_secs(1);

/// The living gateway of this state directory.
pub fn gateway(context: &Context) -> Result<Option<LockOwner>, Failure> {
    let Some(owner) = LockOwner::of(&context.paths.state_dir) else { return Ok(None) };
    contradiction(&owner, &listeners::on_port(owner.port)).map_or(Ok(Some(owner)), |text| Err(Failure::error(text)))
}

/// Why the lock's owner is not who answers on its port. Nobody visible there is no contradiction: it may still start.
fn contradiction(owner: &LockOwner, usage: &PortUse) -> Option<String> {
    let foreign = usage.listeners.first().filter(|_| usage.listeners.iter().all(|one| one.pid != owner.pid))?;
    Some(format!(
        "the gateway of this state directory is pid {}, but port {} belongs to another process: {}",
        owner.pid,
        owner.port,
        foreign.text().trim_start_matches("- ")
    ))
}

/// What was done, for people and as the document.
pub struct Done {
    pub action: &'static str,
    pub result: &'static str,
    pub message: String,
    pub warnings: Vec<String>,
    /// Further fields of the document.
    pub facts: Value,
}

pub fn tell(context: &Context, json: bool, done: Done) -> Outcome {
    if !json {
        context.output.line(&done.message)?;
        done.warnings.iter().for_each(|warning| context.output.note(warning));
        return Ok(Exit::Done);
    }
    let mut document = json!({
        "action": done.action, "ok": true, "result": done.result, "message": done.message, "service": service(),
    });
    if !done.warnings.is_empty() {
        document["warnings"] = json!(done.warnings);
    }
    if let (Some(document), Value::Object(facts)) = (document.as_object_mut(), done.facts) {
        document.extend(facts);
    }
    context.output.json(&document)?;
    Ok(Exit::Done)
}

/// No gateway runs here. That is no failure: there is nothing left to do.
pub fn not_running(context: &Context, json: bool, action: &'static str) -> Outcome {
    const MESSAGE: &str = "Gateway service disabled.";
    let hint = context.hint("gateway");
    if json {
        context.output.json(&json!({
            "action": action, "ok": true, "result": "not-loaded", "message": MESSAGE, "service": service(),
            "hints": [hint], "hintItems": [{ "kind": "generic", "text": hint }],
        }))?;
        return Ok(Exit::Done);
    }
    context.output.line(MESSAGE)?;
    context.output.line(format!("No gateway runs in {}.", context.show(&context.paths.state_dir)))?;
    context.output.line(format!("Start with: {hint}"))?;
    Ok(Exit::Done)
}

/// As `openclaw gateway status` says it.
fn service() -> Value {
    json!({ "label": "none", "loaded": false, "loadedText": "enabled", "notLoadedText": "no service manager" })
}

/// Does the gateway go down already? It takes no new connection then.
pub fn is_draining(owner: &LockOwner) -> bool {
    knock::is_draining(SocketAddr::from((Ipv4Addr::LOCALHOST, owner.port)), KNOCK)
}

/// Sends a signal to the process that holds the lock, and to no other that got its pid.
pub fn signal(owner: &LockOwner, signal: Signal) -> Result<(), Failure> {
    let pid = owner.pid;
    if !owner.lives() {
        return Ok(());
    }
    let number = i32::try_from(pid).map_err(|_| Failure::error(format!("{pid} is no pid")))?;
    match kill(Pid::from_raw(number), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()), // it may have ended just now
        Err(error) => Err(Failure::error(format!("the gateway (pid {pid}) could not be sent {signal}: {error}"))),
    }
}

/// Waits until this life of the gateway is over. Returns whether it is.
pub async fn gone(state_dir: &Path, before: &LockOwner, limit: Duration) -> bool {
    until(limit, || LockOwner::of(state_dir).is_none_or(|now| !now.is_same_life(before))).await
}

/// Waits until another life of the gateway takes work; who that is.
pub async fn back(state_dir: &Path, before: &LockOwner, limit: Duration) -> Option<LockOwner> {
    let mut found = None;
    let ready = || {
        found = LockOwner::of(state_dir).filter(|now| !now.is_same_life(before));
        let port = found.as_ref().map(|now| now.port);
        port.is_some_and(|port| knock::is_ready(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), KNOCK))
    };
    let ready = until(limit, ready).await;
    found.filter(|_| ready)
}

/// Looks again and again. Returns whether it held in time.
pub async fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::listeners::Listener;

    #[test]
    fn a_port_that_belongs_to_somebody_else_is_a_contradiction() {
        let owner = LockOwner {
            pid: 7,
            start_time: Some(1),
            created_at: 0,
            port: 19_000,
            config_path: "c".into(),
            supervised: false,
        };
        let listener = |pid| Listener {
            pid,
            ppid: 1,
            command: "nginx".into(),
            command_line: "nginx".into(),
            user: "www".into(),
            address: "127.0.0.1:19000".into(),
        };
        let usage = |pids: &[u32]| PortUse {
            addresses: vec!["127.0.0.1:19000".into()],
            listeners: pids.iter().copied().map(listener).collect(),
        };
        assert_eq!(contradiction(&owner, &usage(&[])), None);
        assert_eq!(contradiction(&owner, &usage(&[9, 7])), None);
        let text = contradiction(&owner, &usage(&[9])).unwrap();
        assert!(text.contains("pid 7") && text.contains("pid 9 www: nginx"), "{text}");
    }
}
