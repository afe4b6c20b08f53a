//! The `messages` of a chat completion as one turn: what is asked now, what went before, what the system says.

use serde_json::Value;

/// Stands before what was said earlier.
const EARLIER: &str = "[Earlier messages of this conversation]";
/// Stands before what is to be answered.
const NOW: &str = "[The message to answer]";

/// The messages as a turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// System and developer texts, apart by a blank line.
    pub system: Option<String>,
    pub text: String,
    /// `image_url` texts of the message to answer.
    pub images: Vec<String>,
}

/// One thing that was said.
struct Said {
    who: String,
    text: String,
    images: Vec<String>,
    /// May a turn end with it? An assistant's message is only context.
    can_be_answered: bool,
}

/// Reads the messages. `None` when nothing is to be answered.
pub fn read(messages: &[Value]) -> Option<Prompt> {
    let mut system = Vec::new();
    let mut said = Vec::new();
    for message in messages {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default().trim();
        match role {
            "system" | "developer" => system.extend(Some(text(message)).filter(|text| !text.is_empty())),
            "user" => said.extend(user(message)),
            "assistant" => said.extend(assistant(message)),
            "tool" | "function" => said.extend(tool(message)),
            _ => {}
        }
    }
    let last = said.iter().rposition(|said| said.can_be_answered)?;
    said.truncate(last + 1);
    let current = said.pop()?;
    Some(Prompt {
        system: Some(system.join("\n\n")).filter(|text| !text.is_empty()),
        text: render(&said, &current),
        images: current.images,
    })
}

fn render(earlier: &[Said], current: &Said) -> String {
    if earlier.is_empty() && current.who == "User" {
        return current.text.clone();
    }
    let line = |said: &Said| format!("{}: {}", said.who, said.text);
    let mut text = String::new();
    if !earlier.is_empty() {
        let lines: Vec<String> = earlier.iter().map(line).collect();
        text = format!("{EARLIER}\n{}\n\n", lines.join("\n"));
    }
    format!("{text}{NOW}\n{}", line(current))
}

fn user(message: &Value) -> Option<Said> {
    let (text, images) = (text(message), images(message));
    let is_empty = text.is_empty() && images.is_empty();
    (!is_empty).then(|| Said { who: "User".into(), text, images, can_be_answered: true })
}

/// What the assistant said and the calls that it made.
fn assistant(message: &Value) -> Option<Said> {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().map(|call| {
        let field = |path: &str| call.pointer(path).and_then(Value::as_str).unwrap_or_default();
        format!("[called {} ({}) with {}]", field("/function/name"), field("/id"), field("/function/arguments"))
    });
    let lines: Vec<String> = std::iter::once(text(message)).filter(|text| !text.is_empty()).chain(calls).collect();
    let text = lines.join("\n");
    (!text.is_empty()).then(|| Said { who: "Assistant".into(), text, images: Vec::new(), can_be_answered: false })
}

fn tool(message: &Value) -> Option<Said> {
    let text = text(message);
    let name = message.get("tool_call_id").or_else(|| message.get("name")).and_then(Value::as_str);
    let who = name.map_or_else(|| "Tool".to_owned(), |name| format!("Tool ({name})"));
    (!text.is_empty()).then(|| Said { who, text, images: Vec::new(), can_be_answered: true })
}

/// The text of a message: a string, or parts of type `text` and `input_text`, a line each.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Array(parts)) => {
            let is_text =
                |part: &&Value| matches!(part.get("type").and_then(Value::as_str), Some("text" | "input_text"));
            let texts = parts.iter().filter(is_text).filter_map(|part| part.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n").trim().to_owned()
        }
        _ => String::new(),
    }
}

/// `image_url` parts, as `{image_url: {url}}` or `{image_url: url}`; one without an address is empty.
fn images(message: &Value) -> Vec<String> {
    let parts = message.get("content").and_then(Value::as_array);
    let is_image = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("image_url");
    let url = |part: &Value| {
        let image = part.get("image_url");
        image.and_then(|image| image.get("url").unwrap_or(image).as_str()).unwrap_or_default().trim().to_owned()
    };
    parts.into_iter().flatten().filter(is_image).map(url).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(messages: Value) -> Option<Prompt> {
        read(messages.as_array().unwrap())
    }

    #[test]
    fn a_single_question_is_asked_as_it_is() {
        let read = prompt(json!([
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "text", "text": "there"}]},
        ]));
        let expected =
            Prompt { system: Some("Be brief.\n\nIn English.".into()), text: "hi\nthere".into(), images: Vec::new() };
        assert_eq!(read, Some(expected));
    }

    #[test]
    fn what_went_before_is_context_for_the_last_question() {
        let read = prompt(json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "function": {"name": "get", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "assistant", "content": "Sunny."},
            {"role": "user", "content": "thanks"},
            {"role": "assistant", "content": "not to be answered"},
        ]));
        assert_eq!(
            read.unwrap().text,
            "[Earlier messages of this conversation]\nUser: weather?\nAssistant: [called get (c1) with {}]\n\
             Tool (c1): sunny\nAssistant: Sunny.\n\n[The message to answer]\nUser: thanks"
        );
    }

    #[test]
    fn a_trailing_tool_result_is_the_turn() {
        let read = prompt(json!([{"role": "function", "name": "get", "content": "sunny"}])).unwrap();
        assert_eq!(read.text, "[The message to answer]\nTool (get): sunny");
    }

    #[test]
    fn images_count_only_in_the_message_to_answer() {
        let image = |url: &str| json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
        assert_eq!(prompt(json!([image("a"), image("b")])).unwrap().images, ["b"]);
        assert_eq!(
            prompt(json!([{"role": "user", "content": [{"type": "image_url", "image_url": "c"}]}])).unwrap().images,
            ["c"]
        );
    }

    #[test]
    fn without_anything_to_answer_there_is_no_turn() {
        for messages in [
            json!([]),
            json!([{"role": "system", "content": "x"}]),
            json!([{"role": "assistant", "content": "x"}]),
            json!([{"role": "user", "content": "  "}]),
            json!([{"content": "x"}, 5]),
        ] {
            assert_eq!(prompt(messages.clone()), None, "{messages}");
        }
    }
}
