//! The chat platforms whose names a configuration may use, whether this build speaks to them or not.

use super::schema;

/// Keys below `channels` that are no platform.
const NOT_A_CHANNEL: [&str; 2] = ["defaults", "modelByChannel"];

/// Is this the id of a known chat platform?
pub fn is_known(id: &str) -> bool {
    !NOT_A_CHANNEL.contains(&id) && schema::find(&["channels", id]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_known_and_shared_keys_are_not_platforms() {
        for id in ["telegram", "signal", "webchat"] {
            assert!(is_known(id), "{id}");
        }
        for id in ["defaults", "nochannel", ""] {
            assert!(!is_known(id), "{id}");
        }
    }
}
