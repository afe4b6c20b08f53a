//! What answers when nothing is configured: a model server on this machine if there is one, else a built-in echo.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use reqwest::{Client, Url};
use serde_json::Value;

use super::answer::Answer;
use super::catalogue::{CONTEXT_WINDOW_DEFAULT, IDLE_DEFAULT, MAX_TOKENS_DEFAULT};
use super::error::ModelError;
use super::http::{HttpClients, endpoint};
use super::message::{Message, Part, StopReason};
use super::openai_completions;
use super::provider::{Delta, ModelStream, Provider, Request, Target};
use crate::config::settings::{ModelCompat, ModelCost};

/// Wire of the echo.
pub const ECHO: &str = "echo";
/// Where Ollama and LM Studio listen unless told otherwise.
pub const OLLAMA_URL: &str = "http://127.0.0.1:11434";
pub const LM_STUDIO_URL: &str = "http://127.0.0.1:1234";

/// Longest wait for both servers: nobody notices it, and a server on this machine needs a fraction.
const DETECTION_WAIT: Duration = Duration::from_millis(300);
/// Largest list of models that is read, bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

const NOT_CONFIGURED: &str = "No model is configured yet, so this is only an echo.\n\n\
    To get real answers, set an API key such as ANTHROPIC_API_KEY or OPENAI_API_KEY and restart, \
    name a model with `openclaw config set agents.defaults.model`, or start Ollama or LM Studio on this machine.";

/// Answers with how to configure a model and with what was said. Never fails, needs no network.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl Provider for Echo {
    fn api(&self) -> &'static str {
        ECHO
    }

    fn stream<'a>(
        &'a self,
        target: &'a Target,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<ModelStream, ModelError>> {
        let chunks = echo(request.messages);
        let mut answer = Answer::new(ECHO, target);
        answer.parts.push(Part::text(chunks.concat()));
        answer.stop = Some(StopReason::Stop);
        let done = answer.finish().map(|message| Delta::Done(Box::new(message)));
        let deltas = chunks.into_iter().map(Delta::Text).chain(done).map(Ok);
        futures::future::ready(Ok(stream::iter(deltas.collect::<Vec<_>>()).boxed())).boxed()
    }
}

/// The answer in the pieces that it is streamed in.
fn echo(messages: &[Message]) -> Vec<String> {
    let last = messages.iter().rfind(|message| matches!(message, Message::User(_)));
    let said = last.map(Message::text).unwrap_or_default();
    let mut chunks = vec![NOT_CONFIGURED.to_owned()];
    if !said.trim().is_empty() {
        chunks.push("\n\nYou said: ".to_owned());
        chunks.push(said.trim().to_owned());
    }
    chunks
}

/// The target whose provider is the echo: `local/echo`.
pub fn echo_target() -> Target {
    target("local", "echo".to_owned(), ECHO, String::new())
}

/// The first model of a server on this machine, Ollama before LM Studio; `None` when neither answers in time.
///
/// The arguments are the addresses without `/v1`, such as `OLLAMA_URL`.
pub async fn detect(clients: &HttpClients, ollama_url: &str, lm_studio_url: &str) -> Option<Target> {
    detect_within(DETECTION_WAIT, clients, ollama_url, lm_studio_url).await
}

async fn detect_within(wait: Duration, clients: &HttpClients, ollama_url: &str, lm_studio_url: &str) -> Option<Target> {
    let ask = async |provider: &str, base_url: &str| {
        // building the client is not the server's time
        let url = endpoint(base_url, "/v1/models").ok()?;
        let client = clients.for_url(&url).ok()?;
        let model = tokio::time::timeout(wait, first_model(client, url)).await.ok()??;
        let base_url = format!("{}/v1", base_url.trim_end_matches('/'));
        Some(target(provider, model, openai_completions::API, base_url))
    };
    let (ollama, lm_studio) = futures::join!(ask("ollama", ollama_url), ask("lmstudio", lm_studio_url));
    ollama.or(lm_studio)
}

async fn first_model(client: Client, url: Url) -> Option<String> {
    let response = client.get(url).send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let mut chunks = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.ok()?);
        if body.len() > LIST_BYTES_MAX {
            return None;
        }
    }
    chat_model(&serde_json::from_slice(&body).ok()?)
}

/// The first of the list that is not for embeddings.
fn chat_model(list: &Value) -> Option<String> {
    let mut ids = list["data"].as_array()?.iter().filter_map(|model| model["id"].as_str());
    ids.find(|id| !id.is_empty() && !id.contains("embed")).map(str::to_owned)
}

fn target(provider: &str, model: String, api: &str, base_url: String) -> Target {
    Target {
        provider: provider.to_owned(),
        model,
        api: api.to_owned(),
        base_url,
        api_key: None,
        auth_header: false,
        headers: BTreeMap::new(),
        reasoning: false,
        images: false,
        cost: ModelCost::default(),
        context_window: CONTEXT_WINDOW_DEFAULT,
        max_tokens: MAX_TOKENS_DEFAULT,
        // both servers know the older name; only LM Studio knows the newer
        compat: ModelCompat { max_tokens_field: Some("max_tokens".to_owned()), ..ModelCompat::default() },
        idle: IDLE_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fake_server::{Answer, FakeServer};
    use crate::model::samples::{request, user};

    #[tokio::test]
    async fn the_echo_says_what_is_missing_and_repeats_the_last_message() {
        let messages = [user("first"), user(" hello ")];
        let stream = Echo.stream(&echo_target(), request(&messages, &[])).await.unwrap();
        let deltas: Vec<Delta> = stream.map(Result::unwrap).collect().await;
        let text: String =
            deltas.iter().filter_map(|d| if let Delta::Text(text) = d { Some(text.as_str()) } else { None }).collect();
        assert_eq!(text, format!("{NOT_CONFIGURED}\n\nYou said: hello"));
        let Some(Delta::Done(message)) = deltas.last() else { panic!("{deltas:?}") };
        assert_eq!((deltas.len(), message.stop_reason), (4, StopReason::Stop));
        assert_eq!(Message::Assistant((**message).clone()).text(), text);
    }

    #[test]
    fn embedding_models_do_not_chat() {
        let list = json!({"data": [{"id": "text-embedding-nomic"}, {"id": "qwen3:8b"}, {"id": "other"}]});
        assert_eq!(chat_model(&list).as_deref(), Some("qwen3:8b"));
        assert_eq!(chat_model(&json!({"data": []})), None);
        assert_eq!(chat_model(&json!([])), None);
    }

    const LIST: &str = r#"{"object":"list","data":[{"id":"qwen3:8b","object":"model"}]}"#;

    #[tokio::test]
    async fn a_server_on_this_machine_is_found() {
        let (clients, server) = (HttpClients::default(), FakeServer::start(Answer::json(200, LIST)).await);
        let silent = FakeServer::start(Answer::silence()).await;
        let refused = "http://127.0.0.1:1";
        let (patient, hasty) = (Duration::from_secs(10), Duration::from_millis(50));
        let found = detect_within(patient, &clients, &server.url, refused).await.unwrap();
        assert_eq!((found.provider.as_str(), found.model.as_str()), ("ollama", "qwen3:8b"));
        assert_eq!(found.base_url, format!("{}/v1", server.url));
        assert!(server.requests().await[0].starts_with("GET /v1/models "));
        let found = detect_within(patient, &clients, refused, &server.url).await.unwrap();
        assert_eq!(found.provider, "lmstudio");
        assert!(detect_within(hasty, &clients, refused, &silent.url).await.is_none());
    }
}
