use std::io::Read;

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, route};

const CODE: &str = r#"
from tetra_rp.http import Response

async def rows(count: int):
    return [{"number": number} for number in range(count)]

async def tagged():
    return Response("x" * 5000, headers={"ETag": '"one"', "Vary": "cookie"}, media_type="text/plain")

async def packed():
    return Response(b"x" * 5000, headers={"Content-Encoding": "br"}, media_type="text/plain")

async def raw():
    return b"x" * 5000

async def events():
    async def lines():
        for _ in range(500):
            yield "data: one\n\n"
    return Response(lines(), media_type="text/event-stream")

async def items():
    for number in range(1000):
        yield {"number": number}
"#;

fn project() -> Project {
    let routes = ["rows", "tagged", "packed", "raw", "events", "items"]
        .map(|name| route(name, true, "GET", &format!("/{name}")));
    Project::new("load_balanced", CODE, json!(routes))
}

async fn ask(endpoint: &Endpoint, method: &str, path: &str, accepts: &str) -> (http::HeaderMap, Vec<u8>) {
    let response = endpoint.request(method, path).header("accept-encoding", accepts).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    (response.headers().clone(), response.bytes().await.unwrap().to_vec())
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn large_texts_are_compressed_for_whoever_asks() {
    let project = project();
    let endpoint = project.start().await;
    for count in [200, 20_000] {
        let path = format!("/rows?count={count}");
        let (headers, packed) = ask(&endpoint, "GET", &path, "br, gzip").await;
        assert_eq!(
            (&headers["content-encoding"], &headers["content-type"]),
            (&"gzip".parse().unwrap(), &"application/json".parse().unwrap())
        );
        assert_eq!(
            (&headers["vary"], &headers["content-length"]),
            (&"accept-encoding".parse().unwrap(), &packed.len().to_string().parse().unwrap())
        );
        let rows: Vec<Value> = serde_json::from_slice(&unpacked(&packed)).unwrap();
        assert_eq!(rows.len(), count);
        let (plain_headers, plain) = ask(&endpoint, "GET", &path, "identity").await;
        assert_eq!(
            (plain_headers.get("content-encoding"), &plain_headers["vary"]),
            (None, &"accept-encoding".parse().unwrap())
        );
        assert_eq!(plain, unpacked(&packed));
        assert!(packed.len() * 2 < plain.len());
        let (head, nothing) = ask(&endpoint, "HEAD", &path, "gzip").await;
        assert_eq!((&head["content-length"], nothing.len()), (&headers["content-length"], 0));
    }
    let (small, _) = ask(&endpoint, "GET", "/rows?count=2", "gzip").await;
    assert!(!small.contains_key("content-encoding") && !small.contains_key("vary"));

    let (tagged, _) = ask(&endpoint, "GET", "/tagged", "gzip").await;
    assert_eq!(tagged["etag"], "W/\"one\"");
    assert_eq!(tagged.get_all("vary").iter().collect::<Vec<_>>(), ["cookie", "accept-encoding"]);
}

#[tokio::test]
async fn zstd_is_for_those_who_like_it_as_much_as_gzip() {
    let project = project();
    let endpoint = project.start().await;
    for count in [200, 20_000] {
        let path = format!("/rows?count={count}");
        let (_, plain) = ask(&endpoint, "GET", &path, "identity").await;
        for accepts in ["gzip, deflate, br, zstd", "gzip;q=0.5, zstd"] {
            let (headers, packed) = ask(&endpoint, "GET", &path, accepts).await;
            assert_eq!(
                (&headers["content-encoding"], &headers["vary"]),
                (&"zstd".parse().unwrap(), &"accept-encoding".parse().unwrap())
            );
            assert_eq!(headers["content-length"], packed.len().to_string());
            assert_eq!(zstd::decode_all(&packed[..]).unwrap(), plain);
            assert!(packed.len() * 2 < plain.len());
        }
        for accepts in ["gzip, deflate, br", "gzip, zstd;q=0.5", "*"] {
            let (headers, packed) = ask(&endpoint, "GET", &path, accepts).await;
            assert_eq!(headers["content-encoding"], "gzip");
            assert_eq!(unpacked(&packed), plain);
        }
    }
    let (tagged, _) = ask(&endpoint, "GET", "/tagged", "zstd").await;
    assert_eq!(
        (&tagged["content-encoding"], &tagged["etag"]),
        (&"zstd".parse().unwrap(), &"W/\"one\"".parse().unwrap())
    );
}

#[tokio::test]
async fn what_is_packed_already_no_text_or_comes_bit_by_bit_is_not() {
    let project = project();
    let endpoint = project.start().await;
    for path in ["/raw", "/events", "/items"] {
        let (headers, bytes) = ask(&endpoint, "GET", path, "gzip").await;
        assert!(!headers.contains_key("content-encoding"), "{path}");
        assert!(bytes.len() >= 5000, "{path}");
    }
    let (packed, _) = ask(&endpoint, "GET", "/packed", "gzip").await;
    assert_eq!(packed.get_all("content-encoding").iter().collect::<Vec<_>>(), ["br"]);
}
