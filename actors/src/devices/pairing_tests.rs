<<<<<<< HEAD
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
=======
//! Tables for `pairing`: who needs approval, who gets it silently, what it changes.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::*;
use crate::devices::record::Token;

const KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
const OTHER_KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
const NOW: u64 = 1_000_000;

fn list(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|s| (*s).to_owned()).collect()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(4)
}

fn claim(role: Role, scopes: &[&str]) -> Claim {
    Claim {
        device_id: "d".into(),
        public_key: KEY.into(),
        role,
        scopes: list(scopes),
        display_name: None,
        platform: Some("linux".into()),
        device_family: None,
        client_id: Some("cli".into()),
        client_mode: Some("cli".into()),
>>>>>>> cli
        remote_ip: None,
    }
}

<<<<<<< HEAD
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
=======
fn operator(scopes: &[&str]) -> Claim {
    claim(Role::Operator, scopes)
}

/// The record after this claim was approved.
fn approved(claim: &Claim) -> Paired {
    approve(&request(claim, true, None, 1, "r".into()), None, 1, &mut rng())
}

#[test]
fn each_difference_from_the_record_has_its_reason() {
    let record = approved(&operator(&["operator.write"]));
    let other_key = Claim { public_key: OTHER_KEY.into(), ..operator(&[]) };
    let darwin = Claim { platform: Some("darwin".into()), ..operator(&["operator.admin"]) };
    let cases = [
        (None, operator(&[]), Some(Reason::NotPaired)),
        (Some(&record), other_key, Some(Reason::NotPaired)),
        (Some(&record), darwin, Some(Reason::MetadataUpgrade)),
        (Some(&record), Claim { platform: None, ..operator(&[]) }, Some(Reason::MetadataUpgrade)),
        (Some(&record), Claim { platform: Some(" LINUX ".into()), ..operator(&[]) }, None),
        (Some(&record), Claim { device_family: Some("Linux".into()), ..operator(&[]) }, None),
        (Some(&record), claim(Role::Node, &[]), Some(Reason::RoleUpgrade)),
        (Some(&record), operator(&["operator.read"]), None),
        (Some(&record), operator(&["operator.write"]), None),
        (Some(&record), operator(&["operator.read", "operator.pairing"]), Some(Reason::ScopeUpgrade)),
    ];
    for (paired, claim, expected) in cases {
>>>>>>> cli
        assert_eq!(required(paired, &claim), expected, "{claim:?}");
    }
}

#[test]
<<<<<<< HEAD
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
=======
fn a_revoked_role_must_be_approved_again() {
    let mut record = approved(&operator(&["operator.read"]));
    record.tokens.get_mut(&Role::Operator).unwrap().revoked_at_ms = Some(2);
    assert_eq!(required(Some(&record), &operator(&["operator.read"])), Some(Reason::RoleUpgrade));
    assert!(!widens(Some(&record), &operator(&["operator.read"])));
    assert!(widens(Some(&record), &operator(&["operator.admin"])), "a revocation must not hide a widening");
}

#[test]
fn a_stored_key_in_another_spelling_is_the_same_key() {
    let record = Paired { public_key: format!("{KEY}="), ..approved(&operator(&[])) };
    assert_eq!(required(Some(&record), &operator(&[])), None);
    let unreadable = Paired { public_key: "?".into(), ..record };
    let claim = Claim { public_key: "?".into(), ..operator(&[]) };
    assert_eq!(required(Some(&unreadable), &claim), Some(Reason::NotPaired));
}

const REMOTE: SilentFacts = SilentFacts {
    local_direct: false,
    has_origin: false,
    origin_is_loopback: false,
    secret_verified: true,
    is_panel: false,
    is_cli: true,
    is_native_app: true,
    widens: false,
};
const LOCAL: SilentFacts = SilentFacts { local_direct: true, is_cli: false, is_native_app: false, ..REMOTE };
const UNVERIFIED: SilentFacts = SilentFacts { secret_verified: false, ..LOCAL };
const CLI: SilentFacts = SilentFacts { is_cli: true, ..LOCAL };
const PANEL: SilentFacts = SilentFacts { is_panel: true, has_origin: true, origin_is_loopback: true, ..LOCAL };

#[test]
fn approval_is_silent_only_for_the_local_owner() {
    use Reason::{MetadataUpgrade, NotPaired, RoleUpgrade, ScopeUpgrade};
    // Columns: not-paired, role-upgrade, scope-upgrade (which widens), metadata-upgrade.
    let cases = [
        ("remote", REMOTE, [false, false, false, false]),
        ("local", LOCAL, [true, true, false, false]),
        ("unverified", UNVERIFIED, [true, true, false, false]),
        ("cli", CLI, [true, true, true, false]),
        ("unverified cli", SilentFacts { is_cli: true, ..UNVERIFIED }, [true, true, false, false]),
        ("cli in a browser", SilentFacts { has_origin: true, ..CLI }, [false, false, false, false]),
        ("panel", PANEL, [true, true, false, false]),
        ("unverified panel", SilentFacts { secret_verified: false, ..PANEL }, [false, false, false, false]),
        ("panel on a foreign page", SilentFacts { origin_is_loopback: false, ..PANEL }, [false, false, false, false]),
        ("page that is no panel", SilentFacts { is_panel: false, ..PANEL }, [false, false, false, false]),
        ("app", SilentFacts { is_native_app: true, ..LOCAL }, [true, true, false, true]),
        ("unverified app", SilentFacts { is_native_app: true, ..UNVERIFIED }, [true, true, false, false]),
    ];
    for (name, facts, expected) in cases {
        let wider = SilentFacts { widens: true, ..facts };
        let found = [
            silent(NotPaired, &facts),
            silent(RoleUpgrade, &facts),
            silent(ScopeUpgrade, &wider),
            silent(MetadataUpgrade, &facts),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn no_reason_hides_a_widening() {
    for reason in [Reason::RoleUpgrade, Reason::MetadataUpgrade, Reason::ScopeUpgrade] {
        let facts = SilentFacts { widens: true, is_native_app: true, ..LOCAL };
        assert!(!silent(reason, &facts), "{reason:?}");
    }
}

#[test]
fn asking_the_same_again_refreshes_the_request() {
    let first = request(&operator(&["a", "b"]), false, None, NOW, "one".into());
    let again = request(&operator(&["b", "a"]), false, None, NOW + 5, "two".into());
    let (merged, is_new) = merge_pending(Some(&first), again);
    assert_eq!((merged.request_id.as_str(), merged.ts, is_new), ("one", NOW + 5, false));
}

#[test]
fn asking_for_more_replaces_the_request_by_one_for_both() {
    let first = request(&operator(&["a"]), true, None, NOW, "one".into());
    let more = request(&claim(Role::Node, &["b"]), false, None, NOW, "two".into());
    let (merged, is_new) = merge_pending(Some(&first), more);
    assert_eq!((merged.request_id.as_str(), is_new, merged.silent), ("two", true, false));
    assert_eq!((merged.roles, merged.scopes), (vec![Role::Operator, Role::Node], list(&["a", "b"])));
}

#[test]
fn an_expired_request_and_one_of_another_key_are_not_merged() {
    let first = request(&operator(&["a"]), false, None, NOW, "one".into());
    let late = request(&operator(&["b"]), false, None, NOW + 300_000, "two".into());
    assert_eq!(merge_pending(Some(&first), late.clone()), (late, true));
    let other = Claim { public_key: OTHER_KEY.into(), ..operator(&["b"]) };
    let other = request(&other, false, None, NOW, "two".into());
    assert_eq!(merge_pending(Some(&first), other.clone()), (other, true));
}

#[test]
fn an_approval_adds_roles_and_scopes_and_renews_the_tokens_asked_for() {
    let first = approved(&operator(&["operator.read"]));
    let more = request(&claim(Role::Node, &[]), false, Some(&first), NOW, "r".into());
    let both = approve(&more, Some(&first), NOW, &mut rng());
    assert_eq!(both.roles, [Role::Operator, Role::Node]);
    assert_eq!(both.tokens[&Role::Operator], first.tokens[&Role::Operator], "not asked for, not renewed");
    assert_eq!((both.role, both.created_at_ms, both.approved_at_ms), (Role::Node, 1, NOW));

    let wider = request(&operator(&["operator.write"]), false, Some(&both), NOW + 1, "r".into());
    let third = approve(&wider, Some(&both), NOW + 1, &mut StdRng::seed_from_u64(5));
    let token = &third.tokens[&Role::Operator];
    assert_ne!(token.token, first.tokens[&Role::Operator].token);
    assert_eq!(token.scopes, list(&["operator.read", "operator.write"]));
    assert_eq!((token.created_at_ms, token.rotated_at_ms), (1, Some(NOW + 1)));
    assert_eq!(third.approved(), list(&["operator.read", "operator.write"]));
    assert_eq!(required(Some(&third), &operator(&["operator.write"])), None);
}

#[test]
fn an_approval_for_no_scopes_keeps_what_the_token_could_do() {
    let first = approved(&operator(&["operator.read"]));
    let same = request(&operator(&[]), false, Some(&first), NOW, "r".into());
    let record = approve(&same, Some(&first), NOW, &mut rng());
    assert_eq!(record.tokens[&Role::Operator].scopes, list(&["operator.read"]));
}

#[test]
fn the_record_of_another_key_is_replaced_and_not_inherited() {
    let old = approved(&operator(&["operator.admin"]));
    let other = Claim { public_key: OTHER_KEY.into(), ..operator(&["operator.read"]) };
    let record = approve(&request(&other, false, Some(&old), NOW, "r".into()), Some(&old), NOW, &mut rng());
    assert_eq!((record.approved(), record.created_at_ms), (&list(&["operator.read"])[..], NOW));
}

#[test]
fn a_node_is_never_granted_the_scopes_of_an_operator() {
    let record = approved(&claim(Role::Node, &["node.x", "operator.admin"]));
    assert_eq!(record.approved(), list(&["node.x"]));
    assert_eq!(record.tokens[&Role::Node].scopes, list(&["node.x"]));
}

#[test]
fn approved_metadata_is_the_new_pin() {
    let old = approved(&Claim { device_family: Some("Linux".into()), ..operator(&[]) });
    let moved = Claim { platform: Some("darwin".into()), ..operator(&[]) };
    assert_eq!(required(Some(&old), &moved), Some(Reason::MetadataUpgrade));
    let record = approve(&request(&moved, false, Some(&old), NOW, "r".into()), Some(&old), NOW, &mut rng());
    assert_eq!(required(Some(&record), &moved), None, "else the device would ask for ever");
}

#[test]
fn a_silent_claim_is_approved_alone_whatever_else_waits() {
    let record = approved(&operator(&["operator.read"]));
    let greedy = request(&operator(&["operator.admin"]), false, Some(&record), NOW, "waiting".into());
    let claim = operator(&["operator.pairing"]);
    let settled = settle(&claim, true, Some(&greedy), Some(&record), NOW, "own".into(), &mut rng());
    let Settled::Approved { request_id, paired } = settled else { panic!("{settled:?}") };
    assert_eq!(request_id, "own");
    assert_eq!(paired.approved(), list(&["operator.read", "operator.pairing"]));
    assert!(paired.tokens.values().all(|Token { scopes, .. }| !scopes.contains(&"operator.admin".to_owned())));
}

#[test]
fn any_other_claim_waits() {
    let settled = settle(&operator(&["a"]), false, None, None, NOW, "own".into(), &mut rng());
    let Settled::Waiting { pending, is_new } = settled else { panic!("{settled:?}") };
    let expected = json!({
        "requestId": "own", "deviceId": "d", "publicKey": KEY, "platform": "linux", "clientId": "cli",
        "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": ["a"], "silent": false,
        "isRepair": false, "ts": NOW,
    });
    assert_eq!((serde_json::to_value(*pending).unwrap(), is_new), (expected, true));
}

#[test]
fn a_refusal_tells_what_is_approved_only_to_the_approved_key() {
    let record = approved(&operator(&["operator.read"]));
    let claim = operator(&["operator.read", "operator.admin"]);
    let error = serde_json::to_value(Reason::ScopeUpgrade.refusal("id-1", &claim, Some(&record))).unwrap();
    let expected = json!({
        "code": "NOT_PAIRED",
        "message": "pairing required: device is asking for more scopes than currently approved",
        "details": {
            "code": "PAIRING_REQUIRED",
            "reason": "scope-upgrade",
            "requestId": "id-1",
            "remediationHint": "Review the requested scopes, then approve the pending upgrade.",
            "deviceId": "d",
            "requestedRole": "operator",
            "requestedScopes": ["operator.read", "operator.admin"],
            "approvedRoles": ["operator"],
            "approvedScopes": ["operator.read"],
        },
    });
    assert_eq!(error, expected);
    let stranger = Claim { public_key: OTHER_KEY.into(), ..claim };
    let error = Reason::NotPaired.refusal("id-1", &stranger, Some(&record));
    assert!(error.details.unwrap().get("approvedScopes").is_none());
    assert_eq!(
        Reason::NotPaired.close_reason("id-1"),
        "pairing required: device is not approved yet (requestId: id-1)"
    );
>>>>>>> cli
}
