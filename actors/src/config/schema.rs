//! The tree of every configuration key, read once from `keys.tsv`.
//!
//! Columns of the table: path · type · bounds · default (JSON) · marks.
//! * path: dots; `*` stands for the keys of a map, `[]` for the elements of a list.
//! * type: `obj` (known keys only), `free` (any object), `any`, `string`, `number`, `integer`, `boolean`, `sec` (text or SecretRef),
//!   a literal, `[T]`, `{*:T}`, `A / B`, `=path` (the same keys as there).
//! * bounds: `min`, `max`, `gt`, `minLength`, `minItems`, `maxItems`, `pattern`.
//! * marks: `req`; `open` (unknown keys are accepted); `opaque` (a wrong element is reported as a whole); `ours` (not in 2026.5.12);
//!   the named checks of [`Check`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

/// A value that the table allows at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Any,
    /// An object with the keys of the node; any keys if it has none.
    Object,
    Free,
    Array,
    String,
    Number,
    Integer,
    Boolean,
    Secret,
    /// The value as JSON text.
    Literal(&'static str),
    /// Has the keys of another path; replaced when the tree is built.
    Link(&'static str),
}

/// What the type alone cannot say about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Duration,
    /// A duration that may count days.
    CronDuration,
    /// `HH:MM`
    Time,
    /// `HH:MM` or `24:00`
    EndTime,
    HeartbeatTarget,
    /// The keys are channel ids.
    ChannelIds,
    /// An address is accepted besides the modes.
    Bind,
}

/// One place of the configuration, with `*` and `[]` for maps and lists.
///
/// The tree has three thousand of them and stays for the life of the process: texts are those of the table, and what a
/// link leads to is shared, not copied.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// As in the table; empty for the root.
    pub path: &'static str,
    pub kinds: Vec<Kind>,
    pub fields: BTreeMap<&'static str, Arc<Node>>,
    /// What a key outside `fields` holds.
    pub rest: Option<Arc<Node>>,
    pub items: Option<Arc<Node>>,
    pub bounds: Option<Box<Bounds>>,
    /// JSON text.
    default: &'static str,
    pub required: bool,
    pub open: bool,
    pub opaque: bool,
    pub ours: bool,
    pub check: Option<Check>,
}

/// Limits of a value; `None` means unlimited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounds {
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Exclusive minimum.
    pub gt: Option<f64>,
    /// Characters.
    pub min_length: Option<usize>,
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub pattern: Option<&'static str>,
}

impl Node {
    /// The node of a key below this one, if the table knows it.
    pub fn child(&self, key: &str) -> Option<&Node> {
        match &self.items {
            Some(items) if key == "[]" || key.parse::<usize>().is_ok() => Some(items),
            _ => self.fields.get(key).or(self.rest.as_ref()).map(|child| &**child),
        }
    }

    /// What holds when the key is absent, if the table says it.
    pub fn default_value(&self) -> Option<Value> {
        serde_json::from_str(self.default).ok() // empty: none
    }

    /// Does the value have to be text or a SecretRef?
    pub fn is_secret(&self) -> bool {
        self.kinds.contains(&Kind::Secret)
    }

    /// Are keys outside the table refused here?
    pub fn is_strict(&self) -> bool {
        self.kinds.contains(&Kind::Object) && !self.open && self.rest.is_none() && !self.fields.is_empty()
    }

    /// The literals, if nothing else is allowed.
    pub fn words(&self) -> Option<Vec<String>> {
        let word = |kind: &Kind| match kind {
            Kind::Literal(text) => Some(vec![serde_json::from_str(text).unwrap_or_else(|_| (*text).to_owned())]),
            Kind::Boolean => Some(vec!["true".to_owned(), "false".to_owned()]),
            _ => None,
        };
        self.kinds.iter().map(word).collect::<Option<Vec<_>>>().map(|words| words.concat())
    }
}

/// The whole tree.
pub fn root() -> &'static Node {
    static ROOT: LazyLock<Node> = LazyLock::new(|| build(include_str!("keys.tsv")));
    &ROOT
}

/// The node that governs a path of a configuration.
pub fn find(keys: &[impl AsRef<str>]) -> Option<&'static Node> {
    keys.iter().try_fold(root(), |node, key| node.child(key.as_ref()))
}

/// `a.*.b[].c` as `a`, `*`, `b`, `[]`, `c`.
pub fn split_pattern(path: &str) -> impl Iterator<Item = &str> {
    path.split('.')
        .flat_map(|part| match part.strip_suffix("[]") {
            Some(name) => [Some(name), Some("[]")],
            None => [Some(part), None],
        })
        .flatten()
}

fn build(table: &'static str) -> Node {
    let mut root = Node { kinds: vec![Kind::Object], ..Node::default() };
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (path, kind, bounds, default, marks) = (next(), next(), next(), next(), next());
        let node = place(&mut root, path);
        read_type(node, kind);
        node.bounds = read_bounds(bounds);
        node.default = default;
        read_marks(node, marks);
    }
    let unlinked = root.clone();
    link(&mut root, &unlinked);
    root
}

/// The node of a path, made if it is missing.
fn place<'a>(root: &'a mut Node, path: &'static str) -> &'a mut Node {
    let mut node = root;
    for part in split_pattern(path) {
        node = Arc::make_mut(match part {
            "[]" => node.items.get_or_insert_default(),
            "*" => node.rest.get_or_insert_default(),
            key => node.fields.entry(key).or_default(),
        });
    }
    node.path = path;
    node
}

/// Reads a type into a node; what rows further down add to `fields`, `rest` and `items` stays.
fn read_type(node: &mut Node, text: &'static str) {
    let mut kinds = std::mem::take(&mut node.kinds);
    for one in alternatives(text) {
        kinds.push(if let Some(inner) = one.strip_prefix("{*:").and_then(|t| t.strip_suffix('}')) {
            read_type(Arc::make_mut(node.rest.get_or_insert_default()), inner);
            node.open = true;
            Kind::Object
        } else if let Some(inner) = one.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            read_type(Arc::make_mut(node.items.get_or_insert_default()), inner);
            Kind::Array
        } else {
            simple_kind(one)
        });
    }
    kinds.shrink_to_fit();
    node.kinds = kinds;
}

fn simple_kind(text: &'static str) -> Kind {
    match text {
        "any" => Kind::Any,
        "obj" => Kind::Object,
        "free" => Kind::Free,
        "string" => Kind::String,
        "number" => Kind::Number,
        "integer" => Kind::Integer,
        "boolean" => Kind::Boolean,
        "sec" => Kind::Secret,
        link if link.starts_with('=') => Kind::Link(&link[1..]),
        literal => Kind::Literal(literal), // a test proves that every other text of the table is JSON
    }
}

/// Splits `A / B` outside brackets.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 && text[..at].ends_with(' ') && text[at + 1..].starts_with(' ') => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn read_bounds(text: &'static str) -> Option<Box<Bounds>> {
    let mut bounds = Bounds::default();
    for (name, value) in text.split(' ').filter_map(|pair| pair.split_once('=')) {
        match name {
            "min" => bounds.min = value.parse().ok(),
            "max" => bounds.max = value.parse().ok(),
            "gt" => bounds.gt = value.parse().ok(),
            "minLength" => bounds.min_length = value.parse().ok(),
            "minItems" => bounds.min_items = value.parse().ok(),
            "maxItems" => bounds.max_items = value.parse().ok(),
            _ => bounds.pattern = Some(value),
        }
    }
    (bounds != Bounds::default()).then(|| Box::new(bounds))
}

fn read_marks(node: &mut Node, marks: &str) {
    for mark in marks.split(' ') {
        match mark {
            "req" => node.required = true,
            "open" => Arc::make_mut(node.rest.get_or_insert_default()).open = true,
            "opaque" => node.opaque = true,
            "ours" => node.ours = true,
            "dur" => node.check = Some(Check::Duration),
            "cron-dur" => node.check = Some(Check::CronDuration),
            "time" => node.check = Some(Check::Time),
            "end-time" => node.check = Some(Check::EndTime),
            "heartbeat-target" => node.check = Some(Check::HeartbeatTarget),
            "channel-ids" => node.check = Some(Check::ChannelIds),
            "bind" => node.check = Some(Check::Bind),
            _ => {}
        }
    }
}

/// Replaces links by the keys of their target. A link inside such a copy means any object: channel accounts have no accounts.
fn link(node: &mut Node, tree: &Node) {
    if let Some(Kind::Link(target)) = node.kinds.first()
        && let Some(target) = split_pattern(target).try_fold(tree, Node::child)
    {
        let mut copy = target.clone();
        unlink(&mut copy);
        overlay(&mut copy, node);
        copy.open |= node.open;
        copy.ours = node.ours;
        copy.path = node.path;
        *node = copy;
    }
    for child in children_mut(node).filter(|child| has_link(child)) {
        link(Arc::make_mut(child), tree);
    }
}

/// Adds the rows that stand below a link to the copy of its target.
fn overlay(copy: &mut Node, node: &Node) {
    for (key, own) in &node.fields {
        match copy.fields.get_mut(key) {
            Some(copied) if own.kinds.is_empty() => overlay(Arc::make_mut(copied), own),
            _ => drop(copy.fields.insert(key, Arc::clone(own))),
        }
    }
}

fn unlink(node: &mut Node) {
    for kind in &mut node.kinds {
        if matches!(kind, Kind::Link(_)) {
            *kind = Kind::Free;
        }
    }
    for child in children_mut(node).filter(|child| has_link(child)) {
        unlink(Arc::make_mut(child));
    }
}

fn children_mut(node: &mut Node) -> impl Iterator<Item = &mut Arc<Node>> {
    node.fields.values_mut().chain(&mut node.rest).chain(&mut node.items)
}

fn has_link(node: &Node) -> bool {
    let mut children = node.fields.values().chain(&node.rest).chain(&node.items);
    node.kinds.iter().any(|kind| matches!(kind, Kind::Link(_))) || children.any(|child| has_link(child))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(node: &Node, visit: &mut impl FnMut(&Node)) {
        visit(node);
        node.fields.values().for_each(|child| each(child, visit));
        node.rest.iter().chain(&node.items).for_each(|child| each(child, visit));
    }

    #[test]
    fn every_row_has_a_known_type_and_no_link_is_left() {
        let mut count = 0;
        each(root(), &mut |node| {
            count += 1;
            assert!(!node.kinds.is_empty(), "{} has no type", node.path);
            assert!(!node.kinds.iter().any(|k| matches!(k, Kind::Link(_))), "{} is a link", node.path);
        });
        assert!(count > 3000, "{count}");
        for line in include_str!("keys.tsv").lines().filter(|l| !l.starts_with('#')) {
            let kind = line.split('\t').nth(1).unwrap();
            let default = line.split('\t').nth(3).unwrap_or_default();
            assert!(default.is_empty() || serde_json::from_str::<Value>(default).is_ok(), "{line}");
            for one in alternatives(kind).iter().map(|t| t.trim_matches(['[', ']', '{', '}', '*', ':'])) {
                if let Kind::Literal(text) = simple_kind(one)
                    && !text.contains(" / ")
                    && !text.contains(':')
                {
                    assert!(serde_json::from_str::<Value>(text).is_ok(), "{line}");
                }
            }
        }
    }

    #[test]
    fn paths_lead_through_maps_lists_and_links() {
        let path = |keys: &[&str]| find(keys).map(|n| n.path);
        assert_eq!(
            path(&["models", "providers", "x.y", "models", "3", "id"]).unwrap(),
            "models.providers.*.models[].id"
        );
        assert_eq!(path(&["agent", "heartbeat", "every"]).unwrap(), "agents.defaults.heartbeat.every");
        assert_eq!(path(&["agent", "tools", "allow"]).unwrap(), "tools.allow");
        assert_eq!(path(&["channels", "telegram", "accounts", "a", "botToken"]).unwrap(), "channels.telegram.botToken");
        assert_eq!(path(&["gateway", "nothing"]), None);
        assert!(find(&["gateway", "auth", "token"]).unwrap().is_secret());
        assert_eq!(find(&["gateway", "reload", "debounceMs"]).unwrap().default_value(), Some(300.into()));
    }

    #[test]
    fn types_are_read_with_their_alternatives() {
        assert_eq!(alternatives("\"http/1\" / [string / number] / 5"), ["\"http/1\"", "[string / number]", "5"]);
        let words = |keys: &[&str]| find(keys).unwrap().words();
        assert_eq!(words(&["gateway", "reload", "mode"]).unwrap(), ["off", "restart", "hot", "hybrid"]);
        assert_eq!(words(&["commands", "native"]).unwrap(), ["true", "false", "auto"]);
        assert_eq!(words(&["gateway", "port"]), None);
    }
}
