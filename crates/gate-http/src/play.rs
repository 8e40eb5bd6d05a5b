//! Playing: from a GET to the end of the stream.
//!
//! Owns: the wait for a stream that nobody publishes yet, the answer's head, and what a viewer may still say. Does
//! not: write media; the connection belongs to the fan-out from the head on, and this task sleeps.

use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use weir_container::ts;
use weir_fanout::Viewer;
use weir_gate::{Address, arm};
use weir_hub::SessionRole;
use weir_media::StreamKey;
use weir_net::clock;

use crate::connection::{Connection, Read, read};
use crate::egress::{Container, Framing, LAST_CHUNK, Wire};
use crate::end::{End, Word};
use crate::response::Status;
use weir_http::request::{Method, Request, Upgrade};
use weir_http::websocket::{self, Frames, Opcode, Said};

/// How often a waiting viewer's stream is looked for.
///
/// The hub tells of media, not of publishers, and no log exists to be told of before the head of the answer, which
/// must say whether the stream exists. A look is one lock; a fifth of a second is less than a player's own start.
const WAIT_STEP: Duration = Duration::from_millis(200);

/// How long a stream's first frames are waited for before the file header, which says whether there are pictures and
/// sound. Players wait for what it promises and does not come, some for ever. The hub is certain after a second.
const MEDIA_WAIT: Duration = Duration::from_millis(1_500);

/// How often is looked meanwhile whether they have come. Nobody is told of frames before there is a place in the log, and
/// that comes with the header.
const MEDIA_STEP: Duration = Duration::from_millis(50);

/// How often a viewer's connection is looked after when nothing happens on it.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What viewers of a transport stream are told that has nothing to carry.
const NOT_CARRIED: &str = "the codecs of this stream are not carried in MPEG-TS; ask for .flv\n";

/// When a viewer's stream is looked at for codecs that can be carried, after it began before they were known. Publishers
/// send their sequence headers first of all.
const CODECS_AFTER: Duration = Duration::from_secs(2);

/// How a viewer is spoken to.
struct Opening {
    wire: Wire,
    /// `Sec-WebSocket-Accept`, for a WebSocket.
    accept: Option<String>,
}

impl Connection {
    /// Answers a GET or HEAD for a stream, to the stream's end.
    pub(crate) async fn play(
        &mut self,
        address: Address,
        container: Container,
        request: Box<Request>,
    ) -> Result<(), End> {
        let opening = opening(&request, container)?;
        let wire = opening.wire;
        if request.method == Method::Head {
            return self.head_of(&address.key, wire);
        }
        // what the request said is not needed while the stream lasts
        drop(request);
        if !self.wait_for(&address.key).await? {
            return self.reply(Status::NOT_FOUND, &[], "nobody publishes this stream\n");
        }
        if !self.is_carried(&address.key, container) {
            return self.reply(Status::NOT_ACCEPTABLE, &[], NOT_CARRIED);
        }
        let key = address.key.clone();
        let viewer = self.take_place(address, wire)?;
        if container == Container::Flv {
            // its header must say what the stream has; the place is kept meanwhile
            self.conn.hold();
            let waited = self.wait_for_media(&key).await;
            self.conn.release();
            waited?;
        }
        self.begin(&viewer, &key, &opening);
        drop(opening);
        let key = (container == Container::Ts).then_some(key);
        let attended = self.attend(&viewer, wire, key.as_ref()).await;
        drop(viewer);
        self.part(wire.framing, attended)
    }

    /// Whether the container carries any of the stream's codecs, as far as they are known.
    fn is_carried(&self, key: &StreamKey, container: Container) -> bool {
        if container == Container::Flv {
            return true;
        }
        let codecs = self.gate.hub.codecs(key);
        codecs.is_empty() || codecs.into_iter().any(ts::is_supported)
    }

    fn head_of(&self, key: &StreamKey, wire: Wire) -> Result<(), End> {
        if !self.gate.hub.is_live(key) {
            return self.reply(Status::NOT_FOUND, &[], "nobody publishes this stream\n");
        }
        let mut words = Vec::new();
        self.manner
            .write_stream(wire, clock::wallclock(), &mut words);
        self.conn.say(&mut words, clock::now());
        self.done("answered")
    }

    /// Waits until somebody publishes the stream, as long as the setting says; false when nobody did.
    async fn wait_for(&mut self, key: &StreamKey) -> Result<bool, End> {
        let deadline = clock::now() + self.gate.settings().play_wait;
        loop {
            if self.gate.hub.is_live(key) {
                return Ok(true);
            }
            let now = clock::now();
            if now >= deadline {
                return Ok(false);
            }
            self.pause(deadline.min(now + WAIT_STEP)).await?;
        }
    }

    /// Waits until it is certain what the stream has, if that does not take long.
    async fn wait_for_media(&mut self, key: &StreamKey) -> Result<(), End> {
        let deadline = clock::now() + MEDIA_WAIT;
        loop {
            let now = clock::now();
            if now >= deadline || self.gate.hub.media(now, key).is_some() {
                return Ok(());
            }
            self.pause(deadline.min(now + MEDIA_STEP)).await?;
        }
    }

    /// Sleeps until then, or until the viewer says something.
    async fn pause(&mut self, until: Instant) -> Result<(), End> {
        let shutdown = self.gate.core.shutdown().clone();
        self.read_ahead()?;
        tokio::select! {
            readable = self.conn.socket().readable() => Ok(readable?),
            () = tokio::time::sleep_until(until.into()) => Ok(()),
            reason = self.conn.session().kicked() => {
                Err(End::from(reason).with(Word::Status(Status::UNAVAILABLE)))
            }
            () = shutdown.draining() => {
                Err(End::drained().with(Word::Status(Status::UNAVAILABLE)))
            }
        }
    }

    /// Takes a place in the fan-out.
    fn take_place(&self, address: Address, wire: Wire) -> Result<Viewer, End> {
        let mut make = || wire.format();
        let Address { key, start } = address;
        let joined =
            self.gate
                .fanout
                .join(&self.conn, &key, wire.id(), &mut make, start, self.since);
        let session = self.opened.session();
        let viewer = joined.map_err(|error| {
            self.gate
                .metrics
                .refused(session.protocol, "viewers_per_stream");
            End::answered(Status::UNAVAILABLE, "refused", error)
        })?;
        tracing::debug!(session = %session.id, stream = %key, "playing");
        session.set_activity(SessionRole::Player, Some(key));
        Ok(viewer)
    }

    /// Sends what precedes the media, and lets it go.
    fn begin(&mut self, viewer: &Viewer, key: &StreamKey, opening: &Opening) {
        let (wire, now) = (opening.wire, clock::now());
        let media = self.gate.hub.media(now, key);
        let mut words = Vec::new();
        match &opening.accept {
            Some(accept) => self
                .manner
                .write_upgrade(accept, clock::wallclock(), &mut words),
            None => {
                if wire.framing == Framing::Raw {
                    self.manner.keep_alive = false;
                }
                self.manner
                    .write_stream(wire, clock::wallclock(), &mut words);
            }
        }
        // what is not certain is announced: a medium that comes unannounced is not played at all
        let (has_video, has_audio) = media.unwrap_or((true, true));
        wire.write_file_header(has_video, has_audio, &mut words);
        self.conn.say(&mut words, now);
        viewer.resume();
    }

    /// Sleeps while the fan-out serves the viewer; returns when the stream is over.
    ///
    /// `key` is given where it may turn out late that the container carries nothing of the stream.
    async fn attend(
        &mut self,
        viewer: &Viewer,
        wire: Wire,
        key: Option<&StreamKey>,
    ) -> Result<(), End> {
        let conn = Rc::clone(&self.conn);
        let shutdown = self.gate.core.shutdown().clone();
        let mut stopped = pin!(shutdown.stopped());
        let mut timer = pin!(tokio::time::sleep(LOOK_EVERY));
        let mut frames = (wire.framing == Framing::WebSocket).then(Frames::default);
        if let Some(frames) = &mut frames {
            let ahead = self.heads.take();
            self.hear(frames, &ahead)?;
        }
        let mut gone_since = None;
        let mut codecs_at = clock::now() + CODECS_AFTER;
        loop {
            let now = clock::now();
            let read = self.listen(frames.as_mut())?;
            let Some(deadline) = self.look_after(now, viewer, &mut gone_since)? else {
                return Ok(());
            };
            if let Some(key) = key
                && now >= codecs_at
            {
                if !self.is_carried(key, wire.container) {
                    return Err(End::told("unsupported", NOT_CARRIED.trim_end()));
                }
                codecs_at = now + LOOK_EVERY;
            }
            let deadline = key.map_or(deadline, |_| deadline.min(codecs_at));
            if read.more {
                tokio::task::yield_now().await;
                continue;
            }
            arm(timer.as_mut(), deadline);
            tokio::select! {
                readable = conn.socket().readable() => readable?,
                writable = conn.socket().writable(), if conn.is_blocked() => {
                    writable?;
                    conn.unblock();
                    viewer.resume();
                    conn.flush(clock::now());
                }
                () = conn.news() => {}
                () = timer.as_mut() => {}
                reason = conn.session().kicked() => return Err(reason.into()),
                () = stopped.as_mut() => return Err(End::drained()),
            }
        }
    }

    /// Reads what the viewer says, if anything.
    fn listen(&mut self, frames: Option<&mut Frames>) -> Result<Read, End> {
        let Some(frames) = frames else {
            return self.read_ahead();
        };
        let this = &*self;
        read(&this.gate, this.conn.socket(), |input| {
            this.opened.received(input.len());
            this.hear(frames, input)?;
            Ok(true)
        })
    }

    /// Answers a WebSocket's control frames.
    fn hear(&self, frames: &mut Frames, mut input: &[u8]) -> Result<(), End> {
        let mut words = Vec::new();
        let heard = loop {
            match frames.read(&mut input) {
                Ok(None) => break Ok(()),
                Ok(Some(Said::Ping(payload))) => {
                    websocket::write(Opcode::Pong, &payload, &mut words);
                }
                Ok(Some(Said::Close(code))) => {
                    let code = code.unwrap_or(websocket::CloseCode::Normal as u16);
                    break Err(End::told("closed_by_peer", "").with(Word::Close(code)));
                }
                Err(violation) => {
                    let word = Word::Close(violation.code() as u16);
                    break Err(End::told("protocol_error", violation).with(word));
                }
            }
        };
        self.conn.say(&mut words, clock::now());
        heard
    }

    /// Ends what has lasted too long; says when to look again, or `None` when the stream is over and all of it sent.
    fn look_after(
        &self,
        now: Instant,
        viewer: &Viewer,
        gone_since: &mut Option<Instant>,
    ) -> Result<Option<Instant>, End> {
        if let Some(closed) = self.conn.closed() {
            return Err(closed.into());
        }
        self.conn.count();
        let settings = self.gate.settings();
        if self.conn.blocked_for(now) >= settings.write_timeout {
            return Err(End::told("write_timeout", "the peer's socket took nothing"));
        }
        let Some(watching) = viewer.watching() else {
            return Ok(None);
        };
        if watching.ended {
            if !self.conn.is_blocked() {
                // the round that brought the end may not have come to this viewer yet
                viewer.resume();
            }
            let caught_up = viewer.watching().is_none_or(|watching| watching.caught_up);
            return Ok((!caught_up).then_some(now + LOOK_EVERY));
        }
        if watching.live {
            *gone_since = None;
            return Ok(Some(now + LOOK_EVERY));
        }
        // the hub tells of the end after the grace time, but not if it had forgotten the stream before we joined
        let patience = settings.play_wait.max(self.gate.hub.settings().grace);
        let due = *gone_since.get_or_insert(now) + patience;
        Ok((due > now).then_some(due.min(now + LOOK_EVERY)))
    }

    /// The last words of an answer that was a stream.
    fn part(&self, framing: Framing, attended: Result<(), End>) -> Result<(), End> {
        let mut words = Vec::new();
        let is_orderly = attended.as_ref().err().is_none_or(|end| end.gently);
        match framing {
            Framing::Chunked if is_orderly => words.extend_from_slice(LAST_CHUNK),
            Framing::WebSocket if is_orderly => {
                let normal = websocket::CloseCode::Normal as u16;
                let code = attended.as_ref().err().map_or(normal, End::close_code);
                websocket::write_close(code, &mut words);
            }
            _ => {}
        }
        self.conn.say(&mut words, clock::now());
        attended?;
        if framing == Framing::Chunked {
            self.done("stream_ended")
        } else {
            Err(End::told("stream_ended", ""))
        }
    }
}

/// How the client wants to be spoken to.
fn opening(request: &Request, container: Container) -> Result<Opening, End> {
    let Some(Upgrade { key, version }) = &request.upgrade else {
        let framing = if request.is_old {
            Framing::Raw
        } else {
            Framing::Chunked
        };
        return Ok(Opening {
            wire: Wire { container, framing },
            accept: None,
        });
    };
    if version != websocket::VERSION {
        let text = "this server speaks version 13 of the WebSocket protocol";
        return Err(End::answered(Status::UPGRADE, "unsupported", text));
    }
    let Some(accept) = websocket::accept(key) else {
        let text = "Sec-WebSocket-Key is not 16 bytes in base64";
        return Err(End::answered(Status::BAD_REQUEST, "protocol_error", text));
    };
    Ok(Opening {
        wire: Wire {
            container,
            framing: Framing::WebSocket,
        },
        accept: Some(accept),
    })
}
