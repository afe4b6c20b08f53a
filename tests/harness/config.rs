//! The configuration text of a test gateway: one agent, one provider, no timers, everything inside the test's directory.
//!
//! It is written as JSON, which is JSON5 too. A test changes it through `set`, so that what is special about it stands in the test.

use std::path::Path;

use serde_json::{Value, json};

use super::TOKEN;

#[derive(Debug, Clone)]
pub struct Config {
    value: Value,
}

impl Config {
    /// A gateway on `port` whose only model is `fake/fake-1` behind `provider_url`.
    pub fn new(root: &Path, port: u16, provider_url: &str) -> Self {
        let model = json!({ "id": "fake-1", "name": "Fake 1", "contextWindow": 200_000, "maxTokens": 8192 });
        let value = json!({
            "gateway": {
                "mode": "local",
                "port": port,
                "bind": "loopback",
                "auth": { "mode": "token", "token": TOKEN },
            },
            "agents": {
                "defaults": {
                    "workspace": root.join("workspace"),
                    "skipBootstrap": true,
                    "model": { "primary": "fake/fake-1" },
                    "heartbeat": { "every": "0m" },
                },
            },
            "models": {
                "mode": "replace",
                "providers": {
                    "fake": {
                        "baseUrl": provider_url,
                        "apiKey": "fake-key",
                        "api": "openai-completions",
                        "models": [model],
                    },
                },
            },
            "logging": { "file": root.join("gateway.log") },
        });
        Self { value }
    }

    /// Sets the value at a dotted path, making objects on the way.
    pub fn set(mut self, path: &str, value: Value) -> Self {
        let mut place = &mut self.value;
        for key in path.split('.') {
            place = &mut place[key];
        }
        *place = value;
        self
    }

    /// The value at a dotted path; null when it is absent.
    pub fn get(&self, path: &str) -> &Value {
        path.split('.').fold(&self.value, |place, key| &place[key])
    }

    /// Takes the key at a dotted path away.
    pub fn unset(mut self, path: &str) -> Self {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = &mut self.value;
        for step in parent.split('.').filter(|step| !step.is_empty()) {
            place = &mut place[step];
        }
        if let Some(object) = place.as_object_mut() {
            object.remove(key);
        }
        self
    }

    pub fn text(&self) -> String {
        format!("{:#}\n", self.value)
    }
}
