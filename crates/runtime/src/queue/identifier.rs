//! Job ids in the shape that existing clients know: a random UUID, `-u1` behind, `sync-` before those of `runsync`.

pub(super) fn job_id(is_sync: bool) -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let prefix = if is_sync { "sync-" } else { "" };
    Ok(format!("{prefix}{}-{}-{}-{}-{}-u1", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_a_uuid() {
        let id = job_id(true).unwrap();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [4, 8, 4, 4, 4, 12, 2], "{id}");
        assert!(id.starts_with("sync-") && id.ends_with("-u1"), "{id}");
        assert_ne!(id, job_id(true).unwrap());
    }
}
