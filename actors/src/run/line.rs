//! Who may run, as a state machine: so many at once, first come first served. It waits for nothing; `lane` does.

use std::collections::{BTreeSet, VecDeque};

/// A place in the line, or the right to run that it has become. Later places have higher numbers.
pub type Place = u64;

#[derive(Debug)]
pub struct Line {
    width: usize,
    running: BTreeSet<Place>,
    waiting: VecDeque<Place>,
    next: Place,
}

impl Line {
    /// `width`: how many run at once, at least one.
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1), running: BTreeSet::new(), waiting: VecDeque::new(), next: 0 }
    }

    pub fn join(&mut self) -> Place {
        let place = self.next;
        self.next += 1;
        self.waiting.push_back(place);
        place
    }

    /// Lets the next one run, if one may. To be asked after every change until it says `None`.
    pub fn call(&mut self) -> Option<Place> {
        if self.running.len() >= self.width {
            return None;
        }
        let place = self.waiting.pop_front()?;
        self.running.insert(place);
        Some(place)
    }

    /// Done, or tired of waiting.
    pub fn leave(&mut self, place: Place) {
        if !self.running.remove(&place) {
            self.waiting.retain(|waiting| *waiting != place);
        }
    }

    /// Whoever runs goes on; in a line that has become narrower nobody follows until there is room.
    pub fn resize(&mut self, width: usize) {
        self.width = width.max(1);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::seeds::each_seed;

    /// What somebody who looks on knows: who stands where, and how wide the line is.
    #[derive(Default)]
    struct Onlooker {
        waiting: Vec<Place>,
        running: Vec<Place>,
        last_called: Option<Place>,
    }

    fn history(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut width = random.random_range(1..6);
        let (mut line, mut onlooker) = (Line::new(width), Onlooker::default());
        for _ in 0..120 {
            match random.random_range(0..10) {
                0..4 => onlooker.waiting.push(line.join()),
                4..7 if !onlooker.running.is_empty() => {
                    let place = onlooker.running.swap_remove(random.random_range(0..onlooker.running.len()));
                    line.leave(place);
                }
                7 if !onlooker.waiting.is_empty() => {
                    let place = onlooker.waiting.remove(random.random_range(0..onlooker.waiting.len()));
                    line.leave(place);
                }
                8 => {
                    width = random.random_range(0..6);
                    line.resize(width);
                    width = width.max(1);
                }
                _ => line.leave(Place::MAX), // somebody who is long gone
            }
            while let Some(called) = line.call() {
                assert_eq!(onlooker.waiting.remove(0), called, "first come first served");
                assert!(onlooker.last_called < Some(called));
                onlooker.last_called = Some(called);
                onlooker.running.push(called);
                assert!(onlooker.running.len() <= width, "{} run in a line of {width}", onlooker.running.len());
            }
            assert_eq!((line.running(), line.waiting()), (onlooker.running.len(), onlooker.waiting.len()));
            assert!(onlooker.waiting.is_empty() || onlooker.running.len() >= width, "somebody waits for nothing");
        }
    }

    #[test]
    fn thousands_of_lines_admit_so_many_in_order_and_let_nobody_wait_for_nothing() {
        each_seed(5_000, history);
    }
}
