//! The four frames of the WebSocket protocol. All shapes are closed: absent keys are omitted, never `null`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ErrorShape;

/// A call from a client. Unknown keys are ignored.
#[derive(Debug, Deserialize)]
pub struct RequestFrame {
    #[serde(rename = "type")]
    pub kind: RequestTag,
    pub id: String,
    pub method: String,
    /// Absent means an empty object.
    #[serde(default)]
    pub params: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestTag {
    #[default]
    #[serde(rename = "req")]
    Req,
}

/// The answer to one request; `agent` answers twice with one id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResponseFrame {
    #[serde(rename = "type")]
    pub kind: ResponseTag,
    pub id: String,
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseTag {
    #[default]
    #[serde(rename = "res")]
    Res,
}

impl ResponseFrame {
    pub fn ok(id: impl Into<String>, payload: Value) -> Self {
        Self { kind: ResponseTag::Res, id: id.into(), ok: true, payload: Some(payload), error: None }
    }

    pub fn err(id: impl Into<String>, error: ErrorShape) -> Self {
        Self { kind: ResponseTag::Res, id: id.into(), ok: false, payload: None, error: Some(error) }
    }
}

/// News to a client. `seq` counts the broadcasts of one connection from 1; targeted events carry none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventFrame {
    #[serde(rename = "type")]
    pub kind: EventTag,
    pub event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(rename = "stateVersion", skip_serializing_if = "Option::is_none")]
    pub state_version: Option<StateVersion>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventTag {
    #[default]
    #[serde(rename = "event")]
    Event,
}

/// Counters that accompany `health` and `presence`; both start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateVersion {
    pub presence: u64,
    pub health: u64,
}
