//! The files that a log is written to: numbered, bounded, the oldest goes when there are too many.
//!
//! A file is only ever appended to, and never again once the next one is there.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Together with [`SEGMENTS_MAX`]: at most 32 MiB an endpoint.
pub(super) const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
pub(super) const SEGMENTS_MAX: usize = 4;
const OWNER_ONLY: u32 = 0o600;
const EXTENSION: &str = "jsonl";

#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    bytes_max: u64,
    number: u64,
    file: File,
    size: u64,
    /// The last line was cut off, by the end of a process or of the disk.
    is_torn: bool,
}

impl Segments {
    /// Goes on behind what is there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let number = numbers(dir)?.pop().unwrap_or(1);
        let file = append_to(&path(dir, number))?;
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1)?;
        }
        let is_torn = last != [b'\n'];
        Ok(Self { dir: dir.to_owned(), bytes_max: SEGMENT_BYTES_MAX, number, file, size, is_torn })
    }

    /// Whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.bytes_max {
            self.begin_next()?;
        }
        if self.is_torn {
            self.file.write_all(b"\n")?;
        }
        self.is_torn = true;
        self.file.write_all(lines)?;
        self.is_torn = false;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn begin_next(&mut self) -> io::Result<()> {
        let file = append_to(&path(&self.dir, self.number + 1))?;
        (self.file, self.number, self.size, self.is_torn) = (file, self.number + 1, 0, false);
        let numbers = numbers(&self.dir)?;
        for old in &numbers[..numbers.len().saturating_sub(SEGMENTS_MAX)] {
            std::fs::remove_file(path(&self.dir, *old))?;
        }
        Ok(())
    }
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:06}.{EXTENSION}"))
}

/// Of the files that are there, in order. None if there is no folder.
pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == EXTENSION) {
            numbers.extend(name.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).read(true).mode(OWNER_ONLY).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_followed_by_the_next_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = Segments::open(folder.path()).unwrap();
        segments.bytes_max = 10;
        for number in 1..=9 {
            segments.write(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(numbers(folder.path()).unwrap(), [6, 7, 8, 9]);
        assert_eq!(std::fs::read_to_string(path(folder.path(), 9)).unwrap(), "line 9\n");
        segments.write(b"\n\n").unwrap();
        assert_eq!(std::fs::read_to_string(path(folder.path(), 9)).unwrap(), "line 9\n\n\n");
    }

    #[test]
    fn the_next_process_goes_on_behind_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        Segments::open(folder.path()).unwrap().write(b"one\n").unwrap();
        std::fs::write(path(folder.path(), 2), "two\nthr").unwrap();
        Segments::open(folder.path()).unwrap().write(b"four\n").unwrap();
        assert_eq!(std::fs::read_to_string(path(folder.path(), 2)).unwrap(), "two\nthr\nfour\n");
        Segments::open(folder.path()).unwrap().write(b"five\n").unwrap();
        assert_eq!(std::fs::read_to_string(path(folder.path(), 2)).unwrap(), "two\nthr\nfour\nfive\n");
    }
}
