//! The sessions of each agent, as `health` and `status` count and list them.

use crate::session::AgentId;
use crate::store::sessions::{self, Filter, SessionRecord};
use crate::store::{Store, StoreError};

/// The sessions of one agent.
#[derive(Debug, Clone)]
pub struct AgentSessions {
    pub agent: AgentId,
    /// All of them.
    pub count: usize,
    /// The newest, newest first.
    pub recent: Vec<SessionRecord>,
}

/// Counts the sessions of the agents and reads the newest `recent` of each.
pub async fn by_agent(store: &Store, agents: Vec<AgentId>, recent: usize) -> Result<Vec<AgentSessions>, StoreError> {
    let read = move |db: &_| {
        let of = |agent: AgentId| {
            let filter = Filter { agent_id: Some(agent.as_str().to_owned()), ..Filter::default() };
            let (recent, count) = sessions::list(db, &filter, recent)?;
            Ok(AgentSessions { agent, count, recent })
        };
        agents.into_iter().map(of).collect()
    };
    store.read(read).await
}
