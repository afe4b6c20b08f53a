//! What was done and what went wrong, counted by all who do it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Texts of failures that are kept; all are counted.
const TEXTS_MAX: usize = 20;

#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    did: BTreeMap<&'static str, u64>,
    failures: u64,
    texts: Vec<String>,
}

impl Tally {
    pub fn did(&self, what: &'static str) {
        *self.lock().did.entry(what).or_default() += 1;
    }

    pub fn failure(&self, what: &str, text: String) {
        let mut counts = self.lock();
        counts.failures += 1;
        if counts.texts.len() < TEXTS_MAX {
            counts.texts.push(format!("{what}: {}", text.chars().take(500).collect::<String>()));
        }
    }

    pub fn check(&self, what: &str, held: bool, text: impl FnOnce() -> String) {
        if !held {
            self.failure(what, text());
        }
    }

    pub fn count(&self, what: &str) -> u64 {
        self.lock().did.get(what).copied().unwrap_or_default()
    }

    pub fn total(&self) -> u64 {
        self.lock().did.values().sum()
    }

    pub fn all(&self) -> Vec<(&'static str, u64)> {
        self.lock().did.iter().map(|(what, count)| (*what, *count)).collect()
    }

    /// How many failures there were, and the first texts.
    pub fn failures(&self) -> (u64, Vec<String>) {
        let counts = self.lock();
        (counts.failures, counts.texts.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
