//! A chat platform that does as it is told: what becomes of a message when its adapter, its sender or its ingress goes down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use openclaw_actors::channels::account::{Account, DISABLED};
use openclaw_actors::channels::channel::{About, Inbound, Sender, Transport};
use openclaw_actors::channels::policy::{Access, Chat, DmPolicy, GroupPolicy};
use openclaw_actors::channels::{AccountKey, Channel, Channels};
use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::delivery::machine::Attempt;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::store::outbox::{self, OutboxRow, SendState};
use openclaw_actors::store::spool::{self, EventState, SpoolRow};
use openclaw_actors::supervision::{Branch, Operation};
use ractor::ActorId;
use serde_json::json;

use crate::world::{World, eventually};

/// Sends what it is given, as its text says: `panic`, `hang`, `refuse`. Nobody can tell whether it has a message already.
#[derive(Clone, Default)]
pub struct Scripted {
    sent: Arc<Mutex<Vec<String>>>,
    tries: Arc<Mutex<HashMap<String, u32>>>,
    /// The identity of its one account; absent when that is switched off.
    identity: Arc<Mutex<Option<String>>>,
    /// How often somebody asked for its accounts.
    asked: Arc<AtomicU32>,
    /// What listens for it.
    transport: Option<Arc<dyn Transport>>,
}

impl Scripted {
    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }

    fn tries(&self, id: &str) -> u32 {
        self.tries.lock().unwrap().get(id).copied().unwrap_or(0)
    }
}

impl Scripted {
    fn configure(&self, identity: Option<&str>) {
        *self.identity.lock().unwrap() = identity.map(str::to_owned);
    }
}

impl Channel for Scripted {
    fn id(&self) -> &'static str {
        "telegram"
    }

    fn about(&self) -> About {
        About { label: "Scripted", detail: "Scripted", image: "link" }
    }

    fn mode(&self, _: &Snapshot, _: &str) -> &'static str {
        "polling"
    }

    fn accounts(&self, _: &Snapshot) -> Vec<Account> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let identity = self.identity.lock().unwrap().clone();
        let problem = identity.is_none().then(|| DISABLED.to_owned());
        vec![Account { id: "default".into(), problem, identity: identity.unwrap_or_default() }]
    }

    fn access(&self, _: &Snapshot, _: &str) -> Access {
        Access {
            dm_policy: DmPolicy::Open,
            allow_from: vec!["*".into(), "ada".into()],
            group_policy: GroupPolicy::Disabled,
            group_allow_from: Vec::new(),
            groups: None,
            require_mention: true,
            prefixes: &[],
            access_groups: serde_json::Value::Null,
            channel: "telegram",
        }
    }

    fn normalize(&self, raw: &str) -> Result<Option<Inbound>, String> {
        assert_ne!(raw, "poison", "nobody can read this");
        Ok(Some(Inbound {
            chat: Chat::Direct,
            target: "chat".into(),
            thread: None,
            sender: Sender { id: "ada".into(), name: None },
            text: raw.into(),
            mentioned: false,
            message_id: raw.into(),
            quote: None,
        }))
    }

    fn transport(&self) -> Option<Arc<dyn Transport>> {
        self.transport.clone()
    }

    fn target(&self, to: &str) -> Result<String, String> {
        Ok(to.to_owned())
    }

    fn is_direct(&self, _: &str) -> bool {
        true
    }

    fn render(&self, text: &str, _: &Snapshot, _: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    fn repeatable(&self) -> bool {
        false
    }

    fn send(&self, _: Arc<Snapshot>, part: OutboxRow) -> BoxFuture<'static, Attempt> {
        let this = self.clone();
        Box::pin(async move {
            *this.tries.lock().unwrap().entry(part.id.clone()).or_default() += 1;
            match part.body.as_str() {
                "panic" => panic!("the adapter does not like this"),
                "hang" => std::future::pending().await,
                "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
                "refuse" => return Attempt::Refused { error: "chat not found".into() },
                _ => {}
            }
            this.sent.lock().unwrap().push(part.body.clone());
            Attempt::Sent { receipt: json!({ "messageId": 7 }).to_string() }
        })
    }
}

async fn world() -> (World, Scripted) {
    world_with(None).await
}

/// The same with something that listens.
pub async fn world_with(transport: Option<Arc<dyn Transport>>) -> (World, Scripted) {
    let identity = Arc::new(Mutex::new(Some("token".into())));
    let adapter = Scripted { identity, transport, ..Scripted::default() };
    let world = World::start_with_channels(Channels::new(vec![Arc::new(adapter.clone())])).await;
    let account = AccountKey::new("telegram", "default");
    eventually("the account runs", async || world.context.channels.accounts.get(&account).map(drop)).await;
    (world, adapter)
}

/// Queues a message of these parts.
async fn say(world: &World, source: &str, chat: &str, parts: &[&str]) {
    let row = |(number, body): (usize, &&str)| OutboxRow {
        id: format!("{source}:{number}"),
        channel: "telegram".into(),
        account: "default".into(),
        target: chat.into(),
        thread: None,
        reply_to: None,
        session_key: None,
        run_id: None,
        state: SendState::Pending,
        body: (*body).to_owned(),
        attempts: 0,
        doubt: false,
        queued_at: now_ms(),
        next_at: now_ms(),
        ended_at: None,
        receipt: None,
        error: None,
    };
    let rows: Vec<OutboxRow> = parts.iter().enumerate().map(row).collect();
    let stored = rows.clone();
    let write = move |db: &_| stored.iter().try_for_each(|row| outbox::add(db, row).map(drop));
    world.context.store.write(write).await.unwrap();
    world.context.channels.message_stored(&rows);
}

async fn until(world: &World, id: &str, state: SendState) -> OutboxRow {
    eventually(&format!("{id} is {state:?}"), async || {
        let id = id.to_owned();
        let row = world.context.store.read(move |db| outbox::get(db, &id)).await.unwrap()?;
        (row.state == state).then_some(row)
    })
    .await
}

async fn hear(world: &World, key: &str, lane: &str, raw: &str) {
    let row = SpoolRow {
        channel: "telegram".into(),
        account: "default".into(),
        event_key: key.into(),
        lane: lane.into(),
        raw: raw.into(),
        received_at: now_ms(),
        state: EventState::Pending,
        attempts: 0,
        outcome: None,
    };
    world.context.store.write(move |db| spool::add(db, &row)).await.unwrap();
    world.context.channels.event_stored(&AccountKey::new("telegram", "default"));
}

pub async fn settled(world: &World, key: &str) -> SpoolRow {
    eventually(&format!("{key} is settled"), async || {
        let key = key.to_owned();
        let row = world.context.store.read(move |db| spool::get(db, "telegram", "default", &key)).await.unwrap()?;
        (row.state != EventState::Pending).then_some(row)
    })
    .await
}

/// The child of the account with this name, started again.
async fn restart(world: &World, child: &str) {
    let path = format!("channels/accounts/telegram:default/{child}");
    let node = world.context.overview.operate(&path, Operation::Restart).await.unwrap();
    assert_eq!((node.state, node.generation), ("running", 2));
}

/// Tells the keeper of a change, until one round after it is over: the second round starts when the first has ended.
async fn changed(world: &World, adapter: &Scripted) {
    let before = adapter.asked.load(Ordering::SeqCst);
    for round in 1..=2 {
        world.context.channels.configuration_changed();
        let asked = || adapter.asked.load(Ordering::SeqCst);
        eventually("the keeper looks", async || (asked() >= before + round).then_some(())).await;
    }
}

/// The actor that the account is now, if it runs.
fn account(world: &World) -> Option<ActorId> {
    let address = world.context.channels.accounts.get(&AccountKey::new("telegram", "default"))?;
    address.current().map(|actor| actor.get_id())
}

#[tokio::test]
async fn a_keeper_that_was_restarted_knows_which_accounts_run() {
    let (world, adapter) = world().await;
    let first = account(&world).unwrap();
    world.context.overview.operate("channels/keeper", Operation::Restart).await.unwrap();
    adapter.configure(Some("another token"));
    world.context.channels.configuration_changed();
    let second = eventually("it starts anew", async || account(&world).filter(|id| *id != first)).await;

    world.context.overview.operate("channels/keeper", Operation::Restart).await.unwrap();
    changed(&world, &adapter).await; // it was not: the account stays as it is
    assert_eq!(account(&world), Some(second));

    adapter.configure(None);
    world.context.channels.configuration_changed();
    eventually("it is gone", async || account(&world).is_none().then_some(())).await;
    let rows = world.context.channels.accounts.children().await.unwrap();
    assert!(rows.is_empty(), "it is forgotten, too");
}

#[tokio::test]
async fn who_was_stopped_by_hand_stays_down_until_the_configuration_gives_it_up() {
    let (world, adapter) = world().await;
    let path = "channels/accounts/telegram:default";
    world.context.overview.operate(path, Operation::Stop).await.unwrap();
    adapter.configure(Some("another token"));
    changed(&world, &adapter).await;
    let state = async || {
        let rows = world.context.channels.accounts.children().await.unwrap();
        rows.first().map(|row| row.node.state)
    };
    assert_eq!(state().await, Some("stopped"));
    adapter.configure(None);
    world.context.channels.configuration_changed();
    eventually("it is forgotten", async || state().await.is_none().then_some(())).await;
    adapter.configure(Some("another token"));
    world.context.channels.configuration_changed();
    eventually("it runs again", async || account(&world)).await;
}

#[tokio::test]
async fn an_adapter_that_panics_on_one_message_sends_the_others_and_that_one_once() {
    let (world, adapter) = world().await;
    say(&world, "a", "one", &["before", "panic", "after"]).await;
    say(&world, "b", "two", &["elsewhere"]).await;
    let row = until(&world, "a:1", SendState::Unknown).await;
    assert!(row.error.unwrap().contains("the adapter panicked"));
    until(&world, "a:2", SendState::Failed).await;
    until(&world, "b:0", SendState::Sent).await;
    say(&world, "c", "one", &["goes on"]).await;
    until(&world, "c:0", SendState::Sent).await;
    assert_eq!(adapter.tries("a:1"), 1);
    assert!(!adapter.sent().contains(&"after".to_owned()), "a message without its middle is not sent");
}

#[tokio::test]
async fn what_was_on_its_way_with_a_sender_that_went_down_is_not_said_twice() {
    let (world, adapter) = world().await;
    say(&world, "a", "one", &["hang"]).await;
    eventually("it is on its way", async || (adapter.tries("a:0") == 1).then_some(())).await;
    say(&world, "b", "one", &["next"]).await;
    restart(&world, "sender").await;
    let row = until(&world, "a:0", SendState::Unknown).await;
    assert!(row.doubt && row.error.unwrap().contains("whether it arrived is not known"));
    until(&world, "b:0", SendState::Sent).await;
    assert_eq!(adapter.tries("a:0"), 1);
}

#[tokio::test]
async fn a_stop_waits_a_moment_for_what_is_on_its_way() {
    let (world, adapter) = world().await;
    say(&world, "a", "one", &["slow"]).await;
    eventually("it is on its way", async || (adapter.tries("a:0") == 1).then_some(())).await;
    restart(&world, "sender").await;
    assert_eq!(until(&world, "a:0", SendState::Sent).await.attempts, 1);
}

#[tokio::test]
async fn an_event_that_makes_the_gateway_fail_is_put_aside_and_keeps_nobody_waiting() {
    let (world, adapter) = world().await;
    hear(&world, "e1", "lane-1", "poison").await;
    hear(&world, "e2", "lane-1", "/think high").await;
    hear(&world, "e3", "lane-2", "/think low").await;
    settled(&world, "e3").await;
    let row = settled(&world, "e1").await;
    assert_eq!((row.state, row.attempts, row.raw.as_str()), (EventState::Failed, 4, "poison"));
    assert_eq!(settled(&world, "e2").await.state, EventState::Done);
    eventually("both are answered", async || (adapter.sent().len() == 2).then_some(())).await;
}

#[tokio::test]
async fn a_session_answers_in_the_chat_part_by_part() {
    let (world, adapter) = world().await;
    hear(&world, "e1", "lane-1", "hello").await;
    let answer = eventually("an answer", async || Some(adapter.sent()).filter(|sent| !sent.is_empty())).await;
    assert!(!answer[0].is_empty());
    let row = until(&world, "telegram:default:e1:0", SendState::Sent).await;
    assert_eq!((row.session_key.as_deref(), row.reply_to.as_deref()), (Some("agent:main:main"), Some("hello")));
    // Heard again after it was settled: still one message.
    hear(&world, "e1", "lane-1", "hello").await;
    restart(&world, "ingress").await;
    hear(&world, "e2", "lane-1", "/think high").await;
    settled(&world, "e2").await;
    until(&world, "telegram:default:e2:0", SendState::Sent).await;
    assert_eq!(adapter.sent().len(), answer.len() + 1);
}

/// The last step, that an event is settled, is lost; everything before it is on disk. Then it comes again.
#[tokio::test]
async fn what_was_done_for_an_event_is_not_done_again_when_it_was_not_settled() {
    let (world, adapter) = world().await;
    for (key, raw) in [("e1", "/think high"), ("e2", "/new hello"), ("e3", "stop")] {
        hear(&world, key, "lane-1", raw).await;
        settled(&world, key).await;
        until(&world, &format!("telegram:default:{key}:0"), SendState::Sent).await;
    }
    let (sent, said) = (adapter.sent(), world.transcript("agent:main:main").await);
    let unsettle = |db: &openclaw_actors::store::Connection| {
        db.execute(
            "UPDATE spool SET state = 'pending', raw = CASE event_key WHEN 'e1' THEN '/think high'
                    WHEN 'e2' THEN '/new hello' ELSE 'stop' END",
            [],
        )?;
        Ok(())
    };
    world.context.store.write(unsettle).await.unwrap();
    restart(&world, "ingress").await;
    for key in ["e1", "e2", "e3"] {
        settled(&world, key).await;
    }
    world.rests("agent:main:main").await;
    assert_eq!(adapter.sent(), sent);
    assert_eq!(world.transcript("agent:main:main").await, said);
}
