//! Where a path of the configuration is in its text.
//!
//! Only an aid for people: a text that the position reader cannot read has no positions, never an error.

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// What the syntax tree of a configuration may contain: JSON5, in particular no missing commas.
pub fn parse_options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// Line and column, from 1, of the deepest part of `keys` that the text has: the key in an object, the element in an array.
pub fn locate(text: &str, keys: &[String]) -> Option<(u32, u32)> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &parse_options()).ok()?;
    let mut node = parsed.value.as_ref()?;
    let mut offset = node.start();
    for key in keys {
        let (start, next) = match node {
            Value::Object(object) => match last_property(&object.properties, key) {
                Some(property) => (property.start(), &property.value),
                None => break,
            },
            Value::Array(array) => match key.parse().ok().and_then(|index: usize| array.elements.get(index)) {
                Some(element) => (element.start(), element),
                None => break,
            },
            _ => break,
        };
        (offset, node) = (start, next);
    }
    Some(line_and_column(text, offset))
}

/// The property that counts when a key is written more than once.
pub fn last_property<'a, 'b>(properties: &'b [ObjectProp<'a>], key: &str) -> Option<&'b ObjectProp<'a>> {
    properties.iter().rev().find(|property| property.name.as_str() == key)
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (count(before.matches('\n').count()), count(before[line_start..].chars().count()))
}

/// The lines around a position, numbered, with a caret below the column.
pub fn snippet(text: &str, line: u32, column: u32) -> String {
    let (line, column) = (line as usize, column as usize);
    let mut out = String::new();
    for (index, content) in text.lines().enumerate().skip(line.saturating_sub(2)).take(3) {
        let number = index + 1;
        out.push_str(&format!("{number:>5} | {}\n", content.trim_end()));
        if number == line {
            out.push_str(&format!("      | {}^\n", " ".repeat(column.saturating_sub(1))));
        }
        if number > line {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  a: 1,\n  \"b.c\": [\n    { d: 'ü', d: 2 },\n  ],\n}\n";

    fn check(keys: &[&str], expected: (u32, u32)) {
        let keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
        assert_eq!(locate(TEXT, &keys), Some(expected), "{keys:?}");
    }

    #[test]
    fn a_path_leads_to_its_key_and_a_missing_one_to_the_nearest_parent() {
        check(&[], (1, 1));
        check(&["a"], (2, 3));
        check(&["b.c", "0"], (4, 5));
        check(&["b.c", "0", "d"], (4, 15));
        check(&["b.c", "0", "x"], (4, 5));
        check(&["x", "y"], (1, 1));
        assert_eq!(locate("{ a: ", &[]), None);
    }

    #[test]
    fn a_snippet_points_at_the_column() {
        assert_eq!(snippet(TEXT, 2, 3), "    1 | {\n    2 |   a: 1,\n      |   ^\n    3 |   \"b.c\": [\n");
        assert_eq!(snippet("{", 1, 2), "    1 | {\n      |  ^\n");
    }
}
