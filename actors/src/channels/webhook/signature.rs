//! The signature of a post, the same in both directions: `sha256=<hex>`, HMAC-SHA256 over `<timestamp>.<body>`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Seconds since the epoch, as text.
pub const TIMESTAMP: &str = "x-openclaw-timestamp";
pub const SIGNATURE: &str = "x-openclaw-signature";

/// How far the clocks of both sides may be apart, seconds; an older post may be somebody's recording.
const SKEW_MAX: i64 = 300;
const SCHEME: &str = "sha256=";

fn mac(secret: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?; // takes a key of any length
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

/// The value of the signature header.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let digest = mac(secret, timestamp, body).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default();
    format!("{SCHEME}{digest}")
}

/// Is it worth reading the body? The time is near, and there is something like a signature.
pub fn may_be_valid(timestamp: &str, signature: &str, now_seconds: i64) -> bool {
    is_fresh(timestamp, now_seconds) && signature.trim().strip_prefix(SCHEME).is_some_and(|digest| digest.len() == 64)
}

fn is_fresh(timestamp: &str, now_seconds: i64) -> bool {
    timestamp.parse::<i64>().is_ok_and(|at| at.abs_diff(now_seconds) <= SKEW_MAX.unsigned_abs())
}

/// Did somebody who has the secret sign this, and just now? Takes as long for a wrong signature as for a right one.
pub fn is_valid(secret: &str, timestamp: &str, signature: &str, body: &[u8], now_seconds: i64) -> bool {
    let fresh = is_fresh(timestamp, now_seconds);
    let given = signature.trim().strip_prefix(SCHEME).and_then(|digest| hex::decode(digest).ok());
    let (Some(given), Some(mac)) = (given, mac(secret, timestamp, body)) else { return false };
    mac.verify_slice(&given).is_ok() && fresh && !secret.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_the_time_and_the_very_body_fit() {
        let signature = sign("secret", "1000", b"{}");
        assert!(is_valid("secret", "1000", &signature, b"{}", 1300));
        assert!(may_be_valid("1000", &signature, 1300) && !may_be_valid("1000", &signature, 1301));
        assert!(!may_be_valid("1000", "sha256=00", 1000) && !may_be_valid("", &signature, 1000));
        for (secret, at, signature, body, now) in [
            ("other", "1000", signature.as_str(), "{}", 1000),
            ("secret", "1001", signature.as_str(), "{}", 1000),
            ("secret", "1000", signature.as_str(), "{ }", 1000),
            ("secret", "1000", signature.as_str(), "{}", 1301),
            ("secret", "1000", signature.as_str(), "{}", 699),
            ("secret", "soon", sign("secret", "soon", b"{}").as_str(), "{}", 1000),
            ("secret", "1000", signature.trim_start_matches(SCHEME), "{}", 1000),
            ("secret", "1000", "sha256=", "{}", 1000),
            ("secret", "1000", "", "{}", 1000),
            ("", "1000", sign("", "1000", b"{}").as_str(), "{}", 1000),
        ] {
            assert!(!is_valid(secret, at, signature, body.as_bytes(), now), "{secret} {at} {signature} {body} {now}");
        }
    }
}
