//! May this gateway start, and where does it listen? The table of checks before listening, in its order.
//!
//! Invariant: nothing listens on a reachable address without a shared secret or a trusted proxy in front, whatever the flags say.
//! Source: command line specification §2.2 rows 2–9, precedence §1.3; security specification §2 and §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openclaw_actors::config::settings::{AuthMode, Bind, GatewayMode, Settings};
use openclaw_actors::config::start_rules::{self, SharedSecrets};
use serde_json::Value;

use super::flags::RunFlags;
use crate::cli::exit::{Exit, Failure};

/// What the file says, as far as the start depends on it.
#[derive(Debug, Clone, Copy)]
pub enum ConfigState<'a> {
    Missing,
    /// The lines of its issues.
    Invalid(&'a [String]),
    Valid(&'a Settings, &'a Value),
}

/// Credentials from one source; empty ones are absent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub token: Option<String>,
    pub password: Option<String>,
}

/// Everything that the decision depends on.
pub struct Facts<'a> {
    pub flags: &'a RunFlags,
    pub config: ConfigState<'a>,
    /// Resolved values of `gateway.auth`.
    pub config_credentials: Credentials,
    pub env_credentials: Credentials,
    pub env_port: Option<u16>,
    pub port_default: u16,
    /// Paths as messages show them.
    pub config_path: String,
    pub audit_path: String,
    pub in_container: bool,
    pub tailnet: Option<Ipv4Addr>,
}

/// Where the port number came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSource {
    Flag,
    Environment,
    Config,
    Default,
}

/// Where to listen and what clients have to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Listen {
    pub port: u16,
    pub port_source: PortSource,
    pub bind: Bind,
    /// Never empty. More than one: all with the same port; the first one must work, the others may fail.
    pub hosts: Vec<IpAddr>,
    pub auth_mode: AuthMode,
    /// The secret of the mode. Mode token without one: the service makes one for this run.
    pub credentials: Credentials,
}

impl std::fmt::Debug for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listen")
            .field("port", &self.port)
            .field("bind", &self.bind)
            .field("hosts", &self.hosts)
            .field("auth_mode", &self.auth_mode)
            .finish_non_exhaustive()
    }
}

/// The checks in their order; a refusal ends with code 78.
pub fn check(facts: &Facts<'_>) -> Result<Listen, Failure> {
    let (nothing, unconfigured) = (Value::Null, Settings::default());
    let (settings, value) = match facts.config {
        ConfigState::Invalid(issues) => return Err(invalid(facts, issues)),
        ConfigState::Missing if facts.flags.allow_unconfigured => (&unconfigured, &nothing),
        ConfigState::Missing => {
            return Err(refused(
                "Missing config. Run `openclaw setup` or set gateway.mode=local (or pass --allow-unconfigured).",
            ));
        }
        ConfigState::Valid(settings, value) => (settings, value),
    };
    mode(facts, settings)?;
    let settings = overlay(settings, facts.flags);
    let credentials = credentials(facts);
    let secrets = SharedSecrets { token: credentials.token.as_deref(), password: credentials.password.as_deref() };
    rules(&settings, value, secrets)?;
    let auth_mode = start_rules::effective_mode(&settings, secrets);
    let (port, port_source) = port(facts, &settings);
    let hosts = hosts(facts, &settings);
    for host in &hosts {
        let text = host.to_string();
        if let Some(reason) = start_rules::unauthenticated_bind(&settings, secrets, &text, port, host.is_loopback()) {
            return Err(refused(reason).line("For example: openclaw config set gateway.auth.token <token>"));
        }
    }
    Ok(Listen {
        port,
        port_source,
        bind: settings.gateway.bind,
        hosts,
        auth_mode,
        credentials: of_mode(auth_mode, credentials),
    })
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::config(message).exit(Exit::Configuration)
}

fn invalid(facts: &Facts<'_>, issues: &[String]) -> Failure {
    let first = refused(format!("Invalid config at {}.", facts.config_path));
    let failure = issues.iter().fold(first, |failure, issue| failure.line(issue));
    failure.line("Run \"openclaw doctor --fix\" to repair it, then start again.")
}

fn mode(facts: &Facts<'_>, settings: &Settings) -> Result<(), Failure> {
    if facts.flags.allow_unconfigured {
        return Ok(());
    }
    let text = match settings.gateway.mode {
        Some(GatewayMode::Local) => return Ok(()),
        Some(GatewayMode::Remote) => {
            "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured."
        }
        None => {
            "Gateway start blocked: existing config is missing gateway.mode. The file may be damaged or from somewhere else. \
             Run `openclaw onboard --mode local` or `openclaw setup`, set gateway.mode=local by hand, \
             or pass --allow-unconfigured."
        }
    };
    Err(refused(text).line(format!("Config write audit: {}", facts.audit_path)))
}

/// The settings as if the flags stood in the file. A single secret among the flags decides the mode.
fn overlay(settings: &Settings, flags: &RunFlags) -> Settings {
    let mut settings = settings.clone();
    let by_secret = match (&flags.token, &flags.password) {
        (Some(_), None) => Some(AuthMode::Token),
        (None, Some(_)) => Some(AuthMode::Password),
        _ => None,
    };
    let gateway = &mut settings.gateway;
    gateway.auth.mode = flags.auth.or(gateway.auth.mode).or(by_secret);
    gateway.bind = flags.bind.unwrap_or(gateway.bind);
    if let Some(host) = flags.host {
        gateway.custom_bind_host = Some(host.to_string());
    }
    settings
}

/// Flags over configuration over environment.
fn credentials(facts: &Facts<'_>) -> Credentials {
    let flags = Credentials { token: facts.flags.token.clone(), password: facts.flags.password.clone() };
    let sources = [&flags, &facts.config_credentials, &facts.env_credentials];
    Credentials {
        token: sources.iter().find_map(|source| source.token.clone()),
        password: sources.iter().find_map(|source| source.password.clone()),
    }
}

/// Only the secret that the mode asks for.
fn of_mode(mode: AuthMode, credentials: Credentials) -> Credentials {
    match mode {
        AuthMode::Token => Credentials { password: None, ..credentials },
        AuthMode::Password => Credentials { token: None, ..credentials },
        AuthMode::None | AuthMode::TrustedProxy => Credentials::default(),
    }
}

/// Rows 6, 7 and 9: what the configuration module knows about a start.
fn rules(settings: &Settings, value: &Value, secrets: SharedSecrets<'_>) -> Result<(), Failure> {
    let broken = start_rules::broken(settings, value, secrets);
    let Some((first, rest)) = broken.split_first() else { return Ok(()) };
    Err(rest.iter().fold(refused(&first.message), |failure, issue| failure.line(&issue.message)))
}

fn port(facts: &Facts<'_>, settings: &Settings) -> (u16, PortSource) {
    let sources = [
        (facts.flags.port, PortSource::Flag),
        (facts.env_port, PortSource::Environment),
        (settings.gateway.port, PortSource::Config),
    ];
    let found = sources.into_iter().find_map(|(port, source)| port.map(|port| (port, source)));
    found.unwrap_or((facts.port_default, PortSource::Default))
}

/// Where to listen; a custom address was checked by `rules`.
fn hosts(facts: &Facts<'_>, settings: &Settings) -> Vec<IpAddr> {
    let loopback = || vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let all = || vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    let custom = || settings.gateway.custom_bind_host.as_deref()?.parse::<Ipv4Addr>().ok();
    match settings.gateway.bind {
        Bind::Loopback => loopback(),
        Bind::Lan => all(),
        Bind::Auto if facts.in_container => all(),
        Bind::Auto => loopback(),
        Bind::Tailnet => facts.tailnet.map_or_else(loopback, |ip| vec![IpAddr::V4(ip)]),
        Bind::Custom => custom().map_or_else(loopback, |ip| vec![IpAddr::V4(ip)]),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::settings::{Gateway, SecretInput};

    use super::*;

    const NOTHING: Value = Value::Null;

    fn with_mode(mode: Option<GatewayMode>) -> Settings {
        Settings { gateway: Gateway { mode, ..Gateway::default() }, ..Settings::default() }
    }

    fn local() -> Settings {
        with_mode(Some(GatewayMode::Local))
    }

    fn valid(settings: &Settings) -> ConfigState<'_> {
        ConfigState::Valid(settings, &NOTHING)
    }

    fn facts<'a>(flags: &'a RunFlags, config: ConfigState<'a>) -> Facts<'a> {
        Facts {
            flags,
            config,
            config_credentials: Credentials::default(),
            env_credentials: Credentials::default(),
            env_port: None,
            port_default: 18_789,
            config_path: "~/.openclaw/openclaw.json".into(),
            audit_path: "~/.openclaw/logs/config-audit.jsonl".into(),
            in_container: false,
            tailnet: None,
        }
    }

    fn credentials(token: Option<&str>, password: Option<&str>) -> Credentials {
        Credentials { token: token.map(str::to_owned), password: password.map(str::to_owned) }
    }

    /// The refusal's first line; its exit code is always 78.
    fn refusal(facts: &Facts<'_>) -> String {
        let failure = check(facts).expect_err("must be refused");
        assert_eq!(failure.exit, Exit::Configuration, "{failure:?}");
        failure.message().to_owned()
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_its_issues() {
        let flags = RunFlags { allow_unconfigured: true, ..RunFlags::default() };
        let issues = ["gateway: Unrecognized key: \"foo\"".to_owned()];
        let failure = check(&facts(&flags, ConfigState::Invalid(&issues))).unwrap_err();
        assert_eq!(failure.lines[0], "Invalid config at ~/.openclaw/openclaw.json.");
        assert_eq!(failure.lines[1], issues[0]);
        assert_eq!(failure.exit.code(), 78);
    }

    #[test]
    fn the_mode_must_be_local_unless_the_start_is_allowed_unconfigured() {
        let (plain, allowed) = (RunFlags::default(), RunFlags { allow_unconfigured: true, ..RunFlags::default() });
        let remote = with_mode(Some(GatewayMode::Remote));
        let unset = Settings::default();
        assert_eq!(
            refusal(&facts(&plain, ConfigState::Missing)),
            "Missing config. Run `openclaw setup` or set gateway.mode=local (or pass --allow-unconfigured)."
        );
        assert_eq!(
            refusal(&facts(&plain, valid(&remote))),
            "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured."
        );
        let text = refusal(&facts(&plain, valid(&unset)));
        assert!(text.starts_with("Gateway start blocked: existing config is missing gateway.mode."), "{text}");
        assert!(text.contains("set gateway.mode=local"), "{text}");
        for state in [ConfigState::Missing, valid(&remote), valid(&unset)] {
            assert!(check(&facts(&allowed, state)).is_ok(), "{state:?}");
        }
    }

    #[test]
    fn the_port_follows_flag_environment_configuration_default() {
        let (none, flag) = (RunFlags::default(), RunFlags { port: Some(4), ..RunFlags::default() });
        let (mut with_port, without) = (local(), local());
        with_port.gateway.port = Some(2);
        let port = |flags, config, env_port| {
            let listen = check(&Facts { env_port, ..facts(flags, valid(config)) }).unwrap();
            (listen.port, listen.port_source)
        };
        assert_eq!(port(&none, &without, None), (18_789, PortSource::Default));
        assert_eq!(port(&none, &with_port, None), (2, PortSource::Config));
        assert_eq!(port(&none, &with_port, Some(3)), (3, PortSource::Environment));
        assert_eq!(port(&flag, &with_port, Some(3)), (4, PortSource::Flag));
    }

    #[test]
    fn a_password_mode_needs_a_password() {
        let flags = RunFlags { auth: Some(AuthMode::Password), ..RunFlags::default() };
        let settings = local();
        let without = facts(&flags, valid(&settings));
        assert_eq!(refusal(&without), "Gateway auth is set to password, but no password is configured.");
        let with = Facts { env_credentials: credentials(None, Some("p")), ..without };
        assert_eq!(check(&with).unwrap().credentials.password.as_deref(), Some("p"));
    }

    #[test]
    fn two_secrets_without_a_mode_are_ambiguous_until_a_flag_decides() {
        let mut settings = local();
        settings.gateway.auth.token = Some(SecretInput::Plain("t".into()));
        settings.gateway.auth.password = Some(SecretInput::Plain("p".into()));
        let config = credentials(Some("t"), Some("p"));
        let mode = |flags: &RunFlags| {
            let facts = Facts { config_credentials: config.clone(), ..facts(flags, valid(&settings)) };
            check(&facts).map(|listen| listen.auth_mode)
        };
        let text = mode(&RunFlags::default()).unwrap_err().message().to_owned();
        assert!(text.starts_with(
            "Invalid config: gateway.auth.token and gateway.auth.password are both configured, but gateway.auth.mode is unset."
        ));
        let flags = RunFlags { auth: Some(AuthMode::Password), ..RunFlags::default() };
        assert_eq!(mode(&flags), Ok(AuthMode::Password));
        let flags = RunFlags { token: Some("flag".into()), ..RunFlags::default() };
        assert_eq!(mode(&flags), Ok(AuthMode::Token));
    }

    #[test]
    fn credentials_follow_flag_configuration_environment() {
        let settings = local();
        let token = |flags: &RunFlags, config: Credentials| {
            let facts = Facts {
                config_credentials: config,
                env_credentials: credentials(Some("env"), None),
                ..facts(flags, valid(&settings))
            };
            check(&facts).unwrap().credentials.token
        };
        let (none, flag) = (RunFlags::default(), RunFlags { token: Some("flag".into()), ..RunFlags::default() });
        assert_eq!(token(&none, credentials(None, None)).as_deref(), Some("env"));
        assert_eq!(token(&none, credentials(Some("file"), None)).as_deref(), Some("file"));
        assert_eq!(token(&flag, credentials(Some("file"), None)).as_deref(), Some("flag"));
    }

    #[test]
    fn nothing_reachable_starts_without_auth() {
        let settings = local();
        let start = |bind, auth, env: Credentials, in_container| {
            let flags = RunFlags { bind: Some(bind), auth, ..RunFlags::default() };
            let facts = Facts { env_credentials: env, in_container, ..facts(&flags, valid(&settings)) };
            check(&facts).map_err(|failure| failure.message().to_owned())
        };
        let text = start(Bind::Lan, None, Credentials::default(), false).unwrap_err();
        assert!(text.starts_with("refusing to bind gateway to 0.0.0.0:18789 without auth ("), "{text}");
        assert!(start(Bind::Lan, Some(AuthMode::None), credentials(Some("t"), None), false).is_err());
        assert!(start(Bind::Auto, None, Credentials::default(), true).is_err());
        assert!(start(Bind::Lan, None, credentials(Some("t"), None), false).is_ok());
        assert!(start(Bind::Loopback, Some(AuthMode::None), Credentials::default(), true).is_ok());
        assert!(start(Bind::Auto, None, Credentials::default(), false).is_ok());
    }

    #[test]
    fn every_bind_mode_has_its_address() {
        let own = Ipv4Addr::new(100, 64, 0, 9);
        let host = |bind, tailnet, custom: Option<&str>| {
            let flags = RunFlags { bind: Some(bind), token: Some("t".into()), ..RunFlags::default() };
            let mut settings = local();
            settings.gateway.custom_bind_host = custom.map(str::to_owned);
            let facts = Facts { tailnet, ..facts(&flags, valid(&settings)) };
            check(&facts).map(|listen| listen.hosts[0].to_string()).map_err(|failure| failure.message().to_owned())
        };
        assert_eq!(host(Bind::Loopback, None, None).as_deref(), Ok("127.0.0.1"));
        assert_eq!(host(Bind::Lan, None, None).as_deref(), Ok("0.0.0.0"));
        assert_eq!(host(Bind::Tailnet, None, None).as_deref(), Ok("127.0.0.1"));
        assert_eq!(host(Bind::Tailnet, Some(own), None).as_deref(), Ok("100.64.0.9"));
        assert_eq!(host(Bind::Custom, None, Some("10.0.0.7")).as_deref(), Ok("10.0.0.7"));
        assert_eq!(host(Bind::Custom, None, None).unwrap_err(), "gateway.bind=custom requires gateway.customBindHost");
        assert!(host(Bind::Custom, None, Some("host")).is_err());
    }

    #[test]
    fn published_secrets_and_half_a_proxy_are_refused() {
        let (flags, settings) = (RunFlags::default(), local());
        for config in
            [credentials(Some("change-me-now"), None), credentials(None, Some("change-me-to-a-strong-password"))]
        {
            let facts = Facts { config_credentials: config, ..facts(&flags, valid(&settings)) };
            assert!(refusal(&facts).contains("published example placeholder"));
        }
        let flags = RunFlags { auth: Some(AuthMode::TrustedProxy), ..RunFlags::default() };
        assert!(refusal(&facts(&flags, valid(&settings))).contains("no trustedProxy config"));
    }

    #[test]
    fn credentials_stay_out_of_debug_output() {
        let flags = RunFlags { token: Some("canary".into()), ..RunFlags::default() };
        let settings = local();
        let listen = check(&facts(&flags, valid(&settings))).unwrap();
        assert_eq!(listen.credentials.token.as_deref(), Some("canary"));
        assert!(!format!("{listen:?}").contains("canary"));
    }
}
