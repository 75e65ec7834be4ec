//! Which `Host` and `Origin` a loopback server answers, so that a web page cannot drive it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// For a server bound to loopback: whether a request with these headers comes from this machine's own tools or pages.
/// A header that is absent is no objection; one that is not text is.
pub fn is_loopback_request(host: Option<&[u8]>, origin: Option<&[u8]>) -> bool {
    let says = |value: Option<&[u8]>, allowed: fn(&str) -> bool| {
        value.is_none_or(|value| std::str::from_utf8(value).is_ok_and(allowed))
    };
    says(host, is_loopback_authority) && says(origin, is_loopback_origin)
}

fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback_authority)
}

/// `localhost`, `127.x.x.x` and `[::1]`, each with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, ""),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, port),
                None => return false,
            },
            None => return false,
        },
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    is_port && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_loopback_pass() {
        let check = |authority: &str| {
            let origin = format!("http://{authority}");
            let host = is_loopback_request(Some(authority.as_bytes()), None);
            assert_eq!(is_loopback_request(None, Some(origin.as_bytes())), host, "{authority}");
            host
        };
        for good in
            ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8888", "127.9.9.9:1", "[::1]", "[::1]:80"]
        {
            assert!(check(good), "{good}");
        }
        for bad in [
            "",
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com:80",
            "10.0.0.1",
            "[::1]x",
            "[::2]",
            "0.0.0.0",
            "localhost:80/x",
            "localhost@evil.com",
            "null",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(is_loopback_request(None, None));
        assert!(!is_loopback_request(None, Some(b"null")));
        assert!(!is_loopback_request(Some(b"\xff"), None));
    }
}
