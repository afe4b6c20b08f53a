//! The bounded queue of frames on their way to one connection.
//!
//! Anybody may push, without waiting; only the connection takes. Over its byte cap a frame that may be dropped is
//! dropped, any other frame closes the connection: a slow reader never slows anybody else down, and never sees a gap in
//! what may not be lost.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Why the connection must end, with its close code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: String,
}

/// A handle on the queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Notify,
    cap_bytes: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<String>,
    bytes: usize,
    close: Option<Close>,
}

/// Why a connection ends whose peer does not read.
pub const SLOW_CONSUMER: &str = "slow consumer";

/// What the connection finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Frames(Vec<String>),
    /// Nothing more will come: send what was taken before, then close.
    Close(Close),
}

impl Outbox {
    pub fn new(cap_bytes: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                queue: Mutex::default(),
                changed: Notify::new(),
                cap_bytes,
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// Queues a frame. Returns whether it will be sent.
    pub fn push(&self, frame: String, droppable: bool) -> bool {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return false;
        }
        if queue.bytes + frame.len() > self.inner.cap_bytes {
            if droppable {
                self.inner.dropped.fetch_add(1, Ordering::Relaxed);
            } else {
                queue.frames.clear();
                queue.bytes = 0;
                queue.close = Some(Close { code: 1008, reason: SLOW_CONSUMER.into() });
                self.inner.changed.notify_one();
            }
            return false;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        self.inner.changed.notify_one();
        true
    }

    /// Ends the connection after the frames that are already queued. The first reason wins.
    pub fn close(&self, code: u16, reason: impl Into<String>) {
        let mut queue = self.lock();
        if queue.close.is_none() {
            queue.close = Some(Close { code, reason: reason.into() });
            self.inner.changed.notify_one();
        }
    }

    /// Waits for frames or the end. Cancel-safe: nothing is taken before it returns.
    pub async fn take(&self) -> Taken {
        loop {
            let changed = self.inner.changed.notified();
            if let Some(taken) = self.take_now() {
                return taken;
            }
            changed.await;
        }
    }

    /// Resolves when the connection is to end, although frames may still wait.
    pub async fn closing(&self) -> Close {
        loop {
            let changed = self.inner.changed.notified();
            if let Some(close) = self.lock().close.clone() {
                return close;
            }
            changed.await;
        }
    }

    /// Is the connection to end?
    pub fn is_closing(&self) -> bool {
        self.lock().close.is_some()
    }

    /// Bytes that wait.
    pub fn buffered(&self) -> usize {
        self.lock().bytes
    }

    /// Droppable frames that were dropped.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    fn take_now(&self) -> Option<Taken> {
        let mut queue = self.lock();
        if queue.frames.is_empty() {
            return queue.close.clone().map(Taken::Close);
        }
        queue.bytes = 0;
        Some(Taken::Frames(std::mem::take(&mut queue.frames).into()))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_in_order_and_before_the_close() {
        let outbox = Outbox::new(100);
        assert!(outbox.push("a".into(), false));
        assert!(outbox.push("b".into(), true));
        outbox.close(1012, "service restart");
        assert!(!outbox.push("c".into(), false));
        assert_eq!(outbox.take().await, Taken::Frames(vec!["a".into(), "b".into()]));
        assert_eq!(outbox.take().await, Taken::Close(Close { code: 1012, reason: "service restart".into() }));
    }

    #[tokio::test]
    async fn over_the_cap_droppable_frames_are_skipped_and_others_end_the_connection() {
        let outbox = Outbox::new(10);
        assert!(outbox.push("12345678".into(), false));
        assert!(!outbox.push("delta".into(), true));
        assert_eq!(outbox.dropped(), 1);
        assert!(outbox.push("90".into(), false), "what fits is still taken");
        assert!(!outbox.push("final".into(), false));
        assert_eq!(outbox.closing().await.code, 1008);
        assert_eq!(outbox.take().await, Taken::Close(Close { code: 1008, reason: "slow consumer".into() }));
    }

    #[tokio::test]
    async fn a_waiting_taker_is_woken() {
        let outbox = Outbox::new(10);
        let taker = outbox.clone();
        let (taken, ()) = tokio::join!(taker.take(), async {
            tokio::task::yield_now().await;
            outbox.push("a".into(), false);
        });
        assert_eq!(taken, Taken::Frames(vec!["a".into()]));
    }
}
