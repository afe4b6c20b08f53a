//! `openclaw gateway [run]`: from flags and configuration to a start that needs no further question.
//!
//! Invariant: nothing is written before every check has passed, except what `--dev` promises to create; the service itself is
//! started by whoever gave `Hooks`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use openclaw_actors::config::env::Env;
use openclaw_actors::config::load;
use openclaw_actors::config::paths::Paths;
use openclaw_actors::config::{Issue, IssueCode, Snapshot};

use super::check::{self, ConfigState, Credentials, Facts, Listen};
use super::dev;
use super::flags::{self, RunArgs, RunFlags};
use super::force;
use crate::cli::Hooks;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};

/// Largest password file, bytes.
const PASSWORD_FILE_MAX: u64 = 16 * 1024;

/// A start with everything resolved and checked.
#[derive(Debug)]
pub struct RunOptions {
    pub paths: Paths,
    /// The environment of the process alone; `.env` files are read again below it on a reload of secrets.
    pub process_env: Env,
    /// The process environment with the `.env` files below it.
    pub env: Env,
    /// Working directory; base of the first `.env` file.
    pub cwd: PathBuf,
    /// The configuration that was checked, all its secrets resolved. `exists` is false if the start was allowed without a file.
    pub snapshot: Snapshot,
    /// Port, addresses, mode and secret. Mode token without a token: make one for this run.
    pub listen: Listen,
    /// Console down to debug; the log file keeps its level.
    pub verbose: bool,
    /// `--log-level`, over everything.
    pub log_level: Option<String>,
    /// May console lines have colours?
    pub colour: bool,
    /// Runtime threads; `None`: what the configuration says, else one per core.
    pub workers: Option<usize>,
    /// A flag gives the secret or its kind; a new configuration does not change them.
    pub credentials_overridden: bool,
    /// For the question whether another configuration would start.
    pub check: StartCheck,
}

/// What a start is checked with, besides the configuration.
#[derive(Debug, Clone)]
pub struct StartCheck {
    flags: RunFlags,
    env: Env,
    env_port: Option<u16>,
    port_default: u16,
    /// Paths as messages show them.
    config_path: String,
    audit_path: String,
}

impl StartCheck {
    fn new(flags: RunFlags, context: &Context) -> Result<Self, Failure> {
        Ok(Self {
            flags,
            env: context.env.clone(),
            env_port: context.env_port()?,
            port_default: context.paths.port_default,
            config_path: context.show(&context.paths.config_path),
            audit_path: context.show(&context.paths.state_dir.join("logs").join("config-audit.jsonl")),
        })
    }

    /// Where a gateway with this configuration, its secrets resolved, listens; or why none starts with it.
    pub fn listen(&self, snapshot: &Snapshot) -> Result<Listen, Failure> {
        let config = match snapshot.exists {
            true => ConfigState::Valid(&snapshot.settings, &snapshot.value),
            false => ConfigState::Missing,
        };
        let secrets = load::shared_secrets(snapshot);
        let of_config =
            Credentials { token: secrets.token.map(str::to_owned), password: secrets.password.map(str::to_owned) };
        let listen = check::check(&self.facts(config, &snapshot.env, of_config))?;
        secrets_available(snapshot)?;
        Ok(listen)
    }

    fn facts<'a>(&'a self, config: ConfigState<'a>, env: &Env, config_credentials: Credentials) -> Facts<'a> {
        let env = |name: &str| env.non_empty(name).map(str::to_owned);
        Facts {
            flags: &self.flags,
            config,
            config_credentials,
            env_credentials: Credentials {
                token: env("OPENCLAW_GATEWAY_TOKEN"),
                password: env("OPENCLAW_GATEWAY_PASSWORD"),
            },
            env_port: self.env_port,
            port_default: self.port_default,
            config_path: self.config_path.clone(),
            audit_path: self.audit_path.clone(),
            in_container: in_container(),
            tailnet: tailnet(),
        }
    }
}

pub fn run(args: &RunArgs, context: &Context, hooks: &Hooks) -> Outcome {
    let options = prepare(args, context)?;
    if args.force {
        force::free(context, &options.listen)?;
    }
    (hooks.serve)(options)
}

fn prepare(args: &RunArgs, context: &Context) -> Result<RunOptions, Failure> {
    let mut flags = flags::parse(args, supervised(&context.env))?;
    for flag in flags::without_effect(args) {
        context.output.note(format!("{flag} is accepted and has no effect in this release."));
    }
    if flags.password.is_some() {
        context
            .output
            .note("Warning: --password shows in process lists; use --password-file or OPENCLAW_GATEWAY_PASSWORD.");
    }
    if let Some(path) = &flags.password_file {
        flags.password = Some(password_file(&context.cwd.join(path))?);
    }
    let dev = flags.dev || context.paths.profile.as_deref() == Some("dev");
    if dev {
        dev::prepare(context, flags.dev, flags.reset)?;
    }
    let start = StartCheck::new(flags.clone(), context)?;
    let snapshot = match context.loaded() {
        Ok(snapshot) => with_exec_secrets(context, snapshot)?,
        Err(error) => {
            let issues: Vec<String> = error.issues.iter().map(Issue::to_text).collect();
            let facts = start.facts(ConfigState::Invalid(&issues), &start.env, Credentials::default());
            check::check(&facts)?;
            return Err(Failure::config("no configuration")); // `check` has refused it
        }
    };
    let listen = start.listen(&snapshot)?;
    if in_container() && flags.bind.is_none() && listen.hosts.iter().all(IpAddr::is_loopback) {
        context
            .output
            .note("In a container only its own processes reach loopback; publish the port with --bind lan and auth.");
    }
    Ok(RunOptions {
        paths: context.paths.clone(),
        process_env: context.process_env.clone(),
        env: context.env.clone(),
        cwd: context.cwd.clone(),
        snapshot,
        listen,
        verbose: flags.verbose,
        log_level: context.global.log_level.clone(),
        colour: context.output.colour_err(),
        workers: flags.workers,
        credentials_overridden: flags.token.is_some() || flags.password.is_some() || flags.auth.is_some(),
        check: start,
    })
}

/// The secrets that a program gives are asked for here, once.
fn with_exec_secrets(context: &Context, snapshot: &Snapshot) -> Result<Snapshot, Failure> {
    let mut snapshot = snapshot.clone();
    let mut secrets = std::mem::take(&mut snapshot.secrets);
    context.block_on(secrets.resolve_exec(&snapshot.value, &snapshot.env))?;
    snapshot.secrets = secrets;
    Ok(snapshot)
}

/// Row 11: every active secret and every variable has a value.
fn secrets_available(snapshot: &Snapshot) -> Result<(), Failure> {
    let missing = snapshot.start_blocks.iter().filter(|issue| issue.code == IssueCode::Unresolved);
    let reasons: Vec<String> = missing.chain(snapshot.secrets.failures()).map(ToString::to_string).collect();
    if reasons.is_empty() {
        return Ok(());
    }
    let first = Failure::config("Startup failed: required secrets are unavailable.").exit(Exit::Configuration);
    Err(reasons.into_iter().fold(first, Failure::line))
}

/// Does a service manager look after this process? Then it must stay in the foreground.
fn supervised(env: &Env) -> bool {
    const MARKS: [&str; 5] =
        ["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "OPENCLAW_SERVICE_MARKER", "XPC_SERVICE_NAME"];
    MARKS.iter().any(|mark| env.non_empty(mark).is_some_and(|value| value != "0"))
        || nix::unistd::getppid().as_raw() == 1
}

/// The password in a file: a regular one, small, its trailing line break cut.
fn password_file(path: &Path) -> Result<String, Failure> {
    let refused = |reason: &str| Failure::usage(format!("Gateway password file {}: {reason}", path.display()));
    let meta = fs::symlink_metadata(path).map_err(|error| refused(&error.to_string()))?;
    if !meta.is_file() {
        return Err(refused("not a regular file"));
    }
    if meta.len() > PASSWORD_FILE_MAX {
        return Err(refused("larger than 16 KiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(&error.to_string()))?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        return Err(refused("empty"));
    }
    Ok(password.to_owned())
}

/// Source: the files that container runtimes leave behind.
fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|path| PathBuf::from(path).exists())
}

/// This host's address in its tailnet: the first one in 100.64.0.0/10.
fn tailnet() -> Option<Ipv4Addr> {
    let addresses = nix::ifaddrs::getifaddrs().ok()?;
    let ips = addresses.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    ips.into_iter().find(|ip| ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        openclaw_actors::files::replace(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn a_password_file_loses_one_line_break_and_nothing_else() {
        for (content, expected) in [("secret\n", "secret"), ("secret\r\n", "secret"), (" s \n\n", " s \n"), ("s", "s")]
        {
            let (_dir, path) = file(content.as_bytes());
            assert_eq!(password_file(&path).unwrap(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_password_file_that_is_no_small_regular_file_is_refused() {
        let (dir, path) = file(&vec![b'x'; 16 * 1024 + 1]);
        let reason = |path: &Path| password_file(path).unwrap_err().message().to_owned();
        assert!(reason(&path).ends_with("larger than 16 KiB"));
        assert!(reason(dir.path()).ends_with("not a regular file"));
        assert!(reason(&dir.path().join("absent")).contains("No such file"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(reason(&link).ends_with("not a regular file"));
    }

    #[test]
    fn a_service_manager_is_recognised_by_its_variables() {
        let env = Env::from_iter([("INVOCATION_ID", "abc")]);
        assert!(supervised(&env));
    }
}
