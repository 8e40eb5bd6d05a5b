//! Asking an API over HTTP.
//!
//! Owns: one request on one connection, its bounds in time and size, and errors that say what to do. Does not: speak TLS,
//! follow redirects, or keep connections: a look every two seconds needs none of it.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use url::Url;
use weir_http::body::{Body, BodyError, Part};
use weir_http::response::{Framing, Response, ResponseError, Responses};
use weir_http::write::HeadWriter;

use crate::clock;

/// Port of an origin's API, where the address names none.
const PORT: u16 = 1985;

/// Time for a whole answer, the connection included. A server that needs longer has worse to do than to be watched.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest head of an answer, in bytes.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// Longest body of an answer, in bytes: a page of a thousand streams has about 2 MB.
const MOST_BODY_BYTES: usize = 16 << 20;

/// Longest word of the server about a failure that is shown, in characters.
const MOST_WORDS: usize = 200;

/// Why the API could not be asked, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none.
    #[error("--api {url}: {why} (expected an address such as http://127.0.0.1:1985)")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody listens there.
    #[error(
        "nothing listens at {address}: is the server running, its API on (api.listen of an origin, \
         proxy.system_listen of a proxy), and --api its address?"
    )]
    Refused {
        /// Where.
        address: String,
    },
    /// The name has no address, or the way is blocked.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server took too long.
    #[error("the API at {address} did not answer within {} s", PATIENCE.as_secs())]
    Late {
        /// Where.
        address: String,
    },
    /// The token is missing or wrong.
    #[error(
        "the API asks for its token: set the variable WEIR_API_TOKEN, or --token, to api.token of \
         the origin or proxy.token of the proxy"
    )]
    Token,
    /// The server serves others, but not from here.
    #[error("the API refuses: {0}")]
    Forbidden(String),
    /// The connection broke in the middle of an answer.
    #[error("the answer of the API broke off: {0}")]
    Broken(std::io::Error),
    /// What answers is not HTTP, or not sound.
    #[error("what answers at --api is no HTTP server: {0}")]
    NotHttp(#[from] ResponseError),
    /// The body is not sound.
    #[error("the answer of the API is damaged: {0}")]
    Body(#[from] BodyError),
    /// The answer is larger than any of the API's.
    #[error("the answer is longer than {MOST_BODY_BYTES} bytes: is --api the address of an API?")]
    TooLong,
    /// The API has no such thing.
    #[error("the API answered {status}: {words} (is --api the address of a Weir of this version?)")]
    Status {
        /// The status.
        status: u16,
        /// What the server says.
        words: String,
    },
    /// The answer is not what this version of the API says.
    #[error("the answer to {path} is not that of a Weir of this version: {source}")]
    Meaning {
        /// What was asked.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Where and as whom to ask.
#[derive(Clone)]
pub(crate) struct Client {
    /// Name or address, without brackets.
    host: String,
    port: u16,
    /// Path before that of the API, without a slash at its end.
    base: String,
    token: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the API at `url`, with a token unless it is empty.
    ///
    /// # Errors
    ///
    /// The URL is none, or not one of HTTP; or the token cannot stand in a header.
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Url {
            url: url.to_owned(),
            why,
        };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if parsed.scheme() != "http" {
            return Err(wrong("only http:// is spoken".to_owned()));
        }
        let host = parsed.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("the host is missing".to_owned()));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(
                "the token has characters that no token has".to_owned(),
            ));
        }
        let has_port = url.trim_end_matches('/').ends_with(":80");
        let port = match parsed.port() {
            Some(port) => port,
            None if has_port => 80,
            None => PORT,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            base: parsed.path().trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// Where it asks, as in a URL.
    pub(crate) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// What a GET of `path` answers.
    ///
    /// # Errors
    ///
    /// It cannot be asked, answers no success, or something else than a `T`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let body = self.ask("GET", path)?;
        serde_json::from_slice(&body).map_err(|source| Error::Meaning {
            path: path.to_owned(),
            source,
        })
    }

    /// Closes the connection of a client.
    ///
    /// # Errors
    ///
    /// As for [`Client::get`]; the client may have gone by itself.
    pub(crate) fn kick(&self, id: &str) -> Result<(), Error> {
        // ids are letters and digits, and nothing else may become a part of the path
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        self.ask("DELETE", &format!("/api/v1/clients/{id}"))?;
        Ok(())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>, Error> {
        let deadline = clock::now() + PATIENCE;
        let mut stream = self.connect(deadline)?;
        let mut head = HeadWriter::request(method, &format!("{}{path}", self.base));
        head.field("Host", self.address());
        head.field(
            "User-Agent",
            concat!("weir-top/", env!("CARGO_PKG_VERSION")),
        );
        head.field("Accept", "application/json");
        head.field("Connection", "close");
        if !self.token.is_empty() {
            head.field("Authorization", format_args!("Bearer {}", self.token));
        }
        self.left(&stream, deadline)?;
        stream
            .write_all(&head.finish())
            .map_err(|error| self.broken(error))?;
        let (response, body) = self.read(&mut stream, deadline)?;
        match response.status {
            200..=299 => Ok(body),
            401 => Err(Error::Token),
            403 => Err(Error::Forbidden(words(&body))),
            status => Err(Error::Status {
                status,
                words: words(&body),
            }),
        }
    }

    fn connect(&self, deadline: Instant) -> Result<TcpStream, Error> {
        let address = self.address();
        let unreachable = |source| Error::Unreachable {
            address: address.clone(),
            source,
        };
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let all: Vec<SocketAddr> = found.map_err(unreachable)?.collect();
        let mut last = std::io::Error::from(ErrorKind::NotFound);
        for one in all {
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Err(Error::Late { address });
            }
            match TcpStream::connect_timeout(&one, left) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(match last.kind() {
            ErrorKind::ConnectionRefused => Error::Refused { address },
            ErrorKind::TimedOut => Error::Late { address },
            _ => unreachable(last),
        })
    }

    /// Bounds the next call on `stream` by the deadline.
    fn left(&self, stream: &TcpStream, deadline: Instant) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(Error::Late {
                address: self.address(),
            });
        }
        let set = stream
            .set_read_timeout(Some(left))
            .and_then(|()| stream.set_write_timeout(Some(left)));
        set.map_err(Error::Broken)
    }

    fn broken(&self, error: std::io::Error) -> Error {
        match error.kind() {
            // a socket's time-out has either name
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Late {
                address: self.address(),
            },
            _ => Error::Broken(error),
        }
    }

    fn read(
        &self,
        stream: &mut TcpStream,
        deadline: Instant,
    ) -> Result<(Box<Response>, Vec<u8>), Error> {
        let mut responses = Responses::new(MOST_HEAD_BYTES);
        let mut space = [0; 16 << 10];
        let mut more = |stream: &mut TcpStream| {
            self.left(stream, deadline)?;
            let count = stream
                .read(&mut space)
                .map_err(|error| self.broken(error))?;
            Ok::<Vec<u8>, Error>(space.get(..count).unwrap_or_default().to_vec())
        };
        let response = 'head: loop {
            let input = more(stream)?;
            if input.is_empty() {
                return Err(Error::Broken(ErrorKind::UnexpectedEof.into()));
            }
            responses.push(&input);
            while let Some(response) = responses.pull(false)? {
                // interim answers are passed over (RFC 9110, section 15.2)
                if response.status >= 200 {
                    break 'head response;
                }
            }
        };
        let mut input = responses.take();
        let mut reader = Reader::new(response.framing);
        while !reader.take(&input)? {
            input = more(stream)?;
            if input.is_empty() {
                return match reader.ends_here() {
                    true => Ok((response, reader.whole)),
                    false => Err(Error::Broken(ErrorKind::UnexpectedEof.into())),
                };
            }
        }
        Ok((response, reader.whole))
    }
}

/// A body under way.
struct Reader {
    /// `None` where the connection's end is the body's.
    framed: Option<Body>,
    whole: Vec<u8>,
}

impl Reader {
    fn new(framing: Framing) -> Self {
        Self {
            framed: framing.length().map(Body::new),
            whole: Vec::new(),
        }
    }

    /// Takes in what came; true when the body is complete.
    fn take(&mut self, input: &[u8]) -> Result<bool, Error> {
        let Some(body) = &mut self.framed else {
            add(&mut self.whole, input)?;
            return Ok(false);
        };
        let mut rest = input;
        loop {
            match body.next(&mut rest)? {
                Part::Data(data) => add(&mut self.whole, data)?,
                Part::More => return Ok(false),
                Part::End => return Ok(true),
            }
        }
    }

    /// Whether the end of the connection is that of the body.
    fn ends_here(&self) -> bool {
        self.framed.is_none()
    }
}

fn add(whole: &mut Vec<u8>, more: &[u8]) -> Result<(), Error> {
    if whole.len().saturating_add(more.len()) > MOST_BODY_BYTES {
        return Err(Error::TooLong);
    }
    whole.extend_from_slice(more);
    Ok(())
}

/// What a server says of a failure: the text of its JSON, or what there is.
fn words(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Failure {
        error: String,
    }
    let told = serde_json::from_slice(body).map(|failure: Failure| failure.error);
    let text = told.unwrap_or_else(|_| String::from_utf8_lossy(body).trim().to_owned());
    let clean = text.chars().filter(|c| !c.is_control());
    clean.take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests;
