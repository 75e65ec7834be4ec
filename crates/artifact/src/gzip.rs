//! Compresses on all cores: the stream is cut into blocks of fixed size, each a gzip member of its own (RFC 1952 allows
//! several in one file). Where the cuts are depends on the content only, so the bytes do not depend on the machine.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compression, GzBuilder};

/// Larger blocks compress better by little, smaller ones keep all cores busy on small projects too.
pub(crate) const BLOCK_BYTES: usize = 512 * 1024;
/// Packing must not be what a build waits for; higher levels take up to twice the time for a tenth less.
const LEVEL: u32 = 2;

/// The comment in each member's header, by which an artifact is known without being unpacked.
const MARK: &[u8] = b"flash artifact";
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// RFC 1952: magic, method, flags, time, extra flags, system; a comment is what follows here.
const HEADER_BYTES: usize = 10;

/// What the first bytes of a file say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Artifact,
    OtherGzip,
    Other,
}

pub(crate) fn kind(source: &mut impl Read) -> io::Result<Kind> {
    let mut start = Vec::with_capacity(HEADER_BYTES + MARK.len());
    source.take((HEADER_BYTES + MARK.len()) as u64).read_to_end(&mut start)?;
    Ok(match start.strip_prefix(&MAGIC) {
        None => Kind::Other,
        Some(_) if start.get(HEADER_BYTES..) == Some(MARK) => Kind::Artifact,
        Some(_) => Kind::OtherGzip,
    })
}

type Member = io::Result<Vec<u8>>;

struct Job {
    block: Vec<u8>,
    done: SyncSender<Member>,
}

/// Gives `fill` a writer, and writes what it wrote to `output`, compressed. Returns what `fill` returned.
pub(crate) fn compress<W: Write, T, E: From<io::Error>>(
    output: &mut W,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, queue) = sync_channel::<Job>(workers);
    let queue = Arc::new(Mutex::new(queue));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            scope.spawn(move || work(&queue));
        }
        let mut blocks = Blocks {
            output,
            jobs,
            pending: VecDeque::new(),
            pending_max: 2 * workers,
            block: Vec::new(),
            is_empty: true,
        };
        let result = fill(&mut blocks)?;
        blocks.finish()?;
        Ok(result)
    })
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Fails only if nobody waits for it any more.
        let _ = job.done.send(member(&job.block));
    }
}

fn member(block: &[u8]) -> Member {
    // No time and no file name in the header.
    let mut gzip = GzBuilder::new().mtime(0).comment(MARK).write(Vec::new(), Compression::new(LEVEL));
    gzip.write_all(block)?;
    gzip.finish()
}

struct Blocks<'a, W> {
    output: &'a mut W,
    jobs: SyncSender<Job>,
    /// In the order of the stream.
    pending: VecDeque<Receiver<Member>>,
    pending_max: usize,
    block: Vec<u8>,
    is_empty: bool,
}

impl<W: Write> Blocks<'_, W> {
    fn submit(&mut self) -> io::Result<()> {
        if self.pending.len() == self.pending_max {
            self.drain_one()?;
        }
        let (done, finished) = sync_channel(1);
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        self.jobs.send(Job { block, done }).map_err(io::Error::other)?;
        self.pending.push_back(finished);
        self.is_empty = false;
        Ok(())
    }

    fn drain_one(&mut self) -> io::Result<()> {
        match self.pending.pop_front() {
            Some(finished) => self.output.write_all(&finished.recv().map_err(io::Error::other)??),
            None => Ok(()),
        }
    }

    /// An empty stream is one empty member: no bytes at all would be no gzip file.
    fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() || self.is_empty {
            self.submit()?;
        }
        while !self.pending.is_empty() {
            self.drain_one()?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Blocks<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK_BYTES {
            self.submit()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn any_length_comes_back() {
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 3] {
            let bytes: Vec<u8> = (0..length).map(|index| (index * index % 251) as u8).collect();
            let mut packed = Vec::new();
            compress::<_, _, io::Error>(&mut packed, |writer| writer.write_all(&bytes)).unwrap();
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == bytes, "{length} bytes");
        }
    }

    #[test]
    fn a_full_disk_and_a_failing_source_are_errors() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = vec![1; 9 * BLOCK_BYTES];
        let error = compress::<_, _, io::Error>(&mut Full, |writer| writer.write_all(&bytes)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let failed: io::Result<()> = compress(&mut Vec::new(), |writer| {
            writer.write_all(&bytes)?;
            Err(io::ErrorKind::NotFound.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
