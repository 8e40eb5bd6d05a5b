//! The derived log: a stream's bytes in one wire format, made once for all its viewers.
//!
//! Owns: the pieces, the entry points, and when old pieces go. Does not: know the format ([`Format`] does), or any
//! viewer; it knows its readers, one a core, and the oldest piece each still needs.
//!
//! Invariants: pieces begin and end at message boundaries; an entry point begins a piece; pieces have consecutive
//! sequence numbers from `first`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_media::{Frame, Role, Timestamp, TrackId};

use crate::reader::Feed;
use crate::settings::Settings;

/// A piece is sealed when it has this many bytes, even if its readers have not come yet.
///
/// It bounds what a viewer whose socket is full keeps alive (the piece it is in the middle of). Smaller pieces cost
/// more system calls when a viewer catches up; a socket buffer takes about this much at once.
const PIECE_BYTES: usize = 64 << 10;

/// Names a wire format and its parameter (for RTMP, the message stream id), so that equal ones share a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FormatId {
    /// The format, such as `rtmp` or `flv`; a label in metrics.
    pub name: &'static str,
    /// What else the bytes depend on.
    pub parameter: u64,
}

/// A wire format: turns frames into the bytes that all its viewers get.
pub trait Format: Send {
    /// Appends what a viewer needs before the first frame, dated `at`: metadata and sequence headers.
    fn prelude(&mut self, setup: &Setup, at: Timestamp, out: &mut Vec<u8>);

    /// Appends one frame.
    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>);

    /// Appends what viewers are told when the publisher has left.
    fn unpublished(&mut self, _out: &mut Vec<u8>) {}

    /// Appends what viewers are told when a publisher has come back.
    fn published(&mut self, _out: &mut Vec<u8>) {}

    /// Bytes to leave free at the front of each piece for [`Format::seal`].
    fn head_room(&self) -> usize {
        0
    }

    /// Finishes a piece, whose first [`Format::head_room`] bytes are free: adds framing such as a chunk header.
    fn seal(&self, piece: Vec<u8>) -> Bytes {
        Bytes::from(piece)
    }
}

/// The sequence headers and metadata in force.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// `onMetaData`, if the publisher sent it.
    pub metadata: Option<Frame>,
    /// One sequence header for each track that has one, video before audio, in order of track number.
    pub configs: Vec<Frame>,
}

impl Setup {
    /// Takes in a sequence header or metadata; other frames are none of its business.
    pub(crate) fn update(&mut self, frame: &Frame) {
        match frame.role {
            Role::Metadata => self.metadata = Some(frame.clone()),
            Role::Config => match self.configs.binary_search_by_key(&frame.track, |c| c.track) {
                Ok(index) => {
                    if let Some(config) = self.configs.get_mut(index) {
                        *config = frame.clone();
                    }
                }
                Err(index) => self.configs.insert(index, frame.clone()),
            },
            Role::Key | Role::Delta | Role::Other => {}
        }
    }

    /// The sequence header of a track.
    pub fn config(&self, track: TrackId) -> Option<&Frame> {
        self.configs.iter().find(|config| config.track == track)
    }
}

/// Some whole messages, ready for the socket.
#[derive(Debug)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// What to send before this piece to a viewer that begins here; `None` where no decoder can begin.
    pub prelude: Option<Bytes>,
    /// When its first message came.
    pub since: Instant,
}

pub(crate) struct Log {
    id: FormatId,
    format: Box<dyn Format>,
    pieces: VecDeque<Arc<Piece>>,
    first: u64,
    bytes: usize,
    open: Vec<u8>,
    open_prelude: Option<Bytes>,
    open_since: Option<Instant>,
    /// Sequence number of the piece that begins the cached GOP.
    start: Option<u64>,
    start_at: Timestamp,
    start_bytes: usize,
    pub(crate) feeds: Vec<Arc<Feed>>,
    pub(crate) ended: bool,
}

impl Log {
    pub(crate) fn new(id: FormatId, format: Box<dyn Format>) -> Self {
        Self {
            id,
            format,
            pieces: VecDeque::new(),
            first: 0,
            bytes: 0,
            open: Vec::new(),
            open_prelude: None,
            open_since: None,
            start: None,
            start_at: Timestamp::ZERO,
            start_bytes: 0,
            feeds: Vec::new(),
            ended: false,
        }
    }

    pub(crate) fn id(&self) -> FormatId {
        self.id
    }

    /// The oldest sequence number there is.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number of the piece after the newest sealed one.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.pieces.len() as u64
    }

    /// Memory held, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + self.open.capacity()
    }

    pub(crate) fn pieces(&self) -> &VecDeque<Arc<Piece>> {
        &self.pieces
    }

    /// How long the oldest piece that a reader still needs has been there; zero when none is needed.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        let needed = self.feeds.iter().map(|feed| feed.oldest()).min();
        let place = needed.map(|oldest| oldest.saturating_sub(self.first));
        let piece = place.and_then(|place| self.pieces.get(usize::try_from(place).ok()?));
        piece.map_or(Duration::ZERO, |piece| {
            now.saturating_duration_since(piece.since)
        })
    }

    /// Appends a frame; `entry` says that a decoder can begin with it.
    pub(crate) fn append(
        &mut self,
        frame: &Frame,
        entry: bool,
        setup: &Setup,
        now: Instant,
        settings: &Settings,
    ) {
        let sealed = self.end();
        if entry {
            self.seal();
            self.open_prelude = Some(self.prelude(setup, frame.dts));
            self.start = settings.gop_cache.then(|| self.end());
            self.start_at = frame.dts;
            self.start_bytes = 0;
        } else if self.open.len() + frame.packet.len() > PIECE_BYTES {
            self.seal();
        }
        self.begin(frame.packet.len() + 64, now);
        let before = self.open.len();
        self.format.frame(frame, &mut self.open);
        self.start_bytes += self.open.len().saturating_sub(before);
        if self.start.is_some()
            && (self.start_bytes > settings.gop_max_bytes
                || frame.dts.since(self.start_at) > settings.gop_max_duration)
        {
            self.start = None;
        }
        if self.end() != sealed {
            self.trim(now, settings);
        }
    }

    /// Appends what viewers are told about their publisher.
    pub(crate) fn announce(&mut self, published: bool, now: Instant) {
        self.begin(256, now);
        if published {
            self.format.published(&mut self.open);
        } else {
            self.format.unpublished(&mut self.open);
        }
    }

    fn begin(&mut self, expected: usize, now: Instant) {
        if self.open.is_empty() {
            let room = self.format.head_room();
            self.open.reserve_exact(room + expected);
            self.open.resize(room, 0);
            self.open_since = Some(now);
        }
    }

    /// The opening for a viewer that begins now, dated `at`.
    pub(crate) fn prelude(&mut self, setup: &Setup, at: Timestamp) -> Bytes {
        let room = self.format.head_room();
        let mut out = vec![0; room];
        self.format.prelude(setup, at, &mut out);
        if out.len() == room {
            Bytes::new()
        } else {
            self.format.seal(out)
        }
    }

    /// Ends the open piece, so that readers can have it.
    pub(crate) fn seal(&mut self) {
        if self.open.len() <= self.format.head_room() {
            return;
        }
        let mut open = std::mem::take(&mut self.open);
        // merged pieces grow by doubling; the slack would be kept as long as the GOP
        if open.capacity() - open.len() > open.len() / 8 {
            open.shrink_to_fit();
        }
        let Some(since) = self.open_since.take() else {
            return;
        };
        let prelude = self.open_prelude.take();
        let bytes = self.format.seal(open);
        self.bytes += bytes.len() + prelude.as_ref().map_or(0, Bytes::len);
        self.pieces.push_back(Arc::new(Piece {
            bytes,
            prelude,
            since,
        }));
    }

    /// The sequence number at which the cached GOP begins.
    pub(crate) fn cached_start(&self) -> Option<u64> {
        self.start.filter(|start| *start >= self.first)
    }

    /// Forgets the cached GOP: its publisher is gone for good.
    pub(crate) fn forget_start(&mut self) {
        self.start = None;
    }

    /// Drops pieces that nobody needs, and those that a reader has lagged behind for too long.
    pub(crate) fn trim(&mut self, now: Instant, settings: &Settings) {
        let end = self.end();
        let cached = self.start.unwrap_or(end);
        let cached_bytes = if self.start.is_some() {
            self.start_bytes
        } else {
            0
        };
        let wanted = self
            .feeds
            .iter()
            .map(|feed| feed.oldest())
            .min()
            .unwrap_or(end);
        while let Some(front) = self.pieces.front() {
            let held_for_lag = self.first < cached;
            let overdue = self.bytes > settings.lag_max_bytes.saturating_add(cached_bytes)
                || now.saturating_duration_since(front.since) > settings.lag_max_duration;
            if self.first >= wanted.min(cached) && !(held_for_lag && overdue) {
                break;
            }
            let size = front.bytes.len() + front.prelude.as_ref().map_or(0, Bytes::len);
            self.bytes = self.bytes.saturating_sub(size);
            self.pieces.pop_front();
            self.first += 1;
        }
    }
}
