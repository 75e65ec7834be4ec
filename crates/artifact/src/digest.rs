//! SHA-256 of a stream, without holding it in memory.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

const READ_BUFFER_BYTES: usize = 64 * 1024;

/// SHA-256 of everything that is left in `reader`, as 64 lower-case hex digits.
pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(hasher)),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes bytes on while counting and digesting them.
#[derive(Debug)]
pub(crate) struct DigestWriter<W> {
    inner: W,
    hasher: Sha256,
    size_bytes: u64,
}

impl<W: Write> DigestWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), size_bytes: 0 }
    }

    /// The writer, the digest in hex and the number of bytes.
    pub(crate) fn finish(self) -> (W, String, u64) {
        (self.inner, hex(self.hasher), self.size_bytes)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

pub(crate) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_and_writer_agree_with_the_model() {
        let bytes = vec![7; READ_BUFFER_BYTES + 3];
        let expected = flash_model::sha256_hex(&bytes);
        assert_eq!(of_reader(bytes.as_slice()).unwrap(), expected);
        let mut writer = DigestWriter::new(Vec::new());
        writer.write_all(&bytes).unwrap();
        assert_eq!(writer.finish(), (bytes.clone(), expected, bytes.len() as u64));
    }
}
