//! The way people write a place in the configuration: `a.b`, `a[0].b`, `a["key.with.dots"]`, `agents.list[id=ops]`.

use serde_json::Value;

use super::issue::KeyPath;
use super::parse::is_forbidden_key;
use super::tree;

/// Why a path is none. The text goes to the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathSyntaxError {
    #[error("config path is empty")]
    Empty,
    #[error("config path \"{0}\" has an empty key")]
    EmptyKey(String),
    #[error("config path \"{0}\" has an unclosed bracket")]
    Unclosed(String),
    #[error("config path \"{path}\": nothing in the list has {key}={value}")]
    NoSuchElement { path: String, key: String, value: String },
    #[error("config path \"{path}\": key \"{key}\" is not allowed")]
    Forbidden { path: String, key: String },
}

/// The keys of a written path. `[key=value]` looks for the element of `config` whose `key` is that text.
pub fn parse(path: &str, config: &Value) -> Result<KeyPath, PathSyntaxError> {
    let mut keys = KeyPath::new();
    let mut rest = path.trim();
    if rest.is_empty() {
        return Err(PathSyntaxError::Empty);
    }
    while !rest.is_empty() {
        let key = if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = bracket(after).ok_or_else(|| PathSyntaxError::Unclosed(path.to_owned()))?;
            rest = after.strip_prefix('.').unwrap_or(after);
            element(&inside, &keys, path, config)?
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            rest = after.strip_prefix('.').unwrap_or(after);
            if after == "." {
                return Err(PathSyntaxError::EmptyKey(path.to_owned()));
            }
            key.to_owned()
        };
        if key.is_empty() {
            return Err(PathSyntaxError::EmptyKey(path.to_owned()));
        }
        if is_forbidden_key(&key) {
            return Err(PathSyntaxError::Forbidden { path: path.to_owned(), key });
        }
        keys.push(key);
    }
    Ok(keys)
}

/// What a bracket holds.
enum Bracket {
    Key(String),
    Search { key: String, value: String },
}

/// Reads up to the closing bracket; the opening one is gone.
fn bracket(text: &str) -> Option<(Bracket, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| *c == '"' || *c == '\'') {
        let (key, after) = text[1..].split_once(quote)?;
        return Some((Bracket::Key(key.to_owned()), after.strip_prefix(']')?));
    }
    let (inside, after) = text.split_once(']')?;
    let inside = match inside.split_once('=') {
        Some((key, value)) => Bracket::Search { key: key.trim().to_owned(), value: unquoted(value.trim()).to_owned() },
        None => Bracket::Key(inside.trim().to_owned()),
    };
    Some((inside, after))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn element(bracket: &Bracket, keys: &[String], path: &str, config: &Value) -> Result<String, PathSyntaxError> {
    let (key, value) = match bracket {
        Bracket::Key(key) => return Ok(key.clone()),
        Bracket::Search { key, value } => (key, value),
    };
    let list = tree::get(config, keys).and_then(Value::as_array);
    let index = list.and_then(|list| list.iter().position(|item| item.get(key).and_then(Value::as_str) == Some(value)));
    index.map(|index| index.to_string()).ok_or_else(|| PathSyntaxError::NoSuchElement {
        path: path.to_owned(),
        key: key.clone(),
        value: value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: Result<&[&str], &str>) {
        let config = json!({ "agents": { "list": [{ "id": "main" }, { "id": "ops" }] } });
        let got = parse(path, &config).map_err(|error| error.to_string());
        assert_eq!(got, expected.map(|k| k.iter().map(|k| (*k).to_owned()).collect()).map_err(str::to_owned), "{path}");
    }

    #[test]
    fn paths_have_dots_indexes_quotes_and_searches() {
        check("gateway.port", Ok(&["gateway", "port"]));
        check("agents.list[1].id", Ok(&["agents", "list", "1", "id"]));
        check("agents.list.1", Ok(&["agents", "list", "1"]));
        check("a[\"key.with.dots\"].b", Ok(&["a", "key.with.dots", "b"]));
        check("['a']['b']", Ok(&["a", "b"]));
        check("agents.list[id=ops].name", Ok(&["agents", "list", "1", "name"]));
        check("agents.list[id=\"ops\"]", Ok(&["agents", "list", "1"]));
    }

    #[test]
    fn wrong_paths_say_why() {
        check("", Err("config path is empty"));
        check("a..b", Err("config path \"a..b\" has an empty key"));
        check("a.", Err("config path \"a.\" has an empty key"));
        check(".a", Err("config path \".a\" has an empty key"));
        check("a[0", Err("config path \"a[0\" has an unclosed bracket"));
        check("a[\"b", Err("config path \"a[\"b\" has an unclosed bracket"));
        check("agents.list[id=x]", Err("config path \"agents.list[id=x]\": nothing in the list has id=x"));
        check("a.__proto__.b", Err("config path \"a.__proto__.b\": key \"__proto__\" is not allowed"));
    }
}
