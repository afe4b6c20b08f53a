//! What a configuration becomes: merge patches and single changes, on values. The text follows in `edit.rs`.

use serde_json::{Map, Value};

use super::issue::KeyPath;
use super::parse::is_forbidden_key;
use super::tree;

/// What happens to arrays in a merge patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrays {
    /// An array whose stored entries all have a text `id` merges by it; entries without one are appended. RPC.
    MergeById,
    /// The patch's array replaces the stored one. Command line.
    Replace,
}

/// The value after a merge patch: objects merge, `null` deletes, anything else replaces. Prototype keys are dropped.
///
/// Objects at `replaced` paths are replaced as a whole.
pub fn merge(stored: &Value, patch: &Value, arrays: Arrays, replaced: &[KeyPath]) -> Value {
    merge_at(Some(stored), patch, arrays, replaced, &mut Vec::new())
}

fn merge_at(stored: Option<&Value>, patch: &Value, arrays: Arrays, replaced: &[KeyPath], at: &mut KeyPath) -> Value {
    match patch {
        Value::Object(patch) => {
            let stored = stored.filter(|_| !replaced.contains(at));
            let mut merged = stored.and_then(Value::as_object).cloned().unwrap_or_default();
            for (key, change) in patch.iter().filter(|(key, _)| !is_forbidden_key(key)) {
                if change.is_null() {
                    merged.shift_remove(key);
                    continue;
                }
                at.push(key.clone());
                let value = merge_at(merged.get(key), change, arrays, replaced, at);
                at.pop();
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        Value::Array(items) => match stored.and_then(Value::as_array).filter(|_| arrays == Arrays::MergeById) {
            Some(old) if !old.is_empty() && old.iter().all(|item| id(item).is_some()) => merge_by_id(old, items),
            _ => without_prototype_keys(patch),
        },
        _ => patch.clone(),
    }
}

fn id(item: &Value) -> Option<&str> {
    item.get("id").and_then(Value::as_str)
}

fn merge_by_id(stored: &[Value], patch: &[Value]) -> Value {
    let mut merged = stored.to_vec();
    for change in patch {
        match merged.iter_mut().find(|item| id(change).is_some() && id(item) == id(change)) {
            Some(item) => *item = merge(item, change, Arrays::MergeById, &[]),
            None => merged.push(without_prototype_keys(change)),
        }
    }
    Value::Array(merged)
}

/// A copy that no prototype key reaches, however deep.
pub fn without_prototype_keys(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| !is_forbidden_key(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_prototype_keys(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_prototype_keys).collect()),
        other => other.clone(),
    }
}

/// Maps that users fill over time: replacing one needs an explicit wish when it would lose entries.
const GROWN: [&[&str]; 5] = [
    &["agents", "defaults", "models"],
    &["models", "providers"],
    &["models", "providers", "*", "models"],
    &["plugins", "entries"],
    &["auth", "profiles"],
];

/// The entries that setting `new` at `keys` would drop from a map that users grow; empty when nothing is lost.
pub fn dropped_entries(config: &Value, keys: &[String], new: &Value) -> Vec<String> {
    let matches = |pattern: &&[&str]| {
        pattern.len() == keys.len() && pattern.iter().zip(keys).all(|(part, key)| *part == "*" || part == key)
    };
    if !GROWN.iter().any(matches) {
        return Vec::new();
    }
    let kept = names(new);
    let stored = tree::get(config, keys).map(names).unwrap_or_default();
    stored.into_iter().filter(|name| !kept.contains(name)).collect()
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object.keys().cloned().collect(),
        Value::Array(items) => items.iter().filter_map(|item| id(item).map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(arrays: Arrays, stored: Value, patch: Value, expected: Value) {
        assert_eq!(merge(&stored, &patch, arrays, &[]), expected, "{stored} + {patch}");
    }

    #[test]
    fn objects_merge_null_deletes_and_the_rest_replaces() {
        let stored = json!({ "a": { "b": 1, "c": 2 }, "d": [1, 2], "e": "x" });
        let patch = json!({ "a": { "b": null, "n": { "m": 1, "z": null } }, "d": [3], "e": { "f": 1 } });
        let expected = json!({ "a": { "c": 2, "n": { "m": 1 } }, "d": [3], "e": { "f": 1 } });
        check(Arrays::MergeById, stored, patch, expected);
    }

    #[test]
    fn arrays_of_entries_merge_by_id_unless_they_are_replaced() {
        let stored = json!({ "l": [{ "id": "a", "x": 1 }, { "id": "b" }] });
        let patch = json!({ "l": [{ "id": "b", "y": 2 }, { "x": 3 }, { "id": "c" }] });
        let merged = json!({ "l": [{ "id": "a", "x": 1 }, { "id": "b", "y": 2 }, { "x": 3 }, { "id": "c" }] });
        check(Arrays::MergeById, stored.clone(), patch.clone(), merged);
        check(Arrays::Replace, stored, patch.clone(), patch.clone());
        check(Arrays::MergeById, json!({ "l": [{ "id": "a" }, { "x": 1 }] }), patch.clone(), patch);
    }

    #[test]
    fn a_named_object_is_replaced_as_a_whole() {
        let stored = json!({ "a": { "b": { "x": 1 }, "c": 1 } });
        let patch = json!({ "a": { "b": { "y": 2 } } });
        let merged = merge(&stored, &patch, Arrays::Replace, &[vec!["a".into(), "b".into()]]);
        assert_eq!(merged, json!({ "a": { "b": { "y": 2 }, "c": 1 } }));
    }

    #[test]
    fn prototype_keys_are_dropped_everywhere() {
        let patch: Value = serde_json::from_str(
            r#"{ "__proto__": { "x": 1 }, "a": { "constructor": 1, "b": 2 }, "l": [{ "prototype": 1, "c": 3 }] }"#,
        )
        .unwrap();
        check(Arrays::MergeById, json!({}), patch, json!({ "a": { "b": 2 }, "l": [{ "c": 3 }] }));
    }

    #[test]
    fn grown_maps_are_not_shrunk_by_accident() {
        let config = json!({ "models": { "providers": { "p": { "models": [{ "id": "a" }, { "id": "b" }] } } } });
        let keys = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(dropped_entries(&config, &keys("models.providers"), &json!({ "q": {} })), ["p"]);
        assert_eq!(dropped_entries(&config, &keys("models.providers.p.models"), &json!([{ "id": "b" }])), ["a"]);
        assert!(dropped_entries(&config, &keys("models"), &json!({})).is_empty());
    }
}
