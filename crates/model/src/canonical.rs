//! One way to turn a document into bytes and a digest, so that hashes agree on every machine.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// JSON with sorted keys and no white space. Keys sort because `serde_json::Value` keeps maps ordered.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_value(value)?.to_string())
}

/// SHA-256 as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of [`canonical_json`] of an object, taken field by field: a large document is never held as one. Fields come in
/// the order of their names.
#[derive(Debug)]
pub(crate) struct ObjectDigest {
    hash: Sha256,
    is_empty: bool,
}

impl ObjectDigest {
    pub(crate) fn new() -> Self {
        Self { hash: Sha256::new_with_prefix(b"{"), is_empty: true }
    }

    pub(crate) fn field<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), serde_json::Error> {
        self.name(name)?;
        self.hash.update(canonical_json(value)?);
        Ok(())
    }

    /// An object of which each entry is canonical by itself.
    pub(crate) fn entries<'a, K: AsRef<str> + 'a, V: Serialize + 'a>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (&'a K, &'a V)>,
    ) -> Result<(), serde_json::Error> {
        self.name(name)?;
        self.hash.update(b"{");
        for (index, (key, value)) in entries.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            self.hash.update(format!("{comma}{}:", serde_json::to_string(key.as_ref())?));
            self.hash.update(canonical_json(value)?);
        }
        self.hash.update(b"}");
        Ok(())
    }

    pub(crate) fn finish(mut self) -> String {
        self.hash.update(b"}");
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn name(&mut self, name: &str) -> Result<(), serde_json::Error> {
        let comma = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        self.hash.update(format!("{comma}{}:", serde_json::to_string(name)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_whatever_their_order() {
        let value: serde_json::Value = serde_json::from_str(r#"{"b":1,"a":{"d":2,"c":[2,1]}}"#).unwrap();
        assert_eq!(canonical_json(&value).unwrap(), r#"{"a":{"c":[2,1],"d":2},"b":1}"#);
    }

    #[test]
    fn digest_is_hex_of_sha256() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
