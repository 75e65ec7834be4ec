//! Manifests as they lie in the file: compact JSON in a gzip stream, a tenth of the size. The history holds many, and each is
//! mostly the one before it.

use std::io::{Read, Write};

use flash_model::Manifest;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::store::Error;

pub(super) fn pack(manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let mut packed = std::io::BufWriter::new(GzEncoder::new(Vec::new(), Compression::fast()));
    serde_json::to_writer(&mut packed, manifest)?;
    let packed = packed.into_inner().map_err(|error| error.into_error());
    Ok(packed.and_then(GzEncoder::finish).map_err(serde_json::Error::io)?)
}

pub(super) fn pack_text(text: &str) -> Result<Vec<u8>, Error> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    Ok(packed.write_all(text.as_bytes()).and_then(|()| packed.finish()).map_err(serde_json::Error::io)?)
}

pub(super) fn unpack(packed: &[u8]) -> Result<Manifest, Error> {
    let mut text = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut text).map_err(serde_json::Error::io)?;
    Ok(serde_json::from_slice(&text)?)
}
