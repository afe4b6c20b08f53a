//! Exit codes, and the one type in which a command says why it failed.
//!
//! A failure is written twice when `--json` was asked for: as text on stderr and as one document on stdout, from the same fields.

use std::io;

use serde_json::{Map, Value, json};

/// How the process ends.
///
/// Source: exit code table of the command line specification, §1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; also a diagnosis that found trouble and could report it.
    Done,
    /// Usage error, refused request, unreachable gateway, failed validation.
    Failed,
    /// The service must not be restarted before somebody repairs its configuration.
    Configuration,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Configuration => 78,
        }
    }
}

/// What a command returns: how it ended, or why it could not do its work.
pub type Outcome = Result<Exit, Failure>;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub exit: Exit,
    /// The first line is the message of the document; the others are for people only.
    pub lines: Vec<String>,
    /// `type` of the document: `usage_error`, `config_error`, `gateway_transport_error`, `gateway_request_error` or `error`.
    pub kind: &'static str,
    /// Further fields of `error` in the document: `kind`, `reason`, `code`.
    pub facts: Vec<(&'static str, String)>,
    /// The gateway that was asked: `url`, `urlSource`, `bindDetail`.
    pub gateway: Option<Box<Value>>,
    /// The reader of our output has gone: end quietly, with code 0.
    pub reader_gone: bool,
}

impl Failure {
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            lines: vec![message.into()],
            kind,
            facts: Vec::new(),
            gateway: None,
            reader_gone: false,
        }
    }

    pub fn error(message: impl Into<String>) -> Self {
        Self::new("error", message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage_error", message)
    }

    pub fn config(message: impl Into<String>) -> Self {
        Self::new("config_error", message)
    }

    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub fn fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    pub fn message(&self) -> &str {
        self.lines.first().map_or("failed", String::as_str)
    }

    /// `{"ok":false,"error":{…},"gateway"?:{…}}`
    pub fn document(&self) -> Value {
        let mut error = Map::new();
        error.insert("type".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message()));
        for (name, value) in &self.facts {
            error.insert((*name).into(), json!(value));
        }
        let mut document = json!({ "ok": false, "error": error });
        if let Some(gateway) = &self.gateway {
            document["gateway"] = (**gateway).clone();
        }
        document
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let reader_gone = error.kind() == io::ErrorKind::BrokenPipe;
        Self { reader_gone, ..Self::error(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_own_code() {
        let codes = [Exit::Done, Exit::Failed, Exit::Configuration].map(Exit::code);
        assert_eq!(codes, [0, 1, 78]);
    }

    #[test]
    fn the_document_carries_the_first_line_and_the_facts() {
        let failure = Failure::new("gateway_transport_error", "no answer").line("try again").fact("kind", "closed");
        assert_eq!(
            failure.document(),
            json!({ "ok": false, "error": { "type": "gateway_transport_error", "message": "no answer", "kind": "closed" } })
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_no_ordinary_failure() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).reader_gone);
        assert!(!Failure::from(io::Error::from(io::ErrorKind::NotFound)).reader_gone);
    }
}
