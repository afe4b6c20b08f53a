//! This machine's own device identity: one key in one file, made on first use.
//!
//! Invariant: an existing file is never overwritten; a broken one is an error, because a new key would lose every pairing.
//! Source: `<state>/identity/device.json` of 2026.5.12, which client and gateway share.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::key::PublicKey;
use crate::files;

/// The key of this machine.
#[derive(Clone)]
pub struct DeviceIdentity {
    key: SigningKey,
    device_id: String,
    created_at_ms: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("device identity {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("device identity {path}: {reason}; restore it or move it away to start with a new one")]
    Broken { path: PathBuf, reason: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    device_id: String,
    /// SPKI.
    public_key_pem: String,
    /// PKCS8, version 1: other readers refuse the form that repeats the public key.
    private_key_pem: String,
    created_at_ms: u64,
}

impl DeviceIdentity {
    /// Reads `<state>/identity/device.json`, or makes it from `seed` (32 random bytes), mode 0600.
    ///
    /// When two processes start at once, both end up with the key of the first.
    pub fn load_or_create(state: &Path, now_ms: u64, seed: impl FnOnce() -> [u8; 32]) -> Result<Self, IdentityError> {
        let path = state.join("identity").join("device.json");
        if let Some(identity) = Self::load(&path)? {
            return Ok(identity);
        }
        let identity = Self::from_seed(seed(), now_ms);
        let written = identity.stored(&path)?;
        create(&path, &written).map_err(|source| IdentityError::File { path: path.clone(), source })?;
        Ok(Self::load(&path)?.unwrap_or(identity))
    }

    /// The identity of a given key.
    pub fn from_seed(seed: [u8; 32], created_at_ms: u64) -> Self {
        Self::of(SigningKey::from_bytes(&seed), created_at_ms)
    }

    /// 64 hex digits.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Base64url without padding.
    pub fn public_key(&self) -> String {
        PublicKey::from(self.key.verifying_key()).encode()
    }

    pub fn created_at_ms(&self) -> u64 {
        self.created_at_ms
    }

    /// Base64url without padding.
    pub fn sign(&self, payload: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(payload.as_bytes()).to_bytes())
    }

    fn of(key: SigningKey, created_at_ms: u64) -> Self {
        let device_id = PublicKey::from(key.verifying_key()).device_id();
        Self { key, device_id, created_at_ms }
    }

    fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let broken = |reason: String| IdentityError::Broken { path: path.to_owned(), reason };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::File { path: path.to_owned(), source }),
        };
        // serde_json names a place and never repeats the text, which holds a secret
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if stored.version != 1 {
            return Err(broken(format!("version {} is not known", stored.version)));
        }
        let key = SigningKey::from_pkcs8_pem(&stored.private_key_pem)
            .map_err(|_| broken("the private key cannot be read".into()))?;
        Ok(Some(Self::of(key, stored.created_at_ms)))
    }

    fn stored(&self, path: &Path) -> Result<Vec<u8>, IdentityError> {
        let pem = || {
            let private = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
            let stored = Stored {
                version: 1,
                device_id: self.device_id.clone(),
                public_key_pem: self.key.verifying_key().to_public_key_pem(LineEnding::LF).ok()?,
                private_key_pem: private.to_pkcs8_pem(LineEnding::LF).ok()?.to_string(),
                created_at_ms: self.created_at_ms,
            };
            serde_json::to_vec_pretty(&stored).ok()
        };
        pem().ok_or_else(|| IdentityError::Broken {
            path: path.to_owned(),
            reason: "the new key cannot be encoded".into(),
        })
    }
}

impl std::fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceIdentity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// Puts a whole file in place unless another process was first.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    files::ensure_dir(dir)?;
    let draft = dir.join(format!(".device.{}.json", uuid::Uuid::new_v4().simple()));
    files::replace(&draft, content)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_first_key_stays_and_the_file_is_private() {
        let state = tempfile::tempdir().unwrap();
        let first = DeviceIdentity::load_or_create(state.path(), 7, || [1; 32]).unwrap();
        let again = DeviceIdentity::load_or_create(state.path(), 8, || panic!("no new key")).unwrap();
        assert_eq!((first.device_id(), first.created_at_ms()), (again.device_id(), again.created_at_ms()));
        let path = state.path().join("identity/device.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(stored["deviceId"], first.device_id());
        assert!(stored["publicKeyPem"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
        assert!(stored["privateKeyPem"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn a_signature_is_the_recorded_one() {
        let identity = DeviceIdentity::from_seed([1; 32], 0);
        let payload = format!(
            "v3|{}|cli|cli|operator|operator.read|1737264000000|tok-1|11111111-2222-4333-8444-555555555555|linux|",
            identity.device_id()
        );
        let recorded = "X-6BzKyVjOCMs-JfOebg7Uc6Tu4bCM_vNr7EmUHysfMwmXdYwtD-eev4_W-GHGAwtYczM54f0ZhWcBPPGlC6AQ";
        assert_eq!(identity.sign(&payload), recorded);
    }

    #[test]
    fn a_broken_file_is_an_error_and_stays_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("identity/device.json");
        files::ensure_dir(path.parent().unwrap()).unwrap();
        for content in
            ["{", "{}", r#"{"version":2,"deviceId":"","publicKeyPem":"","privateKeyPem":"","createdAtMs":1}"#]
        {
            files::replace(&path, content.as_bytes()).unwrap();
            let error = DeviceIdentity::load_or_create(state.path(), 1, || [1; 32]).unwrap_err();
            assert!(matches!(error, IdentityError::Broken { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), content.as_bytes());
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let identity = DeviceIdentity::from_seed([7; 32], 0);
        assert_eq!(format!("{identity:?}"), format!("DeviceIdentity {{ device_id: {:?}, .. }}", identity.device_id()));
    }
}
