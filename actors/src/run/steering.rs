//! Messages for a live run: from its actor to its turn, and back if the turn does not get them into the transcript.

use tokio::sync::mpsc;

use super::message::Turn;

/// Messages that may wait for the next model boundary; more are turns of their own.
const WAITING_MAX: usize = 20;

/// The turn's end.
pub struct Steering {
    waiting: mpsc::Receiver<Turn>,
    /// Taken, and on their way into the transcript.
    taken: Vec<Turn>,
}

/// Both ends; the first is the actor's.
pub fn channel() -> (mpsc::Sender<Turn>, Steering) {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    (sender, Steering { waiting, taken: Vec::new() })
}

impl Steering {
    /// Takes the next message, if one waits. It counts as unread until `stored`.
    pub fn take(&mut self) -> Option<Turn> {
        let turn = self.waiting.try_recv().ok()?;
        self.taken.push(turn.clone());
        Some(turn)
    }

    /// What was taken is in the transcript.
    pub fn stored(&mut self) {
        self.taken.clear();
    }

    /// Takes no more: what comes from now on is a turn of its own, and so is what waits.
    pub fn close(&mut self) {
        self.waiting.close();
    }

    /// What did not get into the transcript, in order.
    pub fn unread(mut self) -> Vec<Turn> {
        self.waiting.close();
        while let Ok(turn) = self.waiting.try_recv() {
            self.taken.push(turn);
        }
        self.taken
    }
}
