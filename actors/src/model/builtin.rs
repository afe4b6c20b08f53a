//! Providers that are known without configuration. Prices are not: they change too often to be worth a guess.

use super::openai_completions::API as COMPLETIONS;
use super::{anthropic_messages, openai_responses};

/// A well-known provider.
#[derive(Debug)]
pub struct Builtin {
    pub id: &'static str,
    pub base_url: &'static str,
    /// Wire.
    pub api: &'static str,
    /// Environment variables that may hold the key, the first that is set counts.
    pub key_env: &'static [&'static str],
    /// Deviation from the wire: the name of the token limit.
    pub max_tokens_field: Option<&'static str>,
    /// The first is the one that is used when only the provider's key is known.
    pub models: &'static [BuiltinModel],
}

/// One of its models. Tokens.
#[derive(Debug)]
pub struct BuiltinModel {
    pub id: &'static str,
    pub name: &'static str,
    pub context_window: u64,
    pub max_tokens: u64,
    pub reasoning: bool,
    pub images: bool,
}

const K: u64 = 1_000;
const TEXT: bool = false;
const SEES: bool = true;
const PLAIN: bool = false;
const REASONS: bool = true;

const fn model(
    id: &'static str,
    name: &'static str,
    context_window: u64,
    max_tokens: u64,
    reasoning: bool,
    images: bool,
) -> BuiltinModel {
    BuiltinModel { id, name, context_window, max_tokens, reasoning, images }
}

/// In the order in which a key in the environment makes a provider the default.
pub const PROVIDERS: &[Builtin] = &[
    Builtin {
        id: "anthropic",
        base_url: "https://api.anthropic.com",
        api: anthropic_messages::API,
        key_env: &["ANTHROPIC_API_KEY"],
        max_tokens_field: None,
        models: &[
            model("claude-opus-4-6", "Claude Opus 4.6", 200 * K, 128 * K, REASONS, SEES),
            model("claude-sonnet-4-5", "Claude Sonnet 4.5", 200 * K, 64 * K, REASONS, SEES),
            model("claude-haiku-4-5", "Claude Haiku 4.5", 200 * K, 64 * K, REASONS, SEES),
        ],
    },
    Builtin {
        id: "openai",
        base_url: "https://api.openai.com/v1",
        api: openai_responses::API,
        key_env: &["OPENAI_API_KEY"],
        max_tokens_field: None,
        models: &[
            model("gpt-5.2", "GPT-5.2", 400 * K, 128 * K, REASONS, SEES),
            model("gpt-5.1", "GPT-5.1", 400 * K, 128 * K, REASONS, SEES),
            model("gpt-5-mini", "GPT-5 mini", 400 * K, 128 * K, REASONS, SEES),
            model("gpt-4.1", "GPT-4.1", 1_047_576, 32_768, PLAIN, SEES),
        ],
    },
    Builtin {
        id: "google",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        api: COMPLETIONS,
        key_env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("gemini-2.5-pro", "Gemini 2.5 Pro", 1_048_576, 65_536, REASONS, SEES),
            model("gemini-2.5-flash", "Gemini 2.5 Flash", 1_048_576, 65_536, REASONS, SEES),
        ],
    },
    Builtin {
        id: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        api: COMPLETIONS,
        key_env: &["OPENROUTER_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("openrouter/auto", "OpenRouter Auto", 200 * K, 8_192, PLAIN, SEES),
            model("anthropic/claude-sonnet-4.5", "Claude Sonnet 4.5", 200 * K, 64 * K, REASONS, SEES),
            model("openai/gpt-5.2", "GPT-5.2", 400 * K, 128 * K, REASONS, SEES),
        ],
    },
    Builtin {
        id: "groq",
        base_url: "https://api.groq.com/openai/v1",
        api: COMPLETIONS,
        key_env: &["GROQ_API_KEY"],
        max_tokens_field: None,
        models: &[
            model("openai/gpt-oss-120b", "GPT-OSS 120B", 131_072, 65_536, REASONS, TEXT),
            model("llama-3.3-70b-versatile", "Llama 3.3 70B", 131_072, 32_768, PLAIN, TEXT),
        ],
    },
    Builtin {
        id: "mistral",
        base_url: "https://api.mistral.ai/v1",
        api: COMPLETIONS,
        key_env: &["MISTRAL_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("mistral-large-latest", "Mistral Large", 128 * K, 32 * K, PLAIN, SEES),
            model("mistral-medium-latest", "Mistral Medium", 128 * K, 32 * K, PLAIN, SEES),
            model("mistral-small-latest", "Mistral Small", 128 * K, 32 * K, PLAIN, SEES),
        ],
    },
    Builtin {
        id: "deepseek",
        base_url: "https://api.deepseek.com/v1",
        api: COMPLETIONS,
        key_env: &["DEEPSEEK_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("deepseek-chat", "DeepSeek Chat", 128 * K, 8 * K, PLAIN, TEXT),
            model("deepseek-reasoner", "DeepSeek Reasoner", 128 * K, 64 * K, PLAIN, TEXT),
        ],
    },
    Builtin {
        id: "xai",
        base_url: "https://api.x.ai/v1",
        api: COMPLETIONS,
        key_env: &["XAI_API_KEY"],
        max_tokens_field: None,
        models: &[
            model("grok-4", "Grok 4", 256 * K, 64 * K, PLAIN, SEES),
            model("grok-code-fast-1", "Grok Code Fast", 256 * K, 10 * K, PLAIN, TEXT),
        ],
    },
    Builtin {
        id: "moonshot",
        base_url: "https://api.moonshot.ai/v1",
        api: COMPLETIONS,
        key_env: &["MOONSHOT_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("kimi-k2.5", "Kimi K2.5", 256 * K, 32 * K, PLAIN, SEES),
            model("kimi-k2-thinking", "Kimi K2 Thinking", 256 * K, 32 * K, PLAIN, TEXT),
        ],
    },
    Builtin {
        id: "zai",
        base_url: "https://api.z.ai/api/paas/v4",
        api: COMPLETIONS,
        key_env: &["ZAI_API_KEY", "Z_AI_API_KEY"],
        max_tokens_field: Some("max_tokens"),
        models: &[
            model("glm-4.7", "GLM-4.7", 200 * K, 128 * K, PLAIN, TEXT),
            model("glm-4.6", "GLM-4.6", 200 * K, 128 * K, PLAIN, TEXT),
        ],
    },
];

/// The well-known provider of this id.
pub fn provider(id: &str) -> Option<&'static Builtin> {
    PROVIDERS.iter().find(|provider| provider.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::wires::spoken;

    #[test]
    fn the_table_is_usable() {
        let ids: BTreeSet<&str> = PROVIDERS.iter().map(|provider| provider.id).collect();
        assert_eq!(ids.len(), PROVIDERS.len());
        for provider in PROVIDERS {
            assert_eq!(spoken(provider.api, provider.base_url), Some((provider.api, provider.base_url.to_owned())));
            assert!(provider.base_url.starts_with("https://") && !provider.key_env.is_empty());
            assert!(provider.models.iter().all(|model| model.max_tokens < model.context_window), "{}", provider.id);
        }
    }
}
