//! Who may call a method. The answer uses only what the handshake established.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::scope::{Role, Scope};
use serde_json::json;

/// What a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any role, any scope.
    Anyone,
    Operator(Scope),
}

/// Why a call was refused, and whether it counts towards the flood limit of wrong-role calls.
#[derive(Debug)]
pub struct Denied {
    pub error: ErrorShape,
    pub wrong_role: bool,
}

/// Decides whether a caller with this role and these scopes may call.
pub fn check(access: Access, role: Role, scopes: &[Scope]) -> Result<(), Denied> {
    let needed = match (access, role) {
        (Access::Anyone, _) => return Ok(()),
        (Access::Operator(scope), Role::Operator) => scope,
        _ => {
            let error = ErrorShape::invalid(format!("unauthorized role: {}", role.as_str()));
            return Err(Denied { error, wrong_role: true });
        }
    };
    if scopes.iter().any(|held| held.covers(needed)) {
        return Ok(());
    }
    let error = ErrorShape::invalid(format!("missing scope: {}", needed.as_str())).with_details(json!({
        "code": "MISSING_SCOPE", "missingScope": needed.as_str(), "requiredScopes": [needed.as_str()],
    }));
    Err(Denied { error, wrong_role: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_follows_role_and_scope() {
        let text =
            |access, role, scopes: &[Scope]| check(access, role, scopes).err().map(|denied| denied.error.message);
        assert_eq!(text(Access::Anyone, Role::Node, &[]), None);
        assert_eq!(text(Access::Operator(Scope::Read), Role::Operator, &[Scope::Write]), None);
        assert_eq!(text(Access::Operator(Scope::Pairing), Role::Operator, &[Scope::Admin]), None);
        assert_eq!(
            text(Access::Operator(Scope::Write), Role::Operator, &[Scope::Read]).as_deref(),
            Some("missing scope: operator.write")
        );
        assert_eq!(
            text(Access::Operator(Scope::Read), Role::Node, &[Scope::Admin]).as_deref(),
            Some("unauthorized role: node")
        );
    }
}
