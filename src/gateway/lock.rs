//! One gateway per state directory: a lock that the kernel gives back when its holder dies.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use openclaw_actors::config::paths::Paths;
use openclaw_actors::files;
use openclaw_actors::run::stream::now_ms;

use super::service_manager;
use crate::client::LockOwner;
use crate::client::lock_owner::FILE;
use crate::client::run_file::process_start_time;

/// This process as the owner of the lock.
pub fn this(paths: &Paths, port: u16) -> LockOwner {
    let pid = std::process::id();
    LockOwner {
        pid,
        start_time: process_start_time(pid),
        created_at: now_ms(),
        port,
        config_path: paths.config_path.clone(),
        supervised: service_manager::is_ours(),
    }
}

/// The held lock; dropping it frees the state directory.
#[derive(Debug)]
pub struct StateLock {
    _lock: Flock<std::fs::File>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("gateway already running (pid {}); state directory {} is in use", .owner.as_ref().map_or_else(|| "unknown".into(), |o| o.pid.to_string()), .dir.display())]
    Held { dir: PathBuf, owner: Option<LockOwner> },
    #[error("state directory {}: {error}", .dir.display())]
    Io { dir: PathBuf, error: std::io::Error },
}

/// Takes the lock of a state directory, or says who has it.
pub fn acquire(state_dir: &Path, owner: &LockOwner) -> Result<StateLock, LockError> {
    let io = |error| LockError::Io { dir: state_dir.to_owned(), error };
    files::ensure_dir(state_dir).map_err(io)?;
    let file = files::open_private(&state_dir.join(FILE)).map_err(io)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let text = serde_json::to_string(owner).map_err(|error| io(error.into()))?;
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(text.as_bytes())).map_err(io)?;
            Ok(StateLock { _lock: lock })
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text); // the owner's name is a courtesy
            Err(LockError::Held { dir: state_dir.to_owned(), owner: serde_json::from_str(&text).ok() })
        }
        Err((_, errno)) => Err(io(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let pid = std::process::id();
        let owner = LockOwner {
            pid,
            start_time: process_start_time(pid),
            created_at: 5,
            port: 1,
            config_path: "openclaw.json".into(),
            supervised: false,
        };
        let lock = acquire(dir.path(), &owner).unwrap();
        match acquire(dir.path(), &owner) {
            Err(LockError::Held { owner: Some(seen), .. }) => assert_eq!(seen, owner),
            other => panic!("{other:?}"),
        }
        drop(lock);
        acquire(dir.path(), &owner).unwrap();
    }
}
