//! Those who ask how things are, over the socket and over HTTP, and programs that use the OpenAI endpoint.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::harness::Client;
use crate::harness::gateway::bearer;
use crate::harness::http::{self, Answer};
use crate::tally::Tally;

/// Everything an operator's screen asks for, again and again.
const QUESTIONS: [&str; 8] = [
    "status",
    "health",
    "inbox.list",
    "sessions.list",
    "models.list",
    "system-presence",
    "diagnostics.metrics",
    "config.get",
];

pub async fn look(url: String, tally: Tally) {
    let mut client = Client::connect(&url).await;
    loop {
        for method in QUESTIONS {
            let answer = client.call(method, json!({})).await;
            tally.check(method, answer["ok"] == true, || answer.to_string());
            tally.did("question");
            client.frames_for(Duration::from_millis(250)).await;
        }
    }
}

pub async fn ask_over_http(base: String, tally: Tally) {
    let http = http::client();
    for number in 0_usize.. {
        for path in ["/health", "/ready", "/v1/models", "/api/diagnostics/prometheus"] {
            let answer = http.get(format!("{base}{path}")).header("authorization", bearer()).send().await;
            check(&tally, path, answer).await;
        }
        let body = json!({
            "model": "openclaw", "stream": number % 2 == 0, "user": format!("soak-{}", number % 4),
            "messages": [{ "role": "user", "content": "[[script:echo]] hello over http" }],
        });
        let call = http.post(format!("{base}/v1/chat/completions")).header("authorization", bearer()).json(&body);
        check(&tally, "/v1/chat/completions", call.send().await).await;
        sleep(Duration::from_millis(700)).await;
    }
}

async fn check(tally: &Tally, path: &str, answer: reqwest::Result<reqwest::Response>) {
    match answer {
        Ok(response) => {
            let answer = Answer::read(response).await;
            tally.check(path, answer.status == 200, || format!("{} {}", answer.status, answer.text));
        }
        Err(error) => tally.failure(path, error.to_string()),
    }
    tally.did("HTTP request");
}
