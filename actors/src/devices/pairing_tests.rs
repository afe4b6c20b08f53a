//! Tables of who must be approved, who is approved in silence, and what an approval leaves behind.

use super::*;

const KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
const OTHER_KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";

pub fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub fn claim(scopes: &str) -> Claim {
    Claim {
        device_id: "d".into(),
        public_key: KEY.into(),
        role: Role::Operator,
        scopes: names(scopes),
        display_name: None,
        platform: Some("linux".into()),
        device_family: None,
        client_id: "cli".into(),
        client_mode: "cli".into(),
        remote_ip: None,
    }
}

/// The record of a device that was approved with these scopes at 5.
pub fn paired(scopes: &str) -> Paired {
    let (pending, _) = merge_pending(None, &claim(scopes), true, false, 5, || "r".into());
    approve(&pending, None, 5, &mut || [1; 32])
}

fn node(claim: Claim) -> Claim {
    Claim { role: Role::Node, client_id: "node-host".into(), client_mode: "node".into(), ..claim }
}

#[test]
fn an_approval_is_needed_for_anything_new() {
    let record = paired("operator.write");
    let admin = paired("operator.admin");
    let on = |platform: &str, family: Option<&str>| Claim {
        platform: Some(platform.into()),
        device_family: family.map(str::to_owned),
        ..claim("operator.read")
    };
    for (paired, claim, expected) in [
        (None, claim("operator.read"), Some(Reason::NotPaired)),
        (Some(&record), Claim { public_key: OTHER_KEY.into(), ..claim("operator.read") }, Some(Reason::NotPaired)),
        (Some(&record), claim("operator.read operator.write"), None),
        (Some(&record), claim(""), None),
        (Some(&record), claim("operator.admin"), Some(Reason::ScopeUpgrade)),
        (Some(&record), claim("operator.questions"), Some(Reason::ScopeUpgrade)),
        (Some(&admin), claim("operator.pairing operator.questions"), None),
        (Some(&admin), claim("node.camera"), Some(Reason::ScopeUpgrade)),
        (Some(&record), on("Linux ", None), None),
        (Some(&record), on("darwin", None), Some(Reason::MetadataUpgrade)),
        (Some(&record), on("linux", Some("Raspberry")), None),
        (Some(&record), Claim { platform: None, ..claim("") }, Some(Reason::MetadataUpgrade)),
        (Some(&record), node(claim("")), Some(Reason::RoleUpgrade)),
    ] {
        assert_eq!(required(paired, &claim), expected, "{claim:?}");
    }
}

#[test]
fn a_revoked_token_asks_for_the_role_again() {
    let mut record = paired("operator.read");
    token::revoke(&mut record, Role::Operator, 6);
    assert_eq!(required(Some(&record), &claim("operator.read")), Some(Reason::RoleUpgrade));
}

#[test]
fn only_the_local_owner_is_approved_in_silence() {
    let cli = claim("operator.read");
    let ui = Claim { client_id: "openclaw-control-ui".into(), client_mode: "webchat".into(), ..cli.clone() };
    let app = Claim { client_id: "openclaw-macos".into(), client_mode: "ui".into(), ..cli.clone() };
    let webchat = Claim { client_id: "webchat-ui".into(), client_mode: "webchat".into(), ..cli.clone() };
    let sly_node = node(claim("operator.admin"));
    let facts = |claim, locality, secret_verified| SilentFacts {
        locality,
        origin: false,
        origin_loopback: false,
        secret_verified,
        claim,
    };
    use Locality::{LocalDirect, PortForward, Remote};
    // columns: not-paired, role-upgrade, metadata-upgrade, scope-upgrade
    for (name, facts, expected) in [
        ("the owner's command line", facts(&cli, LocalDirect, true), [true, true, false, true]),
        ("without a verified secret", facts(&cli, LocalDirect, false), [true, true, false, false]),
        ("through a container's port", facts(&cli, PortForward, true), [true, true, false, false]),
        ("from elsewhere", facts(&cli, Remote, true), [false; 4]),
        ("an app of the machine", facts(&app, LocalDirect, true), [true, true, false, false]),
        ("a node that wants to give orders", facts(&sly_node, LocalDirect, true), [false; 4]),
    ] {
        assert_eq!(all_reasons(&facts), expected, "{name}");
    }
    let browser = |claim, origin_loopback, secret_verified| SilentFacts {
        origin: true,
        origin_loopback,
        ..facts(claim, LocalDirect, secret_verified)
    };
    for (name, facts, expected) in [
        ("the panel from this machine", browser(&ui, true, true), [true, true, false, false]),
        ("the panel without the secret", browser(&ui, true, false), [false; 4]),
        ("the panel from an allowed elsewhere", browser(&ui, false, true), [false; 4]),
        ("another page", browser(&webchat, true, true), [false; 4]),
        ("a page that calls itself the command line", browser(&cli, true, true), [false; 4]),
    ] {
        assert_eq!(all_reasons(&facts), expected, "{name}");
    }
}

fn all_reasons(facts: &SilentFacts) -> [bool; 4] {
    [Reason::NotPaired, Reason::RoleUpgrade, Reason::MetadataUpgrade, Reason::ScopeUpgrade]
        .map(|reason| silent(reason, facts))
}

#[test]
fn the_same_request_is_refreshed_and_another_replaces_it() {
    let first = claim("operator.read operator.write");
    let (pending, new) = merge_pending(None, &first, true, false, 1000, || "one".into());
    assert!(new && pending.silent && pending.request_id == "one");

    let turned = claim("operator.write operator.read");
    let (same, new) = merge_pending(Some(&pending), &turned, true, false, 2000, || panic!("no new id"));
    assert_eq!((same.request_id.as_str(), same.ts, new, same.silent), ("one", 2000, false, true));

    let (merged, new) = merge_pending(Some(&pending), &node(claim("")), false, true, 3000, || "two".into());
    assert!(new && !merged.silent && merged.is_repair);
    assert_eq!((merged.roles, merged.scopes), (vec![Role::Operator, Role::Node], pending.scopes.clone()));
    assert_eq!((merged.request_id.as_str(), merged.role), ("two", Some(Role::Node)));

    let (late, new) = merge_pending(Some(&pending), &first, true, false, 301_001, || "three".into());
    assert_eq!((late.request_id.as_str(), new), ("three", true));
    assert!(!expired(&pending, 301_000) && expired(&pending, 301_001));
}

#[test]
fn a_request_of_another_key_is_not_merged() {
    let (pending, _) = merge_pending(None, &claim("operator.admin"), false, false, 1, || "one".into());
    let other = Claim { public_key: OTHER_KEY.into(), ..claim("operator.read") };
    let (next, _) = merge_pending(Some(&pending), &other, true, false, 2, || "two".into());
    assert_eq!((next.scopes, next.silent), (names("operator.read"), true));
}

#[test]
fn an_approval_merges_and_gives_new_tokens() {
    let record = paired("operator.read");
    assert_eq!((record.created_at_ms, record.tokens[&Role::Operator].scopes.clone()), (5, names("operator.read")));

    let (pending, _) = merge_pending(None, &claim("operator.write"), true, true, 10, || "r".into());
    let wider = approve(&pending, Some(&record), 20, &mut || [2; 32]);
    assert_eq!((wider.created_at_ms, wider.approved_at_ms), (5, 20));
    assert_eq!(wider.approved(), names("operator.read operator.write"));
    assert_eq!(wider.tokens[&Role::Operator].scopes, names("operator.read operator.write"));
    assert_ne!(wider.tokens[&Role::Operator].token, record.tokens[&Role::Operator].token);
    assert_eq!(required(Some(&wider), &claim("operator.write")), None);

    let (pending, _) = merge_pending(None, &node(claim("operator.admin node.camera")), true, true, 30, || "r".into());
    assert_eq!(foreign_scope(&pending.roles, &pending.scopes), Some("operator.admin"));
    let both = approve(&pending, Some(&wider), 40, &mut || [3; 32]);
    assert_eq!((both.roles.as_slice(), both.role), ([Role::Operator, Role::Node].as_slice(), Role::Node));
    assert_eq!(both.tokens[&Role::Node].scopes, names("node.camera"));
    assert_eq!(both.tokens[&Role::Operator], wider.tokens[&Role::Operator]);
}

#[test]
fn an_approval_of_another_key_starts_anew() {
    let record = paired("operator.admin");
    let other = Claim { public_key: OTHER_KEY.into(), ..claim("operator.read") };
    let (pending, _) = merge_pending(None, &other, false, true, 10, || "r".into());
    let fresh = approve(&pending, Some(&record), 20, &mut || [2; 32]);
    assert_eq!((fresh.approved(), fresh.created_at_ms), (names("operator.read").as_slice(), 20));
    assert_eq!(fresh.tokens.len(), 1);
}

#[test]
fn a_refusal_says_what_to_do_and_shows_the_record_only_to_its_key() {
    let record = paired("operator.read");
    let wanted = claim("operator.read operator.admin");
    let error = refusal(Reason::ScopeUpgrade, "id", &wanted, Some(&record));
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({
            "code": "NOT_PAIRED",
            "message": "pairing required: device is asking for more scopes than currently approved",
            "details": {
                "code": "PAIRING_REQUIRED", "reason": "scope-upgrade", "requestId": "id",
                "remediationHint": "Review the requested scopes, then approve the pending upgrade.",
                "deviceId": "d", "requestedRole": "operator",
                "requestedScopes": ["operator.read", "operator.admin"],
                "approvedRoles": ["operator"], "approvedScopes": ["operator.read"],
            },
        })
    );
    assert!(close_reason(&error, "id").ends_with("currently approved (requestId: id)"));
    let stranger = Claim { public_key: OTHER_KEY.into(), ..wanted };
    let details = refusal(Reason::NotPaired, "id", &stranger, Some(&record)).details.unwrap();
    assert!(details.get("approvedScopes").is_none() && details.get("approvedRoles").is_none());
}

#[test]
fn a_crowd_of_strangers_pushes_out_the_oldest_request_and_nobody_twice() {
    let mut pending = HashMap::new();
    let mut ask = |device: String, now: u64| {
        let claim = Claim { device_id: device.clone(), ..claim("operator.read") };
        make_room(&mut pending, &device);
        let waiting = pending.get(&device);
        let (request, _) = merge_pending(waiting, &claim, false, false, now, || device.clone());
        pending.insert(device, request);
        let mut known = [pending.contains_key("0"), pending.contains_key("1"), pending.contains_key("late")];
        known.reverse();
        (pending.len(), known)
    };
    for number in 0..PENDING_MAX as u64 {
        ask(number.to_string(), number);
    }
    assert_eq!(ask("199".into(), 1000), (PENDING_MAX, [false, true, true]), "asked again, it takes nobody's place");
    assert_eq!(ask("late".into(), 1000), (PENDING_MAX, [true, true, false]));
}
