//! How a session hands its writes to the store: in order, together with what is owed, and again when an answer is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::debts::Debt;
use super::message::{News, SessionMsg};
use super::state::{Me, SessionState};
use crate::store::StoreError;
use crate::supervision::Mail;

type Submitted<T> = Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>;

/// When a write is repeated whose answer did not come.
const REPEATS: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

impl SessionState {
    /// Hands a write to the store, together with what is owed: neither gets there without the other.
    pub fn submit<T, F>(&self, work: F) -> Submitted<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let debts = self.debts.list();
        self.context.store.submit(move |db| {
            debts.iter().try_for_each(|debt| debt(db))?;
            work(db)
        })
    }

    /// Sends news to itself when the store has answered.
    pub fn when_stored<T: Send + 'static>(
        &mut self,
        me: &Me,
        receipt: Submitted<T>,
        news: impl FnOnce(Result<T, StoreError>) -> News + Send + 'static,
    ) {
        let me = me.clone();
        self.watchers.spawn("session-store", async move {
            let stored = match receipt {
                Ok(answer) => answer.await.unwrap_or(Err(StoreError::Restarting)),
                Err(error) => Err(error),
            };
            let _ = me.send_message(Mail::own(SessionMsg::News(news(stored)))); // gone: it reads the store when it is back
        });
    }

    /// Hands a write to the store that is safe to repeat, and repeats it when the answer is lost or it did not go through:
    /// whoever waits for it should not hear of a store that is being opened anew.
    pub fn insist<T, F>(
        &mut self,
        me: &Me,
        work: Result<Arc<F>, StoreError>,
        news: impl FnOnce(Result<T, StoreError>) -> News + Send + 'static,
    ) where
        T: Send + 'static,
        F: Fn(&rusqlite::Connection) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let debts = self.debts.list();
        let work = work.map(|work| {
            Arc::new(move |db: &rusqlite::Connection| {
                debts.iter().try_for_each(|debt| debt(db))?;
                work(db)
            })
        });
        let first = work.clone().and_then(|work| self.context.store.submit(move |db| work(db)));
        let (me, store) = (me.clone(), self.context.store.clone());
        self.watchers.spawn("session-store", async move {
            let mut stored = match first {
                Ok(answer) => answer.await.unwrap_or(Err(StoreError::Restarting)),
                Err(error) => Err(error),
            };
            for pause in REPEATS {
                let (Err(StoreError::Restarting | StoreError::Sql(_)), Ok(work)) = (&stored, &work) else { break };
                tokio::time::sleep(pause).await;
                let work = Arc::clone(work);
                stored = store.write(move |db| work(db)).await;
            }
            let _ = me.send_message(Mail::own(SessionMsg::News(news(stored)))); // gone: it reads the store when it is back
        });
    }

    /// A write that could not be stored and must be.
    pub fn owe(&mut self, me: &Me, debt: Debt) {
        self.debts.add(debt);
        self.pay_later(me);
    }

    /// Stores something that nobody waits for; if that cannot be done now, it is owed.
    pub fn record(&mut self, me: &Me, debt: Debt) {
        let write = Arc::clone(&debt);
        let receipt = self.submit(move |db| write(db));
        self.when_stored(me, receipt, |stored| News::Recorded { debt, stored });
    }

    fn pay_later(&mut self, me: &Me) {
        if let Some(delay) = self.debts.next_try() {
            drop(me.send_after(delay, || Mail::own(SessionMsg::News(News::PayDue))));
        }
    }

    /// Tries to write what is owed.
    pub fn pay(&mut self, me: &Me) {
        let count = self.debts.len();
        let receipt = self.submit(|_| Ok(()));
        self.when_stored(me, receipt, move |stored| News::Paid { count, stored });
    }

    pub fn paid(&mut self, me: &Me, count: usize, stored: Result<(), StoreError>) {
        self.debts.settled();
        match stored {
            Ok(()) => {
                self.debts.forget(count);
                tracing::info!(session = %self.key, count, "what could not be stored before is stored now");
            }
            Err(error) => tracing::warn!(session = %self.key, %error, "still not stored"),
        }
        self.pay_later(me);
    }
}
