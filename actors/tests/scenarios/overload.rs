//! More than a session can take: it says so at once, and does all that it took.

use futures::future::join_all;
use openclaw_actors::session::{SessionError, SessionMsg};
use openclaw_actors::store::StoreError;
use openclaw_actors::supervision::Mailbox;
use serde_json::{Map, json};

use crate::world::{MAIN, SOON, World, chat, completed, eventually, key};

/// Requests that a session puts aside while a step is on its way to disk.
const ASIDE: usize = 256;

#[tokio::test]
async fn a_session_that_waits_for_the_disk_puts_so_much_aside_and_no_more() {
    let world = World::start().await;
    completed(&world.begin(MAIN, "hello").await).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocked = world.context.store.submit(move |_| {
        let _ = held.recv(); // the sender is gone: that is the release
        Ok(())
    });
    let session = world.context.sessions.get_or_start(key(MAIN)).await.unwrap();
    let begun = world.submit(MAIN, chat("while the disk is slow"));
    let asked = async {
        eventually("the turn is on its way", async || world.status(MAIN).await.running.map(drop)).await;
        let label = Map::from_iter([("label".to_owned(), json!("x"))]);
        let patches = (0..ASIDE).map(|_| session.ask(SOON, |reply| SessionMsg::Patch(label.clone(), reply)));
        let more = async {
            eventually("all of them are put aside", async || (session.depth() == 0).then_some(())).await;
            let more = session.ask(SOON, |reply| SessionMsg::Patch(label.clone(), reply)).await;
            drop(release);
            more
        };
        futures::join!(join_all(patches), more)
    };
    let ((ticket, admission), (patched, refused)) = futures::join!(begun, asked);
    assert!(matches!(refused, Ok(Err(SessionError::Store(StoreError::Overloaded)))), "{refused:?}");
    admission.unwrap();
    assert!(patched.into_iter().all(|patched| patched.is_ok_and(|patched| patched.is_ok())));
    completed(&ticket).await;
    blocked.unwrap().await.unwrap().unwrap();
}
