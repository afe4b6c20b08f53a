//! Replays refusals and acceptances that were recorded from 2026.5.12, and the incidents that must not happen again.

use openclaw_actors::devices::{DeviceIdentity, SignedFields};
use openclaw_actors::protocol::hello::{ClientInfo, ConnectAuth, DeviceProof};
use serde_json::{Value, json};

use super::super::request::tests::request;
use super::super::trusted_proxy::tests::gateway as proxy_gateway;
use super::*;

const NOW: u64 = 1_795_248_500_000;
const NONCE: &str = "nonce-of-this-socket";
const ALL: &str = "operator.admin operator.read operator.write operator.approvals operator.pairing";
const LOCAL: (&str, &str) = ("host", "127.0.0.1:18789");
const LOCAL_PAGE: (&str, &str) = ("origin", "http://127.0.0.1:18789");
const FORWARDED: (&str, &str) = ("x-forwarded-for", "127.0.0.1");

fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn token(text: &str) -> Option<ConnectAuth> {
    Some(ConnectAuth { token: some(text), ..ConnectAuth::default() })
}

/// One connect in its surroundings; by default the backend client with the right token on this machine.
#[derive(Clone)]
struct Case {
    params: ConnectParams,
    peer: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    gateway: Gateway,
    secrets: SharedSecrets,
    paired: Option<Paired>,
    lockouts: Lockouts,
}

impl Case {
    fn new(id: &str, mode: &str) -> Self {
        let client = ClientInfo {
            id: id.into(),
            mode: mode.into(),
            version: "1.0.0".into(),
            platform: "linux".into(),
            ..ClientInfo::default()
        };
        let params = ConnectParams {
            min_protocol: 3,
            max_protocol: 4,
            client,
            scopes: names(ALL),
            auth: token("right"),
            ..ConnectParams::default()
        };
        Self {
            params,
            peer: "127.0.0.1",
            headers: vec![LOCAL],
            gateway: Gateway::default(),
            secrets: SharedSecrets::new(AuthMode::Token, Some("right"), None),
            paired: None,
            lockouts: Lockouts::default(),
        }
    }

    fn backend() -> Self {
        Self::new("gateway-client", "backend")
    }

    fn cli() -> Self {
        Self::new("cli", "cli")
    }

    fn panel() -> Self {
        Self::new("openclaw-control-ui", "webchat").header(LOCAL_PAGE)
    }

    fn node() -> Self {
        let mut case = Self::new("node-host", "node").scopes("");
        case.params.role = some("node");
        case
    }

    fn auth(mut self, auth: Option<ConnectAuth>) -> Self {
        self.params.auth = auth;
        self
    }

    fn scopes(mut self, scopes: &str) -> Self {
        self.params.scopes = names(scopes);
        self
    }

    fn header(mut self, header: (&'static str, &'static str)) -> Self {
        self.headers.retain(|(name, _)| *name != header.0);
        self.headers.push(header);
        self
    }

    fn mode(mut self, mode: AuthMode, password: Option<&str>) -> Self {
        self.secrets = SharedSecrets::new(mode, None, password);
        self
    }

    fn paired(mut self, scopes: &str) -> Self {
        self.paired = Some(record(scopes, "linux"));
        self
    }

    /// Signs as the device of these tests, whatever the parameters say by now.
    fn signed(self) -> Self {
        self.signed_at(NOW, NONCE)
    }

    fn signed_at(mut self, signed_at: u64, nonce: &str) -> Self {
        let identity = identity();
        let signature = identity.sign(&SignedFields::of(&self.params, identity.device_id(), signed_at, nonce).v3());
        self.params.device = Some(DeviceProof {
            id: identity.device_id().into(),
            public_key: identity.public_key(),
            signature,
            signed_at,
            nonce: nonce.into(),
        });
        self
    }

    fn decide(&self) -> Decision {
        let request = request(self.peer, &self.headers, &self.gateway);
        decide(&Facts {
            params: &self.params,
            request: &request,
            gateway: &self.gateway,
            secrets: &self.secrets,
            paired: self.paired.as_ref(),
            lockouts: self.lockouts,
            now_ms: NOW,
            nonce: NONCE,
        })
    }

    /// Close code and error of the refusal.
    fn refused(&self) -> (u16, Value) {
        match self.decide() {
            Decision::Refused { error, code, reason, .. } => {
                assert_eq!(reason, error.message);
                (code, serde_json::to_value(error).unwrap())
            }
            accepted => panic!("{accepted:?}"),
        }
    }

    fn detail(&self, key: &str) -> String {
        self.refused().1["details"][key].as_str().unwrap_or("-").to_owned()
    }

    /// Effective scopes by name, method, pairing.
    fn accepted(&self) -> (String, Method, Pairing) {
        match self.decide() {
            Decision::Accepted { scopes, method, pairing, .. } => {
                (scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "), method, pairing)
            }
            refused => panic!("{refused:?}"),
        }
    }

    fn pairing(&self) -> Pairing {
        self.accepted().2
    }
}

fn identity() -> DeviceIdentity {
    DeviceIdentity::from_seed([1; 32], 0)
}

/// The record of the device of these tests, approved on this platform.
fn record(scopes: &str, platform: &str) -> Paired {
    let claim = Claim {
        device_id: identity().device_id().into(),
        public_key: identity().public_key(),
        role: Role::Operator,
        scopes: names(scopes),
        display_name: None,
        platform: some(platform),
        device_family: None,
        client_id: "cli".into(),
        client_mode: "cli".into(),
        remote_ip: None,
    };
    let (pending, _) = pairing::merge_pending(None, &claim, true, false, 5, || "r".into());
    pairing::approve(&pending, None, 5, &mut || [7; 32])
}

fn device_token(scopes: &str) -> String {
    record(scopes, "linux").tokens[&Role::Operator].token.clone()
}

fn error(code: &str, message: &str, details: Value) -> Value {
    json!({"code": code, "message": message, "details": details})
}

fn unauthorized_error(message: &str, code: &str, reason: &str, retry: bool, step: &str) -> Value {
    let details =
        json!({"code": code, "authReason": reason, "canRetryWithDeviceToken": retry, "recommendedNextStep": step});
    error("INVALID_REQUEST", message, details)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn recorded_refusals_of_credentials() {
    let cli_hint = "set gateway.remote.token to match gateway.auth.token";
    let (configure, renew) = ("update_auth_configuration", "update_auth_credentials");
    let missing = |hint: &str| {
        let message = format!("unauthorized: gateway token missing ({hint})");
        unauthorized_error(&message, "AUTH_TOKEN_MISSING", "token_missing", false, configure)
    };
    let mismatch = |hint: &str, retry, step| {
        let message = format!("unauthorized: gateway token mismatch ({hint})");
        unauthorized_error(&message, "AUTH_TOKEN_MISMATCH", "token_mismatch", retry, step)
    };
    let password = |text: &str, code: &str, reason: &str, step| {
        let message = format!(
            "unauthorized: gateway password {text} (set gateway.remote.password to match gateway.auth.password)"
        );
        unauthorized_error(&message, code, reason, false, step)
    };
    let locked = unauthorized_error(
        "unauthorized: too many failed authentication attempts (retry later)",
        "AUTH_RATE_LIMITED",
        "rate_limited",
        false,
        "wait_then_retry",
    );
    let with = |auth: ConnectAuth| Some(auth);
    let only = ConnectAuth::default;
    let passworded = |case: Case| case.mode(AuthMode::Password, Some("right"));
    let lockouts = Lockouts { shared_secret: true, device_token: false };
    for (name, case, expected) in [
        ("no-auth-with-device", Case::cli().auth(None).signed(), missing(cli_hint)),
        (
            "token-mismatch-no-device",
            Case::backend().auth(token("wrong")),
            mismatch("provide gateway auth token", false, renew),
        ),
        (
            "token-mismatch-with-device",
            Case::cli().auth(token("wrong")).signed(),
            mismatch(cli_hint, true, "retry_with_device_token"),
        ),
        (
            "password-on-token-gateway",
            Case::backend().auth(with(ConnectAuth { password: some("x"), ..only() })),
            missing("provide gateway auth token"),
        ),
        (
            "explicit-device-token-mismatch",
            Case::cli().auth(with(ConnectAuth { device_token: some("wrong"), ..only() })).signed(),
            unauthorized_error(
                "unauthorized: device token mismatch (rotate/reissue device token)",
                "AUTH_DEVICE_TOKEN_MISMATCH",
                "device_token_mismatch",
                false,
                renew,
            ),
        ),
        (
            "bootstrap-token-invalid",
            Case::node().auth(with(ConnectAuth { bootstrap_token: some("nope"), ..only() })).signed(),
            unauthorized_error(
                "unauthorized: bootstrap token invalid or expired (scan a fresh setup code)",
                "AUTH_BOOTSTRAP_TOKEN_INVALID",
                "bootstrap_token_invalid",
                false,
                "review_auth_configuration",
            ),
        ),
        (
            "password:no password",
            passworded(Case::cli().auth(None)).signed(),
            password("missing", "AUTH_PASSWORD_MISSING", "password_missing", configure),
        ),
        (
            "password:bad password",
            passworded(Case::cli().auth(with(ConnectAuth { password: some("x"), ..only() }))).signed(),
            password("mismatch", "AUTH_PASSWORD_MISMATCH", "password_mismatch", renew),
        ),
        (
            "password:token on password",
            passworded(Case::cli().auth(token("x"))).signed(),
            password("missing", "AUTH_PASSWORD_MISSING", "password_missing", configure),
        ),
        ("ratelimit, even with the right one", Case { lockouts, ..Case::backend() }, locked),
        (
            "not configured",
            Case { secrets: SharedSecrets::new(AuthMode::Token, None, None), ..Case::backend() },
            unauthorized_error(
                "unauthorized: gateway token not configured on gateway (set gateway.auth.token)",
                "AUTH_TOKEN_NOT_CONFIGURED",
                "token_missing_config",
                false,
                configure,
            ),
        ),
        (
            "tproxy:cli direct pw",
            Case { gateway: proxy_gateway(), ..Case::cli() }
                .mode(AuthMode::TrustedProxy, None)
                .header(("x-forwarded-proto", "https"))
                .auth(with(ConnectAuth { password: some("x"), ..only() }))
                .signed(),
            unauthorized_error(
                "unauthorized",
                "AUTH_UNAUTHORIZED",
                "trusted_proxy_user_missing",
                false,
                "review_auth_configuration",
            ),
        ),
    ] {
        assert_eq!(case.refused(), (1008, expected), "{name}");
    }
}

#[test]
fn recorded_refusals_before_credentials() {
    let mut future = Case::backend();
    (future.params.min_protocol, future.params.max_protocol) = (5, 6);
    let mut stranger = Case::backend();
    stranger.params.role = some("admin");
    let device = error("NOT_PAIRED", "device identity required", json!({"code": "DEVICE_IDENTITY_REQUIRED"}));
    let panel = error(
        "INVALID_REQUEST",
        "control ui requires device identity (use HTTPS or localhost secure context)",
        json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"}),
    );
    let origin = |reason: &str| {
        error(
            "INVALID_REQUEST",
            "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)",
            json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason}),
        )
    };
    let proxied = |case: Case| Case { gateway: proxy_gateway(), ..case }.mode(AuthMode::TrustedProxy, None).auth(None);
    let mut without_origin = Case::panel().signed();
    without_origin.headers = vec![LOCAL];
    let evil = ("origin", "http://evil.test");
    for (name, case, expected) in [
        ("no-auth-no-device", Case::backend().auth(None), device.clone()),
        ("deviceless-node", Case::node(), device.clone()),
        ("none:cli nodevice", Case::cli().mode(AuthMode::None, None).auth(None), device),
        ("deviceless-control-ui", Case::panel(), panel.clone()),
        ("none:control-ui nodevice", Case::panel().mode(AuthMode::None, None).auth(None), panel.clone()),
        ("tproxy:no user hdr", proxied(Case::panel()), panel.clone()),
        ("deviceless terminal", Case::new("openclaw-tui", "ui"), panel),
        ("origin-not-allowed", Case::panel().header(evil).signed(), origin("origin not allowed")),
        ("control-ui-no-origin", without_origin, origin("origin missing or invalid")),
        ("a page that claims to be the backend", Case::backend().header(evil), origin("origin not allowed")),
        ("tproxy:bad origin", proxied(Case::panel().header(evil)), origin("origin not allowed")),
        ("invalid-role", stranger, json!({"code": "INVALID_REQUEST", "message": "invalid role"})),
    ] {
        assert_eq!(case.refused(), (1008, expected), "{name}");
    }
    let details = json!({"code": "PROTOCOL_MISMATCH", "clientMinProtocol": 5, "clientMaxProtocol": 6,
                         "expectedProtocol": 4, "minimumProbeProtocol": 3});
    assert_eq!(future.refused(), (1002, error("INVALID_REQUEST", "protocol mismatch", details)));
}

#[test]
fn protocol_ranges() {
    for (id, mode, range, expected) in [
        ("cli", "cli", (4, 4), true),
        ("cli", "cli", (1, 9), true),
        ("gateway-client", "backend", (3, 3), false),
        ("cli", "probe", (3, 3), true),
        ("cli", "probe", (2, 2), false),
        ("node-host", "node", (3, 3), true),
        ("cli", "cli", (5, 6), false),
    ] {
        let mut params = Case::new(id, mode).params;
        (params.min_protocol, params.max_protocol) = range;
        params.role = some(if mode == "node" { "node" } else { "operator" });
        assert_eq!(speaks_our_protocol(&params), expected, "{id} {mode} {range:?}");
    }
}

#[test]
fn recorded_refusals_of_device_proofs() {
    let replaced = |change: fn(&mut DeviceProof)| {
        let mut case = Case::backend().signed();
        change(case.params.device.as_mut().unwrap());
        case
    };
    let other_key = DeviceIdentity::from_seed([2; 32], 0).public_key();
    let mut swapped = Case::backend().signed();
    swapped.params.device.as_mut().unwrap().public_key = other_key;
    let mut widened = Case::cli().scopes("operator.read").signed();
    widened.params.scopes = names(ALL);
    for (case, message, code, reason) in [
        (
            replaced(|d| d.id = "0".repeat(64)),
            "device identity mismatch",
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            "device-id-mismatch",
        ),
        (swapped, "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch"),
        (
            Case::backend().signed_at(NOW - 121_000, NONCE),
            "device signature expired",
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
            "device-signature-stale",
        ),
        (
            Case::backend().signed_at(NOW + 121_000, NONCE),
            "device signature expired",
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
            "device-signature-stale",
        ),
        (
            Case::backend().signed_at(NOW, " "),
            "device nonce required",
            "DEVICE_AUTH_NONCE_REQUIRED",
            "device-nonce-missing",
        ),
        (
            Case::backend().signed_at(NOW, "of another socket"),
            "device nonce mismatch",
            "DEVICE_AUTH_NONCE_MISMATCH",
            "device-nonce-mismatch",
        ),
        (
            replaced(|d| d.signature = "A".repeat(86)),
            "device signature invalid",
            "DEVICE_AUTH_SIGNATURE_INVALID",
            "device-signature",
        ),
        (widened, "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID", "device-signature"),
        (
            Case::cli().auth(token("wrong")).signed_at(NOW, "x"),
            "device nonce mismatch",
            "DEVICE_AUTH_NONCE_MISMATCH",
            "device-nonce-mismatch",
        ),
    ] {
        assert_eq!(case.refused(), (1008, error("INVALID_REQUEST", message, json!({"code": code, "reason": reason}))));
    }
    assert_eq!(Case::cli().signed_at(NOW - 119_000, NONCE).accepted().1, Method::Token);
    let mut older = Case::cli().signed();
    let signed = SignedFields::of(&older.params, identity().device_id(), NOW, NONCE).v2();
    older.params.device.as_mut().unwrap().signature = identity().sign(&signed);
    assert_eq!(older.accepted().1, Method::Token);
}

#[test]
fn recorded_acceptances() {
    let silent = Pairing::Silent { reason: Reason::NotPaired };
    let passworded = |case: Case| {
        case.mode(AuthMode::Password, Some("right")).auth(Some(ConnectAuth {
            password: some("right"),
            token: some("ignored"),
            ..ConnectAuth::default()
        }))
    };
    let open = |case: Case| case.mode(AuthMode::None, None).auth(None);
    let proxied = |case: Case| {
        Case { gateway: proxy_gateway(), ..case }
            .mode(AuthMode::TrustedProxy, None)
            .auth(None)
            .header(("x-forwarded-user", "nick@example.com"))
            .header(("x-forwarded-proto", "https"))
    };
    let proxied_panel = || {
        let mut case = proxied(Case::panel().header(("origin", "https://panel.example")));
        case.gateway.control_ui.allowed_origins = vec!["https://panel.example".into()];
        case
    };
    for (name, case, expected) in [
        ("backend", Case::backend(), (ALL, Method::Token, Pairing::None)),
        ("password:ok backend", passworded(Case::backend()), (ALL, Method::Password, Pairing::None)),
        ("password:ok", passworded(Case::cli()).signed(), (ALL, Method::Password, silent)),
        ("cli first connect", Case::cli().scopes("operator.read").signed(), ("operator.read", Method::Token, silent)),
        ("cli with device and empty scopes", Case::cli().scopes("").signed(), ("", Method::Token, silent)),
        ("official panel", Case::panel().signed(), (ALL, Method::Token, silent)),
        ("node first connect", Case::node().signed(), ("", Method::Token, silent)),
        ("remote-deviceless-backend", Case::backend().header(FORWARDED), ("", Method::Token, Pairing::None)),
        ("remote-deviceless-cli", Case::cli().header(FORWARDED), ("", Method::Token, Pairing::None)),
        (
            "remote-not-paired",
            Case::cli().header(FORWARDED).signed(),
            (ALL, Method::Token, Pairing::Required { reason: Reason::NotPaired }),
        ),
        ("none:backend", open(Case::backend()), (ALL, Method::None, Pairing::None)),
        ("none:cli device", open(Case::cli()).signed(), (ALL, Method::None, silent)),
        ("none:control-ui device", open(Case::panel()).signed(), (ALL, Method::None, Pairing::None)),
        ("tproxy:ui ok nodevice", proxied_panel(), (ALL, Method::TrustedProxy, Pairing::None)),
        (
            "tproxy:ui scopes hdr",
            proxied_panel().header(("x-openclaw-scopes", "operator.read")),
            ("operator.read", Method::TrustedProxy, Pairing::None),
        ),
        (
            "tproxy:ui no scopes",
            proxied_panel().header(("x-openclaw-scopes", "")),
            ("", Method::TrustedProxy, Pairing::None),
        ),
        ("tproxy:cli via proxy nodevice", proxied(Case::cli()), ("", Method::TrustedProxy, Pairing::None)),
        (
            "unknown scopes of newer panels",
            Case::panel().scopes("operator.questions operator.read").signed(),
            ("operator.read", Method::Token, silent),
        ),
    ] {
        let (scopes, method, pairing) = expected;
        assert_eq!(case.accepted(), (scopes.to_owned(), method, pairing), "{name}");
    }
}

#[test]
fn a_device_token_stands_in_for_the_secret_within_its_scopes() {
    let scopes = "operator.read operator.write";
    let own = device_token(scopes);
    let explicit = |token: Option<&str>| {
        Some(ConnectAuth { device_token: some(&own), token: token.map(str::to_owned), ..ConnectAuth::default() })
    };
    let case = |auth| Case::cli().scopes("operator.read").paired(scopes).auth(auth).signed();
    assert_eq!(case(token(&own)).accepted(), ("operator.read".into(), Method::DeviceToken, Pairing::None));
    assert_eq!(case(explicit(None)).accepted().1, Method::DeviceToken);
    let locked = Case { lockouts: Lockouts { shared_secret: true, device_token: false }, ..case(explicit(None)) };
    assert_eq!(locked.accepted().1, Method::DeviceToken);
    let locked = Case { lockouts: Lockouts { shared_secret: false, device_token: true }, ..case(explicit(None)) };
    assert_eq!(locked.detail("authReason"), "rate_limited");

    let wider = Case::cli().paired(scopes).auth(token(&own)).signed();
    assert_eq!(
        (wider.detail("code"), wider.detail("authReason")),
        ("AUTH_SCOPE_MISMATCH".into(), "scope_mismatch".into())
    );
    let stranger = Case { paired: None, ..case(token(&own)) };
    assert_eq!(stranger.detail("authReason"), "token_mismatch");
    let mut revoked = case(explicit(None));
    token::revoke(revoked.paired.as_mut().unwrap(), Role::Operator, 9);
    assert_eq!(revoked.detail("authReason"), "device_token_mismatch");
    let mut moved = case(explicit(None));
    moved.params.client.platform = "darwin".into();
    assert_eq!(moved.signed().pairing(), Pairing::Required { reason: Reason::MetadataUpgrade });
}

#[test]
fn every_wrong_secret_is_counted_and_nothing_else() {
    use Outcome::{Neither, Right, Wrong};
    let scopes = "operator.read";
    let own = device_token(scopes);
    let auth = |token: Option<&str>, password: Option<&str>, device: Option<&str>| {
        let text = |secret: Option<&str>| secret.map(str::to_owned);
        Some(ConnectAuth {
            token: text(token),
            password: text(password),
            device_token: text(device),
            bootstrap_token: None,
        })
    };
    let cli = |auth| Case::cli().scopes(scopes).paired(scopes).auth(auth).signed();
    let passworded = |case: Case| case.mode(AuthMode::Password, Some("right"));
    for (name, case, expected) in [
        ("right", cli(token("right")), (Right, Neither)),
        ("wrong", cli(token("wrong")), (Wrong, Neither)),
        ("wrong without a device", Case::backend().auth(token("wrong")), (Wrong, Neither)),
        ("missing", cli(None), (Neither, Neither)),
        ("a wrong one beside a bogus device token", cli(auth(Some("wrong"), None, Some("bogus"))), (Wrong, Wrong)),
        (
            "a wrong one that pretends to be a device token",
            cli(auth(Some("wrong"), None, Some("wrong"))),
            (Wrong, Wrong),
        ),
        ("a device token in both places", cli(auth(Some(&own), None, Some(&own))), (Neither, Right)),
        ("a wrong one beside a valid device token", cli(auth(Some("wrong"), None, Some(&own))), (Wrong, Right)),
        (
            "a wrong password beside a device token",
            passworded(cli(auth(Some(&own), Some("wrong"), None))),
            (Wrong, Right),
        ),
        ("a device token in the secret's place", cli(token(&own)), (Neither, Right)),
        ("a bogus device token", cli(auth(None, None, Some("bogus"))), (Neither, Wrong)),
        ("refused before the secret", Case::cli().auth(token("wrong")).signed_at(NOW, "x"), (Neither, Neither)),
        ("nothing asked", Case::backend().mode(AuthMode::None, None), (Neither, Neither)),
    ] {
        assert_eq!(case.decide().outcomes(), expected, "{name}");
    }
}

// ---- incidents ----

#[test]
fn sec_02_a_proxy_on_this_machine_makes_nobody_local() {
    for proxied in [Case::cli().header(FORWARDED), Case::cli().header(("host", "gateway.example"))] {
        assert_eq!(proxied.clone().auth(None).refused().0, 1008);
        assert_eq!(proxied.clone().auth(None).signed().detail("code"), "AUTH_TOKEN_MISSING");
        assert_eq!(proxied.clone().signed().pairing(), Pairing::Required { reason: Reason::NotPaired });
        assert_eq!(proxied.accepted().0, "", "no owner without a device either");
    }
    let open = Case::panel().mode(AuthMode::None, None).auth(None).header(FORWARDED);
    let open = Case { gateway: allowing("http://127.0.0.1:18789"), ..open }.signed();
    assert_eq!(open.pairing(), Pairing::Required { reason: Reason::NotPaired });
}

fn allowing(origin: &str) -> Gateway {
    let mut gateway = Gateway::default();
    gateway.control_ui.allowed_origins = vec![origin.into()];
    gateway
}

#[test]
fn sec_03_wildcards_and_lookalikes_are_not_this_machine() {
    for host in ["0.0.0.0:18789", "[::]:18789", "localhost.evil", "127.0.0.1.nip.io"] {
        assert_eq!(Case::cli().header(("host", host)).accepted().0, "", "{host}");
        let pairing = Case::cli().header(("host", host)).signed().pairing();
        assert_eq!(pairing, Pairing::Required { reason: Reason::NotPaired }, "{host}");
        let open = Case::backend().mode(AuthMode::None, None).auth(None).header(("host", host));
        assert_eq!(open.detail("code"), "DEVICE_IDENTITY_REQUIRED", "{host}");
    }
}

#[test]
fn sec_05_a_local_page_that_guesses_pairs_nothing() {
    let page = Case::panel().header(("origin", "http://localhost:666")).auth(token("guess")).signed();
    assert_eq!(page.detail("authReason"), "token_mismatch");
    assert_eq!(page.decide().outcomes().0, Outcome::Wrong);
    let open = Case::cli().mode(AuthMode::None, None).auth(None).header(LOCAL_PAGE).signed();
    assert_eq!(open.pairing(), Pairing::Required { reason: Reason::NotPaired });
}

#[test]
fn sec_14_a_wrong_token_lets_nobody_in() {
    use openclaw_actors::protocol::hello::{CLIENT_IDS, CLIENT_MODES};
    for id in CLIENT_IDS {
        for mode in CLIENT_MODES {
            for role in ["operator", "node"] {
                let mut case = Case::new(id, mode).header(LOCAL_PAGE).auth(token("x"));
                case.params.role = some(role);
                assert!(matches!(case.decide(), Decision::Refused { .. }), "{id} {mode} {role}");
                case.headers = vec![LOCAL];
                assert!(matches!(case.decide(), Decision::Refused { .. }), "{id} {mode} {role}");
            }
        }
    }
}

#[test]
fn sec_15_without_a_device_only_the_local_owner_keeps_scopes() {
    let admin = "operator.admin";
    for (name, case, expected) in [
        ("the command line", Case::cli(), admin),
        ("its probe", Case::new("cli", "probe"), admin),
        ("the backend", Case::backend(), admin),
        ("an app", Case::new("openclaw-macos", "ui"), ""),
        ("the command line's name in another mode", Case::new("cli", "backend"), ""),
        ("another name in its mode", Case::new("test", "cli"), ""),
        ("a page", Case::cli().header(LOCAL_PAGE), ""),
        ("a page as the backend", Case::backend().header(LOCAL_PAGE), ""),
        ("another machine", Case { peer: "192.0.2.1", ..Case::cli() }, ""),
        ("another machine as the backend", Case { peer: "192.0.2.1", ..Case::backend() }, ""),
        ("the backend through a container's port", Case::backend().header(("host", "172.17.0.2:18789")), admin),
        ("the command line through a container's port", Case::cli().header(("host", "172.17.0.2:18789")), ""),
    ] {
        assert_eq!(case.scopes(admin).accepted().0, expected, "{name}");
    }
    let mut ui = Case::panel();
    ui.gateway.control_ui.allow_insecure_auth = true;
    assert_eq!(ui.accepted().0, ALL);
    assert_eq!(ui.clone().auth(token("wrong")).detail("authReason"), "token_mismatch");
    let afar = Case {
        peer: "192.0.2.1",
        gateway: Gateway { control_ui: ui.gateway.control_ui.clone(), ..allowing("*") },
        ..ui.clone()
    };
    assert_eq!(afar.refused().0, 1008);
    ui.gateway.control_ui.allow_insecure_auth = false;
    ui.gateway.control_ui.dangerously_disable_device_auth = true;
    assert!(matches!(ui.clone().signed().decide(), Decision::Accepted { device: None, .. }));
    assert_eq!(ui.auth(None).detail("authReason"), "token_missing");
}

#[test]
fn sec_16_the_scopes_header_elevates_nobody() {
    let header = ("x-openclaw-scopes", "operator.admin");
    let plain = Case::new("openclaw-macos", "ui");
    assert_eq!(plain.clone().header(header).accepted(), plain.accepted());
    let reader = Case::cli().scopes("operator.read").signed();
    assert_eq!(reader.clone().header(header).accepted(), reader.accepted());
    let open = Case::backend().mode(AuthMode::None, None).scopes("operator.read").header(header);
    assert_eq!(open.accepted().0, "operator.read");
}

#[test]
fn sec_25_nothing_but_the_owners_command_line_is_widened_in_silence() {
    let required = Pairing::Required { reason: Reason::ScopeUpgrade };
    let open = |case: Case| case.mode(AuthMode::None, None).auth(None);
    for (name, case, expected) in [
        ("the owner's command line", Case::cli(), Pairing::Silent { reason: Reason::ScopeUpgrade }),
        ("from afar", Case::cli().header(FORWARDED), required),
        ("from a page", Case::cli().header(LOCAL_PAGE), required),
        ("through a container's port", Case::cli().header(("host", "172.17.0.2")), required),
        ("without auth", open(Case::cli()), required),
        ("the panel", Case::panel(), required),
        ("an app", Case::new("openclaw-macos", "ui"), required),
    ] {
        assert_eq!(case.paired("operator.read").signed().pairing(), expected, "{name}");
    }
    let mut moved = Case::cli().paired(ALL);
    moved.params.client.platform = "darwin".into();
    assert_eq!(moved.signed().pairing(), Pairing::Required { reason: Reason::MetadataUpgrade });
    assert_eq!(Case::cli().paired(ALL).signed().pairing(), Pairing::None);
}

#[test]
fn sec_26_a_captured_connect_is_worth_nothing_on_another_socket() {
    let captured = Case::cli().signed_at(NOW - 1000, "nonce of the other socket");
    assert_eq!(captured.detail("reason"), "device-nonce-mismatch");
    let mut renamed = captured;
    renamed.params.device.as_mut().unwrap().nonce = NONCE.into();
    assert_eq!(renamed.detail("reason"), "device-signature");
}
