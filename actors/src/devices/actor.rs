//! The devices actor: the one place that changes pairing records.
//!
//! Records are read once and kept in memory; every change goes to disk before it is answered. When a change cannot be
//! stored, what is on disk is read again. Requests to pair live in memory only: they expire
//! within minutes, and a device that still wants in asks again.

use std::collections::HashMap;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::message::{Admittance, Approver, DevicesMsg, News, PairingRefused};
use super::pairing::{self, Claim, Reason};
use super::record::{Paired, Pending, ShownPaired, Token};
use super::token;
use crate::events::{Event, Events, EventsMsg};
use crate::protocol::ErrorShape;
use crate::protocol::scope::{self, Role, Scope};
use crate::store::{Store, StoreError, devices as rows};
use crate::supervision::task::TaskSet;
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Where the devices actor is reached.
pub type Devices = Address<DevicesMsg>;

/// Mails that may wait in front of the actor.
pub const MAILBOX: usize = 512;
/// Pause before records that could not be read are read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// What the actor is started with.
#[derive(Clone)]
pub struct DevicesArgs {
    pub store: Store,
    pub events: Events,
}

struct DevicesActor;

struct DevicesState {
    args: DevicesArgs,
    loaded: bool,
    /// Changes handed to the store in this life.
    writes: u64,
    deferred: Vec<DevicesMsg>,
    paired: HashMap<String, Paired>,
    /// By device id: one request a device.
    pending: HashMap<String, Pending>,
    watchers: TaskSet,
}

/// The devices actor as a child of its supervisor.
pub fn child(address: Devices, args: DevicesArgs, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, args, || DevicesActor)
}

type Me = ActorRef<Mail<DevicesMsg>>;

impl Actor for DevicesActor {
    type Msg = Mail<DevicesMsg>;
    type State = DevicesState;
    type Arguments = DevicesArgs;

    async fn pre_start(&self, me: Me, args: DevicesArgs) -> Result<DevicesState, ActorProcessingErr> {
        let (paired, pending, watchers) = (HashMap::new(), HashMap::new(), TaskSet::default());
        let mut state =
            DevicesState { args, loaded: false, writes: 0, deferred: Vec::new(), paired, pending, watchers };
        state.load(&me, Duration::ZERO);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut DevicesState) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            DevicesMsg::News(News::Loaded { writes, .. }) if writes != state.writes => state.load(&me, Duration::ZERO),
            DevicesMsg::News(News::Loaded { loaded: Err(error), .. }) => {
                tracing::warn!(%error, "paired devices could not be read");
                state.load(&me, RELOAD_PAUSE);
            }
            DevicesMsg::News(News::Loaded { loaded: Ok(loaded), .. }) => {
                state.paired = loaded.into_iter().map(|record| (record.device_id.clone(), record)).collect();
                state.loaded = true;
                for request in std::mem::take(&mut state.deferred) {
                    state.request(&me, request);
                }
            }
            DevicesMsg::News(News::NotStored(error)) => {
                tracing::error!(%error, "a device record was not stored; what is on disk counts");
                state.load(&me, Duration::ZERO);
            }
            request if !state.loaded && state.deferred.len() < MAILBOX => state.deferred.push(request),
            _ if !state.loaded => {} // the asker learns it from its reply port
            request => state.request(&me, request),
        }
        Ok(())
    }
}

fn load(db: &rusqlite::Connection) -> Result<Vec<Paired>, StoreError> {
    rows::all(db)?.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn random() -> [u8; 32] {
    rand::random()
}

impl DevicesState {
    /// Reads the records again; an answer that a later write has overtaken is thrown away.
    fn load(&mut self, me: &Me, pause: Duration) {
        let (store, writes, me) = (self.args.store.clone(), self.writes, me.clone());
        self.watchers.spawn("devices-load", async move {
            tokio::time::sleep(pause).await;
            let loaded = store.read(load).await;
            let _ = me.send_message(Mail::own(DevicesMsg::News(News::Loaded { writes, loaded }))); // gone: nobody waits
        });
    }

    fn request(&mut self, me: &Me, request: DevicesMsg) {
        match request {
            DevicesMsg::Lookup(device_id, reply) => {
                let _ = reply.send(self.paired.get(&device_id).cloned()); // the asker may have gone
            }
            DevicesMsg::Admit { claim, admittance, reply } => self.admit(me, &claim, admittance, reply),
            DevicesMsg::List(approver, reply) => {
                let _ = reply.send(self.list(&approver)); // the asker may have gone
            }
            DevicesMsg::Approve { request_id, approver, reply } => self.approve(me, &request_id, &approver, reply),
            DevicesMsg::Reject { request_id, approver, reply } => {
                let _ = reply.send(self.reject(&request_id, &approver)); // the asker may have gone
            }
            DevicesMsg::Remove { device_id, approver, reply } => self.remove(me, &device_id, &approver, reply),
            DevicesMsg::Rotate { device_id, role, scopes, approver, reply } => {
                self.rotate(me, &device_id, role, scopes.as_deref(), &approver, reply);
            }
            DevicesMsg::Revoke { device_id, role, approver, reply } => {
                self.revoke(me, &device_id, role, &approver, reply);
            }
            DevicesMsg::News(_) => {} // handled before
        }
    }

    fn admit(
        &mut self,
        me: &Me,
        claim: &Claim,
        admittance: Admittance,
        reply: RpcReplyPort<Result<Option<Token>, PairingRefused>>,
    ) {
        let now = now_ms();
        let mut record = match admittance {
            Admittance::Ask(reason) => {
                let _ = reply.send(Err(self.ask(claim, reason, now))); // the asker may have gone
                return;
            }
            Admittance::Covered => self.paired.get(&claim.device_id).cloned(),
            // Approved alone: a request of the same device that waits for somebody's answer stays as it is.
            Admittance::Silent(_) => {
                let known = self.paired.get(&claim.device_id);
                let new_id = || Uuid::new_v4().to_string();
                let (request, _) = pairing::merge_pending(None, claim, true, known.is_some(), now, new_id);
                let record = pairing::approve(&request, known, now, &mut random);
                self.resolved(&request.request_id, &claim.device_id, "approved");
                Some(record)
            }
        };
        let token = record.as_mut().and_then(|record| {
            token::for_hello(record, claim.role, &claim.scopes, now, &mut random).map(|(token, _)| token)
        });
        let Some(mut record) = record else {
            let _ = reply.send(Ok(None)); // no record, no token; the asker may have gone
            return;
        };
        record.last_seen_at_ms = Some(now);
        record.last_seen_reason = Some("connect".into());
        self.store(me, record, reply, move |_| Ok(token));
    }

    fn ask(&mut self, claim: &Claim, reason: Reason, now: u64) -> PairingRefused {
        self.pending.retain(|_, pending| !pairing::expired(pending, now));
        let known = self.paired.get(&claim.device_id);
        let waiting = self.pending.get(&claim.device_id);
        let new_id = || Uuid::new_v4().to_string();
        let (request, is_new) = pairing::merge_pending(waiting, claim, false, known.is_some(), now, new_id);
        let error = pairing::refusal(reason, &request.request_id, claim, known);
        let close_reason = pairing::close_reason(&error, &request.request_id);
        if is_new {
            self.publish(Event::broadcast("device.pair.requested", &request));
        }
        pairing::make_room(&mut self.pending, &claim.device_id);
        self.pending.insert(claim.device_id.clone(), request);
        PairingRefused { error, close_reason }
    }

    fn list(&mut self, approver: &Approver) -> (Vec<Pending>, Vec<ShownPaired>) {
        let now = now_ms();
        self.pending.retain(|_, pending| !pairing::expired(pending, now));
        let mut pending: Vec<Pending> =
            self.pending.values().filter(|pending| approver.may_touch(&pending.device_id)).cloned().collect();
        pending.sort_by_key(|pending| std::cmp::Reverse(pending.ts));
        let mut paired: Vec<&Paired> =
            self.paired.values().filter(|record| approver.may_touch(&record.device_id)).collect();
        paired.sort_by_key(|record| std::cmp::Reverse(record.approved_at_ms));
        (pending, paired.into_iter().map(Paired::shown).collect())
    }

    fn waiting(&self, request_id: &str) -> Option<&Pending> {
        let now = now_ms();
        self.pending.values().find(|pending| pending.request_id == request_id && !pairing::expired(pending, now))
    }

    fn approve(
        &mut self,
        me: &Me,
        request_id: &str,
        approver: &Approver,
        reply: RpcReplyPort<Result<ShownPaired, ErrorShape>>,
    ) {
        let refused = |reply: RpcReplyPort<Result<ShownPaired, ErrorShape>>, error: String| {
            let _ = reply.send(Err(ErrorShape::invalid(error))); // the asker may have gone
        };
        let Some(request) = self.waiting(request_id).cloned() else {
            return refused(reply, "unknown requestId".into());
        };
        if !approver.may_touch(&request.device_id) {
            return refused(reply, "device pairing approval denied".into());
        }
        if let Some(foreign) = pairing::foreign_scope(&request.roles, &request.scopes) {
            return refused(reply, format!("invalid scope for requested roles: {foreign}"));
        }
        let held: Vec<String> = approver.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        let operator: Vec<String> =
            request.scopes.iter().filter(|scope| scope.starts_with("operator.")).cloned().collect();
        if let Some(missing) = operator.iter().find(|scope| !scope::covers_all(&held, std::slice::from_ref(scope))) {
            return refused(reply, format!("missing scope: {missing}"));
        }
        let record = pairing::approve(&request, self.paired.get(&request.device_id), now_ms(), &mut random);
        self.pending.remove(&request.device_id);
        self.resolved(request_id, &request.device_id, "approved");
        let shown = record.shown();
        self.store(me, record, reply, move |_| Ok(shown));
    }

    fn reject(&mut self, request_id: &str, approver: &Approver) -> Result<String, ErrorShape> {
        let request = self.waiting(request_id).ok_or_else(|| ErrorShape::invalid("unknown requestId"))?;
        let device_id = request.device_id.clone();
        if !approver.may_touch(&device_id) {
            return Err(ErrorShape::invalid("device pairing approval denied"));
        }
        self.pending.remove(&device_id);
        self.resolved(request_id, &device_id, "rejected");
        Ok(device_id)
    }

    fn remove(&mut self, me: &Me, device_id: &str, approver: &Approver, reply: RpcReplyPort<Result<(), ErrorShape>>) {
        let refusal = if !approver.may_touch(device_id) {
            Some("device pairing removal denied")
        } else if !self.paired.contains_key(device_id) {
            Some("unknown deviceId")
        } else {
            None
        };
        if let Some(text) = refusal {
            let _ = reply.send(Err(ErrorShape::invalid(text))); // the asker may have gone
            return;
        }
        self.paired.remove(device_id);
        let id = device_id.to_owned();
        self.commit(me, move |db| rows::delete(db, &id).map(drop), reply, |stored| stored);
    }

    fn rotate(
        &mut self,
        me: &Me,
        device_id: &str,
        role: Role,
        scopes: Option<&[String]>,
        approver: &Approver,
        reply: RpcReplyPort<Result<Token, ErrorShape>>,
    ) {
        let denied = || ErrorShape::invalid("device token rotation denied");
        // Nobody mints what it does not hold, and a token that was taken away comes back only by an admin's hand.
        let may = |record: &Paired| {
            let Some(old) = record.tokens.get(&role) else { return false };
            let held = |scope: &String| {
                Scope::parse(scope).is_some_and(|wanted| approver.scopes.iter().any(|s| s.covers(wanted)))
            };
            approver.is_admin() || (old.revoked_at_ms.is_none() && scopes.unwrap_or(&old.scopes).iter().all(held))
        };
        let rotated =
            self.paired.get(device_id).filter(|record| approver.may_touch(device_id) && may(record)).cloned().and_then(
                |mut record| {
                    let token = token::rotate(&mut record, role, scopes, now_ms(), &mut random)?;
                    Some((record, token))
                },
            );
        match rotated {
            Some((record, token)) => self.store(me, record, reply, move |_| Ok(token)),
            None => {
                let _ = reply.send(Err(denied())); // the asker may have gone
            }
        }
    }

    fn revoke(
        &mut self,
        me: &Me,
        device_id: &str,
        role: Role,
        approver: &Approver,
        reply: RpcReplyPort<Result<u64, ErrorShape>>,
    ) {
        let revoked =
            self.paired.get(device_id).filter(|_| approver.may_touch(device_id)).cloned().and_then(|mut record| {
                let at = token::revoke(&mut record, role, now_ms())?;
                Some((record, at))
            });
        match revoked {
            Some((record, at)) => self.store(me, record, reply, move |_| Ok(at)),
            None => {
                let _ = reply.send(Err(ErrorShape::invalid("device token revocation denied"))); // the asker may have gone
            }
        }
    }

    /// Puts a record in force; answered when it is on disk.
    fn store<T, E, F>(&mut self, me: &Me, record: Paired, reply: RpcReplyPort<Result<T, E>>, answer: F)
    where
        T: Send + 'static,
        E: From<ErrorShape> + Send + 'static,
        F: FnOnce(()) -> Result<T, E> + Send + 'static,
    {
        let id = record.device_id.clone();
        let text = json_of(&record);
        self.paired.insert(id.clone(), record);
        self.commit(
            me,
            move |db| rows::put(db, &id, &text),
            reply,
            move |stored| match stored {
                Ok(()) => answer(()),
                Err(error) => Err(error.into()),
            },
        );
    }

    fn commit<T, E, W, F>(&mut self, me: &Me, work: W, reply: RpcReplyPort<Result<T, E>>, answer: F)
    where
        T: Send + 'static,
        E: Send + 'static,
        W: FnOnce(&rusqlite::Connection) -> Result<(), StoreError> + Send + 'static,
        F: FnOnce(Result<(), ErrorShape>) -> Result<T, E> + Send + 'static,
    {
        self.writes += 1;
        let receipt = self.args.store.submit(work);
        let me = me.clone();
        self.watchers.spawn("devices-store", async move {
            let stored = match receipt {
                Ok(waiting) => waiting.await.unwrap_or(Err(StoreError::Restarting)),
                Err(error) => Err(error),
            };
            let told = stored.clone().map_err(|error| ErrorShape::unavailable(error.to_string()));
            let _ = reply.send(answer(told)); // the asker may have gone
            if let Err(error) = stored {
                let _ = me.send_message(Mail::own(DevicesMsg::News(News::NotStored(error)))); // gone: restarting already
            }
        });
    }

    fn resolved(&self, request_id: &str, device_id: &str, decision: &str) {
        let payload = json!({ "requestId": request_id, "deviceId": device_id, "decision": decision, "ts": now_ms() });
        self.publish(Event::broadcast("device.pair.resolved", &payload));
    }

    fn publish(&self, event: Event) {
        if let Err(error) = self.args.events.try_send(EventsMsg::Publish(event)) {
            tracing::warn!(%error, "event not sent");
        }
    }
}

fn json_of(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default() // plain data: cannot fail
}

impl From<ErrorShape> for PairingRefused {
    fn from(error: ErrorShape) -> Self {
        Self { close_reason: error.message.clone(), error }
    }
}
