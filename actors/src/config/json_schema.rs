//! The key tree as JSON Schema (draft-07) with hints, for editors and the control panel.
//!
//! Says what a type says; rules between keys are not in it.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::effect;
use super::redact;
use super::schema::{self, Bounds, Kind, Node};

/// The JSON Schema of a whole configuration.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = of(schema::root());
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema["title"] = json!("OpenClaw configuration");
        schema
    });
    &SCHEMA
}

/// Hints by path of the key tree: `label`, and `sensitive` and `advanced` where they hold.
pub fn hints() -> &'static Value {
    static HINTS: LazyLock<Value> = LazyLock::new(|| {
        let mut hints = Map::new();
        collect(schema::root(), &mut Vec::new(), &mut hints);
        Value::Object(hints)
    });
    &HINTS
}

fn collect(node: &Node, at: &mut Vec<String>, hints: &mut Map<String, Value>) {
    if !at.is_empty() {
        hints.insert(pattern(at), hint(at, node));
    }
    for (key, child) in steps(node) {
        at.push(key.to_owned());
        collect(child, at, hints);
        at.pop();
    }
}

/// The keys below a node, with `*` and `[]` for maps and lists.
fn steps(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let fields = node.fields.iter().map(|(key, child)| (*key, &**child));
    let rest = node.rest.iter().filter(|rest| !rest.kinds.is_empty()).map(|rest| ("*", &**rest));
    fields.chain(rest).chain(node.items.iter().map(|items| ("[]", &**items)))
}

fn pattern(at: &[String]) -> String {
    at.join(".").replace(".[]", "[]")
}

fn hint(at: &[String], node: &Node) -> Value {
    let mut hint = json!({ "label": label(at) });
    if node.is_secret() || redact::is_sensitive(at) {
        hint["sensitive"] = json!(true);
    }
    if !is_in_effect(at) {
        hint["advanced"] = json!(true);
        hint["help"] = json!(effect::NOT_IN_EFFECT);
    }
    hint
}

/// Does the key, or anything below it, do something in this release?
fn is_in_effect(at: &[String]) -> bool {
    let path = pattern(at);
    effect::IN_SETTINGS.iter().any(|row| {
        let (short, long) = if row.len() < path.len() { (*row, path.as_str()) } else { (path.as_str(), *row) };
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// `debounceMs` as `Debounce ms`.
fn label(at: &[String]) -> String {
    let key = at.iter().rev().find(|key| *key != "[]" && *key != "*").map_or("", String::as_str);
    let mut words = String::new();
    for c in key.chars() {
        match c {
            c if words.is_empty() => words.extend(c.to_uppercase()),
            c if c.is_uppercase() => words.extend([' '].into_iter().chain(c.to_lowercase())),
            c => words.push(c),
        }
    }
    words
}

fn of(node: &Node) -> Value {
    let mut options: Vec<Value> = Vec::new();
    let literals: Vec<Value> = node.kinds.iter().filter_map(literal).collect();
    if !literals.is_empty() {
        options.push(json!({ "enum": literals }));
    }
    options.extend(node.kinds.iter().filter(|kind| literal(kind).is_none()).map(|kind| of_kind(node, kind)));
    let mut schema = if options.len() == 1 { options.remove(0) } else { json!({ "anyOf": options }) };
    if let Some(default) = node.default_value() {
        schema["default"] = default;
    }
    schema
}

fn literal(kind: &Kind) -> Option<Value> {
    match kind {
        Kind::Literal(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn of_kind(node: &Node, kind: &Kind) -> Value {
    let mut schema = match kind {
        Kind::Any | Kind::Literal(_) | Kind::Link(_) => json!({}),
        Kind::Free => json!({ "type": "object", "additionalProperties": true }),
        Kind::Object => object(node),
        Kind::Array => json!({ "type": "array", "items": node.items.as_deref().map_or_else(|| json!({}), of) }),
        Kind::String => json!({ "type": "string" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Secret => secret(),
    };
    if let Some(limits) = schema.as_object_mut().filter(|_| !matches!(kind, Kind::Object | Kind::Free | Kind::Any)) {
        limits.extend(node.bounds.iter().flat_map(|limits| bounds(limits)));
    }
    schema
}

fn object(node: &Node) -> Value {
    let mut schema = json!({ "type": "object" });
    if !node.fields.is_empty() {
        let properties: Map<String, Value> =
            node.fields.iter().map(|(key, child)| ((*key).to_owned(), of(child))).collect();
        schema["properties"] = Value::Object(properties);
    }
    let required: Vec<&&str> = node.fields.iter().filter(|(_, child)| child.required).map(|(key, _)| key).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = match &node.rest {
        Some(rest) if !rest.kinds.is_empty() => of(rest),
        _ => json!(!node.is_strict()),
    };
    schema
}

fn secret() -> Value {
    let reference = json!({
        "type": "object",
        "properties": {
            "source": { "enum": ["env", "file", "exec"] },
            "provider": { "type": "string" },
            "id": { "type": "string" },
        },
        "required": ["source", "id"],
        "additionalProperties": false,
    });
    json!({ "anyOf": [{ "type": "string" }, reference] })
}

fn bounds(bounds: &Bounds) -> Map<String, Value> {
    let number = |n: f64| if n.fract() == 0.0 { json!(n as i64) } else { json!(n) };
    let entries = [
        ("minimum", bounds.min.map(number)),
        ("maximum", bounds.max.map(number)),
        ("exclusiveMinimum", bounds.gt.map(number)),
        ("minLength", bounds.min_length.map(|n| json!(n))),
        ("minItems", bounds.min_items.map(|n| json!(n))),
        ("maxItems", bounds.max_items.map(|n| json!(n))),
        ("pattern", bounds.pattern.as_ref().map(|p| json!(p))),
    ];
    entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// One place of the schema with its children: `{path, schema, hint, hintPath, children}`. `None`: no such key.
///
/// `path` may use keys, indexes, `*`, `[]` and, between them, dots or slashes. The schema of an object leaves its properties out.
pub fn lookup(path: &str) -> Option<Value> {
    let dotted = path.replace('/', ".").replace("[]", ".*").replace('[', ".").replace(']', "");
    let written: Vec<&str> = dotted.split('.').filter(|key| !key.is_empty()).collect();
    let mut node = schema::root();
    let mut at: Vec<String> = Vec::new();
    for key in written {
        let is_element = node.items.is_some() && (key == "*" || key.parse::<usize>().is_ok());
        let field = node.fields.contains_key(key);
        at.push(
            if is_element {
                "[]"
            } else if field {
                key
            } else {
                "*"
            }
            .to_owned(),
        );
        node = if is_element { node.items.as_deref()? } else { node.child(key)? };
    }
    let mut shallow = of(node);
    if let Some(object) = shallow.as_object_mut() {
        object.remove("properties");
    }
    let children: Vec<Value> = steps(node).map(|(key, child)| child_entry(path, &at, key, child)).collect();
    let mut found = json!({ "path": path, "schema": shallow, "children": children });
    if !at.is_empty() {
        found["hint"] = hint(&at, node);
        found["hintPath"] = json!(pattern(&at));
    }
    Some(found)
}

fn child_entry(parent: &str, at: &[String], key: &str, node: &Node) -> Value {
    let mut below = at.to_vec();
    below.push(key.to_owned());
    let path = match (parent.is_empty(), key) {
        (true, key) => key.to_owned(),
        (false, "[]") => format!("{parent}[]"),
        (false, key) => format!("{parent}.{key}"),
    };
    let mut entry = json!({
        "key": key, "path": path, "required": node.required, "hasChildren": steps(node).next().is_some(),
        "hint": hint(&below, node), "hintPath": pattern(&below),
    });
    if let Some(kind) = of(node).get("type") {
        entry["type"] = kind.clone();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_the_table_says() {
        let at = |pointer: &str| schema().pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(at("/$schema"), "http://json-schema.org/draft-07/schema#");
        assert_eq!(at("/additionalProperties"), false);
        let port = json!({ "type": "integer", "exclusiveMinimum": 0, "maximum": 65535, "default": 18789 });
        assert_eq!(*at("/properties/gateway/properties/port"), port);
        let mode = json!({ "enum": ["off", "restart", "hot", "hybrid"], "default": "hybrid" });
        assert_eq!(*at("/properties/gateway/properties/reload/properties/mode"), mode);
        assert_eq!(at("/properties/gateway/properties/auth/properties/token/anyOf/0/type"), "string");
        let provider = at("/properties/models/properties/providers/additionalProperties");
        assert_eq!(provider["required"], json!(["baseUrl"]));
        assert_eq!(provider["properties"]["models"]["items"]["properties"]["id"]["minLength"], 1);
    }

    #[test]
    fn hints_mark_secrets_and_what_has_no_effect() {
        let hint = |path: &str| &hints()[path];
        assert_eq!(*hint("gateway.auth.token"), json!({ "label": "Token", "sensitive": true }));
        assert_eq!(hint("models.providers.*.models[].id")["label"], "Id");
        assert_eq!(hint("gateway.reload.debounceMs")["label"], "Debounce ms");
        assert_eq!(hint("channels.telegram")["advanced"], true);
        assert_eq!(hint("gateway")["advanced"], Value::Null);
    }

    #[test]
    fn one_place_is_found_with_its_children() {
        let found = lookup("agents.list[].identity").unwrap();
        assert_eq!(found["hintPath"], "agents.list[].identity");
        let names: Vec<&str> =
            found["children"].as_array().unwrap().iter().map(|c| c["key"].as_str().unwrap()).collect();
        assert_eq!(names, ["avatar", "emoji", "name", "theme"]);
        assert_eq!(found["children"][0]["path"], "agents.list[].identity.avatar");
        for path in
            ["agents.list.0.id", "agents/list/0/id", "agents.list[0].id", "agents.list[].id", "agents.list.*.id"]
        {
            assert_eq!(lookup(path).unwrap()["hintPath"], "agents.list[].id", "{path}");
        }
        let list = lookup("agents.list").unwrap();
        assert_eq!(
            (&list["children"][0]["path"], &list["children"][0]["hasChildren"]),
            (&json!("agents.list[]"), &json!(true))
        );
        assert_eq!(lookup("agents.list[]").unwrap()["hintPath"], "agents.list[]");
        assert_eq!(lookup("models.providers.x.apiKey").unwrap()["hintPath"], "models.providers.*.apiKey");
        assert!(lookup("").unwrap()["children"].as_array().unwrap().len() > 30);
        assert!(lookup("gateway.nothing").is_none());
    }
}
