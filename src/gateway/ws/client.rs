//! Who is connected: what the handshake established about each client, and the places of those not yet known.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use openclaw_actors::events::{ConnId, Outbox};
use openclaw_actors::protocol::scope::{Role, Scope};

/// Why a connection ends whose credential no longer counts; close code 4001.
pub const AUTH_CHANGED: &str = "gateway auth changed";
/// Sockets of one address that may wait for their handshake.
pub const PREAUTH_PER_IP: usize = 32;
/// Such sockets in total.
pub const PREAUTH_TOTAL: usize = 256;

/// Everything that later decisions may rely on; established once, by the handshake.
#[derive(Debug, Clone)]
pub struct ClientFacts {
    pub conn: ConnId,
    pub role: Role,
    /// Effective scopes: what was asked for and granted.
    pub scopes: Vec<Scope>,
    pub client_id: String,
    pub mode: String,
    pub display_name: Option<String>,
    pub version: String,
    pub platform: String,
    pub instance_id: Option<String>,
    pub device_id: Option<String>,
    /// Absent for local clients.
    pub ip: Option<IpAddr>,
    /// Wants the tool events of runs that it starts.
    pub tool_events: bool,
    /// The credential that it came with; when this is no longer the one in force, the connection ends.
    pub auth_generation: Option<[u8; 32]>,
}

impl ClientFacts {
    pub fn holds(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| held.covers(scope))
    }

    /// Does the credential that it came with, if any, still count?
    pub fn is_current(&self, generation: [u8; 32]) -> bool {
        self.auth_generation.is_none_or(|own| own == generation)
    }

    pub fn is_admin(&self) -> bool {
        self.holds(Scope::Admin)
    }

    /// Name under which it owns runs: its device, else this connection.
    pub fn owner(&self) -> Arc<str> {
        self.device_id.as_deref().map_or_else(|| Arc::clone(&self.conn), Arc::from)
    }
}

/// A connected client with the way to it.
#[derive(Debug, Clone)]
pub struct Connected {
    pub facts: Arc<ClientFacts>,
    pub outbox: Outbox,
}

/// All connected clients by connection.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    all: Arc<DashMap<ConnId, Connected>>,
}

impl Clients {
    pub fn add(&self, client: Connected) {
        self.all.insert(client.facts.conn.clone(), client);
    }

    pub fn remove(&self, conn: &ConnId) {
        self.all.remove(conn);
    }

    /// How many there are in each role.
    pub fn roles(&self) -> Vec<(&'static str, usize)> {
        let mut roles = vec![("operator", 0), ("node", 0)];
        for client in self.all.iter() {
            let role = client.facts.role.as_str();
            if let Some((_, count)) = roles.iter_mut().find(|(name, _)| *name == role) {
                *count += 1;
            }
        }
        roles
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Ends every connection that the test picks; returns how many.
    pub fn close_where(&self, code: u16, reason: &str, test: impl Fn(&ClientFacts) -> bool) -> usize {
        let mut closed = 0;
        for client in self.all.iter().filter(|client| test(&client.facts)) {
            client.outbox.close(code, reason);
            closed += 1;
        }
        closed
    }
}

/// The places for sockets whose handshake is not over.
#[derive(Debug, Clone)]
pub struct PreauthPlaces {
    per_ip: usize,
    taken: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl PreauthPlaces {
    /// `per_ip` is `PREAUTH_PER_IP` unless the environment says otherwise.
    pub fn new(per_ip: usize) -> Self {
        Self { per_ip, taken: Arc::default() }
    }

    /// Takes a place; `None` when this address, or everybody together, has too many.
    pub fn enter(&self, ip: Option<IpAddr>) -> Option<Preauth> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= PREAUTH_TOTAL || taken.get(&ip).is_some_and(|count| *count >= self.per_ip) {
            return None;
        }
        *taken.entry(ip).or_default() += 1;
        Some(Preauth { ip, places: self.clone() })
    }
}

/// A taken place; dropping it frees it.
#[derive(Debug)]
pub struct Preauth {
    ip: Option<IpAddr>,
    places: PreauthPlaces,
}

impl Drop for Preauth {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gets_them_back() {
        let places = PreauthPlaces::new(2);
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let first = places.enter(here).unwrap();
        let _second = places.enter(here).unwrap();
        assert!(places.enter(here).is_none());
        assert!(places.enter(Some(IpAddr::from([10, 0, 0, 1]))).is_some(), "another address is not affected");
        drop(first);
        assert!(places.enter(here).is_some());
    }

    #[test]
    fn everybody_together_has_a_limit_too() {
        let places = PreauthPlaces::new(PREAUTH_TOTAL);
        let held: Vec<_> =
            (0..PREAUTH_TOTAL).map(|n| places.enter(Some(IpAddr::from([10, 0, 0, n as u8]))).unwrap()).collect();
        assert!(places.enter(None).is_none());
        drop(held);
        assert!(places.enter(None).is_some());
    }
}
