//! Every spelling of one registered secret: as it is, JSON-escaped, percent-encoded, and inside base64.
//!
//! A secret of eight characters or more never leaves in any of these spellings; shorter ones would hide ordinary words.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Shortest secret that is searched for, characters.
pub(super) const SECRET_CHARS_MIN: usize = 8;

/// Long secrets are searched piece by piece, so that a part of a key file is recognised too.
const PIECE_CHARS: usize = 512;

/// The alternatives (regular expressions) that match `secret`; empty when it is too short to be searched for.
pub(super) fn spellings(secret: &str) -> Vec<String> {
    let chars: Vec<char> = secret.trim().chars().collect();
    if chars.len() < SECRET_CHARS_MIN {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut rest = chars.as_slice();
    while !rest.is_empty() {
        // A remainder too short to be searched for stays with the piece before it.
        let size = if rest.len() < PIECE_CHARS + SECRET_CHARS_MIN { rest.len() } else { PIECE_CHARS };
        let (piece, next) = rest.split_at(size);
        found.push(piece.iter().map(|c| char_spellings(*c)).collect());
        let text: String = piece.iter().collect();
        found.extend(base64_spellings(text.as_bytes()));
        rest = next;
    }
    found
}

/// One character as it is, as JSON writes it, and percent-encoded; a letter or digit has one spelling only.
fn char_spellings(c: char) -> String {
    if c.is_ascii_alphanumeric() {
        return c.to_string();
    }
    let mut buffer = [0; 4];
    let percent: String = c.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")).collect();
    let quoted = serde_json::Value::from(c.to_string()).to_string();
    let json = &quoted[1..quoted.len() - 1];
    let mut ways = vec![format!("(?i-u:{percent})")];
    if json.chars().count() > 1 {
        ways.push(regex::escape(json)); // before the character itself, which may be its first half
    }
    ways.push(regex::escape(&c.to_string()));
    if c == ' ' {
        ways.push("\\+".to_owned());
    }
    format!("(?:{})", ways.join("|"))
}

/// The part of a base64 text that depends on the secret alone, for each of the three positions it can start at.
///
/// So `user:secret` in a Basic header is found as well as the secret by itself; at most one character at either end,
/// which mixes in neighbouring bytes, stays visible.
fn base64_spellings(secret: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(secret);
            let encoded = engine.encode(&bytes);
            let whole = bytes.len() * 8 / 6;
            let text = regex::escape(&encoded[skipped..whole]);
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn finds(secret: &str, text: &str) -> bool {
        regex::Regex::new(&spellings(secret).join("|")).unwrap().is_match(text)
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = "p\"ä/s w+rd\\9";
        assert!(finds(secret, secret));
        assert!(finds(secret, &serde_json::Value::from(secret).to_string()));
        assert!(finds(secret, "x=p%22%c3%a4%2fs%20w%2Brd%5C9&y"));
        assert!(finds(secret, "x=p%22%C3%A4/s+w%2brd%5c9&y"));
        assert!(finds(secret, &BASE64_STANDARD.encode(secret)));
        for user in ["", "a", "ab", "abc", "user:"] {
            assert!(finds(secret, &BASE64_STANDARD.encode(format!("{user}{secret}!"))), "{user}");
            assert!(finds(secret, &BASE64_URL_SAFE_NO_PAD.encode(format!("{user}{secret}!"))), "{user}");
        }
        assert!(!finds(secret, "p\"ä/s w+rd"));
    }

    #[test]
    fn a_short_secret_is_not_searched_for() {
        assert!(spellings("short").is_empty());
        assert!(spellings("  short7 \n").is_empty());
    }

    #[test]
    fn a_part_of_a_long_secret_is_found() {
        let long: String = (0..200).map(|n| format!("line{n:04}\n")).collect();
        let part: String = long.chars().skip(PIECE_CHARS).take(PIECE_CHARS).collect();
        assert!(finds(&long, &part));
    }
}
