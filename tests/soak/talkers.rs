//! Those who talk: turns of every kind in a dozen sessions each, aborted, reset and deleted now and then.

use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::harness::Client;
use crate::harness::turn::end_of;
use crate::tally::Tally;

/// Sessions of one talker.
const SESSIONS: usize = 12;
/// A turn may wait behind slow ones of the others.
const LIMIT: Duration = Duration::from_secs(60);
/// What was done each time, for the table.
pub const TURN: &str = "turn";

/// Talks until it is aborted. A connection that breaks is a failure, and a new one takes its place.
pub async fn talk(url: String, number: usize, tally: Tally) {
    loop {
        let (url, counted) = (url.clone(), tally.clone());
        // A task of its own, since a broken promise is a panic of the test client; a set, so that it ends with this one.
        let mut talking = tokio::task::JoinSet::new();
        talking.spawn(async move {
            let mut client = Client::connect(&url).await;
            loop {
                deed(&mut client, number, &counted).await;
                let pause = rand::rng().random_range(300..1200);
                client.frames_for(Duration::from_millis(pause)).await;
            }
        });
        if let Some(Err(error)) = talking.join_next().await
            && let Ok(panic) = error.try_into_panic()
        {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
            tally.failure("a talker", text);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn deed(client: &mut Client, talker: usize, tally: &Tally) {
    let (session, kind) = (rand::rng().random_range(0..SESSIONS), rand::rng().random_range(0..100));
    let key = format!("agent:main:soak-{talker}-{session}");
    match kind {
        0..45 => {
            turn(client, &key, "[[script:echo]] a plain message of the usual length, as people write it", tally).await
        }
        45..53 => turn(client, &key, "[[script:tool]] how are you", tally).await,
        53..58 => turn(client, &key, "[[script:tools]] who is there", tally).await,
        58..63 => turn(client, &key, "[[script:thinking]] think about it", tally).await,
        63..66 => turn(client, &key, "[[script:slow]] count", tally).await,
        66..69 => turn(client, &key, "[[script:error-400]] fail", tally).await,
        69..72 => turn(client, &key, "/status", tally).await,
        72..77 => several_at_once(client, &key, tally).await,
        77..83 => abort(client, &key, tally).await,
        83..93 => {
            client.ask("chat.history", json!({ "sessionKey": key, "limit": 200 })).await;
            tally.did("history read");
        }
        93..99 => {
            client.ask("sessions.reset", json!({ "key": key })).await;
            tally.did("session reset");
        }
        _ => {
            client.ask("sessions.delete", json!({ "key": key })).await;
            tally.did("session deleted");
        }
    }
}

/// A message and its end, whatever the end is.
async fn turn(client: &mut Client, key: &str, text: &str, tally: &Tally) {
    if let Some(run) = send(client, key, text, tally).await {
        end_of(client, &run, LIMIT).await;
        tally.did(TURN);
    }
}

/// The run of an acknowledged message. A refusal must say when to come back.
async fn send(client: &mut Client, key: &str, text: &str, tally: &Tally) -> Option<String> {
    let run = Uuid::new_v4().to_string();
    let params = json!({ "sessionKey": key, "message": text, "idempotencyKey": run });
    let answer = client.call("chat.send", params).await;
    if answer["ok"] == true {
        return Some(run);
    }
    let is_retryable = answer["error"]["retryable"] == true && answer["error"]["retryAfterMs"].is_u64();
    tally.check("a refusal", is_retryable, || answer.to_string());
    tally.did("turn refused for now");
    None
}

/// Two messages that meet a running one: each is acknowledged and gets its own end.
async fn several_at_once(client: &mut Client, key: &str, tally: &Tally) {
    let mut runs = Vec::new();
    for text in ["[[script:slow]] first", "second", "third"] {
        runs.extend(send(client, key, text, tally).await);
    }
    for run in runs {
        end_of(client, &run, LIMIT).await;
        tally.did("turn among several");
    }
}

async fn abort(client: &mut Client, key: &str, tally: &Tally) {
    let Some(run) = send(client, key, "[[script:endless]] talk", tally).await else { return };
    let pause = rand::rng().random_range(0..800);
    sleep(Duration::from_millis(pause)).await;
    let answer = client.ask("chat.abort", json!({ "sessionKey": key, "runId": run })).await;
    let end: Value = end_of(client, &run, LIMIT).await;
    tally.check("an abort", end["state"] == "aborted", || format!("{answer} {end}"));
    tally.did("turn aborted");
}
