//! The one place that starts tasks and threads, so that each has a name, an owner and a caught panic.
//!
//! A `Task` is aborted when its owner drops it: nothing outlives the actor or connection that started it.

#![allow(clippy::disallowed_methods, reason = "this module is where tasks and threads are started")]

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{Instrument, Span};

use super::stall::Timed;

/// A running task; dropping it aborts it at its next await.
#[derive(Debug)]
#[must_use = "dropping a task aborts it"]
pub struct Task {
    handle: JoinHandle<()>,
}

impl Task {
    pub fn abort(&self) {
        self.handle.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits until the task has ended, however it ended.
    pub async fn ended(mut self) {
        let _ = (&mut self.handle).await; // panics were logged by `spawn`, an abort is what the owner wanted
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// A message to oneself that is on its way; dropped, it does not come.
#[derive(Debug)]
#[must_use = "dropping a timer cancels it"]
pub struct Timer(AbortHandle);

impl Timer {
    /// Of what `send_after` gave.
    pub fn of<T>(sending: &JoinHandle<T>) -> Self {
        Self(sending.abort_handle())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a reporting task ended. An aborted task does not report: whoever aborted it knows.
#[derive(Debug)]
pub enum TaskEnd<T> {
    Done(T),
    /// The panic's message.
    Panicked(String),
}

/// Starts a task in the current span. A panic is logged and ends only the task.
pub fn spawn<F>(name: &'static str, future: F) -> Task
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn_reporting(name, future, |_| {})
}

/// Starts a task and hands its end to `report`, also when it panicked.
pub fn spawn_reporting<F, R>(name: &'static str, future: F, report: R) -> Task
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    R: FnOnce(TaskEnd<F::Output>) + Send + 'static,
{
    Task { handle: tokio::spawn(Timed::new(name, guarded(name, future, report)).instrument(Span::current())) }
}

/// Not an `async fn`: that would keep the future twice, as its argument and as what it awaits.
fn guarded<F, R>(name: &'static str, future: F, report: R) -> impl Future<Output = ()> + Send
where
    F: Future + Send,
    R: FnOnce(TaskEnd<F::Output>) + Send,
{
    AssertUnwindSafe(future).catch_unwind().map(move |outcome| match outcome {
        Ok(value) => report(TaskEnd::Done(value)),
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            tracing::error!(task = name, error = %message, "task panicked");
            report(TaskEnd::Panicked(message));
        }
    })
}

/// Tasks that come and go under one owner, such as the connections of a listener; all are aborted with it.
#[derive(Debug, Default)]
pub struct TaskSet {
    tasks: JoinSet<()>,
}

impl TaskSet {
    /// Starts a task in the current span; a panic is logged and ends only the task.
    pub fn spawn<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {} // forget those that have ended
        self.tasks.spawn(Timed::new(name, guarded(name, future, |_| {})).instrument(Span::current()));
    }

    /// Tasks that have not ended.
    pub fn running(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }

    /// Tasks that have not been forgotten yet.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Runs blocking work on tokio's bounded pool. `Err` is the message of a panic.
pub async fn blocking<T, F>(work: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic_message(panic.as_ref()),
        Err(_) => "cancelled".to_owned(),
    })
}

/// Starts a named operating system thread. Its owner keeps the handle and the queue that ends it.
pub fn thread<F>(name: &str, body: F) -> io::Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// The text of a panic, which is a `&str` or a `String` unless somebody threw something else on purpose.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}
