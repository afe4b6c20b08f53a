//! Tools: what a model may call, and what it is told when a call cannot be made.
//!
//! A plain library; runs call it. Every call has an outcome: an unknown tool, bad arguments, a failure and even a panic
//! are results that the model reads, never errors of the run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::model::provider::ToolSpec;
use crate::session::SessionKey;
use crate::supervision::task::panic_message;

mod arguments;
pub mod builtin;
pub mod catalog;
mod outcome;
pub mod policy;

pub use outcome::ToolOutcome;

/// Whose call it is.
#[derive(Debug, Clone)]
pub struct ToolContext {
    pub session_key: SessionKey,
    pub run_id: String,
}

/// How long a call may take that only looks something up.
const DEADLINE: Duration = Duration::from_secs(60);

/// One tool.
pub trait Tool: Send + Sync {
    /// Name, description and arguments as the model sees them. The same at every call.
    fn spec(&self) -> ToolSpec;

    /// Does a call leave everything as it was? Such calls may be repeated after a restart.
    fn read_only(&self) -> bool;

    /// How long one call may take before it is dropped. A tool that runs something itself may ask for more.
    fn deadline(&self, _args: &Value) -> Duration {
        DEADLINE
    }

    /// Runs one call; `args` fit the schema of `spec`. Dropping the future cancels it.
    fn call<'a>(&'a self, context: &'a ToolContext, args: &'a Value) -> BoxFuture<'a, ToolOutcome>;
}

/// The tools that one run may call.
#[derive(Clone, Default)]
pub struct Toolbox {
    tools: Vec<(ToolSpec, Arc<dyn Tool>)>,
    result_chars_max: usize,
}

impl Toolbox {
    /// Keeps those of `tools` that the policy allows. Results are cut to `result_chars_max` characters.
    pub fn new(tools: Vec<Arc<dyn Tool>>, stages: &[policy::Stage<'_>], result_chars_max: usize) -> Self {
        let tools = tools
            .into_iter()
            .map(|tool| (tool.spec(), tool))
            .filter(|(spec, _)| policy::decide(stages, &spec.name).allowed)
            .collect();
        Self { tools, result_chars_max }
    }

    /// What the model is offered.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|(spec, _)| spec.clone()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Is the tool known to change nothing? An unknown one is not.
    pub fn is_read_only(&self, name: &str) -> bool {
        self.get(name).is_some_and(|(_, tool)| tool.read_only())
    }

    /// Runs one call, whatever comes of it.
    pub async fn call(&self, context: &ToolContext, name: &str, args: &Value) -> ToolOutcome {
        let Some((spec, tool)) = self.get(name) else { return ToolOutcome::not_found(name) };
        if let Err(text) = arguments::validate(name, &spec.parameters, args) {
            return ToolOutcome::invalid(text);
        }
        let limit = tool.deadline(args);
        let called = AssertUnwindSafe(async { tool.call(context, args).await }).catch_unwind();
        let outcome = match tokio::time::timeout(limit, called).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                let error = panic_message(panic.as_ref());
                tracing::error!(tool = name, run = %context.run_id, %error, "tool panicked");
                ToolOutcome::error(name, "the tool failed unexpectedly")
            }
            Err(_) => {
                let seconds = limit.as_secs();
                tracing::error!(tool = name, run = %context.run_id, seconds, "tool did not end in time");
                ToolOutcome::error(name, format!("the tool did not end within {seconds} s and was stopped"))
            }
        };
        outcome.limited(self.result_chars_max)
    }

    fn get(&self, name: &str) -> Option<&(ToolSpec, Arc<dyn Tool>)> {
        self.tools.iter().find(|(spec, _)| spec.name == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Answers with its argument, panics, or never ends.
    struct Echo(&'static str);

    impl Tool for Echo {
        fn spec(&self) -> ToolSpec {
            let parameters =
                json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
            ToolSpec { name: self.0.into(), description: "Repeats a text".into(), parameters }
        }

        fn read_only(&self) -> bool {
            true
        }

        fn call<'a>(&'a self, _: &'a ToolContext, args: &'a Value) -> BoxFuture<'a, ToolOutcome> {
            Box::pin(async move {
                let text = args["text"].as_str().unwrap();
                assert_ne!(text, "boom");
                if text == "hang" {
                    std::future::pending::<()>().await;
                }
                ToolOutcome::text(text)
            })
        }
    }

    fn toolbox(deny: &[String]) -> Toolbox {
        let stage = policy::Stage { source: "tools", allow: None, deny };
        Toolbox::new(vec![Arc::new(Echo("echo")), Arc::new(Echo("twice"))], &[stage], 200)
    }

    async fn call(name: &str, args: Value) -> (String, bool) {
        let context = ToolContext { session_key: SessionKey::global(), run_id: "r".into() };
        let outcome = toolbox(&[]).call(&context, name, &args).await;
        (outcome.content[0].as_text().unwrap().to_owned(), outcome.is_error)
    }

    #[tokio::test]
    async fn every_call_has_an_outcome() {
        assert_eq!(call("echo", json!({"text": "hi"})).await, ("hi".into(), false));
        assert_eq!(call("nope", json!({})).await, ("Tool nope not found".into(), true));
        let (text, is_error) = call("echo", json!({})).await;
        assert!(is_error && text.starts_with("Validation failed for tool \"echo\":"), "{text}");
        let (text, is_error) = call("echo", json!({"text": "boom"})).await;
        assert!(is_error, "{text}");
        assert_eq!(text, r#"{"status":"error","tool":"echo","error":"the tool failed unexpectedly"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_end_is_stopped_at_its_deadline() {
        let begun = tokio::time::Instant::now();
        let (text, is_error) = call("echo", json!({"text": "hang"})).await;
        assert!(is_error && text.contains("did not end within 60 s and was stopped"), "{text}");
        assert_eq!(begun.elapsed(), DEADLINE);
    }

    #[tokio::test]
    async fn long_results_are_cut() {
        let (text, _) = call("echo", json!({"text": "x".repeat(300)})).await;
        assert!(text.ends_with("more characters truncated]") && text.chars().count() <= 200, "{text}");
    }

    #[test]
    fn a_denied_tool_is_not_in_the_box() {
        let toolbox = toolbox(&["echo".into()]);
        assert!(!toolbox.has("echo") && toolbox.has("twice") && toolbox.is_read_only("twice"));
        assert_eq!(toolbox.specs().len(), 1);
    }
}
