//! `exec.approvals.get`: the file that says which commands may run on this machine.
//!
//! Commands belong to a later release; the file is only shown, so that nobody takes an existing one for lost.

use std::io;
use std::path::Path;

use openclaw_actors::config::load::hash;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::supervision::task;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};

const FILE: &str = "exec-approvals.json";

pub const METHODS: &[Method] =
    &[Method::new("exec.approvals.get", Access::Operator(Scope::Admin), |call| Box::pin(get(call)))];

async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let path = call.services.state_dir.join(FILE);
    let read = task::blocking(move || show(&path)).await.map_err(ErrorShape::unavailable)?;
    read.map(Reply::Value).map_err(|error| ErrorShape::unavailable(format!("{FILE}: {error}")))
}

/// The file without the token of its socket; an absent one as it would begin.
fn show(path: &Path) -> io::Result<Value> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut file = match &text {
        Some(text) => serde_json::from_str(text)?,
        None => json!({ "version": 1, "defaults": {}, "agents": {} }),
    };
    if let Some(socket) = file.get_mut("socket").and_then(Value::as_object_mut) {
        socket.retain(|key, _| key == "path");
    }
    let hash = hash(text.as_deref().unwrap_or_default());
    Ok(json!({ "path": path.display().to_string(), "exists": text.is_some(), "hash": hash, "file": file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_socket_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let absent = show(&path).unwrap();
        assert_eq!((&absent["exists"], &absent["file"]["version"]), (&json!(false), &json!(1)));
        let text = r#"{"version":1,"socket":{"path":"/s","token":"canary"},"agents":{"main":{"ask":"always"}}}"#;
        openclaw_actors::files::replace(&path, text.as_bytes()).unwrap();
        let shown = show(&path).unwrap();
        assert_eq!(
            shown["file"],
            json!({ "version": 1, "socket": { "path": "/s" }, "agents": { "main": { "ask": "always" } } })
        );
        assert_ne!(shown["hash"], absent["hash"]);
        assert!(!shown.to_string().contains("canary"));
    }
}
