//! The proof that a client holds the key of the device it claims to be.
//!
//! Invariant: the checks run in this order and before any credential is judged, so that a refusal says nothing about secrets.
//! Source: proof checks of the WebSocket protocol of 2026.5.12.

use openclaw_actors::devices::{PublicKey, SignedFields};
use openclaw_actors::protocol::hello::{ConnectParams, DeviceProof};

use super::refusal::{self, Refusal};

/// How far the signer's clock may be off, milliseconds.
pub const SIGNATURE_SKEW_MS_MAX: u64 = 120_000;

/// The key that the client has proved to hold. `nonce` is the one of this socket's challenge.
pub fn prove(params: &ConnectParams, device: &DeviceProof, nonce: &str, now_ms: u64) -> Result<PublicKey, Refusal> {
    let key = PublicKey::parse(&device.public_key).filter(|key| key.device_id() == device.id).ok_or_else(|| {
        refusal::device_proof("device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch")
    })?;
    if now_ms.abs_diff(device.signed_at) > SIGNATURE_SKEW_MS_MAX {
        let (code, reason) = ("DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale");
        return Err(refusal::device_proof("device signature expired", code, reason));
    }
    if device.nonce.trim().is_empty() {
        let (code, reason) = ("DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing");
        return Err(refusal::device_proof("device nonce required", code, reason));
    }
    if device.nonce != nonce {
        let (code, reason) = ("DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch");
        return Err(refusal::device_proof("device nonce mismatch", code, reason));
    }
    let signed = SignedFields::of(params, &device.id, device.signed_at, nonce);
    if !key.verify(&signed.v3(), &device.signature) && !key.verify(&signed.v2(), &device.signature) {
        let (code, reason) = ("DEVICE_AUTH_SIGNATURE_INVALID", "device-signature");
        return Err(refusal::device_proof("device signature invalid", code, reason));
    }
    if !key.is_canonical() {
        let (code, reason) = ("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key");
        return Err(refusal::device_proof("device public key invalid", code, reason));
    }
    Ok(key)
}
