//! An RTMP client on a blocking socket.
//!
//! Owns: a client session and its socket. Does not: decide what is right.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use weir_net::clock;
use weir_rtmp::{ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, RtmpUrl};

/// How long a client waits before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client<S = TcpStream> {
    session: ClientSession,
    socket: S,
    unread: Vec<u8>,
}

/// What a client saw last.
#[derive(Debug)]
pub(crate) enum Seen {
    Event(ClientEvent),
    /// The connection is at its end.
    End,
}

/// A connection to `address` whose reads do not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

impl Client {
    /// A client of `live/name` at `address`.
    pub(crate) fn dial(address: SocketAddr, mode: ClientMode, name: &str) -> Self {
        Self::over(connect(address), mode, name)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl<S: Read + Write> Client<S> {
    /// A client over a connection.
    pub(crate) fn over(socket: S, mode: ClientMode, name: &str) -> Self {
        let url: RtmpUrl = format!("rtmp://127.0.0.1/live/{name}").parse().unwrap();
        let mut config = ClientConfig::new(&url, mode);
        config.handshake_timeout = PATIENCE;
        config.connect_timeout = PATIENCE;
        Self {
            session: ClientSession::new(config, clock::now(), 1),
            socket,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, kind: MediaKind, time: u32, body: &[u8]) {
        self.session.send(kind, time, body).unwrap();
        self.flush();
    }

    /// Says goodbye.
    pub(crate) fn leave(&mut self) {
        self.session.close();
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        // a peer that has gone is seen when reading
        let _ = self.socket.write_all(&out);
    }

    /// The next event, or the end.
    pub(crate) fn next(&mut self) -> Seen {
        loop {
            let mut input = self.unread.as_slice();
            let event = self.session.handle_input(clock::now(), &mut input).unwrap();
            let left = input.len();
            self.unread.drain(..self.unread.len() - left);
            self.flush();
            if let Some(event) = event {
                return Seen::Event(event);
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Seen::End,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Seen::End,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// Waits until the stream runs.
    pub(crate) fn ready(&mut self) -> u32 {
        loop {
            match self.next() {
                Seen::Event(ClientEvent::Ready { msid }) => return msid,
                Seen::Event(ClientEvent::Connected) => {}
                other => panic!("not ready: {other:?}"),
            }
        }
    }

    /// Waits for the refusal; gives its code and description.
    pub(crate) fn rejected(&mut self) -> (String, String) {
        loop {
            match self.next() {
                Seen::Event(ClientEvent::Rejected {
                    code, description, ..
                }) => return (code, description),
                Seen::Event(ClientEvent::Connected) => {}
                other => panic!("not rejected: {other:?}"),
            }
        }
    }

    /// Waits for the next media message that is not a server's own word.
    pub(crate) fn media(&mut self) -> (MediaKind, u32, Vec<u8>) {
        loop {
            match self.next() {
                Seen::Event(ClientEvent::Media {
                    kind,
                    timestamp,
                    body,
                }) if kind != MediaKind::Data => return (kind, timestamp, body.to_vec()),
                Seen::Event(_) => {}
                Seen::End => panic!("no media, the connection ended"),
            }
        }
    }

    /// Waits for the end of the connection.
    pub(crate) fn end(&mut self) {
        while !matches!(self.next(), Seen::End) {}
    }
}
