//! What differs between two configurations, as paths.

use serde_json::Value;

use super::issue::KeyPath;

/// The outermost places where `before` and `after` differ, in the order of `before`, then what is new.
///
/// Objects are entered; an array or any other value differs as a whole.
pub fn changed(before: &Value, after: &Value) -> Vec<KeyPath> {
    let mut out = Vec::new();
    compare(Some(before), Some(after), &mut KeyPath::new(), &mut out);
    out
}

fn compare(before: Option<&Value>, after: Option<&Value>, at: &mut KeyPath, out: &mut Vec<KeyPath>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                at.push(key.clone());
                compare(a.get(key), b.get(key), at, out);
                at.pop();
            }
        }
        (a, b) if a != b => out.push(at.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::issue::dotted;
    use super::super::tree;
    use super::*;

    #[test]
    fn objects_are_entered_and_lists_are_not() {
        let before = json!({ "a": { "b": 1, "c": 2 }, "l": [1], "gone": {} });
        let after = json!({ "a": { "b": 1, "c": 3, "d": { "e": 1 } }, "l": [1, 2], "new": null });
        let paths: Vec<String> = changed(&before, &after).iter().map(|keys| dotted(keys)).collect();
        assert_eq!(paths, ["a.c", "a.d", "l", "gone", "new"]);
        assert_eq!(changed(&json!(1), &json!(2)), [KeyPath::new()]);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..3)
                .prop_map(|m| m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        })
    }

    proptest! {
        #[test]
        fn copying_the_changed_places_makes_the_two_equal(mut before in values(), after in values()) {
            for keys in changed(&before, &after) {
                match tree::get(&after, &keys) {
                    Some(value) => prop_assert!(tree::set(&mut before, &keys, value.clone())),
                    None => prop_assert!(tree::remove(&mut before, &keys).is_some()),
                }
            }
            prop_assert_eq!(before, after);
        }
    }
}
