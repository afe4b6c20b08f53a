//! The transport of one account whose platform does not call by itself: keeps it listening, and has its line taken up again
//! when it ends.
//!
//! A line that ends is an ordinary thing and no failure of this actor; trying it again is decided here, and restarting the
//! actor by its supervisor. What the platform refuses for good is not tried again before somebody has changed something.
//! Source: channel specification §1.1.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::account::AccountArgs;
use super::channel::Transport;
use super::line::{End, Line};
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Restarts in a row; then it is given up for `REST`.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// By this part of itself a pause is shorter or longer.
const JITTER: f64 = 0.1;
/// A line that held this long starts from zero again.
const HEALTHY_AFTER: Duration = Duration::from_secs(300);
/// How long a line that was given up rests. `Differs:` upstream waits for its health monitor, which does the same.
const REST: Duration = Duration::from_secs(30 * 60);

/// What a transport can be told.
#[derive(Debug)]
pub enum TransportMsg {
    /// The line is taken up again.
    Again,
    Ended(TaskEnd<End>),
}

struct TransportActor;

/// What it is started with.
#[derive(Clone)]
pub struct TransportArgs {
    account: AccountArgs,
    transport: Arc<dyn Transport>,
}

struct TransportState {
    args: TransportArgs,
    line: Line,
    listening: Option<Task>,
    since: Instant,
    attempts: u32,
    next_try: Option<Timer>,
}

type Me = ActorRef<Mail<TransportMsg>>;

/// The transport as a child of its account.
pub fn child(account: AccountArgs, transport: Arc<dyn Transport>, spec: ChildSpec) -> Child {
    let args = TransportArgs { account, transport };
    Child::leaf(spec, Address::new("transport", 1), args, || TransportActor)
}

impl Actor for TransportActor {
    type Msg = Mail<TransportMsg>;
    type State = TransportState;
    type Arguments = TransportArgs;

    async fn pre_start(&self, me: Me, args: TransportArgs) -> Result<TransportState, ActorProcessingErr> {
        let line = Line::new(&args.account.context, &args.account.key);
        line.note(|facts| *facts = Default::default());
        let since = Instant::now();
        let mut state = TransportState { args, line, listening: None, since, attempts: 0, next_try: None };
        state.listen(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut TransportState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(TransportMsg::Again) => state.listen(&me),
            Some(TransportMsg::Ended(TaskEnd::Done(end))) => state.ended(&me, &end),
            Some(TransportMsg::Ended(TaskEnd::Panicked(message))) => {
                state.ended(&me, &End::Lost(format!("the adapter panicked: {message}")));
            }
            None => {}
        }
        Ok(())
    }

    async fn post_stop(&self, _: Me, state: &mut TransportState) -> Result<(), ActorProcessingErr> {
        state.listening = None; // what was read and not kept, the platform tells again
        state.line.note(|facts| facts.connected = false);
        Ok(())
    }
}

impl TransportState {
    fn listen(&mut self, me: &Me) {
        self.next_try = None;
        self.since = Instant::now();
        let (me, listening) = (me.clone(), self.args.transport.listen(self.line.clone()));
        self.listening = Some(task::spawn_reporting("listen", listening, move |end| {
            let _ = me.send_message(Mail::own(TransportMsg::Ended(end))); // gone only when the task was aborted
        }));
    }

    fn ended(&mut self, me: &Me, end: &End) {
        self.listening = None;
        let account = &self.args.account.key.account;
        let (End::Lost(why) | End::Refused(why)) = end;
        tracing::error!(channel = %self.args.account.key.channel, "[{account}] channel exited: {why}");
        let next = next(end, self.attempts, self.since.elapsed(), rand::random());
        let gave_up = !matches!(next, Next::Again { .. });
        let delay = match next {
            Next::Again { attempt, after } => {
                self.attempts = attempt;
                let seconds = after.as_secs_f64().round();
                tracing::info!("[{account}] auto-restart attempt {attempt}/{ATTEMPTS} in {seconds}s");
                Some(after)
            }
            Next::Rest => {
                tracing::error!("[{account}] giving up after {ATTEMPTS} restart attempts");
                self.attempts = 0;
                Some(REST)
            }
            Next::Never => None,
        };
        let attempts = if next == Next::Rest { ATTEMPTS } else { self.attempts };
        self.line.is_down(why);
        self.line.note(|facts| (facts.gave_up, facts.attempts) = (gave_up, attempts));
        self.next_try = delay.map(|delay| Timer::of(&me.send_after(delay, || Mail::own(TransportMsg::Again))));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Again {
        attempt: u32,
        after: Duration,
    },
    /// Not for a while.
    Rest,
    /// Not by itself.
    Never,
}

/// What follows from an end after so many restarts in a row, of a line that held for `held`. `jitter` is in 0.0–1.0.
fn next(end: &End, attempts: u32, held: Duration, jitter: f64) -> Next {
    if matches!(end, End::Refused(_)) {
        return Next::Never;
    }
    let attempt = if held >= HEALTHY_AFTER { 1 } else { attempts + 1 };
    if attempt > ATTEMPTS {
        return Next::Rest;
    }
    let pause = PAUSE.saturating_mul(1 << (attempt - 1)).min(PAUSE_MAX);
    let jitter = JITTER * (2.0 * jitter.clamp(0.0, 1.0) - 1.0);
    Next::Again { attempt, after: pause.mul_f64(1.0 + jitter) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_tried_ten_times_further_and_further_apart_then_rests() {
        let lost = End::Lost("gone".into());
        let after = |attempts, held| match next(&lost, attempts, Duration::from_secs(held), 0.5) {
            Next::Again { attempt, after } => (attempt, after.as_secs()),
            other => panic!("{other:?}"),
        };
        let all: Vec<_> = (0..10).map(|attempts| after(attempts, 1)).collect();
        let pauses = [5, 10, 20, 40, 80, 160, 300, 300, 300, 300];
        assert_eq!(all, (1..).zip(pauses).collect::<Vec<_>>());
        assert_eq!(next(&lost, 10, Duration::from_secs(1), 0.5), Next::Rest);
        assert_eq!(after(10, 300), (1, 5), "a line that held starts from zero");
        let spread = |jitter| next(&lost, 0, Duration::ZERO, jitter);
        assert_eq!(spread(0.0), Next::Again { attempt: 1, after: Duration::from_millis(4500) });
        assert_eq!(spread(1.0), Next::Again { attempt: 1, after: Duration::from_millis(5500) });
        assert_eq!(next(&End::Refused("401".into()), 0, Duration::ZERO, 0.5), Next::Never);
    }
}
