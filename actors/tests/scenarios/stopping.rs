//! How the tree stops, and how a session rests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_actors::run::context::Context;
use openclaw_actors::session::SessionMsg;
use openclaw_actors::session::actor::IDLE_LIMIT;
use openclaw_actors::store::StoreError;
use openclaw_actors::supervision::{Address, Child, ChildSpec, Restart};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;

use crate::world::{MAIN, World, eventually, key};

/// A child of the front that looks, when it stops, at what still stands.
struct Probe;

struct ProbeState {
    context: Arc<Context>,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl Actor for Probe {
    type Msg = ();
    type State = ProbeState;
    type Arguments = ProbeState;

    async fn pre_start(&self, _: ActorRef<()>, state: ProbeState) -> Result<ProbeState, ActorProcessingErr> {
        Ok(state)
    }

    async fn post_stop(&self, _: ActorRef<()>, state: &mut ProbeState) -> Result<(), ActorProcessingErr> {
        let session = state.context.sessions.get(&key(MAIN)).ok_or("the session is gone")?;
        session.ask(Duration::from_secs(2), SessionMsg::Status).await?;
        state.seen.lock().unwrap().push("session");
        state.context.store.write(|_| Ok(())).await?;
        state.seen.lock().unwrap().push("store");
        Ok(())
    }
}

#[tokio::test]
async fn the_front_stops_while_sessions_and_store_still_stand() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let world = World::start_with(json!({}), |context| {
        let context = Arc::clone(context);
        let start = Arc::new(move |parent| {
            let state = ProbeState { context: Arc::clone(&context), seen: Arc::clone(&noted) };
            let probe = async move { Ok(Probe::spawn_linked(None, Probe, state, parent).await?.0.get_cell()) };
            Box::pin(probe) as futures::future::BoxFuture<'static, _>
        });
        let nobody = Arc::new(Address::<()>::new("probe", 1));
        vec![Child::new(ChildSpec::new("probe", Restart::Permanent), nobody, start)]
    })
    .await;
    world.say(MAIN, "hello").await;
    let context = Arc::clone(&world.context);
    world.tree.stop().await;
    assert_eq!(*seen.lock().unwrap(), ["session", "store"]);
    assert!(context.sessions.is_empty());
    assert!(matches!(context.store.write(|_| Ok(())).await, Err(StoreError::Restarting)));
}

#[tokio::test]
async fn a_session_without_work_rests_and_comes_back_with_its_history() {
    let world = World::start().await;
    world.say(MAIN, "before").await;
    let rested = world.cell(MAIN).get_id();
    world.status(MAIN).await; // answered after the end of the run: the timer is set
    tokio::time::pause();
    tokio::time::advance(IDLE_LIMIT + Duration::from_secs(1)).await;
    tokio::time::resume();
    eventually("the session rests", async || world.context.sessions.get(&key(MAIN)).is_none().then_some(())).await;
    assert!(world.say(MAIN, "after").await.ends_with("after"));
    assert_ne!(world.cell(MAIN).get_id(), rested);
    assert_eq!(world.transcript(MAIN).await.len(), 4);
}
