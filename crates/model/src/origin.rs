//! Which `Host` and `Origin` a loopback server answers, so that a web page cannot drive it.

/// True for `localhost`, `*.localhost`, `127.x.x.x` and `[::1]`, each with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => return rest.split_once(']').is_some_and(|(address, _)| address == "::1"),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// For a server bound to loopback: whether a request with these headers comes from this machine's own tools or pages.
pub fn is_loopback_request(host: Option<&str>, origin: Option<&str>) -> bool {
    let origin_is_ours = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, authority)| is_loopback_authority(authority))
    };
    host.is_none_or(is_loopback_authority) && origin.is_none_or(origin_is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_and_rebound_names_are_refused() {
        for (host, origin, expected) in [
            (Some("127.0.0.1:8888"), None, true),
            (Some("localhost:8888"), Some("http://localhost:8888"), true),
            (Some("[::1]:8888"), Some("http://127.0.0.1"), true),
            (None, None, true),
            (Some("evil.example:8888"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("127.0.0.1:8888"), Some("https://evil.example"), false),
            (Some("127.0.0.1:8888"), Some("null"), false),
        ] {
            assert_eq!(is_loopback_request(host, origin), expected, "{host:?} {origin:?}");
        }
    }
}
