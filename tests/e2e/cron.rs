//! Cron jobs, by RPC and by command: made, listed, run, told in a chat, cut off by a kill, refused.

use serde_json::{Value, json};

use crate::World;
use crate::front_end::{FrontEnd, direct};
use crate::harness::{Client, Hello, SOON, eventually};

const ANSWER: &str = "Hello from the fake provider.";

/// A job far in the future that tells nobody.
fn job(changes: Value) -> Value {
    let mut params = json!({
        "name": "every-hour", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "sessionTarget": "isolated",
        "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "cron says hi" }, "delivery": { "mode": "none" }
    });
    for (key, value) in changes.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

async fn cron_event(client: &mut Client, action: &'static str) -> Value {
    let is_it = move |frame: &Value| frame["event"] == "cron" && frame["payload"]["action"] == action;
    client.frame(&format!("cron {action}"), SOON, is_it).await["payload"].clone()
}

async fn until_ended(client: &mut Client, id: &str, count: u64) -> Value {
    eventually("the runs end", SOON, async || {
        let runs = client.ask("cron.runs", json!({ "id": id })).await;
        (runs["total"].as_u64().unwrap() >= count).then_some(runs)
    })
    .await
}

#[tokio::test]
async fn a_job_is_made_run_changed_and_removed_and_everybody_hears_of_it() {
    let world = World::start();
    let mut client = world.client().await;
    let status = client.ask("cron.status", json!({})).await;
    assert_eq!((&status["enabled"], &status["jobs"], &status["nextWakeAtMs"]), (&json!(true), &json!(0), &Value::Null));
    let empty = json!({ "jobs": [], "total": 0, "offset": 0, "limit": 50, "hasMore": false, "nextOffset": null,
        "deliveryPreviews": {} });
    assert_eq!(client.ask("cron.list", json!({})).await, empty);

    let made = client.ask("cron.add", job(json!({}))).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let created = made["createdAtMs"].as_i64().unwrap();
    assert_eq!(made["schedule"], json!({ "kind": "every", "everyMs": 3_600_000, "anchorMs": created }));
    assert_eq!(made["state"], json!({ "nextRunAtMs": created + 3_600_000 }));
    let added = cron_event(&mut client, "added").await;
    assert_eq!((&added["job"], &added["nextRunAtMs"]), (&made, &made["state"]["nextRunAtMs"]));

    let run = client.ask("cron.run", json!({ "id": id, "mode": "force" })).await;
    let run_id = run["runId"].as_str().unwrap().to_owned();
    assert!(run["enqueued"] == true && run_id.starts_with(&format!("manual:{id}:")), "{run}");
    let started = cron_event(&mut client, "started").await;
    assert!(started["job"]["state"]["runningAtMs"].is_i64(), "{started}");
    let finished = cron_event(&mut client, "finished").await;
    assert_eq!((&finished["status"], &finished["summary"]), (&json!("ok"), &json!(ANSWER)), "{finished}");
    let key = format!("agent:main:cron:{id}:run:{}", finished["sessionId"].as_str().unwrap());
    assert_eq!((&finished["sessionKey"], &finished["runId"]), (&json!(key), &json!(run_id)));
    assert_eq!((&finished["delivered"], &finished["deliveryStatus"]), (&json!(false), &json!("not-requested")));
    assert_eq!(finished["nextRunAtMs"], made["state"]["nextRunAtMs"], "a run by hand takes no slot");
    assert_eq!(world.fake.bodies_about(&format!("[cron:{id} every-hour] cron says hi")).len(), 1);

    let runs = client.ask("cron.runs", json!({ "id": id, "limit": 5 })).await;
    assert_eq!((&runs["total"], &runs["entries"][0]["summary"]), (&json!(1), &json!(ANSWER)));
    let all = client.ask("cron.runs", json!({ "scope": "all" })).await;
    assert_eq!(all["entries"][0]["jobName"], "every-hour");
    let listed = client.ask("cron.list", json!({ "includeDisabled": true })).await;
    assert_eq!((&listed["total"], &listed["limit"]), (&json!(1), &json!(1)));
    assert_eq!(listed["jobs"][0]["state"]["lastStatus"], "ok");
    assert_eq!(listed["deliveryPreviews"][&id], json!({ "label": "not requested", "detail": "not requested" }));

    let changed = client.ask("cron.update", json!({ "id": id, "patch": { "enabled": false } })).await;
    assert_eq!((&changed["enabled"], &changed["state"]["nextRunAtMs"]), (&json!(false), &Value::Null));
    assert_eq!(cron_event(&mut client, "updated").await["job"], changed);
    let not = client.ask("cron.run", json!({ "id": id, "mode": "due" })).await;
    assert_eq!(not, json!({ "ok": true, "ran": false, "reason": "not-due" }));
    assert_eq!(client.ask("cron.list", json!({})).await["total"], 0);
    assert_eq!(client.ask("cron.remove", json!({ "id": id })).await, json!({ "ok": true, "removed": true }));
    assert_eq!(cron_event(&mut client, "removed").await["jobId"], json!(id));
    assert_eq!(client.ask("cron.remove", json!({ "id": id })).await, json!({ "ok": true, "removed": false }));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_the_words_that_clients_know() {
    let world = World::start();
    let mut client = world.client().await;
    for (method, params, code, text) in [
        (
            "cron.add",
            job(json!({ "schedule": { "kind": "cron", "expr": "nope" } })),
            "INVALID_REQUEST",
            "invalid cron.add params: schedule.expr: \"nope\" is not a cron expression",
        ),
        (
            "cron.add",
            job(json!({ "schedule": { "kind": "at", "at": "2020-01-01T00:00:00Z" } })),
            "INVALID_REQUEST",
            "schedule.at is in the past: 2020-01-01T00:00:00.000Z (",
        ),
        (
            "cron.add",
            job(json!({ "sessionTarget": "main" })),
            "INVALID_REQUEST",
            "main cron jobs require payload.kind=\"systemEvent\"",
        ),
        ("cron.get", json!({ "id": "nope" }), "INVALID_REQUEST", "cron job not found: nope"),
        ("cron.run", json!({ "id": "nope" }), "UNAVAILABLE", "Error: unknown cron job id: nope"),
        ("cron.update", json!({ "id": "nope", "patch": {} }), "UNAVAILABLE", "Error: unknown cron job id: nope"),
        ("cron.runs", json!({ "scope": "job" }), "INVALID_REQUEST", "invalid cron.runs params: missing id"),
    ] {
        let refused = client.refusal(method, params).await;
        let message = refused["message"].as_str().unwrap();
        assert!(message.starts_with(text), "{message}");
        assert_eq!(refused["code"], code, "{message}");
    }
    let mut reader = Client::connect_as(&world.gateway.ws(), &Hello::default().scopes(&["operator.read"])).await;
    assert_eq!(reader.ask("cron.list", json!({})).await["total"], 0);
    let refused = reader.refusal("cron.add", job(json!({}))).await;
    assert!(refused["message"].as_str().unwrap().contains("operator.admin"), "{refused}");
}

#[tokio::test]
async fn a_job_that_is_due_says_its_answer_in_the_chat_where_somebody_spoke_last() {
    let front = FrontEnd::start();
    let world = World::start_with(|config| front.configure(config));
    let mut client = world.client().await;
    front.say(&world.gateway.http(""), "m1", &direct("ada"), "ada", "hi").await.unwrap();
    assert_eq!(front.wait_for(1).await, [format!("ada: {ANSWER}")]);
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(500);
    let schedule = json!({ "kind": "at", "at": at.to_string() });
    let wanted =
        job(json!({ "name": "once", "schedule": schedule, "delivery": { "mode": "announce", "channel": "last" } }));
    let made = client.ask("cron.add", wanted).await;
    assert_eq!(made["deleteAfterRun"], true);
    let finished = cron_event(&mut client, "finished").await;
    assert_eq!((&finished["status"], &finished["delivered"]), (&json!("ok"), &json!(true)), "{finished}");
    assert_eq!(front.wait_for(2).await[1], format!("ada: {ANSWER}"));
    assert_eq!(client.ask("cron.list", json!({ "includeDisabled": true })).await["total"], 0, "it is done for good");
}

#[tokio::test]
async fn a_run_that_a_kill_cuts_off_is_kept_as_interrupted_and_not_done_again() {
    let mut world = World::start();
    let mut client = world.client().await;
    let wanted = job(json!({ "payload": { "kind": "agentTurn", "message": "[[script:endless]] long" } }));
    let id = client.ask("cron.add", wanted).await["id"].as_str().unwrap().to_owned();
    client.ask("cron.run", json!({ "id": id })).await;
    eventually("the model is asked", SOON, async || (!world.fake.bodies_about("long").is_empty()).then_some(())).await;
    let refused = client.ask("cron.run", json!({ "id": id })).await;
    assert_eq!(refused, json!({ "ok": true, "ran": false, "reason": "already-running" }));
    world.gateway.kill9();
    world.gateway.launch();
    let mut client = world.client().await;
    let runs = until_ended(&mut client, &id, 1).await;
    let entry = &runs["entries"][0];
    assert_eq!(entry["error"], "cron: job interrupted by gateway restart", "{entry}");
    let kept = client.ask("cron.get", json!({ "id": id })).await;
    assert_eq!((&kept["state"]["lastStatus"], &kept["state"]["consecutiveErrors"]), (&json!("error"), &json!(1)));
    assert!(kept["state"]["nextRunAtMs"].is_i64() && kept["state"]["runningAtMs"].is_null(), "{kept}");
    assert_eq!(world.fake.bodies_about("long").len(), 1, "it is not done again");
    let dead = client.ask("inbox.list", json!({ "state": "dead" })).await;
    assert_eq!(dead["items"], json!([]), "nobody waits for it");
}

#[tokio::test]
async fn the_command_makes_lists_runs_and_removes_jobs() {
    let world = World::start();
    let cli = |args: &[&str]| {
        let ended = world.gateway.cli(&[&["cron"], args].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended.stdout
    };
    let document = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(cli(&["list"]).trim(), "No cron jobs.");
    let zone = ["--cron", "0 2 * * *", "--tz", "Asia/Shanghai"];
    let said = ["--message", "Summarise the logs", "--no-deliver"];
    let made = document(&cli(&[&["add", "--name", "nightly"], &zone[..], &said[..]].concat()));
    assert_eq!(made["delivery"], json!({ "mode": "none", "channel": "last" }));
    let id = made["id"].as_str().unwrap();
    let listed = cli(&["list"]);
    assert!(listed.contains("nightly") && listed.contains("cron 0 2 * * * @ Asia/Shanghai"), "{listed}");
    assert_eq!(document(&cli(&["list", "--json"]))["jobs"][0]["status"], "idle");
    assert!(cli(&["show", "nightly"]).contains("schedule: cron 0 2 * * * @ Asia/Shanghai (exact)"));
    assert_eq!(document(&cli(&["disable", id]))["enabled"], false);
    assert_eq!(cli(&["list"]).trim(), "No cron jobs.");
    let changed = document(&cli(&["edit", id, "--enable", "--every", "2h", "--message", "Both logs"]));
    assert_eq!(
        (&changed["schedule"]["everyMs"], &changed["payload"]["message"]),
        (&json!(7_200_000), &json!("Both logs"))
    );
    assert_eq!(document(&cli(&["run", id]))["enqueued"], true);
    assert_eq!(document(&cli(&["status"]))["jobs"], 1);
    assert!(document(&cli(&["runs", "--id", id]))["entries"].is_array());
    assert_eq!(document(&cli(&["rm", id])), json!({ "ok": true, "removed": true }));
    let refused = world.gateway.cli(&["cron", "run", id]);
    assert!(refused.code == Some(1) && refused.stderr.contains("unknown cron job id"), "{}", refused.stderr);
    let refused = world.gateway.cli(&["cron", "add", "--name", "n", "--message", "m"]);
    assert!(refused.stderr.contains("Choose exactly one schedule: --at, --every, or --cron"), "{}", refused.stderr);
}
