//! Telegram, from the update that it holds for us to the message that people see: answered once, whatever Telegram, the network
//! or a kill does in between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_telegram::{BOT, FakeTelegram, NEW_TOKEN, TOKEN, Trouble};
use crate::harness::turn::history;
use crate::harness::{Client, Config, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";
const ROOM: i64 = -1_001_234_567_890;

fn start_with(change: impl FnOnce(Config) -> Config) -> (World, FakeTelegram) {
    let telegram = FakeTelegram::start();
    let world = World::start_with(|config| change(telegram.configure(config)));
    (world, telegram)
}

fn start() -> (World, FakeTelegram) {
    start_with(|config| config)
}

async fn account(client: &mut Client) -> Value {
    client.ask("channels.status", json!({})).await["channelAccounts"]["telegram"][0].clone()
}

async fn until_logged(world: &World, line: &str) {
    eventually(line, SOON, async || world.gateway.logs().contains(line).then_some(())).await;
}

async fn until_account(client: &mut Client, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, SOON, async || Some(account(client).await).filter(|account| is(account))).await
}

#[tokio::test]
async fn a_message_is_answered_in_its_chat_and_once_however_often_and_in_what_order_it_is_told() {
    let (world, telegram) = start_with(|config| config.set("messages.queue.mode", json!("followup")));
    let first = telegram.say(1001, "hi there");
    assert_eq!(telegram.wait_for(1).await, [format!("1001: {ANSWER}")]);
    let sent = &telegram.sent()[0];
    assert_eq!((&sent["parse_mode"], &sent["chat_id"]), (&json!("HTML"), &json!(1001)), "{sent}");
    eventually("it is confirmed", SOON, async || (telegram.unconfirmed() == 0).then_some(())).await;

    // While it is told to wait, more comes; all of that is told at once, in disorder.
    telegram.trouble("getUpdates", Trouble::Busy(1));
    telegram.update(json!({ "some_future_update": { "x": 1 } }));
    until_logged(&world, "retry after 1").await;
    telegram.say(1002, "and you?");
    telegram.tell_again_in_disorder(first, 1001, "hi there");
    assert_eq!(telegram.wait_for(2).await[1], format!("1002: {ANSWER}"));
    until_logged(&world, &format!("telegram dedupe: skipped {first}")).await;
    eventually("all of it is confirmed", SOON, async || (telegram.unconfirmed() == 0).then_some(())).await;
    telegram.say(1001, "/think high");
    assert_eq!(telegram.wait_for(3).await[2], "1001: Thinking level set to high.");

    let mut client = world.client().await;
    let said = history(&mut client, "main").await;
    let asked = said.iter().filter(|message| message["role"] == "user").count();
    assert_eq!(asked, 2, "one turn for each message: {said:?}");
    let status = account(&mut client).await;
    for (key, expected) in [("running", json!(true)), ("connected", json!(true)), ("healthState", json!("healthy"))] {
        assert_eq!(status[key], expected, "{key}: {status}");
    }
    assert!(status["lastTransportActivityAt"].as_i64() > Some(0) && status["bot"]["username"] == BOT, "{status}");
    let shown = world.gateway.cli(&["channels", "status"]).stdout;
    assert!(shown.contains("running, connected, ") && shown.contains("bot:@clawd_test_bot, dm:open"), "{shown}");
}

#[tokio::test]
async fn in_a_group_only_what_means_the_bot_is_answered_and_a_topic_is_a_conversation_of_its_own() {
    let (world, telegram) = start();
    telegram.say_in(ROOM, None, 1001, "anyone here?");
    telegram.say_in(ROOM, None, 1001, &format!("@{BOT} disk?"));
    telegram.say_in(ROOM, Some(42), 1002, &format!("👍 @{BOT} and the topic?"));
    let mut shown = telegram.wait_for(2).await;
    shown.sort();
    assert_eq!(shown, [format!("{ROOM}: {ANSWER}"), format!("{ROOM}: {ANSWER}")]);
    let topics: Vec<Value> = telegram.sent().iter().map(|sent| sent["message_thread_id"].clone()).collect();
    assert!(topics.contains(&Value::Null) && topics.contains(&json!(42)), "{topics:?}");
    until_logged(&world, "telegram: drop group message (mention required)").await;
    let mut client = world.client().await;
    let room = history(&mut client, &format!("agent:main:telegram:group:{ROOM}")).await;
    assert!(room[0].to_string().contains("Ann Li: disk?"), "{}", room[0]);
    let topic = history(&mut client, &format!("agent:main:telegram:group:{ROOM}:topic:42")).await;
    assert!(topic[0].to_string().contains("Ann Li: 👍 and the topic?"), "{}", topic[0]);
    assert_eq!(telegram.sent().len(), 2, "what means nobody is not answered");
}

#[tokio::test]
async fn what_telegram_puts_off_is_sent_when_it_says_and_what_it_cannot_read_goes_as_plain_text() {
    let (world, telegram) = start();
    telegram.trouble("sendMessage", Trouble::Busy(2));
    telegram.trouble("sendMessage", Trouble::Refuse(400, "Bad Request: can't parse entities: Unsupported start tag"));
    let started = tokio::time::Instant::now();
    telegram.say(1001, "/think high");
    telegram.say(1001, "/think low");
    let shown = telegram.wait_for(2).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "it was told to wait");
    assert_eq!(shown, ["1001: Thinking level set to high.", "1001: Thinking level set to low."], "in order");
    let modes: Vec<Value> = telegram.sent().iter().map(|sent| sent["parse_mode"].clone()).collect();
    assert_eq!(modes, [Value::Null, json!("HTML")]);
    let mut client = world.client().await;
    let sent = client.ask("outbox.list", json!({ "state": "sent" })).await["items"].clone();
    assert!(sent.as_array().unwrap().iter().all(|item| item["attempts"] == 1), "to be put off is no try: {sent}");
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_is_not_said_twice_and_somebody_is_told() {
    let (world, telegram) = start();
    telegram.trouble("sendMessage", Trouble::LoseAnswer);
    telegram.say(1001, "/think high");
    let mut client = world.client().await;
    let unknown = eventually("it is unknown", SOON, async || {
        let items = client.ask("outbox.list", json!({ "state": "unknown" })).await["items"].clone();
        items.as_array().filter(|items| items.len() == 1).cloned()
    })
    .await;
    assert_eq!(unknown[0]["mayHaveArrived"], true, "{unknown:?}");
    telegram.say(1001, "/think low");
    assert_eq!(telegram.wait_for(2).await.len(), 2, "the first has arrived, and once");
    telegram.trouble("sendMessage", Trouble::Refuse(403, "Forbidden: bot was blocked by the user"));
    telegram.say(1002, "/think low");
    until_logged(&world, "hit permanent error — moving to failed/: Forbidden: bot was blocked by the user").await;
}

#[tokio::test]
async fn a_revoked_token_ends_the_line_is_shown_and_a_new_one_takes_it_up() {
    let (mut world, telegram) = start();
    telegram.say(1001, "/think high");
    telegram.wait_for(1).await;
    telegram.revoke();
    let mut client = world.client().await;
    let status = until_account(&mut client, "it is shown", |account| account["healthState"] == "gave-up").await;
    let expected = (json!(false), json!(true), json!("getUpdates returned 401"));
    assert_eq!(
        (status["connected"].clone(), status["running"].clone(), status["lastError"].clone()),
        expected,
        "{status}"
    );
    assert!(world.gateway.logs().contains("[default] channel exited: getUpdates returned 401"));
    assert!(!world.gateway.logs().contains("auto-restart attempt"), "it is not tried again by itself");
    world.gateway.edit_config(|config| config.set("channels.telegram.botToken", json!(NEW_TOKEN)));
    until_account(&mut client, "it is connected again", |account| account["connected"] == true).await;
    telegram.say(1001, "/think low");
    assert_eq!(telegram.wait_for(2).await[1], "1001: Thinking level set to low.");
    let (logs, status) = (world.gateway.logs(), account(&mut client).await.to_string());
    for secret in [TOKEN, NEW_TOKEN] {
        let secret = secret.split_once(':').unwrap().1;
        assert!(!logs.contains(secret) && !status.contains(secret) && !world.gateway.stderr().contains(secret));
    }
}

#[tokio::test]
async fn trouble_between_us_and_telegram_passes_without_a_message_lost() {
    let (world, telegram) = start();
    telegram.say(1001, "/think high");
    telegram.wait_for(1).await;
    for (number, trouble) in [
        Trouble::Refuse(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        ),
        Trouble::Refuse(502, "Bad Gateway"),
        Trouble::Busy(1),
        Trouble::LoseAnswer,
        Trouble::Silence,
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{trouble:?}");
        telegram.trouble("getUpdates", trouble);
        telegram.say(1001, "/think low");
        assert_eq!(telegram.wait_for(number + 2).await.len(), number + 2, "{what}");
    }
    telegram.set_webhook();
    telegram.say(1001, "/think high");
    assert_eq!(telegram.wait_for(7).await.len(), 7);
    let logs = world.gateway.logs();
    for expected in
        ["getUpdates conflict: Conflict: terminated by other", "webhook is active", "502: Bad Gateway", "retry after 1"]
    {
        assert!(logs.contains(expected), "{expected}");
    }
    assert!(telegram.calls("deleteWebhook") >= 3, "after each conflict");
    assert!(!logs.contains("channel exited"), "nothing of this ends the line");
    let mut client = world.client().await;
    let status = account(&mut client).await;
    assert_eq!((&status["connected"], &status["lastError"]), (&json!(true), &Value::Null), "{status}");
}

#[tokio::test]
async fn who_may_not_write_is_refused_with_a_word_to_search_for() {
    let (world, telegram) = start_with(|config| {
        let config = config.set("channels.telegram.dmPolicy", json!("allowlist"));
        config.set("channels.telegram.allowFrom", json!([1001])).set("channels.telegram.groups", json!({ "-5": {} }))
    });
    telegram.say(666, "let me in");
    telegram.say_in(ROOM, None, 1001, &format!("@{BOT} hello"));
    telegram.say(1001, "hello");
    assert_eq!(telegram.wait_for(1).await, [format!("1001: {ANSWER}")]);
    until_logged(&world, "Blocked unauthorized telegram sender 666 (dmPolicy=allowlist)").await;
    until_logged(&world, &format!("Blocked telegram group {ROOM}")).await;
}

#[tokio::test]
async fn two_accounts_of_one_bot_do_not_take_each_others_updates() {
    let (world, telegram) = start_with(|config| {
        let block = config.get("channels.telegram").clone();
        let account = json!({ "botToken": block["botToken"] });
        config.set("channels.telegram.accounts", json!({ "one": account, "two": account }))
    });
    telegram.say(1001, "/think high");
    telegram.wait_for(1).await;
    let shown = world.gateway.cli(&["channels", "status"]).stdout;
    assert!(shown.contains("Telegram one: enabled, configured, running, connected"), "{shown}");
    assert!(shown.contains("Telegram two: disabled, configured, stopped"), "{shown}");
    assert!(shown.contains("account one has the same token"), "{shown}");
}

/// Kills it again and again while people write: what was heard is heard once, and answered once or said to be in doubt.
#[tokio::test]
async fn what_came_before_a_kill_is_answered_once_or_said_to_be_in_doubt() {
    let (mut world, telegram) = start_with(|config| {
        config.set("session.dmScope", json!("per-peer")).set("messages.queue.mode", json!("followup"))
    });
    let people = [1001, 1002, 1003];
    for round in 0..3 {
        for (place, who) in people.into_iter().enumerate() {
            telegram.say(who, &format!("[[script:slow]] hello {}", round * 3 + place));
        }
        tokio::time::sleep(Duration::from_millis(150 + 250 * round as u64)).await;
        if round < 2 {
            world.gateway.kill9(); // a third time, and it would start in safe mode
            world.gateway.restart();
        }
    }
    let mut client = world.client().await;
    let items = eventually("everything is said", Duration::from_secs(60), async || {
        let items = client.ask("outbox.list", json!({})).await["items"].as_array().unwrap().clone();
        let is_over = |item: &Value| item["state"] == "sent" || item["state"] == "unknown";
        (items.len() >= 9 && items.iter().all(is_over)).then_some(items)
    })
    .await;
    assert_eq!(items.len(), 9, "one answer for each message: {items:?}");
    let in_doubt = items.iter().filter(|item| item["state"] == "unknown").count();
    let shown = telegram.shown();
    for (place, who) in people.into_iter().enumerate() {
        let answers = shown.iter().filter(|line| **line == format!("{who}: {ANSWER}")).count();
        assert!(answers <= 3, "{who} is answered more than once: {shown:?}");
        let said = history(&mut client, &format!("agent:main:direct:{who}")).await;
        let user: Vec<&Value> = said.iter().filter(|line| line["role"] == "user").collect();
        for round in 0..3 {
            let text = format!("hello {}", round * 3 + place);
            let times = user.iter().filter(|line| line.to_string().contains(&text)).count();
            assert_eq!(times, 1, "{who}: {text}: {said:?}");
        }
    }
    assert!(shown.len() + in_doubt >= 9, "{in_doubt} in doubt, shown: {shown:?}");
    assert_eq!(telegram.unconfirmed(), 0);
}

#[tokio::test]
async fn a_stranger_is_told_once_how_to_be_let_in_and_is_heard_when_he_was() {
    let (mut world, telegram) = start_with(|config| {
        let config = config.unset("channels.telegram.dmPolicy").unset("channels.telegram.allowFrom");
        let config = config.set("channels.telegram.groupPolicy", json!("allowlist"));
        config.set("session.dmScope", json!("per-peer"))
    });
    telegram.say(1001, "hello?");
    let notice = telegram.wait_for(1).await.remove(0);
    assert!(
        notice.contains("OpenClaw: access not configured.") && notice.contains("Your Telegram user id: 1001"),
        "{notice}"
    );
    assert!(notice.contains("openclaw pairing approve telegram "), "{notice}");
    telegram.say(1001, "anybody?");
    until_logged(&world, "telegram pairing request sender=1001").await;
    let listed = world.gateway.cli(&["pairing", "list", "telegram", "--json"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let code = listed["requests"][0]["code"].as_str().unwrap().to_owned();
    assert!(notice.contains(&code) && listed["requests"][0]["senderId"] == "1001", "{listed}");
    world.gateway.kill9();
    world.gateway.restart();
    let wrong = world.gateway.cli(&["pairing", "approve", "telegram", "AAAAAAAA"]);
    assert!(
        wrong.code != Some(0) && wrong.stderr.contains("No pending pairing request found for code"),
        "{}",
        wrong.stderr
    );
    let approved = world.gateway.cli(&["pairing", "approve", "telegram", &code.to_lowercase(), "--notify"]);
    assert_eq!(approved.stdout.trim(), "Approved telegram sender 1001.", "{}", approved.stderr);
    assert_eq!(telegram.wait_for(2).await[1], "1001: ✅ OpenClaw access approved. Send a message to start chatting.");
    telegram.say(1001, "hello again");
    assert_eq!(telegram.wait_for(3).await[2], format!("1001: {ANSWER}"));
    telegram.say_in(ROOM, None, 1001, &format!("@{BOT} and here?"));
    until_logged(&world, &format!("Blocked telegram group {ROOM}")).await;
    assert_eq!(telegram.sent().len(), 3, "one notice, one welcome, one answer: {:?}", telegram.shown());
    let mut client = world.client().await;
    let said = history(&mut client, "agent:main:direct:1001").await;
    assert!(
        !said.iter().any(|line| line.to_string().contains("anybody?")),
        "what a stranger said is not kept: {said:?}"
    );
    assert_eq!(world.gateway.cli(&["pairing", "list"]).stdout.trim(), "No pending pairing requests.");
}
