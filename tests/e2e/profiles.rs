//! Profiles and explicit paths: each gateway has its own directory, and none sees another's.
//!
//! Source: command line, paths and profiles.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::binary;
use crate::fake_provider::FakeProvider;
use crate::harness::gateway::{Place, free_port, http_status};
use crate::harness::process::Process;
use crate::harness::turn::{history, say};
use crate::harness::{Client, Config, SOON};

#[test]
fn a_profile_decides_where_the_configuration_is() {
    let place = Place::new(binary());
    let home = place.home();
    let cases: [(&[&str], &str); 3] = [
        (&["--profile", "rescue", "config", "file"], ".openclaw-rescue/openclaw.json"),
        (&["--profile", "default", "config", "file"], ".openclaw/openclaw.json"),
        (&["--dev", "config", "file"], ".openclaw-dev/openclaw.json"),
    ];
    for (args, path) in cases {
        let ended = place.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        let shown = ended.stdout.trim();
        // below the home directory it may be shown with a tilde
        let shown = shown.strip_prefix("~/").map_or_else(|| PathBuf::from(shown), |rest| home.join(rest));
        assert_eq!(shown, home.join(path), "{args:?}");
    }
}

#[test]
fn an_explicit_path_beats_the_profile() {
    let mut place = Place::new(binary());
    let elsewhere = place.root().join("elsewhere.json5");
    place.environment.push(("OPENCLAW_CONFIG_PATH".into(), elsewhere.to_str().unwrap().into()));
    let ended = place.run(&["--profile", "rescue", "config", "file"]);
    assert_eq!(ended.stdout.trim(), elsewhere.to_str().unwrap(), "{}", ended.stderr);
}

#[test]
fn profiles_that_make_no_sense_are_refused() {
    let place = Place::new(binary());
    let both = place.run(&["--dev", "--profile", "x", "status"]);
    assert_eq!(both.code, Some(1));
    assert!(both.stderr.contains("Cannot combine --dev with --profile"), "{}", both.stderr);
    assert_eq!(place.run(&["--profile", "../x", "status"]).code, Some(1));
}

#[tokio::test]
async fn two_profiles_run_side_by_side() {
    let fake = FakeProvider::start();
    let place = Place::new(binary());
    let mut running: Vec<(u16, Process)> = Vec::new();
    for name in ["one", "two"] {
        let port = free_port();
        let state = place.home().join(format!(".openclaw-{name}"));
        std::fs::create_dir_all(&state).unwrap();
        let config = Config::new(&state, port, &fake.base_url());
        let config = config.set("agents.defaults.workspace", json!(state.join("workspace")));
        std::fs::write(state.join("openclaw.json"), config.text()).unwrap();
        running.push((port, Process::start(&mut place.command(&["--profile", name, "gateway", "run"]))));
    }
    for (port, process) in &running {
        let until = Instant::now() + SOON;
        while http_status(*port, "/health") != Some(200) {
            assert!(Instant::now() < until, "{}", process.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let [(first, _), (second, _)] = running.as_slice() else { unreachable!("two were started") };
    let mut one = Client::connect(&format!("ws://127.0.0.1:{first}/")).await;
    let mut two = Client::connect(&format!("ws://127.0.0.1:{second}/")).await;
    say(&mut one, "main", "only here").await;
    assert_eq!(history(&mut one, "main").await.len(), 2);
    assert_eq!(history(&mut two, "main").await.len(), 0);
}

#[tokio::test]
async fn commands_find_a_gateway_that_listens_elsewhere_than_configured() {
    let fake = FakeProvider::start();
    let place = Place::new(binary());
    place.write_config(&Config::new(place.root(), free_port(), &fake.base_url()).text());
    let port = free_port();
    let process = Process::start(&mut place.command(&["gateway", "run", "--port", &port.to_string()]));
    let until = Instant::now() + SOON;
    while http_status(port, "/health") != Some(200) {
        assert!(Instant::now() < until, "{}", process.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let health = place.run(&["health", "--json"]);
    assert_eq!(health.code, Some(0), "{}", health.stderr);
    assert!(health.stdout.contains("\"ok\": true"), "{}", health.stdout);
    let status = place.run(&["gateway", "status"]);
    assert!(status.stdout.contains(&format!("ws://127.0.0.1:{port}")), "{}", status.stdout);
}
