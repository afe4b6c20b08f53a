//! Secrets from a program: one process per provider, asked for all its ids at once.
//!
//! No shell, an environment of only what is listed, a process group that dies as a whole, a deadline for the answer and for silence,
//! a cap on its size. What the program writes to stderr is never read: it could hold a secret.

#![allow(
    clippy::disallowed_methods,
    reason = "secret providers run before there is a tree that could own their processes"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::super::env::Env;
use super::{Limits, Provider, SecretError, SecretRef, file};

/// Version of the question and the answer.
const PROTOCOL_VERSION: u64 = 1;
/// Longest part of a program's own error text that is shown, characters.
const MESSAGE_MAX: usize = 200;

/// Answers by reference; every reference gets one.
pub type Answers = BTreeMap<SecretRef, Result<String, SecretError>>;

/// Asks the programs behind `references`, a few at a time.
pub async fn resolve(
    references: Vec<SecretRef>,
    providers: &BTreeMap<String, Provider>,
    limits: &Limits,
    env: &Env,
) -> Answers {
    let mut by_provider: BTreeMap<String, Vec<SecretRef>> = BTreeMap::new();
    for reference in references {
        let list = by_provider.entry(reference.provider.clone()).or_default();
        if !list.contains(&reference) {
            list.push(reference);
        }
    }
    let batches = by_provider.into_iter().map(|(name, references)| async move {
        let provider = providers.get(&name).cloned().unwrap_or_default();
        answer_all(&name, &provider, references, limits, env).await
    });
    let width = limits.max_provider_concurrency.max(1);
    futures::stream::iter(batches).buffer_unordered(width).concat().await.into_iter().collect()
}

async fn answer_all(
    name: &str,
    provider: &Provider,
    references: Vec<SecretRef>,
    limits: &Limits,
    env: &Env,
) -> Vec<(SecretRef, Result<String, SecretError>)> {
    let answered = ask(name, provider, &references, limits, env).await;
    let one = |reference: SecretRef| {
        let value = match &answered {
            Err(problem) => Err(SecretError::Provider { provider: name.to_owned(), problem: problem.clone() }),
            Ok(answer) => answer
                .value(&reference.id)
                .map_err(|problem| SecretError::Value { reference: reference.clone(), problem }),
        };
        (reference, value)
    };
    references.into_iter().map(one).collect()
}

/// What a program answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    protocol_version: u64,
    values: BTreeMap<String, Value>,
    errors: BTreeMap<String, Value>,
}

impl Answer {
    fn value(&self, id: &str) -> Result<String, String> {
        match self.values.get(id) {
            Some(Value::String(value)) if !value.is_empty() => return Ok(value.clone()),
            Some(_) => return Err("the program's value is not a text or empty".to_owned()),
            None => {}
        }
        let message = self.errors.get(id).and_then(|error| error.get("message")).and_then(Value::as_str);
        Err(message.map_or_else(|| "the program gave no value".to_owned(), |m| m.chars().take(MESSAGE_MAX).collect()))
    }
}

async fn ask(
    name: &str,
    provider: &Provider,
    references: &[SecretRef],
    limits: &Limits,
    env: &Env,
) -> Result<Answer, String> {
    let ids: Vec<&str> = references.iter().map(|reference| reference.id.as_str()).collect();
    if ids.len() > limits.max_refs_per_provider {
        return Err(format!("{} references are more than secrets.resolution.maxRefsPerProvider", ids.len()));
    }
    if !provider.json_only && ids.len() > 1 {
        return Err("a provider with jsonOnly:false answers one id only".to_owned());
    }
    let question = json!({ "protocolVersion": PROTOCOL_VERSION, "provider": name, "ids": ids }).to_string();
    if question.len() > limits.max_batch_bytes {
        return Err("the question is larger than secrets.resolution.maxBatchBytes".to_owned());
    }
    let output = run(provider, &question, env).await?;
    if !provider.json_only && !output.trim_start().starts_with('{') {
        let value = Value::String(output.trim_end_matches(['\r', '\n']).to_owned());
        let values = ids.first().map(|id| ((*id).to_owned(), value)).into_iter().collect();
        return Ok(Answer { protocol_version: PROTOCOL_VERSION, values, ..Answer::default() });
    }
    let answer: Answer = serde_json::from_str(&output).map_err(|_| "the program did not answer in JSON".to_owned())?;
    if answer.protocol_version != PROTOCOL_VERSION {
        return Err(format!("the program answered with protocol version {}", answer.protocol_version));
    }
    Ok(answer)
}

/// Runs the program to its end and returns what it wrote to stdout.
async fn run(provider: &Provider, question: &str, env: &Env) -> Result<String, String> {
    let real = file::judge_command(provider)?;
    let limit = Duration::from_millis(provider.timeout_ms);
    let mut child = command(provider, &real, env).spawn().map_err(|error| format!("{}: {error}", real.display()))?;
    let outcome = timeout(limit, converse(&mut child, provider, question)).await;
    if let Some(group) = child.id() {
        // still running, so the number is still its own; it may end by itself in this instant
        let _ = killpg(Pid::from_raw(group.cast_signed()), Signal::SIGKILL);
    }
    outcome.unwrap_or_else(|_| Err(format!("{} did not answer within {limit:?}", real.display())))
}

fn command(provider: &Provider, real: &Path, env: &Env) -> Command {
    let mut command = Command::new(real);
    command.args(&provider.args).env_clear().process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.current_dir(real.parent().unwrap_or(Path::new("/")));
    for name in &provider.pass_env {
        if let Some(value) = env.get(name) {
            command.env(name, value);
        }
    }
    command.envs(&provider.env);
    command
}

async fn converse(child: &mut Child, provider: &Provider, question: &str) -> Result<String, String> {
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(question.as_bytes()).await; // a program may answer without listening
    }
    let mut stdout = child.stdout.take().ok_or_else(|| "no output".to_owned())?;
    let silence = provider.no_output_timeout_ms.map_or(Duration::MAX, Duration::from_millis); // else the deadline of the answer
    let mut output = Vec::new();
    loop {
        let read = timeout(silence, stdout.read_buf(&mut output)).await;
        match read.map_err(|_| format!("no output for {silence:?}"))?.map_err(|error| error.to_string())? {
            0 => break,
            _ if output.len() as u64 > provider.max_output_bytes => {
                return Err(format!("the answer is larger than {} bytes", provider.max_output_bytes));
            }
            _ => {}
        }
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("the program ended with {status}"));
    }
    String::from_utf8(output).map_err(|_| "the answer is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// The system's shell: a program of root that exists everywhere. A script of our own could not be run reliably, because another
    /// test may fork while it is open for writing.
    fn shell() -> PathBuf {
        Path::new("/bin/sh").canonicalize().unwrap()
    }

    fn script(body: &str) -> Provider {
        let args = vec!["-c".to_owned(), body.to_owned()];
        Provider { command: shell().to_str().unwrap().to_owned(), args, ..Provider::default() }
    }

    async fn ask_for(provider: Provider, ids: &[&str]) -> Vec<Result<String, String>> {
        let source = super::super::Source::Exec;
        let references: Vec<SecretRef> =
            ids.iter().map(|id| SecretRef { source, provider: "v".into(), id: (*id).to_owned() }).collect();
        let providers = BTreeMap::from([("v".to_owned(), provider)]);
        let env = Env::from_iter([("PATH", "/usr/bin:/bin"), ("PASSED", "yes"), ("KEPT", "no")]);
        let mut answers = resolve(references.clone(), &providers, &Limits::default(), &env).await;
        references.iter().map(|r| answers.remove(r).unwrap().map_err(|error| error.to_string())).collect()
    }

    #[tokio::test]
    async fn one_process_answers_all_ids() {
        let provider = script(
            r#"read -r q || true
            case "$q" in '{"protocolVersion":1,"provider":"v","ids":["a","b","c"]}') ;; *) exit 3;; esac
            echo '{"protocolVersion":1,"values":{"a":"1"},"errors":{"b":{"message":"denied"}}}'"#,
        );
        let answers = ask_for(provider, &["a", "b", "c"]).await;
        assert_eq!(answers[0], Ok("1".to_owned()));
        assert_eq!(answers[1], Err("secret exec:v:b: denied".to_owned()));
        assert_eq!(answers[2], Err("secret exec:v:c: the program gave no value".to_owned()));
    }

    #[tokio::test]
    async fn raw_output_is_the_value_and_the_environment_is_only_what_is_listed() {
        let provider = Provider {
            json_only: false,
            pass_env: vec!["PASSED".into()],
            env: BTreeMap::from([("OWN".to_owned(), "own".to_owned())]),
            ..script("echo \"$PASSED-$KEPT-$OWN\"")
        };
        assert_eq!(ask_for(provider.clone(), &["value"]).await, [Ok("yes--own".to_owned())]);
        assert!(ask_for(provider, &["a", "b"]).await[0].as_ref().unwrap_err().ends_with("answers one id only"));
    }

    #[tokio::test]
    async fn programs_that_misbehave_are_named_and_stopped() {
        for (body, change, expected) in [
            ("sleep 30 & sleep 30", Provider { timeout_ms: 200, ..Provider::default() }, "did not answer within 200ms"),
            ("sleep 30", Provider { no_output_timeout_ms: Some(100), ..Provider::default() }, "no output for 100ms"),
            ("yes", Provider { max_output_bytes: 1000, ..Provider::default() }, "the answer is larger than 1000 bytes"),
            ("echo canary >&2; exit 7", Provider::default(), "the program ended with exit status: 7"),
            ("echo garbage", Provider::default(), "the program did not answer in JSON"),
            ("echo '{\"protocolVersion\":2}'", Provider::default(), "the program answered with protocol version 2"),
        ] {
            let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
            let Provider { command, args, .. } = script(body);
            let provider = Provider { command, args, env, ..change };
            let answer = ask_for(provider, &["a"]).await.remove(0).unwrap_err();
            assert!(answer.ends_with(expected) && !answer.contains("canary"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_program_that_others_control_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        crate::files::replace(&open, b"#!/bin/sh").unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o722)).unwrap();
        let at =
            |path: &Path| Provider { command: path.to_str().unwrap().to_owned(), json_only: false, ..script("echo x") };
        let answer = ask_for(at(&open), &["a"]).await.remove(0).unwrap_err();
        assert!(answer.ends_with("can be changed by others"), "{answer}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(shell(), &link).unwrap();
        assert!(ask_for(at(&link), &["a"]).await[0].as_ref().unwrap_err().contains("is a symlink"));
        let trusting =
            |dir: &str| Provider { allow_symlink_command: true, trusted_dirs: vec![dir.to_owned()], ..at(&link) };
        let inside = trusting(shell().parent().unwrap().to_str().unwrap());
        assert_eq!(ask_for(inside, &["a"]).await, [Ok("x".to_owned())]);
        assert!(
            ask_for(trusting("/nowhere"), &["a"]).await[0].as_ref().unwrap_err().ends_with("is outside trustedDirs")
        );
    }
}
