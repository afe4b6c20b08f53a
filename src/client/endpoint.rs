//! Which gateway a client command talks to, and with which credentials.
//!
//! An address that was named for one call (flag or environment) never gets a stored credential, only what stands beside it on the
//! command line; and no credential leaves this host over a plain socket unless somebody allowed it.
//! Source: command line specification, precedence.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

use super::run_file::RunFile;

/// A gateway and the credentials for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `ws://…` or `wss://…`
    pub url: String,
    pub source: UrlSource,
    pub token: Option<String>,
    pub password: Option<String>,
    /// Sent only by a connection with a device.
    pub device_token: Option<String>,
}

/// Where the address came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlSource {
    Flag,
    Environment,
    Remote,
    Loopback,
}

impl UrlSource {
    /// What `Source:` and `urlSource` show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "cli --url",
            Self::Environment => "env OPENCLAW_GATEWAY_URL",
            Self::Remote => "config gateway.remote.url",
            Self::Loopback => "local loopback",
        }
    }

    fn is_override(self) -> bool {
        matches!(self, Self::Flag | Self::Environment)
    }
}

/// A token and a password from one source; empty ones count as absent.
#[derive(Clone, Copy, Default)]
pub struct GivenCredentials<'a> {
    pub token: Option<&'a str>,
    pub password: Option<&'a str>,
}

/// Everything that decides, already read.
#[derive(Clone, Copy, Default)]
pub struct EndpointInputs<'a> {
    /// `--url`
    pub flag_url: Option<&'a str>,
    /// `--token`, `--password`
    pub flags: GivenCredentials<'a>,
    /// `OPENCLAW_GATEWAY_URL`
    pub env_url: Option<&'a str>,
    /// `OPENCLAW_GATEWAY_TOKEN`, `OPENCLAW_GATEWAY_PASSWORD`
    pub env: GivenCredentials<'a>,
    /// `OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1`
    pub allow_private_plain: bool,
    /// `gateway.mode` is `remote`.
    pub remote_mode: bool,
    /// `gateway.remote.url`
    pub remote_url: Option<&'a str>,
    /// `gateway.remote.*`
    pub remote: GivenCredentials<'a>,
    /// `gateway.auth.*`, references resolved.
    pub auth: GivenCredentials<'a>,
    /// The local gateway's port: flag, environment, configuration, default.
    pub port: u16,
    /// `gateway.tls.enabled`
    pub tls: bool,
    /// The note of a living gateway.
    pub run_file: Option<&'a RunFile>,
    /// The stored token of this device.
    pub device_token: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The command line adds how to fix it.
    #[error("gateway url override requires explicit credentials")]
    NoCredentials,
    #[error("gateway.mode is remote, but gateway.remote.url is not set")]
    NoRemoteUrl,
    #[error("{0:?} is no gateway address: use ws://host:port or wss://host:port, without a user name")]
    BadUrl(String),
    #[error("refusing plain ws:// to {0}: use wss://, or OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1 for a private address")]
    Plain(String),
}

impl Endpoint {
    pub fn resolve(inputs: &EndpointInputs<'_>) -> Result<Self, EndpointError> {
        let (url, source) = address(inputs)?;
        check(&url, inputs.allow_private_plain)?;
        let explicit = present(inputs.flags);
        let is_explicit = explicit.token.is_some() || explicit.password.is_some();
        if source.is_override() && !is_explicit {
            return Err(EndpointError::NoCredentials);
        }
        let order: &[GivenCredentials<'_>] = match source {
            _ if is_explicit => &[inputs.flags],
            UrlSource::Remote => &[inputs.remote, inputs.env, inputs.auth],
            _ => &[inputs.env, inputs.auth, inputs.remote, of_run(inputs)],
        };
        let first = |pick: fn(GivenCredentials<'_>) -> Option<&str>| {
            order.iter().find_map(|given| pick(present(*given))).map(str::to_owned)
        };
        let (token, password) = (first(|given| given.token), first(|given| given.password));
        let is_last_resort = source == UrlSource::Loopback && token.is_none() && password.is_none();
        let device_token = inputs.device_token.filter(|_| is_last_resort).map(str::to_owned);
        Ok(Self { url, source, token, password, device_token })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).field("source", &self.source).finish_non_exhaustive()
    }
}

fn address(inputs: &EndpointInputs<'_>) -> Result<(String, UrlSource), EndpointError> {
    let present = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(url) = present(inputs.flag_url) {
        return Ok((url, UrlSource::Flag));
    }
    if let Some(url) = present(inputs.env_url) {
        return Ok((url, UrlSource::Environment));
    }
    if inputs.remote_mode {
        let url = present(inputs.remote_url).ok_or(EndpointError::NoRemoteUrl)?;
        return Ok((url, UrlSource::Remote));
    }
    let scheme = if inputs.tls { "wss" } else { "ws" };
    Ok((format!("{scheme}://127.0.0.1:{}", inputs.port), UrlSource::Loopback))
}

fn present(given: GivenCredentials<'_>) -> GivenCredentials<'_> {
    let some = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
    GivenCredentials {
        token: given.token.filter(|_| some(given.token)),
        password: given.password.filter(|_| some(given.password)),
    }
}

/// The note's token belongs to its own port only.
fn of_run<'a>(inputs: &EndpointInputs<'a>) -> GivenCredentials<'a> {
    let note = inputs.run_file.filter(|note| note.port == inputs.port);
    GivenCredentials { token: note.and_then(|note| note.token.as_deref()), password: None }
}

fn check(text: &str, allow_private_plain: bool) -> Result<(), EndpointError> {
    let bad = || EndpointError::BadUrl(hide_user(text));
    let url = Url::parse(text).map_err(|_| bad())?;
    let host = url.host().ok_or_else(bad)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    match url.scheme() {
        "wss" => Ok(()),
        "ws" if is_loopback(&host) || (allow_private_plain && is_private(&host)) => Ok(()),
        "ws" => Err(EndpointError::Plain(host.to_string())),
        _ => Err(bad()),
    }
}

/// What stands before an `@` may be a secret.
fn hide_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("***@{rest}"),
        None => text.to_owned(),
    }
}

fn ip_of(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip).to_canonical()),
        Host::Domain(_) => None,
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    matches!(host, Host::Domain("localhost")) || ip_of(host).is_some_and(|ip| ip.is_loopback())
}

fn is_private(host: &Host<&str>) -> bool {
    match ip_of(host) {
        Some(IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local() || is_tailnet(ip),
        Some(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        None => false,
    }
}

/// 100.64.0.0/10
fn is_tailnet(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: &str) -> GivenCredentials<'_> {
        GivenCredentials { token: Some(token), password: None }
    }

    fn local<'a>() -> EndpointInputs<'a> {
        EndpointInputs { port: 18_789, ..EndpointInputs::default() }
    }

    /// Url, source and token of what these inputs resolve to.
    fn resolved(inputs: EndpointInputs<'_>) -> (String, &'static str, Option<String>) {
        let endpoint = Endpoint::resolve(&inputs).unwrap();
        (endpoint.url, endpoint.source.as_str(), endpoint.token)
    }

    #[test]
    fn the_address_follows_flag_environment_remote_loopback() {
        let remote = EndpointInputs { remote_mode: true, remote_url: Some("wss://far"), ..local() };
        let env = EndpointInputs { env_url: Some("wss://env"), flags: token("t"), ..remote };
        let flag = EndpointInputs { flag_url: Some("wss://flag"), ..env };
        let tls = EndpointInputs { tls: true, ..local() };
        let cases = [
            (local(), "ws://127.0.0.1:18789", "local loopback"),
            (tls, "wss://127.0.0.1:18789", "local loopback"),
            (remote, "wss://far", "config gateway.remote.url"),
            (env, "wss://env", "env OPENCLAW_GATEWAY_URL"),
            (flag, "wss://flag", "cli --url"),
        ];
        for (inputs, url, source) in cases {
            let (found, from, _) = resolved(inputs);
            assert_eq!((found.as_str(), from), (url, source));
        }
    }

    #[test]
    fn each_credential_has_its_turn() {
        let note = RunFile { pid: 1, start_time: 1, port: 18_789, url: String::new(), token: Some("run".into()) };
        let mut inputs = EndpointInputs {
            flags: token("flag"),
            env: token("env"),
            auth: token("auth"),
            remote: token("remote"),
            run_file: Some(&note),
            device_token: Some("device"),
            ..local()
        };
        let found = |inputs: &EndpointInputs<'_>| resolved(*inputs).2;
        assert_eq!(found(&inputs).as_deref(), Some("flag"));
        inputs.flags = token("");
        assert_eq!(found(&inputs).as_deref(), Some("env"));
        inputs.env = GivenCredentials::default();
        assert_eq!(found(&inputs).as_deref(), Some("auth"));
        inputs.auth = GivenCredentials::default();
        assert_eq!(found(&inputs).as_deref(), Some("remote"));
        inputs.remote = GivenCredentials::default();
        assert_eq!(found(&inputs).as_deref(), Some("run"));
        inputs.port = 1;
        let last = Endpoint::resolve(&inputs).unwrap();
        assert_eq!((last.token, last.device_token.as_deref()), (None, Some("device")), "the note is of another port");
    }

    #[test]
    fn remote_mode_prefers_the_remote_keys_and_never_sends_local_notes() {
        let note = RunFile { pid: 1, start_time: 1, port: 18_789, url: String::new(), token: Some("run".into()) };
        let mut inputs = EndpointInputs {
            remote_mode: true,
            remote_url: Some("wss://far"),
            remote: token("remote"),
            env: token("env"),
            run_file: Some(&note),
            device_token: Some("device"),
            ..local()
        };
        assert_eq!(resolved(inputs).2.as_deref(), Some("remote"));
        inputs.remote = GivenCredentials::default();
        assert_eq!(resolved(inputs).2.as_deref(), Some("env"));
        inputs.env = GivenCredentials::default();
        let endpoint = Endpoint::resolve(&inputs).unwrap();
        assert_eq!((endpoint.token, endpoint.device_token), (None, None));
        inputs.remote_url = None;
        assert_eq!(Endpoint::resolve(&inputs), Err(EndpointError::NoRemoteUrl));
    }

    #[test]
    fn an_override_never_gets_a_stored_credential() {
        let stored = EndpointInputs { env: token("env"), auth: token("auth"), device_token: Some("device"), ..local() };
        let by_flag = EndpointInputs { flag_url: Some("wss://x"), ..stored };
        let by_env = EndpointInputs { env_url: Some("wss://x"), ..stored };
        for inputs in [by_flag, by_env] {
            assert_eq!(Endpoint::resolve(&inputs), Err(EndpointError::NoCredentials));
            let password = GivenCredentials { token: None, password: Some("mine") };
            let endpoint = Endpoint::resolve(&EndpointInputs { flags: password, ..inputs }).unwrap();
            assert_eq!((endpoint.token, endpoint.device_token), (None, None));
            assert_eq!(endpoint.password.as_deref(), Some("mine"));
        }
    }

    #[test]
    fn plain_sockets_stay_on_this_host_unless_private_ones_are_allowed() {
        let cases = [
            ("ws://localhost:1", false, true),
            ("ws://[::1]:1", false, true),
            ("ws://127.8.9.10:1", false, true),
            ("ws://[::ffff:127.0.0.1]:1", false, true),
            ("ws://localhost.evil:1", true, false),
            ("ws://0.0.0.0:1", true, false),
            ("ws://192.168.1.2:1", false, false),
            ("ws://192.168.1.2:1", true, true),
            ("ws://100.100.1.1:1", true, true),
            ("ws://100.128.1.1:1", true, false),
            ("ws://[fd00::1]:1", true, true),
            ("ws://8.8.8.8:1", true, false),
            ("ws://example.org", true, false),
            ("wss://example.org", false, true),
            ("wss://user:canary@example.org", false, false),
            ("http://127.0.0.1:1", false, false),
            ("nonsense", false, false),
        ];
        for (text, allow, expected) in cases {
            let result = check(text, allow);
            assert_eq!(result.is_ok(), expected, "{text} {allow}");
            assert!(!format!("{result:?}").contains("canary"));
        }
    }

    #[test]
    fn debug_output_shows_no_credential() {
        let endpoint = Endpoint::resolve(&EndpointInputs { flags: token("canary"), ..local() }).unwrap();
        assert!(!format!("{endpoint:?}").contains("canary"));
    }
}
