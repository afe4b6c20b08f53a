//! The configuration file, read and written by clients.
//!
//! Reads look at the file as it is now, so that the hash in an answer is the one that the next write must name. Writes
//! go through `config::write`; the watcher then applies them, after the answer. Source: `config.*` of 2026.5.12.

use jiff::Timestamp;
use openclaw_actors::config::env::Env;
use openclaw_actors::config::patch::{self, Arrays};
use openclaw_actors::config::paths::Paths;
use openclaw_actors::config::write::{self, Base, WriteError, Writer, Written};
use openclaw_actors::config::{ConfigError, dotenv, json_schema, load, parse, redact};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::supervision::task;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config_view::{self, refused};
use super::{Access, Call, Method, Reply};
use crate::gateway::ws::client::ClientFacts;

const READ: Access = Access::Operator(Scope::Read);
const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("config.get", READ, |call| Box::pin(get(call))),
    Method::new("config.set", ADMIN, |call| Box::pin(set(call))),
    Method::new("config.apply", ADMIN, |call| Box::pin(apply(call))),
    Method::new("config.patch", ADMIN, |call| Box::pin(patch(call))),
    Method::new("config.schema", ADMIN, |call| Box::pin(schema(call))),
    Method::new("config.schema.lookup", READ, |call| Box::pin(schema_lookup(call))),
];

/// Parameters of the writing methods. `sessionKey`, `note`, `deliveryContext` and `restartDelayMs` are about the restart
/// that 2026.5.12 makes after a write; here the watcher asks for one if the change needs it, so they are not looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteParams {
    /// JSON5: the whole file, or the merge patch.
    raw: String,
    /// Hash of the text that the client has seen.
    #[serde(default)]
    base_hash: Option<String>,
}

impl Params for WriteParams {}

#[derive(Debug, Deserialize)]
struct LookupParams {
    path: String,
}

impl Params for LookupParams {
    fn check(&self) -> Result<(), String> {
        params::length("path", &self.path, 1, 1024)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_./[]-*".contains(c);
        if self.path.chars().all(allowed) {
            return Ok(());
        }
        Err(r"at /path: must match pattern ^[A-Za-z0-9_./\[\]\-*]+$".into())
    }
}

async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let in_force = call.services.config.load();
    let place = Place::of(&call);
    let read = move || {
        let env = place.env();
        let text = parse::read_regular(&place.paths.config_path).ok();
        config_view::answer(&place.paths, text.as_deref(), load::load(&place.paths, &env), &in_force)
    };
    task::blocking(read).await.map(Reply::Value).map_err(ErrorShape::unavailable)
}

async fn set(call: Call) -> Result<Reply, ErrorShape> {
    replace(call).await
}

/// Like `config.set`, within the budget of control-plane writes.
async fn apply(call: Call) -> Result<Reply, ErrorShape> {
    call.services.control_budget.spend(call.method, &call.client)?;
    replace(call).await
}

async fn replace(call: Call) -> Result<Reply, ErrorShape> {
    let params: WriteParams = call.params()?;
    let job = Job::of(&call, params);
    let written = job.run(|job, env, writer| write::replace(&job.place.paths, env, writer, &job.params.raw)).await?;
    Ok(Reply::Value(done(&written)))
}

/// Merges a patch into the configuration as it was authored. Refused while the file is invalid.
async fn patch(call: Call) -> Result<Reply, ErrorShape> {
    call.services.control_budget.spend(call.method, &call.client)?;
    let params: WriteParams = call.params()?;
    let job = Job::of(&call, params);
    let written = job.run(merge).await?;
    let mut answer = done(&written);
    if written.file.is_none() {
        answer["noop"] = json!(true);
    }
    Ok(Reply::Value(answer))
}

fn merge(job: &Job, env: &Env, writer: &Writer<'_>) -> Result<Written, WriteError> {
    let paths = &job.place.paths;
    // `write::change` asks for the hash again, under the lock; here it decides which error comes first
    let text = parse::read_regular(&paths.config_path).ok();
    write::check_base(writer.base, text.as_deref())?;
    load::load(paths, env)?;
    let change = parse::config(&job.params.raw).map_err(ConfigError::from)?;
    write::change(paths, env, writer, |stored| patch::merge(stored, &change, Arrays::MergeById, &[]))
}

async fn schema(call: Call) -> Result<Reply, ErrorShape> {
    Ok(Reply::Value(json!({
        "schema": json_schema::schema(),
        "uiHints": json_schema::hints(),
        "version": call.services.version,
        "generatedAt": format!("{:.3}", Timestamp::now()),
    })))
}

async fn schema_lookup(call: Call) -> Result<Reply, ErrorShape> {
    let params: LookupParams = call.params()?;
    let found = json_schema::lookup(&params.path);
    found.map(Reply::Value).ok_or_else(|| ErrorShape::invalid("config schema path not found"))
}

/// Where the configuration is and what it is read with.
struct Place {
    paths: Paths,
    process_env: Env,
    cwd: std::path::PathBuf,
}

impl Place {
    fn of(call: &Call) -> Self {
        let services = &call.services;
        let (process_env, cwd) = (services.process_env.clone(), services.cwd.clone());
        Self { paths: services.paths.clone(), process_env, cwd }
    }

    /// Blocking: reads the `.env` files.
    fn env(&self) -> Env {
        dotenv::layered(self.process_env.clone(), &self.cwd, &self.paths)
    }
}

/// One write that a client asked for.
struct Job {
    place: Place,
    params: WriteParams,
    /// For the audit line.
    actor: String,
    version: &'static str,
}

impl Job {
    fn of(call: &Call, params: WriteParams) -> Self {
        Self { place: Place::of(call), params, actor: actor(&call.client), version: call.services.version }
    }

    /// Runs the write on the blocking pool. It goes on when the caller goes away.
    async fn run(
        self,
        work: impl FnOnce(&Self, &Env, &Writer<'_>) -> Result<Written, WriteError> + Send + 'static,
    ) -> Result<Written, ErrorShape> {
        let run = move || {
            let env = self.place.env();
            let writer = Writer {
                actor: &self.actor,
                base: Base::Hash(self.params.base_hash.as_deref()),
                replace: false,
                secrets_required: true,
                version: Some(self.version),
                now: Timestamp::now(),
            };
            work(&self, &env, &writer)
        };
        task::blocking(run).await.map_err(ErrorShape::unavailable)?.map_err(refused)
    }
}

fn actor(client: &ClientFacts) -> String {
    let who = client.device_id.as_deref().unwrap_or(&client.conn);
    format!("rpc {} {who}", client.client_id)
}

fn done(written: &Written) -> Value {
    let snapshot = &written.snapshot;
    json!({ "ok": true, "path": snapshot.path.display().to_string(), "config": redact::redact(&snapshot.source) })
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::paths::{self, PathInputs};
    use openclaw_actors::files;

    use super::*;

    fn lookup(path: &str) -> Result<LookupParams, ErrorShape> {
        params::from_value("config.schema.lookup", json!({ "path": path }))
    }

    #[test]
    fn a_lookup_takes_paths_and_nothing_else() {
        for path in ["gateway.port", "agents.list[].id", "agents/list/0", "models.providers.*.api-key"] {
            assert!(lookup(path).is_ok(), "{path}");
        }
        for path in ["", "a b", "a\"b", "ä", &"a".repeat(1025)] {
            assert!(lookup(path).is_err(), "{path}");
        }
    }

    /// A file in a directory of its own, and patches of it.
    struct Place {
        paths: Paths,
        env: Env,
        dir: tempfile::TempDir,
    }

    fn place(text: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        let env = Env::from_iter([("HOME", at), ("OPENCLAW_STATE_DIR", at)]);
        let inputs = PathInputs { cwd: dir.path().to_owned(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        files::replace(&paths.config_path, text.as_bytes()).unwrap();
        Place { paths, env, dir }
    }

    async fn patched(place: &Place, raw: &str, base_hash: Option<String>) -> Result<Written, ErrorShape> {
        let job = Job {
            place: super::Place {
                paths: place.paths.clone(),
                process_env: place.env.clone(),
                cwd: place.dir.path().to_owned(),
            },
            params: WriteParams { raw: raw.into(), base_hash },
            actor: "rpc test".into(),
            version: "1.2.3",
        };
        job.run(merge).await
    }

    const TEXT: &str = "{ gateway: { mode: 'local', auth: { token: 'canary' } } } // mine\n";

    #[tokio::test]
    async fn a_patch_changes_what_it_names_and_shows_no_secret() {
        let place = place(TEXT);
        let raw =
            format!("{{ logging: {{ level: 'warn' }}, gateway: {{ auth: {{ token: '{}' }} }} }}", redact::SENTINEL);
        let written = patched(&place, &raw, Some(load::hash(TEXT))).await.unwrap();
        let text = std::fs::read_to_string(&place.paths.config_path).unwrap();
        assert!(text.contains("// mine") && text.contains("token: 'canary'") && text.contains("warn"), "{text}");
        let answer = done(&written);
        assert_eq!((&answer["ok"], &answer["config"]["logging"]["level"]), (&json!(true), &json!("warn")));
        assert!(!answer.to_string().contains("canary"), "{answer}");
        let again = patched(&place, "{ logging: { level: 'warn' } }", Some(load::hash(&text))).await.unwrap();
        assert!(again.file.is_none(), "nothing had to change");
    }

    #[tokio::test]
    async fn a_patch_is_refused_for_its_hash_before_anything_else() {
        let place = place(TEXT);
        let refusal =
            async |raw, hash: Option<&str>| patched(&place, raw, hash.map(str::to_owned)).await.unwrap_err().message;
        assert_eq!(refusal("{ bad", None).await, "config base hash required; re-run config.get and retry");
        assert_eq!(refusal("{ bad", Some("00")).await, "config changed since last load; re-run config.get and retry");
        let hash = load::hash(TEXT);
        assert!(refusal("{ bad", Some(&hash)).await.starts_with("invalid config: "));
        assert!(refusal("[]", Some(&hash)).await.contains("root must be an object"));
        assert_eq!(
            refusal("{ gateway: { port: 'many' } }", Some(&hash)).await,
            "invalid config: gateway.port: Invalid input: expected number, received string"
        );
        assert_eq!(std::fs::read_to_string(&place.paths.config_path).unwrap(), TEXT);
    }

    #[tokio::test]
    async fn an_invalid_file_is_not_patched() {
        let broken = "{ gateway: { port: 'x' } }";
        let place = place(broken);
        let error = patched(&place, "{ gateway: { port: 5 } }", Some(load::hash(broken))).await.unwrap_err();
        assert!(error.message.starts_with("invalid config: gateway.port: "), "{}", error.message);
    }
}
