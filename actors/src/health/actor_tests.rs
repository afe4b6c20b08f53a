//! The actor against a real store on disk, and its timer on a paused clock without one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::env::Env;
use crate::config::load;
use crate::config::paths::{self, PathInputs};
use crate::events::{self, ConnId, Entitlement, Outbox, Subscriber, Taken};
use crate::store;
use crate::supervision::{Intensity, Restart, Strategy, Supervisor, SupervisorArgs, SupervisorMsg};

struct Place {
    address: Address<HealthMsg>,
    args: HealthArgs,
    connected: Arc<AtomicBool>,
    root: ActorRef<Mail<SupervisorMsg>>,
    _dir: tempfile::TempDir,
}

impl Place {
    async fn new(with_store: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::from_iter([("HOME", dir.path().to_str().unwrap())]);
        let inputs = PathInputs { cwd: dir.path().to_owned(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        let connected = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&connected);
        let args = HealthArgs {
            store: Store::new(dir.path()),
            config: ConfigHandle::new(load::load(&paths, &env).unwrap()),
            channels: Default::default(),
            events: Address::new("events", 64),
            versions: Arc::default(),
            cache: Cache::default(),
            connected: Arc::new(move || seen.load(Ordering::Relaxed)),
        };
        let address = Address::new("health", MAILBOX);
        let spec = |kind| ChildSpec::new(kind, Restart::Permanent);
        let mut children = vec![
            events::child(args.events.clone(), spec("events")),
            child(address.clone(), args.clone(), spec("health")),
        ];
        if with_store {
            children.insert(0, store::child(args.store.clone(), spec("store")));
        }
        let supervisor = SupervisorArgs {
            path: "test".into(),
            observer: crate::supervision::view::log_only(),
            strategy: Strategy::OneForOne,
            intensity: Intensity::new(1, Duration::from_secs(60)),
            children,
        };
        let (root, _) = Supervisor::spawn(None, Supervisor, supervisor).await.unwrap();
        Self { address, args, connected, root, _dir: dir }
    }

    async fn get(&self, probe: bool) -> Result<Arc<Report>, HealthError> {
        let get = |reply| HealthMsg::Get { probe, reply };
        self.address.ask(Duration::from_secs(10), get).await.unwrap()
    }

    async fn subscribe(&self) -> Outbox {
        let outbox = Outbox::new(1 << 20);
        let subscriber = Subscriber {
            conn: ConnId::from("c"),
            entitlement: Entitlement::default(),
            tool_events: false,
            outbox: outbox.clone(),
        };
        self.args.events.send(EventsMsg::Subscribe(subscriber)).await.unwrap();
        outbox
    }

    async fn stop(self) {
        self.root.stop_and_wait(None, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_report_is_built_once_a_minute_unless_it_is_probed() {
    let place = Place::new(true).await;
    let (first, joined) = tokio::join!(place.get(false), place.get(false));
    let (first, joined) = (first.unwrap(), joined.unwrap());
    assert!(Arc::ptr_eq(&first, &joined), "those who wait share one build");
    assert!(Arc::ptr_eq(&first, &place.get(false).await.unwrap()));
    assert!(Arc::ptr_eq(&first, &place.args.cache.fresh(1).unwrap()));
    assert!(!Arc::ptr_eq(&first, &place.get(true).await.unwrap()));
    let payload: serde_json::Value = serde_json::from_str(&first.text).unwrap();
    assert_eq!(payload["sessions"]["count"], 0);
    assert_eq!(payload["configReload"]["hotReloadStatus"], "active");
    place.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_ticks_only_while_somebody_is_connected() {
    let place = Place::new(false).await;
    assert!(place.get(false).await.is_err(), "without a store there is no report");
    let outbox = place.subscribe().await;
    let silent = tokio::time::timeout(TICK * 10, outbox.take()).await;
    assert!(silent.is_err(), "nobody is connected: {silent:?}");

    place.connected.store(true, Ordering::Relaxed);
    place.address.send(HealthMsg::ClientJoined).await.unwrap();
    place.address.send(HealthMsg::ClientJoined).await.unwrap();
    let start = Instant::now();
    for count in 1..=3 {
        let Taken::Frames(frames) = outbox.take().await else { panic!("closed") };
        assert!(frames.len() == 1 && frames[0].contains(r#""event":"tick""#), "{frames:?}");
        assert_eq!(start.elapsed().as_secs(), TICK.as_secs() * count);
    }
    place.connected.store(false, Ordering::Relaxed);
    assert!(tokio::time::timeout(TICK * 10, outbox.take()).await.is_err());
    place.stop().await;
}

#[tokio::test]
async fn a_broadcast_report_carries_its_version() {
    let place = Place::new(true).await;
    let outbox = place.subscribe().await;
    place.connected.store(true, Ordering::Relaxed);
    let before = place.args.versions.now().health;
    for _ in 0..TICKS_PER_REPORT {
        place.address.send(HealthMsg::News(News::TickDue)).await.unwrap();
    }
    let mut seen = String::new();
    while !seen.contains(r#""event":"health""#) {
        let Taken::Frames(frames) = outbox.take().await else { panic!("closed") };
        seen.extend(frames);
    }
    assert!(seen.contains(&format!(r#""health":{}"#, before + 1)), "{seen}");
    place.stop().await;
}

#[tokio::test]
async fn the_first_client_is_sent_the_report_that_is_built_for_it() {
    let place = Place::new(true).await;
    let outbox = place.subscribe().await;
    place.connected.store(true, Ordering::Relaxed);
    place.address.send(HealthMsg::ClientJoined).await.unwrap();
    let Taken::Frames(frames) = outbox.take().await else { panic!("closed") };
    assert!(frames[0].contains(r#""event":"health""#), "{frames:?}");
    place.address.send(HealthMsg::ClientJoined).await.unwrap();
    place.get(false).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(200), outbox.take()).await;
    assert!(more.is_err(), "the second finds it, and is greeted with it by its connection: {more:?}");
    place.stop().await;
}
