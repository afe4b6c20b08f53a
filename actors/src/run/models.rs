//! Where a run gets its models from: the chain of candidates behind a choice.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::context::{agent_entry, default_agent};
use crate::config::ConfigHandle;
use crate::config::handle::Snapshot;
use crate::config::settings::ModelChoice;
use crate::model::catalogue::{CONTEXT_WINDOW_DEFAULT, Catalogue, View};
use crate::model::http::HttpClients;
use crate::model::local;
use crate::model::provider::{Provider, Target};
use crate::model::reference::{self, ModelRef};
use crate::model::wires;
use crate::session::AgentId;

/// One model that a run may ask, with the wire to ask it by.
#[derive(Clone)]
pub struct Candidate {
    pub target: Target,
    pub provider: Arc<dyn Provider>,
}

impl Candidate {
    /// `provider/model`
    pub fn reference(&self) -> String {
        format!("{}/{}", self.target.provider, self.target.model)
    }
}

/// What a choice of model depends on.
#[derive(Debug, Clone)]
pub struct ModelWish {
    pub agent: AgentId,
    /// `provider/model` that the session was set to, and whether failover set it.
    pub session: Option<(String, bool)>,
    /// For this turn only.
    pub turn: Option<String>,
}

/// Chooses models. The configured one reads the current snapshot at every call.
pub trait ModelSource: Send + Sync {
    /// The models to try, best first, at least one. The error is a sentence for the person.
    fn candidates<'a>(&'a self, wish: &'a ModelWish) -> BoxFuture<'a, Result<Vec<Candidate>, String>>;

    /// `provider/model` of an agent when nobody chooses, and its context window in tokens.
    fn default_of(&self, agent: &AgentId) -> (String, u64);

    /// Provider and model behind what somebody wrote, if it may be chosen. The error is a sentence for the person.
    fn resolve(&self, text: &str) -> Result<(String, String), String>;

    /// Does the text name a model that is listed, by alias or reference?
    fn is_known(&self, text: &str) -> bool;

    /// `provider/model` of everything that may be chosen.
    fn offered(&self) -> Vec<String>;
}

/// How long a found, or not found, local model server is believed.
const LOCAL_TTL: std::time::Duration = std::time::Duration::from_secs(60);

/// Models as the configuration names them.
pub struct ConfiguredModels {
    config: ConfigHandle,
    clients: HttpClients,
    catalogue: Mutex<Option<(u64, Arc<Catalogue>)>>,
    local: Mutex<Option<(Instant, Option<Target>)>>,
    /// Addresses of local model servers; absent means that none is looked for.
    local_urls: Option<(String, String)>,
}

impl ConfiguredModels {
    /// `local_urls` are the addresses of Ollama and LM Studio without `/v1`.
    pub fn new(config: ConfigHandle, clients: HttpClients, local_urls: Option<(String, String)>) -> Self {
        Self { config, clients, catalogue: Mutex::default(), local: Mutex::default(), local_urls }
    }

    /// The catalogue of the snapshot in force; made once a generation.
    pub fn catalogue(&self, snapshot: &Snapshot) -> Arc<Catalogue> {
        let mut cached = self.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        match cached.as_ref() {
            Some((generation, catalogue)) if *generation == snapshot.generation => Arc::clone(catalogue),
            _ => {
                let catalogue = Arc::new(Catalogue::from_settings(&snapshot.settings));
                *cached = Some((snapshot.generation, Arc::clone(&catalogue)));
                catalogue
            }
        }
    }

    /// What the configuration in force offers.
    pub fn list(&self, view: View) -> Vec<crate::model::catalogue::ModelInfo> {
        self.catalogue(&self.config.load()).list(view)
    }

    fn target(&self, snapshot: &Snapshot, model: &ModelRef) -> Result<Target, String> {
        let secret = |input: &_| snapshot.secrets.resolve(input).map(str::to_owned);
        let env = |name: &str| snapshot.env.non_empty(name).map(str::to_owned);
        self.catalogue(snapshot).target(model, secret, env).map_err(|error| error.to_string())
    }

    fn candidate(&self, target: Target) -> Result<Candidate, String> {
        let provider = wires::provider_for(&target.api, &self.clients)
            .ok_or_else(|| format!("provider {}: the wire {} is not supported", target.provider, target.api))?;
        Ok(Candidate { target, provider })
    }

    /// The model of a server on this machine, looked for at most once a minute.
    async fn local(&self) -> Option<Target> {
        let (ollama, lm_studio) = self.local_urls.as_ref()?;
        if let Some((at, found)) = self.local.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && at.elapsed() < LOCAL_TTL
        {
            return found.clone();
        }
        let found = local::detect(&self.clients, ollama, lm_studio).await;
        *self.local.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
        found
    }

    async fn choose(&self, wish: &ModelWish) -> Result<Vec<Candidate>, String> {
        let snapshot = self.config.load();
        let catalogue = self.catalogue(&snapshot);
        let chain = chain(&snapshot, &catalogue, wish)?;
        if chain.is_empty() {
            let target = self.local().await.unwrap_or_else(local::echo_target);
            return Ok(vec![self.candidate(target)?]);
        }
        let mut candidates = Vec::new();
        let mut first_error = None;
        for model in &chain {
            match self.target(&snapshot, model).and_then(|target| self.candidate(target)) {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => {
                    tracing::warn!(model = %model, %error, "model left out");
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if candidates.is_empty() => Err(error),
            _ => Ok(candidates),
        }
    }
}

impl ModelSource for ConfiguredModels {
    fn candidates<'a>(&'a self, wish: &'a ModelWish) -> BoxFuture<'a, Result<Vec<Candidate>, String>> {
        self.choose(wish).boxed()
    }

    fn default_of(&self, agent: &AgentId) -> (String, u64) {
        let snapshot = self.config.load();
        let catalogue = self.catalogue(&snapshot);
        let wish = ModelWish { agent: agent.clone(), session: None, turn: None };
        let model = chain(&snapshot, &catalogue, &wish).ok().and_then(|chain| chain.into_iter().next());
        let Some(model) = model else {
            let echo = local::echo_target();
            return (format!("{}/{}", echo.provider, echo.model), echo.context_window);
        };
        let window = self.target(&snapshot, &model).map_or(CONTEXT_WINDOW_DEFAULT, |target| target.context_window);
        (model.to_string(), window)
    }

    fn resolve(&self, text: &str) -> Result<(String, String), String> {
        let found = self.catalogue(&self.config.load()).choose(text).map_err(|error| error.to_string())?;
        Ok((found.model.provider, found.model.model))
    }

    fn is_known(&self, text: &str) -> bool {
        let Ok(found) = self.catalogue(&self.config.load()).choose(text) else { return false };
        !found.guessed && self.offered().contains(&found.model.to_string())
    }

    fn offered(&self) -> Vec<String> {
        let list = self.list(View::Default);
        list.into_iter().map(|model| format!("{}/{}", model.provider, model.id)).collect()
    }
}

/// The references to try, best first; empty when nothing is configured.
///
/// A model that a person chose, for a turn or a session, stands alone. The agent's own model has the fallbacks that it
/// names itself. The configured default, and a model that failover has set, go on down the configured chain.
/// Source: candidate list of 2026.5.12.
fn chain(snapshot: &Snapshot, catalogue: &Catalogue, wish: &ModelWish) -> Result<Vec<ModelRef>, String> {
    let chosen = |text: &str| catalogue.choose(text).map(|found| found.model).map_err(|error| error.to_string());
    if let Some(text) = &wish.turn {
        return Ok(vec![chosen(text)?]);
    }
    let defaults = &snapshot.settings.agents.defaults;
    let configured = configured_chain(catalogue, defaults.model.as_ref());
    match &wish.session {
        Some((text, true)) => {
            let model = chosen(text)?;
            let after = configured.iter().position(|known| *known == model).map_or(0, |place| place + 1);
            return Ok(std::iter::once(model).chain(configured.into_iter().skip(after)).collect());
        }
        Some((text, false)) => return Ok(vec![chosen(text)?]),
        None => {}
    }
    let own = agent_entry(&snapshot.settings, &wish.agent).and_then(|entry| entry.model.as_ref());
    let own = configured_chain(catalogue, own);
    if !own.is_empty() {
        return Ok(own);
    }
    if !configured.is_empty() {
        return Ok(configured);
    }
    let env = |name: &str| snapshot.env.non_empty(name).map(str::to_owned);
    Ok(catalogue.default_model(env).into_iter().collect())
}

fn configured_chain(catalogue: &Catalogue, choice: Option<&ModelChoice>) -> Vec<ModelRef> {
    reference::chain(choice).filter_map(|text| catalogue.reference(text).ok()).map(|found| found.model).collect()
}

/// The default agent's model, for listings.
pub fn default_reference(source: &dyn ModelSource, snapshot: &Snapshot) -> String {
    source.default_of(&default_agent(&snapshot.settings)).0
}
