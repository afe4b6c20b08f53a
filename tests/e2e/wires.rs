//! The three wires to model providers: what is sent, what is read, and that a conversation survives on each.
//!
//! Source: agent runtime, wire rules per API.

use serde_json::{Value, json};

use crate::World;
use crate::fake_provider::{Request, Script};
use crate::harness::SOON;
use crate::harness::turn::{end_of, history, say, send, text_of};

const APIS: [&str; 3] = ["openai-completions", "openai-responses", "anthropic-messages"];
const ANSWER: &str = "Hello from the fake provider.";

/// A gateway that speaks `api` to the fake; the Anthropic wire counts its base URL without `/v1`.
fn world(api: &str) -> World {
    World::start_with(|config| {
        let url = config.get("models.providers.fake.baseUrl").as_str().unwrap().to_owned();
        let url = if api == "anthropic-messages" { url.trim_end_matches("/v1").to_owned() } else { url };
        let config = config.set("models.providers.fake.baseUrl", json!(url));
        config.set("models.providers.fake.api", json!(api))
    })
}

fn check_request(request: &Request) {
    let (body, headers) = (&request.body, &request.headers);
    assert_eq!((&body["stream"], &body["model"]), (&json!(true), &json!("fake-1")));
    match request.wire {
        "openai-completions" => {
            assert_eq!(headers["authorization"], "Bearer fake-key");
            assert_eq!(body["stream_options"]["include_usage"], true);
            assert!(body["max_completion_tokens"].is_u64(), "{body}");
            assert_eq!(body["messages"][0]["role"], "system");
        }
        "openai-responses" => {
            assert_eq!(headers["authorization"], "Bearer fake-key");
            assert_eq!(body["store"], false);
        }
        _ => {
            assert_eq!(headers["x-api-key"], "fake-key");
            assert!(headers["anthropic-version"].is_string() && body["max_tokens"].is_u64(), "{body}");
            let system = body["system"].as_array().expect("system blocks");
            assert_eq!(system.last().unwrap()["cache_control"]["type"], "ephemeral");
            let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|m| m["role"].clone()).collect();
            assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "roles must alternate: {roles:?}");
        }
    }
}

#[tokio::test]
async fn text_usage_and_request_are_right_on_each_wire() {
    for api in APIS {
        let world = world(api);
        let mut client = world.client().await;
        assert_eq!(say(&mut client, "main", "hello").await, ANSWER, "{api}");
        assert_eq!(say(&mut client, "main", "and again").await, ANSWER, "{api}");
        let requests = world.fake.requests();
        assert_eq!(requests.len(), 2, "{api}");
        for request in &requests {
            assert_eq!(request.wire, api);
            check_request(request);
        }
        let messages = history(&mut client, "main").await;
        let reply = messages.last().unwrap();
        assert_eq!(reply["api"], api);
        let usage = &reply["usage"];
        let counts = ["input", "output", "cacheRead"].map(|key| usage[key].as_u64().unwrap());
        assert_eq!(counts, [100, 6, 20], "{api}: {usage}");
    }
}

/// The results that a request brings back, as (call id, text), and the ids of the calls it repeats.
fn calls_and_results(api: &str, body: &Value) -> (Vec<String>, Vec<(String, String)>) {
    let id = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = body.get("messages").or(body.get("input")).and_then(Value::as_array).unwrap().clone();
    match api {
        "openai-completions" => {
            let calls = list.iter().filter_map(|m| m["tool_calls"].as_array()).flatten().map(|call| id(&call["id"]));
            let results = list.iter().filter(|message| message["role"] == "tool");
            (calls.collect(), results.map(|m| (id(&m["tool_call_id"]), text_of(m))).collect())
        }
        "openai-responses" => {
            let of = |kind: &'static str| list.iter().filter(move |item| item["type"] == kind);
            let calls = of("function_call").map(|item| id(&item["call_id"]));
            let results = of("function_call_output").map(|item| (id(&item["call_id"]), item["output"].to_string()));
            (calls.collect(), results.collect())
        }
        _ => {
            let blocks: Vec<_> = list.iter().filter_map(|m| m["content"].as_array()).flatten().collect();
            let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
            let results = of("tool_result").map(|block| (id(&block["tool_use_id"]), block["content"].to_string()));
            (of("tool_use").map(|block| id(&block["id"])).collect(), results.collect())
        }
    }
}

#[tokio::test]
async fn tool_calls_make_the_round_trip_on_each_wire() {
    for api in APIS {
        let world = world(api);
        let mut client = world.client().await;
        let text = say(&mut client, "main", "[[script:tools]] both").await;
        assert!(text.ends_with(ANSWER), "{api}: {text}");
        let requests = world.fake.requests();
        assert_eq!(requests.len(), 2, "{api}");
        check_request(&requests[1]);
        let (calls, results) = calls_and_results(api, &requests[1].body);
        let answered: Vec<_> = results.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!((calls.len(), &calls), (2, &answered), "{api}: each call has its result, in order");
        assert!(results[0].1.contains("fake/fake-1"), "{api}: {results:?}");
    }
}

#[tokio::test]
async fn characters_and_events_cut_anywhere_are_put_together_on_each_wire() {
    for api in APIS {
        let world = world(api);
        let mut client = world.client().await;
        assert_eq!(say(&mut client, "main", "[[script:utf8]]").await, "Grüße 🦞🦀 終わり", "{api}");
    }
}

#[tokio::test]
async fn reasoning_is_no_part_of_the_answer_and_comes_back_where_the_wire_wants_it() {
    for api in APIS {
        let world = world(api);
        let mut client = world.client().await;
        assert_eq!(say(&mut client, "main", "[[script:thinking]] first").await, ANSWER, "{api}");
        assert_eq!(say(&mut client, "main", "second").await, ANSWER, "{api}");
        let body = world.fake.bodies_about("second")[0].to_string();
        match api {
            "openai-responses" => assert!(body.contains("b3BhcXVl"), "the encrypted reasoning is replayed: {body}"),
            "anthropic-messages" => assert!(body.contains("c2lnbmF0dXJl"), "the signature is replayed: {body}"),
            _ => {}
        }
        let messages = history(&mut client, "main").await;
        let thought = messages[1]["content"].as_array().unwrap().iter().find(|part| part["type"] == "thinking");
        assert_eq!(thought.unwrap()["thinking"], "Let me think.", "{api}");
    }
}

#[tokio::test]
async fn an_answer_without_any_text_is_no_success() {
    for api in APIS {
        let world = world(api);
        let mut client = world.client().await;
        world.fake.push(Script { text: vec![String::new()], ..Script::default() });
        world.fake.push(Script { text: vec![String::new()], ..Script::default() });
        let run = send(&mut client, "main", "say nothing").await;
        let end = end_of(&mut client, &run, SOON).await;
        let text = end["errorMessage"].as_str().unwrap_or_default();
        assert!(end["state"] == "error" && text.contains("couldn't generate a response"), "{api}: {end}");
    }
}

#[tokio::test]
async fn the_configured_depth_of_thinking_reaches_the_model() {
    let world = World::start_with(|config| config.set("agents.defaults.thinkingDefault", json!("high")));
    let mut client = world.client().await;
    say(&mut client, "main", "think about it").await;
    let sent = world.fake.bodies_about("think about it")[0].to_string();
    assert!(sent.contains("thinking=high"), "{sent}");
}
