//! The actor of one connection: it owns the task that talks to the socket, and is the handle by which the tree ends it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_actors::events::ConnId;
use openclaw_actors::supervision::group::{SpawnFn, member_spec};
use openclaw_actors::supervision::task::{self, Task, TaskEnd};
use openclaw_actors::supervision::{Group, GroupSpec, Mail, Observer, Restart, spawn_linked};
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use tracing::Instrument;

use super::talk::{self, Visitor};
use crate::gateway::services::Services;

/// All connections by id.
pub type Connections = Group<ConnId, ConnectionMsg>;

/// What a connection can be told.
#[derive(Debug)]
pub enum ConnectionMsg {
    /// Its task is over.
    Ended(TaskEnd<()>),
}

/// How connections are looked after.
pub fn group_spec(observer: Observer) -> GroupSpec<ConnId, ConnectionMsg> {
    GroupSpec {
        below: None,
        path: "front/connections".into(),
        child: member_spec("connection", Restart::Temporary).shutdown(Duration::from_secs(2)),
        mailbox_cap: 8,
        members_max: usize::MAX, // counted before: `gateway.maxConnections`, and the places of those not yet known
        spawn: None,
        observer,
    }
}

struct ConnectionActor;

struct ConnectionArgs {
    services: Arc<Services>,
    visitor: Visitor,
}

struct ConnectionState {
    _task: Task,
}

/// How the group starts the connection of this visitor: once.
pub fn spawn_fn(services: Arc<Services>, visitor: Visitor) -> SpawnFn<ConnId, ConnectionMsg> {
    let args = Arc::new(Mutex::new(Some(Box::new(ConnectionArgs { services, visitor }))));
    Arc::new(move |_, parent| {
        let args = args.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let args = args.ok_or_else(|| SpawnErr::StartupFailed("a connection starts only once".into()))?;
            spawn_linked("connection", ConnectionActor, *args, parent).await
        })
    })
}

impl Actor for ConnectionActor {
    type Msg = Mail<ConnectionMsg>;
    type State = ConnectionState;
    type Arguments = ConnectionArgs;

    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        args: ConnectionArgs,
    ) -> Result<ConnectionState, ActorProcessingErr> {
        let span = tracing::info_span!("connection", conn = %args.visitor.conn);
        let talk = talk::serve(args.services, args.visitor).instrument(span);
        let task = task::spawn_reporting("connection", talk, move |end| {
            let _ = me.send_message(Mail::own(ConnectionMsg::Ended(end))); // gone only when the task was aborted
        });
        Ok(ConnectionState { _task: task })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        _: &mut ConnectionState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            ConnectionMsg::Ended(TaskEnd::Done(())) => {
                me.stop(None);
                Ok(())
            }
            ConnectionMsg::Ended(TaskEnd::Panicked(message)) => Err(message.into()),
        }
    }
}
