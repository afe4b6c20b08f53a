//! Reads a file line by line from its end, so that the last lines of a large log cost little.
//!
//! The first item is what follows the last line feed: empty, or a line that is still being written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

const BLOCK_BYTES: u64 = 64 * 1024;

pub(super) struct BackwardLines<F> {
    file: F,
    /// Bytes before `held` that are not read yet.
    unread: u64,
    /// What is read and not handed out.
    held: Vec<u8>,
    done: bool,
}

impl BackwardLines<File> {
    /// Starts at the present end, which is returned as the size.
    pub fn open(path: &std::path::Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((Self::new(file, size), size))
    }
}

impl<F: Read + Seek> BackwardLines<F> {
    pub fn new(file: F, size: u64) -> Self {
        Self { file, unread: size, held: Vec::new(), done: false }
    }

    fn read_block(&mut self) -> io::Result<()> {
        let size = self.unread.min(BLOCK_BYTES);
        self.unread -= size;
        self.file.seek(SeekFrom::Start(self.unread))?;
        let mut block = vec![0; usize::try_from(size).unwrap_or(0)]; // at most a block
        self.file.read_exact(&mut block)?;
        block.append(&mut self.held);
        self.held = block;
        Ok(())
    }
}

impl<F: Read + Seek> Iterator for BackwardLines<F> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut searched = 0; // bytes at the end of `held` that have no line feed
        while !self.done {
            let fresh = self.held.len() - searched;
            if let Some(feed) = self.held[..fresh].iter().rposition(|byte| *byte == b'\n') {
                let line = self.held.split_off(feed + 1);
                self.held.truncate(feed);
                return Some(Ok(line));
            }
            searched = self.held.len();
            if self.unread == 0 {
                self.done = true;
                return Some(Ok(std::mem::take(&mut self.held)));
            }
            if let Err(error) = self.read_block() {
                self.done = true;
                return Some(Err(error));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_lines_of_the_file_reversed(lines in proptest::collection::vec("[a-z]{0,40}", 0..20), long in 0usize..200_000) {
            let mut text = lines.join("\n");
            text.insert_str(text.len() / 2, &"x".repeat(long));
            let read = BackwardLines::new(Cursor::new(text.clone()), text.len() as u64);
            let read: Vec<String> = read.map(|line| String::from_utf8(line.unwrap()).unwrap()).collect();
            let mut expected: Vec<&str> = text.split('\n').collect();
            expected.reverse();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_file_that_shrank_is_an_error_once() {
        let mut lines = BackwardLines::new(Cursor::new("abc"), 10);
        assert!(lines.next().unwrap().is_err());
        assert!(lines.next().is_none());
    }
}
