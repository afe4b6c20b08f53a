//! `POST /v1/chat/completions` and the model list on the gateway's own port.
//!
//! Source: HTTP surface, chat completions, models, authentication and error shapes.

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::Outcome;
use crate::harness::gateway::bearer;
use crate::harness::http::{self, Answer};
use crate::harness::{SOON, turn};

const ANSWER: &str = "Hello from the fake provider.";

fn world() -> World {
    World::start_with(|config| config.set("gateway.http.endpoints.chatCompletions.enabled", json!(true)))
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let call = http::client().post(world.gateway.http(path)).header("authorization", bearer()).json(body);
    Answer::read(call.send().await.unwrap()).await
}

async fn get(world: &World, path: &str) -> Answer {
    let call = http::client().get(world.gateway.http(path)).header("authorization", bearer());
    Answer::read(call.send().await.unwrap()).await
}

fn hello(text: &str) -> Value {
    json!({ "model": "openclaw", "messages": [{ "role": "user", "content": text }] })
}

fn openai_error(message: &str, kind: &str) -> Value {
    json!({ "error": { "message": message, "type": kind } })
}

#[tokio::test]
async fn a_completion_is_answered_as_json() {
    let world = world();
    let answer = post(&world, "/v1/chat/completions", &hello("hi")).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json; charset=utf-8"));
    let body = answer.json();
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl_"), "{body}");
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("openclaw")));
    let message = json!({ "role": "assistant", "content": ANSWER });
    assert_eq!(body["choices"], json!([{ "index": 0, "message": message, "finish_reason": "stop" }]));
    assert_eq!(body["usage"]["completion_tokens"], 6);
    assert!(body["usage"]["total_tokens"].as_u64() >= body["usage"]["prompt_tokens"].as_u64());
}

#[tokio::test]
async fn a_streamed_completion_ends_with_usage_and_done() {
    let world = world();
    let mut body = hello("[[script:slow]] count");
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let answer = post(&world, "/v1/chat/completions", &body).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/event-stream; charset=utf-8"));
    let data = answer.sse_data();
    assert_eq!(data.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = data[..data.len() - 1].iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk" && c["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant" }));
    let pieces: Vec<_> = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(pieces.len() >= 2 && pieces.concat().ends_with("word19 word20"), "{pieces:?}");
    let [.., last, usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!((&last["choices"][0]["delta"], &last["choices"][0]["finish_reason"]), (&json!({}), &json!("stop")));
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(6)));
}

#[tokio::test]
async fn system_texts_and_earlier_turns_reach_the_model() {
    let world = world();
    let messages = json!([
        { "role": "system", "content": "Speak like a pirate." },
        { "role": "user", "content": "my name is Ada" },
        { "role": "assistant", "content": "Ahoy Ada" },
        { "role": "user", "content": [{ "type": "text", "text": "what is my name" }] },
    ]);
    let body = json!({ "model": "openclaw/main", "messages": messages });
    assert_eq!(post(&world, "/v1/chat/completions", &body).await.status, 200);
    let sent = world.fake.requests()[0].body.to_string();
    for text in ["Speak like a pirate.", "my name is Ada", "Ahoy Ada", "what is my name"] {
        assert!(sent.contains(text), "{text} is missing in {sent}");
    }
}

#[tokio::test]
async fn the_user_field_names_a_session_that_lasts() {
    let world = world();
    let mut body = hello("remember the fish");
    body["user"] = json!("ada");
    post(&world, "/v1/chat/completions", &body).await;
    post(&world, "/v1/chat/completions", &body).await;
    let mut client = world.client().await;
    let key = "agent:main:openai-user:ada";
    assert_eq!(turn::history(&mut client, key).await.len(), 4);
}

#[tokio::test]
async fn the_model_list_names_agents_and_no_provider_model() {
    let world = World::start_with(|config| {
        let config = config.set("agents.list", json!([{ "id": "main", "default": true }, { "id": "ops" }]));
        config.set("gateway.http.endpoints.chatCompletions.enabled", json!(true))
    });
    let list = get(&world, "/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["openclaw", "openclaw/default", "openclaw/main", "openclaw/ops"]);
    assert_eq!(get(&world, "/v1/models/openclaw%2Fops").await.json()["id"], "openclaw/ops");
    let unknown = get(&world, "/v1/models/openclaw/nope").await;
    assert_eq!(
        (unknown.status, unknown.json()["error"]["message"].as_str().unwrap().to_owned()),
        (404, "Model 'openclaw/nope' not found.".to_owned())
    );
}

#[tokio::test]
async fn wrong_requests_get_openai_errors() {
    let world = world();
    let invalid = "invalid_request_error";
    let model = "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.";
    let cases = [
        (json!({ "model": "openclaw", "messages": [] }), "Missing user message in `messages`."),
        (json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": "x" }] }), model),
    ];
    for (body, message) in cases {
        let answer = post(&world, "/v1/chat/completions", &body).await;
        assert_eq!((answer.status, answer.json()), (400, openai_error(message, invalid)), "{body}");
    }
    let answer = get(&world, "/v1/chat/completions").await;
    assert_eq!((answer.status, answer.text.as_str()), (405, "Method Not Allowed"));
    assert!(world.fake.requests().is_empty());
}

#[tokio::test]
async fn without_the_secret_nobody_gets_in() {
    let world = world();
    for path in ["/v1/chat/completions", "/v1/models"] {
        for secret in [None, Some("Bearer wrong"), Some("Basic eDp5")] {
            let call = http::client();
            let url = world.gateway.http(path);
            let call = if path.ends_with("models") { call.get(url) } else { call.post(url).json(&hello("x")) };
            let call = secret.into_iter().fold(call, |call, secret| call.header("authorization", secret));
            let answer = Answer::read(call.send().await.unwrap()).await;
            assert_eq!((answer.status, answer.json()), (401, openai_error("Unauthorized", "unauthorized")), "{path}");
        }
    }
}

#[tokio::test]
async fn a_disabled_endpoint_does_not_exist() {
    let world = World::start();
    assert_eq!(post(&world, "/v1/chat/completions", &hello("x")).await.status, 404);
    assert_eq!(get(&world, "/v1/models").await.status, 404);
    let nowhere = get(&world, "/no/such/route").await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn a_failing_provider_is_an_internal_error_without_details() {
    let world = world();
    let answer = post(&world, "/v1/chat/completions", &hello("[[script:error-401]]")).await;
    assert_eq!((answer.status, answer.json()), (500, openai_error("internal error", "api_error")));
    let mut body = hello("[[script:error-401]]");
    body["stream"] = json!(true);
    let answer = post(&world, "/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("Error: internal error"), "{}", answer.text);
    assert_eq!(answer.sse_data().last(), Some(&"[DONE]"));
}

#[tokio::test]
async fn the_run_is_aborted_when_the_caller_goes_away() {
    let world = world();
    let mut body = hello("[[script:endless]] talk");
    body["stream"] = json!(true);
    let call = http::client().post(world.gateway.http("/v1/chat/completions")).header("authorization", bearer());
    let mut response = call.json(&body).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("word1") {
        let chunk = tokio::time::timeout(SOON, response.chunk()).await.expect("text in time").unwrap();
        text += &String::from_utf8_lossy(&chunk.expect("an open stream"));
    }
    drop(response);
    world.fake.wait_for_outcome("talk", Outcome::Dropped, SOON).await;
}

#[tokio::test]
async fn probes_need_no_secret_and_carry_the_safe_headers() {
    let world = World::start();
    for (path, body) in
        [("/health", json!({ "ok": true, "status": "live" })), ("/healthz", json!({ "ok": true, "status": "live" }))]
    {
        let response = http::client().get(world.gateway.http(path)).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(Answer::read(response).await.json(), body, "{path}");
    }
    let ready = http::client().get(world.gateway.http("/readyz")).send().await.unwrap();
    let ready = Answer::read(ready).await;
    assert_eq!((ready.status, &ready.json()["ready"], &ready.json()["failing"]), (200, &json!(true), &json!([])));
    let wrong = http::client().post(world.gateway.http("/health")).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}
