//! What a session owes its store: writes that failed while the disk was full or the store was restarting.
//!
//! They are repeated in their order, with every later write of the session and by themselves with growing pauses. A
//! write that may be repeated must not mind having been done already.

use std::sync::Arc;
use std::time::Duration;

use super::state::RETRY;
use crate::store::{Connection, StoreError};

/// One write, to be repeated until it succeeds.
pub type Debt = Arc<dyn Fn(&Connection) -> Result<(), StoreError> + Send + Sync>;

/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Debts {
    list: Vec<Debt>,
    tries: u32,
    /// A try is on its way, or its timer is.
    armed: bool,
}

impl Debts {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn list(&self) -> Vec<Debt> {
        self.list.clone()
    }

    pub fn add(&mut self, debt: Debt) {
        self.list.push(debt);
    }

    /// The pause before the next try, if there is anything to pay and no try on its way.
    pub fn next_try(&mut self) -> Option<Duration> {
        if self.list.is_empty() || self.armed {
            return None;
        }
        self.armed = true;
        let delay = RETRY.saturating_mul(2_u32.saturating_pow(self.tries)).min(RETRY_MAX);
        self.tries = self.tries.saturating_add(1);
        Some(delay)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The first `count` are paid.
    pub fn forget(&mut self, count: usize) {
        self.list.drain(..count.min(self.list.len()));
        self.tries = 0;
    }

    /// The try is over, whatever came of it.
    pub fn settled(&mut self) {
        self.armed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_follow_with_growing_pauses_until_everything_is_paid() {
        let mut debts = Debts::default();
        assert_eq!(debts.next_try(), None, "nothing is owed");
        debts.add(Arc::new(|_| Ok(())));
        assert_eq!(debts.next_try(), Some(RETRY));
        debts.add(Arc::new(|_| Ok(())));
        assert_eq!(debts.next_try(), None, "one try at a time");
        for expected in [2, 4, 8, 16, 30, 30] {
            debts.settled();
            assert_eq!(debts.next_try(), Some(Duration::from_secs(expected)));
        }
        debts.settled();
        debts.forget(1);
        assert_eq!(debts.next_try(), Some(RETRY), "the second is still owed");
        debts.settled();
        debts.forget(1);
        assert!(debts.is_empty());
        assert_eq!(debts.next_try(), None);
    }
}
