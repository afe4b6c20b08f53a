//! The generic webhook, both ways: who may write, what is answered, and what becomes of an answer that does not arrive.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::front_end::{FrontEnd, Trouble, direct, group};
use crate::harness::turn::history;
use crate::harness::{Client, Config, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";

fn start_with(change: impl FnOnce(Config) -> Config) -> (World, FrontEnd) {
    let front = FrontEnd::start();
    let world = World::start_with(|config| change(front.configure(config)));
    (world, front)
}

fn start() -> (World, FrontEnd) {
    start_with(|config| config)
}

async fn outbox(client: &mut Client, state: &str) -> Vec<Value> {
    let answer = client.ask("outbox.list", json!({ "state": state })).await;
    answer["items"].as_array().unwrap().clone()
}

async fn until_outbox(client: &mut Client, state: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} messages are {state}"), SOON, async || {
        Some(outbox(client, state).await).filter(|items| items.len() == count)
    })
    .await
}

#[tokio::test]
async fn a_message_is_answered_in_its_conversation_and_once_however_often_it_comes() {
    let (world, front) = start();
    let url = world.gateway.http("");
    let taken = front.say(&url, "m1", &direct("ada"), "ada", "hi there").await.unwrap();
    assert_eq!(taken, (200, json!({ "ok": true, "duplicate": false })));
    assert_eq!(front.wait_for(1).await, [format!("ada: {ANSWER}")]);
    let again = front.say(&url, "m1", &direct("ada"), "ada", "hi there").await.unwrap();
    assert_eq!(again, (200, json!({ "ok": true, "duplicate": true })));
    let said = front.say(&url, "m2", &group("room"), "bob", "@bot and here?").await.unwrap();
    assert_eq!(said.0, 200);
    assert_eq!(front.wait_for(2).await[1], format!("room: {ANSWER}"));
    let post = &front.posts()[0].body;
    let expected = json!({ "idempotencyKey": "webhook:front:m1:0", "conversation": { "id": "ada", "kind": "direct" },
                           "text": ANSWER, "attachments": [], "replyTo": "m1" });
    assert_eq!(*post, expected);

    let mut client = world.client().await;
    let sent = until_outbox(&mut client, "sent", 2).await;
    assert_eq!((&sent[1]["messageId"], &sent[1]["attempts"]), (&json!("post-1"), &json!(1)), "{sent:?}");
    let main = history(&mut client, "main").await;
    assert_eq!(main.iter().filter(|message| message["role"] == "user").count(), 1);
    let room = history(&mut client, "agent:main:webhook:group:room").await;
    assert!(room[0].to_string().contains("bob: @bot and here?"), "{}", room[0]);
}

#[tokio::test]
async fn who_may_not_write_is_refused_with_a_word_to_search_for() {
    let (mut world, front) = start_with(|config| {
        config
            .set("channels.webhook.accounts.front.dmPolicy", json!("allowlist"))
            .set("channels.webhook.accounts.front.allowFrom", json!(["ada"]))
    });
    let url = world.gateway.http("");
    for (id, chat, sender, text) in [
        ("m1", direct("eve"), "eve", "let me in"),
        ("m2", group("room"), "ada", "nobody is meant"),
        ("m3", direct("ada"), "ada", "hello"),
    ] {
        assert_eq!(front.say(&url, id, &chat, sender, text).await.unwrap().0, 200, "it is on disk, whatever it says");
    }
    assert_eq!(front.wait_for(1).await, [format!("ada: {ANSWER}")]);
    eventually("the lines", SOON, async || {
        let logs = world.gateway.logs();
        let blocked = logs.contains("Blocked unauthorized webhook sender eve (dmPolicy=allowlist)");
        (blocked && logs.contains("webhook: drop group message (mention required)")).then_some(())
    })
    .await;
    // An edit holds from the next message on; nothing is started again for it.
    world.gateway.edit_config(|config| config.set("channels.webhook.accounts.front.allowFrom", json!(["ada", "eve"])));
    eventually("the edit is in force", SOON, async || {
        let id = uuid::Uuid::new_v4().to_string();
        front.say(&url, &id, &direct("eve"), "eve", "and now?").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        front.shown().contains(&format!("eve: {ANSWER}")).then_some(())
    })
    .await;
}

/// Puts an event into the spool of a gateway that does not run: one that nobody could make sense of.
fn add_failed(world: &World, id: &str, text: &str) {
    let db = rusqlite::Connection::open(world.gateway.place().state().join("openclaw.sqlite")).unwrap();
    let raw = json!({ "id": id, "conversation": direct("ada"), "sender": { "id": "ada" }, "text": text }).to_string();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    db.execute(
        "INSERT INTO spool (channel, account, event_key, lane, raw, received_at, state, attempts, outcome)
         VALUES ('webhook', 'front', ?1, 'direct:ada', ?2, ?3, 'failed', 4, 'the gateway failed on it')",
        rusqlite::params![id, raw, now],
    )
    .unwrap();
}

#[tokio::test]
async fn an_event_that_failed_is_shown_and_taken_up_again_or_dropped() {
    let (mut world, front) = start();
    world.gateway.terminate();
    add_failed(&world, "m1", "hello again");
    add_failed(&world, "m2", "never mind");
    world.gateway.restart();
    let gateway = &world.gateway;
    let doctor = gateway.cli(&["doctor"]).stdout;
    assert!(doctor.contains("2 events of chats could not be read: openclaw spool list --state failed"), "{doctor}");
    let listed = gateway.cli(&["spool", "list", "--state", "failed"]).stdout;
    assert!(listed.contains("webhook:front:m1") && listed.contains("the gateway failed on it"), "{listed}");
    let shown = gateway.cli(&["spool", "show", "webhook:front:m1"]).stdout;
    assert!(shown.contains("hello again"), "{shown}");
    assert_eq!(gateway.cli(&["spool", "retry", "webhook:front:m1"]).stdout.trim(), "Queued again");
    assert_eq!(front.wait_for(1).await, [format!("ada: {ANSWER}")]);
    eventually("it is done", SOON, async || {
        let shown = gateway.cli(&["spool", "show", "webhook:front:m1"]).stdout;
        (shown.contains("state: done") && shown.contains("outcome: accepted")).then_some(())
    })
    .await;
    let refused = gateway.cli(&["spool", "retry", "webhook:front:m1"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("is done; only a failed one"), "{}", refused.stderr);
    assert_eq!(gateway.cli(&["spool", "drop", "webhook:front:m2"]).stdout.trim(), "Dropped");
    let mut client = world.client().await;
    let status = client.ask("status", json!({})).await;
    assert_eq!(status["spool"], json!({ "pending": 0, "failed": 0 }));
    let unknown = world.gateway.cli(&["spool", "show", "webhook:front:m3"]);
    assert!(unknown.code != Some(0) && unknown.stderr.contains("openclaw spool list"), "{}", unknown.stderr);
    assert_eq!(front.shown().len(), 1, "what was dropped is not answered");
}

#[tokio::test]
async fn what_is_not_signed_with_the_secret_is_not_looked_at() {
    let (world, front) = start();
    let url = world.gateway.http("");
    let body =
        json!({ "id": "m1", "conversation": direct("ada"), "sender": { "id": "ada" }, "text": "hi" }).to_string();
    let (status, answer) = front.post(&url, "guess", &body).await.unwrap();
    assert_eq!((status, answer), (401, json!({ "ok": false, "error": "unauthorized" })));
    let http = crate::harness::http::client();
    let unsigned = http.post(format!("{url}/channels/webhook/front")).header("content-type", "application/json");
    assert_eq!(unsigned.body(body.clone()).send().await.unwrap().status(), 401);
    let nowhere = http.post(format!("{url}/channels/webhook/other")).header("content-type", "application/json");
    assert_eq!(
        nowhere.body(body.clone()).send().await.unwrap().status(),
        401,
        "a path that is not there looks the same"
    );
    let plain = http.post(format!("{url}/channels/webhook/front")).body(body).send().await.unwrap();
    assert_eq!(plain.status(), 415);
    assert_eq!(http.get(format!("{url}/channels/webhook/front")).send().await.unwrap().status(), 405);
    let (status, answer) = front.post(&url, crate::front_end::SECRET, "{}").await.unwrap();
    assert_eq!((status, &answer["ok"]), (422, &json!(false)));
    assert!(front.shown().is_empty());
    assert!(!world.gateway.logs().contains(crate::front_end::SECRET));
}

#[tokio::test]
async fn commands_and_stop_phrases_work_in_a_chat_for_those_whom_a_list_names() {
    let (world, front) = start();
    let url = world.gateway.http("");
    front.say(&url, "m1", &direct("ada"), "ada", "/think high").await;
    assert_eq!(front.wait_for(1).await, ["ada: Thinking level set to high."]);
    front.say(&url, "m2", &direct("ada"), "ada", "[[script:endless]] go").await;
    let mut client = world.client().await;
    eventually("it runs", SOON, async || {
        let items = client.ask("inbox.list", json!({ "state": "running" })).await["items"].clone();
        items.as_array()?.iter().any(|item| item["id"] == "webhook:front:m2").then_some(())
    })
    .await;
    front.say(&url, "m3", &direct("ada"), "ada", "stop").await;
    assert_eq!(front.wait_for(2).await[1], "ada: ⚙️ Agent was aborted.");
    // A platform that delivers a command again has it done once.
    let again = front.say(&url, "m1", &direct("ada"), "ada", "/think high").await.unwrap();
    assert_eq!(again.1["duplicate"], true);
    let elsewhere = front.say(&url, "m1", &direct("bob"), "bob", "hello").await.unwrap();
    assert_eq!(elsewhere.0, 409, "one id, two conversations");
    // Of somebody in an open group whom no list names, a command is only text.
    front.say(&url, "m4", &group("room"), "eve", "/think high @bot").await;
    assert_eq!(front.wait_for(3).await[2], format!("room: {ANSWER}"));
}

#[tokio::test]
async fn whoever_shares_a_session_is_told_when_somebody_else_stops_it() {
    let (world, front) = start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let url = world.gateway.http("");
    let mut client = world.client().await;
    let state_of = async |client: &mut Client, id: &str| {
        let items = client.ask("inbox.list", json!({})).await["items"].clone();
        let item = items.as_array().unwrap().iter().find(|item| item["id"] == id).cloned();
        item.map(|item| item["state"].as_str().unwrap().to_owned())
    };
    for (id, who, text, state) in [
        ("m1", "ada", "[[script:endless]] go", "running"),
        ("m2", "eve", "and then this", "queued"),
        ("m3", "bob", "and that", "queued"),
    ] {
        front.say(&url, id, &direct(who), who, text).await;
        eventually(&format!("{id} is {state}"), SOON, async || {
            (state_of(&mut client, &format!("webhook:front:{id}")).await.as_deref() == Some(state)).then_some(())
        })
        .await;
    }
    // Eve is let in by the star alone: what she says is no command.
    front.say(&url, "m4", &direct("eve"), "eve", "stop").await;
    front.say(&url, "m5", &direct("bob"), "bob", "stop").await;
    let shown = front.wait_for(4).await;
    let of = |who: &str| shown.iter().filter(|line| line.starts_with(who)).cloned().collect::<Vec<_>>();
    assert_eq!(of("bob"), ["bob: ⚙️ Agent was aborted."], "he knows what he stopped");
    assert!(of("ada").iter().all(|line| line.contains("stopped from elsewhere")) && of("ada").len() == 1, "{shown:?}");
    assert!(of("eve").iter().all(|line| line.contains("stopped from elsewhere")) && of("eve").len() == 2, "{shown:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_arrive_is_sent_again_in_order() {
    let (world, front) = start();
    let url = world.gateway.http("");
    front.trouble(Trouble::Busy(1));
    front.trouble(Trouble::LoseAnswer);
    front.say(&url, "m1", &direct("ada"), "ada", "/think high").await;
    front.say(&url, "m2", &direct("ada"), "ada", "/think low").await;
    front.say(&url, "m3", &direct("bob"), "bob", "/think off").await;
    let mut client = world.client().await;
    let sent = until_outbox(&mut client, "sent", 3).await;
    let again: Vec<&Value> = sent.iter().filter(|item| item["mayHaveArrived"] == true).collect();
    assert_eq!(again.len(), 1, "{sent:?}");
    assert_eq!(again[0]["attempts"], 2, "to be put off is no try");
    let mut shown = front.shown();
    assert_eq!(shown.len(), 3, "each answer is seen once: {shown:?}");
    shown.retain(|line| line.starts_with("ada"));
    let expected = ["ada: Thinking level set to high.", "ada: Thinking level set to low."];
    assert_eq!(shown, expected, "in order within a chat");
    let line = format!("Recovered delivery {} on webhook", again[0]["id"].as_str().unwrap());
    assert!(world.gateway.logs().contains(&line), "{line}");
}

#[tokio::test]
async fn what_could_not_be_delivered_is_shown_sent_again_or_dropped() {
    let (world, front) = start();
    let (url, gateway) = (world.gateway.http(""), &world.gateway);
    let mut client = world.client().await;
    for (number, id) in ["m1", "m2"].iter().enumerate() {
        front.trouble(Trouble::Refuse(410));
        front.say(&url, id, &direct("ada"), "ada", "/think high").await;
        until_outbox(&mut client, "failed", number + 1).await;
    }
    let told = client.frame("the news", SOON, |frame| frame["event"] == "delivery").await["payload"].clone();
    assert_eq!((&told["id"], &told["state"]), (&json!("webhook:front:m1:0"), &json!("failed")));
    let status = client.ask("status", json!({})).await["outbox"].clone();
    assert_eq!(status, json!({ "pending": 0, "sending": 0, "failed": 2, "unknown": 0 }));
    let page = gateway.cli(&["status"]).stdout;
    assert!(page.contains("2 failed · openclaw outbox list"), "{page}");
    let listed = gateway.cli(&["outbox", "list", "--state", "failed"]).stdout;
    assert!(listed.contains("webhook:front:m1:0") && listed.contains("410"), "{listed}");
    let shown = gateway.cli(&["outbox", "show", "webhook:front:m1:0"]).stdout;
    assert!(shown.contains("text: Thinking level set to high."), "{shown}");
    let again = gateway.cli(&["outbox", "retry", "webhook:front:m1:0"]);
    assert_eq!(again.stdout.trim(), "Queued again: webhook:front:m1:0", "{}", again.stderr);
    assert_eq!(front.wait_for(1).await, ["ada: Thinking level set to high."]);
    assert_eq!(gateway.cli(&["outbox", "drop", "webhook:front:m2:0"]).stdout.trim(), "Dropped 1");
    until_outbox(&mut client, "failed", 0).await;
    let refused = gateway.cli(&["outbox", "retry", "webhook:front:m1:0"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("is sent; only what failed"), "{}", refused.stderr);
    let unknown = gateway.cli(&["outbox", "show", "nothing"]);
    assert!(unknown.stderr.contains("openclaw outbox list"), "{}", unknown.stderr);
}

#[tokio::test]
async fn an_operator_can_say_something_and_is_told_when_it_has_arrived() {
    let (world, front) = start();
    let gateway = &world.gateway;
    let sent = gateway.cli(&["message", "send", "--target", "direct:ada", "--message", "The build is done"]);
    assert_eq!(sent.stdout.trim(), "✅ Sent via Webhook. Message ID: post-1", "{}", sent.stderr);
    assert_eq!(front.shown(), ["ada: The build is done"]);
    let mut client = world.client().await;
    let params = json!({ "to": "group:room", "message": "hello", "channel": "webhook", "idempotencyKey": "k1" });
    let first = client.ask("send", params.clone()).await;
    let expected =
        json!({ "runId": "k1", "messageId": "post-2", "channel": "webhook", "conversationId": "group:room" });
    assert_eq!(first, expected);
    assert_eq!(client.ask("send", params.clone()).await, first, "the same key, the same receipt");
    let action = json!({ "channel": "webhook", "action": "send", "params": { "to": "room", "message": "hi" }, "idempotencyKey": "k2" });
    assert_eq!(client.ask("message.action", action).await["result"]["messageId"], "post-3");
    assert_eq!(front.shown().len(), 3);
    front.trouble(Trouble::Refuse(410));
    let refused = gateway.cli(&["message", "send", "-t", "ada", "-m", "no"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("not delivered (failed)"), "{}", refused.stderr);
    for (change, expected) in [
        (json!({ "channel": "webchat" }), "unsupported channel: webchat (internal-only)"),
        (json!({ "channel": "discord" }), "unsupported channel: discord"),
        (json!({ "message": " " }), "text or media is required"),
        (json!({ "mediaUrl": "https://example.com/a.png" }), "media cannot be sent in this release"),
        (json!({ "to": "channel:x" }), "is no chat of a webhook"),
        (json!({ "accountId": "nobody" }), "webhook:nobody does not run"),
    ] {
        let mut params = params.clone();
        params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refusal = client.refusal("send", params).await;
        assert!(refusal["message"].as_str().unwrap().contains(expected), "{expected}: {refusal}");
    }
    let dry = gateway.cli(&["message", "send", "-t", "ada", "-m", "x", "--dry-run", "--channel", "webhook"]);
    assert_eq!(dry.stdout.trim(), "Dry run: would send via webhook to ada");
}

#[tokio::test]
async fn status_says_how_each_account_stands_and_an_operator_can_stop_one() {
    let front = FrontEnd::start();
    let world = World::start_with(|config| {
        let config = front.configure(config).set("channels.webhook.accounts.off", json!({ "enabled": false }));
        config.set("channels.webhook.accounts.half", json!({ "callbackUrl": "http://127.0.0.1:9/in" }))
    });
    let gateway = &world.gateway;
    front.say(&gateway.http(""), "m1", &direct("ada"), "ada", "/think high").await;
    front.wait_for(1).await;
    let shown = gateway.cli(&["channels", "status"]).stdout;
    for expected in [
        "Gateway reachable.",
        "- Webhook front: enabled, configured, running, in:",
        "mode:webhook, dm:open, allow:*,ada, health:healthy",
        "- Webhook off: disabled, configured, stopped",
        "- Webhook half: enabled, not configured, stopped",
        "error:not configured: no secret",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let listed = gateway.cli(&["channels", "list"]).stdout;
    assert!(listed.contains("- webhook front\n") && listed.contains("- webhook off"), "{listed}");
    let page = gateway.cli(&["status"]).stdout;
    assert!(page.contains("Webhook"), "{page}");

    // Stopped, it still takes in what is said, and answers when it is started again.
    assert_eq!(
        gateway.cli(&["channels", "stop", "webhook", "--account", "front"]).stdout.trim(),
        "webhook front: stopped"
    );
    let shown = gateway.cli(&["channels", "status"]).stdout;
    assert!(
        shown.contains("front: enabled, configured, stopped") && shown.contains("error:stopped by an operator"),
        "{shown}"
    );
    assert_eq!(front.say(&gateway.http(""), "m2", &direct("ada"), "ada", "/think low").await.unwrap().0, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(front.shown().len(), 1);
    assert_eq!(
        gateway.cli(&["channels", "start", "webhook", "--account", "front"]).stdout.trim(),
        "webhook front: started"
    );
    assert_eq!(front.wait_for(2).await[1], "ada: Thinking level set to low.");
    let refused = gateway.cli(&["channels", "start", "webhook", "--account", "off"]);
    assert!(refused.stderr.contains("cannot run: disabled"), "{}", refused.stderr);
    assert!(gateway.cli(&["channels", "start", "discord"]).stderr.contains("unknown channel: discord"));
}

#[tokio::test]
async fn what_came_before_a_kill_is_answered_after_it() {
    // A conversation for each person, and each message a turn of its own: then each has an answer.
    let (mut world, front) = start_with(|config| {
        config.set("session.dmScope", json!("per-peer")).set("messages.queue.mode", json!("followup"))
    });
    let url = world.gateway.http("");
    let people = ["ada", "bob", "eve"];
    for n in 0..9 {
        let (id, who) = (format!("m{n}"), people[n % 3]);
        let text = format!("[[script:slow]] hello {n}");
        assert_eq!(front.say(&url, &id, &direct(who), who, &text).await.unwrap().0, 200);
    }
    world.gateway.kill9();
    world.gateway.restart();
    let shown = eventually("nine answers", Duration::from_secs(60), async || {
        Some(front.shown()).filter(|shown| shown.len() >= 9)
    })
    .await;
    for who in people {
        let own = format!("{who}: ");
        assert_eq!(shown.iter().filter(|line| line.starts_with(&own)).count(), 3, "{shown:?}");
    }
    let mut client = world.client().await;
    for (place, who) in people.iter().enumerate() {
        let said = history(&mut client, &format!("agent:main:direct:{who}")).await;
        let asked: Vec<usize> = (0..9)
            .filter(|n| {
                said.iter().any(|line| line["role"] == "user" && line.to_string().contains(&format!("hello {n}")))
            })
            .collect();
        assert_eq!(asked, [place, place + 3, place + 6], "{who}");
    }
    let status = client.ask("status", json!({})).await["outbox"].clone();
    assert_eq!((&status["failed"], &status["unknown"]), (&json!(0), &json!(0)), "a repeatable channel leaves no doubt");
}
