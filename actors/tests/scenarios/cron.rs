//! Jobs in the whole tree, with a scripted model: what they run, what is kept of it, what is said, and what a failure leaves.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::tz::TimeZone;
use openclaw_actors::cron::handle::Event;
use openclaw_actors::cron::job::{Job, RunStatus};
use openclaw_actors::cron::plan::Planned;
use openclaw_actors::cron::record::RunEntry;
use openclaw_actors::cron::{Cron, MainSession};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::store::cron::{self, Filter, RunRow, RunState};
use openclaw_actors::store::outbox;
use serde_json::{Value, json};

use crate::world::{World, eventually, transcript};

/// A job whose other fields are those of a turn in a session of its own, told to nobody.
fn job(changes: Value) -> Job {
    let mut job = json!({
        "id": "j1", "name": "report", "enabled": true, "createdAtMs": now_ms(), "updatedAtMs": now_ms(),
        "schedule": { "kind": "at", "at": "2100-01-01T00:00:00Z" }, "sessionTarget": "isolated", "wakeMode": "now",
        "payload": { "kind": "agentTurn", "message": "hello" }, "delivery": { "mode": "none" }
    });
    for (key, value) in changes.as_object().unwrap() {
        job[key] = value.clone();
    }
    serde_json::from_value(job).unwrap()
}

fn soon() -> Value {
    json!({ "kind": "every", "everyMs": 3_600_000, "anchorMs": now_ms() + 300 })
}

async fn add(world: &World, changes: Value) {
    let planned = Planned::new(job(changes), now_ms(), &TimeZone::UTC).unwrap();
    world.context.store.write(move |db| cron::put_job(db, &planned)).await.unwrap();
    world.context.cron.look();
}

async fn run_by_hand(world: &World, id: &str) {
    let row = RunRow {
        run_id: id.into(),
        job_id: "j1".into(),
        slot_at: None,
        state: RunState::Queued,
        queued_at: now_ms(),
        started_at: None,
        session_key: None,
        entry: None,
    };
    assert!(world.context.store.write(move |db| cron::add_run(db, &row)).await.unwrap());
    world.context.cron.look();
}

/// The runs that are over, once there are so many.
async fn ended(world: &World, count: usize) -> Vec<RunEntry> {
    eventually("the runs end", async || {
        let read = world.context.store.read(|db| cron::ended(db, &Filter::default(), 0, 50)).await;
        let runs: Vec<RunEntry> = read.unwrap().0.into_iter().map(|(entry, _)| entry).collect();
        (runs.len() >= count).then_some(runs)
    })
    .await
}

async fn state(world: &World) -> openclaw_actors::cron::job::JobState {
    world.context.store.read(|db| cron::job(db, "j1")).await.unwrap().unwrap().job.state
}

#[tokio::test]
async fn a_job_that_is_due_runs_in_a_session_of_its_own_and_is_kept() {
    let world = World::start().await;
    add(&world, json!({ "schedule": soon() })).await;
    let run = ended(&world, 1).await.remove(0);
    assert_eq!((run.status, run.error), (RunStatus::Ok, None));
    let key = run.session_key.unwrap();
    assert_eq!(key, format!("agent:main:cron:j1:run:{}", run.session_id.unwrap()));
    let said = world.transcript(&key).await;
    assert!(said[0].starts_with("user: ") && said[0].ends_with("[cron:j1 report] hello"), "{said:?}");
    assert_eq!(said[1], format!("assistant: {}", run.summary.unwrap()));
    let state = state(&world).await;
    assert_eq!(
        (state.last_status, state.consecutive_errors, state.running_at_ms),
        (Some(RunStatus::Ok), Some(0), None)
    );
    assert!(state.next_run_at_ms.unwrap() > now_ms());
    world.tree.stop().await;
}

#[tokio::test]
async fn a_job_of_a_session_speaks_there_and_one_after_the_other() {
    let world = World::start().await;
    add(&world, json!({ "sessionTarget": "session:agent:main:standup", "deleteAfterRun": false })).await;
    run_by_hand(&world, "manual:1").await;
    ended(&world, 1).await;
    run_by_hand(&world, "manual:2").await;
    let runs = ended(&world, 2).await;
    assert!(runs.iter().all(|run| run.session_key.as_deref() == Some("agent:main:standup")), "{runs:?}");
    assert_eq!(world.transcript("agent:main:standup").await.len(), 4);
    world.tree.stop().await;
}

#[tokio::test]
async fn a_run_outlives_the_actor_that_began_it() {
    let world = World::start().await;
    add(&world, json!({ "payload": { "kind": "agentTurn", "message": "hold:x" } })).await;
    run_by_hand(&world, "manual:1").await;
    eventually("the model is asked", async || (world.model.asked_about("[cron:j1 report] hold:x") > 0).then_some(()))
        .await;
    world.restart("cron").await;
    world.model.release("x");
    let run = ended(&world, 1).await.remove(0);
    assert_eq!((run.status, run.run_id.as_str()), (RunStatus::Ok, "manual:1"));
    world.tree.stop().await;
}

#[tokio::test]
async fn what_was_begun_by_a_gateway_that_is_gone_was_interrupted() {
    let world = World::start().await;
    let row = RunRow {
        run_id: "cron:j1:5".into(),
        job_id: "j1".into(),
        slot_at: Some(5),
        state: RunState::Running,
        queued_at: 5,
        started_at: Some(5),
        session_key: Some("agent:main:cron:j1:run:x".into()),
        entry: None,
    };
    world.context.store.write(move |db| cron::add_run(db, &row)).await.unwrap();
    add(&world, json!({})).await;
    let run = ended(&world, 1).await.remove(0);
    assert_eq!(run.error.as_deref(), Some("cron: job interrupted by gateway restart"));
    let key = openclaw_actors::session::SessionKey::from_stored("agent:main:cron:j1:run:x".into());
    let said = world.context.store.read(move |db| transcript(db, &key)).await.unwrap();
    assert!(said.is_empty(), "nothing was run: {said:?}");
    world.tree.stop().await;
}

#[tokio::test]
async fn an_answer_is_in_the_outbox_with_the_end_of_its_run() {
    let account = json!({ "secret": "s", "callbackUrl": "http://127.0.0.1:1/in" });
    let config = json!({ "channels": { "webhook": { "accounts": { "front": account } } } });
    let world = World::start_with(config, |_| Vec::new()).await;
    let delivery = json!({ "mode": "announce", "channel": "webhook", "to": "direct:ada" });
    add(&world, json!({ "schedule": soon(), "delivery": delivery })).await;
    let run = ended(&world, 1).await.remove(0);
    assert_eq!(run.delivered, Some(true), "{run:?}");
    let id = format!("{}:answer:0", run.run_id);
    let row = world.context.store.read(move |db| outbox::get(db, &id)).await.unwrap().unwrap();
    assert_eq!((row.account.as_str(), row.target.as_str()), ("front", "direct:ada"));
    assert!(row.body.contains(&run.summary.unwrap()), "{}", row.body);
    world.tree.stop().await;
}

#[tokio::test]
async fn an_answer_that_can_go_nowhere_is_an_error_unless_that_does_not_matter() {
    let world = World::start().await;
    add(&world, json!({ "schedule": soon(), "delivery": { "mode": "announce" } })).await;
    let run = ended(&world, 1).await.remove(0);
    assert_eq!((run.status, run.delivered), (RunStatus::Error, Some(false)));
    assert!(run.error.unwrap().contains("name a chat with delivery.channel and delivery.to"));
    let delivery = json!({ "mode": "announce", "bestEffort": true });
    add(&world, json!({ "schedule": soon(), "delivery": delivery })).await;
    let run = ended(&world, 2).await.remove(0);
    assert_eq!((run.status, run.delivered), (RunStatus::Ok, Some(false)));
    world.tree.stop().await;
}

#[tokio::test]
async fn jobs_begin_only_when_the_configuration_lets_them() {
    only_by_hand(World::start_with(json!({ "cron": { "enabled": false } }), |_| Vec::new()).await).await;
    only_by_hand(World::start_with_cron(Cron::new(None, true)).await).await;
}

async fn only_by_hand(world: World) {
    add(&world, json!({ "schedule": soon() })).await;
    eventually("it is due", async || (state(&world).await.next_run_at_ms? < now_ms()).then_some(())).await;
    run_by_hand(&world, "manual:1").await;
    let runs = ended(&world, 1).await;
    assert_eq!(runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), ["manual:1"], "only by hand it runs");
    assert_eq!(state(&world).await.last_status, Some(RunStatus::Ok));
    world.tree.stop().await;
}

#[derive(Default)]
struct Main(Mutex<Vec<Event>>);

impl MainSession for Main {
    fn wake(&self, event: Event) -> BoxFuture<'static, Result<(), String>> {
        self.0.lock().unwrap().push(event);
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn an_event_goes_to_the_main_session_and_runs_nothing() {
    let main = Arc::new(Main::default());
    let taken: Arc<dyn MainSession> = Arc::clone(&main) as _;
    let world = World::start_with_cron(Cron::new(Some(taken), false)).await;
    let payload = json!({ "kind": "systemEvent", "text": "stand up" });
    let wanted = json!({ "schedule": soon(), "sessionTarget": "main", "payload": payload, "delivery": null });
    add(&world, wanted).await;
    let run = ended(&world, 1).await.remove(0);
    assert_eq!((run.status, run.delivered), (RunStatus::Ok, Some(false)));
    let told = main.0.lock().unwrap().clone();
    assert_eq!(told.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(), ["stand up"]);
    assert!(world.transcript("agent:main:main").await.is_empty());
    world.tree.stop().await;
}
