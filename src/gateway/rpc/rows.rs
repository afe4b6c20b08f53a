//! What `inbox`, `outbox` and `spool` have in common: lists of rows, each with an id, a state and a text.

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params, invalid};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Reply};

/// Rows of one list.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 500;
/// Characters of a text that a list shows.
pub const SHOWN_CHARS: usize = 120;

/// The row that something is done with.
#[derive(Deserialize)]
pub struct One {
    pub id: String,
}

impl Params for One {}

pub fn check_limit(limit: Option<u64>) -> Result<(), String> {
    params::range("limit", limit, 1, LIMIT_MAX)
}

pub fn limit(limit: Option<u64>) -> u32 {
    u32::try_from(limit.unwrap_or(LIMIT)).unwrap_or(u32::MAX)
}

/// The state that a list is asked for.
///
/// # Errors
///
/// It is none of `words`.
pub fn state<T>(
    call: &Call,
    word: Option<&str>,
    parse: fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<Option<T>, ErrorShape> {
    let refused = || invalid(call.method, &format!("at /state: must be one of {}", words.join(", ")));
    word.map(|word| parse(word).ok_or_else(refused)).transpose()
}

/// `{items, counts}`.
pub fn page(items: Vec<Value>, counts: Vec<(String, i64)>) -> Reply {
    let counts: Map<String, Value> = counts.into_iter().map(|(state, count)| (state, json!(count))).collect();
    Reply::Value(json!({ "items": items, "counts": counts }))
}

/// There is no such row in the list of this name.
pub fn unknown(list: &str, id: &str) -> ErrorShape {
    ErrorShape::invalid(format!("unknown {list} item {id}; `openclaw {list} list` shows what there is"))
}

/// A text, cut after so many characters.
pub fn cut(text: &str, chars: Option<usize>) -> String {
    match chars {
        Some(chars) if text.chars().count() > chars => text.chars().take(chars).chain(['…']).collect(),
        _ => text.to_owned(),
    }
}
