//! A loopback server must not be driven by a web page: it is asked by a loopback name, from a loopback origin, or not at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flash_model::Code;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};

use crate::refusal::Refusal;

#[derive(Debug)]
pub(crate) struct Guard {
    is_loopback: bool,
    /// What nearly every request says: needs no parsing.
    usual_host: String,
}

impl Guard {
    pub(crate) fn new(bound: SocketAddr) -> Self {
        Self { is_loopback: bound.ip().is_loopback(), usual_host: bound.to_string() }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.is_loopback {
            return Ok(());
        }
        if let Some(host) = headers.get(HOST)
            && host.as_bytes() != self.usual_host.as_bytes()
            && !host.to_str().is_ok_and(is_loopback_authority)
        {
            return Err(forbidden("Host", host));
        }
        match headers.get(ORIGIN) {
            Some(origin) if !origin.to_str().is_ok_and(is_loopback_origin) => {
                Err(forbidden("Origin", origin))
            }
            _ => Ok(()),
        }
    }
}

fn forbidden(header: &str, value: &http::HeaderValue) -> Refusal {
    let detail = format!("{header} {value:?} is not a name of this machine's loopback");
    Refusal::new(Code::ForbiddenOrigin, 403, detail).hint("call 127.0.0.1 or localhost")
}

fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback_authority)
}

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
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| IpAddr::V6(ip).is_loopback());
    is_port && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_loopback_pass() {
        for good in
            ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8888", "127.9.9.9:1", "[::1]", "[::1]:80"]
        {
            assert!(is_loopback_authority(good), "{good}");
            assert!(is_loopback_origin(&format!("http://{good}")), "{good}");
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
            assert!(!is_loopback_authority(bad), "{bad}");
            assert!(!is_loopback_origin(&format!("http://{bad}")), "{bad}");
        }
        assert!(!is_loopback_origin("null"));
    }
}
