//! WebSockets: which requests ask for one, and what joins the two connections that it is made of.

use std::io;
use std::time::Duration;

use flash_model::wire::Problem;
use flash_model::{Code, EndpointKind};
use http::header::{CONNECTION, HeaderName, UPGRADE};
use http::{HeaderMap, Method, Request, Version};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink, split};

pub const WEBSOCKET: &str = "websocket";
/// What clients offer that go on in HTTP/1.1 as well: not a reason to refuse anything.
const OFFERED_ONLY: &str = "h2c";
/// When one end has closed, what is under way to the other one may take so long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a request to a resource of this kind is a WebSocket handshake. What asks for an upgrade that there is not is
/// refused.
pub fn wants_websocket<B: Body>(request: &Request<B>, kind: EndpointKind) -> Result<bool, Box<Problem>> {
    let protocols = asked(request);
    let Some(first) = protocols.first() else { return Ok(false) };
    let refused = |status, detail: String| Problem::new(Code::UpgradeRefused, status, detail);
    if kind != EndpointKind::Asgi {
        let detail = format!("a {} endpoint has no WebSockets and upgrades to nothing else", kind.label());
        let hint = "WebSockets are routes of the project's own web application";
        return Err(Box::new(refused(404, detail).hint(hint)));
    }
    if !protocols.contains(&WEBSOCKET) {
        let detail = format!("a connection cannot be upgraded to {first:?}");
        let hint = "upgrade to websocket, or leave the header `Upgrade` out";
        return Err(Box::new(refused(426, detail).hint(hint)));
    }
    if request.method() != Method::GET || !request.body().is_end_stream() {
        let detail = "a WebSocket handshake is a GET request without a body";
        return Err(Box::new(refused(400, detail.to_owned())));
    }
    Ok(true)
}

/// Protocols that the connection should be upgraded to, in the order of preference.
fn asked<B>(request: &Request<B>) -> Vec<&str> {
    let headers = request.headers();
    let is_asked = headers.contains_key(UPGRADE)
        && request.version() == Version::HTTP_11
        && listed(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    if !is_asked {
        return Vec::new();
    }
    let known = |protocol| if WEBSOCKET.eq_ignore_ascii_case(protocol) { WEBSOCKET } else { protocol };
    listed(headers, UPGRADE)
        .filter(|protocol| !OFFERED_ONLY.eq_ignore_ascii_case(protocol))
        .map(known)
        .collect()
}

fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty())
}

/// Carries bytes both ways between the two connections, no faster than they are read, until one of them closes; then
/// closes the other. `held` is let go of when the server has closed.
pub async fn join<H>(caller: OnUpgrade, server: OnUpgrade, held: H) -> io::Result<()> {
    let (caller, server) = tokio::try_join!(caller, server).map_err(io::Error::other)?;
    carry(TokioIo::new(caller), TokioIo::new(server), held).await
}

async fn carry<C, S, H>(caller: C, server: S, held: H) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (mut from_caller, mut to_caller) = split(caller);
    let (mut from_server, mut to_server) = split(server);
    {
        let mut there = std::pin::pin!(async {
            copy(&mut from_caller, &mut to_server).await?;
            to_server.shutdown().await
        });
        let mut back = std::pin::pin!(async {
            copy(&mut from_server, &mut to_caller).await?;
            to_caller.shutdown().await
        });
        tokio::select! {
            ended = &mut there => {
                ended?;
                return tokio::time::timeout(CLOSE_TIMEOUT, back).await.unwrap_or(Ok(()));
            }
            ended = &mut back => ended?,
        }
    }
    drop((from_server, to_server, held));
    // Closing before all is read would take from the caller what is still on its way to it.
    let read = tokio::time::timeout(CLOSE_TIMEOUT, copy(&mut from_caller, &mut sink())).await;
    read.map_or(Ok(()), |read| read.map(drop))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[derive(Debug)]
    struct Text(&'static str);

    impl Body for Text {
        type Data = &'static [u8];
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Ready(None)
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn request(method: Method, connection: &str, upgrade: &str, body: &'static str) -> Request<Text> {
        let request = Request::builder().method(method).header(CONNECTION, connection);
        request.header(UPGRADE, upgrade).body(Text(body)).unwrap()
    }

    #[test]
    fn a_handshake_is_a_get_that_asks_for_websocket() {
        use EndpointKind::{Asgi, LoadBalanced, Queue};
        let check = |connection, upgrade, kind| {
            let wanted = wants_websocket(&request(Method::GET, connection, upgrade, ""), kind);
            wanted.map_err(|problem| problem.status)
        };
        assert_eq!(check("Upgrade", "websocket", Asgi), Ok(true));
        assert_eq!(check("keep-alive, upgrade", "h2c, WebSocket", Asgi), Ok(true));
        assert_eq!(check("keep-alive", "websocket", Asgi), Ok(false), "nothing is asked of this connection");
        assert_eq!(check("Upgrade", "", Queue), Ok(false));
        assert_eq!(check("Upgrade, HTTP2-Settings", "h2c", LoadBalanced), Ok(false));
        assert_eq!(check("Upgrade", "TLS/1.0", Asgi), Err(StatusCode::UPGRADE_REQUIRED.as_u16()));
        assert_eq!(check("Upgrade", "websocket", LoadBalanced), Err(404));
        assert_eq!(check("Upgrade", "TLS/1.0", Queue), Err(404));

        let refused = |request| wants_websocket(&request, Asgi).map_err(|problem| problem.status);
        assert_eq!(refused(request(Method::POST, "upgrade", "websocket", "")), Err(400));
        assert_eq!(refused(request(Method::GET, "upgrade", "websocket", "smuggled")), Err(400));
        let mut old = request(Method::GET, "upgrade", "websocket", "");
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(refused(old), Ok(false));
    }

    #[tokio::test]
    async fn what_was_sent_before_the_end_arrives_and_both_ends_close() {
        let ((mut here, caller), (server, mut there)) = (duplex(8), duplex(8));
        let carried = tokio::spawn(carry(caller, server, ()));
        let sending = tokio::spawn(async move {
            here.write_all(b"longer than any buffer").await.unwrap();
            here.shutdown().await.unwrap();
            let mut answer = Vec::new();
            here.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut got = Vec::new();
        there.read_to_end(&mut got).await.unwrap();
        there.write_all(b"goodbye").await.unwrap();
        drop(there);
        assert_eq!(
            (got.as_slice(), sending.await.unwrap().as_slice()),
            (&b"longer than any buffer"[..], &b"goodbye"[..])
        );
        carried.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_never_closes_is_closed() {
        let ((here, caller), (server, mut there)) = (duplex(8), duplex(8));
        let carried = tokio::spawn(carry(caller, server, ()));
        drop(here);
        carried.await.unwrap().unwrap();
        assert_eq!(there.read(&mut [0]).await.unwrap(), 0);
        assert!(there.write_all(b"anybody?").await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_has_closed_is_let_go_of_whatever_the_caller_does() {
        let ((mut here, caller), (server, there)) = (duplex(64), duplex(64));
        let (held, mut is_held) = tokio::sync::oneshot::channel::<()>();
        let carried = tokio::spawn(carry(caller, server, held));
        drop(there);
        assert!((&mut is_held).await.is_err());
        assert_eq!(here.read(&mut [0]).await.unwrap(), 0);
        here.write_all(b"not noticed yet").await.unwrap();
        drop(here);
        carried.await.unwrap().unwrap();
    }
}
