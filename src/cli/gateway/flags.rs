//! The flags of `openclaw gateway`: their texts when they are wrong, and what they mean when they are right.
//!
//! They arrive as text, because operators know these messages. Source: command line specification §2.1 and §11 (C-01, C-02).

use std::net::{IpAddr, Ipv4Addr};

use clap::Args;
use openclaw_actors::config::settings::{AuthMode, Bind};

use crate::cli::exit::Failure;

/// Run the gateway in this terminal.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Port of the WebSocket and of HTTP, 1 to 65535
    #[arg(long, value_name = "n")]
    pub port: Option<String>,
    /// Where to listen: loopback, lan, tailnet, auto or custom
    #[arg(long, value_name = "mode")]
    pub bind: Option<String>,
    /// Address to listen on, instead of --bind
    #[arg(long, value_name = "ip")]
    pub host: Option<String>,
    /// How clients prove themselves: none, token, password or trusted-proxy
    #[arg(long, value_name = "mode")]
    pub auth: Option<String>,
    /// Token for this run
    #[arg(long, value_name = "token")]
    pub token: Option<String>,
    /// Password for this run; process lists show it, so prefer --password-file
    #[arg(long, value_name = "password")]
    pub password: Option<String>,
    /// File with the password for this run
    #[arg(long, value_name = "path")]
    pub password_file: Option<String>,
    /// Exposure through Tailscale: off, serve or funnel
    #[arg(long, value_name = "mode")]
    pub tailscale: Option<String>,
    /// Undo the Tailscale exposure when the gateway stops
    #[arg(long)]
    pub tailscale_reset_on_exit: bool,
    /// Start although gateway.mode is not "local"; writes no configuration
    #[arg(long)]
    pub allow_unconfigured: bool,
    /// Create a development configuration and workspace if they are missing
    #[arg(long)]
    pub dev: bool,
    /// Move configuration, sessions and workspace away first; needs --dev
    #[arg(long)]
    pub reset: bool,
    /// End a gateway of this user that holds the port; nothing else is ended
    #[arg(long)]
    pub force: bool,
    /// Everything down to debug on the console; the log file keeps its level
    #[arg(short, long)]
    pub verbose: bool,
    /// Console lines of command line agents only
    #[arg(long, alias = "claude-cli-logs")]
    pub cli_backend_logs: bool,
    /// Style of WebSocket log lines: auto, full or compact
    #[arg(long, value_name = "style")]
    pub ws_log: Option<String>,
    /// Same as --ws-log compact
    #[arg(long)]
    pub compact: bool,
    /// Write model stream events to a file
    #[arg(long)]
    pub raw_stream: bool,
    /// File for --raw-stream
    #[arg(long, value_name = "path")]
    pub raw_stream_path: Option<String>,
    /// Detach from the terminal; under a service manager the gateway stays in the foreground
    #[arg(long)]
    pub daemon: bool,
    /// Threads of the runtime; one per core by default
    #[arg(long, value_name = "n")]
    pub workers: Option<String>,
    /// Name of this instance among several that share a store
    #[arg(long, value_name = "id")]
    pub instance: Option<String>,
}

/// The flags, understood.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RunFlags {
    pub port: Option<u16>,
    pub bind: Option<Bind>,
    /// Only with `Bind::Custom` from `--host`.
    pub host: Option<Ipv4Addr>,
    pub auth: Option<AuthMode>,
    pub token: Option<String>,
    pub password: Option<String>,
    pub password_file: Option<String>,
    pub workers: Option<usize>,
    pub allow_unconfigured: bool,
    pub dev: bool,
    pub reset: bool,
    pub verbose: bool,
}

impl std::fmt::Debug for RunFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunFlags")
            .field("port", &self.port)
            .field("bind", &self.bind)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Checks every flag on its own. `supervised`: a service manager looks after this process.
pub fn parse(args: &RunArgs, supervised: bool) -> Result<RunFlags, Failure> {
    let (bind, host) = bind(args)?;
    if args.password.is_some() && args.password_file.is_some() {
        return Err(Failure::usage("Use either --password or --password-file."));
    }
    if args.reset && !args.dev {
        return Err(Failure::usage("Use --reset with --dev."));
    }
    check_ws_log(args)?;
    absent(args, supervised)?;
    Ok(RunFlags {
        port: args.port.as_deref().map(port).transpose()?,
        bind,
        host,
        auth: args.auth.as_deref().map(auth).transpose()?,
        token: args.token.clone().filter(|token| !token.is_empty()),
        password: args.password.clone().filter(|password| !password.is_empty()),
        password_file: args.password_file.clone(),
        workers: args.workers.as_deref().map(workers).transpose()?,
        allow_unconfigured: args.allow_unconfigured,
        dev: args.dev,
        reset: args.reset,
        verbose: args.verbose,
    })
}

/// Flags that are accepted and change nothing in this release, for a note.
pub fn without_effect(args: &RunArgs) -> Vec<&'static str> {
    [
        (args.tailscale_reset_on_exit, "--tailscale-reset-on-exit"),
        (args.cli_backend_logs, "--cli-backend-logs"),
        (args.compact || args.ws_log.is_some(), "--ws-log"),
        (args.raw_stream || args.raw_stream_path.is_some(), "--raw-stream"),
    ]
    .into_iter()
    .filter_map(|(given, name)| given.then_some(name))
    .collect()
}

/// Flags whose promise this release cannot keep are refused: whoever wrote them relies on it.
fn absent(args: &RunArgs, supervised: bool) -> Result<(), Failure> {
    match args.tailscale.as_deref() {
        None | Some("off") => {}
        Some(mode @ ("serve" | "funnel")) => {
            return Err(Failure::usage(format!("This release does not have --tailscale {mode}.")));
        }
        Some(_) => return Err(Failure::usage("Invalid --tailscale. Use \"off\", \"serve\", or \"funnel\".")),
    }
    if args.daemon && !supervised {
        return Err(Failure::usage(
            "This release does not detach with --daemon. Run it in the foreground or under a service manager.",
        ));
    }
    if args.instance.is_some() {
        return Err(Failure::usage("This release does not have --instance: one gateway per state directory."));
    }
    Ok(())
}

fn port(text: &str) -> Result<u16, Failure> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Failure::usage("Invalid --port. Use a port number from 1 to 65535, for example 18789."))
}

fn bind(args: &RunArgs) -> Result<(Option<Bind>, Option<Ipv4Addr>), Failure> {
    match (args.bind.as_deref(), args.host.as_deref()) {
        (Some(_), Some(_)) => Err(Failure::usage("Use either --host or --bind.")),
        (None, None) => Ok((None, None)),
        (Some(mode), None) => Ok((Some(bind_mode(mode)?), None)),
        (None, Some(host)) => bind_host(host).map(|(bind, host)| (Some(bind), host)),
    }
}

fn bind_mode(mode: &str) -> Result<Bind, Failure> {
    match mode {
        "loopback" => Ok(Bind::Loopback),
        "lan" => Ok(Bind::Lan),
        "tailnet" => Ok(Bind::Tailnet),
        "auto" => Ok(Bind::Auto),
        "custom" => Ok(Bind::Custom),
        _ => Err(Failure::usage("Invalid --bind. Use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\".")),
    }
}

/// An address in the words of `--bind`. Names are refused: what they mean may change under us.
fn bind_host(host: &str) -> Result<(Bind, Option<Ipv4Addr>), Failure> {
    if host == "localhost" {
        return Ok((Bind::Loopback, None));
    }
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => Ok((Bind::Loopback, None)),
        Ok(ip) if ip.is_unspecified() => Ok((Bind::Lan, None)),
        Ok(IpAddr::V4(ip)) => Ok((Bind::Custom, Some(ip))),
        _ => Err(Failure::usage(format!("Invalid --host \"{host}\". Use an IPv4 address of this host, or --bind."))),
    }
}

fn auth(mode: &str) -> Result<AuthMode, Failure> {
    match mode {
        "none" => Ok(AuthMode::None),
        "token" => Ok(AuthMode::Token),
        "password" => Ok(AuthMode::Password),
        "trusted-proxy" => Ok(AuthMode::TrustedProxy),
        _ => Err(Failure::usage("Invalid --auth. Use \"none\", \"token\", \"password\", or \"trusted-proxy\".")),
    }
}

fn check_ws_log(args: &RunArgs) -> Result<(), Failure> {
    match args.ws_log.as_deref() {
        None | Some("auto" | "full" | "compact") => Ok(()),
        Some(_) => Err(Failure::usage("Invalid --ws-log. Use \"auto\", \"full\", or \"compact\".")),
    }
}

fn workers(text: &str) -> Result<usize, Failure> {
    let count = text.parse().ok().filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| Failure::usage("Invalid --workers. Use a number of threads from 1 to 1024."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut RunArgs)) -> String {
        let mut args = RunArgs::default();
        change(&mut args);
        let failure = parse(&args, false).expect_err("must be refused");
        assert_eq!(failure.exit.code(), 1);
        failure.message().to_owned()
    }

    #[test]
    fn wrong_flags_have_the_texts_that_operators_know() {
        let text = |value: &str| Some(value.to_owned());
        let port = "Invalid --port. Use a port number from 1 to 65535, for example 18789.";
        for bad in ["abc", "0", "65536", "-1", ""] {
            assert_eq!(refused(|args| args.port = text(bad)), port, "{bad}");
        }
        assert_eq!(
            refused(|args| args.bind = text("nowhere")),
            "Invalid --bind. Use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\"."
        );
        assert_eq!(
            refused(|args| args.auth = text("jwt")),
            "Invalid --auth. Use \"none\", \"token\", \"password\", or \"trusted-proxy\"."
        );
        assert_eq!(
            refused(|args| args.ws_log = text("foo")),
            "Invalid --ws-log. Use \"auto\", \"full\", or \"compact\"."
        );
        assert_eq!(
            refused(|args| args.tailscale = text("foo")),
            "Invalid --tailscale. Use \"off\", \"serve\", or \"funnel\"."
        );
        assert_eq!(refused(|args| args.reset = true), "Use --reset with --dev.");
        assert_eq!(
            refused(|args| (args.password, args.password_file) = (text("a"), text("b"))),
            "Use either --password or --password-file."
        );
        assert_eq!(
            refused(|args| (args.bind, args.host) = (text("lan"), text("0.0.0.0"))),
            "Use either --host or --bind."
        );
    }

    #[test]
    fn a_host_says_the_same_as_a_bind_mode() {
        let custom = Ipv4Addr::new(10, 0, 0, 7);
        let cases = [
            ("127.0.0.1", Some((Bind::Loopback, None))),
            ("localhost", Some((Bind::Loopback, None))),
            ("[::1]", Some((Bind::Loopback, None))),
            ("0.0.0.0", Some((Bind::Lan, None))),
            ("::", Some((Bind::Lan, None))),
            ("10.0.0.7", Some((Bind::Custom, Some(custom)))),
            ("example.org", None),
            ("2001:db8::1", None),
        ];
        for (host, expected) in cases {
            assert_eq!(bind_host(host).ok(), expected, "{host}");
        }
    }

    #[test]
    fn daemon_is_meant_for_people_and_ignored_under_a_supervisor() {
        let args = RunArgs { daemon: true, ..RunArgs::default() };
        assert!(parse(&args, true).is_ok());
        assert!(parse(&args, false).is_err());
    }

    #[test]
    fn credentials_stay_out_of_debug_output() {
        let flags = RunFlags { token: Some("canary".into()), password: Some("canary".into()), ..RunFlags::default() };
        assert!(!format!("{flags:?}").contains("canary"));
    }
}
