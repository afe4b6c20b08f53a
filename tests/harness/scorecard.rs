//! What the reliability tests have shown, one file each; `tests/run` makes the scorecard of them.

use std::path::PathBuf;

use serde_json::json;

/// One promise under one fault. Dropped, it writes how often it was tried, and whether it held.
pub struct Score {
    promise: &'static str,
    fault: String,
    runs: u64,
    failures: u64,
}

impl Score {
    pub fn new(promise: &'static str, fault: impl Into<String>) -> Self {
        Self { promise, fault: fault.into(), runs: 0, failures: 0 }
    }

    pub fn ran(&mut self, times: u64) {
        self.runs += times;
    }

    /// The promise was not kept, where that is not a panic.
    pub fn failed(&mut self) {
        self.failures += 1;
    }
}

impl Drop for Score {
    fn drop(&mut self) {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scorecard");
        let failures = self.failures + u64::from(std::thread::panicking());
        let row = json!({ "promise": self.promise, "fault": self.fault, "runs": self.runs, "failures": failures });
        let name: String = format!("{} {}", self.promise, self.fault)
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let wrote = std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(dir.join(format!("{name}.json")), row.to_string()));
        if let Err(error) = wrote {
            eprintln!("the score could not be written: {error}");
        }
    }
}
