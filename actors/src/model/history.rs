//! What of a conversation is sent to a model: every tool call answered, every answer asked for, nothing empty.
//!
//! Works on a view for one request; the stored conversation is never changed. Idempotent, so that every wire can call it.
//! Source: transcript rules and tool-id pairing of 2026.5.12.

use std::borrow::Cow;

use super::message::{AssistantMessage, Message, Part, ToolCall, ToolResultMessage};

/// Answer to a call whose run ended before its tool did.
pub const NO_RESULT: &str = "This call has no recorded result: the run ended before the tool answered.";
/// Stands where an image was, for a model that takes none.
pub const IMAGE_OMITTED: &str = "[an image was here; this model cannot see images]";

/// The messages as a model may get them, oldest first. `images`: does the model take images?
///
/// Results follow their assistant message directly, in the order of its calls; of two results for one call the first
/// counts. A message that a steering user put between call and result comes after the results.
pub fn for_request(messages: &[Message], images: bool) -> Vec<Cow<'_, Message>> {
    let mut sent = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        match message {
            Message::User(_) => sent.push(without_images(message, images)),
            Message::Assistant(assistant) if is_worth_sending(assistant) => {
                sent.push(Cow::Borrowed(message));
                sent.extend(results_of(assistant, &messages[at + 1..]).map(|result| match result {
                    Cow::Borrowed(found) => without_images(found, images),
                    Cow::Owned(made) => Cow::Owned(made),
                }));
            }
            // results travel with their calls; one without a call is left out
            Message::Assistant(_) | Message::ToolResult(_) => {}
        }
    }
    sent
}

/// Reasoning alone does not make an answer: no wire takes it back without what followed it.
fn is_worth_sending(message: &AssistantMessage) -> bool {
    message.content.iter().any(|part| match part {
        Part::Text { text } => !text.trim().is_empty(),
        Part::ToolCall(_) | Part::Image { .. } => true,
        Part::Thinking { .. } => false,
    })
}

/// One result for each call of `assistant`, looked for up to the next assistant message.
fn results_of<'a>(assistant: &'a AssistantMessage, after: &'a [Message]) -> impl Iterator<Item = Cow<'a, Message>> {
    let turn = after.iter().take_while(|message| !matches!(message, Message::Assistant(_)));
    assistant.tool_calls().map(move |call| {
        let found = turn.clone().find(|m| matches!(m, Message::ToolResult(result) if result.tool_call_id == call.id));
        found.map_or_else(|| Cow::Owned(no_result(call, assistant.timestamp)), Cow::Borrowed)
    })
}

fn no_result(call: &ToolCall, timestamp: i64) -> Message {
    Message::ToolResult(ToolResultMessage {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        content: vec![Part::text(NO_RESULT)],
        details: None,
        is_error: true,
        timestamp,
    })
}

fn without_images(message: &Message, images: bool) -> Cow<'_, Message> {
    let has_image = |parts: &[Part]| parts.iter().any(|part| matches!(part, Part::Image { .. }));
    let strip = |parts: &mut Vec<Part>| {
        for part in parts.iter_mut().filter(|part| matches!(part, Part::Image { .. })) {
            *part = Part::text(IMAGE_OMITTED);
        }
    };
    match message {
        Message::User(m) if !images && has_image(&m.content) => {
            let mut copy = m.clone();
            strip(&mut copy.content);
            Cow::Owned(Message::User(copy))
        }
        Message::ToolResult(m) if !images && has_image(&m.content) => {
            let mut copy = m.clone();
            strip(&mut copy.content);
            Cow::Owned(Message::ToolResult(copy))
        }
        _ => Cow::Borrowed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::StopReason;
    use crate::model::samples::{answer, call, image, result, user};

    /// `u` user, `a` assistant text, `c1` call with id 1, `r1` its result, `R1` its synthetic result.
    fn shape(messages: &[Cow<'_, Message>]) -> String {
        let words: Vec<String> = messages
            .iter()
            .map(|message| match &**message {
                Message::User(_) => "u".to_owned(),
                Message::Assistant(m) => {
                    let calls: String = m.tool_calls().map(|call| format!("c{}", call.id)).collect();
                    if calls.is_empty() { "a".to_owned() } else { calls }
                }
                Message::ToolResult(m) if m.content == [Part::text(NO_RESULT)] => format!("R{}", m.tool_call_id),
                Message::ToolResult(m) => format!("r{}", m.tool_call_id),
            })
            .collect();
        words.join(" ")
    }

    fn calls(ids: &[&str]) -> Message {
        answer(ids.iter().map(|id| call(id, "exec")).collect(), StopReason::ToolUse)
    }

    #[test]
    fn calls_and_results_are_paired() {
        let text = || answer(vec![Part::text("hi")], StopReason::Stop);
        for (given, expected) in [
            (vec![user("x"), calls(&["1"]), result("1"), text()], "u c1 r1 a"),
            (vec![user("x"), calls(&["1", "2"]), result("2"), result("1")], "u c1c2 r1 r2"),
            (vec![user("x"), calls(&["1"]), user("steer"), result("1")], "u c1 r1 u"),
            (vec![user("x"), calls(&["1"]), user("y")], "u c1 R1 u"),
            (vec![user("x"), calls(&["1", "2"]), result("2"), text()], "u c1c2 R1 r2 a"),
            (vec![result("0"), user("x"), text(), result("1")], "u a"),
            (vec![calls(&["1"]), result("1"), result("1"), user("x")], "c1 r1 u"),
            (vec![calls(&["1"]), calls(&["2"]), result("1"), result("2")], "c1 R1 c2 r2"),
            (vec![], ""),
        ] {
            let sent = for_request(&given, true);
            assert_eq!(shape(&sent), expected);
            let again: Vec<Message> = sent.iter().map(|m| m.clone().into_owned()).collect();
            assert_eq!(for_request(&again, true), sent, "idempotent");
        }
    }

    #[test]
    fn an_answer_without_content_is_left_out() {
        let thinking = Part::Thinking { thinking: "hm".into(), thinking_signature: None };
        for (parts, stop, expected) in [
            (vec![], StopReason::Error, "u"),
            (vec![Part::text(" \n")], StopReason::Aborted, "u"),
            (vec![thinking.clone()], StopReason::Aborted, "u"),
            (vec![Part::text("half an ans")], StopReason::Aborted, "u a"),
            (vec![thinking, Part::text("x")], StopReason::Stop, "u a"),
        ] {
            assert_eq!(shape(&for_request(&[user("x"), answer(parts, stop)], true)), expected);
        }
    }

    #[test]
    fn a_model_without_eyes_gets_a_note_for_each_image() {
        let mut seen = user("look");
        let Message::User(inner) = &mut seen else { unreachable!() };
        inner.content.push(image());
        let given = [seen];
        assert_eq!(for_request(&given, true)[0].as_ref(), &given[0]);
        assert_eq!(for_request(&given, false)[0].text(), format!("look{IMAGE_OMITTED}"));
    }
}
