//! A real gateway process on a free loopback port with a home of its own.
//!
//! The environment is empty but for `PATH` and what is set here, so no `OPENCLAW_*` of the machine gets in. Dropping the
//! handle kills the process by its pid and removes the directory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::RngExt;
use tempfile::TempDir;
use tokio::time::Instant;

use super::process::{Ended, Process};
use super::{Config, SOON, TOKEN};

pub struct Gateway {
    place: Place,
    config: Config,
    process: Option<Process>,
    port: u16,
}

/// A home directory and the program that works in it; a gateway need not run there.
pub struct Place {
    binary: PathBuf,
    root: TempDir,
    /// Further environment for every process started here.
    pub environment: Vec<(String, String)>,
}

impl Place {
    /// `binary`: the program under test.
    pub fn new(binary: &Path) -> Self {
        let root = tempfile::Builder::new().prefix("openclaw-e2e-").tempdir().expect("a directory");
        for part in ["home", "state", "tmp", "workspace"] {
            std::fs::create_dir(root.path().join(part)).expect("a directory");
        }
        Self { binary: binary.to_owned(), root, environment: Vec::new() }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    pub fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    pub fn config_path(&self) -> PathBuf {
        self.state().join("openclaw.json")
    }

    /// Writes the configuration as an editor does: a new file, renamed over the old one.
    pub fn write_config(&self, text: &str) {
        let fresh = self.root().join("openclaw.json.new");
        std::fs::write(&fresh, text).expect("the new configuration");
        std::fs::rename(fresh, self.config_path()).expect("the configuration in its place");
    }

    /// The program with this place's environment; the profile decides about the state directory when there is one.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear().current_dir(self.root()).args(args);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("TMPDIR", self.root().join("tmp"));
        command.env("OPENCLAW_DISABLE_BONJOUR", "1").env("NO_COLOR", "1");
        if !args.contains(&"--profile") && !args.contains(&"--dev") {
            command.env("OPENCLAW_STATE_DIR", self.state());
        }
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        Process::start(&mut self.command(args)).wait(Duration::from_secs(60))
    }
}

impl Gateway {
    /// A gateway with the standard configuration, running and answering `/health`.
    pub fn start(binary: &Path, provider_url: &str) -> Self {
        Self::start_with(binary, provider_url, |config| config)
    }

    /// The same with a changed configuration.
    pub fn start_with(binary: &Path, provider_url: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let mut gateway = Self::prepare(binary, provider_url, change);
        gateway.launch();
        gateway
    }

    /// Directory and configuration, but no process yet.
    pub fn prepare(binary: &Path, provider_url: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let place = Place::new(binary);
        let port = free_port();
        let config = change(Config::new(place.root(), port, provider_url));
        place.write_config(&config.text());
        Self { place, config, process: None, port }
    }

    /// Starts the process and waits for `/health`; returns how long that took.
    pub fn launch(&mut self) -> Duration {
        assert!(self.process.is_none(), "the gateway runs already");
        let started = Instant::now();
        self.process = Some(Process::start(&mut self.place.command(&["gateway", "run"])));
        self.wait_until_healthy(started)
    }

    fn wait_until_healthy(&mut self, started: Instant) -> Duration {
        loop {
            if http_status(self.port, "/health") == Some(200) {
                return started.elapsed();
            }
            let process = self.process.as_mut().expect("a process");
            let lost = process.has_ended() || started.elapsed() > SOON;
            assert!(!lost, "the gateway does not answer /health\nstderr: {}", process.stderr());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running gateway").pid()
    }

    pub fn is_healthy(&self) -> bool {
        http_status(self.port, "/health") == Some(200)
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn ws(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    pub fn stderr(&self) -> String {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// The log file and what went to standard error: everything an operator could search.
    pub fn logs(&self) -> String {
        let file = std::fs::read_to_string(self.place.root().join("gateway.log")).unwrap_or_default();
        file + &self.stderr()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Edits the configuration file under the running gateway.
    pub fn edit_config(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = change(self.config.clone());
        self.place.write_config(&self.config.text());
    }

    /// Runs the command line program against this gateway.
    pub fn cli(&self, args: &[&str]) -> Ended {
        self.place.run(args)
    }

    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("a running gateway").signal(signal);
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.process.take().expect("a running gateway").wait(SOON);
    }

    /// SIGTERM, and the end that follows.
    pub fn terminate(&mut self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.ended(Duration::from_secs(40))
    }

    /// The end of a process that was already told to end.
    pub fn ended(&mut self, limit: Duration) -> Ended {
        self.process.take().expect("a running gateway").wait(limit)
    }

    /// Starts the gateway again if its process has ended by itself. Earlier ends are forgotten: no safe mode.
    pub fn start_again_if_ended(&mut self) {
        if self.process.as_mut().is_some_and(Process::has_ended) {
            self.process = None;
            let _ = std::fs::remove_file(self.place.state().join("boots.json")); // it may not be there yet
            self.launch();
        }
    }

    /// Starts it again on the same port and directory, after `kill9` or `terminate`.
    pub fn restart(&mut self) -> Duration {
        self.launch()
    }
}

/// A free loopback port below the range from which the kernel takes the ports of outgoing connections.
pub fn free_port() -> u16 {
    let mut random = rand::rng();
    (0..1000)
        .map(|_| random.random_range(20_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Status of a plain `GET`; `None` while nobody answers. Blocking, 1 s at most, so that it works without a runtime.
pub fn http_status(port: u16, path: &str) -> Option<u16> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut head = [0; 12]; // "HTTP/1.1 200"
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}

/// `Authorization` value of every HTTP call that may enter.
pub fn bearer() -> String {
    format!("Bearer {TOKEN}")
}
