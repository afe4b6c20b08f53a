//! The turn that a message of a chat becomes: which session it belongs to, what the agent is told, where the answer goes.

use super::account::AccountKey;
use super::channel::Inbound;
use super::policy::Chat;
use crate::config::settings::{DmScope, Settings};
use crate::delivery::Route;
use crate::run::context::key_rules;
use crate::run::message::{Authority, Turn, TurnKind};
use crate::session::{AgentId, SessionKey, stop_phrase};

/// Characters of a quoted message that the agent is shown.
const QUOTE_MAX: usize = 2000;

/// The id of the turn that follows from an event: the same event is the same turn.
pub fn run_id(account: &AccountKey, event_key: &str) -> String {
    format!("{account}:{event_key}")
}

/// A direct message belongs to the main session, or to one of its sender, as `session.dmScope` says; what is said in a
/// group belongs to a session of that group.
pub fn session_key(account: &AccountKey, inbound: &Inbound, agent: &AgentId, settings: &Settings) -> SessionKey {
    let (channel, peer) = (account.channel.as_str(), inbound.sender.id.as_str());
    match (&inbound.chat, settings.session.dm_scope) {
        (Chat::Group { id }, _) => SessionKey::of_group(agent, channel, id, inbound.thread.as_deref()),
        (Chat::Direct, DmScope::Main) => key_rules(settings).main_key_of(agent),
        (Chat::Direct, DmScope::PerPeer) => SessionKey::of_peer(agent, &[], peer),
        (Chat::Direct, DmScope::PerChannelPeer) => SessionKey::of_peer(agent, &[channel], peer),
        (Chat::Direct, DmScope::PerAccountChannelPeer) => {
            SessionKey::of_peer(agent, &[channel, &account.account], peer)
        }
    }
}

/// `by_name`: a list of the configuration names the sender. Who only came in because everybody may is obeyed in a
/// conversation of his own, and nowhere else.
pub fn authority(inbound: &Inbound, by_name: bool, settings: &Settings) -> Authority {
    let is_alone = inbound.chat == Chat::Direct && settings.session.dm_scope != DmScope::Main;
    if by_name || is_alone { Authority::Sender } else { Authority::Untrusted }
}

pub fn turn(account: &AccountKey, event_key: &str, inbound: &Inbound, authority: Authority, now: i64) -> Turn {
    // Commands are read as they are; of somebody who is not obeyed they are words.
    let is_command = authority > Authority::Untrusted && is_command(&inbound.text);
    let text = match inbound.chat {
        _ if is_command => inbound.text.clone(),
        Chat::Direct => with_quote(inbound, &inbound.text),
        // In a group the agent must know who speaks.
        Chat::Group { .. } => with_quote(inbound, &format!("{}: {}", inbound.sender.label(), inbound.text)),
    };
    Turn {
        run_id: run_id(account, event_key),
        kind: TurnKind::Channel,
        text,
        images: Vec::new(),
        model: None,
        thinking: None,
        extra_system_prompt: None,
        timeout_seconds: None,
        max_tokens: None,
        channel: Some(account.channel.clone()),
        route: Some(Route {
            channel: account.channel.clone(),
            account: account.account.clone(),
            target: inbound.target.clone(),
            thread: inbound.thread.clone(),
            reply_to: Some(inbound.message_id.clone()),
        }),
        sender: Some(inbound.sender.label()),
        authority,
        heartbeat: None,
        resume: None,
        accepted_at: now,
    }
}

/// The agent is told what a message answers: it may not have been there.
fn with_quote(inbound: &Inbound, text: &str) -> String {
    let Some(quote) = &inbound.quote else { return text.to_owned() };
    let said: String = quote.text.chars().take(QUOTE_MAX).collect();
    format!("{text}\n\n[Replying to {} id:{}]\n{said}\n[/Replying]", quote.sender.label(), quote.message_id)
}

fn is_command(text: &str) -> bool {
    text.trim_start().starts_with('/') || stop_phrase::is_stop(text)
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Quote, Sender};
    use super::*;

    fn inbound(chat: Chat, text: &str) -> Inbound {
        Inbound {
            chat,
            target: "room".into(),
            thread: None,
            sender: Sender { id: "u1".into(), name: Some("Ada".into()) },
            text: text.into(),
            mentioned: true,
            message_id: "m1".into(),
            quote: None,
        }
    }

    #[test]
    fn a_group_has_a_session_of_its_own_and_names_who_speaks() {
        let account = AccountKey::new("webhook", "front");
        let mut settings = Settings::default();
        let agent = AgentId::main();
        let key =
            |inbound: &Inbound, settings: &_| session_key(&account, inbound, &agent, settings).as_str().to_owned();
        let direct = inbound(Chat::Direct, "hi");
        let group = inbound(Chat::Group { id: "Room 1".into() }, "hi");
        assert_eq!(key(&group, &settings), "agent:main:webhook:group:room_1-e28e96c7");
        for (scope, expected) in [
            (DmScope::Main, "agent:main:main"),
            (DmScope::PerPeer, "agent:main:direct:u1"),
            (DmScope::PerChannelPeer, "agent:main:webhook:direct:u1"),
            (DmScope::PerAccountChannelPeer, "agent:main:webhook:front:direct:u1"),
        ] {
            settings.session.dm_scope = scope;
            assert_eq!(key(&direct, &settings), expected);
        }
        settings.session.dm_scope = DmScope::Main;
        let of = |inbound: &Inbound, by_name, settings: &_| authority(inbound, by_name, settings);
        let said = turn(&account, "e1", &group, of(&group, false, &settings), 5);
        assert_eq!((said.run_id.as_str(), said.text.as_str()), ("webhook:front:e1", "Ada: hi"));
        assert_eq!(said.authority, Authority::Untrusted);
        assert_eq!(of(&direct, true, &settings), Authority::Sender);
        assert_eq!(of(&direct, false, &settings), Authority::Untrusted);
        settings.session.dm_scope = DmScope::PerPeer;
        assert_eq!(of(&direct, false, &settings), Authority::Sender);
        let command = inbound(Chat::Group { id: "g".into() }, "/x");
        assert_eq!(turn(&account, "e1", &command, Authority::Untrusted, 5).text, "Ada: /x");
        assert_eq!(turn(&account, "e1", &command, Authority::Sender, 5).text, "/x");
        let topic = Inbound { thread: Some("42".into()), ..inbound(Chat::Group { id: "-100".into() }, "hi") };
        assert_eq!(key(&topic, &settings), "agent:main:webhook:group:-100:topic:42");
        assert_eq!(said.route.unwrap().reply_to.as_deref(), Some("m1"));
    }

    #[test]
    fn what_a_message_answers_stands_below_it_and_in_no_command() {
        let account = AccountKey::new("webhook", "front");
        let sender = Sender { id: "u2".into(), name: Some("Bob: x".into()) };
        let quote = Some(Quote { sender, message_id: "m0".into(), text: "disk is fine".into() });
        let text = |text: &str, authority| {
            let inbound = Inbound { quote: quote.clone(), ..inbound(Chat::Direct, text) };
            turn(&account, "e1", &inbound, authority, 5).text
        };
        let expected = "and memory?\n\n[Replying to Bob  x id:m0]\ndisk is fine\n[/Replying]";
        assert_eq!(text("and memory?", Authority::Sender), expected);
        assert_eq!(text("stop", Authority::Sender), "stop");
        assert!(text("/new", Authority::Untrusted).contains("[Replying to"));
    }
}
