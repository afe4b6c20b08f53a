//! `config schema`: every known key as JSON Schema, made from the table that validates.

use clap::Args;
use openclaw_actors::config::schema::{self, Kind, Node};
use serde_json::{Map, Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};

/// Print the JSON Schema of the configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config schema > openclaw.schema.json")]
pub struct SchemaArgs {
    /// Always so; accepted because scripts pass it
    #[arg(long)]
    pub json: bool,
}

pub fn run(_args: &SchemaArgs, context: &Context) -> Outcome {
    let mut document = of(schema::root());
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document["title"] = json!("OpenClaw configuration");
    context.output.json(&document)?;
    Ok(Exit::Done)
}

/// The schema of one node and everything below it.
fn of(node: &Node) -> Value {
    let literals: Vec<&Value> =
        node.kinds.iter().filter_map(|kind| if let Kind::Literal(value) = kind { Some(value) } else { None }).collect();
    let mut options: Vec<Value> = node.kinds.iter().filter_map(|kind| option(kind, node)).collect();
    if !literals.is_empty() {
        options.push(json!({ "enum": literals }));
    }
    let mut schema = match options.len() {
        0 => json!({}),
        1 => options.remove(0),
        _ => json!({ "anyOf": options }),
    };
    if let Some(default) = &node.default {
        schema["default"] = default.clone();
    }
    schema
}

fn option(kind: &Kind, node: &Node) -> Option<Value> {
    let bounds = &node.bounds;
    let mut schema = match kind {
        Kind::Any | Kind::Literal(_) | Kind::Link(_) => return None,
        Kind::Object => object(node),
        Kind::Free => json!({ "type": "object" }),
        Kind::Array => array(node),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string", "minLength": bounds.min_length, "pattern": bounds.pattern }),
        Kind::Secret => json!({ "anyOf": [{ "type": "string" }, secret()] }),
        Kind::Number => number("number", node),
        Kind::Integer => number("integer", node),
    };
    if let Some(object) = schema.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    Some(schema)
}

fn object(node: &Node) -> Value {
    let properties: Map<String, Value> = node.fields.iter().map(|(key, child)| (key.clone(), of(child))).collect();
    let required: Vec<&String> = node.fields.iter().filter(|(_, child)| child.required).map(|(key, _)| key).collect();
    let rest = match &node.rest {
        Some(rest) => of(rest),
        None => json!(!node.is_strict()),
    };
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": rest });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn array(node: &Node) -> Value {
    json!({
        "type": "array",
        "items": node.items.as_deref().map(of),
        "minItems": node.bounds.min_items,
        "maxItems": node.bounds.max_items,
    })
}

fn number(kind: &str, node: &Node) -> Value {
    let bounds = &node.bounds;
    json!({ "type": kind, "minimum": bounds.min, "maximum": bounds.max, "exclusiveMinimum": bounds.gt })
}

fn secret() -> Value {
    json!({
        "type": "object",
        "properties": {
            "source": { "enum": ["env", "file", "exec"] },
            "provider": { "type": "string" },
            "id": { "type": "string" },
        },
        "required": ["source", "id"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_have_their_type_and_unknown_ones_are_refused() {
        let schema = of(schema::root());
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(at("/properties/gateway/properties/port/type"), json!("integer"));
        assert_eq!(at("/properties/gateway/additionalProperties"), json!(false));
        assert_eq!(at("/properties/models/properties/providers/additionalProperties/type"), json!("object"));
        assert!(at("/properties/agents/properties/list/items/properties/id").is_object());
        assert!(at("/properties/gateway/properties/auth/properties/token/anyOf").is_array());
    }
}
