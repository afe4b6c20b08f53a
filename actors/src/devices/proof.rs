//! The string that a device signs, and its verification.
//!
//! Fields are joined by `|` without escaping, so what is signed is ambiguous only where a field itself contains `|`; the nonce of
//! the socket ends every replay. Source: WebSocket protocol of 2026.5.12, device identity.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

/// base64url; encodes without padding, decodes with or without it.
pub(super) const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The raw bytes of an Ed25519 public key; not necessarily a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 32 bytes in base64url or base64, padded or not, or an SPKI PEM.
    pub fn decode(text: &str) -> Option<Self> {
        if text.contains("-----BEGIN") {
            return VerifyingKey::from_public_key_pem(text.trim()).ok().map(|key| Self(key.to_bytes()));
        }
        decode_base64(text)?.try_into().ok().map(Self)
    }

    /// base64url without padding: the form that is stored and sent.
    pub fn encode(&self) -> String {
        BASE64_URL.encode(self.0)
    }

    /// Lower-case hex SHA-256 of the raw bytes, 64 characters.
    pub fn device_id(&self) -> String {
        hex::encode(Sha256::digest(self.0))
    }

    /// Is it the key of one holder? Keys of small order verify signatures that anybody can make.
    pub fn is_canonical(&self) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| !key.is_weak())
    }

    /// Did the holder of this key sign the payload? `signature`: 64 bytes in base64url or base64, padded or not.
    pub fn verifies(&self, payload: &str, signature: &str) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        decode_base64(signature)
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .is_some_and(|signature| key.verify(payload.as_bytes(), &signature).is_ok())
    }
}

/// base64url and base64 differ in two characters only, so one decoder reads both.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64_URL.decode(text.trim().replace('+', "-").replace('/', "_")).ok()
}

/// What a device signs.
#[derive(Debug, Clone, Copy)]
pub struct SignedFields<'a> {
    pub device_id: &'a str,
    pub client_id: &'a str,
    pub client_mode: &'a str,
    /// After defaulting.
    pub role: &'a str,
    /// In the order sent.
    pub scopes: &'a [String],
    /// Epoch milliseconds.
    pub signed_at: u64,
    /// `auth.token`, else `auth.deviceToken`, else `auth.bootstrapToken`, else empty.
    pub token: &'a str,
    pub nonce: &'a str,
    pub platform: &'a str,
    pub device_family: Option<&'a str>,
}

impl SignedFields<'_> {
    pub fn payload_v2(&self) -> String {
        self.payload("v2")
    }

    /// v2 and the two facts that pairing pins.
    pub fn payload_v3(&self) -> String {
        let platform = normalise_metadata(self.platform);
        let family = normalise_metadata(self.device_family.unwrap_or(""));
        format!("{}|{platform}|{family}", self.payload("v3"))
    }

    fn payload(&self, version: &str) -> String {
        let scopes = self.scopes.join(",");
        format!(
            "{version}|{}|{}|{}|{}|{scopes}|{}|{}|{}",
            self.device_id, self.client_id, self.client_mode, self.role, self.signed_at, self.token, self.nonce
        )
    }

    /// v3 is tried first; older clients sign v2.
    pub fn are_signed_by(&self, key: &PublicKey, signature: &str) -> bool {
        key.verifies(&self.payload_v3(), signature) || key.verifies(&self.payload_v2(), signature)
    }
}

/// Platform and device family as they are signed and compared: trimmed, A–Z lower-cased, other letters untouched.
pub fn normalise_metadata(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const KEY_01: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
    const ID_01: &str = "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e";
    const KEY_SEQ: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const ID_SEQ: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";

    struct Vector {
        key: &'static str,
        id: &'static str,
        /// client id, mode, role
        who: [&'static str; 3],
        scopes: &'static [&'static str],
        signed_at: u64,
        token: &'static str,
        nonce: &'static str,
        platform: &'static str,
        family: Option<&'static str>,
        /// v3 payload after the id
        tail: &'static str,
        signature_v2: &'static str,
        signature_v3: &'static str,
    }

    const VECTORS: [Vector; 4] = [
        Vector {
            key: KEY_01,
            id: ID_01,
            who: ["cli", "cli", "operator"],
            scopes: &["operator.read"],
            signed_at: 1_737_264_000_000,
            token: "tok-1",
            nonce: "11111111-2222-4333-8444-555555555555",
            platform: "linux",
            family: None,
            tail: "cli|cli|operator|operator.read|1737264000000|tok-1|11111111-2222-4333-8444-555555555555|linux|",
            signature_v2: "jivMmNrJqN2N9-5K5jxzFcM8eeiphIIRZdVM4cSRemRpBhgJJ33Y8vChs_kR62D0i2ulWZyzTfh9zzRrZEi_Ag",
            signature_v3: "X-6BzKyVjOCMs-JfOebg7Uc6Tu4bCM_vNr7EmUHysfMwmXdYwtD-eev4_W-GHGAwtYczM54f0ZhWcBPPGlC6AQ",
        },
        Vector {
            key: KEY_01,
            id: ID_01,
            who: ["openclaw-control-ui", "webchat", "operator"],
            scopes: &["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"],
            signed_at: 1_737_264_000_001,
            token: "",
            nonce: "n-2",
            platform: "MacIntel",
            family: None,
            tail: "openclaw-control-ui|webchat|operator|operator.admin,operator.read,operator.write,operator.approvals,\
                   operator.pairing|1737264000001||n-2|macintel|",
            signature_v2: "nO_WYZonjLay5dO6vORBxzML0xJza8wopSDioLsHV-kCpW9cFMdIjZI30-61mzYP2qv7l8PXbSTIn2O7SHDVDw",
            signature_v3: "DJknmmTTyxQZqPT7VDnqGClKhUQrBuVQGRPxK5VjfjapjIfmPKQqKg53kpuMf7VrRC09ilKBNK4QZo-apT7FDw",
        },
        Vector {
            key: KEY_01,
            id: ID_01,
            who: ["node-host", "node", "node"],
            scopes: &[],
            signed_at: 1_737_264_000_002,
            token: "tok-3",
            nonce: "n-3",
            platform: "  Linux ",
            family: Some("Raspberry Pi É"),
            tail: "node-host|node|node||1737264000002|tok-3|n-3|linux|raspberry pi É",
            signature_v2: "-K7CiBvNgP7SZrzn3cJI_m9g2JJyljF839XSxO1Qe8TAZ2C3DHMw7lzqoIn4S0GjB1QQSGf8SQeEzfzG1sj3Aw",
            signature_v3: "SZpw883UxWcRuXaxnfgY7-mLr-EBkBcGUCL-re0cDquhmyqcO975FVXNwhlErX66KuGNF69RX_JjlQ02VaQnCg",
        },
        Vector {
            key: KEY_SEQ,
            id: ID_SEQ,
            who: ["cli", "cli", "operator"],
            scopes: &["operator.read"],
            signed_at: 1_737_264_000_000,
            token: "tok-1",
            nonce: "11111111-2222-4333-8444-555555555555",
            platform: "linux",
            family: None,
            tail: "cli|cli|operator|operator.read|1737264000000|tok-1|11111111-2222-4333-8444-555555555555|linux|",
            signature_v2: "irhYVy2p21a458Er1fMWHyXJXXmooFGfwMGNHLbvyDU4aRZkf0MZ-GdTBK9V41Gqj62qzH2-lMAldGAfisX7Bw",
            signature_v3: "LGnjlRG90KE16A0Eo-IfV1SRLTaaiSeFbK-Eks6DSNQyVkxkc1X_bTg_OVgbJ6qzBab_-WOlTo-EILzMjjrqAw",
        },
    ];

    /// Runs `test` with the typed fields of a vector.
    fn with_fields(vector: &Vector, test: impl FnOnce(SignedFields<'_>)) {
        let scopes: Vec<String> = vector.scopes.iter().map(|s| (*s).to_owned()).collect();
        let [client_id, client_mode, role] = vector.who;
        test(SignedFields {
            device_id: vector.id,
            client_id,
            client_mode,
            role,
            scopes: &scopes,
            signed_at: vector.signed_at,
            token: vector.token,
            nonce: vector.nonce,
            platform: vector.platform,
            device_family: vector.family,
        });
    }

    #[test]
    fn the_recorded_signatures_verify_in_both_versions() {
        for vector in &VECTORS {
            let key = PublicKey::decode(vector.key).unwrap();
            assert_eq!(key.device_id(), vector.id);
            with_fields(vector, |fields| {
                assert_eq!(fields.payload_v3(), format!("v3|{}|{}", vector.id, vector.tail));
                assert!(key.verifies(&fields.payload_v2(), vector.signature_v2));
                assert!(key.verifies(&fields.payload_v3(), vector.signature_v3));
                assert!(fields.are_signed_by(&key, vector.signature_v2));
                assert!(fields.are_signed_by(&key, vector.signature_v3));
            });
        }
    }

    #[test]
    fn any_changed_field_breaks_the_signature() {
        let key = PublicKey::decode(KEY_01).unwrap();
        let wider = vec!["operator.admin".to_owned()];
        with_fields(&VECTORS[0], |fields| {
            let changed = [
                SignedFields { nonce: "other", ..fields },
                SignedFields { token: "tok-2", ..fields },
                SignedFields { role: "node", ..fields },
                SignedFields { scopes: &wider, ..fields },
                SignedFields { signed_at: fields.signed_at + 1, ..fields },
                SignedFields { client_id: "gateway-client", ..fields },
                SignedFields { client_mode: "probe", ..fields },
                SignedFields { device_id: ID_SEQ, ..fields },
            ];
            for fields in changed {
                assert!(!fields.are_signed_by(&key, VECTORS[0].signature_v3), "{fields:?}");
                assert!(!fields.are_signed_by(&key, VECTORS[0].signature_v2), "{fields:?}");
            }
            let elsewhere = SignedFields { platform: "darwin", ..fields };
            assert!(!elsewhere.are_signed_by(&key, VECTORS[0].signature_v3));
            assert!(elsewhere.are_signed_by(&key, VECTORS[0].signature_v2), "v2 does not cover the platform");
        });
    }

    #[test]
    fn keys_are_read_in_every_usual_spelling() {
        let key = PublicKey::decode(KEY_SEQ).unwrap();
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n\
                   -----END PUBLIC KEY-----\n";
        let standard = KEY_SEQ.replace('_', "/");
        for text in [&format!("{KEY_SEQ}="), &standard, &format!("{standard}="), &format!(" {KEY_SEQ}\n"), pem] {
            assert_eq!(PublicKey::decode(text), Some(key), "{text}");
        }
        assert_eq!(key.encode(), KEY_SEQ);
        for text in ["", "AAAA", "not base64!", "-----BEGIN PUBLIC KEY-----", &KEY_SEQ.repeat(2)] {
            assert_eq!(PublicKey::decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_not_canonical() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let weak = PublicKey::from_bytes(identity);
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(weak.verifies("anything", &BASE64_URL.encode(signature)), "anybody can sign for it");
        assert!(!weak.is_canonical());
        assert!(PublicKey::decode(KEY_01).unwrap().is_canonical());
    }

    #[test]
    fn metadata_is_trimmed_and_only_ascii_is_lowered() {
        assert_eq!(normalise_metadata("  Raspberry Pi É "), "raspberry pi É");
    }
}
