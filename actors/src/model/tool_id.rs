//! Ids of tool calls: how one wire's id is spelled on another.
//!
//! Invariant: a call and its result go through the same function, so they still match on the wire.

/// Between the call's id and the id of the item that carried it (Responses wire): `call_…|fc_…`.
const JOINT: char = '|';

/// Joins the ids of the Responses wire.
pub fn join(call: &str, item: &str) -> String {
    if item.is_empty() { call.to_owned() } else { format!("{call}{JOINT}{item}") }
}

/// The call's own id and the item's. Either order is read: exported sessions have both.
pub fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once(JOINT) {
        Some((item, call)) if item.starts_with("fc_") => (call, Some(item)),
        Some((call, item)) => (call, Some(item)),
        None => (id, None),
    }
}

/// Letters and digits of the call's id, at most the last 40. Source: chat-completions rule of 2026.5.12; 40 is OpenAI's.
pub fn alphanumeric(id: &str) -> String {
    let kept: String = split(id).0.chars().filter(char::is_ascii_alphanumeric).collect();
    non_empty(kept[kept.len().saturating_sub(40)..].to_owned())
}

/// Letters, digits, `_` and `-`, at most the last 64: what the Anthropic and Responses wires accept.
pub fn word(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let kept: String = split(id).0.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    non_empty(kept[kept.len().saturating_sub(64)..].to_owned())
}

fn non_empty(id: String) -> String {
    if id.is_empty() { "call".to_owned() } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_split_in_either_order() {
        assert_eq!(split(&join("call_1", "fc_2")), ("call_1", Some("fc_2")));
        assert_eq!(split("fc_2|call_1"), ("call_1", Some("fc_2")));
        assert_eq!(split(&join("toolu_1", "")), ("toolu_1", None));
    }

    #[test]
    fn ids_are_spelled_as_the_wire_wants_them() {
        for (id, letters, words) in [
            ("call_a-B1", "callaB1", "call_a-B1"),
            ("call_1|fc_2", "call1", "call_1"),
            ("über.1", "ber1", "_ber_1"),
            ("-", "call", "-"),
            ("", "call", "call"),
        ] {
            assert_eq!((alphanumeric(id).as_str(), word(id).as_str()), (letters, words), "{id}");
        }
        let long = format!("call_{}", "x1".repeat(50));
        assert_eq!((alphanumeric(&long).len(), word(&long).len()), (40, 64));
    }
}
