//! From FLV-shaped messages into the hub.
//!
//! Owns: the unwrapping of a publisher's 32-bit times, the classification of its messages, and the description of its
//! tracks for the API. Does not: read sockets or chunks.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use weir_container::flv::{self, TagKind};
use weir_hub::{Publisher, TakenOver, Unpublished};
use weir_media::{Codec, Frame, Media, Role, SessionId, TrackId, TrackInfo, Unwrapper};

/// Most tracks that are described; a publisher that invents more is carried all the same.
const MOST_TRACKS: usize = 64;

/// Frames of a track that are looked at for one that describes it; a decoder would have given up by then.
const MOST_LOOKS: u8 = 50;

/// Media with a broken header is dropped, and logged for this many messages of a session.
const LOGGED_FAULTS: u64 = 5;

/// Why a message did not go into the hub.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Another session has taken over the stream.
    #[error(transparent)]
    TakenOver(#[from] TakenOver),
}

/// One of the publishers that a core counts.
#[derive(Debug)]
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A publisher and what is known of its messages so far.
#[derive(Debug)]
pub struct Ingest {
    publisher: Publisher,
    _counted: Counted,
    session: SessionId,
    unwrapper: Unwrapper,
    looked: Vec<(TrackId, u8)>,
    faults: u64,
    last: Instant,
}

impl Ingest {
    pub(crate) fn new(
        publisher: Publisher,
        session: SessionId,
        count: Rc<Cell<usize>>,
        now: Instant,
    ) -> Self {
        count.set(count.get() + 1);
        Self {
            publisher,
            _counted: Counted(count),
            session,
            unwrapper: Unwrapper::default(),
            looked: Vec::new(),
            faults: 0,
            last: now,
        }
    }

    /// The stream.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// When the last message came.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// Messages dropped because their header was broken.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Gives one message to the hub. `offset` is its place in the connection, for the log.
    ///
    /// A message whose header is broken is dropped and counted; the session goes on. Fails when another session has
    /// taken over.
    pub fn push(
        &mut self,
        now: Instant,
        kind: TagKind,
        timestamp: u32,
        body: Bytes,
        offset: u64,
    ) -> Result<(), IngestError> {
        self.last = now;
        let body = match kind {
            TagKind::Script => flv::strip_set_data_frame(body),
            TagKind::Audio | TagKind::Video => body,
        };
        // script data may be dated 0 in mid-stream and must not drag the clock along
        let dts = match kind {
            TagKind::Script => self.unwrapper.clone().unwrap(timestamp),
            TagKind::Audio | TagKind::Video => self.unwrapper.unwrap(timestamp),
        };
        let frame = match flv::frame(kind, dts, body) {
            Ok(frame) => frame,
            Err(error) => {
                self.fault(&error, offset);
                return Ok(());
            }
        };
        self.hand_over(now, frame)
    }

    /// Gives one frame to the hub whose time needs no unwrapping: it comes from a container that is not FLV's. Fails when
    /// another session has taken over.
    pub fn push_frame(&mut self, now: Instant, frame: Frame) -> Result<(), IngestError> {
        self.last = now;
        self.hand_over(now, frame)
    }

    fn hand_over(&mut self, now: Instant, frame: Frame) -> Result<(), IngestError> {
        let described = self.describe(&frame);
        let track = frame.track;
        self.publisher.push(now, frame)?;
        if let Some(info) = described {
            self.publisher.describe(track, info);
        }
        Ok(())
    }

    fn fault(&mut self, error: &flv::Error, offset: u64) {
        self.faults += 1;
        if self.faults <= LOGGED_FAULTS {
            tracing::warn!(
                session = %self.session,
                stream = %self.publisher.key(),
                offset,
                %error,
                "dropped a message with a broken header"
            );
        }
    }

    /// What a sequence header says, or an early frame where the codec has none.
    fn describe(&mut self, frame: &Frame) -> Option<TrackInfo> {
        if frame.track.media == Media::Data {
            return None;
        }
        let described = match frame.role {
            Role::Config => weir_codec::describe(frame.codec, &frame.payload()),
            Role::Key | Role::Delta if self.looks(frame.track) < MOST_LOOKS => {
                weir_codec::describe_frame(frame.codec, &frame.payload())
            }
            _ => return None,
        };
        let looks = self.looks(frame.track);
        self.set_looks(
            frame.track,
            if described.is_ok() {
                MOST_LOOKS
            } else {
                looks + 1
            },
        );
        match described {
            Ok(info) => Some(info),
            Err(weir_codec::Error::NoDescription { .. }) if looks == 0 => Some(bare(frame.codec)),
            Err(error) if frame.role == Role::Config => {
                tracing::warn!(
                    session = %self.session,
                    stream = %self.publisher.key(),
                    codec = %frame.codec,
                    %error,
                    "sequence header not understood, passing it on"
                );
                Some(bare(frame.codec))
            }
            Err(_) => None,
        }
    }

    fn looks(&self, track: TrackId) -> u8 {
        match self.looked.iter().find(|(known, _)| *known == track) {
            Some((_, looks)) => *looks,
            None if self.looked.len() < MOST_TRACKS => 0,
            None => MOST_LOOKS,
        }
    }

    fn set_looks(&mut self, track: TrackId, looks: u8) {
        let looks = looks.min(MOST_LOOKS);
        if let Some(known) = self.looked.iter_mut().find(|(known, _)| *known == track) {
            known.1 = looks;
        } else if self.looked.len() < MOST_TRACKS {
            self.looked.push((track, looks));
        }
    }

    /// Ends publishing.
    pub fn finish(self, now: Instant, how: Unpublished) {
        self.publisher.finish(now, how);
    }
}

fn bare(codec: Codec) -> TrackInfo {
    TrackInfo {
        codec,
        video: None,
        audio: None,
    }
}
