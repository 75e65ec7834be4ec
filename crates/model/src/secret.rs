//! Text that must never be seen in a log.

use std::fmt;
use std::sync::Arc;

/// `Debug` prints `***`; there is no `Display` and no `Serialize`. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether an `Authorization` value carries it, as `Bearer <token>` or bare. Does not tell by its duration how much
    /// of a guess was right. An empty secret opens nothing.
    pub fn authorizes(&self, authorization: Option<&[u8]>) -> bool {
        let Some(value) = authorization else { return false };
        let guess = value.strip_prefix(b"Bearer ").unwrap_or(value).trim_ascii();
        let secret = self.0.as_bytes();
        if secret.len() != guess.len() || secret.is_empty() {
            return false;
        }
        let difference = secret.iter().zip(guess).fold(0_u8, |all, (left, right)| all | (left ^ right));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_printed_and_matched_whole() {
        let secret = Secret::new("abc");
        assert_eq!(format!("{secret:?}"), "***");
        for (value, expected) in [
            (Some("Bearer abc"), true),
            (Some("abc"), true),
            (Some("Bearer abd"), false),
            (Some("Bearer ab"), false),
            (Some("Bearer abcd"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(secret.authorizes(value.map(str::as_bytes)), expected, "{value:?}");
        }
        assert!(!Secret::new("").authorizes(Some(b"")), "an empty secret opens nothing");
    }
}
