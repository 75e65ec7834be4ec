//! Reads an endpoint's log, once or again and again, while it is written or after its process has ended.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flash_model::wire::LogLine;

use super::{LOG_DIR, segments};

/// Keeps its place in the log.
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    current: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    /// What was read of it and has no end of a line yet.
    rest: Vec<u8>,
}

impl LogReader {
    /// At the begin of the log in an endpoint's folder, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { dir: folder.join(LOG_DIR), current: None }
    }

    /// Gives `each` line that came since the last call, as it stands in the file and as what it says, the oldest first. What
    /// is no line of a log is left out. Files that went before they were read are missing.
    pub fn read(&mut self, mut each: impl FnMut(&str, LogLine)) -> io::Result<()> {
        loop {
            // In this order: once there is a next file, nothing comes to this one any more.
            let next = self.next_number()?;
            if let Some(segment) = &mut self.current {
                segment.read(&mut each)?;
            }
            let Some(number) = next else { return Ok(()) };
            match File::open(segments::path(&self.dir, number)) {
                Ok(file) => self.current = Some(Segment { number, file, rest: Vec::new() }),
                // The oldest went just now: the next ones are there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn next_number(&self) -> io::Result<Option<u64>> {
        let current = self.current.as_ref().map_or(0, |segment| segment.number);
        Ok(segments::numbers(&self.dir)?.into_iter().find(|number| *number > current))
    }
}

impl Segment {
    fn read(&mut self, each: &mut impl FnMut(&str, LogLine)) -> io::Result<()> {
        self.file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in self.rest[..whole].split(|byte| *byte == b'\n') {
            if let Ok(raw) = std::str::from_utf8(line)
                && let Ok(line) = serde_json::from_str(raw)
            {
                each(raw, line);
            }
        }
        self.rest.drain(..whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_once_across_files_that_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(LOG_DIR);
        let mut reader = LogReader::new(folder.path());
        let mut read = || {
            let mut texts = Vec::new();
            reader.read(|_, line| texts.push(line.text)).unwrap();
            texts
        };
        assert!(read().is_empty(), "there is no folder yet");
        let line = |text: &str| format!("{{\"at_ms\":1,\"stream\":\"flash\",\"text\":\"{text}\"}}\n");
        std::fs::create_dir(&dir).unwrap();
        let mut first = File::create(segments::path(&dir, 3)).unwrap();
        write!(first, "{}no line\n\u{fffd}\n{}", line("a"), &line("b")[..9]).unwrap();
        assert_eq!(read(), ["a"]);
        assert!(read().is_empty());
        write!(first, "{}{}", &line("b")[9..], line("c")).unwrap();
        std::fs::remove_file(segments::path(&dir, 3)).unwrap();
        std::fs::write(segments::path(&dir, 5), line("d")).unwrap();
        std::fs::write(segments::path(&dir, 6), line("e")).unwrap();
        assert_eq!(read(), ["b", "c", "d", "e"], "what went since is read to its end");
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(read().is_empty());
    }
}
