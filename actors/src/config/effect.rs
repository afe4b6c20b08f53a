//! Which keys do something in this release: the one table. Every other known key is accepted, stored and reported.
//!
//! A test holds the table to `settings.rs`: setting a key of the table changes the settings, or the key is listed as read from
//! the source.

use serde_json::Value;

use super::issue::{Issue, IssueCode};
use super::schema::split_pattern;

/// The text of every such note.
pub const NOT_IN_EFFECT: &str = "accepted, not in effect in this release";

/// Keys, and everything below them, that `settings.rs` carries to their readers.
pub const IN_SETTINGS: &[&str] = &[
    "gateway.mode",
    "gateway.port",
    "gateway.bind",
    "gateway.customBindHost",
    "gateway.auth.mode",
    "gateway.auth.token",
    "gateway.auth.password",
    "gateway.auth.trustedProxy.userHeader",
    "gateway.auth.trustedProxy.allowUsers",
    "gateway.auth.trustedProxy.requiredHeaders",
    "gateway.auth.trustedProxy.allowLoopback",
    "gateway.auth.rateLimit.maxAttempts",
    "gateway.auth.rateLimit.windowMs",
    "gateway.auth.rateLimit.lockoutMs",
    "gateway.auth.rateLimit.exemptLoopback",
    "gateway.trustedProxies",
    "gateway.allowRealIpFallback",
    "gateway.controlUi.allowedOrigins",
    "gateway.controlUi.allowInsecureAuth",
    "gateway.controlUi.dangerouslyDisableDeviceAuth",
    "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
    "gateway.remote.url",
    "gateway.remote.token",
    "gateway.remote.password",
    "gateway.reload.mode",
    "gateway.reload.debounceMs",
    "gateway.reload.deferralTimeoutMs",
    "commands.restart",
    "diagnostics.stuckSessionWarnMs",
    "diagnostics.stuckSessionAbortMs",
    "diagnostics.memory.softLimitMb",
    "diagnostics.memory.hardLimitMb",
    "cron.enabled",
    "cron.maxConcurrentRuns",
    "cron.sessionRetention",
    "cron.retry.maxAttempts",
    "cron.retry.backoffMs",
    "cron.retry.retryOn",
    "cron.runLog.keepLines",
    "cron.failureAlert.enabled",
    "cron.failureAlert.after",
    "cron.failureAlert.cooldownMs",
    "cron.failureAlert.includeSkipped",
    "cron.failureDestination.channel",
    "cron.failureDestination.to",
    "cron.failureDestination.accountId",
    "cron.failureDestination.mode",
    "gateway.http.allowedHosts",
    "gateway.http.endpoints.chatCompletions.enabled",
    "gateway.http.endpoints.chatCompletions.maxBodyBytes",
    "gateway.http.endpoints.responses.enabled",
    "gateway.handshakeTimeoutMs",
    "gateway.maxConnections",
    "agents.defaults.workspace",
    "agents.defaults.model",
    "agents.defaults.models.*.alias",
    "agents.defaults.thinkingDefault",
    "agents.defaults.timeoutSeconds",
    "agents.defaults.maxConcurrent",
    "agents.defaults.contextTokens",
    "agents.defaults.userTimezone",
    "agents.defaults.bootstrapMaxChars",
    "agents.defaults.bootstrapTotalMaxChars",
    "agents.defaults.skipBootstrap",
    "agents.defaults.contextLimits.toolResultMaxChars",
    "agents.list[].id",
    "agents.list[].default",
    "agents.list[].name",
    "agents.list[].workspace",
    "agents.list[].model",
    "agents.list[].identity.name",
    "agents.list[].identity.theme",
    "agents.list[].identity.emoji",
    "agents.list[].identity.avatar",
    "agents.list[].thinkingDefault",
    "models.mode",
    "models.providers.*.baseUrl",
    "models.providers.*.apiKey",
    "models.providers.*.api",
    "models.providers.*.authHeader",
    "models.providers.*.headers",
    "models.providers.*.timeoutSeconds",
    "models.providers.*.contextWindow",
    "models.providers.*.contextTokens",
    "models.providers.*.maxTokens",
    "models.providers.*.models[].id",
    "models.providers.*.models[].name",
    "models.providers.*.models[].reasoning",
    "models.providers.*.models[].input",
    "models.providers.*.models[].cost.input",
    "models.providers.*.models[].cost.output",
    "models.providers.*.models[].cost.cacheRead",
    "models.providers.*.models[].cost.cacheWrite",
    "models.providers.*.models[].contextWindow",
    "models.providers.*.models[].contextTokens",
    "models.providers.*.models[].maxTokens",
    "models.providers.*.models[].api",
    "models.providers.*.models[].baseUrl",
    "models.providers.*.models[].headers",
    "models.providers.*.models[].compat.requiresStringContent",
    "models.providers.*.models[].compat.strictMessageKeys",
    "models.providers.*.models[].compat.supportsDeveloperRole",
    "models.providers.*.models[].compat.supportsStore",
    "models.providers.*.models[].compat.supportsTools",
    "models.providers.*.models[].compat.supportsUsageInStreaming",
    "models.providers.*.models[].compat.maxTokensField",
    "models.providers.*.models[].compat.supportsReasoningEffort",
    "session.scope",
    "session.reset.mode",
    "session.reset.atHour",
    "session.reset.idleMinutes",
    "session.resetTriggers",
    "session.dmScope",
    "messages.queue.mode",
    "messages.queue.debounceMs",
    "messages.queue.cap",
    "messages.queue.drop",
    "messages.queue.byChannel",
    "logging.level",
    "logging.consoleLevel",
    "logging.consoleStyle",
    "logging.file",
    "logging.maxFileBytes",
    "logging.retentionDays",
    "logging.maxTotalBytes",
    "logging.redactPatterns",
    "tools.allow",
    "tools.deny",
    "tools.sessions.visibility",
    "performance.workers",
];

/// Keys that the configuration library itself reads.
const IN_SOURCE: &[&str] = &[
    "$schema",
    "$include",
    "meta",
    "wizard",
    "env.vars",
    "env.*",
    "secrets.providers",
    "secrets.defaults",
    "secrets.resolution",
    "accessGroups",
    "commands.ownerAllowFrom",
    "commands.allowFrom",
    "agents.defaults.heartbeat.every",
    "agents.defaults.heartbeat.target",
    "agents.defaults.heartbeat.to",
    "agents.defaults.heartbeat.accountId",
    "agents.defaults.heartbeat.prompt",
    "agents.defaults.heartbeat.ackMaxChars",
    "agents.defaults.heartbeat.activeHours",
    "agents.defaults.heartbeat.isolatedSession",
    "agents.defaults.heartbeat.session",
    "agents.defaults.heartbeat.directPolicy",
    "agents.defaults.heartbeat.model",
    "agents.defaults.heartbeat.timeoutSeconds",
    "agents.list[].heartbeat.every",
    "agents.list[].heartbeat.target",
    "agents.list[].heartbeat.to",
    "agents.list[].heartbeat.accountId",
    "agents.list[].heartbeat.prompt",
    "agents.list[].heartbeat.ackMaxChars",
    "agents.list[].heartbeat.activeHours",
    "agents.list[].heartbeat.isolatedSession",
    "agents.list[].heartbeat.session",
    "agents.list[].heartbeat.directPolicy",
    "agents.list[].heartbeat.model",
    "agents.list[].heartbeat.timeoutSeconds",
    "channels.defaults.heartbeat",
    "channels.webhook",
    "channels.defaults.groupPolicy",
    "channels.telegram.enabled",
    "channels.telegram.name",
    "channels.telegram.dmPolicy",
    "channels.telegram.botToken",
    "channels.telegram.tokenFile",
    "channels.telegram.replyToMode",
    "channels.telegram.groups.*.requireMention",
    "channels.telegram.groups.*.groupPolicy",
    "channels.telegram.groups.*.enabled",
    "channels.telegram.groups.*.allowFrom",
    "channels.telegram.allowFrom",
    "channels.telegram.groupAllowFrom",
    "channels.telegram.groupPolicy",
    "channels.telegram.textChunkLimit",
    "channels.telegram.streaming.chunkMode",
    "channels.telegram.timeoutSeconds",
    "channels.telegram.pollingStallThresholdMs",
    "channels.telegram.linkPreview",
    "channels.telegram.apiRoot",
    "channels.telegram.accounts.*.enabled",
    "channels.telegram.accounts.*.name",
    "channels.telegram.accounts.*.dmPolicy",
    "channels.telegram.accounts.*.botToken",
    "channels.telegram.accounts.*.tokenFile",
    "channels.telegram.accounts.*.replyToMode",
    "channels.telegram.accounts.*.groups.*.requireMention",
    "channels.telegram.accounts.*.groups.*.groupPolicy",
    "channels.telegram.accounts.*.groups.*.enabled",
    "channels.telegram.accounts.*.groups.*.allowFrom",
    "channels.telegram.accounts.*.allowFrom",
    "channels.telegram.accounts.*.groupAllowFrom",
    "channels.telegram.accounts.*.groupPolicy",
    "channels.telegram.accounts.*.textChunkLimit",
    "channels.telegram.accounts.*.streaming.chunkMode",
    "channels.telegram.accounts.*.timeoutSeconds",
    "channels.telegram.accounts.*.pollingStallThresholdMs",
    "channels.telegram.accounts.*.linkPreview",
    "channels.telegram.accounts.*.apiRoot",
];

/// Keys whose rules are enforced although the feature is absent, or that are notes of somebody else already.
const REPORTED_ELSEWHERE: &[&str] = &["cache.type", "queue.type"];

/// A note for the outermost key of everything in `value` (canonical spelling) that does nothing yet.
pub fn not_in_effect(value: &Value) -> Vec<Issue> {
    let table: Vec<Vec<&str>> = [IN_SETTINGS, IN_SOURCE, REPORTED_ELSEWHERE]
        .concat()
        .iter()
        .map(|path| split_pattern(path).collect())
        .collect();
    let mut out = Vec::new();
    walk(value, &table.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut Vec::new(), &mut out);
    out
}

/// `rows` are the remaining parts of the table rows that lead here.
fn walk(value: &Value, rows: &[&[&str]], at: &mut Vec<String>, out: &mut Vec<Issue>) {
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(array) => array.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => return,
    };
    for (key, child) in entries {
        let steps = |part: &str| part == key || part == "[]" || (part == "*" && !(at == &["env"] && key == "shellEnv"));
        let next: Vec<&[&str]> =
            rows.iter().filter(|row| row.first().is_some_and(|part| steps(part))).map(|row| &row[1..]).collect();
        at.push(key);
        if next.is_empty() {
            out.push(Issue::new(IssueCode::NotInEffect, at, NOT_IN_EFFECT));
        } else if !next.iter().any(|row| row.is_empty()) {
            walk(child, &next, at, out);
        }
        at.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples;
    use super::super::settings::Settings;
    use super::*;

    fn check(value: Value, expected: &[&str]) {
        let got: Vec<String> = not_in_effect(&value).into_iter().map(|issue| issue.path).collect();
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn the_outermost_key_without_effect_is_named_once() {
        check(json!({ "channels": { "signal": { "account": "x" } }, "gateway": { "port": 1 } }), &["channels.signal"]);
        check(
            json!({ "channels": { "telegram": { "botToken": "x", "mediaMaxMb": 5, "groups": { "-1": { "topics": {} } } } } }),
            &["channels.telegram.mediaMaxMb", "channels.telegram.groups.-1.topics"],
        );
        check(
            json!({ "gateway": { "auth": { "allowTailscale": true, "token": "x" } } }),
            &["gateway.auth.allowTailscale"],
        );
        check(json!({ "agents": { "list": [{ "id": "a", "tools": {} }] } }), &["agents.list.0.tools"]);
        check(json!({ "env": { "A": "1", "vars": { "B": "2" }, "shellEnv": {} } }), &["env.shellEnv"]);
        check(
            json!({ "models": { "providers": { "p": { "baseUrl": "x", "request": {} } } } }),
            &["models.providers.p.request"],
        );
    }

    #[test]
    fn every_key_of_the_table_changes_the_settings() {
        for path in IN_SETTINGS {
            let sample = samples::file_with(path);
            let issues = super::super::validate::validate(&sample);
            assert_eq!(issues, [], "{path}");
            let mut without = sample.clone();
            assert!(samples::remove(&mut without, path), "{path} is not in its sample {sample}");
            let read = |value: Value| format!("{:?}", serde_json::from_value::<Settings>(value).unwrap());
            assert_ne!(read(sample), read(without), "{path} is in the table but not in the settings");
        }
    }
}
