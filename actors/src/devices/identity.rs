<<<<<<< HEAD
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
=======
//! A device's own identity: an Ed25519 key kept in `<state>/identity/device.json`.
//!
//! The file is made once and never replaced while it can be read: losing the key loses every approval.
//! Its shape is upstream's, so that state directories stay exchangeable. Source: WebSocket protocol of 2026.5.12, device identity.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::proof::{BASE64_URL, PublicKey, SignedFields};
use crate::files;

/// An Ed25519 key and what is derived from it.
>>>>>>> cli
#[derive(Clone)]
pub struct DeviceIdentity {
    key: SigningKey,
    device_id: String,
    created_at_ms: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("device identity {path}: {source}")]
<<<<<<< HEAD
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
=======
    Io { path: PathBuf, source: io::Error },
    #[error("device identity {path}: {fault}; move the file away to get a new identity")]
    Unreadable { path: PathBuf, fault: String },
}

/// The file, as upstream writes it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityFile {
    version: u32,
    device_id: String,
    /// SPKI
    public_key_pem: String,
    /// PKCS#8
>>>>>>> cli
    private_key_pem: String,
    created_at_ms: u64,
}

<<<<<<< HEAD
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
=======
/// Where the identity of a state directory lies.
pub fn identity_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity").join("device.json")
}

impl DeviceIdentity {
    /// `seed`: 32 secret bytes.
    pub fn from_seed(seed: [u8; 32], created_at_ms: u64) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let device_id = PublicKey::from_bytes(key.verifying_key().to_bytes()).device_id();
        Self { key, device_id, created_at_ms }
    }

    pub fn generate(rng: &mut impl CryptoRng, now_ms: u64) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self::from_seed(seed, now_ms)
    }

    /// Reads the identity of a state directory; makes one (file 0600, directory 0700) if there is none.
    ///
    /// A file that exists and cannot be understood is an error, never overwritten.
    pub fn load_or_create(state_dir: &Path, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Self, IdentityError> {
        let path = identity_path(state_dir);
        if let Some(identity) = Self::load(&path)? {
            return Ok(identity);
        }
        let fresh = Self::generate(rng, now_ms);
        match fresh.create(&path) {
            Ok(()) => Ok(fresh),
            // Another process was faster: its identity is the one.
            Err(IdentityError::Io { source, path }) if source.kind() == ErrorKind::AlreadyExists => {
                let lost = || IdentityError::Io { path: path.clone(), source };
                Self::load(&path)?.ok_or_else(lost)
            }
            Err(error) => Err(error),
        }
    }

    /// `None`: there is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map(Some).map_err(|fault| IdentityError::Unreadable { path: path.to_owned(), fault })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Io { path: path.to_owned(), source }),
        }
    }

    /// The id is derived from the key; the one in the file is not believed. Errors never quote the file.
    fn parse(text: &str) -> Result<Self, String> {
        let file: IdentityFile =
            serde_json::from_str(text).map_err(|error| format!("not an identity file (line {})", error.line()))?;
        if file.version != 1 {
            return Err(format!("unknown version {}", file.version));
        }
        let key = SigningKey::from_pkcs8_pem(file.private_key_pem.trim())
            .map_err(|_| "the private key is no Ed25519 key in PKCS#8".to_owned())?;
        Ok(Self::from_seed(key.to_bytes(), file.created_at_ms))
    }

    /// Fails with `AlreadyExists` rather than replace a key; the content is complete before the name exists.
    fn create(&self, path: &Path) -> Result<(), IdentityError> {
        let io = |source| IdentityError::Io { path: path.to_owned(), source };
        let text = self.to_file_text().map_err(|fault| IdentityError::Unreadable { path: path.to_owned(), fault })?;
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        files::ensure_dir(dir).map_err(io)?;
        let temp = dir.join(format!(".device.{}.tmp", uuid::Uuid::new_v4().simple()));
        let linked = files::create_private(&temp)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::hard_link(&temp, path));
        let _ = std::fs::remove_file(&temp); // a left-over temporary is harmless, the first error is the one to report
        linked.map_err(io)
    }

    fn to_file_text(&self) -> Result<String, String> {
        // Without the public half: version 1 of PKCS#8 is what every reader of such files understands.
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let file = IdentityFile {
            version: 1,
            device_id: self.device_id.clone(),
            public_key_pem: self.key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())?,
            private_key_pem: pair.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string())?.to_string(),
            created_at_ms: self.created_at_ms,
        };
        serde_json::to_string_pretty(&file).map(|text| text + "\n").map_err(|e| e.to_string())
    }

    /// Lower-case hex SHA-256 of the public key.
>>>>>>> cli
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

<<<<<<< HEAD
    /// Base64url without padding.
    pub fn public_key(&self) -> String {
        PublicKey::from(self.key.verifying_key()).encode()
=======
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_bytes(self.key.verifying_key().to_bytes())
>>>>>>> cli
    }

    pub fn created_at_ms(&self) -> u64 {
        self.created_at_ms
    }

<<<<<<< HEAD
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
=======
    /// Signs version 3 of the fields; base64url without padding. `fields.device_id` should be this device's.
    pub fn sign(&self, fields: &SignedFields<'_>) -> String {
        BASE64_URL.encode(self.key.sign(fields.payload_v3().as_bytes()).to_bytes())
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
>>>>>>> cli
        f.debug_struct("DeviceIdentity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

<<<<<<< HEAD
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

=======
>>>>>>> cli
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

<<<<<<< HEAD
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
=======
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const ID_01: &str = "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e";

    #[test]
    fn an_identity_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let first = DeviceIdentity::load_or_create(dir.path(), 1000, &mut rng).unwrap();
        let second = DeviceIdentity::load_or_create(dir.path(), 2000, &mut rng).unwrap();
        assert_eq!((first.device_id(), second.created_at_ms()), (second.device_id(), 1000));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = identity_path(dir.path());
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn the_file_has_the_shape_that_upstream_reads() {
        let identity = DeviceIdentity::from_seed([1; 32], 7);
        let file: serde_json::Value = serde_json::from_str(&identity.to_file_text().unwrap()).unwrap();
        assert_eq!((&file["version"], &file["deviceId"], &file["createdAtMs"]), (&1.into(), &ID_01.into(), &7.into()));
        // The 48 bytes of PKCS#8 version 1: algorithm, then the 32 bytes of the seed.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
                       -----END PRIVATE KEY-----\n";
        assert_eq!(file["privateKeyPem"], private);
        assert!(PublicKey::decode(file["publicKeyPem"].as_str().unwrap()) == Some(identity.public_key()));
        assert_eq!(DeviceIdentity::parse(&file.to_string()).unwrap().device_id(), ID_01);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = identity_path(dir.path());
        files::ensure_dir(path.parent().unwrap()).unwrap();
        let text = r#"{"version":1,"deviceId":"x","publicKeyPem":"p","privateKeyPem":"canary","createdAtMs":1}"#;
        files::replace(&path, text.as_bytes()).unwrap();
        let error = DeviceIdentity::load_or_create(dir.path(), 1, &mut StdRng::seed_from_u64(1)).unwrap_err();
        assert!(matches!(error, IdentityError::Unreadable { .. }));
        assert!(!error.to_string().contains("canary"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn the_slower_of_two_creators_takes_the_identity_of_the_faster() {
        let dir = tempfile::tempdir().unwrap();
        let path = identity_path(dir.path());
        DeviceIdentity::from_seed([1; 32], 1).create(&path).unwrap();
        let late = DeviceIdentity::from_seed([2; 32], 2).create(&path).unwrap_err();
        assert!(matches!(late, IdentityError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists));
        assert_eq!(DeviceIdentity::load(&path).unwrap().unwrap().device_id(), ID_01);
    }

    #[test]
    fn signatures_are_the_recorded_ones() {
        let identity = DeviceIdentity::from_seed([1; 32], 1);
        let fields = SignedFields {
            device_id: identity.device_id(),
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &["operator.read".to_owned()],
            signed_at: 1_737_264_000_000,
            token: "tok-1",
            nonce: "11111111-2222-4333-8444-555555555555",
            platform: "linux",
            device_family: None,
        };
        let recorded = "X-6BzKyVjOCMs-JfOebg7Uc6Tu4bCM_vNr7EmUHysfMwmXdYwtD-eev4_W-GHGAwtYczM54f0ZhWcBPPGlC6AQ";
        assert_eq!(identity.sign(&fields), recorded);
        assert!(fields.are_signed_by(&identity.public_key(), recorded));
>>>>>>> cli
    }

    #[test]
    fn debug_output_shows_no_key() {
<<<<<<< HEAD
        let identity = DeviceIdentity::from_seed([7; 32], 0);
        assert_eq!(format!("{identity:?}"), format!("DeviceIdentity {{ device_id: {:?}, .. }}", identity.device_id()));
=======
        let shown = format!("{:?}", DeviceIdentity::from_seed([1; 32], 1));
        assert_eq!(shown, format!("DeviceIdentity {{ device_id: {ID_01:?}, .. }}"));
>>>>>>> cli
    }
}
