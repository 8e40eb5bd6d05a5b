//! A dialled connection: socket, client session and the entry in the table of sessions.
//!
//! Owns: opening, reading, saying, the deadlines, waiting and the goodbye. Does not: know what is done with the media.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use weir_fanout::Conn;
use weir_gate::dial::End;
use weir_gate::{Gate, Opened, close_gently};
use weir_net::admission::Admitted;
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_net::dial::connect;
use weir_net::socket::Socket;
use weir_rtmp::{ClientConfig, ClientEvent, ClientMode, ClientSession, RtmpUrl};

use super::{Cause, ProtocolError};

/// Reads of one turn, so that a full socket does not hold up the core.
const READS_A_TURN: usize = 8;

/// How often a connection is looked after when nothing happens on it.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The codecs offered by their FourCC (enhanced RTMP): all that Weir carries, which is all there are.
const FOURCCS: [&str; 13] = [
    "avc1", "hvc1", "vvc1", "vp08", "vp09", "av01", "mp4a", "Opus", "fLaC", ".mp3", "ac-3", "ec-3",
    "*",
];

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// There may be something to read or to look after.
    Look,
    /// A full socket has room again.
    Room,
    /// The caller wants the connection to end.
    Stop,
}

/// An event and its place in the connection, in bytes.
pub(super) type Arrived = (ClientEvent, u64);

pub(super) struct Link {
    gate: Gate,
    pub(super) conn: Rc<Conn>,
    pub(super) session: Box<ClientSession>,
    pub(super) opened: Opened,
    /// How long the attempt may take, and when that time is over; `None` once the stream has started.
    limit: Duration,
    opening: Option<Instant>,
    words: Vec<u8>,
}

impl Link {
    /// Connects to the host of `url`; `limit` is for the whole opening, up to the start of the stream.
    pub(super) async fn open(
        gate: &Gate,
        url: &RtmpUrl,
        mode: ClientMode,
        limit: Duration,
    ) -> Result<Self, Cause> {
        let opening = clock::now() + limit;
        let (stream, peer) = connect(&url.host, url.port, limit).await?;
        let permit = match gate.admission.admit(peer.ip()) {
            Admitted::Serve(permit) => permit,
            Admitted::Refuse(refusal, _) | Admitted::Drop(refusal) => return Err(refusal.into()),
        };
        let socket = Socket::new(stream, peer).map_err(Cause::Lost)?;
        let opened = Opened::new(gate, crate::PROTOCOL, peer, permit);
        let config = ClientConfig {
            fourcc_list: FOURCCS.map(str::to_owned).to_vec(),
            max_message_bytes: gate.settings().max_message_bytes,
            handshake_timeout: limit,
            connect_timeout: limit,
            ..ClientConfig::new(url, mode)
        };
        // the handshake's random part needs to differ, not to be secret
        let seed = opened.session().id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut link = Self {
            gate: gate.clone(),
            conn: Rc::new(Conn::new(socket, opened.session().clone())),
            session: Box::new(ClientSession::new(config, clock::now(), seed)),
            opened,
            limit,
            opening: Some(opening),
            words: Vec::new(),
        };
        link.say(clock::now());
        Ok(link)
    }

    /// Notes that the stream has started.
    pub(super) fn started(&mut self) {
        self.opening = None;
    }

    /// Reads what is there into `events`; true when the socket has more.
    pub(super) fn read(&mut self, now: Instant, events: &mut Vec<Arrived>) -> Result<bool, Cause> {
        let scratch = self.gate.scratch();
        let mut scratch = scratch.borrow_mut();
        for _ in 0..READS_A_TURN {
            match self.conn.socket().read(&mut scratch) {
                // what came before the end is looked at first; the end is still there next time
                Ok(0) if !events.is_empty() => return Ok(true),
                Ok(0) => return Err(ProtocolError::Closed.into()),
                Ok(count) => {
                    self.opened.received(count);
                    let mut input = scratch.get(..count).unwrap_or_default();
                    while let Some(event) = self
                        .session
                        .handle_input(now, &mut input)
                        .map_err(ProtocolError::from)?
                    {
                        events.push((event, self.session.bytes_in()));
                    }
                    if count < scratch.len() {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Lost(error)),
            }
        }
        Ok(true)
    }

    /// Sends what the session has to say.
    pub(super) fn say(&mut self, now: Instant) {
        self.session.take_output(&mut self.words);
        self.conn.say(&mut self.words, now);
    }

    /// Fails when something has lasted too long; says when to look again.
    pub(super) fn look_after(&mut self, now: Instant) -> Result<Instant, Cause> {
        if let Some(closed) = self.conn.closed() {
            return Err(closed.into());
        }
        if self.conn.blocked_for(now) >= self.gate.settings().write_timeout {
            return Err(Cause::Lagged);
        }
        let mut next = now + LOOK_EVERY;
        if let Some(due) = self.opening {
            if due <= now {
                return Err(ProtocolError::Slow(self.limit).into());
            }
            next = next.min(due);
        }
        if let Some(due) = self.session.deadline() {
            self.session
                .handle_timeout(now)
                .map_err(ProtocolError::from)?;
            next = next.min(due);
        }
        Ok(next)
    }

    /// Waits for the socket, for news of the connection, for `deadline` or for `stop` to drain.
    pub(super) async fn wait(&self, deadline: Instant, stop: &Shutdown) -> Result<Woken, Cause> {
        tokio::select! {
            readable = self.conn.socket().readable() => readable.map_err(Cause::Lost)?,
            writable = self.conn.socket().writable(), if self.conn.is_blocked() => {
                writable.map_err(Cause::Lost)?;
                self.conn.unblock();
                self.conn.flush(clock::now());
                return Ok(Woken::Room);
            }
            () = self.conn.news() => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
            reason = self.conn.session().kicked() => return Err(Cause::Kicked(reason)),
            () = stop.draining() => return Ok(Woken::Stop),
        }
        Ok(Woken::Look)
    }

    /// Says goodbye where somebody is there to hear it, and closes.
    pub(super) async fn part(mut self, result: &Result<End, Cause>) {
        let reason = match result {
            Ok(End::Source { .. }) => "ended",
            Ok(End::Stopped) => "stopped",
            Err(cause) => cause.label(),
        };
        match result {
            Ok(End::Source { said }) => self.opened.end(reason, said),
            Ok(End::Stopped) => self.opened.end(reason, ""),
            Err(cause) => self.opened.end(reason, cause),
        }
        // nobody listens, or has said that it is over
        if let Err(
            Cause::Lost(_)
            | Cause::Lagged
            | Cause::Protocol(
                ProtocolError::Closed | ProtocolError::Session(_) | ProtocolError::Rejected { .. },
            ),
        ) = result
        {
            return;
        }
        self.session.close();
        self.say(clock::now());
        close_gently(&self.conn).await;
    }
}
