//! When a change of the file takes effect: the sentence after every write.
//!
//! Differs: 2026.5.12 always asks for a restart; we say what the running gateway will do.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use openclaw_actors::config::issue::KeyPath;
use openclaw_actors::config::reload;
use openclaw_actors::config::settings::ReloadMode;

use crate::cli::context::Context;
use crate::cli::keys::GatewayKeys;
use crate::client::RunFile;

/// Longest wait for a sign of life.
const KNOCK: Duration = Duration::from_millis(300);

/// The sentence for these changes. `mode` is the reload mode that was in force before them.
pub fn sentence(running: bool, mode: ReloadMode, changed: &[KeyPath]) -> &'static str {
    if !running {
        return "Gateway not running; applies at next start.";
    }
    let plan = reload::plan(mode, changed);
    match (plan.held.is_empty(), reload::held(mode, &plan)) {
        (true, _) => "Applied by the running gateway.",
        (false, None) => "The gateway will restart itself.",
        (false, Some(_)) => "Restart the gateway to apply.",
    }
}

/// Does the gateway of this configuration run? Its note says so, or else its port answers.
pub fn is_running(context: &Context, keys: &GatewayKeys) -> bool {
    if RunFile::read(&context.paths.state_dir).is_some() {
        return true;
    }
    let port = context.env_port().ok().flatten().or(keys.port).unwrap_or(context.paths.port_default);
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), KNOCK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(mode: ReloadMode, path: &str) -> &'static str {
        sentence(true, mode, &[path.split('.').map(str::to_owned).collect()])
    }

    #[test]
    fn the_sentence_follows_the_reload_plan() {
        assert_eq!(say(ReloadMode::Hybrid, "agents.defaults.model"), "Applied by the running gateway.");
        assert_eq!(say(ReloadMode::Hybrid, "gateway.port"), "The gateway will restart itself.");
        assert_eq!(say(ReloadMode::Hot, "gateway.port"), "Restart the gateway to apply.");
        assert_eq!(say(ReloadMode::Off, "agents.defaults.model"), "Restart the gateway to apply.");
        let port = [vec!["gateway".into(), "port".into()]];
        let down = sentence(false, ReloadMode::Hybrid, &port);
        assert_eq!(down, "Gateway not running; applies at next start.");
    }
}
