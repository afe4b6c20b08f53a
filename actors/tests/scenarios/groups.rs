//! A group whose children fail: only the one that fails too often is held back, and not for ever.

use std::time::Duration;

use openclaw_actors::supervision::group::{QUARANTINE, SpawnFn, member_spec};
use openclaw_actors::supervision::view::log_only;
use openclaw_actors::supervision::{
    Address, ChildSpec, Group, GroupSpec, Intensity, Mail, Restart, Strategy, Supervisor, SupervisorArgs, SupervisorMsg,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::sleep;

enum Msg {
    Ping(RpcReplyPort<()>),
    Panic,
}

struct Fragile;

impl Actor for Fragile {
    type Msg = Mail<Msg>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, mail: Self::Msg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(Msg::Ping(reply)) => drop(reply.send(())),
            Some(Msg::Panic) => panic!("injected"),
            None => {}
        }
        Ok(())
    }
}

const WINDOW: Duration = Duration::from_secs(60);

async fn group() -> (Group<String, Msg>, ActorRef<Mail<SupervisorMsg>>) {
    let group = Group::new("fragiles");
    let spawn: SpawnFn<String, Msg> = std::sync::Arc::new(|_, parent| {
        Box::pin(async { Ok(Fragile::spawn_linked(None, Fragile, (), parent).await?.0) })
    });
    let of = GroupSpec {
        below: None,
        path: "fragiles".into(),
        child: member_spec("fragile", Restart::Transient),
        mailbox_cap: 8,
        members_max: 3,
        spawn: Some(spawn),
        observer: log_only(),
    };
    let children = vec![group.child(ChildSpec::new("fragiles", Restart::Permanent), of)];
    let args = SupervisorArgs {
        path: String::new(),
        strategy: Strategy::OneForOne,
        intensity: Intensity::new(0, WINDOW),
        children,
        observer: log_only(),
    };
    let (root, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    (group, root)
}

async fn is_alive(address: &Address<Msg>) -> bool {
    address.ask(Duration::from_secs(1), Msg::Ping).await.is_ok()
}

/// Lets a child panic and its supervisor see it.
async fn panic(address: &Address<Msg>) {
    address.try_send(Msg::Panic).unwrap();
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_keeps_failing_is_held_back_alone_and_comes_back_by_itself() {
    let (group, _root) = group().await;
    let failing = group.get_or_start("failing".into()).await.unwrap();
    let well = group.get_or_start("well".into()).await.unwrap();
    let well_id = well.current().unwrap().get_id();
    for _ in 0..3 {
        panic(&failing).await;
        assert!(is_alive(&failing).await);
    }
    panic(&failing).await;
    let refused = group.get_or_start("failing".into()).await.unwrap_err();
    assert!(refused.contains("held back") && refused.contains("injected"), "{refused}");
    assert!(is_alive(&well).await && well.current().unwrap().get_id() == well_id);

    sleep(QUARANTINE).await;
    assert!(group.get(&"failing".into()).is_some(), "nobody asked for it: it may have work");
    assert!(is_alive(&failing).await, "and whoever kept its address reaches it again");
}

#[tokio::test(start_paused = true)]
async fn failures_far_apart_are_forgiven() {
    let (group, _root) = group().await;
    let failing = group.get_or_start("failing".into()).await.unwrap();
    for _ in 0..10 {
        panic(&failing).await;
        assert!(is_alive(&failing).await);
        sleep(WINDOW / 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_group_starts_nobody_new_until_somebody_has_gone() {
    let (group, _root) = group().await;
    for name in ["a", "b", "c"] {
        group.get_or_start(name.into()).await.unwrap();
    }
    let refused = group.get_or_start("d".into()).await.unwrap_err();
    assert_eq!(refused, "there are 3 fragiles already; try again later");
    let there = group.get_or_start("a".into()).await.unwrap();
    assert!(is_alive(&there).await);
    there.current().unwrap().stop(None);
    sleep(Duration::from_millis(10)).await;
    assert!(is_alive(&group.get_or_start("d".into()).await.unwrap()).await);
}
