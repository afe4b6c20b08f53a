//! Reads the text of a `system-event` that describes a machine, and decides whether it is news.

use super::entry::PresenceEntry;

/// Parses `Node: <host> (<ip>) · app <v> · last input <n>s ago · mode <m> · reason <r>`. Parts may be missing.
///
/// `None` when the text is not of that form: then it is an ordinary system event.
pub fn parse(text: &str) -> Option<PresenceEntry> {
    let rest = text.strip_prefix("Node: ")?;
    let mut parts = rest.split(" · ");
    let (host, ip) = match parts.next()?.split_once(" (") {
        Some((host, ip)) => (host, Some(ip.trim_end_matches(')').to_owned())),
        None => (parts_head(rest), None),
    };
    let mut entry = PresenceEntry { host: Some(host.to_owned()), ip, ..PresenceEntry::default() };
    for part in parts {
        if let Some(version) = part.strip_prefix("app ") {
            entry.version = Some(version.to_owned());
        } else if let Some(ago) = part.strip_prefix("last input ") {
            entry.last_input_seconds = ago.trim_end_matches("s ago").parse().ok();
        } else if let Some(mode) = part.strip_prefix("mode ") {
            entry.mode = Some(mode.to_owned());
        } else if let Some(reason) = part.strip_prefix("reason ") {
            entry.reason = Some(reason.to_owned());
        }
    }
    Some(entry)
}

fn parts_head(rest: &str) -> &str {
    rest.split(" · ").next().unwrap_or(rest)
}

/// Periodic reports only renew the entry; anything else is also told to the main session.
pub fn is_news(reason: Option<&str>) -> bool {
    !matches!(reason, Some("periodic" | "heartbeat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_report_is_read_into_fields() {
        let entry = parse("Node: study (10.0.0.7) · app 1.2 · last input 42s ago · mode ui · reason launch").unwrap();
        assert_eq!(entry.host.as_deref(), Some("study"));
        assert_eq!(entry.ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(entry.version.as_deref(), Some("1.2"));
        assert_eq!(entry.last_input_seconds, Some(42));
        assert_eq!(entry.mode.as_deref(), Some("ui"));
        assert_eq!(entry.reason.as_deref(), Some("launch"));
        assert!(is_news(entry.reason.as_deref()));
        assert!(!is_news(Some("periodic")));
    }

    #[test]
    fn any_other_text_is_not_a_machine_report() {
        assert_eq!(parse("remind me"), None);
        assert_eq!(parse("Node: bare").unwrap().host.as_deref(), Some("bare"));
    }
}
