//! One elementary stream: packets become PES packets.
//!
//! Owns: its continuity, the PES packet under way, its times. A PES packet of which a part is missing is dropped. Does
//! not: look into access units (`video` and `audio` do).

use weir_media::{Codec, TrackId};

use super::audio::Audio;
use super::output::{Output, Times};
use super::video::Video;
use crate::ts::clock;
use crate::ts::packet::Packet;
use crate::ts::pes::{self, Unusable};

/// Longest PES packet of sound, in bytes. Its length has 16 bits; twice that for one without a length.
const MAX_AUDIO_PES_BYTES: usize = 128 * 1024;

/// Longest header of a PES packet: 9 bytes and as many as one byte counts.
const MAX_HEADER_BYTES: usize = 9 + 255;

/// An elementary stream that is read.
#[derive(Debug)]
pub(super) struct Stream {
    pid: u16,
    track: TrackId,
    codec: Codec,
    /// What its descriptors say, as a configuration.
    announced: Vec<u8>,
    media: Reader,
    /// Of the last packet with payload.
    continuity: Option<u8>,
    /// That packet's payload, to know it again.
    last: Vec<u8>,
    pes: Option<Pes>,
    /// The most bytes of a PES packet.
    limit: usize,
}

#[derive(Debug)]
enum Reader {
    Video(Video),
    Audio(Audio),
}

/// A PES packet under way, from its first byte.
#[derive(Debug, Default)]
struct Pes {
    bytes: Vec<u8>,
    /// How long it will be, where it says so and its header has come.
    wanted: Option<usize>,
    is_header_read: bool,
}

impl Pes {
    /// Whether all of it has come, as far as it says how much that is.
    fn is_whole(&self) -> bool {
        self.wanted.is_none_or(|wanted| self.bytes.len() >= wanted)
    }
}

impl Stream {
    pub(super) fn new(
        pid: u16,
        track: TrackId,
        codec: Codec,
        announced: Vec<u8>,
        max_frame_bytes: usize,
    ) -> Self {
        let limit = max_frame_bytes.saturating_add(MAX_HEADER_BYTES);
        let (media, limit) = match codec {
            Codec::Audio(kind) => (
                Reader::Audio(Audio::new(track.index, kind, &announced)),
                limit.min(MAX_AUDIO_PES_BYTES),
            ),
            _ => (Reader::Video(Video::new(track.index, codec)), limit),
        };
        Self {
            pid,
            track,
            codec,
            announced,
            media,
            continuity: None,
            last: Vec::new(),
            pes: None,
            limit,
        }
    }

    pub(super) fn pid(&self) -> u16 {
        self.pid
    }

    pub(super) fn track(&self) -> TrackId {
        self.track
    }

    /// Whether it was announced so.
    pub(super) fn is(&self, pid: u16, codec: Codec, announced: &[u8]) -> bool {
        self.pid == pid && self.codec == codec && self.announced == announced
    }

    /// Takes a packet of this stream's PID.
    pub(super) fn take_packet(&mut self, packet: &Packet<'_>, output: &mut Output) {
        if packet.is_scrambled {
            output.counters.scrambled += 1;
            return;
        }
        let Some(payload) = packet.payload else {
            // an announced discontinuity of the counter may be in a packet that has only an adaptation field
            if packet.is_discontinuous {
                self.continuity = None;
            }
            return;
        };
        let is_repeated = self.continuity == Some(packet.continuity) && self.last == payload;
        if is_repeated && !packet.is_discontinuous {
            output.counters.repeated += 1;
            return;
        }
        let expected = self.continuity.map(|last| (last + 1) & 0x0f);
        let is_gap = expected.is_some_and(|expected| expected != packet.continuity);
        self.continuity = Some(packet.continuity);
        self.last.clear();
        self.last.extend_from_slice(payload);
        if is_gap && !packet.is_discontinuous {
            output.counters.discontinuities += 1;
            self.lose(output);
        } else if is_gap && !packet.is_start {
            self.lose(output);
        }
        if packet.is_start {
            self.start(payload, output);
        } else {
            self.append(payload, output);
        }
    }

    /// Completes what can be, and forgets the rest; what comes next may be anything.
    pub(super) fn end(&mut self, output: &mut Output) {
        self.finish(output);
        self.continuity = None;
        self.last.clear();
        if let Reader::Audio(audio) = &mut self.media {
            audio.lose();
        }
    }

    /// Something is missing: drops what is under way.
    fn lose(&mut self, output: &mut Output) {
        if self.pes.take().is_some() {
            output.fault();
        }
        if let Reader::Audio(audio) = &mut self.media {
            audio.lose();
        }
    }

    /// Takes the first payload of a PES packet.
    fn start(&mut self, payload: &[u8], output: &mut Output) {
        if self.goes_on(payload, output) {
            return;
        }
        self.finish(output);
        self.pes = Some(Pes {
            // most pictures and all sound fit; a longer one grows as it comes
            bytes: Vec::with_capacity(payload.len()),
            ..Pes::default()
        });
        self.append(payload, output);
    }

    /// Pictures longer than a PES packet can say are sent by some in several, of which the first only has times. Appends a
    /// packet without times to the picture under way; false where that is not the case.
    fn goes_on(&mut self, payload: &[u8], output: &mut Output) -> bool {
        let (Reader::Video(_), Some(pes)) = (&self.media, &mut self.pes) else {
            return false;
        };
        let Ok(start) = pes::read(payload) else {
            return false;
        };
        if start.pts.is_some() || !pes.is_header_read || !pes.is_whole() {
            return false;
        }
        if let Some(wanted) = pes.wanted {
            pes.bytes.truncate(wanted);
        }
        pes.wanted = start.bytes.map(|bytes| {
            let more = bytes.saturating_sub(start.payload_at);
            pes.bytes.len().saturating_add(more)
        });
        self.append(payload.get(start.payload_at..).unwrap_or_default(), output);
        true
    }

    fn append(&mut self, payload: &[u8], output: &mut Output) {
        let Some(pes) = &mut self.pes else {
            return;
        };
        if pes.bytes.len().saturating_add(payload.len()) > self.limit {
            return self.lose(output);
        }
        pes.bytes.extend_from_slice(payload);
        if !pes.is_header_read {
            match pes::read(&pes.bytes) {
                Ok(start) => {
                    pes.wanted = start.bytes;
                    pes.is_header_read = true;
                }
                Err(Unusable::Short) => return,
                Err(Unusable::Scrambled) => {
                    self.pes = None;
                    output.counters.scrambled += 1;
                    return;
                }
                Err(Unusable::Damaged) => return self.lose(output),
            }
        }
        // a picture waits for the next to begin, for it may go on there
        let is_audio = matches!(self.media, Reader::Audio(_));
        if is_audio && pes.wanted.is_some() && pes.is_whole() {
            self.finish(output);
        }
    }

    /// Reads the PES packet under way.
    fn finish(&mut self, output: &mut Output) {
        let Some(pes) = self.pes.take() else {
            return;
        };
        let (Ok(start), true) = (pes::read(&pes.bytes), pes.is_whole()) else {
            return output.fault();
        };
        let end = pes.wanted.unwrap_or(pes.bytes.len());
        let Some(data) = pes.bytes.get(start.payload_at..end) else {
            return output.fault();
        };
        let times = start.pts.map(|pts| {
            let dts = output.clock.unwrap(start.dts.unwrap_or(pts));
            Times {
                dts,
                pts: clock::nearest(dts, pts as i64),
            }
        });
        match &mut self.media {
            Reader::Video(video) => video.take(data, times, output),
            Reader::Audio(audio) => audio.take(data, times.map(|times| times.pts), output),
        }
    }
}
