//! Text that must never be seen in a log.

use std::fmt;

/// `Debug` prints `***`; there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in time that depends on the lengths only.
    pub fn matches(&self, candidate: &str) -> bool {
        let (own, candidate) = (self.0.as_bytes(), candidate.as_bytes());
        own.len() == candidate.len()
            && own.iter().zip(candidate).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
    }

    /// Whether an `Authorization` value carries it, as `Bearer <token>` or bare.
    pub fn authorizes(&self, authorization: Option<&str>) -> bool {
        authorization.is_some_and(|value| self.matches(value.strip_prefix("Bearer ").unwrap_or(value).trim()))
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
    fn debug_hides_it_and_only_the_whole_token_matches() {
        let secret = Secret::new("abc");
        assert_eq!(format!("{secret:?}"), "***");
        for (value, expected) in [
            (Some("Bearer abc"), true),
            (Some("abc"), true),
            (Some("Bearer abd"), false),
            (Some("Bearer ab"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(secret.authorizes(value), expected, "{value:?}");
        }
    }
}
