//! Control-plane writes share one small budget: three in sixty seconds.
//!
//! A fixed window from the first call, per device and address, or per connection when both are unknown. A call counts
//! before it is looked at: refused ones use the budget too. Source: rate limits of the 2026.5.12 protocol.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openclaw_actors::protocol::ErrorShape;
use serde_json::json;
use tokio::time::Instant;

use crate::gateway::ws::client::ClientFacts;

const CALLS: u32 = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// Callers that are remembered; the oldest windows go first.
const CALLERS_MAX: usize = 10_000;

/// The budgets of all callers.
#[derive(Debug, Default)]
pub struct ControlBudget {
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl ControlBudget {
    /// Counts a call of `method`.
    pub fn spend(&self, method: &str, client: &ClientFacts) -> Result<(), ErrorShape> {
        self.spend_at(method, &caller(client), Instant::now())
    }

    fn spend_at(&self, method: &str, caller: &str, now: Instant) -> Result<(), ErrorShape> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= CALLERS_MAX && !windows.contains_key(caller) {
            windows.retain(|_, (start, _)| now.duration_since(*start) < WINDOW);
            if windows.len() >= CALLERS_MAX
                && let Some(oldest) = windows.iter().min_by_key(|(_, (start, _))| *start).map(|(key, _)| key.clone())
            {
                windows.remove(&oldest);
            }
        }
        let (start, calls) = windows.entry(caller.to_owned()).or_insert((now, 0));
        if now.duration_since(*start) >= WINDOW {
            (*start, *calls) = (now, 0);
        }
        *calls += 1;
        if *calls <= CALLS {
            return Ok(());
        }
        let left = WINDOW - now.duration_since(*start);
        let (secs, ms) = (left.as_millis().div_ceil(1000), u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        Err(ErrorShape::retry_after(format!("rate limit exceeded for {method}; retry after {secs}s"), ms)
            .with_details(json!({ "method": method, "limit": "3 per 60s" })))
    }
}

fn caller(client: &ClientFacts) -> String {
    match (&client.device_id, client.ip) {
        (None, None) => format!("conn:{}", client.conn),
        (device, ip) => {
            format!("{}|{}", device.as_deref().unwrap_or_default(), ip.map(|ip| ip.to_string()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_fourth_call_of_a_minute_is_told_when_to_come_back() {
        let budget = ControlBudget::default();
        let start = Instant::now();
        for _ in 0..3 {
            budget.spend_at("config.patch", "a", start).unwrap();
        }
        let error = budget.spend_at("config.apply", "a", start + Duration::from_millis(4_030)).unwrap_err();
        assert_eq!(error.message, "rate limit exceeded for config.apply; retry after 56s");
        assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(55_970)));
        budget.spend_at("config.patch", "b", start).unwrap();
        budget.spend_at("config.patch", "a", start + WINDOW).unwrap();
    }

    #[test]
    fn a_crowd_of_callers_pushes_out_the_oldest_and_never_grows() {
        let budget = ControlBudget::default();
        let start = Instant::now();
        let at = |number: usize| start + Duration::from_micros(number as u64);
        for number in 0..CALLERS_MAX {
            budget.spend_at("config.patch", &number.to_string(), at(number)).unwrap();
        }
        for _ in 0..CALLS {
            budget.spend_at("config.patch", "late", at(CALLERS_MAX)).unwrap();
        }
        let windows = budget.windows.lock().unwrap();
        assert_eq!(windows.len(), CALLERS_MAX);
        assert!(!windows.contains_key("0") && windows.contains_key("1") && windows.contains_key("late"));
    }
}
