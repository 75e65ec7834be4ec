//! `Idempotency-Key`: a submission that may be sent again, because its answer was lost, makes one job.

use flash_model::sha256_hex;
use http::HeaderValue;

const BYTES_MAX: usize = 255;

/// A key and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) text: Box<str>,
    /// SHA-256 of the request's body, byte for byte.
    pub(super) digest: Box<str>,
}

impl Key {
    /// Says why it cannot be used.
    pub(crate) fn of(header: &HeaderValue, body: &[u8]) -> Result<Self, String> {
        match header.to_str().map(str::trim) {
            Ok(text) if (1..=BYTES_MAX).contains(&text.len()) => {
                Ok(Self { text: text.into(), digest: sha256_hex(body).into() })
            }
            _ => Err(format!("an Idempotency-Key is 1 to {BYTES_MAX} visible ASCII characters")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_text() {
        let key = |text: &str| Key::of(&HeaderValue::from_bytes(text.as_bytes()).unwrap(), b"{}");
        let longest = "k".repeat(BYTES_MAX);
        for good in ["a", r#""8e03978e-40d5-43dd-bc93-6894a57f9324""#, &longest] {
            assert_eq!(&*key(good).unwrap().text, good);
        }
        for bad in ["", "  ", "ключ", &format!("{longest}k")] {
            assert!(key(bad).unwrap_err().contains("1 to 255"), "{bad}");
        }
        assert_ne!(key("a").unwrap(), Key::of(&HeaderValue::from_static("a"), b"{ }").unwrap());
    }
}
