//! Frames between gateway and worker, as `docs/worker-protocol.md` has them. Bytes in, values out; no IO.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flash_model::TraceContext;
use serde::{Deserialize, Serialize};

pub(crate) const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// PARTs that a worker may send before the first CREDIT, and so those that are ever under way for one call.
pub(crate) const PARTS_MAX: usize = 16;
/// kind, call id and header size: what `length` counts beside header and body.
const FIXED_BYTES: usize = 9;
pub(crate) const HEAD_BYTES: usize = 4 + FIXED_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Start,
    Ready,
    Failed,
    Call,
    Result,
    Error,
    Cancel,
    Stop,
    Part,
    Credit,
    // Between the gateway and a template only.
    Unsafe,
    Fork,
    Forked,
    Reap,
    Reaped,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Start,
        Self::Ready,
        Self::Failed,
        Self::Call,
        Self::Result,
        Self::Error,
        Self::Cancel,
        Self::Stop,
        Self::Part,
        Self::Credit,
        Self::Unsafe,
        Self::Fork,
        Self::Forked,
        Self::Reap,
        Self::Reaped,
    ];

    fn byte(self) -> u8 {
        self as u8 + 1
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// 0 where no call is meant.
    pub(crate) call: u32,
    /// A JSON object, or nothing.
    pub(crate) header: Bytes,
    pub(crate) body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    #[error("a frame of {0} bytes is too short to be one")]
    TooShort(usize),
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    #[error("a frame's header is larger than the frame")]
    HeaderTooLarge,
}

impl Frame {
    pub(crate) fn new(kind: Kind, call: u32, header: Bytes, body: Bytes) -> Self {
        Self { kind, call, header, body }
    }

    pub(crate) fn bare(kind: Kind, call: u32) -> Self {
        Self::new(kind, call, Bytes::new(), Bytes::new())
    }

    /// `count` PARTs more of a call may come.
    pub(crate) fn credit(call: u32, count: u32) -> Self {
        Self::new(Kind::Credit, call, Bytes::new(), Bytes::copy_from_slice(&count.to_le_bytes()))
    }

    /// Whether the other side would accept it.
    pub(crate) fn fits(header: &Bytes, body: &Bytes) -> bool {
        FIXED_BYTES + header.len() + body.len() <= FRAME_BYTES_MAX
    }

    /// Everything but the body.
    pub(crate) fn encode_head(&self, out: &mut BytesMut) {
        out.put_u32_le((FIXED_BYTES + self.header.len() + self.body.len()) as u32);
        out.put_u8(self.kind.byte());
        out.put_u32_le(self.call);
        out.put_u32_le(self.header.len() as u32);
        out.put_slice(&self.header);
    }

    /// Takes the first complete frame off `buffer`, without copying; `None` when more bytes are needed.
    pub(crate) fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, Error> {
        let Some((length, _)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Error::TooLarge(length));
        }
        if length < FIXED_BYTES {
            return Err(Error::TooShort(length));
        }
        if buffer.len() < 4 + length {
            buffer.reserve(4 + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(4);
        let mut frame = buffer.split_to(length).freeze();
        let kind = frame.get_u8();
        let kind = Kind::from_byte(kind).ok_or(Error::UnknownKind(kind))?;
        let call = frame.get_u32_le();
        let header_size = frame.get_u32_le() as usize;
        if header_size > frame.len() {
            return Err(Error::HeaderTooLarge);
        }
        let header = frame.split_to(header_size);
        Ok(Some(Self { kind, call, header, body: frame }))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReadyHeader {
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) python: String,
    #[serde(default)]
    pub(crate) port: Option<u16>,
    /// Functions whose routes are told the whole request.
    #[serde(default)]
    pub(crate) whole_requests: Vec<String>,
}

/// Of a CALL in either direction; fields that do not belong to the form are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CallHeader<'a> {
    pub(crate) form: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    #[serde(skip_deserializing)]
    pub(crate) path: Vec<(&'a str, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", skip_deserializing)]
    pub(crate) query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) content_type: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) request: Option<RequestHead>,
}

/// For functions that ask for it: see [`ReadyHeader::whole_requests`].
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    /// Path and query as they came.
    pub(crate) target: String,
    /// Bytes beyond ASCII as Latin-1.
    pub(crate) headers: Vec<(String, String)>,
}

impl CallHeader<'_> {
    pub(crate) fn encode(&self) -> Bytes {
        // Strings and lists of strings always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// A CALL's header with the trace that it belongs to: in the lines behind the object, so that whoever has seen that object before
/// need not read it again.
pub(crate) fn with_trace(header: &[u8], trace: &TraceContext) -> Bytes {
    [header, b"\n", trace.to_text().as_bytes()].concat().into()
}

/// The opposite of [`with_trace`]. A trace that cannot be read is none.
pub(crate) fn split_trace(header: &[u8]) -> (&[u8], Option<TraceContext>) {
    let Some(at) = header.iter().position(|byte| *byte == b'\n') else { return (header, None) };
    let trace = std::str::from_utf8(&header[at + 1..]).ok().and_then(TraceContext::from_text);
    (&header[..at], trace)
}

fn as_map<S: serde::Serializer>(pairs: &[(&str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, text)| (name, text)))
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ResultHeader {
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) failed: bool,
}

impl ResultHeader {
    /// Empty means default; so does one that cannot be read, for it can only add to the body.
    pub(crate) fn decode(header: &[u8]) -> Self {
        if header.is_empty() { Self::default() } else { serde_json::from_slice(header).unwrap_or_default() }
    }
}

/// Header of ERROR and of FAILED.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ErrorHeader {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) traceback: String,
}

impl ErrorHeader {
    pub(crate) fn decode(header: &[u8]) -> Self {
        serde_json::from_slice(header).unwrap_or_else(|error| Self {
            code: None,
            status: None,
            kind: "ProtocolError".to_owned(),
            message: format!("the worker's error report cannot be read: {error}"),
            traceback: String::new(),
        })
    }

    /// In one word: the exception's class, or our own code.
    pub(crate) fn name(&self) -> &str {
        match self.kind.as_str() {
            "" => self.code.as_deref().unwrap_or("error"),
            kind => kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frame: &Frame) -> BytesMut {
        let mut out = BytesMut::new();
        frame.encode_head(&mut out);
        out.put_slice(&frame.body);
        out
    }

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let frame = Frame::new(Kind::Call, 7, Bytes::from_static(b"{}"), Bytes::from_static(b"body"));
        let mut stream = encoded(&frame);
        stream.extend_from_slice(&encoded(&Frame::bare(Kind::Stop, 0)));
        for cut in 0..stream.len() {
            let (mut buffer, mut seen) = (BytesMut::from(&stream[..cut]), Vec::new());
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            buffer.extend_from_slice(&stream[cut..]);
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            assert_eq!(seen, [frame.clone(), Frame::bare(Kind::Stop, 0)], "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_an_error_not_a_panic() {
        let cases: [&[u8]; 4] = [
            &[0xff, 0xff, 0xff, 0xff, 1],
            &[3, 0, 0, 0, 1, 1, 1],
            &[9, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0],
            &[9, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0],
        ];
        for bytes in cases {
            assert!(Frame::decode(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_trace_stands_behind_the_header_and_can_be_taken_off() {
        let trace = TraceContext::from_text(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ncongo=t61rcWkgMzE",
        );
        let header = br#"{"form":"json","function":"a\nb"}"#;
        let traced = with_trace(header, trace.as_ref().unwrap());
        assert_eq!(split_trace(&traced), (&header[..], trace));
        assert_eq!(split_trace(header), (&header[..], None));
        assert_eq!(split_trace(b"{}\nnonsense"), (&b"{}"[..], None));
    }

    #[test]
    fn a_call_header_holds_only_what_it_needs() {
        let header = CallHeader { form: "route".into(), function: Some("f".into()), ..CallHeader::default() };
        assert_eq!(header.encode(), r#"{"form":"route","function":"f"}"#);
        let header = CallHeader {
            path: vec![("id", "7".to_owned())],
            query: vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
            ..header
        };
        assert_eq!(
            header.encode(),
            r#"{"form":"route","function":"f","path":{"id":"7"},"query":[["a","1"],["a","2"]]}"#
        );
    }
}
