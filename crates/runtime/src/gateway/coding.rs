//! The content codings that answers are sent in, and which of them a caller wants.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// Fast and small enough.
const GZIP_LEVEL: u32 = 3;
/// The fastest, and the one that takes the least memory.
const ZSTD_LEVEL: i32 = 1;
/// 256 KiB. With it an answer takes about a MiB while it is compressed, whatever its size, and its reader less.
const ZSTD_WINDOW_LOG: u32 = 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// What `Accept-Encoding` prefers (RFC 9110 §12.5.3), and zstd (RFC 9659) where it likes both as much. Who says `*` is given
    /// what everybody can read.
    pub(super) fn asked_for(headers: &HeaderMap) -> Option<Self> {
        let (mut gzip, mut zstd, mut any) = (None, 0.0, 0.0);
        for value in headers.get_all(ACCEPT_ENCODING) {
            for choice in value.to_str().unwrap_or_default().split(',') {
                let (coding, weight) = choice.split_once(';').unwrap_or((choice, ""));
                let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
                let weight = weight.ok().filter(|weight| *weight > 0.0).unwrap_or(0.0);
                match coding.trim() {
                    coding if coding.eq_ignore_ascii_case("gzip") => gzip = Some(weight),
                    coding if coding.eq_ignore_ascii_case("zstd") => zstd = weight,
                    "*" => any = weight,
                    _ => {}
                }
            }
        }
        let gzip: f32 = gzip.unwrap_or(any);
        match () {
            () if zstd > 0.0 && zstd >= gzip => Some(Self::Zstd),
            () if gzip > 0.0 => Some(Self::Gzip),
            () => None,
        }
    }

    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }

    pub(super) fn pack(self, plain: &[u8]) -> Option<Bytes> {
        let room = Vec::with_capacity(plain.len() / 4);
        match self {
            Self::Gzip => gzip(plain, room),
            Self::Zstd => zstd(plain, room),
        }
        .ok()
        .map(Bytes::from)
    }
}

fn gzip(plain: &[u8], room: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(room, Compression::new(GZIP_LEVEL));
    encoder.write_all(plain)?;
    encoder.finish()
}

fn zstd(plain: &[u8], room: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(room, ZSTD_LEVEL)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    // Small ones then take no more memory than they need.
    encoder.set_pledged_src_size(Some(plain.len() as u64))?;
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_as_the_standard_says() {
        let check = |said: &str, expected: Option<Coding>| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(said).unwrap())]);
            assert_eq!(Coding::asked_for(&headers), expected, "{said}");
        };
        for said in [
            "gzip",
            "br, gzip",
            "gzip, deflate, br",
            "GZIP;q=0.5",
            "deflate, gzip; q=1.0",
            "*",
            "br;q=1, *;q=0.1",
            "gzip, zstd;q=0.9",
            "gzip, zstd;q=0",
            "zstd;q=0.5, *",
        ] {
            check(said, Some(Coding::Gzip));
        }
        for said in [
            "zstd",
            "gzip, deflate, br, zstd",
            "ZSTD;q=0.5, gzip;q=0.5",
            "gzip;q=0.9, zstd",
            "gzip;q=0, zstd;q=0.1",
            "zstd, *",
            "gzip;q=x, zstd",
        ] {
            check(said, Some(Coding::Zstd));
        }
        for said in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "identity",
            "gzip;q=x",
            "xgzip",
            "zstd;q=0",
            "zstd;q=x",
            "gzip;q=-1",
        ] {
            check(said, None);
        }
        assert_eq!(Coding::asked_for(&HeaderMap::new()), None);
    }

    #[test]
    fn nobody_needs_a_large_window_to_read_zstd() {
        let plain: Vec<u8> = (0..400_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let packed = Coding::Zstd.pack(&plain).unwrap();
        let mut decoder = zstd::Decoder::new(&packed[..]).unwrap();
        decoder.window_log_max(ZSTD_WINDOW_LOG).unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut decoder, &mut read).unwrap();
        assert!(read == plain);
        assert!(packed.len() * 2 < plain.len());
    }
}
