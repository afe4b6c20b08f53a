//! The one place that makes HTTP clients.
//!
//! Invariants: nothing is built before the first request (a TLS client costs milliseconds and megabytes); a request to
//! this machine never goes through a proxy; a redirect never carries a request to another origin.

#![allow(clippy::disallowed_methods, reason = "this module is where HTTP clients are made")]

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Url};
use rustls::{ClientConfig, RootCertStore};

use super::error::ModelError;

/// Deadline of one connection attempt. There is none for a whole request: an answer may stream for hours, and its
/// silence is measured instead.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const REDIRECTS_MAX: usize = 5;

/// Two lazily built clients; cheap to clone, clones share connections.
#[derive(Debug, Clone, Default)]
pub struct HttpClients {
    shared: Arc<Lazy>,
    /// A redirect is an answer like any other.
    stays: bool,
}

#[derive(Debug, Default)]
struct Lazy {
    /// Honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the process.
    remote: OnceLock<Client>,
    /// For loopback hosts: no proxy.
    local: OnceLock<Client>,
}

impl HttpClients {
    /// Clients that follow no redirect: a post that becomes a read elsewhere has not been taken.
    pub fn without_redirects() -> Self {
        Self { stays: true, ..Self::default() }
    }

    /// The client for requests to `url`. Fails only when TLS cannot be set up.
    pub fn for_url(&self, url: &Url) -> Result<Client, ModelError> {
        let is_local = is_loopback(url);
        let slot = if is_local { &self.shared.local } else { &self.shared.remote };
        if let Some(client) = slot.get() {
            return Ok(client.clone());
        }
        let built = build(is_local, self.stays)?;
        Ok(slot.get_or_init(|| built).clone())
    }
}

/// `base` with `path` after its own path; its query stays (some gateways carry their version there).
pub fn endpoint(base: &str, path: &str) -> Result<Url, ModelError> {
    let unusable = |why: &str| ModelError::Unusable(format!("base URL is not usable: {why}"));
    let mut url = Url::parse(base).map_err(|error| unusable(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("neither http nor https"));
    }
    let joined = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    Ok(url)
}

/// The text of a failed request with its causes, without the URL: that may hold a key.
pub fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Trusts what the operating system trusts; where it trusts nothing (minimal containers), Mozilla's list.
fn build(is_local: bool, stays: bool) -> Result<Client, ModelError> {
    // refused if somebody installed a provider before: then that one is used
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = || if stays { options(is_local).redirect(Policy::none()) } else { options(is_local) };
    options()
        .build()
        .or_else(|_| options().tls_backend_preconfigured(bundled_roots()).build())
        .map_err(|error| ModelError::Unusable(format!("no HTTP client: {}", describe(error))))
}

fn options(is_local: bool) -> ClientBuilder {
    let options = Client::builder()
        .user_agent(concat!("openclaw/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::custom(
            |attempt| {
                if stays_at_its_origin(&attempt) { attempt.follow() } else { attempt.stop() }
            },
        ));
    if is_local { options.no_proxy() } else { options }
}

/// A redirect that is not followed is answered as it is: a 3xx status.
fn stays_at_its_origin(attempt: &Attempt<'_>) -> bool {
    let previous = attempt.previous();
    previous.len() <= REDIRECTS_MAX && previous.iter().all(|url| url.origin() == attempt.url().origin())
}

fn bundled_roots() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_goes_after_the_base_and_before_its_query() {
        for (base, expected) in [
            ("https://api.acme.dev/v1", "https://api.acme.dev/v1/chat"),
            ("https://api.acme.dev/v1/", "https://api.acme.dev/v1/chat"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/chat"),
            ("https://acme.dev/x?api-version=3", "https://acme.dev/x/chat?api-version=3"),
        ] {
            assert_eq!(endpoint(base, "/chat").unwrap().as_str(), expected);
        }
        assert!(matches!(endpoint("api.acme.dev/v1", "/chat"), Err(ModelError::Unusable(_))));
        assert!(matches!(endpoint("ftp://acme.dev", "/chat"), Err(ModelError::Unusable(_))));
    }

    #[test]
    fn only_this_machine_is_reached_without_a_proxy() {
        for (url, expected) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.9/", true),
            ("http://[::1]:8080/", true),
            ("http://192.168.1.2/", false),
            ("https://localhost.acme.dev/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_client_can_be_built_without_the_certificates_of_the_system() {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have been first
        assert!(options(false).tls_backend_preconfigured(bundled_roots()).build().is_ok());
    }
}
