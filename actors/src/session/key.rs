//! Session keys: how a conversation is named, and what the name says about it.
//!
//! A `SessionKey` is canonical: parsing it again gives the same key. A key routes; it never authorises.
//! Source: session keys of 2026.5.12.

use sha2::{Digest, Sha256};
use std::fmt;

use serde::Serialize;

use crate::config::settings::SessionScope;
use crate::protocol::session::{ChatType, RowKind};

/// Longest key, characters of the canonical form.
pub const KEY_CHARS_MAX: usize = 512;
/// Longest agent id, characters.
pub const AGENT_ID_CHARS_MAX: usize = 64;

/// First segments after `agent:<id>:` that only the gateway itself may put into a key.
const RESERVED: [&str; 4] = ["subagent", "cron", "acp", "hook"];

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("malformed session key {0:?}")]
    Malformed(String),
    #[error("session key must not have more than {KEY_CHARS_MAX} characters")]
    TooLong,
    #[error("agent {agent:?} does not match session key agent {key_agent:?}")]
    AgentMismatch { agent: String, key_agent: String },
}

/// Name of an agent: `[a-z0-9][a-z0-9_-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgentId(String);

impl AgentId {
    /// The agent of an installation that configures none.
    pub fn main() -> Self {
        Self("main".into())
    }

    /// Makes any text a valid id: lower case, every run of other characters one `-`, nothing left means `main`.
    pub fn slug(raw: &str) -> Self {
        let lower = raw.trim().to_lowercase();
        if is_agent_id(&lower) {
            return Self(lower);
        }
        let mut id = String::new();
        for c in lower.chars() {
            match c {
                'a'..='z' | '0'..='9' | '_' | '-' => id.push(c),
                _ if id.ends_with('-') => {}
                _ => id.push('-'),
            }
        }
        let id: String = id.trim_matches(['-', '_']).chars().take(AGENT_ID_CHARS_MAX).collect();
        if id.is_empty() { Self::main() } else { Self(id) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_agent_id(text: &str) -> bool {
    text.len() <= AGENT_ID_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// What the aliases in a key stand for.
#[derive(Debug, Clone)]
pub struct KeyRules {
    /// Agent of a key that names none.
    pub default_agent: AgentId,
    /// With `Global` the main key of every agent is `global`.
    pub scope: SessionScope,
}

impl KeyRules {
    /// The key behind the alias `main`.
    pub fn main_key(&self) -> SessionKey {
        self.main_key_of(&self.default_agent)
    }

    pub fn main_key_of(&self, agent: &AgentId) -> SessionKey {
        match self.scope {
            SessionScope::Global => SessionKey::global(),
            SessionScope::PerSender => SessionKey::main(agent),
        }
    }
}

/// The canonical name of one conversation: `agent:<id>:<rest>`, `global` or `unknown`, all in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionKey(String);

/// What a key says about the conversation behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The agent's main conversation.
    Main,
    Direct,
    Group,
    /// A room or channel that many read.
    Channel,
    /// A cron job or one run of it.
    Cron,
    Hook,
    Subagent,
    /// A session that `sessions.create` made.
    Dashboard,
    /// One key for everything (`session.scope: "global"`).
    Global,
    /// Reserved; listed only when asked for.
    Unknown,
    /// A name that a client chose.
    Named,
}

impl SessionKey {
    /// Reads what a client or a file calls a session.
    ///
    /// Lower-cases, resolves `main`, puts `agent:<default>:` in front of a key without it, writes `direct` for the
    /// old `dm`, and makes the agent part a valid id. Control characters and an empty rest are malformed.
    pub fn parse(raw: &str, rules: &KeyRules) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(raw.chars().take(80).collect());
        let lower = raw.trim().to_lowercase();
        if lower.is_empty() || lower.chars().any(char::is_control) {
            return Err(malformed());
        }
        if lower == "global" || lower == "unknown" {
            return Ok(Self(lower));
        }
        let (agent, rest) = match lower.strip_prefix("agent:") {
            Some(tail) => {
                let (agent, rest) = tail.split_once(':').ok_or_else(malformed)?;
                (AgentId::slug(agent), rest)
            }
            None => (rules.default_agent.clone(), lower.as_str()),
        };
        let rest = rest.trim();
        if rest.is_empty() || rest.starts_with(':') {
            return Err(malformed());
        }
        if rest == "main" {
            return Ok(rules.main_key_of(&agent));
        }
        let key = format!("agent:{agent}:{}", modern(rest));
        if key.chars().count() > KEY_CHARS_MAX { Err(KeyError::TooLong) } else { Ok(Self(key)) }
    }

    /// A key that was canonical when it was stored.
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    pub fn main(agent: &AgentId) -> Self {
        Self(format!("agent:{agent}:main"))
    }

    pub fn global() -> Self {
        Self("global".into())
    }

    /// The key that `sessions.create` gives; `id` is a fresh UUID.
    pub fn dashboard(agent: &AgentId, id: &str) -> Self {
        Self(format!("agent:{agent}:dashboard:{id}"))
    }

    /// The conversation of a group or room of a chat platform, or of one topic in it.
    pub fn of_group(agent: &AgentId, channel: &str, group: &str, topic: Option<&str>) -> Self {
        let topic = topic.map(|topic| format!(":topic:{}", segment(topic))).unwrap_or_default();
        Self(format!("agent:{agent}:{channel}:group:{}{topic}", segment(group)))
    }

    /// The conversation with one person of a chat platform; which of them are one, `within` says.
    pub fn of_peer(agent: &AgentId, within: &[&str], peer: &str) -> Self {
        let within: String = within.iter().map(|name| format!("{}:", segment(name))).collect();
        Self(format!("agent:{agent}:{within}direct:{}", segment(peer)))
    }

    /// The conversation of one run of a cron job; `run` is a fresh UUID.
    pub fn of_cron_run(agent: &AgentId, job: &str, run: &str) -> Self {
        Self(format!("agent:{agent}:cron:{}:run:{run}", segment(job)))
    }

    /// The UUID of the run whose conversation this is.
    pub fn cron_run(&self) -> Option<&str> {
        let (_, run) = self.rest()?.strip_prefix("cron:")?.split_once(":run:")?;
        Some(run)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The agent in the key; `None` for `global` and `unknown`.
    pub fn agent(&self) -> Option<AgentId> {
        let (agent, _) = self.0.strip_prefix("agent:")?.split_once(':')?;
        Some(AgentId::slug(agent))
    }

    pub fn kind(&self) -> KeyKind {
        let Some(rest) = self.rest() else {
            return if self.0 == "global" { KeyKind::Global } else { KeyKind::Unknown };
        };
        if rest == "main" {
            return KeyKind::Main;
        }
        match rest.split(':').next() {
            Some("cron") => return KeyKind::Cron,
            Some("hook") => return KeyKind::Hook,
            Some("subagent") => return KeyKind::Subagent,
            Some("dashboard") => return KeyKind::Dashboard,
            _ => {}
        }
        match peer_word(rest) {
            Some((_, "direct")) => KeyKind::Direct,
            Some((_, "group")) => KeyKind::Group,
            Some((_, "channel")) => KeyKind::Channel,
            _ => KeyKind::Named,
        }
    }

    /// Who reads the conversation, as far as the key tells. A thread has its parent's type.
    pub fn chat_type(&self) -> Option<ChatType> {
        match self.kind() {
            KeyKind::Main | KeyKind::Direct => Some(ChatType::Direct),
            KeyKind::Group => Some(ChatType::Group),
            KeyKind::Channel => Some(ChatType::Channel),
            _ => None,
        }
    }

    /// The coarse kind that session listings show.
    pub fn row_kind(&self) -> RowKind {
        match self.kind() {
            KeyKind::Global => RowKind::Global,
            KeyKind::Unknown => RowKind::Unknown,
            KeyKind::Group | KeyKind::Channel => RowKind::Group,
            _ => RowKind::Direct,
        }
    }

    /// Is it the agent's main conversation? Threads below it and isolated heartbeats are not.
    pub fn is_main(&self) -> bool {
        matches!(self.kind(), KeyKind::Main | KeyKind::Global)
    }

    /// Does the key lie in a namespace that callers from outside may not name?
    pub fn is_reserved(&self) -> bool {
        self.rest().and_then(|rest| rest.split_once(':')).is_some_and(|(first, _)| RESERVED.contains(&first))
    }

    /// Refuses a key that belongs to another agent than the caller named. `global` and `unknown` belong to all.
    pub fn require_agent(&self, agent: &AgentId) -> Result<(), KeyError> {
        match self.agent() {
            Some(own) if own != *agent => {
                Err(KeyError::AgentMismatch { agent: agent.to_string(), key_agent: own.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn rest(&self) -> Option<&str> {
        Some(self.0.strip_prefix("agent:")?.split_once(':')?.1)
    }
}

/// A name that a platform gave, as a part of a key: it must not look like several, nor like another one.
fn segment(name: &str) -> String {
    let plain = |c: char| if c == ':' || c == '/' || c.is_whitespace() || c.is_control() { '_' } else { c };
    let shown: String = name.to_lowercase().chars().map(plain).collect();
    if shown == name {
        return shown;
    }
    let digest = Sha256::digest(name.as_bytes());
    format!("{shown}-{}", hex::encode(&digest[..4]))
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SessionKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The segment that says who is on the other side, and its byte offset: `<word>:<peer>` behind at most a channel
/// and an account.
fn peer_word(rest: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    let segments: Vec<&str> = rest.split(':').collect();
    for (index, segment) in segments.iter().enumerate().take(3) {
        let has_peer = index + 1 < segments.len();
        if has_peer && matches!(*segment, "direct" | "dm" | "group" | "channel") {
            return Some((at, segment));
        }
        at += segment.len() + 1;
    }
    None
}

/// Writes `direct` for the older `dm`.
fn modern(rest: &str) -> String {
    match peer_word(rest) {
        Some((at, "dm")) => format!("{}direct{}", &rest[..at], &rest[at + 2..]),
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> KeyRules {
        KeyRules { default_agent: AgentId::slug("home"), scope: SessionScope::PerSender }
    }

    fn parse(raw: &str) -> Result<SessionKey, KeyError> {
        SessionKey::parse(raw, &rules())
    }

    #[test]
    fn every_spelling_of_a_key_has_one_canonical_form() {
        for (raw, canonical) in [
            ("main", "agent:home:main"),
            (" MAIN ", "agent:home:main"),
            ("agent:Work:Main", "agent:work:main"),
            ("notes", "agent:home:notes"),
            ("Telegram:DM:42", "agent:home:telegram:direct:42"),
            ("agent:a:dm:42", "agent:a:direct:42"),
            ("agent:a:slack:t1:dm:u9:thread:5", "agent:a:slack:t1:direct:u9:thread:5"),
            ("agent:a:direct:dm:x", "agent:a:direct:dm:x"),
            ("agent:My Agent!:x", "agent:my-agent:x"),
            ("agent::x", "agent:main:x"),
            ("global", "global"),
            ("Unknown", "unknown"),
            ("dm", "agent:home:dm"),
        ] {
            assert_eq!(parse(raw).unwrap().as_str(), canonical, "{raw}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_text() {
        for raw in ["", "  ", "agent:", "agent:a", "agent:a:", "agent:a::x", "a\nb", ":x"] {
            assert!(matches!(parse(raw), Err(KeyError::Malformed(_))), "{raw:?}");
        }
        assert_eq!(parse("agent:a:").unwrap_err().to_string(), r#"malformed session key "agent:a:""#);
        assert_eq!(parse(&"x".repeat(513)).unwrap_err(), KeyError::TooLong);
        assert!(parse(&"x".repeat(512 - "agent:home:".len())).is_ok());
    }

    #[test]
    fn the_key_tells_what_kind_of_conversation_it_is() {
        for (raw, kind, chat_type, main, reserved) in [
            ("main", KeyKind::Main, Some(ChatType::Direct), true, false),
            ("global", KeyKind::Global, None, true, false),
            ("unknown", KeyKind::Unknown, None, false, false),
            ("telegram:direct:1", KeyKind::Direct, Some(ChatType::Direct), false, false),
            ("telegram:acc:direct:1", KeyKind::Direct, Some(ChatType::Direct), false, false),
            ("telegram:group:-100:topic:3", KeyKind::Group, Some(ChatType::Group), false, false),
            ("discord:channel:9:thread:1", KeyKind::Channel, Some(ChatType::Channel), false, false),
            ("cron:job:run:1", KeyKind::Cron, None, false, true),
            ("hook:1", KeyKind::Hook, None, false, true),
            ("agent:x:subagent:1:subagent:2", KeyKind::Subagent, None, false, true),
            ("acp:1", KeyKind::Named, None, false, true),
            ("dashboard:1", KeyKind::Dashboard, None, false, false),
            ("cron", KeyKind::Cron, None, false, false),
            ("main:thread:4", KeyKind::Named, None, false, false),
            ("main:heartbeat", KeyKind::Named, None, false, false),
        ] {
            let key = parse(raw).unwrap();
            assert_eq!(
                (key.kind(), key.chat_type(), key.is_main(), key.is_reserved()),
                (kind, chat_type, main, reserved),
                "{raw}"
            );
        }
    }

    #[test]
    fn with_global_scope_every_main_key_is_the_one_key() {
        let rules = KeyRules { scope: SessionScope::Global, ..rules() };
        for raw in ["main", "agent:other:main", "global"] {
            assert_eq!(SessionKey::parse(raw, &rules).unwrap(), SessionKey::global());
        }
    }

    #[test]
    fn a_key_of_another_agent_is_refused() {
        let key = parse("agent:b:x").unwrap();
        assert_eq!(
            key.require_agent(&AgentId::slug("a")).unwrap_err().to_string(),
            r#"agent "a" does not match session key agent "b""#
        );
        assert!(key.require_agent(&AgentId::slug("B")).is_ok());
        assert!(SessionKey::global().require_agent(&AgentId::slug("a")).is_ok());
    }

    #[test]
    fn an_agent_id_is_always_valid() {
        for (raw, id) in [("", "main"), ("***", "main"), ("Ops Team", "ops-team"), ("_x", "x"), ("a-", "a-")] {
            assert_eq!(AgentId::slug(raw).as_str(), id);
        }
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent(raw in "\\PC{0,40}|(agent:)?[a-zA-Z0-9 :_İΣdm-]{0,40}") {
            if let Ok(key) = parse(&raw) {
                prop_assert_eq!(parse(key.as_str()).unwrap(), key);
            }
        }

        #[test]
        fn a_slug_is_an_id_and_stays_one(raw in "\\PC{0,90}") {
            let id = AgentId::slug(&raw);
            prop_assert!(is_agent_id(id.as_str()), "{}", id);
            prop_assert_eq!(AgentId::slug(id.as_str()), id);
        }
    }
}
