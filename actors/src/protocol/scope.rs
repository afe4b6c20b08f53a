//! What a connection may do: its role, and the scopes of an operator.
//!
//! Scopes are compared here and nowhere else; a name that is not known covers only itself.

use serde::{Deserialize, Serialize};

/// Who a connection speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person or a program that gives orders.
    Operator,
    /// A machine that offers commands of its own.
    Node,
}

impl Role {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }

    /// Reads a name of the wire; exact.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Operator, Self::Node].into_iter().find(|role| role.as_str() == name)
    }
}

/// One authority of an operator, `operator.*` on the wire. In alphabetical order of the names.
///
/// Source: protocol of 2026.5.12, roles and scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Everything.
    #[serde(rename = "operator.admin")]
    Admin,
    /// Deciding about commands that wait for approval.
    #[serde(rename = "operator.approvals")]
    Approvals,
    /// Devices, nodes and their tokens.
    #[serde(rename = "operator.pairing")]
    Pairing,
    #[serde(rename = "operator.read")]
    Read,
    /// The keys of speech providers.
    #[serde(rename = "operator.talk.secrets")]
    TalkSecrets,
    /// Running turns and changing sessions; implies reading.
    #[serde(rename = "operator.write")]
    Write,
}

impl Scope {
    /// Every scope, in alphabetical order of the names.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Approvals, Self::Pairing, Self::Read, Self::TalkSecrets, Self::Write];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "operator.admin",
            Self::Approvals => "operator.approvals",
            Self::Pairing => "operator.pairing",
            Self::Read => "operator.read",
            Self::TalkSecrets => "operator.talk.secrets",
            Self::Write => "operator.write",
        }
    }

    /// Reads a name of the wire; exact.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// Does holding `self` satisfy `needed`? Admin satisfies everything, write satisfies read.
    pub fn covers(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || (self == Self::Write && needed == Self::Read)
    }
}

/// Does one held scope name satisfy a needed one? Admin satisfies every `operator.*`, known to us or not.
pub fn covers_name(held: &str, needed: &str) -> bool {
    if held == needed {
        return true;
    }
    match Scope::parse(held) {
        Some(Scope::Admin) => needed.starts_with("operator."),
        Some(held) => Scope::parse(needed).is_some_and(|needed| held.covers(needed)),
        None => false,
    }
}

/// Is every needed scope name satisfied by one of the held ones?
pub fn covers_all(held: &[String], needed: &[String]) -> bool {
    needed.iter().all(|needed| held.iter().any(|held| covers_name(held, needed)))
}

/// The scopes that a token states: what they imply is added, sorted, without repeats.
///
/// Admin adds read and write, write adds read.
pub fn normalise(scopes: impl IntoIterator<Item = Scope>) -> Vec<Scope> {
    let mut all = Vec::new();
    for scope in scopes {
        all.push(scope);
        match scope {
            Scope::Admin => all.extend([Scope::Read, Scope::Write]),
            Scope::Write => all.push(Scope::Read),
            _ => {}
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert_eq!(Scope::parse("operator.talk.secrets"), Some(Scope::TalkSecrets));
        assert_eq!((Scope::parse("admin"), Scope::parse("operator.Admin")), (None, None));
        assert_eq!((Role::parse("operator"), Role::parse("node")), (Some(Role::Operator), Some(Role::Node)));
        assert_eq!((Role::parse("admin"), Role::parse("")), (None, None));
    }

    #[test]
    fn names_and_enum_order_agree() {
        assert!(Scope::ALL.is_sorted() && Scope::ALL.is_sorted_by_key(|scope| scope.as_str()));
    }

    #[test]
    fn admin_covers_all_and_write_covers_read() {
        for held in Scope::ALL {
            for needed in Scope::ALL {
                let expected = held == needed || held == Scope::Admin || (held, needed) == (Scope::Write, Scope::Read);
                assert_eq!(held.covers(needed), expected, "{held:?} {needed:?}");
                assert_eq!(covers_name(held.as_str(), needed.as_str()), expected);
            }
        }
    }

    #[test]
    fn an_unknown_name_covers_only_itself() {
        for (held, needed, expected) in [
            ("operator.admin", "operator.future", true),
            ("operator.admin", "node.camera", false),
            ("operator.future", "operator.future", true),
            ("operator.future", "operator.read", false),
            ("operator.write", "operator.future", false),
            ("node.camera", "node.camera", true),
        ] {
            assert_eq!(covers_name(held, needed), expected, "{held} {needed}");
        }
    }

    #[test]
    fn token_scopes_state_what_they_imply() {
        use Scope::{Admin, Pairing, Read, Write};
        assert_eq!(normalise([Write, Pairing]), [Pairing, Read, Write]);
        assert_eq!(normalise([Admin, Write, Admin]), [Admin, Read, Write]);
        assert_eq!(normalise([]), []);
    }
}
