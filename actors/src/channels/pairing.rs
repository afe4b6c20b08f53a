//! Pairing: a stranger who writes directly is given a code, and whoever knows the owner has the owner approve it.
//!
//! A request and the notice with its code are written in one transaction, so each stranger is told once. Approval opens direct
//! messages and nothing else. Source: channel specification §4. `Differs:` requests and approvals are rows of the database
//! like everything else, and not files beside it.

use rusqlite::Connection;
use subtle::ConstantTimeEq;

use super::channel::Inbound;
use super::{AccountKey, Channels};
use crate::config::handle::Snapshot;
use crate::delivery::{Message, Route};
use crate::store::outbox::OutboxRow;
use crate::store::pairing::{self, PairingRow};
use crate::store::{StoreError, outbox};

/// How long a code is valid, milliseconds.
pub const TTL_MS: i64 = 60 * 60 * 1000;
/// Strangers of one account who wait at once; whoever else writes is not answered.
pub const WAITING_MAX: usize = 3;

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LEN: usize = 8;
/// Codes that are tried until one is nobody else's.
const CODE_TRIES: usize = 500;

/// What became of a stranger's message.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// He is told his code: rows for the sender.
    Told(Vec<OutboxRow>),
    /// He has been told before.
    Again,
    /// Too many wait.
    Full,
}

/// Notes that a stranger has written, inside a transaction. `random` gives bytes that nobody can guess.
pub fn ask(
    db: &Connection,
    (channels, snapshot): (&Channels, &Snapshot),
    (account, source): (&AccountKey, &str),
    inbound: &Inbound,
    now: i64,
    random: fn() -> [u8; CODE_LEN],
) -> Result<Asked, StoreError> {
    pairing::expire(db, now - TTL_MS)?;
    if let Some(known) = pairing::get(db, &account.channel, &account.account, &inbound.sender.id)? {
        pairing::put(db, &PairingRow { last_seen_at: now, ..known })?;
        return Ok(Asked::Again);
    }
    let waiting = pairing::waiting(db)?;
    let here = |row: &&PairingRow| row.channel == account.channel && row.account == account.account;
    if waiting.iter().filter(here).count() >= WAITING_MAX {
        return Ok(Asked::Full);
    }
    let taken = |code: &String| waiting.iter().any(|row| row.code.as_ref() == Some(code));
    let code = (0..CODE_TRIES).map(|_| code(random())).find(|code| !taken(code));
    let code = code.ok_or_else(|| StoreError::Refused("no free pairing code".to_owned()))?;
    let row = PairingRow {
        channel: account.channel.clone(),
        account: account.account.clone(),
        sender: inbound.sender.id.clone(),
        label: inbound.sender.label(),
        target: inbound.target.clone(),
        code: Some(code.clone()),
        created_at: now,
        last_seen_at: now,
    };
    pairing::put(db, &row)?;
    let label = channels.get(&account.channel).map_or(account.channel.as_str(), |adapter| adapter.about().label);
    let rows = say(channels, snapshot, &row, source, &notice(&row, label, &code, snapshot), now);
    rows.iter().try_for_each(|row| outbox::add(db, row).map(drop))?;
    Ok(Asked::Told(rows))
}

/// Lets a stranger in, inside a transaction. The row is as it was; `None`: nobody has this code.
pub fn approve(
    db: &Connection,
    channel: Option<&str>,
    account: Option<&str>,
    code: &str,
    now: i64,
) -> Result<Option<PairingRow>, StoreError> {
    let row = find(db, channel, account, code, now)?;
    if let Some(row) = &row {
        pairing::put(db, &PairingRow { code: None, last_seen_at: now, ..row.clone() })?;
    }
    Ok(row)
}

/// Who waits with this code. Every code is compared to its end: how long that takes tells nothing about any of them.
pub fn find(
    db: &Connection,
    channel: Option<&str>,
    account: Option<&str>,
    code: &str,
    now: i64,
) -> Result<Option<PairingRow>, StoreError> {
    let wanted = code.trim().to_uppercase();
    let mut found = None;
    for row in waiting(db, now)? {
        let is_it = bool::from(row.code.as_deref().unwrap_or_default().as_bytes().ct_eq(wanted.as_bytes()));
        let is_here = channel.is_none_or(|name| name == row.channel) && account.is_none_or(|id| id == row.account);
        if is_it && is_here {
            found = Some(row);
        }
    }
    Ok(found)
}

/// Who waits, and whose code is still valid.
pub fn waiting(db: &Connection, now: i64) -> Result<Vec<PairingRow>, StoreError> {
    let rows = pairing::waiting(db)?.into_iter();
    Ok(rows.filter(|row| row.created_at >= now - TTL_MS).collect())
}

/// Rows that tell somebody that he was let in.
pub fn welcome(channels: &Channels, snapshot: &Snapshot, row: &PairingRow, now: i64) -> Vec<OutboxRow> {
    let source = format!("pairing:{}:{}:{}:{now}", row.channel, row.account, row.sender);
    let text = "✅ OpenClaw access approved. Send a message to start chatting.";
    say(channels, snapshot, row, &source, text, now)
}

fn say(
    channels: &Channels,
    snapshot: &Snapshot,
    row: &PairingRow,
    source: &str,
    text: &str,
    now: i64,
) -> Vec<OutboxRow> {
    let route = Route {
        channel: row.channel.clone(),
        account: row.account.clone(),
        target: row.target.clone(),
        ..Route::default()
    };
    let message = Message { source, route: &route, session_key: None, run_id: None };
    channels.rows(message, text, snapshot, now)
}

/// Code and command stand by themselves, so that a phone copies them whole.
fn notice(row: &PairingRow, label: &str, code: &str, snapshot: &Snapshot) -> String {
    let profile =
        snapshot.env.non_empty("OPENCLAW_PROFILE").map(|name| format!("--profile {name} ")).unwrap_or_default();
    let command = format!("openclaw {profile}pairing approve {} {code}", row.channel);
    format!(
        "OpenClaw: access not configured.\n\nYour {label} user id: {}\n\nPairing code:\n```\n{code}\n```\n\n\
         Ask the bot owner to approve with:\n{command}\n```\n{command}\n```",
        row.sender
    )
}

fn code(random: [u8; CODE_LEN]) -> String {
    // 256 is a multiple of 32: each letter is as likely as any other.
    random.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::channel::Sender;
    use super::super::policy::Chat;
    use super::*;
    use crate::config::env::Env;
    use crate::config::load;
    use crate::config::paths::{self, PathInputs};
    use crate::store::schema;

    struct Desk {
        db: Connection,
        channels: Channels,
        snapshot: Snapshot,
    }

    impl Desk {
        fn new() -> Self {
            let env = Env::from_iter([("HOME", "/home/u")]);
            let paths = paths::resolve(&PathInputs { cwd: "/".into(), ..PathInputs::default() }, &env).unwrap();
            let text = json!({ "gateway": { "mode": "local" }, "channels": { "telegram": { "botToken": "1:a" } } });
            let snapshot = load::from_text(Some(text.to_string()), &Default::default(), &paths, &env).unwrap();
            let mut db = Connection::open_in_memory().unwrap();
            schema::migrate(&mut db).unwrap();
            Self { db, channels: Channels::default(), snapshot }
        }

        fn ask(&self, account: &str, sender: &str, now: i64) -> Asked {
            let inbound = Inbound {
                chat: Chat::Direct,
                target: sender.into(),
                thread: None,
                sender: Sender { id: sender.into(), name: Some("Ann".into()) },
                text: "hi".into(),
                mentioned: false,
                message_id: "1".into(),
                quote: None,
            };
            let account = AccountKey::new("telegram", account);
            let source = format!("{account}:{sender}:{now}");
            ask(&self.db, (&self.channels, &self.snapshot), (&account, &source), &inbound, now, rand::random).unwrap()
        }

        fn code_of(&self, sender: &str, now: i64) -> String {
            let rows = waiting(&self.db, now).unwrap();
            rows.into_iter().find(|row| row.sender == sender).unwrap().code.unwrap()
        }

        fn approved(&self) -> Vec<String> {
            pairing::approved(&self.db, "telegram", "default").unwrap()
        }
    }

    #[test]
    fn a_stranger_is_told_his_code_once_and_three_wait_at_once() {
        let desk = Desk::new();
        let Asked::Told(rows) = desk.ask("default", "1", 0) else { panic!("he is told") };
        let code = desk.code_of("1", 0);
        let text =
            serde_json::from_str::<serde_json::Value>(&rows[0].body).unwrap()["text"].as_str().unwrap().to_owned();
        let command = format!("openclaw pairing approve telegram {code}");
        assert!(
            text.starts_with("OpenClaw: access not configured.\n\nYour Telegram user id: 1\n\nPairing code:\n"),
            "{text}"
        );
        assert_eq!(text.matches(&command).count(), 2, "{text}");
        assert_eq!(outbox::get(&desk.db, &rows[0].id).unwrap().unwrap().target, "1");
        assert_eq!(desk.ask("default", "1", 5), Asked::Again);
        for sender in ["2", "3"] {
            assert!(matches!(desk.ask("default", sender, 1), Asked::Told(_)));
        }
        assert_eq!(desk.ask("default", "4", 2), Asked::Full);
        assert!(matches!(desk.ask("other", "4", 2), Asked::Told(_)), "each account has its own");
        assert!(matches!(desk.ask("default", "4", TTL_MS + 1), Asked::Told(_)), "the first is no longer valid");
        let seen = waiting(&desk.db, TTL_MS).unwrap();
        assert_eq!(seen.iter().map(|row| row.sender.as_str()).collect::<Vec<_>>(), ["2", "3", "4", "4"]);
    }

    #[test]
    fn only_a_code_that_is_valid_lets_in_and_only_whom_it_was_given_to() {
        let desk = Desk::new();
        desk.ask("default", "1", 0);
        desk.ask("default", "2", 0);
        let code = desk.code_of("1", 0);
        let approve =
            |channel, code: &str, now| approve(&desk.db, channel, None, code, now).unwrap().map(|row| row.sender);
        assert_eq!(approve(Some("telegram"), "AAAAAAA", 1), None);
        assert_eq!(approve(Some("discord"), &code, 1), None);
        assert_eq!(approve(Some("telegram"), &code, TTL_MS + 1), None, "an hour later");
        assert!(desk.approved().is_empty());
        assert_eq!(approve(None, &format!(" {} ", code.to_lowercase()), 1).as_deref(), Some("1"));
        assert_eq!(approve(None, &code, 1), None, "once");
        assert_eq!(desk.approved(), ["1"]);
        assert_eq!(desk.ask("default", "1", TTL_MS * 3), Asked::Again, "he stays");
        assert_eq!(desk.approved(), ["1"]);
    }

    #[test]
    fn a_code_is_eight_letters_that_nobody_mistakes() {
        assert_eq!(code([0, 1, 23, 24, 31, 32, 255, 8]), "ABZ29A9J");
        for byte in 0..=255 {
            assert!(!code([byte; 8]).contains(['0', 'O', '1', 'I']));
        }
    }
}
