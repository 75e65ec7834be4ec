//! Which HTTP a caller speaks, told by its first bytes.

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::head_clock::{HEAD_TIMEOUT, IDLE_TIMEOUT};

/// What a caller begins with who knows that we speak HTTP/2 (RFC 9113 §3.4). No HTTP/1 request begins so.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// The bytes that were read to tell.
#[derive(Debug, Default)]
pub(super) struct Start {
    bytes: [u8; PREFACE.len()],
    read: usize,
    given: usize,
}

impl Start {
    /// Moves what is left of them into `buffer`; false if nothing is.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = self.bytes.get(self.given..self.read).unwrap_or_default();
        let size = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..size).unwrap_or_default());
        self.given += size;
        size > 0
    }

    fn version(&self) -> Option<Version> {
        let bytes = self.bytes.get(..self.read).unwrap_or_default();
        if !PREFACE.starts_with(bytes) {
            return Some(Version::Http1);
        }
        (self.read == PREFACE.len()).then_some(Version::Http2)
    }
}

/// `None` if the caller went away, or says nothing.
pub(super) async fn version<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> std::io::Result<Option<(Version, Start)>> {
    let mut start = Start::default();
    let mut deadline = Instant::now() + IDLE_TIMEOUT;
    loop {
        let free = start.bytes.get_mut(start.read..).unwrap_or_default();
        let Ok(read) = timeout_at(deadline, stream.read(free)).await else { return Ok(None) };
        let size = read?;
        if size == 0 {
            return Ok(None);
        }
        if start.read == 0 {
            deadline = Instant::now() + HEAD_TIMEOUT;
        }
        start.read += size;
        if let Some(version) = start.version() {
            return Ok(Some((version, start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(sent: &[&[u8]], expected: Option<Version>) {
        let mut stream = stream_of(sent);
        let found = version(&mut stream).await.unwrap();
        assert_eq!(found.as_ref().map(|(version, _)| *version), expected, "{sent:?}");
        let Some((_, mut start)) = found else { return };
        let (mut first, mut rest) = ([0; 5], [0; 64]);
        let (mut first, mut rest) = (ReadBuf::new(&mut first), ReadBuf::new(&mut rest));
        while start.give(&mut first) {}
        while start.give(&mut rest) {}
        let given = [first.filled(), rest.filled()].concat();
        assert!(sent.concat().starts_with(&given), "{sent:?} {given:?}");
        assert!(!given.is_empty());
    }

    fn stream_of(sent: &[&[u8]]) -> impl AsyncRead + Unpin + use<> {
        let (mut theirs, ours) = tokio::io::duplex(5);
        let sent: Vec<Vec<u8>> = sent.iter().map(|bytes| bytes.to_vec()).collect();
        tokio::spawn(async move {
            for bytes in sent {
                // Whoever has seen enough reads no further.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut theirs, &bytes).await;
            }
        });
        ours
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http_2() {
        check(&[&PREFACE, b"more"], Some(Version::Http2)).await;
        check(&[b"P", b"RI * HTTP/2.0\r\n\r\nSM\r\n", b"\r\n"], Some(Version::Http2)).await;
        check(&[b"POST / HTTP/1.1\r\n\r\n"], Some(Version::Http1)).await;
        check(&[b"PRI * HTTP/1.1\r\n\r\n"], Some(Version::Http1)).await;
        check(&[b"\0"], Some(Version::Http1)).await;
        check(&[b"PRI * HTTP/2.0\r\n\r\n"], None).await;
        check(&[], None).await;
    }
}
