//! Which session an `agent` call means: its key, else its session id, else the recipient, else the agent's main one.
//!
//! A recipient means the main session too: direct conversations share it (`session.dmScope` `main`).

use openclaw_actors::session::{AgentId, KeyRules, SessionKey};

/// What a call says about its session; blank texts say nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    pub key: Option<&'a str>,
    pub session_id: Option<&'a str>,
    pub agent: Option<&'a str>,
}

/// What the call means.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    Key(SessionKey),
    /// The session that has this id now, else `or_else`.
    OfId {
        session_id: String,
        or_else: SessionKey,
    },
}

/// Decides. The error is the reason alone, without the `invalid … params: ` in front.
pub fn choose(wanted: Wanted<'_>, rules: &KeyRules, agents: &[AgentId]) -> Result<Choice, String> {
    let agent = agent(wanted.agent, agents)?;
    let rules =
        KeyRules { default_agent: agent.clone().unwrap_or_else(|| rules.default_agent.clone()), scope: rules.scope };
    if let Some(raw) = said(wanted.key) {
        let key = SessionKey::parse(raw, &rules).map_err(|error| error.to_string())?;
        require(&key, agent.as_ref())?;
        return Ok(Choice::Key(key));
    }
    if let Some(id) = said(wanted.session_id) {
        let or_else = SessionKey::parse(&format!("agent:{}:explicit:{id}", rules.default_agent), &rules);
        return Ok(Choice::OfId { session_id: id.to_owned(), or_else: or_else.map_err(|error| error.to_string())? });
    }
    Ok(Choice::Key(rules.main_key()))
}

/// The agent that a call names, if it names one; it must exist.
pub fn agent(named: Option<&str>, agents: &[AgentId]) -> Result<Option<AgentId>, String> {
    let Some(raw) = said(named) else { return Ok(None) };
    let agent = AgentId::slug(raw);
    if agents.contains(&agent) { Ok(Some(agent)) } else { Err(format!("unknown agent id \"{raw}\"")) }
}

/// Refuses the session of another agent than the one that the call names.
pub fn require(key: &SessionKey, agent: Option<&AgentId>) -> Result<(), String> {
    agent.map_or(Ok(()), |agent| key.require_agent(agent)).map_err(|error| error.to_string())
}

fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::settings::SessionScope;

    use super::*;

    fn decide(wanted: Wanted<'_>) -> Result<Choice, String> {
        let rules = KeyRules { default_agent: AgentId::slug("home"), scope: SessionScope::PerSender };
        choose(wanted, &rules, &[AgentId::slug("home"), AgentId::slug("ops")])
    }

    fn key(text: &str) -> SessionKey {
        SessionKey::from_stored(text.into())
    }

    #[test]
    fn the_key_goes_before_the_session_id_and_that_before_the_agent() {
        let all = Wanted { key: Some("notes"), session_id: Some("s1"), agent: Some("ops") };
        assert_eq!(decide(all), Ok(Choice::Key(key("agent:ops:notes"))));
        let or_else = key("agent:ops:explicit:s1");
        assert_eq!(decide(Wanted { key: Some(" "), ..all }), Ok(Choice::OfId { session_id: "s1".into(), or_else }));
        assert_eq!(decide(Wanted { agent: Some("Ops"), ..Wanted::default() }), Ok(Choice::Key(key("agent:ops:main"))));
        assert_eq!(decide(Wanted::default()), Ok(Choice::Key(key("agent:home:main"))));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_in_the_words_of_the_contract() {
        for (wanted, text) in [
            (Wanted { agent: Some("x"), ..Wanted::default() }, r#"unknown agent id "x""#),
            (Wanted { key: Some("agent:k"), ..Wanted::default() }, r#"malformed session key "agent:k""#),
            (
                Wanted { key: Some("agent:home:a"), agent: Some("ops"), ..Wanted::default() },
                r#"agent "ops" does not match session key agent "home""#,
            ),
        ] {
            assert_eq!(decide(wanted), Err(text.to_owned()));
        }
    }
}
