//! The kernel's figures about this process.

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident now.
    pub rss: u64,
    /// The most that ever was.
    pub rss_max: u64,
    /// The part that is no file: heap and stacks.
    pub anonymous: u64,
}

/// Blocking; `None` where there is no `/proc`.
pub fn now() -> Option<Usage> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Usage> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    let rss = bytes("VmRSS:")?;
    Some(Usage { rss, rss_max: bytes("VmHWM:")?, anonymous: bytes("RssAnon:").unwrap_or(rss) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(parse(status), Some(Usage { rss: 1 << 20, rss_max: 2 << 20, anonymous: 512 << 10 }));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
