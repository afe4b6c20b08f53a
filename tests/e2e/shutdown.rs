//! A stop that was asked for: everybody is told first, runs get their end, the exit code is clean.
//!
//! Source: WebSocket protocol, shutdown; operations, drain and signals.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::Instant;

use crate::World;
use crate::fake_provider::Outcome;
use crate::harness::client::Closed;
use crate::harness::turn::{end_of, history, say, send, text_of};
use crate::harness::{Client, Hello, SOON};

fn restart_close() -> Closed {
    Closed { code: 1012, reason: "service restart".into() }
}

#[tokio::test]
async fn every_socket_hears_of_the_stop_before_it_is_closed() {
    let mut world = World::start();
    let mut admin = world.client().await;
    let mut nobody = Client::connect_as(&world.gateway.ws(), &Hello::default().scopes(&[])).await;
    let started = Instant::now();
    world.gateway.signal(Signal::SIGTERM);
    for client in [&mut admin, &mut nobody] {
        let shutdown = client.event("shutdown").await;
        assert_eq!(shutdown["payload"], json!({ "reason": "gateway stopping", "restartExpectedMs": null }));
        assert_eq!(client.closed(SOON).await, restart_close());
    }
    let ended = world.gateway.ended(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(started.elapsed() < Duration::from_secs(2), "an idle gateway took {:?} to stop", started.elapsed());
    assert!(ended.stderr.contains("received SIGTERM; shutting down"), "{}", ended.stderr);
    assert!(ended.stderr.contains("shutdown completed cleanly"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_run_that_can_finish_finishes_first() {
    let mut world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] count").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    world.gateway.signal(Signal::SIGTERM);
    let end = end_of(&mut client, &run, SOON).await;
    assert_eq!(end["state"], "final", "{end}");
    assert!(text_of(&end["message"]).ends_with("word20"), "{end}");
    assert_eq!(client.closed(SOON).await, restart_close());
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
}

#[tokio::test]
async fn a_run_that_cannot_finish_gets_its_end_before_the_sockets_close() {
    let mut world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    let started = Instant::now();
    world.gateway.signal(Signal::SIGTERM);
    let end = end_of(&mut client, &run, Duration::from_secs(35)).await;
    assert_ne!(end["state"], "final", "{end}");
    assert_eq!(client.closed(SOON).await, restart_close());
    assert_eq!(world.gateway.ended(SOON).code, Some(0));
    assert!(started.elapsed() <= Duration::from_secs(35), "took {:?}", started.elapsed());
}

#[tokio::test]
async fn messages_that_wait_run_after_the_restart() {
    let mut world = World::start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    send(&mut client, "main", "waiting first").await;
    send(&mut client, "main", "waiting second").await;
    world.gateway.signal(Signal::SIGTERM);
    assert_eq!(world.gateway.ended(Duration::from_secs(35)).code, Some(0));
    assert!(world.fake.bodies_about("waiting first").is_empty(), "nothing starts while the gateway goes down");
    world.gateway.restart();
    world.fake.wait_for_outcome("waiting second", Outcome::Done, Duration::from_secs(60)).await;
    assert_eq!(world.fake.bodies_about("waiting first").len(), 1);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut world = World::start();
    let mut client = world.client().await;
    send(&mut client, "main", "[[script:endless]] talk").await;
    client.frame("a delta", SOON, |frame| frame["payload"]["state"] == "delta").await;
    world.gateway.signal(Signal::SIGTERM);
    client.event("shutdown").await;
    let second = Instant::now();
    world.gateway.signal(Signal::SIGTERM);
    world.gateway.ended(SOON);
    assert!(second.elapsed() < Duration::from_secs(5), "took {:?}", second.elapsed());
}

#[tokio::test]
async fn what_was_said_is_there_after_a_clean_restart() {
    let mut world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "remember me").await;
    assert_eq!(world.gateway.terminate().code, Some(0));
    world.gateway.restart();
    let mut client = world.client().await;
    let messages = history(&mut client, "main").await;
    assert_eq!(messages.len(), 2, "{messages:?}");
}
