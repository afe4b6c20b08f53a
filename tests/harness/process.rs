//! One child process: its output is collected as it comes, its end is awaited with a deadline, and it never outlives us.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

pub struct Process {
    child: Child,
    what: String,
    stdout: Output,
    stderr: Output,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts the command with its input closed and its output collected.
    pub fn start(command: &mut Command) -> Self {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let stdout = Output::collect(child.stdout.take().expect("a piped stdout"));
        let stderr = Output::collect(child.stderr.take().expect("a piped stderr"));
        Self { child, what, stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal} to {}: {error}", self.what));
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child's state").is_some()
    }

    /// Waits for the end; kills it and panics with its output after `limit`.
    pub fn wait(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("the child's state") {
                break status;
            }
            if Instant::now() >= until {
                let (out, err) = (self.stdout(), self.stderr());
                panic!("{} did not end within {limit:?}\nstdout: {out}\nstderr: {err}", self.what);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ended { code: status.code(), stdout: self.stdout.finish(), stderr: self.stderr.finish() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// One output stream, read by a thread so that the child never blocks on a full pipe.
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn collect(mut stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = text.clone();
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Everything. The stream closes with the last process that holds it, so a grandchild may keep it open: 1 s at most.
    fn finish(&mut self) -> String {
        let until = Instant::now() + Duration::from_secs(1);
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.so_far()
    }
}
