//! HTTP calls to a gateway, as a program on the same machine makes them: no proxy, no redirects, a deadline.

use std::sync::Once;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;

static PROVIDER: Once = Once::new();

pub fn client() -> Client {
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default(); // only a second installation fails
    });
    let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(60)).build().expect("an HTTP client")
}

/// What came back, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        Self { status, content_type, text: response.text().await.expect("a whole body") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text))
    }

    /// The `data:` lines of an event stream.
    pub fn sse_data(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect()
    }
}
