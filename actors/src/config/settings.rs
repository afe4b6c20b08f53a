//! The typed view of a valid configuration: exactly the keys that are in effect, with their defaults.
//!
//! A key that is not here is either accepted without effect (`effect.rs` lists it) or refused by `validate.rs`.
//! Deserialised from the normalised value (aliases resolved, `${VAR}` substituted), so every reader sees one spelling.
//! Source for names, units and defaults: configuration reference of 2026.5.12.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cron::settings::Cron;

/// Root of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    pub gateway: Gateway,
    pub agents: Agents,
    pub models: Models,
    pub session: Session,
    pub messages: Messages,
    pub logging: Logging,
    pub tools: Tools,
    pub performance: Performance,
    pub commands: Commands,
    pub diagnostics: Diagnostics,
    pub cron: Cron,
}

/// `diagnostics.*`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Diagnostics {
    /// A run without progress and with messages behind it is told of after so many milliseconds.
    pub stuck_session_warn_ms: u64,
    /// And ended after so many.
    pub stuck_session_abort_ms: u64,
    pub memory: MemoryLimits,
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self { stuck_session_warn_ms: 120_000, stuck_session_abort_ms: 600_000, memory: MemoryLimits::default() }
    }
}

/// `diagnostics.memory.*`: bounds of the resident size of the process, in units of 1024 × 1024 bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryLimits {
    /// Above it what is not needed is let go.
    pub soft_limit_mb: u64,
    /// Above it the gateway restarts itself, every thirty minutes at most.
    pub hard_limit_mb: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { soft_limit_mb: 512, hard_limit_mb: 1024 }
    }
}

/// `commands.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Commands {
    /// May the gateway be restarted by SIGUSR1, and restart itself for a changed key that needs it?
    pub restart: bool,
}

impl Default for Commands {
    fn default() -> Self {
        Self { restart: true }
    }
}

/// `gateway.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Must be `local` for the service to start. No default.
    pub mode: Option<GatewayMode>,
    /// 1–65535; absent means the built-in 18789 (or the profile's).
    pub port: Option<u16>,
    pub bind: Bind,
    /// IPv4 address, required with `bind: "custom"`.
    pub custom_bind_host: Option<String>,
    pub auth: Auth,
    /// IPs or CIDRs of reverse proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    pub allow_real_ip_fallback: bool,
    pub control_ui: ControlUi,
    pub remote: Remote,
    pub reload: Reload,
    pub http: Http,
    /// Deadline from accept to `hello-ok`, milliseconds.
    pub handshake_timeout_ms: u64,
    /// Authenticated WebSocket connections at once.
    pub max_connections: usize,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            mode: None,
            port: None,
            bind: Bind::Loopback,
            custom_bind_host: None,
            auth: Auth::default(),
            trusted_proxies: Vec::new(),
            allow_real_ip_fallback: false,
            control_ui: ControlUi::default(),
            remote: Remote::default(),
            reload: Reload::default(),
            http: Http::default(),
            handshake_timeout_ms: 15_000,
            max_connections: 1024,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayMode {
    Local,
    Remote,
}

/// Which address the one port is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    Loopback,
    Lan,
    Tailnet,
    Auto,
    Custom,
}

/// `gateway.auth.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Absent: password if one is configured, else token.
    pub mode: Option<AuthMode>,
    pub token: Option<SecretInput>,
    pub password: Option<SecretInput>,
    pub trusted_proxy: Option<TrustedProxy>,
    pub rate_limit: AuthRateLimit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    None,
    Token,
    Password,
    TrustedProxy,
}

/// `gateway.auth.trustedProxy.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrustedProxy {
    pub user_header: String,
    /// Empty: every user that the proxy names.
    pub allow_users: Vec<String>,
    pub required_headers: Vec<String>,
    pub allow_loopback: bool,
}

/// `gateway.auth.rateLimit.*`; failures in a sliding window, then a lockout.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthRateLimit {
    pub max_attempts: u32,
    pub window_ms: u64,
    pub lockout_ms: u64,
    pub exempt_loopback: bool,
}

impl Default for AuthRateLimit {
    fn default() -> Self {
        Self { max_attempts: 10, window_ms: 60_000, lockout_ms: 300_000, exempt_loopback: true }
    }
}

/// A secret as the file has it: plain text, or a reference that is resolved once per snapshot.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SecretInput {
    Plain(String),
    Ref {
        source: SecretSource,
        #[serde(default)]
        provider: Option<String>,
        id: String,
    },
}

impl std::fmt::Debug for SecretInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("***"),
            Self::Ref { source, provider, id } => write!(f, "SecretRef({source:?}, {provider:?}, {id})"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    Env,
    File,
    Exec,
}

/// `gateway.controlUi.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlUi {
    /// Origins that a browser may connect from; `*` allows all.
    pub allowed_origins: Vec<String>,
    pub allow_insecure_auth: bool,
    pub dangerously_disable_device_auth: bool,
    pub dangerously_allow_host_header_origin_fallback: bool,
}

/// `gateway.remote.*`: read by client commands only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Remote {
    pub url: Option<String>,
    pub token: Option<SecretInput>,
    pub password: Option<SecretInput>,
}

/// `gateway.reload.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reload {
    pub mode: ReloadMode,
    /// Quiet time after an edit before the file is read, milliseconds.
    pub debounce_ms: u64,
    /// How long a restart waits for running turns, milliseconds; 0 means as long as it takes.
    pub deferral_timeout_ms: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self { mode: ReloadMode::Hybrid, debounce_ms: 300, deferral_timeout_ms: 300_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadMode {
    Off,
    Restart,
    Hot,
    Hybrid,
}

/// `gateway.http.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    pub endpoints: HttpEndpoints,
    /// Hosts beyond the known ones that the Host gate lets through.
    pub allowed_hosts: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpEndpoints {
    pub chat_completions: HttpEndpoint,
    pub responses: HttpEndpoint,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpEndpoint {
    pub enabled: bool,
    /// Largest request body, bytes.
    pub max_body_bytes: usize,
}

impl Default for HttpEndpoint {
    fn default() -> Self {
        Self { enabled: false, max_body_bytes: 20 * 1024 * 1024 }
    }
}

/// `agents.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Agents {
    pub defaults: AgentDefaults,
    pub list: Vec<AgentEntry>,
}

/// `agents.defaults.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentDefaults {
    pub workspace: Option<String>,
    pub model: Option<ModelChoice>,
    /// Keyed by `provider/model`; non-empty means only these (and `provider/*`) are allowed.
    pub models: BTreeMap<String, AgentModel>,
    pub thinking_default: Option<String>,
    /// Deadline of one run, seconds.
    pub timeout_seconds: u64,
    /// Runs at once over all sessions.
    pub max_concurrent: usize,
    /// Cap on the context window, tokens.
    pub context_tokens: Option<u64>,
    pub user_timezone: Option<String>,
    pub bootstrap_max_chars: usize,
    pub bootstrap_total_max_chars: usize,
    pub skip_bootstrap: bool,
    pub context_limits: ContextLimits,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        Self {
            workspace: None,
            model: None,
            models: BTreeMap::new(),
            thinking_default: None,
            timeout_seconds: 172_800,
            max_concurrent: 4,
            context_tokens: None,
            user_timezone: None,
            bootstrap_max_chars: 12_000,
            bootstrap_total_max_chars: 60_000,
            skip_bootstrap: false,
            context_limits: ContextLimits::default(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContextLimits {
    /// Longest tool result given to the model, characters.
    pub tool_result_max_chars: usize,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self { tool_result_max_chars: 16_000 }
    }
}

/// A model choice: one reference, or a primary with fallbacks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ModelChoice {
    One(String),
    Chain {
        #[serde(default)]
        primary: Option<String>,
        #[serde(default)]
        fallbacks: Vec<String>,
    },
}

/// One entry of `agents.defaults.models`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentModel {
    pub alias: Option<String>,
}

/// One entry of `agents.list`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentEntry {
    pub id: String,
    pub default: bool,
    pub name: Option<String>,
    pub workspace: Option<String>,
    pub model: Option<ModelChoice>,
    pub identity: Option<Identity>,
    pub thinking_default: Option<String>,
}

/// `agents.list[].identity`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    pub name: Option<String>,
    pub theme: Option<String>,
    pub emoji: Option<String>,
    pub avatar: Option<String>,
}

/// `models.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Models {
    pub mode: ModelsMode,
    pub providers: BTreeMap<String, Provider>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelsMode {
    #[default]
    Merge,
    Replace,
}

/// `models.providers.<id>.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Provider {
    /// Required by `validate.rs`.
    pub base_url: String,
    pub api_key: Option<SecretInput>,
    /// Wire; absent means `openai-completions`.
    pub api: Option<String>,
    /// Send the key as `Authorization: Bearer` whatever the wire's own header is.
    pub auth_header: bool,
    pub headers: BTreeMap<String, SecretInput>,
    /// Longest silence of the model, seconds; raises the built-in 120.
    pub timeout_seconds: Option<u64>,
    pub context_window: Option<u64>,
    pub context_tokens: Option<u64>,
    pub max_tokens: Option<u64>,
    pub models: Vec<ProviderModel>,
}

/// `models.providers.<id>.models[]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderModel {
    pub id: String,
    pub name: String,
    pub reasoning: bool,
    pub input: Vec<String>,
    pub cost: ModelCost,
    pub context_window: Option<u64>,
    pub context_tokens: Option<u64>,
    pub max_tokens: Option<u64>,
    pub api: Option<String>,
    pub base_url: Option<String>,
    pub headers: BTreeMap<String, SecretInput>,
    pub compat: ModelCompat,
}

/// USD per million tokens; 0 means unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelCost {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    pub cache_write: f64,
}

/// Deviations of a server from its wire; absent means the wire's own rule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelCompat {
    pub requires_string_content: bool,
    pub strict_message_keys: bool,
    pub supports_developer_role: Option<bool>,
    pub supports_store: Option<bool>,
    pub supports_tools: Option<bool>,
    pub supports_usage_in_streaming: Option<bool>,
    /// `max_completion_tokens` or `max_tokens`.
    pub max_tokens_field: Option<String>,
    pub supports_reasoning_effort: Option<bool>,
}

/// `session.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Session {
    pub scope: SessionScope,
    pub reset: Option<SessionReset>,
    /// Whole messages that start a new session; absent means `/new` and `/reset`.
    pub reset_triggers: Option<Vec<String>>,
    pub dm_scope: DmScope,
}

/// Which direct messages of chat platforms are one conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DmScope {
    /// All: they are the owner's.
    #[default]
    Main,
    PerPeer,
    PerChannelPeer,
    PerAccountChannelPeer,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    #[default]
    PerSender,
    Global,
}

/// `session.reset`: daily at an hour of the gateway's own day, or after idle minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionReset {
    pub mode: Option<ResetMode>,
    pub at_hour: Option<u8>,
    pub idle_minutes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetMode {
    Daily,
    Idle,
}

/// `messages.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Messages {
    pub queue: Queue,
}

/// `messages.queue.*`: what happens to a message that finds its session busy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    pub mode: QueueMode,
    pub debounce_ms: u64,
    pub cap: usize,
    pub drop: QueueDrop,
    pub by_channel: BTreeMap<String, QueueMode>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            mode: QueueMode::Steer,
            debounce_ms: 500,
            cap: 20,
            drop: QueueDrop::Summarize,
            by_channel: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueMode {
    Steer,
    Followup,
    Collect,
    #[serde(alias = "steer+backlog")]
    SteerBacklog,
    Queue,
    Interrupt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueDrop {
    Summarize,
    Old,
    New,
}

/// `logging.*`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    /// Level of the file: `silent fatal error warn info debug trace`.
    pub level: String,
    pub console_level: Option<String>,
    /// `pretty`, `compact` or `json`.
    pub console_style: String,
    /// Absent: the daily file.
    pub file: Option<String>,
    pub max_file_bytes: u64,
    pub retention_days: u32,
    pub max_total_bytes: u64,
    pub redact_patterns: Vec<String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: "info".into(),
            console_level: None,
            console_style: "pretty".into(),
            file: None,
            max_file_bytes: 104_857_600,
            retention_days: 14,
            max_total_bytes: 500 * 1024 * 1024,
            redact_patterns: Vec::new(),
        }
    }
}

/// `tools.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tools {
    /// Absent: every tool. Names, `group:*` and globs.
    pub allow: Option<Vec<String>>,
    /// Wins over `allow`.
    pub deny: Vec<String>,
    pub sessions: SessionTools,
}

/// `tools.sessions.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionTools {
    /// `self`, `tree` (default), `agent` or `all`: whose sessions the session tools show.
    pub visibility: Option<String>,
}

/// `performance.*`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Performance {
    /// Runtime worker threads; absent means one per core.
    pub workers: Option<usize>,
    /// Anything else is reported by `effect.rs`.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}
