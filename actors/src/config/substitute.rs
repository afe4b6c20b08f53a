//! `${NAME}` in texts: replaced by the environment, in values only, never in keys.
//!
//! `$${NAME}` stands for the literal `${NAME}`. On a key that takes a SecretRef, a text that is exactly `${NAME}` becomes a reference,
//! so that it is resolved, and required, only when its feature is on.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::env::Env;
use super::issue::{Issue, IssueCode};
use super::schema::{self, Node};
use super::secret_ref::ENV_PROVIDER;

/// Replaces every variable in `value`. Each one that is missing or empty keeps its text and is reported.
pub fn substitute(value: &mut Value, env: &Env) -> Vec<Issue> {
    let mut missing = Vec::new();
    walk(value, Some(schema::root()), &mut Vec::new(), env, &mut missing);
    missing
}

/// The variable, if the text is exactly one `${NAME}`.
pub fn whole_variable(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

fn walk(value: &mut Value, node: Option<&Node>, at: &mut Vec<String>, env: &Env, missing: &mut Vec<Issue>) {
    let mut below = |key: &str, child: &mut Value| {
        at.push(key.to_owned());
        walk(child, node.and_then(|node| node.child(key)), at, env, missing);
        at.pop();
    };
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(key, child)| below(key, child)),
        Value::Array(array) => array.iter_mut().enumerate().for_each(|(index, child)| below(&index.to_string(), child)),
        Value::String(text) => match whole_variable(text).filter(|_| node.is_some_and(Node::is_secret)) {
            Some(name) => *value = json!({ "source": "env", "provider": ENV_PROVIDER, "id": name }),
            None => {
                let (replaced, names) = expand(text, env);
                *text = replaced;
                missing.extend(names.into_iter().map(|name| {
                    let message = format!("environment variable \"{name}\" is missing or empty");
                    Issue::new(IssueCode::Unresolved, at, message)
                }));
            }
        },
        _ => {}
    }
}

/// The text with its variables replaced, and the names that have no value.
pub fn expand(text: &str, env: &Env) -> (String, Vec<String>) {
    static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$?\$\{([A-Z_][A-Z0-9_]*)\}").ok());
    let Some(variable) = VARIABLE.as_ref().filter(|_| text.contains("${")) else {
        return (text.to_owned(), Vec::new());
    };
    let mut missing = Vec::new();
    let replaced = variable.replace_all(text, |found: &Captures<'_>| {
        if found[0].starts_with("$$") {
            return found[0][1..].to_owned();
        }
        match env.non_empty(&found[1]) {
            Some(value) => value.to_owned(),
            None => {
                missing.push(found[1].to_owned());
                found[0].to_owned()
            }
        }
    });
    (replaced.into_owned(), missing)
}

/// Puts a stored `${NAME}` text back where `submitted` carries what it resolves to.
pub fn keep_variables(submitted: &mut Value, stored: &Value, env: &Env) {
    match (submitted, stored) {
        (Value::String(text), Value::String(old)) if old.contains("${") && *text == expand(old, env).0 => {
            text.clone_from(old);
        }
        (Value::Object(object), Value::Object(old)) => {
            for (key, value) in object {
                if let Some(old) = old.get(key) {
                    keep_variables(value, old, env);
                }
            }
        }
        (Value::Array(items), Value::Array(old)) if items.len() == old.len() => {
            items.iter_mut().zip(old).for_each(|(item, old)| keep_variables(item, old, env));
        }
        _ => {}
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, missing: &[&str]) {
        let env = Env::from_iter([("A", "1"), ("B_2", "${A}"), ("EMPTY", " ")]);
        assert_eq!(
            expand(text, &env),
            (expected.to_owned(), missing.iter().map(|m| (*m).to_owned()).collect()),
            "{text}"
        );
    }

    #[test]
    fn variables_are_replaced_once_and_escapes_lose_a_dollar() {
        check("x${A}y${A}", "x1y1", &[]);
        check("${B_2}", "${A}", &[]);
        check("$${A} $$ ${a} ${1} $A ${A", "${A} $$ ${a} ${1} $A ${A", &[]);
        check("${NONE}/${EMPTY}", "${NONE}/${EMPTY}", &["NONE", "EMPTY"]);
    }

    #[test]
    fn a_whole_variable_on_a_secret_key_becomes_a_reference() {
        let mut value = json!({
            "gateway": { "auth": { "token": "${T}" }, "customBindHost": "${T}" },
            "models": { "providers": { "p": { "headers": { "x": "${T}" }, "apiKey": "pre-${A}" } } },
        });
        let missing = substitute(&mut value, &Env::from_iter([("A", "1")]));
        let reference = json!({ "source": "env", "provider": "default", "id": "T" });
        assert_eq!(value["gateway"]["auth"]["token"], reference);
        assert_eq!(value["models"]["providers"]["p"], json!({ "headers": { "x": reference }, "apiKey": "pre-1" }));
        let texts: Vec<String> = missing.iter().map(Issue::to_string).collect();
        assert_eq!(texts, ["gateway.customBindHost: environment variable \"T\" is missing or empty"]);
    }
}
