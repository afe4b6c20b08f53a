//! The tools that are built in. Each holds the context that it needs; none changes anything in this release.

mod agents_list;
mod session_status;
mod sessions_history;
mod sessions_list;
mod visibility;

use std::sync::Arc;

use super::Tool;
use crate::run::context::Context;

/// Every built-in tool, in the order in which models see them.
pub fn all(context: &Arc<Context>) -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(session_status::SessionStatus::new(context)),
        Arc::new(sessions_list::SessionsList::new(context)),
        Arc::new(sessions_history::SessionsHistory::new(context)),
        Arc::new(agents_list::AgentsList::new(context)),
    ]
}
