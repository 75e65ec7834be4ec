//! Which `Host` and `Origin` a loopback server answers, so that a web page cannot drive it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What the headers of a request say about where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provenance<'a> {
    pub host: Option<&'a [u8]>,
    pub origin: Option<&'a [u8]>,
    /// `Sec-Fetch-Site`: browsers send it also where they send no `Origin`, for an `<img>` of another site.
    pub fetch_site: Option<&'a [u8]>,
    /// `Sec-Fetch-Mode`: `navigate` when a person follows a link.
    pub fetch_mode: Option<&'a [u8]>,
}

impl Provenance<'_> {
    /// For a server bound to loopback: whether a request comes from this machine's own tools or pages. A header that is
    /// absent is no objection; one that is not text is.
    pub fn is_loopback(&self) -> bool {
        let says = |value: Option<&[u8]>, allowed: fn(&str) -> bool| {
            value.is_none_or(|value| std::str::from_utf8(value).is_ok_and(allowed))
        };
        let is_foreign = matches!(self.fetch_site, Some(b"cross-site" | b"same-site"));
        let is_navigation = self.fetch_mode == Some(b"navigate");
        says(self.host, is_loopback_authority)
            && says(self.origin, is_loopback_origin)
            && (!is_foreign || is_navigation)
    }
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
            let by_host = Provenance { host: Some(authority.as_bytes()), ..Provenance::default() };
            let by_origin = Provenance { origin: Some(origin.as_bytes()), ..Provenance::default() };
            assert_eq!(by_origin.is_loopback(), by_host.is_loopback(), "{authority}");
            by_host.is_loopback()
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
        assert!(Provenance::default().is_loopback());
        assert!(!Provenance { origin: Some(b"null"), ..Provenance::default() }.is_loopback());
        assert!(!Provenance { host: Some(b"\xff"), ..Provenance::default() }.is_loopback());
    }

    #[test]
    fn a_page_of_another_site_embeds_nothing_but_may_link() {
        for (site, mode, expected) in [
            ("cross-site", "no-cors", false),
            ("same-site", "cors", false),
            ("cross-site", "navigate", true),
            ("same-origin", "cors", true),
            ("none", "navigate", true),
        ] {
            let provenance = Provenance {
                fetch_site: Some(site.as_bytes()),
                fetch_mode: Some(mode.as_bytes()),
                ..Provenance::default()
            };
            assert_eq!(provenance.is_loopback(), expected, "{site} {mode}");
        }
    }
}
