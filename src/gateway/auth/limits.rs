//! How often a secret may be guessed: failures in a sliding window, then a lockout, per kind of secret and client.
//!
//! Invariant: an attempt takes its place before the secret is looked at, so parallel guesses cannot outrun the count.
//! Missing credentials are no guess. Differs: 5.12 limits only when configured; here the defaults always hold.
//! Source: `gateway.auth.rateLimit` of 2026.5.12.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_actors::config::settings::AuthRateLimit;
use tokio::time::Instant;

use super::request::{RequestFacts, shown};

/// Clients that are counted at once; beyond it, idle ones are forgotten, then strangers share one count.
const BUCKETS_MAX: usize = 10_000;
/// What a failure of an exempt client costs once it would be locked out.
const EXEMPT_DELAY: Duration = Duration::from_millis(250);

/// Which secret is guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    SharedSecret,
    DeviceToken,
}

/// Who guesses. Addresses of one IPv6 network of 64 bits are one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Address(IpAddr),
    /// A browser page on this machine is told apart by its origin.
    LocalPage(String),
    Page(IpAddr),
    /// Behind a proxy that is not trusted.
    Behind(IpAddr),
    /// When there are too many to tell apart.
    Crowd,
}

#[derive(Default)]
struct Bucket {
    failures: VecDeque<Instant>,
    /// Attempts whose outcome is not known yet.
    open: usize,
    locked_until: Option<Instant>,
}

/// The counts of all clients.
pub struct Limits {
    rate: Mutex<AuthRateLimit>,
    buckets: Mutex<HashMap<(Surface, Client), Bucket>>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The right secret; forgives what was before.
    Right,
    /// A wrong one; counts.
    Wrong,
    /// None was presented, or the connection was refused for something else.
    Neither,
}

/// A place taken for one attempt. Dropping it without [`Attempt::settle`] counts as [`Outcome::Neither`].
#[must_use]
pub struct Attempt<'a> {
    limits: &'a Limits,
    key: (Surface, Client),
    exempt: bool,
    /// Why no secret may be looked at: the time until it may be again.
    retry_after: Option<Duration>,
    open: bool,
}

impl Limits {
    pub fn new(rate: &AuthRateLimit) -> Self {
        Self { rate: Mutex::new(rate.clone()), buckets: Mutex::default() }
    }

    /// Puts other numbers in force; counts stay.
    pub fn configure(&self, rate: &AuthRateLimit) {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate.clone();
    }

    /// Takes a place for one guess of this client.
    pub fn attempt(&self, surface: Surface, facts: &RequestFacts, now: Instant) -> Attempt<'_> {
        let rate = self.rate();
        let client = client(facts);
        let exempt = rate.exempt_loopback && matches!(client, Client::Address(ip) if ip.is_loopback());
        let mut buckets = self.buckets();
        let mut key = (surface, client);
        if !buckets.contains_key(&key) && buckets.len() >= BUCKETS_MAX {
            let window = Duration::from_millis(rate.window_ms);
            buckets.retain(|_, bucket| !bucket.is_idle(window, now));
            if buckets.len() >= BUCKETS_MAX {
                key.1 = Client::Crowd;
            }
        }
        let bucket = buckets.entry(key.clone()).or_default();
        let retry_after = if exempt { None } else { bucket.retry_after(&rate, now) };
        let open = retry_after.is_none();
        bucket.open += usize::from(open);
        Attempt { limits: self, key, exempt, retry_after, open }
    }

    fn rate(&self) -> AuthRateLimit {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<(Surface, Client), Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    pub fn is_locked(&self) -> bool {
        self.retry_after.is_some()
    }

    /// How long the client is locked out, if it is.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Says how it went. Returns how long the answer must wait: zero, except for failures beyond the limit on this machine.
    pub fn settle(mut self, outcome: Outcome, now: Instant) -> Duration {
        if !std::mem::take(&mut self.open) {
            return Duration::ZERO;
        }
        let rate = self.limits.rate();
        let mut buckets = self.limits.buckets();
        let Some(bucket) = buckets.get_mut(&self.key) else { return Duration::ZERO };
        bucket.open -= 1;
        match outcome {
            Outcome::Neither => Duration::ZERO,
            Outcome::Right => {
                bucket.failures.clear();
                Duration::ZERO
            }
            Outcome::Wrong => {
                bucket.prune(Duration::from_millis(rate.window_ms), now);
                bucket.fail(&rate, self.exempt, now)
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open
            && let Some(bucket) = self.limits.buckets().get_mut(&self.key)
        {
            bucket.open -= 1;
        }
    }
}

impl Bucket {
    fn prune(&mut self, window: Duration, now: Instant) {
        while self.failures.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            self.failures.pop_front();
        }
    }

    /// How long no guess is allowed; `None` means one is.
    fn retry_after(&mut self, rate: &AuthRateLimit, now: Instant) -> Option<Duration> {
        if let Some(until) = self.locked_until {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return Some(left);
            }
            self.locked_until = None;
            self.failures.clear();
        }
        let window = Duration::from_millis(rate.window_ms);
        self.prune(window, now);
        (self.failures.len() + self.open >= rate.max_attempts as usize).then_some(window)
    }

    fn fail(&mut self, rate: &AuthRateLimit, exempt: bool, now: Instant) -> Duration {
        let max = rate.max_attempts as usize;
        let full = self.failures.len() >= max;
        if full {
            self.failures.pop_front(); // only exempt clients get here: no more than the limit is remembered
        }
        self.failures.push_back(now);
        if exempt {
            return if full { EXEMPT_DELAY } else { Duration::ZERO };
        }
        if self.failures.len() >= max {
            self.locked_until = Some(now + Duration::from_millis(rate.lockout_ms));
        }
        Duration::ZERO
    }

    /// Nothing that has to be remembered.
    fn is_idle(&mut self, window: Duration, now: Instant) -> bool {
        self.prune(window, now);
        self.open == 0 && self.failures.is_empty() && self.locked_until.is_none_or(|until| until <= now)
    }
}

fn client(facts: &RequestFacts) -> Client {
    let page = facts.origin().map(|origin| shown(&origin.to_ascii_lowercase()));
    match (facts.client_ip(), page) {
        (Some(ip), Some(origin)) if ip.is_loopback() => Client::LocalPage(origin),
        (Some(ip), Some(_)) => Client::Page(network(ip)),
        (Some(ip), None) => Client::Address(network(ip)),
        (None, _) => Client::Behind(network(facts.peer())),
    }
}

/// The part of an address that one client cannot change: all of IPv4, half of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::settings::Gateway;

    use super::super::request::tests::request;
    use super::*;

    const LOCAL: (&str, &str) = ("host", "localhost");

    fn from(peer: &str, headers: &[(&str, &str)]) -> RequestFacts {
        request(peer, headers, &Gateway::default())
    }

    /// Guesses once; `None` when that was not allowed.
    fn guess(limits: &Limits, facts: &RequestFacts, outcome: Outcome, now: Instant) -> Option<Duration> {
        let attempt = limits.attempt(Surface::SharedSecret, facts, now);
        (!attempt.is_locked()).then(|| attempt.settle(outcome, now))
    }

    fn wrong(limits: &Limits, facts: &RequestFacts, times: usize, now: Instant) {
        for _ in 0..times {
            assert_eq!(guess(limits, facts, Outcome::Wrong, now), Some(Duration::ZERO));
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn ten_failures_lock_out_even_the_right_secret_for_five_minutes() {
        let limits = Limits::new(&AuthRateLimit::default());
        let (client, other, now) = (from("192.0.2.1", &[]), from("192.0.2.2", &[]), Instant::now());
        wrong(&limits, &client, 10, now);
        assert_eq!(guess(&limits, &client, Outcome::Right, now + secs(299)), None);
        assert!(guess(&limits, &other, Outcome::Wrong, now).is_some());
        let device = limits.attempt(Surface::DeviceToken, &client, now);
        assert!(!device.is_locked());
        drop(device);
        assert!(guess(&limits, &client, Outcome::Right, now + secs(300)).is_some());
    }

    #[test]
    fn failures_slide_out_of_the_window_and_success_forgives() {
        let limits = Limits::new(&AuthRateLimit::default());
        let (client, now) = (from("192.0.2.1", &[]), Instant::now());
        wrong(&limits, &client, 9, now);
        wrong(&limits, &client, 9, now + secs(60));
        assert!(guess(&limits, &client, Outcome::Neither, now + secs(60)).is_some());
        assert!(guess(&limits, &client, Outcome::Right, now + secs(60)).is_some());
        wrong(&limits, &client, 10, now + secs(61));
        assert_eq!(guess(&limits, &client, Outcome::Right, now + secs(62)), None);
    }

    #[test]
    fn parallel_guesses_take_their_places_before_they_are_judged() {
        let limits = Limits::new(&AuthRateLimit::default());
        let (client, now) = (from("192.0.2.1", &[]), Instant::now());
        let attempts: Vec<_> = (0..200).map(|_| limits.attempt(Surface::SharedSecret, &client, now)).collect();
        assert_eq!(attempts.iter().filter(|attempt| !attempt.is_locked()).count(), 10);
        drop(attempts);
        assert!(guess(&limits, &client, Outcome::Right, now).is_some(), "nothing was guessed after all");
    }

    #[test]
    fn this_machine_is_slowed_down_and_not_locked_out() {
        let limits = Limits::new(&AuthRateLimit::default());
        let (client, now) = (from("127.0.0.1", &[LOCAL]), Instant::now());
        wrong(&limits, &client, 10, now);
        assert_eq!(guess(&limits, &client, Outcome::Wrong, now), Some(EXEMPT_DELAY));
        assert_eq!(guess(&limits, &client, Outcome::Right, now), Some(Duration::ZERO));
        limits.configure(&AuthRateLimit { exempt_loopback: false, ..AuthRateLimit::default() });
        wrong(&limits, &client, 10, now);
        assert_eq!(guess(&limits, &client, Outcome::Right, now), None);
    }

    #[test]
    fn a_page_on_this_machine_is_locked_out_alone() {
        let limits = Limits::new(&AuthRateLimit::default());
        let page = |origin| from("127.0.0.1", &[LOCAL, ("origin", origin)]);
        let (evil, own, now) = (page("http://localhost:666"), page("http://localhost:18789"), Instant::now());
        wrong(&limits, &evil, 10, now);
        assert_eq!(guess(&limits, &evil, Outcome::Right, now), None);
        assert!(guess(&limits, &own, Outcome::Right, now).is_some());
        assert!(guess(&limits, &from("127.0.0.1", &[LOCAL]), Outcome::Right, now).is_some());
    }

    #[test]
    fn clients_are_told_apart_by_what_they_cannot_change() {
        let same = |left: &RequestFacts, right: &RequestFacts| client(left) == client(right);
        assert!(same(&from("2001:db8::1", &[]), &from("2001:db8::ffff:2", &[])));
        assert!(!same(&from("2001:db8::1", &[]), &from("2001:db8:0:1::1", &[])));
        assert!(same(&from("::ffff:192.0.2.1", &[]), &from("192.0.2.1", &[])));
        assert!(!same(&from("192.0.2.1", &[]), &from("192.0.2.2", &[])));
        let spoofed = |hop| from("127.0.0.1", &[LOCAL, ("x-forwarded-for", hop)]);
        assert!(same(&spoofed("1.1.1.1"), &spoofed("2.2.2.2")));
        assert!(!same(&spoofed("127.0.0.1"), &from("127.0.0.1", &[LOCAL])));
    }

    #[test]
    fn a_crowd_shares_one_count_and_memory_stays_bounded() {
        let limits = Limits::new(&AuthRateLimit::default());
        let now = Instant::now();
        let stranger = |n: u32| from(&std::net::Ipv4Addr::from_bits(0x0b00_0000 + n).to_string(), &[]);
        for n in 0..BUCKETS_MAX as u32 {
            wrong(&limits, &stranger(n), 1, now);
        }
        for n in 0..10 {
            wrong(&limits, &stranger(20_000 + n), 1, now);
        }
        assert_eq!(guess(&limits, &stranger(30_000), Outcome::Right, now), None);
        assert!(limits.buckets().len() <= BUCKETS_MAX + 1);
        assert!(guess(&limits, &stranger(30_000), Outcome::Right, now + secs(61)).is_some());
    }
}
