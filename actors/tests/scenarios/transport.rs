//! A line that does as it is told: what becomes of an account whose line breaks, panics or is refused, and of what is heard when
//! there is no room for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use openclaw_actors::channels::channel::Transport;
use openclaw_actors::channels::line::{End, Facts, Line};
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::store::spool::{self, EventState, SpoolRow};
use openclaw_actors::store::{Connection, cursors};
use openclaw_actors::supervision::{Branch, Operation};

use crate::channels::{settled, world_with};
use crate::world::{World, eventually};

/// What a line does when it is taken up.
#[derive(Debug, Clone)]
enum Act {
    Panic,
    End(End),
    /// Hears this, then nothing more.
    Hear(&'static str),
}

/// Takes one act at a time; when there is none it listens in vain.
#[derive(Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    begun: Mutex<u32>,
}

impl Script {
    fn of(acts: &[Act]) -> Arc<Self> {
        Arc::new(Self { acts: Mutex::new(acts.iter().cloned().collect()), ..Self::default() })
    }

    fn begun(&self) -> u32 {
        *self.begun.lock().unwrap()
    }
}

impl Transport for Script {
    fn listen(&self, line: Line) -> BoxFuture<'static, End> {
        *self.begun.lock().unwrap() += 1;
        let act = self.acts.lock().unwrap().pop_front();
        Box::pin(async move {
            match act {
                Some(Act::Panic) => panic!("the adapter does not like this"),
                Some(Act::End(end)) => return end,
                Some(Act::Hear(text)) => {
                    line.is_alive();
                    line.keep(vec![event(text)], text.to_owned()).await.unwrap();
                }
                None => {}
            }
            std::future::pending().await
        })
    }
}

fn event(key: &str) -> SpoolRow {
    SpoolRow {
        channel: "telegram".into(),
        account: "default".into(),
        event_key: key.into(),
        lane: key.into(),
        raw: "/think high".into(),
        received_at: now_ms(),
        state: EventState::Pending,
        attempts: 0,
        outcome: None,
    }
}

async fn facts(world: &World) -> Facts {
    let context = &world.context;
    let status = context.channels.status(&context.store, &context.config.load()).await.unwrap();
    status[0].1[0].line.clone().unwrap_or_default()
}

async fn cursor(world: &World) -> Option<String> {
    world.context.store.read(|db| cursors::get(db, "telegram", "default")).await.unwrap()
}

#[tokio::test]
async fn a_line_that_panics_or_breaks_is_taken_up_again_and_says_so_meanwhile() {
    let script = Script::of(&[Act::Panic, Act::Hear("e1")]);
    let (world, _adapter) = world_with(Some(script.clone())).await;
    let down = eventually("it is down", async || Some(facts(&world).await).filter(|facts| facts.attempts == 1)).await;
    assert!(!down.connected && !down.gave_up, "{down:?}");
    assert!(down.last_error.unwrap().contains("the adapter panicked"));
    let rows = world.context.channels.accounts.children().await.unwrap();
    assert_eq!(rows[0].node.state, "running", "what says something and what takes something up goes on");
    settled(&world, "e1").await;
    assert_eq!((script.begun(), cursor(&world).await.as_deref()), (2, Some("e1")));
    let up = facts(&world).await;
    assert!(up.connected && up.last_error.is_none() && up.last_activity_at.is_some(), "{up:?}");
}

#[tokio::test]
async fn a_line_that_is_refused_is_not_taken_up_by_itself_but_when_an_operator_starts_it() {
    let script = Script::of(&[Act::End(End::Refused("getMe returned 401".into()))]);
    let (world, _adapter) = world_with(Some(script.clone())).await;
    let refused = eventually("it is refused", async || Some(facts(&world).await).filter(|facts| facts.gave_up)).await;
    assert_eq!((refused.health(), refused.last_error.as_deref()), ("gave-up", Some("getMe returned 401")));
    let path = "channels/accounts/telegram:default";
    world.context.overview.operate(path, Operation::Restart).await.unwrap();
    eventually("it is taken up", async || (script.begun() == 2).then_some(())).await;
    assert!(!facts(&world).await.gave_up);
}

#[tokio::test]
async fn while_too_much_waits_nothing_more_is_kept_and_then_it_is() {
    let script = Script::of(&[]);
    let (world, _adapter) = world_with(Some(script.clone())).await;
    let path = "channels/accounts/telegram:default";
    world.context.overview.operate(&format!("{path}/ingress"), Operation::Stop).await.unwrap();
    let fill = |db: &Connection| (0..10_000).try_for_each(|n| spool::add(db, &event(&format!("old-{n}"))).map(drop));
    world.context.store.write(fill).await.unwrap();
    script.acts.lock().unwrap().push_back(Act::Hear("new"));
    world.context.overview.operate(&format!("{path}/transport"), Operation::Restart).await.unwrap();
    eventually("it has heard", async || facts(&world).await.connected.then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cursor(&world).await, None, "what is not kept is not confirmed");
    let empty = |db: &Connection| Ok(db.execute("UPDATE spool SET state = 'done'", [])?);
    world.context.store.write(empty).await.unwrap();
    eventually("it is kept", async || cursor(&world).await.filter(|cursor| cursor == "new")).await;
    let kept = world.context.store.read(|db| spool::get(db, "telegram", "default", "new")).await.unwrap();
    assert_eq!(kept.unwrap().state, EventState::Pending);
}
