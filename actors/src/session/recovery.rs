//! The recovery actor: whenever the sessions start, it starts each one that has work from before, because nobody else
//! may ask for it. The session itself then marks what was cut off and runs what waits.
//!
//! parent: agents, after the sessions (rest for one: it starts again with them) · children: the sweeping task ·
//! restart: permanent

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::key::SessionKey;
use super::message::SessionMsg;
use crate::run::context::Context;
use crate::store::runs;
use crate::supervision::group::QUARANTINE;
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// How long a session may take to read what the last time left.
const LOAD_LIMIT: Duration = Duration::from_secs(10);
/// Pause before a store that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

struct RecoveryActor;

struct RecoveryState {
    _sweep: Task,
}

/// The sweep is over.
#[derive(Debug)]
struct Swept(TaskEnd<()>);

/// Recovery as a child of the agents' supervisor.
pub fn child(context: Arc<Context>, spec: ChildSpec) -> Child {
    Child::leaf(spec, Address::new("recovery", 1), context, || RecoveryActor)
}

impl Actor for RecoveryActor {
    type Msg = Mail<Swept>;
    type State = RecoveryState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        context: Arc<Context>,
    ) -> Result<RecoveryState, ActorProcessingErr> {
        let sweep = task::spawn_reporting("recovery", sweep(context), move |end| {
            let _ = me.send_message(Mail::own(Swept(end))); // gone only when the task was aborted
        });
        Ok(RecoveryState { _sweep: sweep })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        _: &mut RecoveryState,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(Swept(TaskEnd::Panicked(message))) => Err(message.into()),
            Some(Swept(TaskEnd::Done(()))) | None => Ok(()),
        }
    }
}

/// Starts every session with open runs. One that does not start is tried again when its quarantine is over.
async fn sweep(context: Arc<Context>) {
    context.safe_mode.lifted().await;
    let mut keys = open(&context).await;
    loop {
        let mut failed = Vec::new();
        for key in keys {
            if let Err(error) = recover(&context, &key).await {
                tracing::error!(session = %key, %error, "session not recovered yet");
                failed.push(key);
            }
        }
        if failed.is_empty() {
            return;
        }
        tokio::time::sleep(QUARANTINE).await;
        keys = failed;
    }
}

async fn open(context: &Context) -> Vec<SessionKey> {
    loop {
        match context.store.read(runs::open_sessions).await {
            Ok(keys) => return keys.into_iter().map(SessionKey::from_stored).collect(),
            Err(error) => tracing::error!(%error, "unfinished runs of the last time could not be read yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Asking for its status makes a session load.
async fn recover(context: &Context, key: &SessionKey) -> Result<(), String> {
    let session = context.sessions.get_or_start(key.clone()).await?;
    let status = session.ask(LOAD_LIMIT, SessionMsg::Status).await.map_err(|error| error.to_string())?;
    tracing::info!(session = %key, running = ?status.running, "session recovered");
    Ok(())
}
