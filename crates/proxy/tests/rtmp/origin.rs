//! Origins that do what a test wants.
//!
//! Owns: a listener, a thread for each connection, and a channel on which a test hears what happened. Does not: live
//! longer than its test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use weir_net::clock;
use weir_rtmp::command::StatusCode;
use weir_rtmp::{Event, MediaKind, ServerConfig, ServerSession};

/// How an origin behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Takes everything; sends players what [`FRAMES`] says.
    Well,
    /// Refuses with this status.
    Refuse(StatusCode),
    /// Refuses `connect` with this status.
    RefuseConnect(StatusCode),
    /// Accepts connections and says nothing.
    Silent,
    /// Shakes hands and says nothing more.
    SilentAfterHandshake,
    /// Takes `connect` and closes when it hears what is wanted.
    Close,
    /// Closes before the handshake.
    CloseAtOnce,
    /// Answers with what is no RTMP.
    Garbage,
}

/// What a player gets: times and lengths of video.
pub(crate) const FRAMES: [(u32, usize); 5] = [
    (0, 10),
    (40, 100_000),
    (80, 1),
    (0xff_ffff, 300),
    (0x0100_0000, 70_000),
];

pub(crate) fn frame(index: usize, length: usize) -> Vec<u8> {
    // a key frame of H.264, then anything
    let mut body = vec![0x17, 1, 0, 0, 0];
    body.resize(5 + length, index as u8);
    body
}

/// What a test hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Connected,
    Event(Event),
    /// Bytes that came before the handshake.
    Prefix(Vec<u8>),
    Closed,
}

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    heard: Receiver<Heard>,
}

/// How long a test waits for an origin to hear something.
const PATIENCE: Duration = Duration::from_secs(30);

impl Origin {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_behind(manner, 0)
    }

    /// An origin that takes `prefix` bytes before the handshake.
    pub(crate) fn start_behind(manner: Manner, prefix: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = sync_channel(1024);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (Ok(socket), sender) = (socket, sender.clone()) else {
                    return;
                };
                std::thread::spawn(move || {
                    serve(socket, manner, prefix, &sender);
                    let _ = sender.send(Heard::Closed);
                });
            }
        });
        Self { address, heard }
    }

    /// The next thing heard that is no probe: connections that close without a word are left out.
    pub(crate) fn next(&self) -> Heard {
        self.heard
            .recv_timeout(PATIENCE)
            .expect("the origin hears something")
    }

    /// Waits for an event for which `wanted` gives something.
    pub(crate) fn wait<T>(&self, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next()) {
                return found;
            }
        }
    }

    /// What was heard so far.
    pub(crate) fn so_far(&self) -> Vec<Heard> {
        self.heard.try_iter().collect()
    }
}

/// A stream name from a publish or play.
pub(crate) fn asked(heard: &Heard) -> Option<String> {
    match heard {
        Heard::Event(Event::Publish { name, .. } | Event::Play { name, .. }) => Some(name.clone()),
        _ => None,
    }
}

fn serve(mut socket: TcpStream, manner: Manner, prefix: usize, heard: &SyncSender<Heard>) {
    let _ = heard.send(Heard::Connected);
    let mut taken = vec![0; prefix];
    if prefix > 0 {
        if socket.read_exact(&mut taken).is_err() {
            return;
        }
        let _ = heard.send(Heard::Prefix(taken));
    }
    match manner {
        Manner::CloseAtOnce => return,
        Manner::Silent => {
            let _ = socket.read_to_end(&mut Vec::new());
            return;
        }
        Manner::Garbage => {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = socket.read_to_end(&mut Vec::new());
            return;
        }
        _ => {}
    }
    let mut session = ServerSession::new(ServerConfig::default(), clock::now(), 2);
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(count @ 1..) = socket.read(&mut buffer) else {
            return;
        };
        let mut input = &buffer[..count];
        while let Ok(Some(event)) = session.handle_input(clock::now(), &mut input) {
            if !answer(&mut session, &event, manner, &mut socket) {
                let _ = heard.send(Heard::Event(event));
                return;
            }
            let _ = heard.send(Heard::Event(event));
        }
        if !flush(&mut session, &mut socket) {
            return;
        }
    }
}

fn flush(session: &mut ServerSession, socket: &mut TcpStream) -> bool {
    let mut out = Vec::new();
    session.take_output(&mut out);
    socket.write_all(&out).is_ok()
}

/// Acts on a request; false closes the connection.
fn answer(
    session: &mut ServerSession,
    event: &Event,
    manner: Manner,
    socket: &mut TcpStream,
) -> bool {
    match (event, manner) {
        (_, Manner::SilentAfterHandshake) => {}
        (Event::Connect(_), Manner::RefuseConnect(code)) => {
            session.reject_connect(code, "not here").unwrap();
        }
        (Event::Connect(_), _) => session.accept_connect().unwrap(),
        (Event::Publish { .. } | Event::Play { .. }, Manner::Close) => return false,
        (Event::Publish { msid, .. }, Manner::Refuse(code)) => {
            session.reject_publish(*msid, code, "no").unwrap();
        }
        (Event::Play { msid, .. }, Manner::Refuse(code)) => {
            session.reject_play(*msid, code, "no").unwrap();
        }
        (Event::Publish { msid, .. }, _) => session.accept_publish(*msid).unwrap(),
        (Event::Play { msid, .. }, _) => {
            session.accept_play(*msid).unwrap();
            if !flush(session, socket) {
                return false;
            }
            let mut out = Vec::new();
            for (index, (time, length)) in FRAMES.into_iter().enumerate() {
                let body = frame(index, length);
                let kind = MediaKind::Video;
                weir_rtmp::chunk::write_message(
                    &mut out,
                    kind.csid(),
                    time,
                    kind.type_id(),
                    *msid,
                    &body,
                    session.chunk_size(),
                );
            }
            return socket.write_all(&out).is_ok();
        }
        _ => {}
    }
    true
}
