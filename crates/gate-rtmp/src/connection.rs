//! One accepted RTMP connection.
//!
//! Owns: the loop that reads, lets the session core judge, answers its requests from the hub, and waits. Does not:
//! write media; a player's connection belongs to the fan-out from its `play` on, and this task sleeps.

use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use weir_fanout::{Conn, Viewer};
use weir_gate::{Address, Gate, Opened, ReadPace, Tick, arm, close_gently};
use weir_hub::{SessionRole, Start, Unpublished};
use weir_media::StreamKey;
use weir_net::admission::Refusal;
use weir_net::clock;
use weir_net::socket::Socket;
use weir_rtmp::command::StatusCode;
use weir_rtmp::handshake::BLOCK_BYTES;
use weir_rtmp::{Event, ServerConfig, ServerSession};

use crate::egress::RtmpFormat;
use crate::end::End;
use crate::listen::Settings;
use crate::publish::Publishing;

/// Reads of one turn, so that a publisher with a full socket does not hold up the core.
const READS_A_TURN: usize = 8;

/// How often a player's connection is looked after when nothing happens on it.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a client says before its first command: C0, C1 and C2.
const HANDSHAKE_BYTES: u64 = 1 + 2 * BLOCK_BYTES as u64;

pub(crate) struct Connection {
    gate: Gate,
    opened: Opened,
    conn: Rc<Conn>,
    session: Box<ServerSession>,
    refusal: Option<Refusal>,
    chunk_size: u32,
    /// Host and application of the `connect`.
    host: String,
    app: String,
    publishing: Publishing,
    playing: Vec<Playing>,
    words: Vec<u8>,
    pace: ReadPace,
}

/// A playing message stream.
struct Playing {
    key: StreamKey,
    format: RtmpFormat,
    viewer: Viewer,
}

/// What a turn of reading came to.
struct Read {
    bytes: usize,
    /// The socket has more.
    more: bool,
}

impl Connection {
    pub(crate) fn new(
        gate: Gate,
        opened: Opened,
        socket: Socket,
        refusal: Option<Refusal>,
        settings: Settings,
    ) -> Self {
        let now = clock::now();
        let shared = gate.settings();
        let config = ServerConfig {
            chunk_size: settings.chunk_size,
            max_message_bytes: shared.max_message_bytes,
            handshake_timeout: shared.handshake,
            connect_timeout: shared.handshake,
            ..ServerConfig::default()
        };
        // the handshake's random part needs to differ, not to be secret
        let seed = opened.session().id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            conn: Rc::new(Conn::new(socket, opened.session().clone())),
            session: Box::new(ServerSession::new(config, now, seed)),
            gate,
            opened,
            refusal,
            chunk_size: settings.chunk_size,
            host: String::new(),
            app: String::new(),
            publishing: Publishing::default(),
            playing: Vec::new(),
            words: Vec::new(),
            pace: ReadPace::new(now),
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        let end = match self.drive().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let now = clock::now();
        self.publishing.end_all(now, Unpublished::Lost);
        self.playing.clear();
        self.opened.end(end.reason, &end.detail);
        let heard = self.opened.session().bytes_in.load(Ordering::Relaxed);
        if !end.gently && heard <= HANDSHAKE_BYTES {
            // a proxy that asks whether somebody answers leaves in the middle of the handshake
            self.opened.keep_quiet();
        }
        self.say(now);
        if end.gently && self.conn.socket().watch().is_ok() {
            close_gently(&self.conn).await;
        }
    }

    async fn drive(&mut self) -> Result<std::convert::Infallible, End> {
        let shutdown = self.gate.core.shutdown().clone();
        let mut stopped = pin!(shutdown.stopped());
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let now = clock::now();
            let read = self.read(now)?;
            self.say(now);
            let deadline = self.look_after(now)?;
            if read.more {
                tokio::task::yield_now().await;
                continue;
            }
            arm(timer.as_mut(), deadline);
            let tick = self.tick(now, read.bytes)?;
            let conn = Rc::clone(&self.conn);
            tokio::select! {
                readable = conn.socket().readable(), if tick == Tick::Watch => readable?,
                () = tick.elapsed() => {}
                writable = conn.socket().writable(), if conn.is_blocked() => {
                    writable?;
                    self.resume();
                }
                () = conn.news() => {}
                () = timer.as_mut() => {}
                reason = conn.session().kicked() => return Err(self.kicked(reason)),
                () = stopped.as_mut() => return Err(self.stopped()),
            }
        }
    }

    /// Reads what is there and lets the session core judge it.
    fn read(&mut self, now: Instant) -> Result<Read, End> {
        let scratch = self.gate.scratch();
        let mut scratch = scratch.borrow_mut();
        let mut bytes = 0;
        for _ in 0..READS_A_TURN {
            match self.conn.socket().read(&mut scratch) {
                Ok(0) => return Err(End::closed()),
                Ok(count) => {
                    bytes += count;
                    self.opened.received(count);
                    self.take(now, scratch.get(..count).unwrap_or_default())?;
                    if count < scratch.len() {
                        return Ok(Read { bytes, more: false });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Read { bytes, more: false });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Read { bytes, more: true })
    }

    fn take(&mut self, now: Instant, mut input: &[u8]) -> Result<(), End> {
        while let Some(event) = self.session.handle_input(now, &mut input)? {
            self.handle(now, event)?;
        }
        Ok(())
    }

    fn handle(&mut self, now: Instant, event: Event) -> Result<(), End> {
        match event {
            Event::Media {
                msid,
                kind,
                timestamp,
                body,
            } => {
                let offset = self.session.bytes_in();
                Ok(self
                    .publishing
                    .push(now, msid, kind, timestamp, body, offset)?)
            }
            Event::Connect(request) => self.connect(&request),
            Event::Publish { msid, name, .. } => self.publish(now, msid, &name),
            Event::Unpublish { msid, clean } => {
                let how = if clean {
                    Unpublished::Finished
                } else {
                    Unpublished::Lost
                };
                self.publishing.end(now, msid, how);
                Ok(())
            }
            Event::Play { msid, name, .. } => self.play(now, msid, &name),
            Event::StopPlay { msid } => {
                self.playing.retain(|playing| playing.format.msid != msid);
                Ok(())
            }
            Event::Pause { msid, paused } => {
                if let Some(playing) = self.playing(msid) {
                    playing.viewer.set_paused(paused);
                }
                Ok(())
            }
            Event::ReceiveAudio { msid, enabled } => {
                self.select(msid, |format| format.audio = enabled)
            }
            Event::ReceiveVideo { msid, enabled } => {
                self.select(msid, |format| format.video = enabled)
            }
            // buffering is the player's business: the log decides what it gets
            Event::BufferLength { .. } => Ok(()),
        }
    }

    fn connect(&mut self, request: &weir_rtmp::server::ConnectRequest) -> Result<(), End> {
        self.opened.session().set_agent(&request.flash_ver);
        let via = request.property(weir_rtmp::transit::SESSION_PROPERTY);
        if let Some(via) = via.and_then(|via| via.as_str()) {
            self.opened.session().set_via(via);
        }
        if let Some(refusal) = self.refusal {
            self.session
                .reject_connect(StatusCode::ConnectRejected, &refusal.to_string())?;
            return Err(End::told("refused", refusal));
        }
        let app = request.application();
        if app.trim_matches('/').is_empty() {
            let text = "the address has no application: rtmp://host/app/stream";
            self.session
                .reject_connect(StatusCode::ConnectInvalidApp, text)?;
            return Err(End::told("refused", text));
        }
        let host = request.tc_url.split("://").nth(1).unwrap_or_default();
        self.host = host.split('/').next().unwrap_or_default().to_owned();
        app.clone_into(&mut self.app);
        Ok(self.session.accept_connect()?)
    }

    fn publish(&mut self, now: Instant, msid: u32, name: &str) -> Result<(), End> {
        let session = self.opened.session().clone();
        let vhosts = &self.gate.settings().vhosts;
        let published = Address::new(&self.host, &self.app, name, vhosts)
            .map_err(|error| error.to_string())
            .and_then(|address| {
                let published = self.gate.hub.publish(now, &address.key, &session);
                published.map_err(|error| error.to_string())
            });
        match published {
            Ok(publisher) => {
                let key = publisher.key().clone();
                tracing::info!(session = %session.id, stream = %key, peer = %session.peer, "publishing");
                session.set_activity(SessionRole::Publisher, Some(key));
                self.publishing
                    .begin(msid, self.gate.ingest(publisher, session.id, now));
                Ok(self.session.accept_publish(msid)?)
            }
            Err(text) => {
                self.gate.metrics.refused(crate::PROTOCOL, "publish");
                self.session
                    .reject_publish(msid, StatusCode::PublishBadName, &text)?;
                Err(End::told("refused", text))
            }
        }
    }

    fn play(&mut self, now: Instant, msid: u32, name: &str) -> Result<(), End> {
        let settings = self.gate.settings();
        let address = match Address::new(&self.host, &self.app, name, &settings.vhosts) {
            Ok(address) => address,
            Err(error) => {
                return self.refuse_play(msid, StatusCode::PlayFailed, &error.to_string());
            }
        };
        if settings.play_wait.is_zero() && !self.gate.hub.is_live(&address.key) {
            let text = "nobody publishes this stream";
            return self.refuse_play(msid, StatusCode::PlayStreamNotFound, text);
        }
        let format = RtmpFormat::new(msid, self.chunk_size);
        let since = self.opened.session().since;
        match self.join(&address.key, format, address.start, since) {
            Ok(viewer) => {
                tracing::debug!(session = %self.opened.session().id, stream = %address.key, "playing");
                self.session.accept_play(msid)?;
                self.say(now);
                // whoever sees its media in the API must see that it is a player
                let session = self.opened.session();
                session.set_activity(SessionRole::Player, Some(address.key.clone()));
                viewer.resume();
                self.playing.push(Playing {
                    key: address.key,
                    format,
                    viewer,
                });
                Ok(())
            }
            Err(error) => {
                self.gate
                    .metrics
                    .refused(crate::PROTOCOL, "viewers_per_stream");
                self.refuse_play(msid, StatusCode::PlayFailed, &error.to_string())
            }
        }
    }

    fn join(
        &self,
        key: &StreamKey,
        format: RtmpFormat,
        start: Option<Start>,
        since: Instant,
    ) -> Result<Viewer, weir_hub::SubscribeError> {
        let mut make = || Box::new(format) as Box<dyn weir_hub::Format>;
        self.gate
            .fanout
            .join(&self.conn, key, format.id(), &mut make, start, since)
    }

    fn refuse_play(&mut self, msid: u32, code: StatusCode, text: &str) -> Result<(), End> {
        self.session.reject_play(msid, code, text)?;
        Err(End::told("refused", text))
    }

    fn playing(&mut self, msid: u32) -> Option<&mut Playing> {
        self.playing
            .iter_mut()
            .find(|playing| playing.format.msid == msid)
    }

    /// Moves a player to the log of the media it wants now.
    fn select(&mut self, msid: u32, change: impl FnOnce(&mut RtmpFormat)) -> Result<(), End> {
        let Some(index) = self
            .playing
            .iter()
            .position(|playing| playing.format.msid == msid)
        else {
            return Ok(());
        };
        let Some(playing) = self.playing.get(index) else {
            return Ok(());
        };
        let mut format = playing.format;
        change(&mut format);
        if format == playing.format {
            return Ok(());
        }
        let old = self.playing.swap_remove(index);
        let joined = self.join(&old.key, format, Some(Start::NextKey), clock::now());
        let viewer = joined.map_err(|error| End::told("refused", error))?;
        self.playing.push(Playing {
            key: old.key,
            format,
            viewer,
        });
        Ok(())
    }

    /// Sends what the session core has to say.
    fn say(&mut self, now: Instant) {
        self.session.take_output(&mut self.words);
        self.conn.say(&mut self.words, now);
        // a session that is at rest keeps no buffer
        self.words = Vec::new();
    }

    fn resume(&self) {
        self.conn.unblock();
        for playing in &self.playing {
            playing.viewer.resume();
        }
        self.conn.flush(clock::now());
    }

    /// Ends what has lasted too long; says when to look again.
    fn look_after(&mut self, now: Instant) -> Result<Instant, End> {
        if let Some(closed) = self.conn.closed() {
            return Err(closed.into());
        }
        self.conn.count();
        let settings = self.gate.settings();
        if self.conn.blocked_for(now) >= settings.write_timeout {
            return Err(End::told("write_timeout", "the peer's socket took nothing"));
        }
        let mut deadline = now + LOOK_EVERY;
        if let Some(due) = self.session.deadline() {
            if due <= now {
                self.session.handle_timeout(now)?;
            }
            deadline = deadline.min(due);
        }
        if let Some(last) = self.publishing.last() {
            let due = last + settings.publish_idle;
            if due <= now {
                return Err(End::told("publish_idle", "the publisher sent nothing"));
            }
            deadline = deadline.min(due);
        }
        if let Some(due) = self.waiting(now, settings.play_wait)? {
            deadline = deadline.min(due);
        }
        Ok(deadline)
    }

    /// Ends a player that has waited long enough for its stream.
    fn waiting(&mut self, now: Instant, play_wait: Duration) -> Result<Option<Instant>, End> {
        // a publisher that was lost may come back within its grace time, however short the wait for a first one is
        let wait = play_wait.max(self.gate.hub.settings().grace);
        let mut next = None;
        for playing in &self.playing {
            let Some(watching) = playing.viewer.watching() else {
                continue;
            };
            if watching.live {
                continue;
            }
            let due = watching.last_sent + wait;
            if due <= now {
                self.session
                    .close_play(playing.format.msid, StatusCode::PlayStreamNotFound)?;
                return Err(End::told(
                    "no_publisher",
                    "nobody published the stream in time",
                ));
            }
            next = Some(next.map_or(due, |next: Instant| next.min(due)));
        }
        Ok(next)
    }

    /// How the socket is waited for: a publisher's may be polled.
    fn tick(&mut self, now: Instant, drained: usize) -> Result<Tick, End> {
        // only a watched socket says when it has room again
        let answers_wait = self.conn.is_blocked();
        let tick = if self.publishing.is_empty() || !self.playing.is_empty() || answers_wait {
            Tick::Watch
        } else {
            let watched = self.publishing.has_viewers();
            self.gate.read_tick(&mut self.pace, now, drained, watched)
        };
        tick.apply(self.conn.socket())?;
        Ok(tick)
    }

    fn kicked(&mut self, reason: weir_hub::EndReason) -> End {
        self.part(StatusCode::ConnectClosed);
        reason.into()
    }

    fn stopped(&mut self) -> End {
        self.part(StatusCode::ConnectClosed);
        End::told("drained", "the server stops")
    }

    /// Says goodbye on each message stream; a failure to do so changes nothing about the end.
    fn part(&mut self, code: StatusCode) {
        for playing in &self.playing {
            let _ = self.session.close_play(playing.format.msid, code);
        }
    }
}
