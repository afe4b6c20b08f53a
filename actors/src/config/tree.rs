//! Reaching into JSON by keys: the operations that editing, normalising and comparing share.
//!
//! A key is a property of an object or the decimal index of an array element.

use serde_json::{Map, Value};

/// The value at `keys`.
pub fn get<'a>(value: &'a Value, keys: &[impl AsRef<str>]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| step(value, key.as_ref()))
}

fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(key),
        Value::Array(array) => array.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The text at `keys`.
pub fn text<'a>(value: &'a Value, keys: &[impl AsRef<str>]) -> Option<&'a str> {
    get(value, keys)?.as_str()
}

/// Sets the value at `keys`, making the objects on the way. An array takes existing indexes and the one after its end.
/// False when something on the way is neither.
pub fn set(value: &mut Value, keys: &[impl AsRef<str>], new: Value) -> bool {
    let Some((key, rest)) = keys.split_first() else {
        *value = new;
        return true;
    };
    match value {
        Value::Object(object) => {
            set(object.entry(key.as_ref()).or_insert_with(|| Value::Object(Map::new())), rest, new)
        }
        Value::Array(array) => match key.as_ref().parse::<usize>() {
            Ok(index) if index < array.len() => set(&mut array[index], rest, new),
            Ok(index) if index == array.len() => {
                array.push(Value::Object(Map::new()));
                set(&mut array[index], rest, new)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Removes and returns the value at `keys`.
pub fn remove(value: &mut Value, keys: &[impl AsRef<str>]) -> Option<Value> {
    let (key, parents) = keys.split_last()?;
    let parent = parents.iter().try_fold(value, |value, key| match value {
        Value::Object(object) => object.get_mut(key.as_ref()),
        Value::Array(array) => array.get_mut(key.as_ref().parse::<usize>().ok()?),
        _ => None,
    })?;
    match parent {
        Value::Object(object) => object.shift_remove(key.as_ref()),
        Value::Array(array) => {
            let index = key.as_ref().parse::<usize>().ok().filter(|index| *index < array.len())?;
            Some(array.remove(index))
        }
        _ => None,
    }
}

/// Calls `visit` for every text in `value` with its keys.
pub fn each_text<'a>(value: &'a Value, at: &mut Vec<String>, visit: &mut impl FnMut(&[String], &'a str)) {
    match value {
        Value::String(text) => visit(at, text),
        Value::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                at.push(index.to_string());
                each_text(item, at, visit);
                at.pop();
            }
        }
        Value::Object(object) => {
            for (key, item) in object {
                at.push(key.clone());
                each_text(item, at, visit);
                at.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_reach_through_objects_and_arrays() {
        let mut value = json!({ "a": [{ "b": 1 }], "s": "x" });
        assert_eq!(get(&value, &["a", "0", "b"]), Some(&json!(1)));
        assert_eq!(get(&value, &["s", "x"]), None);
        assert!(set(&mut value, &["a", "0", "c", "d"], json!(2)));
        assert!(set(&mut value, &["a", "1"], json!(3)));
        assert!(!set(&mut value, &["a", "9"], json!(4)));
        assert!(!set(&mut value, &["s", "x"], json!(4)));
        assert_eq!(remove(&mut value, &["a", "0", "b"]), Some(json!(1)));
        assert_eq!(remove(&mut value, &["a", "7"]), None);
        assert_eq!(value, json!({ "a": [{ "c": { "d": 2 } }, 3], "s": "x" }));
    }
}
