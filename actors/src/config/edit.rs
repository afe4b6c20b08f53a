//! Changes a JSON5 text so that it reads as another value, one small span at a time.
//!
//! Every byte outside the changed spans stays: comments, order, quoting, blank lines. The result is read again by the same reader
//! that loads it, and must be exactly the wanted value, else the edit fails and nothing is written.
//! Works on the ranges and tokens of `jsonc-parser`'s tree. `Differs:` not with the editing operations of its CST, because those drop
//! comments that stand beside a removed property and spread one-line objects over several lines.

use jsonc_parser::ast::{Object, ObjectProp, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, parse_to_ast};
use serde_json::Value;

use super::parse;
use super::position::{last_property, parse_options};

/// Most single changes in one edit; far more than any form or patch makes.
const STEPS_MAX: usize = 10_000;

/// Why a text cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Syntax(#[from] parse::SyntaxError),
    /// The text loads, but uses something that the editor's reader does not know.
    #[error("the file cannot be edited in place: {0}; edit it by hand")]
    Unsupported(String),
    #[error("the edit did not give the wanted configuration; nothing was changed")]
    Mismatch,
}

/// The text changed so that it reads as `target`. A text that reads so already is returned as it is.
pub fn rewrite(text: &str, target: &Value) -> Result<String, EditError> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let mut body = if body.trim().is_empty() { "{}\n".to_owned() } else { body.to_owned() };
    for _ in 0..STEPS_MAX {
        let current = parse::json5(&body)?;
        if current == *target {
            return Ok(format!("{mark}{body}"));
        }
        let next = step(&body, target)?;
        if next == body {
            break;
        }
        body = next;
    }
    Err(EditError::Mismatch)
}

/// Makes the first difference between text and target smaller.
fn step(text: &str, target: &Value) -> Result<String, EditError> {
    let collect = CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
    let parsed = parse_to_ast(text, &collect, &parse_options()).map_err(|e| EditError::Unsupported(e.to_string()))?;
    let root = parsed.value.as_ref().ok_or_else(|| EditError::Unsupported("the file has no value".to_owned()))?;
    let tokens = parsed.tokens.as_deref().unwrap_or_default();
    let editor =
        Editor { text, tokens, newline: if text.contains("\r\n") { "\r\n" } else { "\n" }, bare: has_bare_keys(root) };
    let mut splices = editor.first_difference(root, target);
    splices.sort_by_key(|splice| std::cmp::Reverse(splice.start));
    let mut out = text.to_owned();
    for splice in splices {
        out.replace_range(splice.start..splice.end, &splice.with);
    }
    Ok(out)
}

/// Replace a byte range of the text. The splices of one step do not overlap.
struct Splice {
    start: usize,
    end: usize,
    with: String,
}

struct Editor<'a> {
    text: &'a str,
    /// Comments included.
    tokens: &'a [TokenAndRange<'a>],
    newline: &'a str,
    /// New keys are written without quotes, as the file does it.
    bare: bool,
}

impl Editor<'_> {
    fn first_difference(&self, node: &Ast<'_>, target: &Value) -> Vec<Splice> {
        match (node, target) {
            (Ast::Object(object), Value::Object(wanted)) => {
                if let Some(gone) = object.properties.iter().position(|p| !wanted.contains_key(p.name.as_str())) {
                    return self.remove(&ranges(&object.properties), gone, object.end());
                }
                for (key, value) in wanted {
                    match last_property(&object.properties, key) {
                        Some(property) if reads_as(self.text, &property.value) != Some(value.clone()) => {
                            return self.first_difference(&property.value, value);
                        }
                        Some(_) => {}
                        None => return self.insert_property(object, key, value),
                    }
                }
                Vec::new()
            }
            (Ast::Array(array), Value::Array(wanted)) => self.array_difference(&array.elements, node, wanted),
            _ => vec![self.replacement(node, target)],
        }
    }

    fn array_difference(&self, elements: &[Ast<'_>], node: &Ast<'_>, wanted: &[Value]) -> Vec<Splice> {
        let same = |element: &Ast<'_>, value: &Value| reads_as(self.text, element).as_ref() == Some(value);
        let Some(index) = (0..elements.len().max(wanted.len()))
            .find(|i| !elements.get(*i).zip(wanted.get(*i)).is_some_and(|(element, value)| same(element, value)))
        else {
            return Vec::new();
        };
        let ranges: Vec<(usize, usize)> = elements.iter().map(|e| (e.start(), e.end())).collect();
        match elements.len().cmp(&wanted.len()) {
            std::cmp::Ordering::Greater => self.remove(&ranges, index, node.end()),
            std::cmp::Ordering::Less => {
                self.insert(&ranges, index, (node.start(), node.end()), |indent| self.render(&wanted[index], indent))
            }
            std::cmp::Ordering::Equal => self.first_difference(&elements[index], &wanted[index]),
        }
    }

    fn replacement(&self, node: &Ast<'_>, target: &Value) -> Splice {
        Splice { start: node.start(), end: node.end(), with: self.render(target, &self.indent_of(node.start())) }
    }

    fn insert_property(&self, object: &Object<'_>, key: &str, value: &Value) -> Vec<Splice> {
        let ranges = ranges(&object.properties);
        self.insert(&ranges, ranges.len(), (object.start(), object.end()), |indent| {
            format!("{}: {}", self.key(key), self.render(value, indent))
        })
    }

    /// Inserts an entry before `index`, or after the last one. `container` spans the brackets; `render` gets the entry's indent.
    fn insert(
        &self,
        entries: &[(usize, usize)],
        index: usize,
        container: (usize, usize),
        render: impl Fn(&str) -> String,
    ) -> Vec<Splice> {
        let at = |position: usize, with: String| Splice { start: position, end: position, with };
        if let Some(&(start, _)) = entries.get(index) {
            return match self.line_indent(start) {
                Some(indent) => vec![at(start, format!("{},{}{indent}", render(&indent), self.newline))],
                None => vec![at(start, format!("{}, ", render(&self.indent_of(start))))],
            };
        }
        let Some(&(first, _)) = entries.first() else { return self.insert_first(container, render) };
        let end = entries.last().map_or(container.0 + 1, |last| last.1);
        let comma = self.comma_after(end);
        let own_lines = self.line_indent(first);
        match (own_lines, comma) {
            (Some(indent), comma) => {
                let place = self.end_of_line_comments(comma.map_or(end, |c| c + 1));
                let tail = if comma.is_some() { "," } else { "" };
                let mut splices = vec![at(place, format!("{}{indent}{}{tail}", self.newline, render(&indent)))];
                if comma.is_none() && place == end {
                    splices[0].with.insert(0, ',');
                } else if comma.is_none() {
                    splices.push(at(end, ",".to_owned()));
                }
                splices
            }
            (None, Some(comma)) => vec![at(comma + 1, format!(" {},", render(&self.indent_of(first))))],
            (None, None) => vec![at(end, format!(", {}", render(&self.indent_of(first))))],
        }
    }

    /// The first entry of an empty container: on a line of its own below whatever comments are there.
    fn insert_first(&self, (start, end): (usize, usize), render: impl Fn(&str) -> String) -> Vec<Splice> {
        let outer = self.indent_of(start);
        let indent = format!("{outer}{}", self.indent_unit());
        let inside = &self.text[start + 1..end - 1];
        let kept = inside.trim_end();
        let with = format!("{}{indent}{}{}{outer}", self.newline, render(&indent), self.newline);
        vec![Splice { start: start + 1 + kept.len(), end: end - 1, with }]
    }

    /// Removes an entry and one comma; comments stay, a line that becomes empty goes.
    fn remove(&self, entries: &[(usize, usize)], index: usize, container_end: usize) -> Vec<Splice> {
        let (start, end) = entries[index];
        let comma = self.comma_after(end).filter(|comma| *comma < container_end);
        let previous_comma = || index.checked_sub(1).and_then(|previous| self.comma_after(entries[previous].1));
        let entry = Splice { start, end, with: String::new() };
        let comma = comma.or_else(previous_comma);
        let comma = comma.map(|at| Splice { start: at, end: at + 1, with: String::new() });
        let merged = match comma {
            Some(comma) if self.text[end..comma.start.max(end)].trim().is_empty() && comma.start >= end => {
                vec![Splice { end: comma.end, ..entry }]
            }
            Some(comma) => vec![entry, comma],
            None => vec![entry],
        };
        merged.into_iter().map(|splice| self.tidied(splice)).collect()
    }

    /// Takes the rest of the line along when a removal leaves only blanks on it, else the blanks after the removal.
    fn tidied(&self, splice: Splice) -> Splice {
        let line_start = self.text[..splice.start].rfind('\n').map_or(0, |at| at + 1);
        let blank_before = self.text[line_start..splice.start].trim().is_empty();
        let after = &self.text[splice.end..];
        let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
        let line_ends = after[blanks..].starts_with('\n') || after[blanks..].starts_with("\r\n");
        if blank_before && line_ends && line_start > 0 {
            let newline = if after[blanks..].starts_with('\n') { 1 } else { 2 };
            return Splice { start: line_start, end: splice.end + blanks + newline, ..splice };
        }
        let doubled = self.text[..splice.start].ends_with([' ', '\t', '\n', '{', '[']) && !line_ends;
        Splice { end: splice.end + if doubled { blanks } else { 0 }, ..splice }
    }

    /// Offset of the comma that follows a position, if nothing but comments is between.
    fn comma_after(&self, position: usize) -> Option<usize> {
        let mut following = self.tokens.iter().skip_while(|token| token.start() < position);
        let next = following.find(|token| !matches!(token.token, Token::CommentLine(_) | Token::CommentBlock(_)))?;
        (next.token == Token::Comma).then(|| next.start())
    }

    /// The end of the last comment that starts on the same line as `position`; `position` itself if there is none.
    ///
    /// A block comment that is followed by another value on its line belongs to that value.
    fn end_of_line_comments(&self, position: usize) -> usize {
        let mut end = position;
        for token in self.tokens.iter().skip_while(|token| token.start() < position) {
            let is_comment = matches!(token.token, Token::CommentLine(_) | Token::CommentBlock(_));
            if !is_comment || self.text[end..token.start()].contains('\n') {
                break;
            }
            end = token.end();
        }
        end
    }

    /// The blanks before `position`, if nothing else is before it on its line.
    fn line_indent(&self, position: usize) -> Option<String> {
        let line_start = self.text[..position].rfind('\n')? + 1;
        let before = &self.text[line_start..position];
        before.trim().is_empty().then(|| before.to_owned())
    }

    /// The blanks at the beginning of the line of `position`.
    fn indent_of(&self, position: usize) -> String {
        let line_start = self.text[..position].rfind('\n').map_or(0, |at| at + 1);
        self.text[line_start..position].chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
    }

    /// One level of indentation, as the file does it.
    fn indent_unit(&self) -> &str {
        let indented = self.text.lines().skip(1).find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
        let blanks = indented.map_or("  ", |line| &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]);
        if blanks.len() <= 8 { blanks } else { "  " }
    }

    fn key(&self, key: &str) -> String {
        let mut chars = key.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$');
        if self.bare && starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$') {
            return key.to_owned();
        }
        Value::String(key.to_owned()).to_string()
    }

    /// The value as text whose further lines are indented below `indent`. Lists of plain values stay on one line.
    fn render(&self, value: &Value, indent: &str) -> String {
        let inner = format!("{indent}{}", self.indent_unit());
        let lines = |open: char, entries: Vec<String>, close: char| {
            let body = entries.join(&format!(",{}{inner}", self.newline));
            format!("{open}{}{inner}{body}{}{indent}{close}", self.newline, self.newline)
        };
        match value {
            Value::Object(object) if !object.is_empty() => {
                let entry =
                    |(key, value): (&String, &Value)| format!("{}: {}", self.key(key), self.render(value, &inner));
                lines('{', object.iter().map(entry).collect(), '}')
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                lines('[', items.iter().map(|item| self.render(item, &inner)).collect(), ']')
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
            scalar => scalar.to_string(),
        }
    }
}

fn ranges(properties: &[ObjectProp<'_>]) -> Vec<(usize, usize)> {
    properties.iter().map(|property| (property.start(), property.end())).collect()
}

/// What a node of the text reads as, by the reader that counts.
fn reads_as(text: &str, node: &Ast<'_>) -> Option<Value> {
    parse::json5(&text[node.start()..node.end()]).ok()
}

/// Does the file write keys without quotes? Judged by its first key; an empty file does.
fn has_bare_keys(root: &Ast<'_>) -> bool {
    let first = root.as_object().and_then(|object| object.properties.first());
    first.is_none_or(|property| matches!(property.name, jsonc_parser::ast::ObjectPropName::Word(_)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(before: &str, target: Value, after: &str) {
        assert_eq!(rewrite(before, &target).unwrap(), after, "{before}");
    }

    #[test]
    fn a_changed_value_touches_only_itself() {
        let before = "// head\n{\n  gateway: { port: 0x10, mode: 'local' }, // why\n  a: [1,2 , 3],\n}\n";
        let target = json!({ "gateway": { "port": 17, "mode": "local" }, "a": [1, 5, 3] });
        check(before, target, &before.replace("0x10", "17").replace("[1,2 , 3]", "[1,5 , 3]"));
        check(before, parse::json5(before).unwrap(), before);
    }

    #[test]
    fn a_new_key_follows_the_last_one_in_the_same_manner() {
        check("{\n  a: 1 // one\n}\n", json!({ "a": 1, "b": 2 }), "{\n  a: 1, // one\n  b: 2\n}\n");
        check("{\n  a: 1, // one\n}\n", json!({ "a": 1, "b": 2 }), "{\n  a: 1, // one\n  b: 2,\n}\n");
        check("{\"a\":1}", json!({ "a": 1, "b": [1] }), "{\"a\":1, \"b\": [1]}");
        check("{ a: 1, }", json!({ "a": 1, "b": 2 }), "{ a: 1, b: 2, }");
        check("{ a: 1 // x\n}", json!({ "a": 1, "b": 2 }), "{ a: 1, b: 2 // x\n}");
        check("", json!({ "a": { "b.c": true } }), "{\n  a: {\n    \"b.c\": true\n  }\n}\n");
        check("{\n\t// empty\n}", json!({ "a": 1 }), "{\n\t// empty\n\ta: 1\n}");
        check("{\r\n    a: 1\r\n}\r\n", json!({ "a": 1, "b": {} }), "{\r\n    a: 1,\r\n    b: {}\r\n}\r\n");
    }

    #[test]
    fn a_removed_key_takes_its_line_and_leaves_comments() {
        let before = "{\n  // about a\n  a: 1, // one\n  b: 2,\n  c: 3 /* three */\n}\n";
        check(before, json!({ "a": 1, "c": 3 }), "{\n  // about a\n  a: 1, // one\n  c: 3 /* three */\n}\n");
        check(before, json!({ "b": 2, "c": 3 }), "{\n  // about a\n  // one\n  b: 2,\n  c: 3 /* three */\n}\n");
        check(before, json!({ "a": 1, "b": 2 }), "{\n  // about a\n  a: 1, // one\n  b: 2\n  /* three */\n}\n");
        check("{ a: 1, b: 2 }", json!({ "b": 2 }), "{ b: 2 }");
        check("{ a: 1, b: 2 }", json!({ "a": 1 }), "{ a: 1 }");
        check("{ a: 1 }", json!({}), "{ }");
    }

    #[test]
    fn lists_change_element_by_element() {
        let before = "{ l: [\n  'a', // first\n  'b',\n  'c'\n] }";
        check(before, json!({ "l": ["a", "c"] }), "{ l: [\n  'a', // first\n  'c'\n] }");
        check(before, json!({ "l": ["x", "a", "b", "c"] }), "{ l: [\n  \"x\",\n  'a', // first\n  'b',\n  'c'\n] }");
        check("{ l: [1] }", json!({ "l": [1, 2] }), "{ l: [1, 2] }");
        check("{ l: [] }", json!({ "l": [{ "id": "a" }] }), "{ l: [\n  {\n    id: \"a\"\n  }\n] }");
    }

    #[test]
    fn of_duplicate_keys_the_last_counts_and_all_go() {
        check("{ a: 1, a: 2 }", json!({ "a": 3 }), "{ a: 1, a: 3 }");
        check("{ a: 1, b: 0, a: 2 }", json!({ "b": 0 }), "{ b: 0 }");
    }

    /// JSON values with keys that need quotes, and texts with quotes, slashes and line ends.
    fn values() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec![
            "",
            "x",
            "a'b\"c",
            "// no comment",
            "/* no */",
            "l\nm",
            "ü\u{2028}",
            "${A}",
            "\\",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1000_i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
            text.prop_map(Value::from),
        ];
        // a float without a fraction is read as an integer
        let leaf = leaf.prop_map(|v| v.as_f64().filter(|f| f.fract() == 0.0).map_or(v, |f| json!(f as i64)));
        leaf.prop_recursive(3, 24, 4, |inner| {
            let keys = prop::sample::select(vec!["a", "b", "key.with.dots", "c d", "id", "0", "$x", "é"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(keys, inner, 0..4)
                    .prop_map(|m: BTreeMap<&str, Value>| m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    fn objects() -> impl Strategy<Value = Value> {
        prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d.e", "f"]), values(), 0..5)
            .prop_map(|m: BTreeMap<&str, Value>| m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// Writes a value as JSON5 with a numbered comment between any two tokens, in a style that `seed` varies.
    struct Writer {
        seed: u64,
        comments: usize,
        out: String,
    }

    impl Writer {
        fn next(&mut self, below: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) % below
        }

        fn gap(&mut self) {
            let comment = format!("#{}#", self.comments);
            match self.next(7) {
                0 => self.out.push_str(&format!(" /* {comment} */ ")),
                1 => self.out.push_str(&format!(" // {comment}\n  ")),
                2 => self.out.push_str("\n    "),
                3 => self.out.push_str("\r\n\r\n\t"),
                _ => self.out.push(' '),
            }
            self.comments += usize::from(self.out.contains(&comment));
        }

        fn write(&mut self, value: &Value) {
            match value {
                Value::Object(object) => {
                    let entries: Vec<(String, &Value)> =
                        object.iter().map(|(k, v)| (Value::String(k.clone()).to_string() + ":", v)).collect();
                    self.list('{', &entries, '}');
                }
                Value::Array(items) => {
                    let entries: Vec<(String, &Value)> = items.iter().map(|v| (String::new(), v)).collect();
                    self.list('[', &entries, ']');
                }
                scalar => self.out.push_str(&scalar.to_string()),
            }
        }

        fn list(&mut self, open: char, entries: &[(String, &Value)], close: char) {
            self.out.push(open);
            for (index, (key, value)) in entries.iter().enumerate() {
                self.gap();
                let bare = key.trim_matches([':', '"']);
                let plain = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphabetic());
                let key = if plain && self.next(2) == 0 { format!("{bare}:") } else { key.clone() };
                self.out.push_str(&key);
                self.write(value);
                self.gap();
                if index + 1 < entries.len() || self.next(3) == 0 {
                    self.out.push(',');
                }
            }
            self.gap();
            self.out.push(close);
        }
    }

    fn written(value: &Value, seed: u64) -> Writer {
        let mut writer = Writer { seed, comments: 0, out: "// head\n".to_owned() };
        writer.write(value);
        writer
    }

    proptest! {


        #[test]
        fn both_readers_read_the_same(value in objects(), seed in any::<u64>()) {
            let text = written(&value, seed).out;
            let ours = parse::json5(&text).unwrap();
            let theirs: Value = jsonc_parser::parse_to_serde_value(&text, &parse_options()).unwrap();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(ours, value);
        }

        #[test]
        fn any_edit_gives_the_wanted_value(value in objects(), target in objects(), seed in any::<u64>()) {
            let text = written(&value, seed).out;
            let after = rewrite(&text, &target).unwrap();
            prop_assert_eq!(parse::json5(&after).unwrap(), target);
        }

        #[test]
        fn setting_and_unsetting_one_key_keeps_every_comment(value in objects(), new in values(), seed in any::<u64>()) {
            let writer = written(&value, seed);
            let mut with = value.clone();
            with["added"] = new;
            let set = rewrite(&writer.out, &with).unwrap();
            let kept = |text: &str| (0..writer.comments).all(|n| text.contains(&format!("#{n}#")));
            prop_assert!(kept(&set), "{set}");
            let unset = rewrite(&set, &value).unwrap();
            prop_assert!(kept(&unset), "{unset}");
            prop_assert_eq!(parse::json5(&unset).unwrap(), value.clone());
            // a scalar goes without any comment
            let scalar = value.as_object().unwrap().iter().find(|(_, v)| !v.is_object() && !v.is_array());
            if let Some((key, _)) = scalar {
                let mut without = value.clone();
                without.as_object_mut().unwrap().remove(key);
                let removed = rewrite(&writer.out, &without).unwrap();
                prop_assert!(kept(&removed), "{} -> {removed}", writer.out);
            }
        }
    }
}
