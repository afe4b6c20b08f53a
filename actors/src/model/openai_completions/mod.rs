//! The chat-completions wire of OpenAI and of the many servers that imitate it.
//!
//! Own adapter, because genai 0.7.2 does not carry this wire exactly. It holds the finish reason back until `[DONE]`,
//! which half of the imitators never send; it rewrites model ids (suffixes such as `-high`, everything before `::`); it
//! cannot be told about a server's deviations (`requiresStringContent`, `maxTokensField`, …); it refuses to work
//! without an API key, which local servers do not have.
//!
//! Source: wire rules of 2026.5.12 for `openai-completions`.

mod decoder;
mod request;
#[cfg(test)]
mod tests;

use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::decoder::CompletionsDecoder;
pub use self::request::body;
use super::call::{Call, stream};
use super::error::ModelError;
use super::http::HttpClients;
use super::provider::{ModelStream, Provider, Request, Target};

/// Name of the wire in configuration and transcripts.
pub const API: &str = "openai-completions";

/// `POST <baseUrl>/chat/completions`, streamed.
#[derive(Debug, Clone)]
pub struct Completions {
    clients: HttpClients,
}

impl Completions {
    pub fn new(clients: HttpClients) -> Self {
        Self { clients }
    }
}

impl Provider for Completions {
    fn api(&self) -> &'static str {
        API
    }

    fn stream<'a>(
        &'a self,
        target: &'a Target,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<ModelStream, ModelError>> {
        async move {
            let call = Call { path: "/chat/completions", key_header: None, headers: &[], body: body(target, &request) };
            stream(&self.clients, target, call, CompletionsDecoder::new(target)).await
        }
        .boxed()
    }
}
