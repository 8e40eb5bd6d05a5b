//! A small HTTP/1.1 and WebSocket client.
//!
//! Owns: requests, answers with their bodies, and the unmasked side of WebSocket (RFC 6455), independent of the
//! server's code. Does not: follow redirects or keep cookies.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::PATIENCE;
use crate::process::Process;
use crate::tools::Tool;

/// A connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    host: SocketAddr,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// Asks once, on a connection of its own.
pub fn request(host: SocketAddr, method: &str, path: &str) -> Answer {
    Client::connect(host).request(method, path, &[])
}

/// What curl gets with `args`, which name the address. Panics when curl fails; an error's status is no failure.
pub fn curl<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Answer {
    let folder = tempfile::tempdir().expect("a folder");
    let [head, body] = ["head", "body"].map(|name| folder.path().join(name));
    let mut command = Tool::Curl.command(["-sS", "-D"]);
    command.arg(&head).arg("-o").arg(&body).args(args);
    Process::spawn(&mut command).succeed();
    let head = fs::read_to_string(head).expect("curl wrote it");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Answer {
        head: Head {
            status: status.expect("a status line"),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
        },
        // where nothing came, curl makes no file
        body: fs::read(body).unwrap_or_default(),
    }
}

impl Client {
    /// Connects. Panics when nobody listens.
    pub fn connect(host: SocketAddr) -> Self {
        let stream = TcpStream::connect(host).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Self {
            reader: BufReader::new(stream),
            host,
        }
    }

    /// Asks and reads the whole answer. Panics when there is none.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let head = self.begin(method, path, headers);
        let bodyless = method == "HEAD" || head.status == 204 || head.status == 304;
        let body = if bodyless {
            Vec::new()
        } else {
            self.body(&head)
        };
        Answer { head, body }
    }

    /// Asks and reads the head of the answer; the body is left to be read.
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Head {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.send(text.as_bytes()).expect("the connection is open");
        self.head().expect("an answer")
    }

    /// Writes as it is.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads the head of an answer. Fails when the connection ends or the head is none.
    pub fn head(&mut self) -> io::Result<Head> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no head of an answer");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|code| code.parse().ok());
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        Ok(Head {
            status: status.ok_or_else(invalid)?,
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
        })
    }

    fn body(&mut self, head: &Head) -> Vec<u8> {
        let mut body = Vec::new();
        if head.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().expect("a chunk") {
                body.extend(chunk);
            }
        } else if let Some(length) = head.header("content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.reader.read_exact(&mut body).expect("the whole body");
        } else {
            self.reader.read_to_end(&mut body).expect("the whole body");
        }
        body
    }

    /// The next chunk of a chunked body; `None` at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "no size of a chunk");
        let length = usize::from_str_radix(line.trim(), 16).map_err(invalid)?;
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk)?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    /// The rest of the connection as bytes.
    pub fn into_body(self) -> impl Read + Send {
        self.reader
    }

    /// The payloads of a chunked body, put together.
    pub fn into_chunks(self) -> impl Read + Send {
        Pieces::new(self, |client| Ok(client.chunk()?.unwrap_or_default()))
    }

    /// The payloads of the binary messages of a WebSocket, put together.
    pub fn into_websocket(self) -> impl Read + Send {
        Pieces::new(self, Self::message)
    }

    /// One unmasked binary message; empty at the close (RFC 6455 section 5.2).
    fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut head = [0; 2];
            if let Err(error) = self.reader.read_exact(&mut head) {
                return match error.kind() {
                    io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
                    _ => Err(error),
                };
            }
            let mut wide = [0; 8];
            let length = match head[1] {
                126 => {
                    self.reader.read_exact(&mut wide[6..])?;
                    u64::from_be_bytes(wide)
                }
                127 => {
                    self.reader.read_exact(&mut wide)?;
                    u64::from_be_bytes(wide)
                }
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("it fits into memory")];
            self.reader.read_exact(&mut payload)?;
            match head[0] & 0x0f {
                0..=2 if payload.is_empty() => {}
                0..=2 => return Ok(payload),
                8 => return Ok(Vec::new()),
                _ => {}
            }
        }
    }
}

/// A byte stream out of pieces; an empty piece is its end.
struct Pieces<F> {
    client: Client,
    next: F,
    piece: io::Cursor<Vec<u8>>,
}

impl<F: FnMut(&mut Client) -> io::Result<Vec<u8>>> Pieces<F> {
    fn new(client: Client, next: F) -> Self {
        Self {
            client,
            next,
            piece: io::Cursor::default(),
        }
    }
}

impl<F: FnMut(&mut Client) -> io::Result<Vec<u8>>> Read for Pieces<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        self.piece = io::Cursor::new((self.next)(&mut self.client)?);
        self.piece.read(buffer)
    }
}
