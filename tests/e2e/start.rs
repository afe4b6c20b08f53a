//! What keeps a gateway from starting, with its exit code and the text that operators search for.
//!
//! Source: command line, checks before listening; operations, process contract and single-owner rules.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::gateway::{Place, free_port, http_status};
use crate::harness::process::{Ended, Process};
use crate::harness::turn::{history, say};
use crate::harness::{Config, Gateway, SOON, eventually};
use crate::{World, binary};

/// A gateway that must not start: its end.
fn refused(change: impl FnOnce(Config) -> Config) -> (Ended, Gateway) {
    let gateway = Gateway::prepare(binary(), "http://127.0.0.1:9/v1", change);
    let before = std::fs::read(gateway.place().config_path()).unwrap();
    let ended = gateway.cli(&["gateway", "run"]);
    assert_eq!(http_status(gateway.port(), "/health"), None, "something listens");
    assert_eq!(std::fs::read(gateway.place().config_path()).unwrap(), before, "the file was touched");
    (ended, gateway)
}

fn check(ended: &Ended, code: i32, texts: &[&str]) {
    for text in texts {
        assert!(ended.stderr.contains(text), "{text:?} is missing in: {}", ended.stderr);
    }
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
}

#[tokio::test]
async fn a_configuration_without_mode_is_taken_for_damage() {
    let (ended, _) = refused(|config| config.unset("gateway.mode"));
    let blocked = "Gateway start blocked: existing config is missing gateway.mode.";
    check(&ended, 78, &[blocked, "set gateway.mode=local", "openclaw onboard", "--allow-unconfigured"]);
}

#[tokio::test]
async fn the_mode_guard_can_be_lifted_for_one_run() {
    let mut gateway = Gateway::prepare(binary(), "http://127.0.0.1:9/v1", |config| config.unset("gateway.mode"));
    let args = ["gateway", "run", "--allow-unconfigured"];
    let process = Process::start(&mut gateway.place_mut().command(&args));
    let until = Instant::now() + SOON;
    while http_status(gateway.port(), "/health") != Some(200) {
        assert!(Instant::now() < until, "{}", process.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_start() {
    let place = Place::new(binary());
    let ended = place.run(&["gateway", "run"]);
    check(
        &ended,
        78,
        &["Missing config. Run `openclaw setup` or set gateway.mode=local (or pass --allow-unconfigured)."],
    );
    assert!(!place.config_path().exists());
}

#[tokio::test]
async fn a_remote_mode_does_not_serve() {
    let (ended, _) = refused(|config| config.set("gateway.mode", json!("remote")));
    let text = "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured.";
    check(&ended, 78, &[text]);
}

#[tokio::test]
async fn an_invalid_configuration_names_every_issue() {
    let (ended, gateway) = refused(|config| {
        let config = config.set("gateway.bind", json!("everywhere"));
        config.set("agents.defaults.heartbeat.evry", json!("1h"))
    });
    let path = format!("Invalid config at {}", gateway.place().config_path().display());
    check(&ended, 78, &[&path, "gateway.bind: ", "agents.defaults.heartbeat: Unrecognized key: \"evry\""]);
}

#[tokio::test]
async fn a_port_open_to_others_needs_a_secret() {
    let (ended, gateway) = refused(|config| {
        let config = config.set("gateway.bind", json!("lan"));
        config.set("gateway.auth", json!({ "mode": "none" }))
    });
    check(&ended, 78, &["refusing to bind gateway to ", &format!(":{} without auth", gateway.port())]);
}

#[tokio::test]
async fn ambiguous_or_missing_credentials_are_refused() {
    let (ended, _) =
        refused(|config| config.set("gateway.auth", json!({ "token": "a-token-1", "password": "b-pass-1" })));
    let both = "gateway.auth.token and gateway.auth.password are both configured, but gateway.auth.mode is unset";
    check(&ended, 78, &[both]);
    let (ended, _) = refused(|config| config.set("gateway.auth", json!({ "mode": "password" })));
    check(&ended, 78, &["Gateway auth is set to password, but no password is configured."]);
}

#[tokio::test]
async fn a_foreign_program_on_the_port_is_named() {
    let gateway = Gateway::prepare(binary(), "http://127.0.0.1:9/v1", |config| config);
    let _foreign = TcpListener::bind(("127.0.0.1", gateway.port())).unwrap();
    let ended = gateway.cli(&["gateway", "run"]);
    let in_use = format!("Port {} is already in use.", gateway.port());
    check(&ended, 1, &["EADDRINUSE", &in_use]);
}

/// One of the two texts for a lock that somebody else holds.
fn check_gave_way(ended: &Ended) {
    let texts = ["another gateway instance is already listening on ws://127.0.0.1:", "gateway already running (pid "];
    assert!(texts.iter().any(|text| ended.stderr.contains(text)), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_port_gives_way_to_the_first() {
    let world = World::start();
    let started = Instant::now();
    let ended = world.gateway.cli(&["gateway", "run"]);
    check_gave_way(&ended);
    check(&ended, 0, &["EADDRINUSE"]);
    assert!(started.elapsed() < Duration::from_secs(5), "gave way after {:?}", started.elapsed());
    assert!(world.gateway.is_healthy());
}

/// Starts a gateway by force and waits until it takes work.
async fn by_force(place: &Place, port: u16) -> Process {
    let process = Process::start(&mut place.command(&["gateway", "run", "--force"]));
    let up = async || process.stderr().contains("[gateway] ready").then_some(());
    eventually("it took the port", SOON, up).await;
    assert_eq!(http_status(port, "/readyz"), Some(200), "{}", process.stderr());
    process
}

#[tokio::test]
async fn force_ends_a_gateway_of_this_user_whatever_its_state_directory() {
    let mut first = World::start();
    let port = first.gateway.port();
    let killed = format!("force: killed pid {} (openclaw) on port {port}", first.gateway.pid());
    let elsewhere = Place::new(binary());
    elsewhere.write_config(&first.gateway.config().text());
    let second = by_force(&elsewhere, port).await;
    assert_eq!(first.gateway.ended(SOON).code, Some(0), "it was stopped in order");
    for line in [&killed, &format!("ms for port {port} to free")] {
        assert!(second.stderr().contains(line), "{line} is missing in {}", second.stderr());
    }
    drop(second);
    let third = by_force(&elsewhere, port).await;
    assert!(third.stderr().contains(&format!("force: no listeners on port {port}")), "{}", third.stderr());
}

#[tokio::test]
async fn force_kills_a_gateway_that_does_not_stop_and_touches_no_foreign_program() {
    let mut first = World::start();
    let port = first.gateway.port();
    first.gateway.signal(nix::sys::signal::Signal::SIGSTOP);
    let second = by_force(first.gateway.place(), port).await;
    let line = format!("force: escalated to SIGKILL while freeing port {port}");
    assert!(second.stderr().contains(&line), "{}", second.stderr());
    assert_eq!(first.gateway.ended(SOON).code, None, "a signal ended it");
    drop(second);

    let foreign = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let ended = first.gateway.cli(&["gateway", "run", "--force"]);
    check(&ended, 1, &["--force ends only", &format!("- pid {} ", std::process::id())]);
    drop(foreign);
}

#[tokio::test]
async fn a_second_gateway_never_shares_a_state_directory() {
    let world = World::start();
    let port = free_port();
    let ended = world.gateway.cli(&["gateway", "run", "--port", &port.to_string()]);
    check_gave_way(&ended);
    check(&ended, 0, &[]);
    assert_eq!(http_status(port, "/health"), None);
    let mut client = world.client().await;
    say(&mut client, "main", "still here").await;
}

#[tokio::test]
async fn a_bad_flag_is_a_usage_error() {
    let place = Place::new(binary());
    let cases = [
        (["--port", "70000"], "Invalid --port. Use a port number from 1 to 65535, for example 18789."),
        (["--bind", "sideways"], "Invalid --bind. Use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\"."),
        (["--auth", "maybe"], "Invalid --auth. Use \"none\", \"token\", \"password\", or \"trusted-proxy\"."),
    ];
    for (flag, text) in cases {
        let ended = place.run(&["gateway", "run", flag[0], flag[1]]);
        check(&ended, 1, &[text]);
    }
}

/// The SQLite files below a directory.
fn databases(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(databases(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")) {
            found.push(path);
        }
    }
    found
}

fn holds(below: &Path, content: &[u8]) -> bool {
    std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() { holds(&path, content) } else { std::fs::read(&path).is_ok_and(|bytes| bytes == content) }
    })
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_kept_aside_and_the_gateway_starts() {
    let mut world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "before the damage").await;
    world.gateway.terminate();
    let state = world.gateway.place().state();
    let found = databases(&state);
    assert!(!found.is_empty(), "no database below {}", state.display());
    let garbage = b"this was a database once".repeat(500);
    for database in &found {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", database.display())); // absent after a clean stop
        }
        std::fs::write(database, &garbage).unwrap();
    }
    world.gateway.restart();
    let mut client = world.client().await;
    say(&mut client, "main", "after the damage").await;
    assert_eq!(history(&mut client, "main").await.len(), 2);
    assert!(holds(&state, &garbage), "the damaged file is gone");
    assert!(world.gateway.logs().contains(found[0].file_name().unwrap().to_str().unwrap()), "nobody was told");
}
