//! Our end of a worker's socket pair, registered for reading only.
//!
//! A Unix socket that is also registered for writing wakes its owner each time the other side has read something: one
//! useless wake-up per call, just when the worker starts to work. Writability is asked for only after a full buffer.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const READ_BYTES_MAX: usize = 64 * 1024;

/// Must be called inside a tokio runtime.
pub(super) fn split(stream: UnixStream) -> io::Result<(Reader, Writer)> {
    stream.set_nonblocking(true)?;
    let writer = Writer { stream: stream.try_clone()? };
    let stream = watch(stream, Interest::READABLE)?;
    Ok((Reader { stream, chunk: vec![0; READ_BYTES_MAX] }, writer))
}

/// Anything that becomes readable.
pub(super) fn watch_readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watch(descriptor, Interest::READABLE)
}

#[expect(
    deprecated,
    reason = "its unsafe successor asks for what a standard stream promises: one descriptor for life"
)]
fn watch<T: AsRawFd>(stream: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(stream, interest)
}

#[derive(Debug)]
pub(super) struct Reader {
    stream: AsyncFd<UnixStream>,
    chunk: Vec<u8>,
}

impl Reader {
    /// Appends what has come; 0 at the end. Safe to drop while waiting.
    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            let mut ready = self.stream.readable().await?;
            let chunk = &mut self.chunk;
            match ready.try_io(|stream| stream.get_ref().read(chunk)) {
                Ok(Ok(count)) => {
                    // What it has not filled has emptied the socket: to look again costs a system call, and would show
                    // what came after text in the worker's pipes before that is known to be there.
                    if 0 < count && count < self.chunk.len() {
                        ready.clear_ready();
                    }
                    buffer.extend_from_slice(&self.chunk[..count]);
                    return Ok(count);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    stream: UnixStream,
}

impl Writer {
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A few bytes, and descriptors with them, whole or not at all.
    pub(super) fn send_with(&self, bytes: &[u8], descriptors: [OwnedFd; 3]) -> io::Result<()> {
        let descriptors = descriptors.each_ref().map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = sendmsg(&self.stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Another descriptor of the same socket, watched for this once.
    async fn writable(&self) -> io::Result<()> {
        let watched = watch(self.stream.try_clone()?, Interest::WRITABLE)?;
        watched.writable().await?.retain_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_the_buffer_holds_arrives_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_, writer) = split(ours).unwrap();
        let (mut reader, _) = split(theirs).unwrap();
        let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let receiving = async {
            let mut received = BytesMut::new();
            while received.len() < sent.len() {
                assert_ne!(reader.read(&mut received).await.unwrap(), 0);
            }
            received
        };
        let (written, received) = tokio::join!(writer.write_all(&sent), receiving);
        written.unwrap();
        assert!(received == sent);
        drop(writer);
    }

    #[tokio::test]
    async fn the_end_is_zero_and_writing_to_nobody_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = split(ours).unwrap();
        drop(theirs);
        assert_eq!(reader.read(&mut BytesMut::new()).await.unwrap(), 0);
        assert!(writer.write_all(b"x").await.is_err());
    }
}
