//! What a turn costs over the provider's own time.
//!
//! The provider's time is that of the same streamed answer, asked for directly; the gateway's share is the difference of the
//! medians. Each turn includes its durable writes.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::fake_provider::FakeProvider;
use crate::harness::turn::{end_of, send};
use crate::harness::{Client, Gateway, SOON, http};
use crate::table::{Table, median, percentile};

const TURNS: usize = 100;

pub async fn measure(table: &mut Table, gateway: &Gateway, fake: &FakeProvider) {
    let mut direct = Vec::new();
    let http = http::client();
    for _ in 0..TURNS {
        direct.push(ask_directly(&http, fake).await);
    }
    let mut client = Client::connect(&gateway.ws()).await;
    let (mut acknowledged, mut finished) = (Vec::new(), Vec::new());
    for n in 0..TURNS {
        // a fresh session every ten turns keeps the conversation short, as the direct request is
        let session = format!("agent:main:bench{}", n / 10);
        let started = Instant::now();
        let run = send(&mut client, &session, &format!("hello {n}")).await;
        acknowledged.push(started.elapsed());
        let end = end_of(&mut client, &run, SOON).await;
        assert_eq!(end["state"], "final", "{end}");
        finished.push(started.elapsed());
    }
    let provider = median(&mut direct);
    table.ms("a turn: message to acknowledgement (on disk), median", median(&mut acknowledged), "–");
    table.ms("a turn: the provider's own time, median", provider, "–");
    table.ms("a turn: added by the gateway, median", median(&mut finished).saturating_sub(provider), "≤ 5 ms");
    table.ms("a turn: added by the gateway, 99 %", percentile(&mut finished, 99).saturating_sub(provider), "–");
}

async fn ask_directly(http: &reqwest::Client, fake: &FakeProvider) -> Duration {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let body = json!({ "model": "fake-1", "stream": true, "messages": messages });
    let started = Instant::now();
    let response = http.post(format!("{}/chat/completions", fake.base_url())).json(&body).send().await;
    let text = response.expect("an answer").text().await.expect("a whole answer");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    started.elapsed()
}
