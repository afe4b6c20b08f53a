//! Each kind of actor is made to panic, to fail and to hang, in a running gateway with work in it. What was restarted,
//! how fast, and what went on beside it is looked at; a kind without a row here fails a test.
//!
//! Compiled with the feature `fault-injection`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_provider::FakeProvider;
use crate::fake_telegram::FakeTelegram;
use crate::front_end::{FrontEnd, direct};
use crate::harness::scorecard::Score;
use crate::harness::turn::{end_of, rest, say, send};
use crate::harness::{Client, Config, Gateway, SOON, eventually};
use crate::{World, binary};

const ANSWER: &str = "Hello from the fake provider.";
const OTHER: &str = "agent:main:other";
/// How long the first restart may take, milliseconds; an empty process under load may be slow to write its log.
const RESTART_MS: u64 = 100;
/// Supervisors ask that often in these tests, milliseconds.
const CHECK_MS: &str = "250";

/// What one kind takes along when it goes down.
struct Row {
    kind: &'static str,
    /// Where the victim stands; the caller's own for `connection`, a session's for `run`.
    path: &'static str,
    /// Does it start again at that place?
    restarts: bool,
    /// Does the socket of somebody else stay open?
    sockets_stay: bool,
    /// Does the turn of another session come to its end?
    turns_stay: bool,
    /// Actors that must have been left alone: same incarnation as before.
    untouched: &'static [&'static str],
}

const fn row(kind: &'static str, path: &'static str) -> Row {
    Row { kind, path, restarts: true, sockets_stay: true, turns_stay: true, untouched: &[] }
}

const ROWS: &[Row] = &[
    Row { untouched: &["infra/events", "agents/sessions"], ..row("store", "foundation/store") },
    Row { untouched: &["infra/events", "agents/sessions"], ..row("config", "foundation/config") },
    // The whole core: everything below comes back with it.
    Row { sockets_stay: false, turns_stay: false, ..row("foundation", "foundation") },
    Row { sockets_stay: false, turns_stay: false, untouched: &["foundation/store"], ..row("infra", "infra") },
    Row { sockets_stay: false, untouched: &["infra/presence", "agents/sessions"], ..row("events", "infra/events") },
    Row { untouched: &["infra/events", "front/connections"], ..row("presence", "infra/presence") },
    Row { untouched: &["infra/events", "front/connections"], ..row("devices", "infra/devices") },
    Row { untouched: &["infra/events", "front/connections"], ..row("disk", "infra/disk") },
    Row { untouched: &["infra/events", "infra/disk"], ..row("memory", "infra/memory") },
    Row { sockets_stay: false, turns_stay: false, untouched: &["infra/events"], ..row("agents", "agents") },
    Row { turns_stay: false, untouched: &["front/connections", "infra/events"], ..row("sessions", "agents/sessions") },
    Row { untouched: &["agents/sessions", "front/connections"], ..row("recovery", "agents/recovery") },
    Row { untouched: &["agents/sessions", OTHER_PATH], ..row("session", "agents/sessions/agent:main:main") },
    Row { restarts: false, untouched: &["agents/sessions", OTHER_PATH], ..row("run", "run") },
    Row { untouched: &["agents/sessions", OTHER_PATH], sockets_stay: false, ..row("automation", "automation") },
    Row { untouched: &["agents/sessions", "front/connections"], ..row("cron", "automation/cron") },
    Row { untouched: &["agents/sessions", OTHER_PATH], sockets_stay: false, ..row("channels", "channels") },
    Row { untouched: &["agents/sessions", "front/connections"], ..row("accounts", "channels/accounts") },
    Row { untouched: &["agents/sessions", "channels/accounts"], ..row("keeper", "channels/keeper") },
    Row { untouched: &["channels/accounts", "channels/keeper"], ..row("account", ACCOUNT_PATH) },
    Row { untouched: &["channels/accounts", INGRESS_PATH], ..row("sender", SENDER_PATH) },
    Row { untouched: &["channels/accounts", SENDER_PATH], ..row("ingress", INGRESS_PATH) },
    Row { untouched: &["channels/accounts", INGRESS_PATH, TELEGRAM_PATH], ..row("transport", TRANSPORT_PATH) },
    Row { untouched: &["agents/sessions", "front/connections"], ..row("heartbeat", "automation/heartbeat") },
    Row { sockets_stay: false, untouched: &["agents/sessions", OTHER_PATH], ..row("front", "front") },
    Row { untouched: &["front/connections", "agents/sessions"], ..row("health", "front/health") },
    Row {
        sockets_stay: false,
        untouched: &["agents/sessions", "front/health"],
        ..row("connections", "front/connections")
    },
    Row { restarts: false, untouched: &["front/connections", OTHER_PATH], ..row("connection", "connection") },
    Row { untouched: &["front/connections", "front/health"], ..row("listener", "listener") },
];

const OTHER_PATH: &str = "agents/sessions/agent:main:other";
const ACCOUNT_PATH: &str = "channels/accounts/webhook:front";
const SENDER_PATH: &str = "channels/accounts/webhook:front/sender";
const INGRESS_PATH: &str = "channels/accounts/webhook:front/ingress";
const TELEGRAM_PATH: &str = "channels/accounts/telegram:default/ingress";
const TRANSPORT_PATH: &str = "channels/accounts/telegram:default/transport";

fn start() -> World {
    start_with(|config| config)
}

fn start_with(change: impl FnOnce(Config) -> Config) -> World {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::prepare(binary(), &fake.base_url(), change);
    gateway.place_mut().environment.push(("OPENCLAW_TEST_CHECK_MS".into(), CHECK_MS.into()));
    gateway.launch();
    World { gateway, fake }
}

async fn tree(client: &mut Client) -> Value {
    client.ask("system.tree", json!({ "all": true })).await["root"].clone()
}

/// The same through a connection of its own, which may fail while everything is coming back.
async fn look(url: String) -> Option<Value> {
    tokio::spawn(async move { tree(&mut Client::connect(&url).await).await }).await.ok()
}

/// Every row of a tree.
fn walk(node: &Value) -> Vec<&Value> {
    let children = node["children"].as_array().map(Vec::as_slice).unwrap_or_default();
    std::iter::once(node).chain(children.iter().flat_map(walk)).collect()
}

fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    walk(root).into_iter().find(|node| node["path"] == path)
}

/// The tree with a session, a run and a connection in it.
#[tokio::test]
async fn every_kind_of_actor_has_a_row() {
    let (front, telegram) = (FrontEnd::start(), FakeTelegram::start());
    let world = start_with(|config| telegram.configure(front.configure(config)));
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] busy").await;
    let kinds = eventually("a run", SOON, async || {
        let root = tree(&mut client).await;
        let kinds: BTreeSet<String> =
            walk(&root).iter().map(|node| node["kind"].as_str().unwrap().to_owned()).collect();
        kinds.contains("run").then_some(kinds)
    })
    .await;
    let mut rows: BTreeSet<String> = ROWS.iter().map(|row| row.kind.to_owned()).collect();
    rows.insert("root".into()); // what watches it is the service manager
    assert_eq!(kinds, rows);
}

async fn hit(row: &Row, fault: &str) {
    let what = format!("{} {fault}", row.kind);
    let (front, telegram) = (FrontEnd::start(), FakeTelegram::start());
    let world = start_with(|config| telegram.configure(front.configure(config)));
    let mut beside = world.client().await;
    let slow = send(&mut beside, OTHER, "[[script:slow]] beside").await;
    let mut client = world.client().await;
    assert_eq!(say(&mut client, "main", "before").await, ANSWER, "{what}");
    if row.kind == "run" {
        send(&mut client, "main", "[[script:endless]] doomed").await;
    }
    let before = tree(&mut client).await;
    let path = match row.path {
        "listener" => {
            walk(&before).iter().find(|node| node["kind"] == "listener").unwrap()["path"].as_str().unwrap().to_owned()
        }
        path => path.to_owned(),
    };
    let mut attack = json!({ "name": path, "fault": fault });
    if row.kind == "run" {
        attack["sessionKey"] = json!("main");
    }
    client.send("test.fault", attack).await; // whoever is hit may not answer

    // Somebody who comes afterwards finds everything in its place.
    let generation = at(&before, &path).map_or(0, |node| node["generation"].as_u64().unwrap());
    let after = eventually(&format!("{what}: it is back"), SOON, async || {
        let root = look(world.gateway.ws()).await?;
        let running = walk(&root).iter().all(|node| node["state"] == "running");
        let node = at(&root, &path);
        let came_back = node.is_some_and(|node| node["generation"].as_u64().unwrap() > generation);
        (running && (came_back || (!row.restarts && node.is_none()))).then_some(root)
    })
    .await;
    if row.restarts {
        let node = at(&after, &path).unwrap();
        let failure = &node["lastFailure"];
        let reason = failure["reason"].as_str().unwrap();
        let expected = if fault == "hang" { "did not answer" } else { "injected" };
        assert!(reason.contains(expected), "{what}: {reason}");
        let took = failure["agoMs"].as_u64().unwrap() - node["uptimeMs"].as_u64().unwrap();
        assert!(took <= RESTART_MS, "{what}: its first restart took {took} ms");
    }
    for path in row.untouched {
        let same = |root: &Value| at(root, path).map(|node| node["generation"].clone());
        assert_eq!(same(&after), same(&before), "{what}: {path} was touched");
    }

    // What went on beside it.
    if row.sockets_stay {
        let end = end_of(&mut beside, &slow, SOON).await;
        assert_eq!(end["state"] == "final", row.turns_stay, "{what}: {end}");
        rest(&mut beside, OTHER).await;
        assert_eq!(say(&mut beside, OTHER, "still here").await, ANSWER, "{what}");
    } else {
        beside.closed(SOON).await;
    }
    let mut newcomer = world.client().await;
    if row.turns_stay && !row.sockets_stay {
        let answer = newcomer.ask("agent.wait", json!({ "runId": slow, "timeoutMs": 20_000 })).await;
        assert_eq!(answer["status"], "ok", "{what}: {answer}");
    }
    rest(&mut newcomer, "agent:main:main").await;
    assert_eq!(say(&mut newcomer, "main", "after").await, ANSWER, "{what}");
    rest(&mut newcomer, OTHER).await;
    assert_eq!(say(&mut newcomer, OTHER, "after, beside").await, ANSWER, "{what}");
    let taken = front.say(&world.gateway.http(""), "m1", &direct("ada"), "ada", "/think high").await;
    assert_eq!(taken.map(|(status, _)| status), Some(200), "{what}");
    assert_eq!(front.wait_for(1).await, ["ada: Thinking level set to high."], "{what}");
    telegram.say(1001, "/think high");
    assert_eq!(telegram.wait_for(1).await, ["1001: Thinking level set to high."], "{what}");
    assert!(world.gateway.is_healthy(), "{what}");
}

fn fault_name(fault: &str) -> String {
    format!("{fault} in each kind of actor")
}

/// Four gateways at a time.
async fn all(fault: &'static str) {
    use futures::StreamExt;
    let mut score = Score::new("a failure stays where it happens, and is mended within 100 ms", fault_name(fault));
    score.ran(ROWS.len() as u64);
    futures::stream::iter(ROWS).for_each_concurrent(4, |row| hit(row, fault)).await;
}

#[tokio::test]
async fn a_panic_of_any_kind_stays_where_it_happens() {
    all("panic").await;
}

#[tokio::test]
async fn an_error_of_any_kind_stays_where_it_happens() {
    all("error").await;
}

#[tokio::test]
async fn whoever_hangs_is_found_and_started_again() {
    all("hang").await;
}

/// What a client that watches hears, and what `status` says meanwhile.
#[tokio::test]
async fn a_failure_is_told_and_status_tells_the_truth() {
    let world = start();
    let mut client = world.client().await;
    client.ask("test.fault", json!({ "name": "presence", "fault": "error" })).await;
    let is = |word: &'static str| {
        move |frame: &Value| frame["event"] == "supervisor.child" && frame["payload"]["event"] == word
    };
    let failed = client.frame("the failure", SOON, is("failed")).await["payload"].clone();
    assert_eq!((&failed["path"], &failed["reason"]), (&json!("infra/presence"), &json!("injected")));
    let back = client.frame("the restart", SOON, is("restarted")).await["payload"].clone();
    assert_eq!((&back["generation"], &back["restarts"]), (&json!(2), &json!(1)));

    client.ask("system.tree.stop", json!({ "name": "presence" })).await;
    let status = client.ask("status", json!({})).await["supervision"].clone();
    assert_eq!(status["down"][0]["path"], "infra/presence", "{status}");
    assert_eq!(status["actors"].as_u64().unwrap() - 1, status["running"].as_u64().unwrap());
    let node = client.ask("system.tree.start", json!({ "name": "infra/presence" })).await["node"].clone();
    assert_eq!((&node["state"], &node["generation"]), (&json!("running"), &json!(3)));
    assert_eq!(client.ask("status", json!({})).await["supervision"]["down"], json!([]));
    let shown = world.gateway.cli(&["tree"]);
    assert!(shown.stdout.contains("presence") && shown.stdout.contains("ago: injected"), "{}", shown.stdout);
    let restarted = world.gateway.cli(&["tree", "restart", "presence"]);
    assert_eq!(restarted.stdout.trim(), "infra/presence: running", "{}", restarted.stderr);
    let refused = client.refusal("system.tree.stop", json!({ "name": "store" })).await;
    assert!(refused["message"].as_str().unwrap().contains("cannot be driven without"), "{refused}");
}

/// A child that fails again and again is given up alone, says so, and can be started by hand.
#[tokio::test]
async fn who_keeps_failing_is_given_up_and_everything_else_goes_on() {
    let world = start();
    let mut client = world.client().await;
    let other = send(&mut client, OTHER, "[[script:slow]] beside").await;
    let mut given_up = None;
    for _ in 0..=10 {
        client.ask("test.fault", json!({ "name": "infra/devices", "fault": "panic" })).await;
        // Back-off is not waited for: an operator starts it.
        let payload = client
            .frame("news", SOON, |frame| {
                let event = &frame["payload"]["event"];
                frame["event"] == "supervisor.child" && (event == "failed" || event == "gave-up")
            })
            .await["payload"]
            .clone();
        if payload["event"] == "gave-up" {
            given_up = Some(payload);
            break;
        }
        client.ask("system.tree.start", json!({ "name": "infra/devices" })).await;
    }
    let given_up = given_up.expect("it is given up after ten restarts");
    assert!(given_up["nextRetryAt"].as_i64().unwrap() > given_up["ts"].as_i64().unwrap() + 1_700_000, "{given_up}");
    let status = client.ask("status", json!({})).await["supervision"].clone();
    assert_eq!(status["down"][0]["state"], "gave-up", "{status}");
    let page = world.gateway.cli(&["status"]);
    assert!(page.stdout.contains("infra/devices gave-up (injected)"), "{}", page.stdout);
    assert_eq!(end_of(&mut client, &other, Duration::from_secs(30)).await["state"], "final");
    let node = client.ask("system.tree.start", json!({ "name": "infra/devices" })).await["node"].clone();
    assert_eq!(node["state"], "running");
}
