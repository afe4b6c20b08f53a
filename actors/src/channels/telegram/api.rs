//! The Bot API: one call, one answer, and what kind of no it is.
//!
//! Invariant: the token is part of every address, so no error and no log line holds an address, and it is taken out of
//! whatever the other side says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::settings::Login;
use crate::model::http::{HttpClients, describe};

/// Bytes of an answer that are taken: a hundred updates are far below it.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Characters of what the other side says that are shown.
const SAID_MAX: usize = 300;
/// Longest wait that Telegram is granted.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// A bot's token. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Token {
    /// `<digits>:<letters, digits, _ and ->`: nothing that could lead to another address. The error does not show it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let secret = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let fits = text.split_once(':').is_some_and(|(bot, rest)| {
            !bot.is_empty() && bot.chars().all(|c| c.is_ascii_digit()) && !rest.is_empty() && rest.chars().all(secret)
        });
        if !fits {
            return Err("botToken is no token of Telegram: <digits>:<letters and digits>".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// The bot's user id.
    pub fn bot_id(&self) -> &str {
        self.0.split_once(':').map_or("", |(bot, _)| bot)
    }

    /// For an address, and for telling two apart.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Why a call has no result. No text holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It has not come to Telegram.
    #[error("{0}")]
    Unreachable(String),
    /// It left, and nobody knows what became of it.
    #[error("{0}")]
    Lost(String),
    /// Telegram has decided.
    #[error("{code}: {description}")]
    Refused {
        code: u16,
        description: String,
        /// When to come again.
        retry_after: Option<Duration>,
        /// The group has this id now.
        migrated_to: Option<i64>,
    },
}

impl ApiError {
    /// The token is not, or no longer, one of a bot: asking again will not help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 404, .. })
    }

    /// Does Telegram's no say this?
    pub fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused { description, .. } if description.to_lowercase().contains(words))
    }
}

/// Any answer of the Bot API.
#[derive(Deserialize)]
struct Answer<T> {
    ok: bool,
    result: Option<T>,
    error_code: Option<u16>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

/// One bot; cheap to clone, clones share connections.
#[derive(Debug, Clone)]
pub struct Api {
    http: HttpClients,
    login: Login,
}

impl Api {
    pub fn new(http: HttpClients, login: Login) -> Self {
        Self { http, login }
    }

    pub fn login(&self) -> &Login {
        &self.login
    }

    /// From now on over new connections.
    pub fn reconnect(&mut self) {
        self.http = HttpClients::without_redirects();
    }

    /// One call, within the account's time limit.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: &Value) -> Result<T, ApiError> {
        self.call_within(method, params, self.login.request_limit).await
    }

    pub async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let unreachable = |error: String| ApiError::Unreachable(self.clean(&error));
        let address = format!("{}/bot{}/{method}", self.login.root, self.login.token.reveal());
        let url = Url::parse(&address).map_err(|_| unreachable("apiRoot is not a URL".to_owned()))?;
        let client = self.http.for_url(&url).map_err(|error| unreachable(error.to_string()))?;
        let answer = match client.post(url).timeout(limit).json(params).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => return Err(unreachable(describe(error))),
            Err(error) if error.is_timeout() => return Err(ApiError::Lost(format!("no answer within {limit:?}"))),
            Err(error) => return Err(ApiError::Lost(self.clean(&describe(error)))),
        };
        let status = answer.status().as_u16();
        match body(answer).await {
            Ok(body) => self.judge(status, &body),
            Err(error) => Err(ApiError::Lost(self.clean(&error))),
        }
    }

    /// What an answer says. One that cannot be read counts by its status alone.
    fn judge<T: DeserializeOwned>(&self, status: u16, body: &[u8]) -> Result<T, ApiError> {
        let lost = |what: String| Err(ApiError::Lost(what));
        let answer: Answer<T> = match serde_json::from_slice(body) {
            Ok(answer) => answer,
            Err(_) if (300..500).contains(&status) => {
                // Somebody on the way has said no; what Telegram says can be read.
                let what = format!("answered with status {status} and no document of the Bot API");
                return Err(ApiError::Unreachable(what));
            }
            Err(_) => return lost(format!("answered with status {status} and nothing that can be read")),
        };
        if let (true, Some(result)) = (answer.ok, answer.result) {
            return Ok(result);
        }
        let (code, said) = (answer.error_code.unwrap_or(status), self.clean(&answer.description));
        if !(300..500).contains(&code) {
            return lost(format!("{code}: {said}"));
        }
        let wait = answer.parameters.retry_after.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
        let migrated_to = answer.parameters.migrate_to_chat_id;
        Err(ApiError::Refused { code, description: said, retry_after: wait, migrated_to })
    }

    fn clean(&self, text: &str) -> String {
        let token = self.login.token.reveal();
        let text = text.replace(token, "***").replace(token.split_once(':').map_or(token, |(_, secret)| secret), "***");
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_MAX).collect()
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(format!("the answer is longer than {ANSWER_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const TOKEN: &str = "7000000001:AAE-a_token_of_the_tests";

    pub fn api(root: &str) -> Api {
        let login = Login {
            token: Token::parse(TOKEN).unwrap(),
            root: root.to_owned(),
            request_limit: Duration::from_secs(2),
            stall: Duration::from_secs(120),
        };
        Api::new(HttpClients::without_redirects(), login)
    }

    fn judged(status: u16, body: &str) -> Result<Value, ApiError> {
        api("http://127.0.0.1:1").judge(status, body.as_bytes())
    }

    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/golden/channels/telegram/", $name, ".json"))
        };
    }

    #[test]
    fn each_no_of_telegram_is_known_for_what_it_is() {
        let refused = |code, description: &str| ApiError::Refused {
            code,
            description: description.to_owned(),
            retry_after: None,
            migrated_to: None,
        };
        let lost = |text: &str| ApiError::Lost(text.to_owned());
        let unreachable = |text: &str| ApiError::Unreachable(text.to_owned());
        for (status, body, expected) in [
            (400, golden!("error.400-chat-not-found"), refused(400, "Bad Request: chat not found")),
            (401, golden!("error.401-token"), refused(401, "Unauthorized")),
            (403, golden!("error.403-blocked"), refused(403, "Forbidden: bot was blocked by the user")),
            (404, golden!("error.404-path"), refused(404, "Not Found")),
            (500, golden!("error.500"), lost("500: Internal Server Error")),
            (502, golden!("error.502"), lost("502: Bad Gateway")),
            (502, "<html>502</html>", lost("answered with status 502 and nothing that can be read")),
            (200, "{\"ok\":tr", lost("answered with status 200 and nothing that can be read")),
            (302, "", unreachable("answered with status 302 and no document of the Bot API")),
            (404, "<html>", unreachable("answered with status 404 and no document of the Bot API")),
        ] {
            assert_eq!(judged(status, body), Err(expected), "{body}");
        }
        let busy = judged(429, golden!("error.429")).unwrap_err();
        assert!(matches!(busy, ApiError::Refused { code: 429, retry_after: Some(wait), .. } if wait.as_secs() == 3));
        let moved = judged(400, golden!("error.400-migrated")).unwrap_err();
        assert!(matches!(moved, ApiError::Refused { migrated_to: Some(-1_001_234_567_890), .. }));
        for (body, words) in [
            (golden!("error.400-parse"), "can't parse entities"),
            (golden!("error.400-thread"), "message thread not found"),
            (golden!("error.409-conflict"), "terminated by other getupdates"),
            (golden!("error.409-webhook"), "webhook is active"),
        ] {
            assert!(judged(400, body).unwrap_err().says(words), "{words}");
        }
        assert!(judged(401, golden!("error.401-token")).unwrap_err().is_final());
        assert!(!busy.is_final());
        assert_eq!(judged(200, golden!("getMe.ok")).unwrap()["username"], "clawd_test_bot");
    }

    #[test]
    fn the_token_is_in_no_text() {
        let body = format!("{{\"ok\":false,\"error_code\":404,\"description\":\"no /bot{TOKEN}/x\\u0007\"}}");
        let error = judged(404, &body).unwrap_err();
        assert_eq!(error.to_string(), "404: no /bot***/x ");
        assert!(!format!("{:?}", api("http://127.0.0.1:1")).contains("AAE"));
        for bad in ["", "7", "7:", ":x", "7:a/b", "7:a b", "x7:a", "7:a?b", "7:a#b"] {
            let error = Token::parse(bad).unwrap_err();
            assert!(!error.contains("a/b"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_from_an_answer_that_is_lost() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", nobody.local_addr().unwrap());
        let silent = api(&root).call_within::<Value>("getMe", &Value::Null, Duration::from_millis(200)).await;
        assert!(matches!(&silent, Err(ApiError::Lost(why)) if why.contains("no answer within")), "{silent:?}");
        drop(nobody);
        let closed = api(&root).call::<Value>("getMe", &Value::Null).await;
        let Err(ApiError::Unreachable(why)) = closed else { panic!("{closed:?}") };
        assert!(!why.contains("AAE"), "{why}");
    }
}
