//! Which gateway a client command talks to, and with which credentials.
//!
//! Invariant: an address from a flag or from the environment never gets a stored credential; only what stands beside it on the
//! command line. Source: command line specification §1.3, with its rule for `--url` from the seed documents.

use std::net::IpAddr;

use url::{Host, Url};

use super::keys::GatewayKeys;

/// What the command line says about the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags<'a> {
    pub url: Option<&'a str>,
    pub token: Option<&'a str>,
    pub password: Option<&'a str>,
    pub port: Option<u16>,
}

/// What the environment says; empty values are absent.
#[derive(Clone, Copy, Default)]
pub struct Variables<'a> {
    pub url: Option<&'a str>,
    pub port: Option<u16>,
    pub token: Option<&'a str>,
    pub password: Option<&'a str>,
    /// `OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1`
    pub insecure_private: bool,
}

/// Where the address came from; the text is what `Source:` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    Remote,
    Loopback,
}

impl Source {
    pub fn text(self) -> &'static str {
        match self {
            Self::Flag => "cli --url",
            Self::Environment => "env OPENCLAW_GATEWAY_URL",
            Self::Remote => "config gateway.remote.url",
            Self::Loopback => "local loopback",
        }
    }

    /// An address that a person named for this one call.
    pub fn is_override(self) -> bool {
        matches!(self, Self::Flag | Self::Environment)
    }
}

/// One gateway and what to show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub url: String,
    pub source: Source,
    pub token: Option<String>,
    pub password: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({} from {:?})", self.url, self.source)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("gateway url override requires explicit credentials")]
    NoCredentials,
    #[error("gateway.mode is remote, but gateway.remote.url is not set")]
    NoRemoteUrl,
    #[error("\"{0}\" is no gateway address: use ws://host:port or wss://host:port")]
    BadUrl(String),
    #[error(
        "refusing plain ws:// to {0}: use wss://, an SSH tunnel, or OPENCLAW_ALLOW_INSECURE_PRIVATE_WS=1 for a private address"
    )]
    Plain(String),
}

/// Resolves address and credentials. `port_default` is the profile's.
pub fn resolve(
    flags: Flags<'_>,
    env: Variables<'_>,
    keys: &GatewayKeys,
    port_default: u16,
) -> Result<Target, TargetError> {
    let (url, source) = address(flags, env, keys, port_default)?;
    check(&url, env.insecure_private)?;
    let (token, password) = credentials(flags, env, keys, source);
    if source.is_override() && token.is_none() && password.is_none() && !keys.auth_is_none() {
        return Err(TargetError::NoCredentials);
    }
    Ok(Target { url, source, token, password })
}

/// The port of the local gateway: flag, environment, configuration, default.
pub fn port(flag: Option<u16>, env: Option<u16>, keys: &GatewayKeys, port_default: u16) -> u16 {
    flag.or(env).or(keys.port).unwrap_or(port_default)
}

fn address(
    flags: Flags<'_>,
    env: Variables<'_>,
    keys: &GatewayKeys,
    port_default: u16,
) -> Result<(String, Source), TargetError> {
    if let Some(url) = flags.url {
        return Ok((url.to_owned(), Source::Flag));
    }
    if flags.port.is_none() {
        if let Some(url) = env.url {
            return Ok((url.to_owned(), Source::Environment));
        }
        if keys.remote_mode {
            let url = keys.remote_url.clone().ok_or(TargetError::NoRemoteUrl)?;
            return Ok((url, Source::Remote));
        }
    }
    let scheme = if keys.tls { "wss" } else { "ws" };
    Ok((format!("{scheme}://127.0.0.1:{}", port(flags.port, env.port, keys, port_default)), Source::Loopback))
}

/// Flags alone when there are any, or when the address is an override; else the order of the target's kind.
fn credentials(
    flags: Flags<'_>,
    env: Variables<'_>,
    keys: &GatewayKeys,
    source: Source,
) -> (Option<String>, Option<String>) {
    let own = |value: Option<&str>| value.map(str::to_owned);
    if source.is_override() || flags.token.is_some() || flags.password.is_some() {
        return (own(flags.token), own(flags.password));
    }
    let first = |local: [Option<&str>; 3], remote: [Option<&str>; 3]| {
        let order = if source == Source::Remote { remote } else { local };
        own(order.into_iter().flatten().next())
    };
    let (auth, remote) = (keys.token.as_deref(), keys.remote_token.as_deref());
    let token = first([env.token, auth, remote], [remote, env.token, auth]);
    let (auth, remote) = (keys.password.as_deref(), keys.remote_password.as_deref());
    let password = first([env.password, auth, remote], [remote, env.password, auth]);
    (token, password)
}

fn check(text: &str, insecure_private: bool) -> Result<(), TargetError> {
    let bad = || TargetError::BadUrl(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let host = url.host().ok_or_else(bad)?;
    match url.scheme() {
        "wss" => Ok(()),
        "ws" if is_loopback(&host) || (insecure_private && is_private(&host)) => Ok(()),
        "ws" => Err(TargetError::Plain(host.to_string())),
        _ => Err(bad()),
    }
}

fn address_of(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(*ip), IpAddr::V4)),
        Host::Domain(_) => None,
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    matches!(host, Host::Domain("localhost")) || address_of(host).is_some_and(|ip| ip.is_loopback())
}

fn is_private(host: &Host<&str>) -> bool {
    match address_of(host) {
        Some(IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local() || is_shared(ip.octets()),
        Some(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        None => false,
    }
}

/// 100.64.0.0/10: the addresses of a tailnet.
fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> GatewayKeys {
        GatewayKeys { port: Some(2000), token: Some("file".into()), ..GatewayKeys::default() }
    }

    fn url(flags: Flags<'_>, env: Variables<'_>, keys: &GatewayKeys) -> String {
        resolve(flags, env, keys, 18_789).unwrap().url
    }

    #[test]
    fn the_address_follows_flag_environment_configuration_default() {
        let none = Flags::default();
        let env = Variables { port: Some(3000), ..Variables::default() };
        assert_eq!(url(none, Variables::default(), &GatewayKeys::default()), "ws://127.0.0.1:18789");
        assert_eq!(url(none, Variables::default(), &keys()), "ws://127.0.0.1:2000");
        assert_eq!(url(none, env, &keys()), "ws://127.0.0.1:3000");
        assert_eq!(url(Flags { port: Some(4000), ..none }, env, &keys()), "ws://127.0.0.1:4000");
        let remote = GatewayKeys { remote_mode: true, remote_url: Some("wss://far:1".into()), ..keys() };
        assert_eq!(url(none, env, &remote), "wss://far:1");
        let flag = Flags { url: Some("wss://near:2"), token: Some("t"), ..none };
        assert_eq!(url(flag, env, &remote), "wss://near:2");
        let tls = GatewayKeys { tls: true, ..keys() };
        assert_eq!(url(none, Variables::default(), &tls), "wss://127.0.0.1:2000");
    }

    #[test]
    fn a_local_target_prefers_flags_then_environment_then_file() {
        let env = Variables { token: Some("env"), password: Some("env-password"), ..Variables::default() };
        let token = |flags, env| resolve(flags, env, &keys(), 1).unwrap().token;
        assert_eq!(token(Flags::default(), Variables::default()).as_deref(), Some("file"));
        assert_eq!(token(Flags::default(), env).as_deref(), Some("env"));
        let flags = Flags { token: Some("flag"), ..Flags::default() };
        let target = resolve(flags, env, &keys(), 1).unwrap();
        assert_eq!((target.token.as_deref(), target.password), (Some("flag"), None));
    }

    #[test]
    fn a_remote_target_prefers_its_own_keys() {
        let remote = GatewayKeys {
            remote_mode: true,
            remote_url: Some("wss://far".into()),
            remote_token: Some("remote".into()),
            ..keys()
        };
        let env = Variables { token: Some("env"), ..Variables::default() };
        assert_eq!(resolve(Flags::default(), env, &remote, 1).unwrap().token.as_deref(), Some("remote"));
    }

    #[test]
    fn an_override_never_gets_a_stored_credential() {
        let env = Variables { token: Some("env"), ..Variables::default() };
        let flags = Flags { url: Some("ws://127.0.0.1:1"), ..Flags::default() };
        assert_eq!(resolve(flags, env, &keys(), 1), Err(TargetError::NoCredentials));
        let by_env = Variables { url: Some("ws://127.0.0.1:1"), ..env };
        assert_eq!(resolve(Flags::default(), by_env, &keys(), 1), Err(TargetError::NoCredentials));
        let with_token = Flags { token: Some("mine"), ..flags };
        assert_eq!(resolve(with_token, env, &keys(), 1).unwrap().token.as_deref(), Some("mine"));
        let open = GatewayKeys { auth_mode: Some("none".into()), ..GatewayKeys::default() };
        assert_eq!(resolve(flags, env, &open, 1).unwrap().token, None);
    }

    #[test]
    fn plain_sockets_stay_on_this_host_unless_private_ones_are_allowed() {
        let cases = [
            ("ws://localhost:1", false, true),
            ("ws://[::1]:1", false, true),
            ("ws://127.8.9.10:1", false, true),
            ("ws://192.168.1.2:1", false, false),
            ("ws://192.168.1.2:1", true, true),
            ("ws://100.100.1.1:1", true, true),
            ("ws://8.8.8.8:1", true, false),
            ("ws://example.org", true, false),
            ("wss://example.org", false, true),
            ("http://127.0.0.1:1", false, false),
            ("nonsense", false, false),
        ];
        for (text, insecure, expected) in cases {
            assert_eq!(check(text, insecure).is_ok(), expected, "{text} {insecure}");
        }
    }

    #[test]
    fn remote_mode_without_an_address_is_said() {
        let keys = GatewayKeys { remote_mode: true, ..GatewayKeys::default() };
        assert_eq!(resolve(Flags::default(), Variables::default(), &keys, 1), Err(TargetError::NoRemoteUrl));
    }
}
