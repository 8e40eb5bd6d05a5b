//! Reading transport streams, whole or damaged.
//!
//! Owns: finding packets, the tables, which program is read, and the [`Counters`]. Nothing in the input is an error:
//! damage costs the frames it touches. Does not: wait, reorder, or judge times.

mod audio;
mod output;
mod programs;
mod stream;
mod video;

use std::collections::VecDeque;

use weir_media::{Codec, Frame, Media, TrackId};

use super::coding;
use super::packet::{NULL_PID, Packet, SYNC};
use super::psi::{self, PAT_PID, Table};
use super::{MAX_TRACKS, PACKET_BYTES, clock};
use output::Output;
use programs::{Programs, Sections};
use stream::Stream;

/// How much of the input is copied at a time, in bytes; a read from a socket is about as much.
const PIECE_BYTES: usize = 64 * 1024;

/// How many sync bytes, each a packet behind the other, make a place one where packets begin. One of 256 bytes of media is
/// a sync byte by chance, one of 16 million has two more at the right distance.
const SYNCS: usize = 3;

/// Most video tracks that are read: each may hold a whole picture, and four renditions in one program are many.
const MAX_VIDEO_TRACKS: usize = 4;

/// What a demuxer has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets read.
    pub packets: u64,
    /// Times that the sync byte was not where it should be.
    pub resyncs: u64,
    /// Bytes passed over in search of a sync byte, those before the first packet included.
    pub skipped_bytes: u64,
    /// Gaps in the continuity counters of tracks.
    pub discontinuities: u64,
    /// Packets of tracks that came twice, of which the second was ignored.
    pub repeated: u64,
    /// Packets that are marked as damaged on the way.
    pub transport_errors: u64,
    /// Scrambled packets of tracks, which are ignored.
    pub scrambled: u64,
    /// Packets, sections, PES packets and frames that were dropped: damaged, cut short, too large, or of a kind that is not
    /// read.
    pub faults: u64,
}

/// Reads a transport stream: bytes in, frames out.
///
/// Frames have bodies as FLV has them; a track's configuration comes as a frame of its own before the first it is for, and
/// again when it changes. Of several programs the first whose PMT shows a codec of [`is_supported`](super::is_supported)
/// is read. Times are those of the stream on a line that goes on when its 33 bits wrap.
///
/// Pictures leave without delimiters, filler and parameter sets, which are in their configuration; everything else is
/// kept byte for byte. Pictures before the first parameter sets are dropped.
///
/// Memory: a PES packet of `max_frame_bytes` for each of at most 4 video tracks, 128 KiB for each of up to 16 other
/// tracks, 1 KiB for each of up to 64 programs, and the frames of one [`Demuxer::push`]: pull until there are none before the
/// next.
#[derive(Debug)]
pub struct Demuxer {
    max_frame_bytes: usize,
    /// Bytes not yet read as packets.
    held: Vec<u8>,
    is_synced: bool,
    pat: Sections,
    programs: Programs,
    /// The tracks of the program that is read.
    streams: Vec<Stream>,
    output: Output,
}

impl Demuxer {
    /// A demuxer at any place of a stream. PES packets of more than `max_frame_bytes` are dropped.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            held: Vec::new(),
            is_synced: false,
            pat: Sections::default(),
            programs: Programs::default(),
            streams: Vec::new(),
            output: Output {
                frames: VecDeque::new(),
                counters: Counters::default(),
                clock: clock::Unwrapper::default(),
            },
        }
    }

    /// Takes bytes of the stream, cut anywhere. What they complete is then pulled.
    pub fn push(&mut self, input: &[u8]) {
        for piece in input.chunks(PIECE_BYTES) {
            self.held.extend_from_slice(piece);
            self.read_held(false);
        }
    }

    /// The next frame; `None` until more is pushed.
    pub fn pull(&mut self) -> Option<Frame> {
        self.output.frames.pop_front()
    }

    /// Ends the stream: what waited for its end is completed. What is pushed later is read as the stream's continuation
    /// from any place.
    pub fn flush(&mut self) {
        self.read_held(true);
        self.held.clear();
        self.is_synced = false;
        for stream in &mut self.streams {
            stream.end(&mut self.output);
        }
    }

    /// What has been seen so far.
    pub fn counters(&self) -> Counters {
        self.output.counters
    }

    /// Reads what is held. At the end of the stream a sync byte needs no others behind it.
    fn read_held(&mut self, is_end: bool) {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        while let Some(packet) = self.next_packet(&mut rest, is_end) {
            self.take_packet(packet);
        }
        let left = rest.len();
        held.drain(..held.len() - left);
        self.held = held;
    }

    /// The packet at the front of `rest`, or behind bytes that are none. `None` when more bytes are needed.
    fn next_packet<'a>(
        &mut self,
        rest: &mut &'a [u8],
        is_end: bool,
    ) -> Option<&'a [u8; PACKET_BYTES]> {
        let counters = &mut self.output.counters;
        loop {
            if self.is_synced {
                let (packet, later) = rest.split_first_chunk::<PACKET_BYTES>()?;
                if packet.first() == Some(&SYNC) {
                    *rest = later;
                    return Some(packet);
                }
                self.is_synced = false;
                counters.resyncs += 1;
            }
            let (skipped, is_found) = find_sync(rest, is_end);
            counters.skipped_bytes += skipped as u64;
            *rest = rest.get(skipped..).unwrap_or_default();
            if !is_found {
                return None;
            }
            self.is_synced = true;
        }
    }

    fn take_packet(&mut self, bytes: &[u8; PACKET_BYTES]) {
        let counters = &mut self.output.counters;
        counters.packets += 1;
        let Some(packet) = Packet::read(bytes) else {
            counters.faults += 1;
            return;
        };
        if packet.is_damaged {
            counters.transport_errors += 1;
            return;
        }
        if packet.pid == NULL_PID {
            return;
        }
        if let Some(stream) = self.streams.iter_mut().find(|it| it.pid() == packet.pid) {
            stream.take_packet(&packet, &mut self.output);
        } else if packet.pid == PAT_PID {
            let tables = self.pat.take_packet(&packet, &mut counters.faults);
            for table in tables {
                self.take_pat(&table);
            }
        } else if let Some(sections) = self.programs.sections(packet.pid) {
            let tables = sections.take_packet(&packet, &mut counters.faults);
            for table in tables {
                self.take_pmt(packet.pid, &table);
            }
        }
    }

    fn take_pat(&mut self, table: &Table) {
        let Table::Programs { is_whole, programs } = table else {
            return;
        };
        if self.programs.update(programs, *is_whole) {
            // the program that was read is gone
            self.read_streams(&[]);
        }
    }

    fn take_pmt(&mut self, pid: u16, table: &Table) {
        let Table::Program { number, streams } = table else {
            return;
        };
        if !self.programs.is_read(*number, pid) {
            return;
        }
        let has_media = streams.iter().any(|it| coding::codec_of(it).is_some());
        self.programs.choose(has_media.then_some(*number));
        self.read_streams(streams);
    }

    /// Reads these streams from now on. Those that stay as they were go on; those that are gone or changed end.
    fn read_streams(&mut self, announced: &[psi::Stream]) {
        let mut wanted: Vec<(u16, Codec, Vec<u8>)> = Vec::new();
        for stream in announced {
            let is_known = wanted.iter().any(|(pid, ..)| *pid == stream.pid);
            let Some((codec, config)) = coding::codec_of(stream).filter(|_| !is_known) else {
                continue;
            };
            let same = wanted
                .iter()
                .filter(|(_, it, _)| media(*it) == media(codec));
            let most = match media(codec) {
                Media::Video => MAX_VIDEO_TRACKS,
                _ => MAX_TRACKS,
            };
            if same.count() < most && stream.pid != PAT_PID && stream.pid != NULL_PID {
                wanted.push((stream.pid, codec, config));
            }
        }
        let output = &mut self.output;
        self.streams.retain_mut(|stream| {
            let stays = wanted
                .iter()
                .any(|(pid, codec, config)| stream.is(*pid, *codec, config));
            if !stays {
                stream.end(output);
            }
            stays
        });
        for (pid, codec, config) in wanted {
            if self.streams.iter().all(|stream| stream.pid() != pid) {
                let track = self.free_track(media(codec));
                let stream = Stream::new(pid, track, codec, config, self.max_frame_bytes);
                self.streams.push(stream);
            }
        }
    }

    /// The lowest number of a medium that no track has.
    fn free_track(&self, media: Media) -> TrackId {
        let track = |index| TrackId { media, index };
        let is_free = |track: &TrackId| self.streams.iter().all(|stream| stream.track() != *track);
        (0..=u8::MAX)
            .map(track)
            .find(is_free)
            .unwrap_or_else(|| track(u8::MAX))
    }
}

fn media(codec: Codec) -> Media {
    match codec {
        Codec::Video(_) => Media::Video,
        Codec::Audio(_) => Media::Audio,
        Codec::Script => Media::Data,
    }
}

/// Looks for a place where packets begin: how many bytes are before it, and whether there is one. Where the bytes do not
/// suffice to tell, they are kept.
fn find_sync(bytes: &[u8], is_end: bool) -> (usize, bool) {
    let mut at = 0usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = rest.iter().position(|byte| *byte == SYNC) else {
            return (bytes.len(), false);
        };
        at = at.saturating_add(found);
        let mut places = (0..SYNCS).map(|count| bytes.get(at + count * PACKET_BYTES));
        if places.all(|byte| byte == Some(&SYNC)) {
            return (at, true);
        }
        let mut places = (0..SYNCS).map(|count| bytes.get(at + count * PACKET_BYTES));
        let is_open = places.all(|byte| byte.is_none_or(|byte| *byte == SYNC));
        let is_whole = bytes.len().saturating_sub(at) >= PACKET_BYTES;
        match (is_open, is_end) {
            (true, false) => return (at, false),
            (true, true) if is_whole => return (at, true),
            _ => at = at.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests;
