//! `channels.webhook`: its keys, and what they mean for an account.

use serde::Deserialize;

use super::super::access::{self, Platform};
use super::super::account::{self, Account};
use super::super::policy::{Access, DmPolicy};
use super::ID;
use crate::config::handle::Snapshot;
use crate::config::settings::SecretInput;

/// Longest text of one post, characters.
pub const CHUNK_DEFAULT: usize = 8000;
/// Paths of the gateway that are looked at.
const PREFIX: &str = "/channels/";
/// The account of a block without accounts.
const ONLY: &str = "default";

/// Of one account, what it inherits included.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Keys {
    pub enabled: Option<bool>,
    pub secret: Option<SecretInput>,
    pub path: Option<String>,
    pub callback_url: Option<String>,
    pub callback_secret: Option<SecretInput>,
    pub text_chunk_limit: Option<usize>,
}

/// Every account that the block names; a block without accounts is one.
pub fn accounts(snapshot: &Snapshot) -> Vec<Account> {
    if snapshot.value.get("channels").and_then(|channels| channels.get(ID)).is_none() {
        return Vec::new();
    }
    let named = account::named(snapshot, ID);
    let ids = if named.is_empty() { vec![ONLY.to_owned()] } else { named };
    let mut accounts: Vec<Account> =
        ids.into_iter().map(|id| Account { problem: problem(snapshot, &id), identity: String::new(), id }).collect();
    // Of two at one path the first would get what the second is meant to hear.
    let mut paths: Vec<String> = Vec::new();
    for account in accounts.iter_mut().filter(|account| account.problem.is_none()) {
        let path = path_of(snapshot, &account.id);
        if paths.contains(&path) {
            account.problem = Some(format!("another account has the path {path}"));
        }
        paths.push(path);
    }
    accounts
}

fn path_of(snapshot: &Snapshot, id: &str) -> String {
    let keys = account::resolve::<Keys>(snapshot, ID, id).unwrap_or_default();
    keys.path.unwrap_or_else(|| format!("{PREFIX}{ID}/{id}"))
}

/// Why an account does not run.
fn problem(snapshot: &Snapshot, id: &str) -> Option<String> {
    let Some(keys) = account::resolve::<Keys>(snapshot, ID, id) else { return Some("cannot be read".to_owned()) };
    let block_is_off = snapshot.value["channels"][ID]["enabled"] == false;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !id.chars().all(plain) {
        return Some("the id of an account has letters, digits, dots, dashes and underscores".to_owned());
    }
    if keys.enabled == Some(false) || block_is_off {
        return Some(account::DISABLED.to_owned());
    }
    let has = |secret: &Option<SecretInput>| {
        let secret = secret.as_ref().and_then(|secret| snapshot.secrets.resolve(secret));
        secret.is_some_and(|secret| !secret.trim().is_empty())
    };
    if !has(&keys.secret) {
        return Some("not configured: no secret".to_owned());
    }
    let Some(url) = &keys.callback_url else { return Some("not configured: no callbackUrl".to_owned()) };
    let web = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !web {
        return Some("callbackUrl is not an http or https URL".to_owned());
    }
    let astray = keys.path.as_ref().is_some_and(|path| !path.starts_with(PREFIX));
    astray.then(|| format!("path must begin with {PREFIX}"))
}

/// Who may write: whom the lists name, unless the configuration opens it.
const PLATFORM: Platform = Platform { channel: ID, dm_policy: DmPolicy::Allowlist, prefixes: &["webhook:"] };

pub fn access(snapshot: &Snapshot, id: &str) -> Access {
    access::access(snapshot, &PLATFORM, account::resolve(snapshot, ID, id))
}

/// Where an account is posted to.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub account: String,
    pub secret: String,
}

/// The account that listens at a path of the gateway. An account that does not run listens nowhere.
pub fn endpoint_at(snapshot: &Snapshot, path: &str) -> Option<Endpoint> {
    accounts(snapshot).into_iter().filter(|account| account.problem.is_none()).find_map(|account| {
        let keys = account::resolve::<Keys>(snapshot, ID, &account.id)?;
        let own = path_of(snapshot, &account.id);
        let secret = snapshot.secrets.resolve(keys.secret.as_ref()?)?.trim().to_owned();
        (own == path && !secret.is_empty()).then_some(Endpoint { account: account.id, secret })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::policy::GroupPolicy;
    use super::*;
    use crate::config::handle::testing;

    fn snapshot(channels: &Value) -> Snapshot {
        testing::snapshot(&json!({ "gateway": { "mode": "local" }, "channels": channels }))
    }

    #[test]
    fn an_account_needs_a_secret_and_an_address_and_inherits_what_it_does_not_say() {
        let snapshot = snapshot(&json!({ "webhook": {
            "secret": "base", "callbackUrl": "http://127.0.0.1:1/in",
            "accounts": { "a": {}, "b": { "enabled": false }, "c": { "secret": " ", "path": "/channels/other" } },
        } }));
        let problems: Vec<_> = accounts(&snapshot).into_iter().map(|account| (account.id, account.problem)).collect();
        let expected = [("a", None), ("b", Some("disabled")), ("c", Some("not configured: no secret"))];
        assert_eq!(problems, expected.map(|(id, problem)| (id.to_owned(), problem.map(str::to_owned))));
        let found = endpoint_at(&snapshot, "/channels/webhook/a");
        assert_eq!(found, Some(Endpoint { account: "a".into(), secret: "base".into() }));
        assert_eq!(endpoint_at(&snapshot, "/channels/webhook/b"), None);
        assert_eq!(endpoint_at(&snapshot, "/channels/other"), None, "it does not run");
    }

    #[test]
    fn a_block_that_is_off_and_a_path_that_is_taken_keep_an_account_from_running() {
        let base = json!({ "secret": "s", "callbackUrl": "http://127.0.0.1:1/in", "path": "/channels/one" });
        let with = |key: &str, value: Value| {
            let mut block = base.clone();
            block[key] = value;
            let problems = accounts(&snapshot(&json!({ "webhook": block }))).into_iter().map(|account| account.problem);
            problems.collect::<Vec<_>>()
        };
        let taken = with("accounts", json!({ "a": {}, "b": {}, "c": { "path": "/channels/two" }, "d:e": {} }));
        assert_eq!((&taken[0], &taken[2]), (&None, &None));
        assert!(taken[1].as_ref().unwrap().contains("another account has the path"), "{taken:?}");
        assert!(taken[3].as_ref().unwrap().contains("the id of an account"), "{taken:?}");
        assert_eq!(with("enabled", json!(false)), [Some("disabled".to_owned())]);
    }

    #[test]
    fn nobody_is_let_in_unless_the_configuration_says_so() {
        let block = json!({ "webhook": { "secret": "s", "callbackUrl": "http://127.0.0.1:1/in" } });
        let access = access(&snapshot(&block), ONLY);
        assert_eq!((access.dm_policy, access.group_policy), (DmPolicy::Allowlist, GroupPolicy::Allowlist));
        assert!(access.allow_from.is_empty() && access.require_mention);
    }
}
