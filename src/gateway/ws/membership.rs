//! What a connected client belongs to: the list of clients, the events hub, presence. Leaving is by dropping.

use std::sync::Arc;

use openclaw_actors::events::{Entitlement, Event, EventsMsg, Outbox, Subscriber};
use openclaw_actors::presence::{PresenceEntry, PresenceMsg};
use openclaw_actors::protocol::hello::{ConnectParams, client_mode};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::run::stream::now_ms;

use super::client::{ClientFacts, Connected};
use crate::gateway::services::Services;

/// A client while it is connected; dropping it, also by a panic, takes it off every list.
pub struct Membership {
    pub client: Arc<ClientFacts>,
    pub outbox: Outbox,
    services: Arc<Services>,
    /// Its key in the presence list.
    presence: Option<String>,
}

impl Membership {
    /// Puts the client on every list.
    pub async fn enter(services: &Arc<Services>, facts: ClientFacts, outbox: Outbox, params: &ConnectParams) -> Self {
        let client = Arc::new(facts);
        let presence = (client.mode != client_mode::CLI).then(|| presence_key(&client));
        let member = Self { client, outbox, services: Arc::clone(services), presence };
        services.clients.add(Connected { facts: Arc::clone(&member.client), outbox: member.outbox.clone() });
        let subscriber = Subscriber {
            conn: member.client.conn.clone(),
            entitlement: entitlement(&member.client),
            tool_events: member.client.tool_events,
            outbox: member.outbox.clone(),
        };
        if services.context.events.send(EventsMsg::Subscribe(subscriber)).await.is_err() {
            member.outbox.close(1012, "service restart"); // the hub is restarting: the client comes back in a moment
        }
        if let Some(key) = member.presence.clone() {
            let entry = entry(&member.client, params);
            if let Err(error) = services.presence.try_send(PresenceMsg::Joined { key, entry }) {
                tracing::debug!(%error, "presence not updated");
            }
        }
        services.health.client_joined();
        member
    }

    /// The first event after `hello-ok`: how the gateway is. Health sends it to all when no fresh report lies there.
    pub fn greet(&self, services: &Services) {
        let Some(payload) = services.health.cached() else { return };
        let versions = services.versions.now();
        let event = Event { payload, ..Event::broadcast("health", &()) }.with_state_version(versions);
        self.outbox.push(openclaw_actors::events::uncounted(&event), true);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.services.clients.remove(&self.client.conn);
        self.outbox.close(1000, ""); // nobody takes from it any more, and the hub sees that
        let left = EventsMsg::Unsubscribe(self.client.conn.clone());
        if let Err(error) = self.services.context.events.try_send(left) {
            tracing::debug!(%error, "the hub forgets the connection with the next event");
        }
        if let Some(key) = self.presence.take()
            && let Err(error) = self.services.presence.try_send(PresenceMsg::Left { key, ts: now_ms() })
        {
            tracing::debug!(%error, "presence not updated; the entry expires by itself");
        }
    }
}

fn entitlement(client: &ClientFacts) -> Entitlement {
    Entitlement {
        read: client.holds(Scope::Read),
        write: client.holds(Scope::Write),
        approvals: client.holds(Scope::Approvals),
        pairing: client.holds(Scope::Pairing),
    }
}

fn presence_key(client: &ClientFacts) -> String {
    client.device_id.clone().or_else(|| client.instance_id.clone()).unwrap_or_else(|| client.conn.to_string())
}

fn entry(client: &ClientFacts, params: &ConnectParams) -> PresenceEntry {
    let host = client.display_name.clone().unwrap_or_else(|| client.client_id.clone());
    PresenceEntry {
        ip: client.ip.map(|ip| ip.to_string()),
        version: Some(client.version.clone()),
        platform: Some(client.platform.clone()),
        device_family: params.client.device_family.clone(),
        model_identifier: params.client.model_identifier.clone(),
        mode: Some(client.mode.clone()),
        device_id: client.device_id.clone(),
        roles: Some(vec![client.role.as_str().to_owned()]),
        scopes: Some(client.scopes.iter().map(|scope| scope.as_str().to_owned()).collect()),
        instance_id: client.instance_id.clone().or_else(|| client.device_id.clone()),
        reason: Some("connect".into()),
        ts: now_ms(),
        text: Some(format!("Node: {host} · mode {}", client.mode)),
        host: Some(host),
        ..PresenceEntry::default()
    }
}
