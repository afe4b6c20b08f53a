//! Ed25519 keys of devices as the wire carries them, and the text that a device signs.
//!
//! Invariant: a device id is the hex SHA-256 of the raw public key, so a known id is a known key.
//! Source: device identity of the WebSocket protocol of 2026.5.12; signature vectors recorded from it.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::protocol::hello::ConnectParams;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The 32 bytes of a public key, not yet known to be a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads base64url or base64 of the raw bytes, padded or not, or a PEM of the SPKI form.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains("-----BEGIN") {
            return VerifyingKey::from_public_key_pem(text.trim()).ok().map(Self::from);
        }
        decode(text)?.try_into().ok().map(Self)
    }

    /// The canonical form: base64url without padding.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// 64 lower-case hex digits.
    pub fn device_id(&self) -> String {
        hex::encode(Sha256::digest(self.0))
    }

    /// Did this key sign `payload`? `signature` is base64url or base64 of 64 bytes.
    pub fn verify(&self, payload: &str, signature: &str) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        let Some(signature) = decode(signature).and_then(|bytes| Signature::from_slice(&bytes).ok()) else {
            return false;
        };
        key.verify(payload.as_bytes(), &signature).is_ok()
    }

    /// A proper point in its one encoding. Anything else could verify signatures that nobody made.
    pub fn is_canonical(&self) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| !key.is_weak() && key.to_edwards().compress().as_bytes() == &self.0)
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key.to_bytes())
    }
}

/// Are these two spellings of one key?
pub fn same_key(left: &str, right: &str) -> bool {
    matches!((PublicKey::parse(left), PublicKey::parse(right)), (Some(left), Some(right)) if left == right)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.trim().replace('+', "-").replace('/', "_")).ok()
}

/// Everything that a device signs when it connects.
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
    /// The token sent beside it, of whatever kind, or empty; never the password.
    pub token: &'a str,
    pub nonce: &'a str,
    pub platform: &'a str,
    /// Empty when absent.
    pub device_family: &'a str,
}

impl<'a> SignedFields<'a> {
    /// What a device must sign for these parameters. Their own `device` part is not looked at.
    pub fn of(params: &'a ConnectParams, device_id: &'a str, signed_at: u64, nonce: &'a str) -> Self {
        Self {
            device_id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: params.role_name(),
            scopes: &params.scopes,
            signed_at,
            token: params.auth.as_ref().map_or("", |auth| auth.signed_token()),
            nonce,
            platform: &params.client.platform,
            device_family: params.client.device_family.as_deref().unwrap_or(""),
        }
    }

    /// The older text, without platform and family.
    pub fn v2(&self) -> String {
        format!("v2|{}", self.common())
    }

    /// The text that current clients sign.
    pub fn v3(&self) -> String {
        format!("v3|{}|{}|{}", self.common(), normalise(self.platform), normalise(self.device_family))
    }

    fn common(&self) -> String {
        let Self { device_id, client_id, client_mode, role, scopes, signed_at, token, nonce, .. } = self;
        let scopes = scopes.join(",");
        format!("{device_id}|{client_id}|{client_mode}|{role}|{scopes}|{signed_at}|{token}|{nonce}")
    }
}

/// Platform and family as they are signed and pinned: trimmed, ASCII lower-cased, other letters untouched.
pub fn normalise(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::SigningKey;
    use ed25519_dalek::pkcs8::EncodePublicKey;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

    use super::*;

    const KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
    const ID: &str = "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e";

    fn scopes(names: &str) -> Vec<String> {
        names.split_whitespace().map(|name| format!("operator.{name}")).collect()
    }

    struct Vector {
        scopes: Vec<String>,
        fields: SignedFields<'static>,
        v2: &'static str,
        v3: &'static str,
        signature_v2: &'static str,
        signature_v3: &'static str,
    }

    /// Recorded from 2026.5.12 with the key whose seed is 32 bytes of 1.
    fn vectors() -> [Vector; 3] {
        let base = SignedFields {
            device_id: ID,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &[],
            signed_at: 1_737_264_000_000,
            token: "tok-1",
            nonce: "11111111-2222-4333-8444-555555555555",
            platform: "linux",
            device_family: "",
        };
        [
            Vector {
                scopes: scopes("read"),
                fields: base,
                v2: "|cli|cli|operator|operator.read|1737264000000|tok-1|11111111-2222-4333-8444-555555555555",
                v3: "|linux|",
                signature_v2: "jivMmNrJqN2N9-5K5jxzFcM8eeiphIIRZdVM4cSRemRpBhgJJ33Y8vChs_kR62D0i2ulWZyzTfh9zzRrZEi_Ag",
                signature_v3: "X-6BzKyVjOCMs-JfOebg7Uc6Tu4bCM_vNr7EmUHysfMwmXdYwtD-eev4_W-GHGAwtYczM54f0ZhWcBPPGlC6AQ",
            },
            Vector {
                scopes: scopes("admin read write approvals pairing"),
                fields: SignedFields {
                    client_id: "openclaw-control-ui",
                    client_mode: "webchat",
                    signed_at: 1_737_264_000_001,
                    token: "",
                    nonce: "n-2",
                    platform: "MacIntel",
                    ..base
                },
                v2: "|openclaw-control-ui|webchat|operator|operator.admin,operator.read,operator.write,\
                     operator.approvals,operator.pairing|1737264000001||n-2",
                v3: "|macintel|",
                signature_v2: "nO_WYZonjLay5dO6vORBxzML0xJza8wopSDioLsHV-kCpW9cFMdIjZI30-61mzYP2qv7l8PXbSTIn2O7SHDVDw",
                signature_v3: "DJknmmTTyxQZqPT7VDnqGClKhUQrBuVQGRPxK5VjfjapjIfmPKQqKg53kpuMf7VrRC09ilKBNK4QZo-apT7FDw",
            },
            Vector {
                scopes: Vec::new(),
                fields: SignedFields {
                    client_id: "node-host",
                    client_mode: "node",
                    role: "node",
                    signed_at: 1_737_264_000_002,
                    token: "tok-3",
                    nonce: "n-3",
                    platform: "  Linux ",
                    device_family: "Raspberry Pi É",
                    ..base
                },
                v2: "|node-host|node|node||1737264000002|tok-3|n-3",
                v3: "|linux|raspberry pi É",
                signature_v2: "-K7CiBvNgP7SZrzn3cJI_m9g2JJyljF839XSxO1Qe8TAZ2C3DHMw7lzqoIn4S0GjB1QQSGf8SQeEzfzG1sj3Aw",
                signature_v3: "SZpw883UxWcRuXaxnfgY7-mLr-EBkBcGUCL-re0cDquhmyqcO975FVXNwhlErX66KuGNF69RX_JjlQ02VaQnCg",
            },
        ]
    }

    #[test]
    fn recorded_signatures_hold_and_their_neighbours_do_not() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!((key.device_id().as_str(), key.encode().as_str()), (ID, KEY));
        assert!(key.is_canonical());
        for vector in vectors() {
            let fields = SignedFields { scopes: &vector.scopes, ..vector.fields };
            assert_eq!(fields.v2(), format!("v2|{ID}{}", vector.v2));
            assert_eq!(fields.v3(), format!("v3|{ID}{}{}", vector.v2, vector.v3));
            assert!(key.verify(&fields.v2(), vector.signature_v2));
            assert!(key.verify(&fields.v3(), vector.signature_v3));
            assert!(!key.verify(&fields.v3(), vector.signature_v2));
            let later = SignedFields { signed_at: fields.signed_at + 1, ..fields };
            assert!(!key.verify(&later.v3(), vector.signature_v3));
        }
    }

    #[test]
    fn a_key_is_read_in_every_spelling() {
        let verifying = SigningKey::from_bytes(&[9; 32]).verifying_key();
        let key = PublicKey::from(verifying);
        let padded = STANDARD.encode(verifying.as_bytes());
        for text in [
            key.encode(),
            format!("{}=", key.encode()),
            format!(" {padded}\n"),
            padded.trim_end_matches('=').to_owned(),
            verifying.to_public_key_pem(LineEnding::LF).unwrap(),
        ] {
            assert_eq!(PublicKey::parse(&text), Some(key), "{text}");
            assert!(same_key(&text, &key.encode()));
        }
        for text in ["", "AAAA", "not base64!", "-----BEGIN PUBLIC KEY-----", &"A".repeat(44)] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
        }
        assert!(!same_key("", ""));
    }

    #[test]
    fn a_key_of_small_order_is_not_canonical() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        assert!(!PublicKey(identity_point).is_canonical());
        assert!(!PublicKey([0xff; 32]).is_canonical());
    }
}
