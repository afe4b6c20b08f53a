//! What becomes of one more request, given those before it.

use std::time::Duration;

use tokio::time::Instant;

/// How long running turns may go on before the restart cuts them off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Not at all. They are marked as interrupted and go on after the start.
    Skip,
    /// As long as `gateway.reload.deferralTimeoutMs` says.
    Configured,
    /// `None`: as long as it takes.
    Limit(Option<Duration>),
}

/// Who wants a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A person, whose word stands.
    Operator,
    /// A changed configuration; an edit can take it back.
    Config,
    /// Too much memory.
    Memory,
}

/// A restart that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub cause: Cause,
    /// For the log and for whoever asks; the one of the first request stays.
    pub reason: String,
    pub drain: Drain,
}

/// A restart that is to be made.
pub type Order = Request;

/// Where requests stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Idle,
    /// Ordered, and begins at `due`.
    Ordered { order: Order, due: Instant },
    /// The gateway goes down. `hurry`: running turns need not be waited for any longer.
    UnderWay { hurry: bool },
}

/// What whoever asked is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// It joined a restart that was ordered before.
    pub coalesced: bool,
    /// Until the restart begins.
    pub delay: Duration,
    /// The part of the delay that keeps restarts apart.
    pub spacing: Duration,
}

/// How requests are timed.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Whoever asked is answered meanwhile, and requests in a row become one.
    pub delay: Duration,
    /// Between the last restart and the beginning of the next one.
    pub apart: Duration,
}

/// The phase after `request`, and its answer. `last`: when this process came out of a restart.
pub fn place(phase: Phase, request: Request, last: Option<Instant>, now: Instant, timing: Timing) -> (Phase, Answer) {
    let joined = |delay| Answer { coalesced: true, delay, spacing: Duration::ZERO };
    match phase {
        Phase::UnderWay { hurry } => {
            (Phase::UnderWay { hurry: hurry || request.drain == Drain::Skip }, joined(Duration::ZERO))
        }
        Phase::Ordered { mut order, due } => {
            if request.drain == Drain::Skip {
                order.drain = Drain::Skip;
            }
            if request.cause == Cause::Operator {
                order.cause = Cause::Operator;
            }
            (Phase::Ordered { order, due }, joined(due.saturating_duration_since(now)))
        }
        Phase::Idle => {
            let spacing = last.map_or(Duration::ZERO, |last| (last + timing.apart).saturating_duration_since(now));
            let delay = timing.delay.max(spacing);
            (Phase::Ordered { order: request, due: now + delay }, Answer { coalesced: false, delay, spacing })
        }
    }
}

/// The phase after whoever asked for this cause no longer wants it.
pub fn withdraw(phase: Phase, cause: Cause) -> Phase {
    match phase {
        Phase::Ordered { order, .. } if order.cause == cause => Phase::Idle,
        phase => phase,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { delay: Duration::from_millis(100), apart: Duration::from_secs(30) };

    fn request(reason: &str, drain: Drain) -> Request {
        Request { cause: Cause::Config, reason: reason.into(), drain }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_decides_when_and_a_later_one_only_hurries() {
        let now = Instant::now();
        let (phase, first) = place(Phase::Idle, request("a", Drain::Configured), None, now, TIMING);
        assert_eq!((first.coalesced, first.delay), (false, TIMING.delay));
        let later = now + Duration::from_millis(40);
        let (phase, second) = place(phase, request("b", Drain::Limit(None)), None, later, TIMING);
        assert_eq!((second.coalesced, second.delay), (true, Duration::from_millis(60)));
        let due = now + TIMING.delay;
        assert_eq!(phase, Phase::Ordered { order: request("a", Drain::Configured), due });
        let (phase, _) = place(phase, request("c", Drain::Skip), None, later, TIMING);
        assert_eq!(phase, Phase::Ordered { order: request("a", Drain::Skip), due });
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_takes_back_only_what_nobody_else_wants() {
        let now = Instant::now();
        let (ordered, _) = place(Phase::Idle, request("a", Drain::Configured), None, now, TIMING);
        assert_eq!(withdraw(ordered.clone(), Cause::Config), Phase::Idle);
        assert_eq!(withdraw(ordered.clone(), Cause::Operator), ordered);
        let asked = Request { cause: Cause::Operator, ..request("b", Drain::Configured) };
        let (joined, _) = place(ordered, asked, None, now, TIMING);
        assert_eq!(withdraw(joined.clone(), Cause::Config), joined);
        let under_way = Phase::UnderWay { hurry: false };
        assert_eq!(withdraw(under_way.clone(), Cause::Config), under_way);
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_are_kept_apart() {
        let now = Instant::now() + Duration::from_secs(100);
        for (ago, delay, spacing) in [(5, 25_000, 25_000), (30, 100, 0), (90, 100, 0)] {
            let last = Some(now - Duration::from_secs(ago));
            let (_, answer) = place(Phase::Idle, request("a", Drain::Skip), last, now, TIMING);
            let ms = |duration: Duration| duration.as_millis();
            assert_eq!((ms(answer.delay), ms(answer.spacing)), (delay, spacing), "{ago} s ago");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_under_way_is_joined_and_can_be_hurried() {
        let under_way = |hurry| Phase::UnderWay { hurry };
        for (before, drain, after) in
            [(false, Drain::Configured, false), (false, Drain::Skip, true), (true, Drain::Configured, true)]
        {
            let (phase, answer) = place(under_way(before), request("a", drain), None, Instant::now(), TIMING);
            assert_eq!((phase, answer.coalesced), (under_way(after), true));
        }
    }
}
