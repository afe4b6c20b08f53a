//! A device identity: an Ed25519 key and the signed proof of the `connect` request.
//!
//! Source: WebSocket protocol, device identity: `v3|id|client|mode|role|scopes|signedAt|token|nonce|platform|deviceFamily`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub struct Device {
    key: SigningKey,
}

/// What the proof covers, as it stands in the same request.
pub struct Claim<'a> {
    pub client_id: &'a str,
    pub mode: &'a str,
    pub role: &'a str,
    pub scopes: &'a [&'a str],
    /// The credential of the request: `auth.token`, else `auth.deviceToken`, else `auth.bootstrapToken`, else empty.
    pub token: &'a str,
    pub platform: &'a str,
    /// The nonce of this socket's challenge.
    pub nonce: &'a str,
    /// Wall clock, epoch milliseconds.
    pub signed_at: i64,
}

impl Device {
    /// The same seed gives the same device.
    pub fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    /// Lower-case hex SHA-256 of the public key.
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.key.verifying_key().as_bytes()))
    }

    pub fn prove(&self, claim: &Claim<'_>) -> Value {
        let scopes = claim.scopes.join(",");
        let text = format!(
            "v3|{}|{}|{}|{}|{scopes}|{}|{}|{}|{}|",
            self.id(),
            claim.client_id,
            claim.mode,
            claim.role,
            claim.signed_at,
            claim.token,
            claim.nonce,
            claim.platform
        );
        json!({
            "id": self.id(),
            "publicKey": BASE64_URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes()),
            "signature": BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes()),
            "signedAt": claim.signed_at,
            "nonce": claim.nonce,
        })
    }
}
