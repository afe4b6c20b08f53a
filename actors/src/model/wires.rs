//! Which wires we speak, and which adapter speaks which.

use std::sync::Arc;

use super::http::HttpClients;
use super::local::Echo;
use super::provider::Provider;
use super::{anthropic_messages, local, openai_completions, openai_responses};

/// The adapter of a wire by its name in `Target::api`.
pub fn provider_for(api: &str, clients: &HttpClients) -> Option<Arc<dyn Provider>> {
    match api {
        openai_completions::API => Some(Arc::new(openai_completions::Completions::new(clients.clone()))),
        openai_responses::API => Some(Arc::new(openai_responses::Responses::new(clients.clone()))),
        anthropic_messages::API => Some(Arc::new(anthropic_messages::Messages::new(clients.clone()))),
        local::ECHO => Some(Arc::new(Echo)),
        _ => None,
    }
}

/// The wire and base URL that we use for what the configuration says; `None` for a wire that we do not speak.
///
/// Differs: `ollama` and `google-generative-ai` are reached over the chat-completions endpoints that these servers
/// offer beside their own, so that their configuration works before they have adapters.
pub fn spoken(api: &str, base_url: &str) -> Option<(&'static str, String)> {
    let base = base_url.trim_end_matches('/');
    match api {
        openai_completions::API => Some((openai_completions::API, base.to_owned())),
        openai_responses::API => Some((openai_responses::API, base.to_owned())),
        anthropic_messages::API => Some((anthropic_messages::API, base.to_owned())),
        "ollama" => Some((openai_completions::API, with_suffix(base, "/v1"))),
        "google-generative-ai" => Some((openai_completions::API, with_suffix(base, "/openai"))),
        _ => None,
    }
}

fn with_suffix(base: &str, suffix: &str) -> String {
    if base.ends_with(suffix) { base.to_owned() } else { format!("{base}{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_that_is_spoken_has_its_adapter() {
        for (api, base, expected) in [
            ("openai-completions", "https://a.dev/v1/", Some(("openai-completions", "https://a.dev/v1"))),
            ("openai-responses", "https://a.dev/v1", Some(("openai-responses", "https://a.dev/v1"))),
            ("anthropic-messages", "https://a.dev", Some(("anthropic-messages", "https://a.dev"))),
            ("ollama", "http://127.0.0.1:11434", Some(("openai-completions", "http://127.0.0.1:11434/v1"))),
            ("ollama", "http://127.0.0.1:11434/v1", Some(("openai-completions", "http://127.0.0.1:11434/v1"))),
            (
                "google-generative-ai",
                "https://g.dev/v1beta",
                Some(("openai-completions", "https://g.dev/v1beta/openai")),
            ),
            ("bedrock-converse-stream", "https://a.dev", None),
        ] {
            let found = spoken(api, base);
            assert_eq!(found, expected.map(|(api, base)| (api, base.to_owned())), "{api} {base}");
            if let Some((api, _)) = found {
                assert_eq!(provider_for(api, &HttpClients::default()).unwrap().api(), api);
            }
        }
        assert!(provider_for("smoke-signals", &HttpClients::default()).is_none());
    }
}
