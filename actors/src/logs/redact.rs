//! The redactor: takes secrets out of any text before it reaches a sink, a client or a report.
//!
//! Registered values go first and entirely, then the built-in patterns, then the operator's. A registered value stays
//! registered for the life of the process: a rotated credential is still a credential in somebody's log.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use regex::{Regex, RegexBuilder, RegexSet};

use super::escape::{clip, escape_controls};
use super::exact::spellings;
use super::patterns::{Mask, PATTERNS, masked};

/// Longest text that one log message is read from, bytes; the rest is cut before it costs anything.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Memory that one compiled expression may take, bytes: an operator's pattern, and all registered secrets together.
const PATTERN_BYTES_MAX: usize = 1 << 20;
const SECRETS_BYTES_MAX: usize = 256 << 20;

/// Why a redactor refused what it was given. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// Not linear-time syntax (look-around, back-references), malformed, or too large.
    #[error("logging.redactPatterns: \"{pattern}\" is not a supported expression: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("the registered secrets are too large to search for")]
    TooLarge,
}

/// Hides secrets in text. A cheap clone: all clones share what is registered.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: Mutex<BTreeSet<String>>,
    exact: ArcSwapOption<Regex>,
    user: ArcSwap<Vec<Regex>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Redactor {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds secrets that must never appear in any sink: raw, JSON-escaped, percent-encoded or in base64.
    ///
    /// Values under 8 characters are ignored, since they would hide ordinary words. Meant for resolved configuration
    /// secrets (hundreds), not for one entry per connection: every call compiles the whole set.
    pub fn register<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Result<(), RedactError> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(secrets.into_iter().map(|secret| secret.trim().to_owned()).filter(|secret| !secret.is_empty()));
        if known.len() == before {
            return Ok(());
        }
        let mut parts: Vec<String> = known.iter().flat_map(|secret| spellings(secret)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        // The first alternative that matches wins, so a secret goes before its own prefix.
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        let built = RegexBuilder::new(&parts.join("|")).size_limit(SECRETS_BYTES_MAX).build();
        self.0.exact.store(Some(Arc::new(built.map_err(|_| RedactError::TooLarge)?)));
        Ok(())
    }

    /// Replaces the operator's patterns (`logging.redactPatterns`); on an error the old ones stay.
    ///
    /// A pattern is an expression, or `/expression/flags` with flags out of `gimsu`. It hides its last group that took part
    /// in the match, else the whole match.
    pub fn set_patterns(&self, patterns: &[String]) -> Result<(), RedactError> {
        let compiled = patterns.iter().map(|pattern| compile(pattern)).collect::<Result<Vec<_>, _>>()?;
        self.0.user.store(Arc::new(compiled));
        Ok(())
    }

    /// The text without its secrets; borrowed when there were none.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        if let Some(exact) = self.0.exact.load().as_deref() {
            replace(&mut text, exact, |_| Some("***".to_owned()));
        }
        for index in BUILT_IN.0.matches(&text) {
            let (regex, mask) = &BUILT_IN.1[index];
            replace(&mut text, regex, |token| masked(token, *mask));
        }
        for regex in self.0.user.load().iter() {
            replace(&mut text, regex, |token| masked(token, Mask::Edges));
        }
        text
    }

    /// What a record may say: redacted, control characters escaped, at most `chars_max` characters.
    pub fn clean(&self, text: &str, chars_max: usize) -> String {
        let redacted = self.redact(head(text));
        let clipped = clip(&redacted, chars_max); // first, since escapes of a hostile text are longer than the text
        clip(&escape_controls(&clipped), chars_max).into_owned()
    }

    /// Does the text hold a registered secret?
    pub fn knows(&self, text: &str) -> bool {
        self.0.exact.load().as_deref().is_some_and(|exact| exact.is_match(text))
    }
}

/// All built-in patterns as one set, which tells in one pass the few that are needed, and each by itself.
///
/// The expressions are constants which a test compiles, so none is ever skipped here.
static BUILT_IN: LazyLock<(RegexSet, Vec<(Regex, Mask)>)> = LazyLock::new(|| {
    let single: Vec<(Regex, Mask)> =
        PATTERNS.iter().filter_map(|pattern| Some((Regex::new(pattern.regex).ok()?, pattern.mask))).collect();
    let set = RegexSet::new(single.iter().map(|(regex, _)| regex.as_str())).unwrap_or_else(|_| RegexSet::empty());
    (set, single)
});

fn compile(pattern: &str) -> Result<Regex, RedactError> {
    let refused = |reason: String| RedactError::Pattern { pattern: pattern.to_owned(), reason };
    let (body, flags) = match pattern.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
        Some((body, flags)) if flags.chars().all(|c| "gimsu".contains(c)) => (body, flags),
        _ => (pattern, ""),
    };
    let mut builder = RegexBuilder::new(body);
    builder.size_limit(PATTERN_BYTES_MAX).case_insensitive(flags.contains('i'));
    builder.multi_line(flags.contains('m')).dot_matches_new_line(flags.contains('s'));
    builder.build().map_err(|error| refused(error.to_string().lines().last().unwrap_or("malformed").trim().to_owned()))
}

/// Puts what `hide` says in the place of each match's token; `None` leaves the match as it is.
fn replace(text: &mut Cow<'_, str>, regex: &Regex, hide: impl Fn(&str) -> Option<String>) {
    let mut out = String::new();
    let mut copied = 0;
    for found in regex.captures_iter(text) {
        let group = found.iter().skip(1).flatten().filter(|group| !group.is_empty()).last();
        let Some(token) = group.or_else(|| found.get(0)).filter(|token| !token.is_empty()) else { continue };
        let Some(hidden) = hide(token.as_str()) else { continue };
        out.push_str(&text[copied..token.start()]);
        out.push_str(&hidden);
        copied = token.end();
    }
    if copied > 0 {
        out.push_str(&text[copied..]);
        *text = Cow::Owned(out);
    }
}

/// The beginning of a very long text, cut where no word is cut: half a secret would not be recognised.
fn head(text: &str) -> &str {
    if text.len() <= INPUT_BYTES_MAX {
        return text;
    }
    let head = &text[..text.floor_char_boundary(INPUT_BYTES_MAX)];
    head.rfind(char::is_whitespace).map_or(head, |end| &head[..end])
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_built_in_pattern_compiles() {
        for pattern in PATTERNS {
            Regex::new(pattern.regex).unwrap_or_else(|error| panic!("{}: {error}", pattern.family));
        }
        assert_eq!(BUILT_IN.1.len(), PATTERNS.len());
        assert_eq!(BUILT_IN.0.len(), PATTERNS.len());
    }

    /// (family, text, what is left of it). Every value is made up.
    const CASES: &[(&str, &str, &str)] = &[
        ("assignment", "OPENAI_API_KEY=abcdefghij0123456789 next", "OPENAI_API_KEY=abcdef…6789 next"),
        ("assignment", "export GH_TOKEN='a b c'; SECRET=short", "export GH_TOKEN='***'; SECRET=***"),
        ("assignment", "DB_PASSWORD=\"two words\"", "DB_PASSWORD=\"***\""),
        ("assignment", "FOO_KEY=abc1 session_key=agent:main:main", "FOO_KEY=*** session_key=agent:main:main"),
        (
            "json-field",
            r#"{"apiKey":"abc","clientSecret" : "x\"y","n":1}"#,
            r#"{"apiKey":"***","clientSecret" : "***","n":1}"#,
        ),
        ("json-field", r#"Auth { token: Some("abc"), secret: 'd' }"#, r#"Auth { token: Some("***"), secret: '***' }"#),
        ("json-field-escaped", r#"{\"botToken\":\"abcdef\",\"a\":\"b\"}"#, r#"{\"botToken\":\"***\",\"a\":\"b\"}"#),
        ("colon", "password: hunter2, token: abc-1", "password: ***, token: ***"),
        ("auth-header", "authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ("auth-header", "Authorization: Bearer abcdefghij0123456789", "Authorization: Bearer abcdef…6789"),
        ("auth-header", r#"{"authorization":"Token abc"}"#, r#"{"authorization":"Token ***"}"#),
        ("key-header", "X-Openclaw-Token: abc\r\nx-api-key=defg", "X-Openclaw-Token: ***\r\nx-api-key=***"),
        ("cookie", "Set-Cookie: sid=1; Path=/\r\nA: b", "Set-Cookie: ***\r\nA: b"),
        (
            "flag",
            "openclaw --token abc --gateway-password=d1 --url ws://h",
            "openclaw --token *** --gateway-password=*** --url ws://h",
        ),
        ("bearer", "sent bearer abcdefgh12", "sent bearer ***"),
        (
            "pem",
            "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----!",
            "-----BEGIN EC PRIVATE KEY-----***-----END EC PRIVATE KEY-----!",
        ),
        ("pem", "-----BEGIN PRIVATE KEY-----\\nabc", "-----BEGIN PRIVATE KEY-----***"),
        ("url-userinfo", "ws://me:pw@host:1/x", "ws://***@host:1/x"),
        ("url-query", "http://h/?a=1&token=abcdefghij0123456789&b=2#key=z", "http://h/?a=1&token=***&b=2#key=***"),
        ("token-prefix", "sk-abcdefghij0123456789", "sk-abc…6789"),
        ("token-prefix", "ghp_abcdefghij0123456789", "ghp_ab…6789"),
        ("token-prefix", "github_pat_abcdefghij0123456789", "github…6789"),
        ("token-prefix", "xoxb-1234567890-abcdef", "xoxb-1…cdef"),
        ("token-prefix", "xapp-1-A0000000-99999", "xapp-1…9999"),
        ("token-prefix", "gsk_abcdefghij0123456789", "gsk_ab…6789"),
        ("token-prefix", "AIzaabcdefghij0123456789", "AIzaab…6789"),
        ("token-prefix", "ya29.abcdefghij0123456789", "ya29.a…6789"),
        ("token-prefix", "1//0abcdefghij0123456789", "1//0ab…6789"),
        ("token-prefix", "eyJhbGciOiJ9.eyJzdWIiOiJ9.c2lnbmF0dXJl", "eyJhbG…dXJl"),
        ("token-prefix", "pplx-abcdefghij0123456789", "pplx-a…6789"),
        ("token-prefix", "npm_abcdefghij0123456789", "npm_ab…6789"),
        ("token-prefix", "AKIDabcdefghij0123456789", "AKIDab…6789"),
        ("token-prefix", "LTAIabcdefghij0123456789", "LTAIab…6789"),
        ("token-prefix", "hf_abcdefghij0123456789", "hf_abc…6789"),
        ("token-prefix", "r8_abcdefghij", "***"),
        ("telegram", "https://api/bot123456789:AAabcdefghij0123456789_-x/getMe", "https://api/bot123456…9_-x/getMe"),
        ("payment", r#"{"cardNumber":"4111 1111 1111 1111","cvc":"123"}"#, r#"{"cardNumber":"***","cvc":"***"}"#),
        ("iban", "iban=DE00123412341234123412", "iban=***"),
    ];

    #[test]
    fn every_family_is_hidden() {
        let redactor = Redactor::new();
        for (family, text, expected) in CASES {
            assert_eq!(redactor.redact(text), *expected, "{family}");
            assert_eq!(redactor.redact(expected), *expected, "a second pass changes nothing ({family})");
        }
        for pattern in PATTERNS {
            assert!(CASES.iter().any(|case| case.0 == pattern.family), "no case for {}", pattern.family);
        }
    }

    #[test]
    fn ordinary_lines_are_left_alone() {
        let redactor = Redactor::new();
        for text in [
            "← connect client=cli version=2026.5.12 mode=cli clientId=cli platform=linux auth=token",
            "config change detected; evaluating reload (agents.defaults.heartbeat.every, meta)",
            "gateway: Unrecognized key: \"token\", : Unrecognized keys: \"bogus\", \"agent\"",
            "auth token was missing. Persist one with `openclaw config set gateway.auth.token <token>`.",
            "refusing to bind to 0.0.0.0 without auth; pass --token or --password",
            "run finished session=agent:main:main tokens=1200 maxTokens: 4096 inputTokens=7",
            "http server listening on http://127.0.0.1:18789/ (3.7s)",
            "gateway.auth.token: missing",
            "task-runner-is-fine at 2026-11-21T08:10:41.449+00:00",
        ] {
            assert!(matches!(redactor.redact(text), Cow::Borrowed(_)), "{}", redactor.redact(text));
        }
    }

    #[test]
    fn operators_patterns_hide_their_last_group() {
        let redactor = Redactor::new();
        redactor.set_patterns(&["/ticket-(\\d+)/gi".into(), "acct[0-9]{4}".into()]).unwrap();
        assert_eq!(redactor.redact("TICKET-1234 acct0001"), "TICKET-*** ***");
        for refused in ["(?=a)b", "(a)\\1", "(", "(?:a{1000}){1000}"] {
            assert!(redactor.set_patterns(&[refused.into()]).is_err(), "{refused}");
        }
        assert_eq!(redactor.redact("ticket-99"), "ticket-***", "the old patterns stay");
    }

    /// SEC-37: an expression that takes exponential time elsewhere.
    #[test]
    fn a_hostile_pattern_is_linear_or_refused() {
        let redactor = Redactor::new();
        redactor.set_patterns(&["(a+)+$".into()]).unwrap();
        let line = format!("{}!", "a".repeat(100_000));
        let start = tokio::time::Instant::now();
        assert_eq!(redactor.redact(&line), line);
        // 50 ms is the promise of an optimised build; this one is not.
        assert!(start.elapsed().as_millis() < 2_000, "{:?}", start.elapsed());
    }

    #[test]
    fn a_longer_secret_wins_over_its_prefix() {
        let redactor = Redactor::new();
        redactor.register(["password1", "password1-and-more", "tiny"]).unwrap();
        assert_eq!(redactor.redact("x password1-and-more y password1 tiny"), "x *** y *** tiny");
        assert!(redactor.knows("password1") && !redactor.knows("tiny"));
        redactor.register(["another-one", "required"]).unwrap();
        assert_eq!(redactor.redact("password1 another-one required"), "*** *** ***");
        assert_eq!(format!("{redactor:?}"), "Redactor(***)");
    }

    #[test]
    fn a_very_long_text_is_cut_between_words() {
        let redactor = Redactor::new();
        redactor.register(["straddling-secret"]).unwrap();
        let text = format!("{} straddling-secret", "x".repeat(INPUT_BYTES_MAX - 10));
        let clean = redactor.clean(&text, INPUT_BYTES_MAX);
        assert!(!clean.contains("straddling"));
        assert!(redactor.clean(&"y".repeat(1 << 20), 500).chars().count() <= 500);
    }

    fn percent(text: &str, upper: bool) -> String {
        let encode = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        let one = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { encode(byte) };
        text.bytes().map(one).collect()
    }

    proptest! {
        #[test]
        fn no_registered_secret_survives(
            secret in "[!-~äπ€]{8,40}",
            other in "[a-z0-9]{8,20}",
            before in "[ -~]{0,30}",
            after in "[ -~]{0,30}",
        ) {
            let redactor = Redactor::new();
            redactor.register([secret.as_str(), other.as_str()]).unwrap();
            let encoded = BASE64_STANDARD.encode(format!("{before}{secret}{after}"));
            let alone = BASE64_STANDARD.encode(&secret);
            let json = serde_json::Value::from(secret.as_str()).to_string();
            let json = &json[1..json.len() - 1];
            for form in [secret.as_str(), json, &percent(&secret, true), &percent(&secret, false), &alone] {
                let text = redactor.redact(&format!("{before}{form}{after} {other}")).into_owned();
                prop_assert!(!text.contains(form), "{form} in {text}");
                prop_assert!(!text.contains(&other));
            }
            let text = redactor.redact(&encoded).into_owned();
            prop_assert!(text.contains("***") && text != encoded);
        }

        #[test]
        fn cleaning_never_leaves_a_control_character_nor_too_much(text in "\\PC{0,80}|[\\x00-\\x7f]{0,200}", max in 30usize..200) {
            let clean = Redactor::new().clean(&text, max);
            prop_assert!(clean.chars().count() <= max);
            prop_assert!(!clean.chars().any(char::is_control));
        }
    }
}
