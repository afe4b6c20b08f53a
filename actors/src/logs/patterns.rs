//! What secrets look like: the built-in patterns, and the field names whose values are never written.
//!
//! A row masks its last participating group, or the whole match when it has none. Rows run in this order: the ones that
//! know the surroundings come before the ones that know only the shape. All are linear-time.
//! Source: logging documentation of 2026.5.12, redaction; the families are a contract, the expressions are ours.

/// How much of a match is hidden, and when it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    /// Keeps the first 6 and last 4 characters of 18 or more; else everything goes.
    Edges,
    /// Like `Edges`, but an ordinary word (letters only, shorter than 18) is left alone: "token: missing".
    UnlessWord,
    /// Like `Edges`, but a word of prose is left alone: "pass --token or --password".
    UnlessProse,
    /// Everything goes.
    Full,
}

pub(super) struct Pattern {
    /// Used by the tests' table only, but also the row's title for its reader.
    #[cfg_attr(not(test), allow(dead_code, reason = "names the row"))]
    pub family: &'static str,
    pub regex: &'static str,
    pub mask: Mask,
}

/// Names that end in a secret, in assignments, JSON and `key: value` text. Case does not matter, except for `*_KEY`.
macro_rules! names {
    () => {
        r"(?:(?i-u:token|secret|passwd|password|passphrase|(?:api|private|access|encrypt|encryption|signing|shared|auth)[_-]?key|serviceaccount)|[A-Z0-9]_KEY)"
    };
}

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        family: "pem",
        regex: r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----((?s:.)*?)(?:-----END|\z)",
        mask: Mask::Full,
    },
    Pattern { family: "url-userinfo", regex: r#"://([^\s/?#@"'<>]+)@"#, mask: Mask::Full },
    Pattern {
        family: "url-query",
        regex: r#"[?&#](?i-u:token|key|api_key|apikey|secret|access_token|auth_token|password|pass|passwd|auth|client_secret|hook_token|refresh_token|signature)=([^&\s"'#<>\\]+)"#,
        mask: Mask::Full,
    },
    Pattern {
        family: "auth-header",
        regex: r#"(?i-u:authorization)\\*["']?\s*[:=]\s*(?:Some\()?\\*["']?(?:(?i-u:bearer|basic|token|digest|bot|apikey|negotiate)\s+)?([^\s"',;\\]+)"#,
        mask: Mask::Edges,
    },
    Pattern {
        family: "key-header",
        regex: r#"(?i-u:x-[a-z0-9-]{0,40}(?:token|key|secret|signature|auth))\\*["']?\s*[:=]\s*\\*["']?([^\s"',;\\]+)"#,
        mask: Mask::Edges,
    },
    Pattern {
        family: "cookie",
        regex: r#"(?i-u:cookie)2?\\*["']?\s*:\s*\\*["']?([^\s"'\\][^"'\r\n\\]*)"#,
        mask: Mask::Full,
    },
    Pattern {
        family: "json-field",
        regex: concat!(names!(), r#"["']?\s*:\s*(?:Some\()?(?:"((?:[^"\\]|\\.)+)"|'([^'\r\n]+)')"#),
        mask: Mask::Edges,
    },
    Pattern {
        family: "json-field-escaped",
        regex: concat!(names!(), r#"\\+"\s*:\s*\\+"([^"\\]+)"#),
        mask: Mask::Edges,
    },
    Pattern {
        family: "assignment",
        regex: concat!(names!(), r#"\s*=\s*(?:"([^"\r\n]+)"|'([^'\r\n]+)'|([^\s"';,&=<>][^\s"';,&]*))"#),
        mask: Mask::Edges,
    },
    Pattern {
        family: "colon",
        regex: concat!(names!(), r#"["']?\s*:\s*(\$\{[A-Za-z0-9_]+\}|[^\s"'\\;,&(){}\[\]<>]+)"#),
        mask: Mask::UnlessWord,
    },
    Pattern {
        family: "flag",
        regex: r#"--(?i-u:[a-z0-9-]{0,40}(?:token|secret|password|passwd|passphrase|api-?key|private-key))(?:\s+|=)(?:"([^"\r\n]+)"|'([^'\r\n]+)'|([^\s"'<-][^\s"']*))"#,
        mask: Mask::UnlessProse,
    },
    Pattern { family: "bearer", regex: r"(?i-u:bearer)\s+([A-Za-z0-9._~+/=-]{8,})", mask: Mask::UnlessWord },
    Pattern {
        family: "token-prefix",
        regex: concat!(
            r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{8,}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{10,}|github_pat_[A-Za-z0-9_]{10,}",
            r"|xox[baprs]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}|gsk_[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{10,}|ya29\.[A-Za-z0-9_-]{8,}|1//0[A-Za-z0-9_-]{8,}",
            r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?|pplx-[A-Za-z0-9_-]{8,}|npm_[A-Za-z0-9]{8,}|AK(?:ID|IA)[A-Za-z0-9]{8,}",
            r"|LTAI[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{8,}|r8_[A-Za-z0-9]{8,})",
        ),
        mask: Mask::Edges,
    },
    Pattern { family: "telegram", regex: r"(?-u:\b)(?:bot)?([0-9]{6,12}:[A-Za-z0-9_-]{20,})", mask: Mask::Edges },
    Pattern {
        family: "payment",
        regex: r#"(?i-u:card_?-?number|cvc2?|cvv2?|security_?-?code|account_?-?number|routing_?-?number)\\*["']?\s*[:=]\s*\\*["']?([0-9](?:[0-9 -]{0,30}[0-9])?)"#,
        mask: Mask::Full,
    },
    Pattern {
        family: "iban",
        regex: r#"(?i-u:iban)\\*["']?\s*[:=]\s*\\*["']?([A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{8,32})"#,
        mask: Mask::Full,
    },
];

/// Values that say something about a secret instead of being one.
const STATE_WORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "undefined",
    "missing",
    "set",
    "unset",
    "absent",
    "present",
    "required",
    "empty",
    "invalid",
    "ok",
    "yes",
    "no",
    "auto",
    "generated",
    "__OPENCLAW_REDACTED__",
];

/// Words that follow a flag in a sentence about it.
const PROSE: &[&str] = &[
    "a", "and", "are", "at", "by", "cannot", "flag", "for", "from", "if", "in", "is", "must", "needs", "not", "on",
    "option", "or", "requires", "the", "to", "value", "was", "when", "with",
];

/// The mask of one matched value; `None` leaves it as it is.
pub(super) fn masked(value: &str, mask: Mask) -> Option<String> {
    let word = value.trim_end_matches(['.', ',', ';', ':', ')', '!']);
    let is_state = STATE_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is_state || is_reference(word) || is_masked(value) {
        return None;
    }
    match mask {
        Mask::Full => Some("***".to_owned()),
        Mask::UnlessWord if word.len() < 18 && word.bytes().all(|b| b.is_ascii_alphabetic()) => None,
        Mask::UnlessProse if PROSE.iter().any(|known| word.eq_ignore_ascii_case(known)) => None,
        Mask::Edges | Mask::UnlessWord | Mask::UnlessProse => Some(edges(value)),
    }
}

/// First 6 and last 4 characters of a value of 18 or more characters; `***` for anything shorter.
pub(super) fn edges(value: &str) -> String {
    let count = value.chars().count();
    if count < 18 {
        return "***".to_owned();
    }
    let head: String = value.chars().take(6).collect();
    let tail: String = value.chars().skip(count - 4).collect();
    format!("{head}…{tail}")
}

/// `${NAME}`, `$NAME` in capitals, `<placeholder>`: text that names a secret.
fn is_reference(word: &str) -> bool {
    let capitals = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let braced = word
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    braced || word.strip_prefix('$').is_some_and(capitals) || (word.starts_with('<') && word.ends_with('>'))
}

/// What this module leaves behind, so that a second pass changes nothing.
fn is_masked(value: &str) -> bool {
    value.bytes().all(|b| b == b'*') || (value.chars().count() == 11 && value.chars().nth(6) == Some('…'))
}

/// Does a field of this name hold a secret? Its text is then masked whatever it looks like.
///
/// Source: sensitive configuration paths of 2026.5.12; `authorization` and `cookie` are ours.
pub fn is_sensitive_name(name: &str) -> bool {
    const COUNTS: &[&str] = &[
        "maxtokens",
        "maxoutputtokens",
        "maxinputtokens",
        "maxcompletiontokens",
        "contexttokens",
        "totaltokens",
        "tokencount",
        "tokenlimit",
        "tokenbudget",
        "passwordfile",
    ];
    let plain: String =
        name.chars().filter(|c| !matches!(c, '_' | '-' | '.')).map(|c| c.to_ascii_lowercase()).collect();
    if COUNTS.iter().any(|suffix| plain.ends_with(suffix)) {
        return false;
    }
    plain.ends_with("token")
        || ["password", "secret", "apikey", "encryptkey", "privatekey", "authorization", "cookie"]
            .iter()
            .any(|part| plain.contains(part))
        || plain.ends_with("serviceaccount")
        || plain.ends_with("serviceaccountref")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_but_words_about_them_are_not() {
        for (value, mask, expected) in [
            ("0123456789abcdefgh", Mask::Edges, Some("012345…efgh")),
            ("0123456789abcdefg", Mask::Edges, Some("***")),
            ("missing.", Mask::Edges, None),
            ("${GATEWAY_TOKEN}", Mask::Edges, None),
            ("$GATEWAY_TOKEN", Mask::Edges, None),
            ("$ecret1", Mask::Edges, Some("***")),
            ("<token>", Mask::Edges, None),
            ("***", Mask::Full, None),
            ("012345…efgh", Mask::Edges, None),
            ("Unrecognized", Mask::UnlessWord, None),
            ("hunter2", Mask::UnlessWord, Some("***")),
            ("abcdefghijklmnopqrst", Mask::UnlessWord, Some("abcdef…qrst")),
            ("or", Mask::UnlessProse, None),
            ("hunter", Mask::UnlessProse, Some("***")),
        ] {
            assert_eq!(masked(value, mask).as_deref(), expected, "{value} {mask:?}");
        }
    }

    #[test]
    fn sensitive_names_are_those_of_the_configuration() {
        for name in ["token", "botToken", "api_key", "apiKey", "client_secret", "gateway.auth.password", "privateKey"] {
            assert!(is_sensitive_name(name), "{name}");
        }
        for name in ["maxTokens", "token_count", "tokens", "passwordFile", "key", "session", "author"] {
            assert!(!is_sensitive_name(name), "{name}");
        }
    }
}
