//! Do a call's arguments fit its tool? A subset of JSON Schema: `type`, `required`, `enum`, `properties`, `items`.
//!
//! Anything else in a schema is documentation for the model. Extra properties are ignored.
//! Source: refusal text of 2026.5.12.

use serde_json::Value;

/// Checks arguments; the error is the whole text for the model.
pub fn validate(tool: &str, schema: &Value, args: &Value) -> Result<(), String> {
    let mut problems = Vec::new();
    check(schema, args, "", &mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    let lines: String = problems.iter().map(|problem| format!("\n  - {problem}")).collect();
    let received = serde_json::to_string_pretty(args).unwrap_or_default(); // a value is always JSON
    Err(format!("Validation failed for tool \"{tool}\":{lines}\n\nReceived arguments:\n{received}"))
}

fn check(schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    let mut complain = |path: &str, text: String| {
        let path = if path.is_empty() { "root" } else { path };
        problems.push(format!("{path}: {text}"));
    };
    let kinds = kinds(schema);
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(kind, value)) {
        return complain(path, format!("must be {}", kinds.join(" or ")));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        complain(path, "must be equal to one of the allowed values".into());
    }
    if let Some(object) = value.as_object() {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name)) {
            // at the top the missing property is the path
            complain(if path.is_empty() { name } else { path }, format!("must have required properties {name}"));
        }
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        for (name, schema) in properties {
            if let Some(value) = object.get(name) {
                check(schema, value, &join(path, name), problems);
            }
        }
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, value) in list.iter().enumerate() {
            check(items, value, &join(path, &index.to_string()), problems);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => true, // a kind that JSON Schema does not have restricts nothing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_refusal_names_what_is_wrong_and_repeats_what_came() {
        let schema = json!({"type": "object", "required": ["command"], "properties": {"command": {"type": "string"}}});
        assert_eq!(
            validate("exec", &schema, &json!({"cmd": "ls"})).unwrap_err(),
            "Validation failed for tool \"exec\":\n  - command: must have required properties command\n\n\
             Received arguments:\n{\n  \"cmd\": \"ls\"\n}"
        );
    }

    #[test]
    fn arguments_are_checked_at_every_depth() {
        let schema = json!({"type": "object", "required": ["path", "edits"], "properties": {
            "path": {"type": "string"},
            "limit": {"type": "integer"},
            "mode": {"enum": ["a", "b"]},
            "any": {"type": ["string", "null"]},
            "edits": {"type": "array", "items": {"type": "object", "required": ["oldText"],
                      "properties": {"oldText": {"type": "string"}}}}}});
        let good = json!({"path": "p", "edits": [{"oldText": ""}]});
        let with = |key: &str, value: Value| {
            let mut args = good.clone();
            args[key] = value;
            args
        };
        for (args, problem) in [
            (good.clone(), None),
            (with("extra", json!([1])), None),
            (with("limit", json!(5.0)), None),
            (with("any", json!(null)), None),
            (with("limit", json!(5.5)), Some("limit: must be integer")),
            (with("limit", json!("5")), Some("limit: must be integer")),
            (with("mode", json!("c")), Some("mode: must be equal to one of the allowed values")),
            (with("any", json!(1)), Some("any: must be string or null")),
            (with("edits", json!([{}])), Some("edits/0: must have required properties oldText")),
            (with("edits", json!([{"oldText": 1}])), Some("edits/0/oldText: must be string")),
            (json!("raw text"), Some("root: must be object")),
            (json!({"path": "p"}), Some("edits: must have required properties edits")),
        ] {
            let text = validate("edit", &schema, &args).err();
            let found =
                text.as_deref().and_then(|text| text.lines().nth(1)).map(|line| line.trim_start_matches("  - "));
            assert_eq!(found, problem, "{args}");
        }
    }
}
