//! Stopping, restarting in place, coming back after crashes, and what a service manager is told.
//!
//! Compiled with the feature `fault-injection`, which lets a test wait less long for turns that do not end.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::fake_provider::{FakeProvider, Script};
use crate::harness::scorecard::Score;
use crate::harness::turn::{end_of, history, rest, say, send, text_of};
use crate::harness::{Client, Gateway, SOON, eventually};
use crate::{World, binary};

const ANSWER: &str = "Hello from the fake provider.";
const MAIN: &str = "agent:main:main";

fn start(environment: &[(&str, &str)]) -> World {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::prepare(binary(), &fake.base_url(), |config| config);
    for (name, value) in environment {
        gateway.place_mut().environment.push(((*name).to_owned(), (*value).to_owned()));
    }
    gateway.launch();
    World { gateway, fake }
}

/// Milliseconds since the epoch.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

async fn streams(client: &mut Client) {
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
}

fn said(messages: &[Value], role: &str, text: &str) -> usize {
    messages.iter().filter(|message| message["role"] == role && text_of(message).contains(text)).count()
}

#[tokio::test]
async fn a_burst_during_the_stop_is_taken_and_answered_after_the_start() {
    let mut score = Score::new("nothing is refused while the gateway goes down", "a burst during the drain");
    score.ran(10);
    let world = start(&[("OPENCLAW_TEST_DRAIN_MS", "1500")]);
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    streams(&mut client).await;
    let pid = world.gateway.pid();
    world.gateway.signal(Signal::SIGUSR1);
    let shutdown = client.event("shutdown").await["payload"].clone();
    assert_eq!(shutdown["reason"], "gateway restarting", "{shutdown}");
    for n in 0..10 {
        let key = format!("agent:main:s{}", n % 3);
        let answer = client
            .call(
                "chat.send",
                json!({ "sessionKey": key, "message": format!("burst <{n}>"), "idempotencyKey": format!("burst-{n}") }),
            )
            .await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    assert_eq!(client.closed(SOON).await.code, 1012);

    let url = world.gateway.ws();
    let mut client = eventually("it is back", SOON, async || {
        let url = url.clone();
        tokio::spawn(async move { Client::connect(&url).await }).await.ok()
    })
    .await;
    assert_eq!(world.gateway.pid(), pid, "the same process, begun again");
    for n in 0..3 {
        rest(&mut client, &format!("agent:main:s{n}")).await;
    }
    for n in 0..10 {
        let messages = history(&mut client, &format!("agent:main:s{}", n % 3)).await;
        assert_eq!(said(&messages, "user", &format!("burst <{n}>")), 1, "{n}: {messages:?}");
        assert!(said(&messages, "assistant", ANSWER) > 0);
    }
    // The turn that was cut off goes on by itself.
    rest(&mut client, MAIN).await;
    let messages = history(&mut client, "main").await;
    assert_eq!(said(&messages, "user", "[System] The gateway was restarted"), 1, "{messages:?}");
    assert_eq!(said(&messages, "assistant", ANSWER), 1, "{messages:?}");
}

#[tokio::test]
async fn a_restart_can_be_forbidden() {
    let fake = FakeProvider::start();
    let gateway =
        Gateway::start_with(binary(), &fake.base_url(), |config| config.set("commands.restart", json!(false)));
    let world = World { gateway, fake };
    let mut client = world.client().await;
    world.gateway.signal(Signal::SIGUSR1);
    eventually("the refusal", SOON, async || world.gateway.stderr().contains("SIGUSR1 restart ignored").then_some(()))
        .await;
    assert_eq!(say(&mut client, "main", "still here").await, ANSWER);
}

#[tokio::test]
async fn a_hang_up_reads_the_configuration_again() {
    let mut world = start(&[]);
    let mut client = world.client().await;
    world.gateway.edit_config(|config| config.set("agents.defaults.maxConcurrent", json!(7)));
    world.gateway.signal(Signal::SIGHUP);
    let reload = client.event("config.reload").await["payload"].clone();
    assert_eq!(reload["applied"], json!(["agents.defaults.maxConcurrent"]), "{reload}");
    assert_eq!(say(&mut client, "main", "still here").await, ANSWER);
}

/// A message whose turn never survives: taken up three times, then it is dead, and nothing is lost.
#[tokio::test]
async fn after_three_crashes_nothing_begins_by_itself_and_a_message_that_kills_each_time_is_dead() {
    let mut score = Score::new("a message that kills is given up after three tries, and kept", "kill -9 in each try");
    score.ran(4);
    let mut world = start(&[]);
    let mut client = world.client().await;
    let slow = |when: &str| Script { when: Some(when.into()), head_delay_ms: 60_000, ..Script::default() };
    world.fake.push(slow("poison"));
    let run = send(&mut client, "main", "poison").await;
    for crash in 1..=4 {
        if crash <= 3 {
            world.fake.push(slow("[System] The gateway was restarted"));
        }
        world.gateway.kill9();
        world.gateway.restart();
        client = world.client().await;
        let status = client.ask("status", json!({})).await;
        assert_eq!(status["safeMode"].is_string(), crash >= 3, "crash {crash}: {}", status["safeMode"]);
        if crash >= 3 {
            let live = client.ask("inbox.list", json!({ "state": "running" })).await["items"].clone();
            assert_eq!(live.as_array().unwrap().len(), 1, "what ran is as it was: {live}");
            let resumed = world.gateway.cli(&["gateway", "resume"]);
            assert!(resumed.stdout.contains("Safe mode lifted"), "{}{}", resumed.stdout, resumed.stderr);
        }
        if crash <= 3 {
            eventually("it is taken up again", SOON, async || {
                let items = client.ask("inbox.list", json!({ "state": "running" })).await["items"].clone();
                let asked = world.fake.bodies_about("[System] The gateway was restarted").len();
                (items[0]["attempt"] == crash && items[0]["resumes"] == run && asked == crash).then_some(())
            })
            .await;
        }
    }
    let dead = eventually("it is given up", SOON, async || {
        let items = client.ask("inbox.list", json!({ "state": "dead" })).await["items"].clone();
        (!items.as_array()?.is_empty()).then(|| items[0].clone())
    })
    .await;
    assert_eq!((&dead["dead"], &dead["attempt"], &dead["resumes"]), (&json!(true), &json!(3), &json!(run)));
    let list = world.gateway.cli(&["inbox", "list", "--state", "dead"]);
    assert!(list.stdout.contains(dead["id"].as_str().unwrap()), "{}", list.stdout);
    assert_eq!(say(&mut client, "agent:main:other", "beside").await, ANSWER);

    let retried = world.gateway.cli(&["inbox", "retry", dead["id"].as_str().unwrap(), "--json"]);
    assert_eq!(retried.code, Some(0), "{}", retried.stderr);
    rest(&mut client, MAIN).await;
    assert_eq!(client.ask("inbox.list", json!({ "state": "dead" })).await["items"], json!([]));
    assert_eq!(client.ask("agent.wait", json!({ "runId": run })).await["status"], "ok");
    let messages = history(&mut client, "main").await;
    assert_eq!((said(&messages, "user", "poison"), said(&messages, "assistant", ANSWER)), (1, 1), "{messages:?}");
}

#[tokio::test]
async fn in_safe_mode_what_a_person_asks_for_passes_by_what_a_crash_left() {
    let mut world = start(&[]);
    let mut client = world.client().await;
    world.fake.push(Script { when: Some("poison".into()), head_delay_ms: 60_000, ..Script::default() });
    send(&mut client, "main", "poison").await;
    eventually("the request", SOON, async || (!world.fake.bodies_about("poison").is_empty()).then_some(())).await;
    world.gateway.kill9();
    let boots: Vec<Value> =
        (0..3).map(|n| json!({ "bootId": n.to_string(), "startedAt": now_ms(), "cleanStop": false })).collect();
    std::fs::write(world.gateway.place().state().join("boots.json"), Value::from(boots).to_string()).unwrap();
    world.gateway.restart();
    let mut client = world.client().await;
    assert!(client.ask("status", json!({})).await["safeMode"].is_string());

    let notice = "[System] The gateway was restarted";
    assert_eq!(say(&mut client, "main", "asked for").await, ANSWER);
    assert!(world.fake.bodies_about(notice).is_empty(), "what was cut off is held");
    let held = client.ask("inbox.list", json!({ "state": "queued" })).await["items"].clone();
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
    let doctor = world.gateway.cli(&["doctor"]);
    assert!(doctor.stdout.contains("safe mode"), "{}", doctor.stdout);

    assert_eq!(client.ask("gateway.resume", json!({})).await["lifted"], true);
    rest(&mut client, MAIN).await;
    assert_eq!(world.fake.bodies_about(notice).len(), 1);
}

#[tokio::test]
async fn a_stop_during_the_drain_of_a_restart_is_a_stop() {
    let mut world = start(&[("OPENCLAW_TEST_DRAIN_MS", "60000")]);
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    streams(&mut client).await;
    world.gateway.signal(Signal::SIGUSR1);
    client.event("shutdown").await;
    world.gateway.signal(Signal::SIGTERM);
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
}

/// A model that says nothing any more must not hold up what was said after it.
#[tokio::test]
async fn a_session_that_is_stuck_is_told_of_and_freed() {
    let fake = FakeProvider::start();
    let mut gateway = Gateway::prepare(binary(), &fake.base_url(), |config| {
        config
            .set("messages.queue.mode", json!("followup"))
            .set("diagnostics.stuckSessionWarnMs", json!(400))
            .set("diagnostics.stuckSessionAbortMs", json!(1200))
    });
    gateway.place_mut().environment.push(("OPENCLAW_TEST_CHECK_MS".into(), "200".into()));
    gateway.launch();
    let world = World { gateway, fake };
    let mut client = world.client().await;
    let stuck = send(&mut client, "main", "[[script:hang-mid]] nothing more").await;
    streams(&mut client).await;
    let waiting = send(&mut client, "main", "behind it").await;
    let end = end_of(&mut client, &stuck, SOON).await;
    assert_eq!((&end["state"], &end["stopReason"]), (&json!("aborted"), &json!("timeout")), "{end}");
    assert_eq!(end_of(&mut client, &waiting, SOON).await["state"], "final");
    let told = world.gateway.stderr();
    assert!(told.contains("makes no progress") && told.contains("its run is ended"), "{told}");
    // One that says something now and then is left alone, however long it takes.
    let slow = send(&mut client, "main", "[[script:slow]] count").await;
    send(&mut client, "main", "behind it as well").await;
    assert_eq!(end_of(&mut client, &slow, SOON).await["state"], "final");
}

#[tokio::test]
async fn a_full_disk_refuses_new_turns_and_says_why() {
    let world = start(&[("OPENCLAW_TEST_DISK_FREE", "1000000")]);
    let mut client = world.client().await;
    let refused = eventually("the look at the disk", SOON, async || {
        let params =
            json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": uuid::Uuid::new_v4().to_string() });
        let answer = client.call("chat.send", params).await;
        (answer["ok"] == false).then(|| answer["error"].clone())
    })
    .await;
    assert_eq!((&refused["code"], &refused["retryAfterMs"]), (&json!("UNAVAILABLE"), &json!(60_000)), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("make room"), "{refused}");
    assert_eq!(client.ask("status", json!({})).await["disk"], "full");
    let page = world.gateway.cli(&["status"]).stdout;
    assert!(page.contains("full: no new turns"), "{page}");
    history(&mut client, "main").await; // reading goes on
}

#[tokio::test]
async fn a_service_manager_is_told_of_start_life_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = move || {
        let mut text = [0u8; 256];
        let length = socket.recv(&mut text).expect("a word in time");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut world = start(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "600000")]);
    assert_eq!(heard().trim(), "READY=1");
    assert_eq!(heard().trim(), "WATCHDOG=1");
    assert_eq!(heard().trim(), "WATCHDOG=1");
    world.gateway.signal(Signal::SIGTERM);
    let last = loop {
        match heard() {
            word if word.trim() == "WATCHDOG=1" => {}
            word => break word,
        }
    };
    assert!(last.contains("STOPPING=1") && last.contains("EXTEND_TIMEOUT_USEC="), "{last}");
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
}
