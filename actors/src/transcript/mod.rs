//! Transcripts: upstream's version 3 lines, the branch that counts, and the way in from and out to files.
//!
//! A plain library. The database is the truth; files are an import and export format. A line that we do not
//! understand is carried along word for word.

pub mod branch;
pub mod codec;
pub mod entry;
pub mod envelope;
pub mod export;
pub mod history;
pub mod import;
pub mod store_file;

pub use codec::Transcript;
pub use entry::{EntryKind, TranscriptEntry};
