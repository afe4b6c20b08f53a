//! Long polling: asks for updates, keeps them, asks for those after them.
//!
//! Invariant: an update is confirmed, by asking for those after it, only when it is on disk. Whatever passes by itself (no
//! network, a busy server, another poll) is waited for in here, however long it takes; only a token that is not taken and a
//! store that does not keep what was heard end the line.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::line::{End, Line};
use super::api::{Api, ApiError};
use super::update::Bot;
use super::{ID, inbound, settings};
use crate::model::http::HttpClients;
use crate::run::stream::now_ms;
use crate::store::spool::{EventState, SpoolRow};

/// Longest time that Telegram holds a poll for which it has nothing.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// Updates of one answer.
const BATCH: u32 = 100;
/// Pause after something went wrong; doubles up to its maximum.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Between two polls of a server that does not hold them.
const PACE: Duration = Duration::from_millis(200);
/// What Telegram sends; the rest it keeps to itself.
const ALLOWED: [&str; 6] =
    ["message", "edited_message", "channel_post", "callback_query", "message_reaction", "my_chat_member"];

/// How far the updates are read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cursor {
    version: u8,
    last_update_id: i64,
    /// The numbers of another bot mean nothing to this one.
    bot_id: String,
}

/// Why a step did not succeed.
enum Trouble {
    /// It is taken again, after this pause or the next one of the row.
    Wait {
        why: String,
        after: Option<Duration>,
    },
    End(End),
}

struct Poll {
    api: Api,
    line: Line,
    /// Known when Telegram has been greeted.
    bot: Option<Bot>,
    /// Of the first update that is not confirmed.
    offset: Option<i64>,
    last_poll: Instant,
}

pub async fn listen(line: Line) -> End {
    let login = match settings::login(&line.snapshot(), line.account()) {
        Ok(login) => login,
        Err(problem) => return End::Refused(problem),
    };
    let api = Api::new(HttpClients::without_redirects(), login);
    let mut poll = Poll { api, line, bot: None, offset: None, last_poll: Instant::now() };
    let mut pause = PAUSE;
    loop {
        match poll.step().await {
            Ok(()) => pause = PAUSE,
            Err(Trouble::End(end)) => return end,
            Err(Trouble::Wait { why, after }) => {
                let delay = after.unwrap_or(pause);
                tracing::warn!(account = poll.line.account(), delay_ms = delay.as_millis(), "telegram: {why}");
                poll.line.is_down(&why);
                tokio::time::sleep(delay).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        poll.look_for_a_stall();
    }
}

impl Poll {
    async fn step(&mut self) -> Result<(), Trouble> {
        let Some(bot) = self.bot.clone() else { return self.greet().await };
        let started = Instant::now();
        let heard: Vec<Box<RawValue>> = match self.get_updates().await {
            Ok(heard) => heard,
            Err(error) => return Err(self.trouble("getUpdates", &error)),
        };
        self.last_poll = Instant::now();
        self.line.is_alive();
        if heard.is_empty() {
            tokio::time::sleep(PACE.saturating_sub(started.elapsed())).await;
            return Ok(());
        }
        self.keep(&bot, &heard).await
    }

    /// Who are we, and is it us whom Telegram tells?
    async fn greet(&mut self) -> Result<(), Trouble> {
        let me: Result<Bot, ApiError> = self.api.call("getMe", &json!({})).await;
        let bot = me.map_err(|error| self.trouble("getMe", &error))?;
        let dropped: Result<Value, ApiError> = self.api.call("deleteWebhook", &json!({})).await;
        if let Err(error) = dropped {
            tracing::warn!(account = self.line.account(), "telegram: deleteWebhook failed: {error}");
        }
        let stored = self.line.cursor().await.map_err(|error| lost(&error))?;
        let cursor: Option<Cursor> = stored.and_then(|text| serde_json::from_str(&text).ok());
        let own = cursor.filter(|cursor| cursor.bot_id == self.api.login().token.bot_id());
        self.offset = own.map(|cursor| cursor.last_update_id + 1);
        self.line.is_known_as(&bot.username);
        tracing::info!(account = self.line.account(), "telegram: polling as @{}", bot.username);
        self.bot = Some(bot);
        Ok(())
    }

    async fn get_updates(&self) -> Result<Vec<Box<RawValue>>, ApiError> {
        let hold = HOLD_MAX.min(self.api.login().request_limit);
        let mut params = json!({ "timeout": hold.as_secs(), "limit": BATCH, "allowed_updates": ALLOWED });
        if let Some(offset) = self.offset {
            params["offset"] = json!(offset);
        }
        self.api.call_within("getUpdates", &params, hold.mul_f64(1.5)).await
    }

    /// What the next poll confirms follows from these alone: after a week of silence Telegram counts anew.
    async fn keep(&mut self, bot: &Bot, heard: &[Box<RawValue>]) -> Result<(), Trouble> {
        let (mut rows, mut last) = (Vec::new(), None);
        for update in heard {
            match inbound::event(bot, update) {
                Ok(event) => {
                    last = last.max(Some(event.number));
                    rows.push(self.row(event));
                }
                Err(error) => tracing::error!(account = self.line.account(), error, "an update without a number"),
            }
        }
        let Some(last) = last else {
            return Err(Trouble::Wait { why: "an answer without a single update in it".to_owned(), after: None });
        };
        let bot_id = self.api.login().token.bot_id().to_owned();
        let cursor = json!(Cursor { version: 2, last_update_id: last, bot_id }).to_string();
        self.line.keep(rows, cursor).await.map_err(|error| lost(&error))?;
        self.offset = Some(last + 1);
        Ok(())
    }

    fn row(&self, event: inbound::Event) -> SpoolRow {
        SpoolRow {
            channel: ID.to_owned(),
            account: self.line.account().to_owned(),
            event_key: event.number.to_string(),
            lane: event.lane,
            raw: event.raw,
            received_at: now_ms(),
            state: EventState::Pending,
            attempts: 0,
            outcome: None,
        }
    }

    fn trouble(&mut self, method: &str, error: &ApiError) -> Trouble {
        match error {
            ApiError::Refused { code, .. } if error.is_final() => {
                Trouble::End(End::Refused(format!("{method} returned {code}")))
            }
            ApiError::Refused { code: 409, description, .. } => {
                self.bot = None; // greeted anew: a webhook is taken away
                Trouble::Wait { why: format!("getUpdates conflict: {description}"), after: None }
            }
            ApiError::Refused { code: 429, retry_after, .. } => {
                Trouble::Wait { why: format!("{method}: {error}"), after: *retry_after }
            }
            _ => Trouble::Wait { why: format!("{method}: {error}"), after: None },
        }
    }

    /// Connections on which nothing has come for so long are not used again.
    fn look_for_a_stall(&mut self) {
        let silent = self.last_poll.elapsed();
        if silent < self.api.login().stall {
            return;
        }
        let seconds = silent.as_secs();
        tracing::warn!(account = self.line.account(), "Polling stall detected (no completed poll for {seconds} s)");
        self.api.reconnect();
        self.bot = None;
        self.last_poll = Instant::now();
    }
}

fn lost(error: &dyn std::error::Error) -> Trouble {
    Trouble::End(End::Lost(format!("what was heard could not be kept: {error}")))
}
