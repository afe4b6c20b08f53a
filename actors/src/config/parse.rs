//! JSON5 text to a value, with what JSON5 allows and a configuration must not have refused.
//!
//! Deserialised by `json5`. Depth is bounded here, because that crate recurses without a limit of its own.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::issue::{Issue, IssueCode, ROOT};

/// Largest file that is read, bytes.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deepest nesting of objects and arrays.
pub const DEPTH_MAX: usize = 128;
/// Largest magnitude up to which a number without a fraction is an integer, as in JavaScript.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Keys that reach into a JavaScript prototype; refused in files, dropped in patches.
pub fn is_forbidden_key(key: &str) -> bool {
    matches!(key, "__proto__" | "prototype" | "constructor")
}

/// Reads a regular file as text; a device or pipe could keep us waiting or never end. `Err` says why it cannot be read.
pub fn read_regular(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    decode(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("file is larger than {} MiB", BYTES_MAX / 1024 / 1024));
    }
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

/// A whole configuration: its root must be an object.
pub fn config(text: &str) -> Result<Value, Issue> {
    let refused = |error: SyntaxError| {
        let mut issue = Issue::at(IssueCode::Parse, ROOT, error.to_string());
        issue.position = Some((error.line, error.column));
        issue
    };
    match json5(text).map_err(refused)? {
        object @ Value::Object(_) => Ok(object),
        _ => Err(refused(SyntaxError { what: "root must be an object".into(), line: 1, column: 1 })),
    }
}

/// What is wrong with a text, and where; line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("JSON5 parse failed: {what} at {line}:{column}")]
pub struct SyntaxError {
    pub what: String,
    pub line: u32,
    pub column: u32,
}

/// Any JSON5 value; a byte order mark is skipped. Of duplicate keys the last one counts.
pub fn json5(text: &str) -> Result<Value, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json5::from_str::<Document>(text).map(|document| document.0).map_err(|error| locate(&error, text))
}

/// The crate leaves the position out at the end of the text, or gives that of the enclosing brace.
fn locate(error: &json5::Error, text: &str) -> SyntaxError {
    let what = match (error.code(), error.position()) {
        (Some(code), _) => code.to_string(),
        (None, Some(position)) => error.to_string().replace(&format!(" at {position}"), ""),
        (None, None) => error.to_string(),
    };
    let at_end = || json5::Position::from_offset(text.len(), text);
    let position = error.position().filter(|_| !what.starts_with("EOF")).unwrap_or_else(at_end);
    let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    SyntaxError { what, line: count(position.line), column: count(position.column) }
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Strict { depth: 0 }.deserialize(deserializer).map(Self)
    }
}

/// Builds a value and refuses depth, forbidden keys and numbers without a value.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nesting is deeper than {DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() <= INTEGER_MAX {
            return Ok((value as i64).into());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("Infinity and NaN are not values"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if is_forbidden_key(&key) {
                return Err(A::Error::custom(format!("key \"{key}\" is not allowed")));
            }
            object.insert(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json5_reads_what_people_write() {
        let text = "\u{feff}{ a: 0x10, 'b': +.5, \"c\": 5., d: [1e3, -7,], // c\n e: 'x\\\ny', f: null, a: 2 }";
        let expected = json!({ "a": 2, "b": 0.5, "c": 5, "d": [1000, -7], "e": "xy", "f": null });
        assert_eq!(json5(text).unwrap(), expected);
    }

    fn check(text: &str, message: &str) {
        assert_eq!(config(text).unwrap_err().to_string(), message, "{text:?}");
    }

    #[test]
    fn syntax_errors_say_what_and_where() {
        check("{ gateway: { port: 1 \n", "<root>: JSON5 parse failed: EOF parsing object at 2:1");
        check("{ a: 1 b: 2 }", "<root>: JSON5 parse failed: expected comma at 1:8");
        check("{ a: 1 } }", "<root>: JSON5 parse failed: trailing characters at 1:10");
        check("", "<root>: JSON5 parse failed: EOF parsing value at 1:1");
        check("[1]", "<root>: JSON5 parse failed: root must be an object at 1:1");
    }

    #[test]
    fn values_that_cannot_be_settings_are_refused() {
        for text in ["{ a: Infinity }", "{ a: -Infinity }", "{ a: NaN }"] {
            let message = config(text).unwrap_err().message;
            assert!(message.starts_with("JSON5 parse failed: Infinity and NaN are not values at 1:"), "{message}");
        }
        for key in ["__proto__", "prototype", "constructor"] {
            let message = config(&format!("{{ a: {{ {key}: 1 }} }}")).unwrap_err().message;
            assert!(message.contains(&format!("key \"{key}\" is not allowed")), "{message}");
        }
    }

    #[test]
    fn depth_is_bounded_instead_of_ending_the_process() {
        let deep = "[".repeat(200_000);
        assert!(json5(&deep).unwrap_err().what.contains("nesting is deeper than 128"));
        let fits = format!("{{a:{}{}}}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1));
        assert!(config(&fits).is_ok());
    }

    #[test]
    fn size_and_encoding_are_checked_before_the_syntax() {
        assert_eq!(decode(vec![b' '; BYTES_MAX + 1]).unwrap_err(), "file is larger than 8 MiB");
        assert_eq!(decode(vec![b'{', 0xff]).unwrap_err(), "not UTF-8 at byte 1");
    }
}
