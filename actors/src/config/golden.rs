//! Whole files through the whole pipeline: what valid ones mean, what invalid ones say, and a file for every row of the key table.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::env::Env;
use super::handle::Snapshot;
use super::issue::{ConfigError, Issue, IssueCode, Phase};
use super::paths::{self, PathInputs, Paths};
use super::schema::{self, Kind, Node};
use super::{load, samples, tree, validate};

fn paths_in(dir: &Path) -> (Paths, Env) {
    let env = Env::from_iter([("HOME", dir.to_str().unwrap()), ("OPENCLAW_STATE_DIR", dir.to_str().unwrap())]);
    let inputs = PathInputs { cwd: dir.to_owned(), ..PathInputs::default() };
    (paths::resolve(&inputs, &env).unwrap(), env)
}

fn load_text(text: &str) -> Result<Snapshot, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let (paths, env) = paths_in(dir.path());
    crate::files::replace(&paths.config_path, text.as_bytes()).unwrap();
    load::load(&paths, &env)
}

fn valid(name: &str) -> Snapshot {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/config/testdata", name].iter().collect();
    load_text(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn check(snapshot: &Snapshot, path: &str, expected: Value) {
    let keys: Vec<&str> = path.split('.').collect();
    assert_eq!(tree::get(&snapshot.value, &keys), Some(&expected), "{path}");
}

fn texts(issues: &[Issue]) -> Vec<String> {
    issues.iter().map(Issue::to_string).collect()
}

#[test]
fn a_missing_file_means_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let (paths, env) = paths_in(dir.path());
    let snapshot = load::load(&paths, &env).unwrap();
    assert!(!snapshot.exists && snapshot.hash.is_none());
    assert_eq!(snapshot.settings.gateway.reload.debounce_ms, 300);
}

#[test]
fn the_starter_file_names_agent_and_model() {
    let s = valid("01-starter.json5");
    check(&s, "agents.defaults.workspace", json!("~/.openclaw/workspace"));
    check(&s, "agents.defaults.model.primary", json!("anthropic/claude-sonnet-4-5"));
    let identity = json!({ "name": "Clawd", "theme": "helpful assistant", "emoji": "" });
    check(&s, "agents.list", json!([{ "id": "main", "default": true, "identity": identity }]));
    check(&s, "channels.whatsapp.groups.*.requireMention", json!(true));
    assert_eq!(s.settings.agents.list[0].identity.as_ref().unwrap().name.as_deref(), Some("Clawd"));
    assert_eq!(texts(&s.notes), ["channels.whatsapp: accepted, not in effect in this release"]);
    assert!(s.warnings.is_empty() && s.start_blocks.is_empty());
}

#[test]
fn platforms_models_proxies_heartbeats_and_sandboxes_load() {
    check(&valid("02-multi-platform.json5"), "channels.discord.allowFrom", json!(["123456789012345678"]));
    let local = valid("03-local-model.json5");
    assert_eq!(local.settings.models.providers["lmstudio"].models[0].max_tokens, Some(8192));
    let proxy = valid("04-trusted-proxy.json5");
    assert_eq!(proxy.settings.gateway.auth.trusted_proxy.unwrap().allow_users, ["nick@example.com"]);
    check(&valid("06-heartbeats.json5"), "agents.list.1.heartbeat.every", json!("1h"));
    let sandbox = valid("07-sandbox.json5");
    check(&sandbox, "agents.defaults.sandbox.docker.network", json!("bridge"));
    assert_eq!(sandbox.settings.tools.deny, ["browser", "canvas"]);
}

#[test]
fn a_provider_that_is_not_referenced_is_never_touched() {
    let s = valid("05-secret-providers.json5");
    assert!(s.secrets.is_pending() && s.secrets.failures().is_empty());
}

#[test]
fn the_other_dialect_means_the_same() {
    let s = valid("08-other-spellings.json5");
    for (path, expected) in [
        ("gateway.bind", json!("loopback")),
        ("gateway.maxConnections", json!(100)),
        ("gateway.requestTimeoutMs", json!(30000)),
        ("logging.level", json!("info")),
        (
            "bindings.0",
            json!({ "agentId": "main", "match": { "channel": "telegram", "peer": { "kind": "direct", "id": "123456" } } }),
        ),
        ("bindings.1", json!({ "agentId": "coder", "match": { "channel": "discord", "guildId": "789012" } })),
        ("session.reset", json!({ "mode": "idle", "idleMinutes": 60 })),
        ("session.maintenance.maxEntries", json!(1000)),
        ("session.store", json!("~/.openclaw/sessions/{agentId}/sessions.json")),
        ("agents.defaults.maxConcurrent", json!(5)),
        ("logging.consoleStyle", json!("json")),
        ("gateway.tls.port", json!(443)),
        ("gateway.auth.token", json!("your-secret-token")),
        ("gateway.auth.jwt.expiresIn", json!("24h")),
    ] {
        check(&s, path, expected);
    }
    assert_eq!(s.settings.performance.workers, Some(4));
    let paths = |issues: &[Issue]| issues.iter().map(|i| i.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&s.warnings), ["routing.rules.1.target.agentId", "auth.secret"]);
    let notes = paths(&s.notes);
    for path in ["cache.type", "queue.type", "session.persistInterval"] {
        assert!(notes.contains(&path.to_owned()), "{notes:?}");
    }
}

#[test]
fn own_variables_and_http_endpoints_load() {
    let s = valid("09-remote-and-http.json5");
    assert_eq!(s.env.get("GROQ_API_KEY"), Some("gsk-REPLACE"));
    assert!(s.settings.gateway.http.endpoints.responses.enabled);
    assert_eq!(load::shared_secrets(&s).token, Some("REPLACE_WITH_A_LONG_RANDOM_TOKEN"));
    assert!(!format!("{s:?}").contains("REPLACE"));
}

/// `lines` must be the beginnings of the issues, in order.
fn refused(text: &str, phase: Phase, lines: &[&str]) {
    let error = match load_text(text) {
        Err(error) => error,
        Ok(snapshot) if phase == Phase::Start => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(load::activate(snapshot)).unwrap_err()
        }
        Ok(_) => panic!("accepted: {text}"),
    };
    let got: Vec<String> = match phase {
        Phase::Start => error.issues.iter().map(|issue| issue.message.clone()).collect(),
        _ => texts(&error.issues),
    };
    assert_eq!((error.phase, got.len()), (phase, lines.len()), "{text}: {got:?}");
    for (got, line) in got.iter().zip(lines) {
        assert!(got.starts_with(line), "{text}: {got}");
    }
}

#[test]
fn files_that_cannot_be_read_say_so() {
    refused("{ gateway: { mode: \"local\", port: 1 \n", Phase::Parse, &["<root>: JSON5 parse failed: "]);
    let include = |path: &str| format!("{{ agents: {{ $include: \"{path}\" }} }}");
    refused(&include("./missing.json5"), Phase::Parse, &["<root>: Failed to read include file: ./missing.json5 "]);
    refused(&include("./openclaw.json"), Phase::Parse, &["<root>: Circular include detected: "]);
    refused(&include("/etc/hosts"), Phase::Parse, &["<root>: Include path escapes config directory: /etc/hosts "]);
}

#[test]
fn invalid_files_have_their_exact_messages() {
    let cases: &[(&str, &[&str])] = &[
        ("{ gateway: { mode: \"local\" }, bogus: true }", &["<root>: Unrecognized key: \"bogus\""]),
        ("{ gateway: { mode: \"local\", foo: 1, bar: 2 } }", &["gateway: Unrecognized keys: \"foo\", \"bar\""]),
        ("{ gateway: { port: \"abc\" } }", &["gateway.port: Invalid input: expected number, received string"]),
        (
            "{ gateway: { reload: { mode: \"fast\" } } }",
            &["gateway.reload.mode: Invalid input (allowed: \"off\", \"restart\", \"hot\", \"hybrid\")"],
        ),
        (
            "{ hooks: { enabled: true, token: { source: \"env\", provider: \"default\", id: \"HOOK_TOKEN\" } } }",
            &["hooks.token: SecretRef objects are not supported at hooks.token."],
        ),
        (
            "{ secrets: { providers: { vault: { source: \"exec\", command: \"vault\" } } } }",
            &["secrets.providers.vault.command: secrets.providers.*.command must be an absolute path."],
        ),
        (
            "{ agents: { defaults: { heartbeat: { every: \"soon\" } } } }",
            &["agents.defaults.heartbeat.every: invalid duration (use ms, s, m, h)"],
        ),
        (
            "{ cron: { sessionRetention: \"forever\", retry: { backoffMs: [] } } }",
            &[
                "cron.retry.backoffMs: Too small: expected array to have >=1 items",
                "cron.sessionRetention: invalid duration (use ms, s, m, h, d)",
            ],
        ),
        (
            "{ tools: { loopDetection: { enabled: true, warningThreshold: 20, criticalThreshold: 10 } } }",
            &["tools.loopDetection.criticalThreshold: \
               tools.loopDetection.warningThreshold must be lower than criticalThreshold."],
        ),
        (
            "{ agents: { defaults: { sandbox: { mode: \"all\", docker: { network: \"host\" } } } } }",
            &["agents.defaults.sandbox.docker.network: Sandbox security: network mode \"host\" is blocked. \
               Use \"bridge\" or \"none\" instead."],
        ),
        (
            "{ agent: { sandbox: { docker: { binds: [\"etc:/etc\"] } } } }",
            &["agent.sandbox.docker.binds.0: \
               Sandbox security: bind mount \"etc:/etc\" uses a non-absolute source path \"etc\"."],
        ),
        ("{ channels: { nochannel: { enabled: true } } }", &["channels.nochannel: unknown channel id: nochannel"]),
        (
            "{ agents: { defaults: { heartbeat: { target: \"nochannel\" } } } }",
            &["agents.defaults.heartbeat.target: unknown heartbeat target: nochannel"],
        ),
        (
            "{ agents: { defaults: { heartbeat: { activeHours: { start: \"25:00\", end: \"22:00\" } } } } }",
            &["agents.defaults.heartbeat.activeHours.start: invalid time (use HH:MM)"],
        ),
        (
            "{ agents: { list: [{ id: \"ops\", default: true }, { id: \"ops\" }] } }",
            &["agents.list.1.id: duplicate agent id: ops"],
        ),
        (
            "{ gateway: { auth: { mode: \"token\", token: \"__OPENCLAW_REDACTED__\" } } }",
            &["gateway.auth.token: redacted placeholder is not a value"],
        ),
        (
            "{ channels: { telegram: { botToken: \"1:X\", dmPolicy: \"open\", allowFrom: [\"123456789\"] } } }",
            &["channels.telegram.allowFrom: dmPolicy \"open\" requires \"*\" in allowFrom"],
        ),
    ];
    for (text, lines) in cases {
        refused(text, Phase::Schema, lines);
    }
}

#[test]
fn invalid_references_have_their_exact_messages() {
    let openai = |key: &str| {
        format!(
            "{{ secrets: {{ providers: {{ vault: {{ source: \"exec\", command: \"/usr/local/bin/v\" }} }} }}, models: {{ providers: \
             {{ openai: {{ baseUrl: \"https://api.openai.com/v1\", models: [{{ id: \"gpt-5\", name: \"gpt-5\" }}], apiKey: {key} }} }} }} }}"
        )
    };
    let cases: &[(&str, &[&str])] = &[
        (
            &openai("{ source: \"env\", provider: \"default\", id: \"openai_key\" }"),
            &["models.providers.openai.apiKey.id: Env secret reference id must match /^[A-Z][A-Z0-9_]{0,127}$/ \
               (example: \"OPENAI_API_KEY\")."],
        ),
        (
            &openai("{ source: \"exec\", provider: \"vault\", id: \"a/../b\" }"),
            &[
                "models.providers.openai.apiKey.id: Exec secret reference id must match /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/ \
               and must not include \".\" or \"..\" path segments (example: \"vault/openai/api-key\").",
            ],
        ),
    ];
    for (text, lines) in cases {
        refused(text, Phase::Schema, lines);
    }
}

#[test]
fn what_only_a_start_refuses_is_one_exact_line() {
    let token = "token: \"0123456789abcdef0123456789abcdef\"";
    for (text, line) in [
        (
            format!(
                "{{ gateway: {{ auth: {{ {token} }} }}, hooks: {{ enabled: true, token: \"its-own\", path: \"/\" }} }}"
            ),
            "hooks.path may not be '/'",
        ),
        (
            format!("{{ gateway: {{ auth: {{ {token} }} }}, hooks: {{ enabled: true, {token} }} }}"),
            "Invalid config: hooks.token must not match gateway auth token.",
        ),
        (
            format!("{{ gateway: {{ auth: {{ {token}, password: \"correct horse battery\" }} }} }}"),
            "Invalid config: gateway.auth.token and gateway.auth.password are both configured, but gateway.auth.mode is unset. \
             Set gateway.auth.mode to token or password.",
        ),
        (
            "{ gateway: { auth: { mode: \"token\", token: \"change-me-to-a-long-random-token\" } } }".to_owned(),
            "Invalid config: gateway auth token is set to a published example placeholder",
        ),
        (
            "{ gateway: { auth: { token: \"${OPENCLAW_SPEC_ABSENT_KEY}\" } } }".to_owned(),
            "Environment variable \"OPENCLAW_SPEC_ABSENT_KEY\" is missing or empty.",
        ),
        (
            "{ gateway: { customBindHost: \"${OPENCLAW_SPEC_ABSENT_KEY}\" } }".to_owned(),
            "environment variable \"OPENCLAW_SPEC_ABSENT_KEY\" is missing or empty",
        ),
    ] {
        refused(&text, Phase::Start, &[line]);
    }
}

#[test]
fn issues_know_where_they_are_in_the_file() {
    let error = load_text("{\n  agent: {\n    heartbeat: { every: 'soon' },\n  },\n}").unwrap_err();
    assert_eq!(error.issues[0].position, Some((3, 18)));
    let note = &load_text("{\n  gateway: { tailscale: {} },\n}").unwrap().notes[0];
    assert_eq!((note.code, note.position), (IssueCode::NotInEffect, Some((2, 14))));
}

/// Every row once: a small file that sets it loads, and a value of another type is refused at its place.
#[test]
fn every_key_of_the_table_loads_with_a_value_and_refuses_another_type() {
    let env = Env::default();
    let mut count = 0;
    for line in include_str!("keys.tsv").lines().filter(|line| !line.starts_with('#')) {
        let path = line.split('\t').next().unwrap();
        let file = samples::file_with(path);
        if let Err(issues) = load::check(&file, &env) {
            let refused_on_purpose = path == "gateway.token" || path == "gateway.host"; // old key; needs an address
            assert!(refused_on_purpose, "{path}: {file}: {:?}", texts(&issues));
        }
        count += 1;
        refuses_another_type(path, file);
    }
    assert!(count > 2900, "{count}");
}

fn refuses_another_type(path: &str, mut file: Value) {
    let keys = samples::keys(path);
    let node: &Node = schema::find(&keys).unwrap();
    if node.kinds.contains(&Kind::Any) {
        return;
    }
    tree::set(&mut file, &keys, Value::Null);
    let issues = validate::validate(&file);
    let at_its_place = issues.iter().any(|issue| issue.keys == keys && issue.message.starts_with("Invalid input"));
    let in_a_binding = path.starts_with("bindings[]") && issues.iter().any(|issue| issue.path == "bindings.0");
    assert!(at_its_place || in_a_binding, "{path}: {:?}", texts(&issues));
}

mod mutations {
    use proptest::prelude::*;

    use super::super::edit;
    use super::super::include::Pending;
    use super::*;

    const SAMPLES: [&str; 3] = [
        include_str!("testdata/05-secret-providers.json5"),
        include_str!("testdata/08-other-spellings.json5"),
        include_str!("testdata/09-remote-and-http.json5"),
    ];

    /// Cuts a piece out of one sample and puts another piece of it, or an odd character, in its place.
    fn texts() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "",
            "{",
            "]",
            ",",
            "\"",
            "null",
            "[1]",
            "-1e999",
            "${X}",
            "ü",
            "$include:",
            "//",
            "\\u",
        ]);
        let place = any::<prop::sample::Index>();
        (0..SAMPLES.len(), place.clone(), 0_usize..40, odd, place, 0_usize..40).prop_map(
            |(sample, at, cut, odd, from, copy)| {
                let chars: Vec<char> = SAMPLES[sample].chars().collect();
                let (at, from) = (at.index(chars.len()), from.index(chars.len()));
                let piece = &chars[from..(from + copy).min(chars.len())];
                let rest = &chars[(at + cut).min(chars.len())..];
                chars[..at].iter().chain(odd.chars().collect::<Vec<_>>().iter()).chain(piece).chain(rest).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_refused_or_read_but_never_ends_us(text in texts()) {
            let (paths, env) = paths_in(Path::new("/nowhere"));
            match load::from_text(Some(text.clone()), &Pending::new(), &paths, &env) {
                Ok(snapshot) => {
                    let mut target = snapshot.source;
                    target["added"] = json!(1);
                    if let Ok(edited) = edit::rewrite(&text, &target) {
                        prop_assert_eq!(super::super::parse::json5(&edited).unwrap(), target);
                    }
                }
                Err(error) => prop_assert!(error.issues.iter().all(|issue| !issue.path.is_empty() && !issue.message.is_empty())),
            }
        }
    }
}
