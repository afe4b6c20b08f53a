//! The device tokens that gateways gave this device: `<state>/identity/device-auth.json`.
//!
//! Tokens of another device id are not this device's and are replaced. Source: WebSocket protocol of 2026.5.12, pairing records.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use openclaw_actors::files;
use openclaw_actors::protocol::scope::Role;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceAuthFile {
    version: u32,
    device_id: String,
    tokens: BTreeMap<Role, StoredToken>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredToken {
    token: String,
    role: Role,
    scopes: Vec<String>,
    updated_at_ms: u64,
}

/// The operator token of this device. Anything unreadable is no token: the gateway gives out another.
pub fn load_device_token(state_dir: &Path, device_id: &str) -> Option<String> {
    read(state_dir, device_id)?.tokens.remove(&Role::Operator).map(|stored| stored.token)
}

/// Keeps the token of a `hello-ok`, mode 0600.
pub fn store_device_token(
    state_dir: &Path,
    device_id: &str,
    token: &str,
    scopes: &[String],
    now_ms: u64,
) -> io::Result<()> {
    let mut tokens = read(state_dir, device_id).map(|file| file.tokens).unwrap_or_default();
    let stored =
        StoredToken { token: token.to_owned(), role: Role::Operator, scopes: scopes.to_owned(), updated_at_ms: now_ms };
    tokens.insert(Role::Operator, stored);
    let file = DeviceAuthFile { version: 1, device_id: device_id.to_owned(), tokens };
    let path = path(state_dir);
    path.parent().map_or(Ok(()), files::ensure_dir)?;
    files::replace(&path, serde_json::to_string_pretty(&file)?.as_bytes())
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity").join("device-auth.json")
}

fn read(state_dir: &Path, device_id: &str) -> Option<DeviceAuthFile> {
    let file: DeviceAuthFile = serde_json::from_str(&std::fs::read_to_string(path(state_dir)).ok()?).ok()?;
    (file.version == 1 && file.device_id == device_id).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_device_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_device_token(dir.path(), "d1"), None);
        store_device_token(dir.path(), "d1", "t1", &["operator.read".to_owned()], 5).unwrap();
        assert_eq!(load_device_token(dir.path(), "d1").as_deref(), Some("t1"));
        assert_eq!(load_device_token(dir.path(), "d2"), None);
        store_device_token(dir.path(), "d2", "t2", &[], 6).unwrap();
        assert_eq!(load_device_token(dir.path(), "d1"), None);
    }

    #[test]
    fn the_file_has_the_shape_that_upstream_reads() {
        let dir = tempfile::tempdir().unwrap();
        store_device_token(dir.path(), "d1", "t1", &["operator.read".to_owned()], 5).unwrap();
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path(dir.path())).unwrap()).unwrap();
        let token = serde_json::json!({
            "token": "t1", "role": "operator", "scopes": ["operator.read"], "updatedAtMs": 5,
        });
        let expected = serde_json::json!({ "version": 1, "deviceId": "d1", "tokens": { "operator": token } });
        assert_eq!(file, expected);
    }
}
