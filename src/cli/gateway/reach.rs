//! What a probe of one gateway found, and what that allows.
//!
//! Invariant: a probe connects without a device, so it never creates an identity or a pairing request.
//! Source: wire specification §15.1 (capability from the scopes of the greeting), command line specification §3.1, §3.2.

use serde_json::{Value, json};

use crate::cli::text::{list, string};

/// What the connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    Admin,
    Write,
    Read,
    PairingPending,
    NoScope,
    Unknown,
}

impl Capability {
    /// From the scopes of a greeting.
    pub fn of_scopes(scopes: &[Value]) -> Self {
        let has = |scope: &str| scopes.iter().any(|held| held == scope);
        if has("operator.admin") {
            Self::Admin
        } else if has("operator.write") {
            Self::Write
        } else if has("operator.read") {
            Self::Read
        } else {
            Self::NoScope
        }
    }

    /// The word of the text output.
    pub fn text(self) -> &'static str {
        match self {
            Self::Admin => "admin-capable",
            Self::Write => "write-capable",
            Self::Read => "read-only",
            Self::PairingPending => "pairing-pending",
            Self::NoScope => "connected-no-operator-scope",
            Self::Unknown => "unknown",
        }
    }

    /// The word of the JSON output.
    pub fn json(self) -> &'static str {
        match self {
            Self::Admin => "admin_capable",
            Self::Write => "write_capable",
            Self::Read => "read_only",
            Self::PairingPending => "pairing_pending",
            Self::NoScope => "connected_no_operator_scope",
            Self::Unknown => "unknown",
        }
    }
}

/// One read over the probe's connection: the method's answer, or why there is none.
pub type Read = (&'static str, Result<Value, String>);

/// What one probe found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// The greeting; `None` when there was no connection.
    pub hello: Option<Value>,
    /// Milliseconds from the first packet to the greeting.
    pub latency_ms: Option<u64>,
    /// Why there is no connection.
    pub error: Option<String>,
    /// The gateway wants a device to be approved first.
    pub pairing_pending: bool,
    pub reads: Vec<Read>,
}

impl Reach {
    pub fn connected(&self) -> bool {
        self.hello.is_some()
    }

    pub fn capability(&self) -> Capability {
        match &self.hello {
            Some(hello) => Capability::of_scopes(list(hello, "/auth/scopes")),
            None if self.pairing_pending => Capability::PairingPending,
            None => Capability::Unknown,
        }
    }

    pub fn read(&self, method: &str) -> Option<&Result<Value, String>> {
        self.reads.iter().find(|(name, _)| *name == method).map(|(_, result)| result)
    }

    /// The answer of a read that worked.
    pub fn answer(&self, method: &str) -> Option<&Value> {
        self.read(method).and_then(|result| result.as_ref().ok())
    }

    /// Some read failed for want of a scope.
    pub fn missing_scope(&self) -> Option<&str> {
        let errors = self.reads.iter().filter_map(|(_, result)| result.as_ref().err());
        errors.filter_map(|error| error.split_once("missing scope: ").map(|(_, scope)| scope.trim())).next()
    }

    /// The first read that failed for another reason.
    pub fn failed_read(&self) -> Option<&str> {
        let errors = self.reads.iter().filter_map(|(_, result)| result.as_ref().err());
        errors.map(String::as_str).find(|error| !error.contains("missing scope: "))
    }

    pub fn server_version(&self) -> Option<&str> {
        self.hello.as_ref().and_then(|hello| string(hello, "/server/version"))
    }

    /// `ok`, `limited - missing scope: …` or `failed - …`
    pub fn rpc_text(&self) -> String {
        match (&self.error, self.missing_scope(), self.failed_read()) {
            (Some(error), ..) => format!("failed - {error}"),
            (None, Some(scope), _) => format!("limited - missing scope: {scope}"),
            (None, None, Some(error)) => format!("failed - {error}"),
            (None, None, None) => "ok".to_owned(),
        }
    }

    /// `{host, ip, version, platform}` of the gateway's own entry among those present.
    pub fn gateway_itself(&self) -> Option<Value> {
        let hello = self.hello.as_ref()?;
        let present = list(hello, "/snapshot/presence");
        let own = present.iter().find(|entry| string(entry, "/mode") == Some("gateway"))?;
        Some(json!({ "host": own["host"], "ip": own["ip"], "version": own["version"], "platform": own["platform"] }))
    }

    /// `{role, scopes, capability}`
    pub fn auth_json(&self) -> Value {
        let auth = self.hello.as_ref().and_then(|hello| hello.get("auth"));
        json!({
            "role": auth.and_then(|auth| auth.get("role")),
            "scopes": auth.and_then(|auth| auth.get("scopes")).cloned().unwrap_or_else(|| json!([])),
            "capability": self.capability().json(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(scopes: Value) -> Reach {
        Reach { hello: Some(json!({ "auth": { "role": "operator", "scopes": scopes } })), ..Reach::default() }
    }

    #[test]
    fn the_capability_is_the_widest_scope() {
        let cases = [
            (json!(["operator.read", "operator.admin"]), "admin-capable"),
            (json!(["operator.write", "operator.read"]), "write-capable"),
            (json!(["operator.read"]), "read-only"),
            (json!(["operator.pairing"]), "connected-no-operator-scope"),
            (json!([]), "connected-no-operator-scope"),
        ];
        for (scopes, expected) in cases {
            assert_eq!(connected(scopes.clone()).capability().text(), expected, "{scopes}");
        }
        assert_eq!(Reach::default().capability().text(), "unknown");
        let pending = Reach { pairing_pending: true, ..Reach::default() };
        assert_eq!(pending.capability().json(), "pairing_pending");
    }

    #[test]
    fn the_summary_line_names_the_first_trouble() {
        let with = |reads: Vec<Read>| Reach { reads, ..connected(json!([])) }.rpc_text();
        assert_eq!(with(vec![("health", Ok(json!({})))]), "ok");
        let limited = ("status", Err("missing scope: operator.read".to_owned()));
        assert_eq!(with(vec![("health", Ok(json!({}))), limited]), "limited - missing scope: operator.read");
        assert_eq!(with(vec![("status", Err("timed out".to_owned()))]), "failed - timed out");
        let down = Reach { error: Some("connect ECONNREFUSED 127.0.0.1:1".into()), ..Reach::default() };
        assert_eq!(down.rpc_text(), "failed - connect ECONNREFUSED 127.0.0.1:1");
    }
}
