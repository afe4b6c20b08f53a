//! Where an alert goes.

use super::settings::{Beat, Target};
use crate::channels::{AccountKey, Channels};
use crate::config::handle::Snapshot;
use crate::delivery::Route;
use crate::session::SessionEntry;

/// The chat that hears of it, or the word that says why there is none.
///
/// `entry` is the agent's conversation: it knows who wrote last.
pub fn resolve(
    beat: &Beat,
    entry: Option<&SessionEntry>,
    channels: &Channels,
    snapshot: &Snapshot,
) -> Result<Route, &'static str> {
    let last = entry.and_then(last_contact);
    let (channel, last) = match &beat.target {
        Target::Nobody => return Err("target-none"),
        Target::Last => {
            let last = last.ok_or("no-target")?;
            (last.channel.clone(), Some(last))
        }
        Target::Channel(channel) => (channel.clone(), last.filter(|last| last.channel == *channel)),
    };
    let adapter = channels.get(&channel).ok_or("channel-not-ready")?;
    let accounts = adapter.accounts(snapshot);
    let wanted = beat.account.clone().or_else(|| last.as_ref().map(|last| last.account.clone()));
    let account = match wanted {
        Some(id) => accounts.iter().find(|account| account.id == id).ok_or("unknown-account")?,
        None => accounts.iter().find(|account| account.problem.is_none()).ok_or("channel-not-ready")?,
    };
    if account.problem.is_some() {
        return Err("channel-not-ready");
    }
    let route = match &beat.to {
        Some(to) => Route { target: adapter.target(to).map_err(|_| "no-target")?, ..Route::default() },
        None => last.filter(|last| last.account == account.id).ok_or("no-target")?,
    };
    if beat.block_direct && adapter.is_direct(&route.target) {
        return Err("dm-blocked");
    }
    let AccountKey { channel, account } = AccountKey::new(&channel, &account.id);
    Ok(Route { channel, account, reply_to: None, ..route })
}

/// Who wrote last in a conversation, if it was on a chat platform.
pub fn last_contact(entry: &SessionEntry) -> Option<Route> {
    let thread = entry.last_thread_id.as_ref().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Some(Route {
        channel: entry.last_channel.clone()?,
        account: entry.last_account_id.clone()?,
        target: entry.last_to.clone()?,
        thread,
        reply_to: None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::super::settings::beats;
    use super::*;
    use crate::config::handle::testing::snapshot;

    fn resolved(heartbeat: Value, wrote: Option<&str>) -> Result<(String, String, String), &'static str> {
        let config = snapshot(&json!({
            "agents": { "defaults": { "heartbeat": heartbeat } },
            "channels": { "webhook": { "accounts": {
                "front": { "secret": "s-1234567890", "callbackUrl": "http://127.0.0.1:1/" }, "off": { "enabled": false } } } },
        }));
        let entry = wrote.map(|target| {
            let mut entry = SessionEntry::new("s", 1);
            let (channel, account) = ("webhook".to_owned(), "front".to_owned());
            entry.spoken_from(&Route { channel, account, target: target.to_owned(), ..Route::default() });
            entry
        });
        let beat = beats(&config, &TimeZone::UTC).remove(0);
        resolve(&beat, entry.as_ref(), &Channels::default(), &config)
            .map(|route| (route.channel, route.account, route.target))
    }

    #[test]
    fn an_alert_goes_to_whoever_the_configuration_names_or_to_the_last_one_who_wrote() {
        let ada = || Some("direct:ada");
        let to = |target: &str| Ok(("webhook".to_owned(), "front".to_owned(), target.to_owned()));
        for (heartbeat, wrote, expected) in [
            (json!({}), ada(), Err("target-none")),
            (json!({ "target": "last" }), ada(), to("direct:ada")),
            (json!({ "target": "last" }), None, Err("no-target")),
            (json!({ "target": "webhook" }), ada(), to("direct:ada")),
            (json!({ "target": "webhook" }), None, Err("no-target")),
            (json!({ "target": "webhook", "to": "group:room" }), None, to("group:room")),
            (json!({ "target": "telegram" }), ada(), Err("channel-not-ready")),
            (json!({ "target": "last", "accountId": "none" }), ada(), Err("unknown-account")),
            (json!({ "target": "last", "accountId": "off" }), ada(), Err("channel-not-ready")),
            (json!({ "target": "last", "directPolicy": "block" }), ada(), Err("dm-blocked")),
            (json!({ "target": "webhook", "to": "group:room", "directPolicy": "block" }), None, to("group:room")),
        ] {
            assert_eq!(resolved(heartbeat.clone(), wrote), expected, "{heartbeat}");
        }
    }
}
