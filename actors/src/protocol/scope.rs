//! Roles and scopes: who may ask for what.
//!
//! Scopes travel as strings. One that we do not know is carried along and covers nothing but itself, so it never opens a method.
//! Source: WebSocket protocol of 2026.5.12, roles and scopes, pairing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person's client: command line, panel, app.
    Operator,
    /// A machine that offers commands; it may call the node methods only.
    Node,
}

impl Role {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "operator" => Some(Self::Operator),
            "node" => Some(Self::Node),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }

    /// What every scope of this role begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Operator => OPERATOR_PREFIX,
            Self::Node => "node.",
        }
    }
}

const OPERATOR_PREFIX: &str = "operator.";

/// The scopes that methods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Admin,
    /// Implies `Read`.
    Write,
    Read,
    Approvals,
    Pairing,
    TalkSecrets,
}

impl Scope {
    /// What the command line asks for when a method's scope is not known to it.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Read, Self::Write, Self::Approvals, Self::Pairing, Self::TalkSecrets];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "operator.admin",
            Self::Write => "operator.write",
            Self::Read => "operator.read",
            Self::Approvals => "operator.approvals",
            Self::Pairing => "operator.pairing",
            Self::TalkSecrets => "operator.talk.secrets",
        }
    }

    /// `None`: a scope of another generation.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Do the scopes of an operator connection open a method that asks for `wanted`?
pub fn holds(held: &[String], wanted: Scope) -> bool {
    covers_one(Role::Operator, held, wanted.as_str())
}

/// Is every wanted scope covered for this role?
///
/// `operator.admin` covers every `operator.*`, `operator.write` covers `operator.read`, anything else only itself.
/// For a node a scope must also begin with `node.`.
pub fn covers(role: Role, held: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|scope| covers_one(role, held, scope))
}

/// `covers` for one scope.
pub fn covers_one(role: Role, held: &[String], wanted: &str) -> bool {
    let has = |scope: &str| held.iter().any(|h| h == scope);
    match role {
        Role::Node => wanted.starts_with(Role::Node.prefix()) && has(wanted),
        Role::Operator => {
            has(wanted)
                || (wanted.starts_with(OPERATOR_PREFIX) && has(Scope::Admin.as_str()))
                || (wanted == Scope::Read.as_str() && has(Scope::Write.as_str()))
        }
    }
}

/// Can a connection in one of these roles have this scope? A node has only `node.*`.
pub fn may_hold(roles: &[Role], scope: &str) -> bool {
    roles.contains(&Role::Operator) || scope.starts_with(Role::Node.prefix())
}

/// The scopes of a device token: what they imply added, those of the other role dropped, sorted, each once.
pub fn normalise_token_scopes(role: Role, scopes: &[String]) -> Vec<String> {
    let mut kept: BTreeSet<&str> = scopes.iter().map(String::as_str).filter(|scope| belongs(role, scope)).collect();
    if role == Role::Operator {
        if kept.contains(Scope::Admin.as_str()) {
            kept.insert(Scope::Write.as_str());
        }
        if kept.contains(Scope::Write.as_str()) {
            kept.insert(Scope::Read.as_str());
        }
    }
    kept.into_iter().map(str::to_owned).collect()
}

/// Operator tokens keep `operator.*` only; node tokens keep anything but that.
fn belongs(role: Role, scope: &str) -> bool {
    scope.starts_with(OPERATOR_PREFIX) == (role == Role::Operator)
}

/// `first` and then what only `second` has; the order is kept, each once.
pub fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(first.len() + second.len());
    for scope in first.iter().chain(second) {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn every_scope_and_role_reads_back_as_itself() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        for role in [Role::Operator, Role::Node] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Scope::parse("operator.questions"), None);
        assert_eq!(Role::parse("admin"), None);
    }

    #[test]
    fn admin_covers_operators_write_covers_read_and_the_rest_is_exact() {
        let cases: [(Role, &[&str], &[&str], bool); 14] = [
            (Role::Operator, &[], &[], true),
            (Role::Operator, &[], &["operator.read"], false),
            (Role::Operator, &["operator.read"], &["operator.read"], true),
            (Role::Operator, &["operator.read"], &["operator.write"], false),
            (Role::Operator, &["operator.write"], &["operator.read"], true),
            (Role::Operator, &["operator.write"], &["operator.approvals"], false),
            (Role::Operator, &["operator.admin"], &["operator.pairing", "operator.talk.secrets"], true),
            (Role::Operator, &["operator.admin"], &["operator.questions"], true),
            (Role::Operator, &["operator.admin"], &["node.x"], false),
            (Role::Operator, &["operator.questions"], &["operator.questions"], true),
            (Role::Operator, &["operator.questions"], &["operator.read"], false),
            (Role::Node, &["node.x"], &["node.x"], true),
            (Role::Node, &["operator.admin"], &["operator.read"], false),
            (Role::Node, &["operator.read"], &["operator.read"], false),
        ];
        for (role, held, wanted, expected) in cases {
            assert_eq!(covers(role, &list(held), &list(wanted)), expected, "{role:?} {held:?} {wanted:?}");
        }
    }

    #[test]
    fn an_unknown_scope_opens_no_method() {
        let held = list(&["operator.everything", "admin", "operator.", "OPERATOR.ADMIN", " operator.admin"]);
        for scope in Scope::ALL {
            assert!(!holds(&held, scope), "{scope:?}");
        }
    }

    #[test]
    fn token_scopes_gain_what_they_imply_and_lose_the_other_role() {
        let cases: [(Role, &[&str], &[&str]); 5] = [
            (
                Role::Operator,
                &["operator.pairing", "operator.admin"],
                &["operator.admin", "operator.pairing", "operator.read", "operator.write"],
            ),
            (Role::Operator, &["operator.write", "operator.write"], &["operator.read", "operator.write"]),
            (Role::Operator, &["operator.read", "node.x", "foo"], &["operator.read"]),
            (Role::Operator, &[], &[]),
            (Role::Node, &["operator.admin", "node.x"], &["node.x"]),
        ];
        for (role, given, expected) in cases {
            assert_eq!(normalise_token_scopes(role, &list(given)), list(expected), "{role:?} {given:?}");
        }
    }

    #[test]
    fn a_union_keeps_the_order_and_repeats_nothing() {
        assert_eq!(union(&list(&["b", "a", "b"]), &list(&["a", "c"])), list(&["b", "a", "c"]));
    }
}
