//! Who sent a message and that nobody changed it: HMAC-SHA256 (RFC 2104) with a shared secret.

use sha2::{Digest, Sha256};

use crate::Secret;

/// The hash works on blocks of this many bytes.
const BLOCK_BYTES: usize = 64;

/// 64 hexadecimal digits. `parts` are one message, one after the other.
pub fn hmac_sha256_hex(secret: &Secret, parts: &[&[u8]]) -> String {
    let key = secret.expose().as_bytes();
    let mut block = [0_u8; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        for (to, from) in block.iter_mut().zip(Sha256::digest(key)) {
            *to = from;
        }
    } else {
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard() {
        let check = |key: &str, message: &str, expected: &str| {
            let (start, end) = message.as_bytes().split_at(message.len() / 2);
            assert_eq!(hmac_sha256_hex(&Secret::new(key), &[start, end]), expected, "{message}");
        };
        // RFC 4231, the cases whose keys are text.
        check(
            "Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        let key = "\u{b}".repeat(20);
        check(&key, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        // Made with Python's hmac; longer than a block.
        check(
            &"k".repeat(100),
            "message",
            "1c28735416d320163f56f81bdbb83d651eed508d184e6b8b03662740a533293e",
        );
    }
}
