//! How often somebody may post to a webhook without a valid signature: in a window of a minute, by client and path.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Posts in one window.
const POSTS_MAX: u32 = 120;
const WINDOW: Duration = Duration::from_secs(60);
/// Clients and paths that are told apart; beyond, everybody new waits for a window to end.
const TRACKED_MAX: usize = 4096;

struct Window {
    since: Instant,
    posts: u32,
}

/// The windows of all clients.
pub struct Pace {
    windows: Mutex<Option<HashMap<(IpAddr, String), Window>>>,
}

/// A post that counts until it is given back.
#[must_use]
pub struct Place<'a> {
    pace: &'a Pace,
    key: (IpAddr, String),
}

impl Pace {
    pub const fn new() -> Self {
        Self { windows: Mutex::new(None) }
    }

    /// Counts a post. The error is how many seconds to wait.
    pub fn enter(&self, client: IpAddr, path: &str) -> Result<Place<'_>, u64> {
        let now = Instant::now();
        let key = (client, path.chars().take(200).collect::<String>());
        let mut guard = self.lock();
        let windows = guard.get_or_insert_default();
        if !windows.contains_key(&key) && windows.len() >= TRACKED_MAX {
            windows.retain(|_, window| now.duration_since(window.since) < WINDOW);
            if windows.len() >= TRACKED_MAX {
                return Err(WINDOW.as_secs());
            }
        }
        let window = windows.entry(key.clone()).or_insert(Window { since: now, posts: 0 });
        if now.duration_since(window.since) >= WINDOW {
            *window = Window { since: now, posts: 0 };
        }
        if window.posts >= POSTS_MAX {
            return Err((WINDOW - now.duration_since(window.since)).as_secs() + 1);
        }
        window.posts += 1;
        Ok(Place { pace: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<(IpAddr, String), Window>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    pub fn give_back(self) {
        let mut guard = self.pace.lock();
        if let Some(window) = guard.as_mut().and_then(|windows| windows.get_mut(&self.key)) {
            window.posts = window.posts.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn a_client_may_guess_so_often_and_no_more_until_the_minute_is_over() {
        let pace = Pace::new();
        for _ in 0..POSTS_MAX {
            drop(pace.enter(CLIENT, "/a").unwrap_or_else(|_| panic!("too early")));
        }
        assert!(pace.enter(CLIENT, "/a").is_err());
        assert!(pace.enter(CLIENT, "/b").is_ok(), "another path is another count");
        tokio::time::advance(WINDOW).await;
        assert!(pace.enter(CLIENT, "/a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_does_not_count_and_strangers_are_bounded() {
        let pace = Pace::new();
        for _ in 0..POSTS_MAX * 2 {
            pace.enter(CLIENT, "/a").unwrap_or_else(|_| panic!("given back")).give_back();
        }
        let strangers = (0..TRACKED_MAX as u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into()));
        let taken = strangers.filter(|stranger| pace.enter(*stranger, "/a").is_ok()).count();
        assert_eq!(taken, TRACKED_MAX - 1);
        assert!(pace.enter(CLIENT, "/a").is_ok(), "who is known is not kept out by strangers");
    }
}
