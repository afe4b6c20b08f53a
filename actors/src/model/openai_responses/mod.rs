//! The Responses wire of OpenAI, as LM Studio and others speak it too.
//!
//! Own adapter, because genai 0.7.2 keeps only one of the two ids of a call (`call_…`, not the item's `fc_…`), so that
//! a call cannot be replayed next to the reasoning it came from; it rewrites model ids; it insists on an API key.
//!
//! The server keeps nothing (`store: false`): reasoning travels back as the encrypted item that it gave us.
//! Source: wire rules of 2026.5.12 for `openai-responses`.

mod decoder;
mod request;
#[cfg(test)]
mod tests;

use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::decoder::ResponsesDecoder;
pub use self::request::body;
use super::call::{Call, stream};
use super::error::ModelError;
use super::http::HttpClients;
use super::provider::{ModelStream, Provider, Request, Target};

/// Name of the wire in configuration and transcripts.
pub const API: &str = "openai-responses";

/// `POST <baseUrl>/responses`, streamed.
#[derive(Debug, Clone)]
pub struct Responses {
    clients: HttpClients,
}

impl Responses {
    pub fn new(clients: HttpClients) -> Self {
        Self { clients }
    }
}

impl Provider for Responses {
    fn api(&self) -> &'static str {
        API
    }

    fn stream<'a>(
        &'a self,
        target: &'a Target,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<ModelStream, ModelError>> {
        async move {
            let call = Call { path: "/responses", key_header: None, headers: &[], body: body(target, &request) };
            stream(&self.clients, target, call, ResponsesDecoder::new(target)).await
        }
        .boxed()
    }
}
