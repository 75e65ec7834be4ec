//! Manifests as they lie in the file: compact JSON in a gzip stream, a tenth of the size. The history holds many, and each is
//! mostly the one before it.

use std::io::{self, BufWriter, Read, Write};

use flash_model::Manifest;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::store::Error;

type Stream = BufWriter<GzEncoder<Vec<u8>>>;

pub(super) fn pack(manifest: &Manifest) -> Result<Vec<u8>, Error> {
    packed(|stream| Ok(serde_json::to_writer(stream, manifest)?))
}

pub(super) fn pack_text(text: &str) -> Result<Vec<u8>, Error> {
    packed(|stream| stream.write_all(text.as_bytes()))
}

/// The text is never whole in memory.
fn packed(write: impl FnOnce(&mut Stream) -> io::Result<()>) -> Result<Vec<u8>, Error> {
    let mut stream = Stream::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let written =
        write(&mut stream).and_then(|()| stream.into_inner().map_err(io::IntoInnerError::into_error));
    Ok(written.and_then(GzEncoder::finish).map_err(serde_json::Error::io)?)
}

pub(super) fn unpack(packed: &[u8]) -> Result<Manifest, Error> {
    let mut text = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut text).map_err(serde_json::Error::io)?;
    Ok(serde_json::from_slice(&text)?)
}
