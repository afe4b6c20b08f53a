//! The Messages wire of Anthropic, as several other providers speak it too.
//!
//! Own adapter, because genai 0.7.2 drops `is_error` of tool results, so that the model takes a failure for an answer;
//! it fails on a delta kind that it does not know, where this wire promises new kinds; it rewrites model ids; it
//! insists on an API key.
//!
//! Source: wire rules of 2026.5.12 for `anthropic-messages`.

mod decoder;
mod request;
#[cfg(test)]
mod tests;

use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::decoder::MessagesDecoder;
pub use self::request::body;
use super::call::{Call, stream};
use super::error::ModelError;
use super::http::HttpClients;
use super::provider::{ModelStream, Provider, Request, Target};

/// Name of the wire in configuration and transcripts.
pub const API: &str = "anthropic-messages";

/// `POST <baseUrl>/v1/messages`, streamed.
#[derive(Debug, Clone)]
pub struct Messages {
    clients: HttpClients,
}

impl Messages {
    pub fn new(clients: HttpClients) -> Self {
        Self { clients }
    }
}

impl Provider for Messages {
    fn api(&self) -> &'static str {
        API
    }

    fn stream<'a>(
        &'a self,
        target: &'a Target,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<ModelStream, ModelError>> {
        async move {
            let call = Call {
                path: path(&target.base_url),
                key_header: Some("x-api-key"),
                headers: &[("anthropic-version", "2023-06-01")],
                body: body(target, &request),
            };
            stream(&self.clients, target, call, MessagesDecoder::new(target)).await
        }
        .boxed()
    }
}

/// Base URLs are written with and without the version.
fn path(base_url: &str) -> &'static str {
    if base_url.trim_end_matches('/').ends_with("/v1") { "/messages" } else { "/v1/messages" }
}
