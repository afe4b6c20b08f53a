//! The value that a person typed after `config set`.
//!
//! Without strictness a text that is no JSON5 is that text: nobody quotes `2h` in a shell.

use openclaw_actors::config::parse;
use serde_json::{Value, json};

use crate::cli::exit::Failure;

/// The value of an argument. `strict`: it must be JSON5.
pub fn typed(text: &str, strict: bool) -> Result<Value, Failure> {
    match parse::json5(text) {
        Ok(value) => Ok(value),
        Err(_) if !strict => Ok(Value::String(text.to_owned())),
        Err(error) => Err(Failure::usage(format!("Error: the value is not JSON5: {error}"))),
    }
}

/// A reference to a secret, from its three flags.
pub fn reference(source: &str, provider: Option<&str>, id: &str) -> Value {
    let mut reference = json!({ "source": source });
    if let Some(provider) = provider {
        reference["provider"] = json!(provider);
    }
    reference["id"] = json!(id);
    reference
}

/// One entry of a batch: a path with a value, or with a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    pub path: String,
    pub value: Value,
}

/// `[{"path":"a.b","value":1},{"path":"c","ref":{…}}]`
pub fn batch(text: &str) -> Result<Vec<Assignment>, Failure> {
    let bad = |reason: &str| Failure::usage(format!("Error: batch {reason}"));
    let Ok(Value::Array(entries)) = parse::json5(text) else { return Err(bad("must be a JSON list of {path, value}")) };
    let assignment = |entry: &Value| {
        let path = entry.get("path").and_then(Value::as_str).ok_or_else(|| bad("entry without a path"))?;
        let value = entry.get("value").or_else(|| entry.get("ref"));
        let value = value.ok_or_else(|| bad(&format!("entry \"{path}\" without a value")))?;
        Ok(Assignment { path: path.to_owned(), value: value.clone() })
    };
    entries.iter().map(assignment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_value_is_json5_or_else_a_text() {
        let cases = [
            ("2h", json!("2h")),
            ("18789", json!(18789)),
            ("true", json!(true)),
            ("null", Value::Null),
            ("\"18789\"", json!("18789")),
            ("{a: 1}", json!({ "a": 1 })),
            ("anthropic/claude", json!("anthropic/claude")),
        ];
        for (text, expected) in cases {
            assert_eq!(typed(text, false), Ok(expected), "{text}");
        }
        assert!(typed("2h", true).is_err());
        assert_eq!(typed("'2h'", true), Ok(json!("2h")));
    }

    #[test]
    fn a_batch_names_a_place_and_a_value_each() {
        let parsed = batch("[{path: 'a.b', value: 1}, {path: 'c', ref: {source: 'env', id: 'X'}}]").unwrap();
        assert_eq!(parsed[0], Assignment { path: "a.b".into(), value: json!(1) });
        assert_eq!(parsed[1].value, json!({ "source": "env", "id": "X" }));
        for bad in ["{}", "[{value: 1}]", "[{path: 'a'}]", "["] {
            assert!(batch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reference_names_its_provider_only_if_given() {
        assert_eq!(reference("env", None, "X"), json!({ "source": "env", "id": "X" }));
        assert_eq!(reference("file", Some("f"), "/x"), json!({ "source": "file", "provider": "f", "id": "/x" }));
    }
}
