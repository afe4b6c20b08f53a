//! Test data made from the key tree: for any row of the table a small file that is valid and not the default.

use serde_json::{Map, Value, json};

use super::schema::{self, Check, Kind, Node, split_pattern};
use super::tree;

/// A minimal configuration that sets the key of a pattern, with the siblings that it needs.
pub fn file_with(pattern: &str) -> Value {
    let parts: Vec<&str> = split_pattern(pattern).collect();
    let mut file = build(schema::root(), &parts);
    if pattern.starts_with("secrets.providers.*.") {
        let field = parts[3];
        let mut provider = match field {
            "source" | "allowlist" => json!({ "source": "env" }),
            "path" | "mode" | "maxBytes" => json!({ "source": "file", "path": "/f" }),
            _ => json!({ "source": "exec", "command": "/c" }),
        };
        if field != "source" {
            provider[field] = file["secrets"]["providers"]["k"][field].take();
        }
        if field == "command" {
            provider[field] = json!("/bin/x");
        }
        file["secrets"]["providers"]["k"] = provider;
    }
    file
}

/// Removes what `file_with` set.
pub fn remove(file: &mut Value, pattern: &str) -> bool {
    tree::remove(file, &keys(pattern)).is_some()
}

/// The keys of `file_with` for a pattern.
pub fn keys(pattern: &str) -> Vec<String> {
    let concrete = |part| match part {
        "*" => "k",
        "[]" => "0",
        key => key,
    };
    split_pattern(pattern).map(|part| concrete(part).to_owned()).collect()
}

fn build(node: &Node, parts: &[&str]) -> Value {
    match parts.split_first() {
        None => sample(node),
        Some((&"[]", rest)) => json!([build(node.items.as_ref().unwrap(), rest)]),
        Some((key, rest)) => {
            let child = if *key == "*" { node.rest.as_deref().unwrap() } else { &node.fields[*key] };
            let mut object = required(node);
            object.insert(if *key == "*" { "k" } else { key }.to_owned(), build(child, rest));
            Value::Object(object)
        }
    }
}

fn required(node: &Node) -> Map<String, Value> {
    node.fields
        .iter()
        .filter(|(_, child)| child.required)
        .map(|(key, child)| ((*key).to_owned(), sample(child)))
        .collect()
}

/// A valid value that is not the default.
pub fn sample(node: &Node) -> Value {
    let literal = |kind: &Kind| match kind {
        Kind::Literal(text) => serde_json::from_str(text).unwrap(),
        _ => json!(true),
    };
    let default = node.default_value();
    let bounds = node.bounds.as_deref().cloned().unwrap_or_default();
    match node.kinds.last().unwrap() {
        last @ Kind::Literal(_) if default != Some(literal(last)) => literal(last),
        Kind::Literal(_) => literal(&node.kinds[0]),
        Kind::Boolean => json!(default != Some(json!(true))),
        Kind::Number | Kind::Integer => {
            let fits = |n: &f64| {
                let b = &bounds;
                b.min.is_none_or(|x| *n >= x) && b.max.is_none_or(|x| *n <= x) && b.gt.is_none_or(|x| *n > x)
            };
            let n = [7.0, 1.0, 0.5].into_iter().chain(bounds.min).find(fits).unwrap();
            if n.fract() == 0.0 { json!(n as i64) } else { json!(n) }
        }
        Kind::String | Kind::Secret | Kind::Any => json!(text(node)),
        Kind::Array if node.path.ends_with(".binds") => json!(["/srv/x:/x"]),
        Kind::Array => json!([sample(node.items.as_ref().unwrap())]),
        Kind::Free | Kind::Link(_) => json!({}),
        Kind::Object => object(node),
    }
}

fn text(node: &Node) -> &'static str {
    match node.check {
        Some(Check::Duration | Check::CronDuration) => "5m",
        Some(Check::Time | Check::EndTime) => "08:00",
        Some(Check::HeartbeatTarget) => "telegram",
        _ if node.bounds.as_ref().is_some_and(|bounds| bounds.pattern.is_some()) => "abcdef",
        _ => "other",
    }
}

/// What an object needs, or one entry of a map.
fn object(node: &Node) -> Value {
    if node.path == "secrets.providers" {
        return json!({ "k": { "source": "env" } });
    }
    let mut object = required(node);
    if node.fields.is_empty()
        && let Some(rest) = &node.rest
    {
        object.insert("k".into(), sample(rest));
    }
    if node.path == "messages.queue.byChannel" {
        object.insert("telegram".into(), sample(&node.fields["telegram"]));
    }
    Value::Object(object)
}
