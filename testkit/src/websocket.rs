//! A WebSocket client (RFC 6455) that shows what is on the wire.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(30);
/// The RFC's own example, and what it has to be answered with.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [1, 2, 3, 4];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    /// With its code.
    Close(u16),
    /// The connection ended without a word.
    Gone,
}

#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
}

#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    /// Names in lower case.
    pub head: String,
    pub body: String,
}

impl WebSocket {
    /// `url` is a server's (`http://127.0.0.1:80`). Panics if it is refused.
    pub async fn open(url: &str, path: &str) -> Self {
        Self::ask(url, path, &[]).await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    /// With headers beside those of a handshake, or in their place.
    pub async fn ask(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let authority = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(authority).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let usual = [
            ("host", authority),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let mut request = format!("GET {path} HTTP/1.1\r\n");
        let usual = usual.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        for (name, value) in usual.chain(headers) {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();

        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 {
            assert!(head.contains(ACCEPTED), "{head}");
            return Ok(Self { stream });
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        within(stream.read_exact(&mut body)).await.unwrap();
        Err(Refused { status, head, body: String::from_utf8(body).unwrap() })
    }

    pub async fn send(&mut self, message: &Message) {
        let (opcode, payload) = match message {
            Message::Text(text) => (1, text.clone().into_bytes()),
            Message::Binary(bytes) => (2, bytes.clone()),
            Message::Close(code) => (8, code.to_be_bytes().to_vec()),
            Message::Gone => return self.stream.shutdown().await.unwrap(),
        };
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ ..126 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        within(self.stream.write_all(&frame)).await.unwrap();
    }

    /// The next message, put together from its fragments. Pings are passed over.
    pub async fn receive(&mut self) -> Message {
        let (mut kind, mut payload) = (0, Vec::new());
        loop {
            let Ok([first, second]) = self.bytes().await else { return Message::Gone };
            let length = match second & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes().await.unwrap())),
                127 => u64::from_be_bytes(self.bytes().await.unwrap()),
                length => length.into(),
            };
            let mut part = vec![0; length.try_into().unwrap()];
            within(self.stream.read_exact(&mut part)).await.unwrap();
            match first & 0x0f {
                8 => {
                    let code = part.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Message::Close(code);
                }
                9 | 10 => continue,
                0 => {}
                opcode => kind = opcode,
            }
            payload.extend(part);
            if first & 0x80 != 0 {
                return match kind {
                    1 => Message::Text(String::from_utf8(payload).unwrap()),
                    _ => Message::Binary(payload),
                };
            }
        }
    }

    /// Sends a message and receives one.
    pub async fn exchange(&mut self, message: &Message) -> Message {
        self.send(message).await;
        self.receive().await
    }

    async fn bytes<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        within(self.stream.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

async fn within<T>(result: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, result).await.expect("no answer in time")
}
