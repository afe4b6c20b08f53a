//! The environment as an argument: names and values that somebody collected, never read from the process here.
//!
//! Values may be secrets: the debug form shows names only.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The value, also when it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value without surrounding space, unless nothing is left.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|v| !v.is_empty())
    }

    /// Adds a variable unless it is set already: earlier sources win.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_insert_with(|| value.into());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self(vars.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_shows_names_and_no_values() {
        let env = Env::from_iter([("A_KEY", "canary")]);
        assert_eq!(format!("{env:?}"), "{\"A_KEY\"}");
    }

    #[test]
    fn adding_never_overrides() {
        let mut env = Env::from_iter([("A", "1")]);
        env.add("A", "2");
        env.add("B", " ");
        assert_eq!(env.get("A"), Some("1"));
        assert_eq!(env.non_empty("B"), None);
    }
}
