//! Whose sessions the session tools show: `tools.sessions.visibility`.

use crate::session::SessionKey;

/// The refusal of a session that is out of sight. A contract text.
pub fn forbidden(what: &str, mode: &str) -> String {
    format!("{what} visibility is restricted to the current session tree (tools.sessions.visibility={mode}).")
}

/// The mode in force; an unknown word means the narrowest usual one.
pub fn mode(configured: Option<&str>) -> &'static str {
    match configured {
        Some("self") => "self",
        Some("agent") => "agent",
        Some("all") => "all",
        _ => "tree",
    }
}

/// May `asker` see this session? `spawned_by` is the session that spawned it, if any.
pub fn is_visible(mode: &str, asker: &SessionKey, key: &SessionKey, spawned_by: Option<&str>) -> bool {
    match mode {
        "all" => true,
        "agent" => key.agent() == asker.agent(),
        "tree" => key == asker || spawned_by == Some(asker.as_str()),
        _ => key == asker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sight_widens_with_the_mode() {
        let key = |text: &str| SessionKey::from_stored(text.into());
        let (me, child, sibling, other) =
            (key("agent:main:main"), key("agent:main:subagent:1"), key("agent:main:x"), key("agent:ops:main"));
        let seen = |mode| {
            [
                is_visible(mode, &me, &me, None),
                is_visible(mode, &me, &child, Some(me.as_str())),
                is_visible(mode, &me, &sibling, None),
                is_visible(mode, &me, &other, None),
            ]
        };
        assert_eq!(seen("self"), [true, false, false, false]);
        assert_eq!(seen("tree"), [true, true, false, false]);
        assert_eq!(seen("agent"), [true, true, true, false]);
        assert_eq!(seen("all"), [true, true, true, true]);
        assert_eq!((mode(None), mode(Some("nonsense")), mode(Some("all"))), ("tree", "tree", "all"));
    }
}
