//! Messages for a live run: from its actor to its turn, and back if the turn does not get them into the transcript.

use tokio::sync::mpsc;

use super::message::Turn;

/// Messages that may wait for the next model boundary; more are turns of their own.
const WAITING_MAX: usize = 20;
/// Messages that one run is told at most, from its beginning to its end; more are turns of their own.
pub const TOLD_MAX: usize = 100;

/// A message on its way into a run.
#[derive(Debug, Clone)]
pub struct Told {
    pub turn: Turn,
    /// It is a turn of its own as well, which comes later: this is only a copy.
    pub is_copy: bool,
}

/// The turn's end.
pub struct Steering {
    waiting: mpsc::Receiver<Told>,
    /// Taken, and on their way into the transcript.
    taken: Vec<Turn>,
}

/// Both ends; the first is the actor's.
pub fn channel() -> (mpsc::Sender<Told>, Steering) {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    (sender, Steering { waiting, taken: Vec::new() })
}

impl Steering {
    /// Takes the next message, if one waits. It counts as unread until `stored`.
    pub fn take(&mut self) -> Option<Told> {
        let told = self.waiting.try_recv().ok()?;
        self.taken.push(told.turn.clone());
        Some(told)
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
        while let Ok(told) = self.waiting.try_recv() {
            self.taken.push(told.turn);
        }
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(number: usize) -> Told {
        let turn = json!({ "runId": number.to_string(), "kind": "chat", "text": "x", "acceptedAt": 1 });
        Told { turn: serde_json::from_value(turn).unwrap(), is_copy: false }
    }

    #[test]
    fn a_full_channel_gives_the_message_back_and_keeps_what_it_had_in_order() {
        let (sender, mut steering) = channel();
        for number in 0..WAITING_MAX {
            sender.try_send(told(number)).unwrap();
        }
        let back = sender.try_send(told(99)).unwrap_err().into_inner().turn;
        assert_eq!(back.run_id, "99", "it becomes a turn of its own");
        assert_eq!(steering.take().unwrap().turn.run_id, "0");
        steering.stored();
        assert_eq!(steering.take().unwrap().turn.run_id, "1");
        let unread: Vec<String> = steering.unread().into_iter().map(|turn| turn.run_id).collect();
        let expected: Vec<String> = (1..WAITING_MAX).map(|number| number.to_string()).collect();
        assert_eq!(unread, expected, "taken but not stored counts as unread");
    }
}
