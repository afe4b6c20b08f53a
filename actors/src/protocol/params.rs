//! Reads the parameters of a call and says what is wrong with them in the words that clients know.
//!
//! Unknown keys are ignored, absent parameters are an empty object, a known key of the wrong type is an error.
//! Source: validation messages of 2026.5.12, as `invalid <method> params: at /key: must be string`.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::ErrorShape;

/// The parameters of one method.
pub trait Params: DeserializeOwned {
    /// What types cannot say: lengths and ranges. The text is without the `invalid … params: ` in front.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Reads and checks the parameters of `method`.
pub fn parse<P: Params>(method: &str, raw: Option<&RawValue>) -> Result<P, ErrorShape> {
    let value = match raw.map(|raw| serde_json::from_str(raw.get())) {
        None | Some(Ok(Value::Null)) => Value::Object(Map::new()),
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(invalid(method, &error.to_string())),
    };
    from_value(method, value)
}

/// Like [`parse`], for parameters that are a value already.
pub fn from_value<P: Params>(method: &str, value: Value) -> Result<P, ErrorShape> {
    let Value::Object(map) = value else {
        return Err(invalid(method, "must be object"));
    };
    let params: P = read(&map).map_err(|reason| invalid(method, &reason))?;
    params.check().map_err(|reason| invalid(method, &reason))?;
    Ok(params)
}

/// The refusal of one call's parameters.
pub fn invalid(method: &str, reason: &str) -> ErrorShape {
    ErrorShape::invalid(format!("invalid {method} params: {reason}"))
}

/// Checks a text's length in characters.
pub fn length(key: &str, text: &str, min: usize, max: usize) -> Result<(), String> {
    let count = text.chars().count();
    if count < min {
        Err(format!("at /{key}: must NOT have fewer than {min} characters"))
    } else if count > max {
        Err(format!("at /{key}: must NOT have more than {max} characters"))
    } else {
        Ok(())
    }
}

/// Checks that a number, if it is there, lies in a range.
pub fn range(key: &str, number: Option<u64>, min: u64, max: u64) -> Result<(), String> {
    match number {
        Some(n) if n < min => Err(format!("at /{key}: must be >= {min}")),
        Some(n) if n > max => Err(format!("at /{key}: must be <= {max}")),
        _ => Ok(()),
    }
}

fn read<P: DeserializeOwned>(map: &Map<String, Value>) -> Result<P, String> {
    let attempt = |map: &Map<String, Value>| P::deserialize(&Value::Object(map.clone()));
    let error = match attempt(map) {
        Ok(params) => return Ok(params),
        Err(error) => error.to_string(),
    };
    if let Some(name) = missing_field(&error) {
        return Err(format!("must have required property '{name}'"));
    }
    // serde does not say which key it stumbled over: it is the one without which that complaint is gone
    let culprit = map.keys().find(|key| {
        let mut without = map.clone();
        without.shift_remove(*key);
        attempt(&without).err().is_none_or(|next| next.to_string() != error)
    });
    Err(format!("at /{}: {}", culprit.map_or("", String::as_str), expectation(&error)))
}

fn missing_field(error: &str) -> Option<&str> {
    error.strip_prefix("missing field `")?.split('`').next()
}

/// serde's complaint in the words of the contract.
fn expectation(error: &str) -> String {
    if error.starts_with("unknown variant") {
        return "must be equal to one of the allowed values".into();
    }
    if error.starts_with("invalid value: integer `-") {
        return "must be >= 0".into();
    }
    let expected = error.rsplit_once("expected ").map_or("", |(_, expected)| expected);
    let kind = match expected {
        "a string" | "string" => "string",
        "a boolean" => "boolean",
        "a sequence" => "array",
        "a map" => "object",
        number if number.starts_with(['u', 'i']) && number[1..].parse::<u8>().is_ok() => "integer",
        "f64" => "number",
        structure if structure.starts_with("struct ") => "object",
        _ => return error.to_owned(),
    };
    format!("must be {kind}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        session_key: String,
        #[serde(default)]
        limit: Option<u64>,
        #[serde(default)]
        deliver: Option<bool>,
        #[serde(default)]
        keys: Vec<String>,
        #[serde(default)]
        reason: Option<Reason>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Reason {
        New,
    }

    impl Params for Sample {
        fn check(&self) -> Result<(), String> {
            length("sessionKey", &self.session_key, 1, 8)?;
            range("limit", self.limit, 1, 10)
        }
    }

    fn refusal(params: Value) -> String {
        from_value::<Sample>("x.y", params).unwrap_err().message
    }

    #[test]
    fn what_is_wrong_is_said_with_its_path() {
        for (params, text) in [
            (json!({}), "must have required property 'sessionKey'"),
            (json!([]), "must be object"),
            (json!({"sessionKey": 5}), "at /sessionKey: must be string"),
            (json!({"sessionKey": "a", "limit": "5"}), "at /limit: must be integer"),
            (json!({"sessionKey": "a", "limit": -5}), "at /limit: must be >= 0"),
            (json!({"sessionKey": "a", "limit": 11}), "at /limit: must be <= 10"),
            (json!({"sessionKey": "a", "deliver": 1}), "at /deliver: must be boolean"),
            (json!({"sessionKey": "a", "keys": "b"}), "at /keys: must be array"),
            (json!({"sessionKey": "a", "keys": [1]}), "at /keys: must be string"),
            (json!({"sessionKey": "a", "reason": "old"}), "at /reason: must be equal to one of the allowed values"),
            (json!({"sessionKey": ""}), "at /sessionKey: must NOT have fewer than 1 characters"),
            (json!({"sessionKey": "123456789"}), "at /sessionKey: must NOT have more than 8 characters"),
        ] {
            assert_eq!(refusal(params), format!("invalid x.y params: {text}"));
        }
    }

    #[test]
    fn unknown_keys_and_absent_parameters_are_no_errors() {
        let params: Sample =
            from_value("x.y", json!({"sessionKey": "a", "future": 1, "limit": null, "reason": "new"})).unwrap();
        assert_eq!((params.session_key.as_str(), params.limit, params.deliver), ("a", None, None));
        assert!(params.keys.is_empty() && matches!(params.reason, Some(Reason::New)));
        assert_eq!(
            parse::<Sample>("x.y", None).unwrap_err().message,
            "invalid x.y params: must have required property 'sessionKey'"
        );
    }
}
