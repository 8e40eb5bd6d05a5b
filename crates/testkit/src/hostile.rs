//! Peers that do as they please with bytes.
//!
//! Owns: raw connections, junk that is the same in each run, and the opening of RTMP written out by hand (RTMP 1.0
//! sections 5.2 and 5.3). Does not: keep to any protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::PATIENCE;

/// A raw connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// Connects. Panics when nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("a socket");
        Self { stream }
    }

    /// Sends, whether the other side still listens or not.
    pub fn send(&mut self, bytes: &[u8]) {
        // being cut off is what hostile peers must expect
        let _ = self.stream.write_all(bytes);
    }

    /// Sends each byte on its own.
    pub fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
        }
    }

    /// Reads that many bytes. Panics when they do not come.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("an answer");
        bytes
    }

    /// Reads until `wanted` has come; false when the connection ends before.
    pub fn reads_until(&mut self, wanted: &[u8]) -> bool {
        let (mut seen, mut buffer) = (Vec::<u8>::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return false,
                Ok(count) => seen.extend(buffer.iter().take(count)),
            }
            if seen.windows(wanted.len()).any(|window| window == wanted) {
                return true;
            }
        }
    }

    /// Reads to the end. False when the other side keeps the connection open.
    pub fn is_closed(&mut self) -> bool {
        self.rest().is_some()
    }

    /// What comes until the other side closes; `None` when it does not.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let (mut seen, mut buffer) = (Vec::<u8>::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(seen),
                Ok(count) => seen.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // a reset is an end too
                Err(_) => return Some(seen),
            }
        }
    }
}

/// Sends all and no more, and gives the answer. Panics when the other side does not close in turn.
pub fn says(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut peer = Peer::connect(address);
    peer.send(bytes);
    let _ = peer.stream.shutdown(Shutdown::Write);
    peer.rest().expect("the server closes")
}

/// Sends all and stays, and gives the answer. Panics when the other side does not give up.
pub fn says_and_waits(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut peer = Peer::connect(address);
    peer.send(bytes);
    peer.rest().expect("the server gives up")
}

/// Bytes without sense, the same for the same `seed`.
pub fn junk(seed: u64, count: usize) -> Vec<u8> {
    // xorshift64: good enough to hit every branch of a first byte
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

/// C0 and C1 of the simple handshake.
pub fn handshake_begin() -> Vec<u8> {
    let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.resize(1 + 1536, 7);
    bytes
}

/// One chunk with a full header: `kind` is the message type, `length` that of the whole message.
pub fn chunk(csid: u8, timestamp: u32, kind: u8, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![csid];
    bytes.extend(timestamp.to_be_bytes().iter().skip(1));
    bytes.extend(length.to_be_bytes().iter().skip(1));
    bytes.push(kind);
    // message stream 0, in little endian
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// `connect` to the application `live`, in one chunk.
pub fn connect_command() -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut body = [&[2], text("connect").as_slice()].concat();
    body.extend([0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 3]);
    body.extend(text("app"));
    body.push(2);
    body.extend(text("live"));
    body.extend([0, 0, 9]);
    chunk(3, 0, 20, body.len() as u32, &body)
}

/// A connection behind its handshake.
pub fn opened(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address);
    peer.send(&handshake_begin());
    let answer = peer.read(1 + 1536 + 1536);
    peer.send(answer.get(1..1537).expect("it was read"));
    peer
}
