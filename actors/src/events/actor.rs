//! The hub: one place through which every event passes, so that all connections see one order.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::message::{Audience, ConnId, Event, EventsMsg, Subscriber};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Mails that may wait; a publisher waits when it is full.
pub const MAILBOX: usize = 4096;
/// Sessions whose messages one connection may follow, one by one; whoever wants more follows all.
pub const FOLLOWED_MAX: usize = 1000;

struct EventsActor;

#[derive(Default)]
pub struct EventsState {
    connections: HashMap<ConnId, Connection>,
    /// Connections that want the tool events of a run.
    runs: HashMap<String, HashSet<ConnId>>,
}

struct Connection {
    subscriber: Subscriber,
    /// Number of the last broadcast that this connection was entitled to.
    seq: u64,
    follows_sessions: bool,
    follows_messages: HashSet<String>,
}

/// The hub as a child of its supervisor.
pub fn child(address: Address<EventsMsg>, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, (), || EventsActor)
}

impl Actor for EventsActor {
    type Msg = Mail<EventsMsg>;
    type State = EventsState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<EventsState, ActorProcessingErr> {
        Ok(EventsState::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut EventsState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(message) = mail.open().await? {
            state.apply(message);
        }
        Ok(())
    }
}

/// When the hub goes down, also by a panic, its subscriptions are gone: the connections end, and clients that connect
/// again read what they missed.
impl Drop for EventsState {
    fn drop(&mut self) {
        for connection in self.connections.values() {
            connection.subscriber.outbox.close(1012, "service restart");
        }
    }
}

impl EventsState {
    pub fn apply(&mut self, message: EventsMsg) {
        match message {
            EventsMsg::Publish(event) => self.publish(&event),
            EventsMsg::Subscribe(subscriber) => {
                let connection =
                    Connection { seq: 0, follows_sessions: false, follows_messages: HashSet::new(), subscriber };
                self.connections.insert(connection.subscriber.conn.clone(), connection);
            }
            EventsMsg::Unsubscribe(conn) => self.unsubscribe(&conn),
            EventsMsg::FollowSessions(conn, on) => {
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.follows_sessions = on;
                }
            }
            EventsMsg::FollowMessages(conn, key, on, reply) => {
                let _ = reply.send(self.follow_messages(&conn, key, on)); // the asker may have gone
            }
            EventsMsg::JoinRun(conn, run) => {
                if self.connections.get(&conn).is_some_and(|c| c.subscriber.tool_events) {
                    self.runs.entry(run).or_default().insert(conn);
                }
            }
            EventsMsg::ForgetRun(run) => {
                self.runs.remove(&run);
            }
            EventsMsg::Flush(reply) => {
                let _ = reply.send(()); // the asker may have gone
            }
        }
    }

    fn unsubscribe(&mut self, conn: &ConnId) {
        self.connections.remove(conn);
        self.runs.retain(|_, members| {
            members.remove(conn);
            !members.is_empty()
        });
    }

    /// Returns `false` when there is no room for one more. A connection that is gone is never told.
    fn follow_messages(&mut self, conn: &ConnId, key: String, on: bool) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return true };
        let followed = &mut connection.follows_messages;
        if !on {
            followed.remove(&key);
        } else if followed.len() < FOLLOWED_MAX || followed.contains(&key) {
            followed.insert(key);
        } else {
            return false;
        }
        true
    }

    fn publish(&mut self, event: &Event) {
        let head = head(event);
        let mut is_any_gone = false;
        for connection in self.connections.values_mut() {
            let (wanted, counted) = match &event.audience {
                Audience::Broadcast(need) => (connection.subscriber.entitlement.covers(*need), true),
                Audience::Sessions => (connection.follows_sessions && connection.subscriber.entitlement.read, false),
                Audience::SessionMessages(key) => {
                    let follows = connection.follows_sessions || connection.follows_messages.contains(key);
                    (follows && connection.subscriber.entitlement.read, false)
                }
                Audience::RunTools(run) => {
                    (self.runs.get(run).is_some_and(|members| members.contains(&connection.subscriber.conn)), false)
                }
            };
            if !wanted {
                continue;
            }
            let seq = counted.then(|| {
                connection.seq += 1;
                connection.seq
            });
            let outbox = &connection.subscriber.outbox;
            is_any_gone |= !outbox.push(frame(&head, seq), event.droppable) && outbox.is_closing();
        }
        if is_any_gone {
            self.forget_gone();
        }
    }

    /// Whoever closes is told nothing more. Its own goodbye may have found this mailbox full.
    fn forget_gone(&mut self) {
        self.connections.retain(|_, connection| !connection.subscriber.outbox.is_closing());
        let connections = &self.connections;
        self.runs.retain(|_, members| {
            members.retain(|conn| connections.contains_key(conn));
            !members.is_empty()
        });
    }
}

/// The frame up to where `seq` goes. The order of keys does not matter to clients.
fn head(event: &Event) -> String {
    let mut head = String::with_capacity(event.payload.len() + 96);
    let _ = write!(head, r#"{{"type":"event","event":"{}","payload":{}"#, event.name, event.payload); // infallible
    if let Some(version) = event.state_version {
        let _ = write!(head, r#","stateVersion":{{"presence":{},"health":{}}}"#, version.presence, version.health);
    }
    head
}

/// The frame of an event that is sent to one connection beside the hub: it carries no `seq`.
pub fn uncounted(event: &Event) -> String {
    frame(&head(event), None)
}

fn frame(head: &str, seq: Option<u64>) -> String {
    let mut frame = String::with_capacity(head.len() + 16);
    frame.push_str(head);
    if let Some(seq) = seq {
        let _ = write!(frame, r#","seq":{seq}"#); // infallible
    }
    frame.push('}');
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::message::Entitlement;
    use crate::events::outbox::{Close, Outbox, Taken};
    use crate::protocol::EventFrame;
    use serde_json::json;

    fn subscribe(hub: &mut EventsState, name: &str, entitlement: Entitlement) -> Outbox {
        let outbox = Outbox::new(1 << 20);
        hub.apply(EventsMsg::Subscribe(Subscriber {
            conn: name.into(),
            entitlement,
            tool_events: true,
            outbox: outbox.clone(),
        }));
        outbox
    }

    async fn frames(outbox: &Outbox) -> Vec<EventFrame> {
        outbox.close(1000, "");
        match outbox.take().await {
            Taken::Frames(frames) => frames.iter().map(|f| serde_json::from_str(f).unwrap()).collect(),
            Taken::Close(_) => Vec::new(),
        }
    }

    fn follow(hub: &mut EventsState, name: &str, key: &str, on: bool) -> bool {
        let (reply, mut answer) = ractor::concurrency::oneshot();
        hub.apply(EventsMsg::FollowMessages(name.into(), key.into(), on, reply.into()));
        answer.try_recv().unwrap()
    }

    const READER: Entitlement = Entitlement { read: true, write: false, approvals: false, pairing: false };

    #[tokio::test]
    async fn a_connection_counts_only_the_broadcasts_it_is_entitled_to() {
        let mut hub = EventsState::default();
        let reader = subscribe(&mut hub, "reader", READER);
        let nobody = subscribe(&mut hub, "nobody", Entitlement::default());
        hub.apply(EventsMsg::Publish(Event::broadcast("chat", &json!({"a": 1}))));
        hub.apply(EventsMsg::Publish(Event::broadcast("tick", &json!({"ts": 2}))));
        hub.apply(EventsMsg::Publish(Event::broadcast("no.such.event", &json!({}))));
        let seen: Vec<_> = frames(&reader).await.into_iter().map(|f| (f.event, f.seq)).collect();
        assert_eq!(seen, [("chat".to_owned(), Some(1)), ("tick".to_owned(), Some(2))]);
        let seen: Vec<_> = frames(&nobody).await.into_iter().map(|f| (f.event, f.seq)).collect();
        assert_eq!(seen, [("tick".to_owned(), Some(1))]);
    }

    #[tokio::test]
    async fn a_hub_that_goes_down_ends_its_connections() {
        let mut hub = EventsState::default();
        let outbox = subscribe(&mut hub, "a", READER);
        drop(hub);
        assert_eq!(outbox.take().await, Taken::Close(Close { code: 1012, reason: "service restart".into() }));
    }

    #[test]
    fn a_connection_follows_a_thousand_sessions_and_then_is_told_no() {
        let mut hub = EventsState::default();
        let _outbox = subscribe(&mut hub, "a", READER);
        for number in 0..FOLLOWED_MAX {
            assert!(follow(&mut hub, "a", &number.to_string(), true));
        }
        assert!(!follow(&mut hub, "a", "one more", true));
        assert!(follow(&mut hub, "a", "7", true), "it follows that one already");
        assert!(follow(&mut hub, "a", "7", false));
        assert!(follow(&mut hub, "a", "one more", true));
    }

    #[test]
    fn a_connection_that_closes_is_forgotten_with_the_runs_that_it_joined() {
        let mut hub = EventsState::default();
        let (gone, stays) = (subscribe(&mut hub, "gone", READER), subscribe(&mut hub, "stays", READER));
        for (name, run) in [("gone", "alone"), ("gone", "shared"), ("stays", "shared")] {
            hub.apply(EventsMsg::JoinRun(name.into(), run.into()));
        }
        gone.close(1000, "");
        hub.apply(EventsMsg::Publish(Event::broadcast("tick", &json!({"ts": 1}))));
        assert_eq!(hub.connections.keys().map(|conn| &**conn).collect::<Vec<_>>(), ["stays"]);
        assert_eq!(hub.runs.keys().collect::<Vec<_>>(), ["shared"]);
        assert!(!stays.is_closing());
    }

    #[tokio::test]
    async fn targeted_events_reach_only_followers_and_carry_no_seq() {
        let mut hub = EventsState::default();
        let all = subscribe(&mut hub, "all", READER);
        let one = subscribe(&mut hub, "one", READER);
        let none = subscribe(&mut hub, "none", READER);
        hub.apply(EventsMsg::FollowSessions("all".into(), true));
        assert!(follow(&mut hub, "one", "k", true));
        hub.apply(EventsMsg::JoinRun("one".into(), "r".into()));
        let publish = |name, audience| EventsMsg::Publish(Event::targeted(name, &json!({}), audience));
        hub.apply(publish("sessions.changed", Audience::Sessions));
        hub.apply(publish("session.message", Audience::SessionMessages("k".into())));
        hub.apply(publish("session.message", Audience::SessionMessages("other".into())));
        hub.apply(publish("agent", Audience::RunTools("r".into())));
        let names = |frames: Vec<EventFrame>| frames.into_iter().map(|f| (f.event, f.seq)).collect::<Vec<_>>();
        let no_seq = |name: &str| (name.to_owned(), None);
        assert_eq!(
            names(frames(&all).await),
            [no_seq("sessions.changed"), no_seq("session.message"), no_seq("session.message")]
        );
        assert_eq!(names(frames(&one).await), [no_seq("session.message"), no_seq("agent")]);
        assert_eq!(names(frames(&none).await), []);
    }
}
