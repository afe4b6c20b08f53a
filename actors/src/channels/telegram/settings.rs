//! `channels.telegram`: its keys, and what they mean for an account.
//!
//! Invariant: one bot is listened to by one account. Two polls of one token take each other's updates away, so of several
//! accounts with the same token only the first runs.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::access::{self, AccessKeys, Platform};
use super::super::account::{self, Account};
use super::super::policy::{Access, DmPolicy};
use super::ID;
use super::api::Token;
use crate::config::handle::Snapshot;
use crate::config::paths::expand_tilde;
use crate::config::settings::SecretInput;

/// The account of a block without accounts, and the one that the environment's token is for.
const ONLY: &str = "default";
/// The environment's token.
const TOKEN_ENV: &str = "TELEGRAM_BOT_TOKEN";
/// Where the Bot API is.
const ROOT: &str = "https://api.telegram.org";
/// Longest part, UTF-16 units; `textChunkLimit`. The platform takes 4096.
pub const CHUNK_DEFAULT: usize = 4000;
pub const CHUNK_MAX: usize = 4096;
/// Bytes of a `tokenFile` that are read.
const TOKEN_FILE_MAX: u64 = 4096;
/// `pollingStallThresholdMs`
const STALL_DEFAULT: u64 = 120_000;
/// `timeoutSeconds`: how long one request may take, and how long Telegram may hold a poll.
const REQUEST_DEFAULT: u64 = 30;

/// `replyToMode`: which parts of an answer quote the message that they answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyTo {
    #[default]
    Off,
    #[serde(alias = "batched")]
    First,
    All,
}

/// `streaming.chunkMode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkMode {
    #[default]
    Length,
    Newline,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Streaming {
    chunk_mode: Option<ChunkMode>,
}

/// Of one account, what it inherits included.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    enabled: Option<bool>,
    api_root: Option<String>,
    proxy: Option<String>,
    webhook_url: Option<String>,
    timeout_seconds: Option<u64>,
    polling_stall_threshold_ms: Option<u64>,
    text_chunk_limit: Option<usize>,
    streaming: Option<Streaming>,
    reply_to_mode: Option<ReplyTo>,
    link_preview: Option<bool>,
}

/// The keys of one level that name a token: of the account alone, or of the channel alone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TokenKeys {
    bot_token: Option<SecretInput>,
    token_file: Option<String>,
}

/// What an account speaks to Telegram with.
#[derive(Debug, Clone)]
pub struct Login {
    pub token: Token,
    /// Without a slash at its end.
    pub root: String,
    pub request_limit: Duration,
    /// A poll that has not come back for so long makes the connections suspect.
    pub stall: Duration,
}

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    pub limit: usize,
    pub mode: ChunkMode,
    pub reply_to: ReplyTo,
    pub link_preview: bool,
}

/// Every account that the block names; a block without accounts is one.
pub fn accounts(snapshot: &Snapshot) -> Vec<Account> {
    if snapshot.value.get("channels").and_then(|channels| channels.get(ID)).is_none() {
        return Vec::new();
    }
    let named = account::named(snapshot, ID);
    let ids = if named.is_empty() { vec![ONLY.to_owned()] } else { named };
    let mut bots: Vec<(String, String)> = Vec::new();
    let of = |id: String| {
        let login = match login(snapshot, &id) {
            Ok(login) => login,
            Err(problem) => return Account { id, problem: Some(problem), identity: String::new() },
        };
        let bot = login.token.bot_id().to_owned();
        let first = bots.iter().find(|(known, _)| *known == bot).map(|(_, first)| first.clone());
        let problem = first.map(|first| format!("{}: account {first} has the same token", account::DISABLED));
        if problem.is_none() {
            bots.push((bot, id.clone()));
        }
        let limits = (login.request_limit.as_millis(), login.stall.as_millis());
        let identity = format!("{}@{} {limits:?}", login.token.reveal(), login.root);
        Account { id, problem, identity }
    };
    ids.into_iter().map(of).collect()
}

/// What the account needs to speak to Telegram. The error says why it does not run.
pub fn login(snapshot: &Snapshot, id: &str) -> Result<Login, String> {
    let keys: Keys = account::resolve(snapshot, ID, id).ok_or("cannot be read")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if id.is_empty() || !id.chars().all(plain) {
        return Err("the id of an account has letters, digits, dots, dashes and underscores".to_owned());
    }
    if keys.enabled == Some(false) || snapshot.value["channels"][ID]["enabled"] == false {
        return Err(account::DISABLED.to_owned());
    }
    if keys.webhook_url.is_some() {
        return Err("webhookUrl: updates are polled in this release; remove it".to_owned());
    }
    if keys.proxy.is_some() {
        return Err("proxy is not in this release; the environment's HTTPS_PROXY is honoured".to_owned());
    }
    let token = Token::parse(&token(snapshot, id)?)?;
    let root = root(keys.api_root.as_deref().unwrap_or(ROOT))?;
    let request_limit = Duration::from_secs(keys.timeout_seconds.unwrap_or(REQUEST_DEFAULT).clamp(1, 60));
    let stall = Duration::from_millis(keys.polling_stall_threshold_ms.unwrap_or(STALL_DEFAULT).clamp(30_000, 600_000));
    Ok(Login { token, root, request_limit, stall })
}

/// The account's own token, else the channel's, else, for the default account, the environment's.
fn token(snapshot: &Snapshot, id: &str) -> Result<String, String> {
    let block = &snapshot.value["channels"][ID];
    for level in [&block["accounts"][id], block] {
        let keys = match level {
            Value::Null => TokenKeys::default(),
            level => serde_json::from_value(level.clone()).map_err(|_| "the keys of the token cannot be read")?,
        };
        if let Some(path) = &keys.token_file {
            let home = snapshot.env.get("HOME").unwrap_or_default();
            return read(&expand_tilde(path, Path::new(home)));
        }
        if let Some(input) = &keys.bot_token {
            let token = snapshot.secrets.resolve(input).map(str::trim).filter(|token| !token.is_empty());
            return token.map(str::to_owned).ok_or_else(|| "not configured: botToken is empty".to_owned());
        }
    }
    let shared = snapshot.env.non_empty(TOKEN_ENV).filter(|_| id == ONLY);
    shared.map(str::to_owned).ok_or_else(|| "not configured: no botToken".to_owned())
}

/// A regular file with nothing but the token in it.
fn read(path: &Path) -> Result<String, String> {
    let unusable = |why: &str| format!("not configured: tokenFile {}: {why}", path.display());
    let about = std::fs::metadata(path).map_err(|error| unusable(&error.to_string()))?;
    if !about.is_file() {
        return Err(unusable("not a regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| unusable(&error.to_string()))?;
    file.take(TOKEN_FILE_MAX).read_to_string(&mut text).map_err(|error| unusable(&error.to_string()))?;
    Ok(text.trim().to_owned())
}

/// Some people write the token's part of the path as well: it is taken off.
fn root(text: &str) -> Result<String, String> {
    let text = text.trim();
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    let url = url.ok_or("apiRoot is not an http or https URL")?;
    let text = url.as_str().trim_end_matches('/');
    let bare = match text.rsplit_once("/bot") {
        Some((before, token)) if token.starts_with(|c: char| c.is_ascii_digit()) => before,
        _ => text,
    };
    Ok(bare.trim_end_matches('/').to_owned())
}

const PLATFORM: Platform = Platform { channel: ID, dm_policy: DmPolicy::Pairing, prefixes: &["telegram:", "tg:"] };

/// Who may write. Of several accounts each has its own groups: the channel's are nobody's.
pub fn access(snapshot: &Snapshot, id: &str) -> Access {
    let mut keys: Option<AccessKeys> = account::resolve(snapshot, ID, id);
    let own = snapshot.value["channels"][ID]["accounts"][id].get("groups").is_some();
    if let Some(keys) = keys.as_mut().filter(|_| !own && account::named(snapshot, ID).len() > 1) {
        keys.groups = None;
    }
    access::access(snapshot, &PLATFORM, keys)
}

pub fn looks(snapshot: &Snapshot, id: &str) -> Looks {
    let keys: Keys = account::resolve(snapshot, ID, id).unwrap_or_default();
    Looks {
        limit: keys.text_chunk_limit.unwrap_or(CHUNK_DEFAULT).clamp(1, CHUNK_MAX),
        mode: keys.streaming.and_then(|streaming| streaming.chunk_mode).unwrap_or_default(),
        reply_to: keys.reply_to_mode.unwrap_or_default(),
        link_preview: keys.link_preview.unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::policy::GroupPolicy;
    use super::*;
    use crate::config::env::Env;
    use crate::config::load;
    use crate::config::paths::{self, PathInputs};

    const ONE: &str = "7000000001:AAE-the_first_token_of_this_test_123";
    const TWO: &str = "7000000002:AAE-the_other_token_of_this_test_456";

    fn snapshot_with(telegram: &Value, vars: &[(&str, &str)]) -> Snapshot {
        let env = Env::from_iter([("HOME", "/home/u")].iter().chain(vars).copied());
        let inputs = PathInputs { cwd: "/".into(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        let text = json!({ "gateway": { "mode": "local" }, "channels": { "telegram": telegram } }).to_string();
        load::from_text(Some(text), &Default::default(), &paths, &env).unwrap()
    }

    fn problems(telegram: &Value) -> Vec<(String, Option<String>)> {
        let accounts = accounts(&snapshot_with(telegram, &[])).into_iter();
        accounts.map(|account| (account.id, account.problem)).collect()
    }

    #[test]
    fn a_token_is_the_accounts_own_or_the_channels_or_the_environments_for_the_default_account() {
        let of = |telegram: Value, id: &str| {
            let snapshot = snapshot_with(&telegram, &[(TOKEN_ENV, TWO)]);
            login(&snapshot, id).map(|login| login.token.reveal().to_owned())
        };
        let empty = json!({ "botToken": " ", "accounts": { "a": { "botToken": TWO }, "b": {} } });
        for (telegram, id, expected) in [
            (json!({ "botToken": ONE }), "default", Ok(ONE)),
            (json!({}), "default", Ok(TWO)),
            (json!({ "botToken": ONE, "accounts": { "a": { "botToken": TWO }, "b": {} } }), "a", Ok(TWO)),
            (json!({ "botToken": ONE, "accounts": { "a": { "botToken": TWO }, "b": {} } }), "b", Ok(ONE)),
            (empty.clone(), "a", Ok(TWO)),
            (empty, "b", Err("not configured: botToken is empty")),
            (json!({ "accounts": { "b": {} } }), "b", Err("not configured: no botToken")),
        ] {
            assert_eq!(of(telegram.clone(), id), expected.map(str::to_owned).map_err(str::to_owned), "{telegram} {id}");
        }
    }

    #[test]
    fn a_token_file_is_a_regular_file_and_what_it_says_is_shown_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        crate::files::replace(&path, format!("{ONE}\n").as_bytes()).unwrap();
        let with = |path: &Path| json!({ "tokenFile": path });
        assert_eq!(problems(&with(&path)), [("default".to_owned(), None)]);
        for (path, why) in [(dir.path().to_owned(), "not a regular file"), (dir.path().join("none"), "No such file")] {
            let problem = problems(&with(&path)).remove(0).1.unwrap();
            assert!(problem.starts_with("not configured: tokenFile") && problem.contains(why), "{problem}");
        }
        crate::files::replace(&path, b"hunter2/../..").unwrap();
        let problem = problems(&with(&path)).remove(0).1.unwrap();
        assert!(problem.contains("no token of Telegram") && !problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn of_two_accounts_with_one_bot_only_the_first_runs() {
        let found = problems(&json!({ "accounts": {
            "a": { "botToken": ONE }, "b": { "botToken": ONE }, "c": { "botToken": TWO }, "d": { "enabled": false, "botToken": ONE },
        } }));
        let same = "disabled: account a has the same token".to_owned();
        let expected = [("a", None), ("b", Some(same)), ("c", None), ("d", Some("disabled".to_owned()))];
        assert_eq!(found, expected.map(|(id, problem)| (id.to_owned(), problem)));
        assert!(problems(&json!({ "enabled": false, "botToken": ONE }))[0].1.as_deref() == Some("disabled"));
    }

    #[test]
    fn what_this_release_does_not_do_keeps_an_account_from_running_instead_of_being_done_otherwise() {
        for (key, value, expected) in [
            ("webhookUrl", json!("https://example.com/hook"), "webhookUrl"),
            ("proxy", json!("socks5://127.0.0.1:1"), "proxy"),
            ("apiRoot", json!("ftp://127.0.0.1"), "apiRoot"),
            ("apiRoot", json!("https://user@127.0.0.1"), "apiRoot"),
        ] {
            let problem = problems(&json!({ "botToken": ONE, key: value })).remove(0).1.unwrap();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn the_root_of_the_bot_api_is_without_slash_and_token() {
        for (text, expected) in [
            ("https://api.telegram.org", "https://api.telegram.org"),
            ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
            ("https://proxy.example/tg/bot7000000001:AAE/", "https://proxy.example/tg"),
            ("https://proxy.example/bots", "https://proxy.example/bots"),
        ] {
            assert_eq!(root(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_the_line_is_made_of_is_its_identity_and_nothing_else_is() {
        let identity = |telegram: &Value| accounts(&snapshot_with(telegram, &[])).remove(0).identity;
        let base = identity(&json!({ "botToken": ONE }));
        assert_eq!(identity(&json!({ "botToken": ONE, "allowFrom": ["1"], "textChunkLimit": 5 })), base);
        assert_ne!(identity(&json!({ "botToken": TWO })), base);
        assert_ne!(identity(&json!({ "botToken": ONE, "timeoutSeconds": 5 })), base);
        assert_ne!(identity(&json!({ "botToken": ONE, "apiRoot": "http://127.0.0.1:1" })), base);
    }

    #[test]
    fn strangers_are_asked_to_pair_and_of_several_accounts_each_has_its_own_groups() {
        let base = json!({ "botToken": ONE, "groups": { "-1": {} }, "allowFrom": [555_000_111] });
        let of = |telegram: &Value, id: &str| access(&snapshot_with(telegram, &[]), id);
        let alone = of(&base, ONLY);
        assert_eq!((alone.dm_policy, alone.group_policy), (DmPolicy::Pairing, GroupPolicy::Allowlist));
        assert_eq!(alone.allow_from, ["555000111"]);
        assert!(alone.require_mention && alone.groups.unwrap().contains_key("-1"));
        let mut two = base.clone();
        two["accounts"] = json!({ "a": {}, "b": { "botToken": TWO, "groups": { "-2": {} } } });
        assert!(of(&two, "a").groups.is_none());
        assert!(of(&two, "b").groups.unwrap().contains_key("-2"));
    }
}
