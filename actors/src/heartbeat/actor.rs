//! The heartbeat actor: looks at the clock, takes wakes, runs one heartbeat after the other.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::beat::{self, Done};
use super::broker::{Broker, Source, Target, Wake};
use super::schedule;
use super::settings::{Beat, beats};
use crate::devices::DeviceIdentity;
use crate::run::context::Context;
use crate::run::stream::now_ms;
use crate::session::{AgentId, SessionKey};
use crate::store::system_events;
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Address, Child, ChildSpec, Mail, Unavailable};

/// The clock is looked at so often, whatever else is due: it may be set, and machines sleep.
const LOOK: Duration = Duration::from_secs(60);
/// Mails that may wait.
const MAILBOX: usize = 256;

/// What the heartbeat actor can be told.
#[derive(Debug)]
pub enum HeartbeatMsg {
    /// Something may be due.
    Look,
    /// The configuration may say something else now.
    Plan,
    Ask(Target, Source),
    /// Who this machine is, and which conversations something waits for.
    Known(TaskEnd<(String, Vec<String>)>),
    Ended(Wake, TaskEnd<Done>),
}

/// Where heartbeats are asked for; cheap to clone.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    address: Address<HeartbeatMsg>,
    on: Arc<AtomicBool>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { address: Address::new("heartbeat", MAILBOX), on: Arc::new(AtomicBool::new(true)) }
    }
}

impl Heartbeat {
    /// Wakes an agent, in the conversation of this key or its usual one.
    pub fn wake(&self, agent: AgentId, session: Option<&SessionKey>, source: Source) -> Result<(), Unavailable> {
        let session = session.map(|key| key.as_str().to_owned());
        self.address.try_send(HeartbeatMsg::Ask(Target { agent, session }, source))
    }

    /// Switches all of them on or off, until the gateway ends.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
        self.configuration_changed();
    }

    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub fn configuration_changed(&self) {
        let _ = self.address.try_send(HeartbeatMsg::Plan); // full: it looks anyway; restarting: it plans when it is back
    }
}

struct HeartbeatActor;

struct HeartbeatState {
    context: Arc<Context>,
    /// Who this machine is; absent until it is known.
    seed: Option<String>,
    learning: Option<Task>,
    broker: Broker,
    /// The next beat of each agent.
    due: HashMap<AgentId, Timestamp>,
    running: Option<Task>,
    next_look: Option<Timer>,
}

type Me = ActorRef<Mail<HeartbeatMsg>>;

/// The heartbeat actor as a child of its supervisor.
pub fn child(context: Arc<Context>, spec: ChildSpec) -> Child {
    Child::leaf(spec, context.heartbeat.address.clone(), context, || HeartbeatActor)
}

impl Actor for HeartbeatActor {
    type Msg = Mail<HeartbeatMsg>;
    type State = HeartbeatState;
    type Arguments = Arc<Context>;

    async fn pre_start(&self, me: Me, context: Arc<Context>) -> Result<HeartbeatState, ActorProcessingErr> {
        let mut state = HeartbeatState {
            context,
            seed: None,
            learning: None,
            broker: Broker::default(),
            due: HashMap::new(),
            running: None,
            next_look: None,
        };
        state.learn(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut HeartbeatState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(HeartbeatMsg::Look) => {}
            Some(HeartbeatMsg::Plan) => state.due.clear(),
            Some(HeartbeatMsg::Ask(target, source)) => state.ask(target, source, None),
            Some(HeartbeatMsg::Known(TaskEnd::Done((seed, waiting)))) => state.known(seed, waiting),
            Some(HeartbeatMsg::Ended(wake, TaskEnd::Done(done))) => state.ended(wake, done),
            Some(
                HeartbeatMsg::Known(TaskEnd::Panicked(message)) | HeartbeatMsg::Ended(_, TaskEnd::Panicked(message)),
            ) => {
                return Err(message.into());
            }
            None => return Ok(()),
        }
        state.look(&me);
        Ok(())
    }
}

impl HeartbeatState {
    fn learn(&mut self, me: &Me) {
        let (context, me) = (Arc::clone(&self.context), me.clone());
        self.learning = Some(task::spawn_reporting("heartbeat-start", learn(context), move |end| {
            let _ = me.send_message(Mail::own(HeartbeatMsg::Known(end))); // gone only when the task was aborted
        }));
    }

    fn known(&mut self, seed: String, waiting: Vec<String>) {
        self.learning = None;
        self.seed = Some(seed);
        for key in waiting {
            let key = SessionKey::from_stored(key);
            let agent = self.context.agent_of(&key);
            self.ask(Target { agent, session: Some(key.as_str().to_owned()) }, Source::Event, None);
        }
    }

    fn ask(&mut self, target: Target, source: Source, slot: Option<i64>) {
        if !self.broker.ask(target, source, slot, Instant::now()) {
            tracing::warn!("too many heartbeats wait; one more is not taken");
        }
    }

    /// What is due now runs; what comes next sets the timer.
    fn look(&mut self, me: &Me) {
        let beats = beats(&self.context.config.load(), &self.context.zone());
        self.plan(&beats);
        if self.running.is_none()
            && !self.context.is_draining()
            && let Some(wake) = self.broker.take(Instant::now())
        {
            self.run(me, &beats, wake);
        }
        let pause = match self.running {
            Some(_) => LOOK,
            None => self.pause(),
        };
        let due = me.send_after(pause, || Mail::own(HeartbeatMsg::Look));
        self.next_look = Some(Timer::of(&due));
    }

    /// Beats that are due are asked for. A clock that was set back, or an interval that was changed, is planned anew.
    fn plan(&mut self, beats: &[Beat]) {
        let Some(seed) = self.seed.clone() else { return };
        let now = Timestamp::now();
        self.due.retain(|agent, _| beats.iter().any(|beat| beat.agent == *agent && beat.every.is_some()));
        if !self.context.heartbeat.is_on() {
            return self.due.clear();
        }
        for beat in beats {
            let Some(every) = beat.every else { continue };
            let phase = schedule::phase(&seed, beat.agent.as_str(), every);
            let next = schedule::next(now, every, phase, beat.hours.as_ref());
            let due = self.due.get(&beat.agent).copied();
            if let Some(slot) = due.filter(|due| *due <= now) {
                let target = Target { agent: beat.agent.clone(), session: None };
                self.ask(target, Source::Interval, Some(slot.as_millisecond()));
            }
            match next {
                Some(next) => drop(self.due.insert(beat.agent.clone(), next)),
                None => drop(self.due.remove(&beat.agent)),
            }
        }
    }

    fn pause(&self) -> Duration {
        let now = Timestamp::now();
        let beat = self.due.values().min().map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        let wake = self.broker.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        [beat, wake].into_iter().flatten().fold(LOOK, Duration::min)
    }

    fn run(&mut self, me: &Me, beats: &[Beat], wake: Wake) {
        let beat = beats.iter().find(|beat| beat.agent == wake.target.agent).cloned();
        let (context, me, on) = (Arc::clone(&self.context), me.clone(), self.context.heartbeat.is_on());
        let work = beat::run(context, beat, wake.clone(), on);
        self.running = Some(task::spawn_reporting("heartbeat", work, move |end| {
            let _ = me.send_message(Mail::own(HeartbeatMsg::Ended(wake, end))); // as above
        }));
    }

    fn ended(&mut self, wake: Wake, done: Done) {
        self.running = None;
        match done {
            Done::Ran => self.broker.ran(wake.target, Instant::now()),
            Done::Skipped => {}
            Done::Again => self.ask(wake.target, Source::Retry, wake.slot),
        }
    }
}

/// Reads who this machine is and what waits; again until it can. In safe mode heartbeats wait for its end.
async fn learn(context: Arc<Context>) -> (String, Vec<String>) {
    context.safe_mode.lifted().await;
    loop {
        let dir = context.store.dir().to_owned();
        let seed = task::blocking(move || device_id(&dir)).await.and_then(|seed| seed);
        let waiting = context.store.read(system_events::sessions).await.map_err(|error| error.to_string());
        match seed.and_then(|seed| Ok((seed, waiting?))) {
            Ok(known) => return known,
            Err(error) => tracing::warn!(error, "heartbeats cannot start yet"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn device_id(state_dir: &Path) -> Result<String, String> {
    let now = u64::try_from(now_ms()).unwrap_or(0);
    let identity = DeviceIdentity::load_or_create(state_dir, now, rand::random).map_err(|error| error.to_string())?;
    Ok(identity.device_id().to_owned())
}
