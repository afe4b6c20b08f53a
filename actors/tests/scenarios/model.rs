//! A model that does what the last message says, without a wire.
//!
//! `hold:NAME` says the first word and waits until NAME is released; `break` panics; anything else is echoed at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use openclaw_actors::model::error::ModelError;
use openclaw_actors::model::local::echo_target;
use openclaw_actors::model::message::{AssistantMessage, Message, Part};
use openclaw_actors::model::provider::{Delta, ModelStream, Provider, Request, Target};
use openclaw_actors::run::models::{Candidate, ModelSource, ModelWish};
use openclaw_actors::session::AgentId;
use tokio::sync::watch;

#[derive(Clone)]
pub struct Scripted {
    /// What each request said, person's messages only, oldest first.
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    wishes: Arc<Mutex<Vec<ModelWish>>>,
    released: watch::Sender<HashSet<String>>,
}

impl Scripted {
    pub fn new() -> Self {
        Self { asked: Arc::default(), wishes: Arc::default(), released: watch::Sender::default() }
    }

    /// Lets the answers to `hold:NAME` go on, now and later.
    pub fn release(&self, name: &str) {
        self.released.send_modify(|released| {
            released.insert(name.to_owned());
        });
    }

    pub fn asked(&self) -> Vec<Vec<String>> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests had a last message with this text.
    pub fn asked_about(&self, text: &str) -> usize {
        self.asked().iter().filter(|said| said.last().is_some_and(|last| last.contains(text))).count()
    }

    /// What the latest run wanted to be answered by.
    pub fn latest_wish(&self) -> ModelWish {
        self.wishes.lock().unwrap().last().cloned().unwrap()
    }
}

impl ModelSource for Scripted {
    fn candidates<'a>(&'a self, wish: &'a ModelWish) -> BoxFuture<'a, Result<Vec<Candidate>, String>> {
        self.wishes.lock().unwrap().push(wish.clone());
        let target = Target { provider: "fake".into(), model: "scripted".into(), ..echo_target() };
        futures::future::ready(Ok(vec![Candidate { target, provider: Arc::new(self.clone()) }])).boxed()
    }

    fn default_of(&self, _: &AgentId) -> (String, u64) {
        ("fake/scripted".into(), 200_000)
    }

    fn resolve(&self, text: &str) -> Result<(String, String), String> {
        Err(format!("{text}: there is only one model"))
    }

    fn is_known(&self, _: &str) -> bool {
        false
    }

    fn offered(&self) -> Vec<String> {
        vec!["fake/scripted".into()]
    }
}

impl Provider for Scripted {
    fn api(&self) -> &'static str {
        "scripted"
    }

    fn stream<'a>(&'a self, _: &'a Target, request: Request<'a>) -> BoxFuture<'a, Result<ModelStream, ModelError>> {
        let is_person = |message: &&Message| matches!(message, Message::User(_));
        let said: Vec<String> = request.messages.iter().filter(is_person).map(Message::text).collect();
        let last = said.last().cloned().unwrap_or_default();
        self.asked.lock().unwrap().push(said);
        assert!(!last.contains("break"), "the model broke");
        let mut released = self.released.subscribe();
        let held = last.split_once("hold:").map(|(_, rest)| rest.split_whitespace().next().unwrap_or("").to_owned());
        let text = format!("echo of {last}");
        let first = held.is_some().then(|| Ok(Delta::Text("echo".into())));
        let rest = async move {
            if let Some(name) = held {
                let _ = released.wait_for(|released| released.contains(&name)).await; // gone: the test is over
            }
            let answer = AssistantMessage {
                content: vec![Part::text(text)],
                api: "scripted".into(),
                ..AssistantMessage::default()
            };
            Ok(Delta::Done(Box::new(answer)))
        };
        let deltas = stream::iter(first).chain(stream::once(rest));
        futures::future::ready(Ok(deltas.boxed())).boxed()
    }
}
