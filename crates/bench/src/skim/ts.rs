//! The skimmer of MPEG-TS (ISO 13818-1), as sent over HTTP without end.
//!
//! Owns: the position between packets, and the beginning of each PES packet of the video and the audio track. A frame
//! is told as soon as its send time has been seen, at the latest with the frame after it: where a frame ends, a
//! transport stream says only when the next one begins. So what is measured is the frame's beginning, which servers send
//! in one piece with the rest. Its prefix is that of the FLV tag it would be.
//! Does not: read program tables, check continuity, or know more than one track of a kind.

use super::{Gathered, Message, Misbehaviour, PREFIX, SkimError, type_id};
use crate::stamp;

/// §2.4.3.2.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// §2.4.3.7: up to the length of the optional fields.
const PES_HEADER: usize = 9;

/// Walks the packets of one transport stream.
#[derive(Debug)]
pub(crate) struct TsSkimmer {
    packet: Gathered<PACKET>,
    tracks: [Track; 2],
    /// What was told last.
    type_id: u8,
    timestamp: u32,
    prefix: [u8; stamp::OFFSET + stamp::LEN],
    /// Bytes taken so far, for errors.
    offset: u64,
}

/// One of video and audio.
#[derive(Debug)]
struct Track {
    pid: Option<u16>,
    /// The beginning of the elementary stream in the frame under way.
    begin: Gathered<PREFIX>,
    /// A frame is under way that was not told yet.
    is_open: bool,
    is_key: bool,
    /// Milliseconds.
    timestamp: u32,
}

impl Track {
    const fn new() -> Self {
        Self {
            pid: None,
            begin: Gathered::new(),
            is_open: false,
            is_key: false,
            timestamp: 0,
        }
    }
}

impl TsSkimmer {
    pub(crate) const fn new() -> Self {
        Self {
            packet: Gathered::new(),
            tracks: [Track::new(), Track::new()],
            type_id: 0,
            timestamp: 0,
            prefix: [0; stamp::OFFSET + stamp::LEN],
            offset: 0,
        }
    }

    /// Takes input up to the next frame that can be told, or all of it.
    ///
    /// # Errors
    /// When the stream is not MPEG-TS; the skimmer is of no use afterwards.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message<'_>>, SkimError> {
        while self.packet.gather(input, PACKET) {
            self.offset += PACKET as u64;
            let mut packet = [0; PACKET];
            packet.copy_from_slice(self.packet.as_slice());
            self.packet.clear();
            if packet.first() != Some(&SYNC) {
                return Err(SkimError {
                    kind: Misbehaviour::NotTs,
                    offset: self.offset,
                });
            }
            if self.take(&packet).is_some() {
                return Ok(Some(self.message()));
            }
        }
        Ok(None)
    }

    /// What was told last.
    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            type_id: self.type_id,
            timestamp: self.timestamp,
            length: self.prefix.len() as u32,
            prefix: &self.prefix,
        }
    }

    /// Takes a packet; gives something when there is a frame to tell.
    fn take(&mut self, packet: &[u8; PACKET]) -> Option<()> {
        let [_, high, low, flags, length, adaptation, ..] = *packet;
        let pid = u16::from(high & 0x1f) << 8 | u16::from(low);
        let (has_adaptation, has_payload) = (flags & 0x20 != 0, flags & 0x10 != 0);
        let at = if has_adaptation {
            5 + usize::from(length)
        } else {
            4
        };
        let mut payload = packet.get(at..).filter(|_| has_payload)?;
        let mut late = None;
        if high & 0x40 != 0
            && let Some((kind, timestamp, rest)) = pes(payload)
        {
            let track = self.tracks.get_mut(kind)?;
            if track.is_open {
                // it was too short for a send time, or has none
                late = self.tell(kind);
            }
            let track = self.tracks.get_mut(kind)?;
            track.pid = Some(pid);
            track.begin.clear();
            track.is_open = true;
            track.is_key = has_adaptation && length > 0 && adaptation & 0x40 != 0;
            track.timestamp = timestamp;
            payload = rest;
        }
        let kind = self
            .tracks
            .iter()
            .position(|track| track.pid == Some(pid) && track.is_open)?;
        let track = self.tracks.get_mut(kind)?;
        track.begin.append(payload);
        let begin = track.begin.as_slice();
        if late.is_none() && (begin.len() == PREFIX || stamp::all(begin).next().is_some()) {
            return self.tell(kind);
        }
        late
    }

    fn tell(&mut self, kind: usize) -> Option<()> {
        let track = self.tracks.get_mut(kind)?;
        track.is_open = false;
        let (type_id, first) = match (kind, track.is_key) {
            (VIDEO, true) => (type_id::VIDEO, 0x17),
            (VIDEO, false) => (type_id::VIDEO, 0x27),
            _ => (type_id::AUDIO, 0xaf),
        };
        self.type_id = type_id;
        self.timestamp = track.timestamp;
        self.prefix.fill(0);
        for (to, from) in self.prefix.iter_mut().zip([first, 1]) {
            *to = from;
        }
        if let Some(time) = stamp::all(track.begin.as_slice()).next() {
            stamp::write(&mut self.prefix, time);
        }
        Some(())
    }
}

/// Places of the tracks.
const VIDEO: usize = 0;
const AUDIO: usize = 1;

/// Track, decoding time in milliseconds and elementary stream of a PES packet's beginning (§2.4.3.6).
fn pes(payload: &[u8]) -> Option<(usize, u32, &[u8])> {
    let [0, 0, 1, stream, _, _, _, flags, length, fields @ ..] = payload else {
        return None;
    };
    let kind = match stream {
        0xe0..=0xef => VIDEO,
        // private stream 1 is how AC-3 and Opus are carried
        0xc0..=0xdf | 0xbd => AUDIO,
        _ => return None,
    };
    let rest = payload
        .get(PES_HEADER + usize::from(*length)..)
        .unwrap_or_default();
    // the decoding time is the second of two
    let time = match flags >> 6 {
        2 => fields.get(..5),
        3 => fields.get(5..10),
        _ => None,
    };
    let ticks = match time {
        Some([a, b, c, d, e]) => {
            u64::from(a >> 1 & 7) << 30
                | u64::from(*b) << 22
                | u64::from(c >> 1) << 15
                | u64::from(*d) << 7
                | u64::from(e >> 1)
        }
        _ => 0,
    };
    // 90 ticks a millisecond; 2³³ ticks fit
    Some((kind, (ticks / 90) as u32, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet with so much stuffing in an adaptation field that the payload just fits.
    fn packet(pid: u16, begins: bool, is_key: bool, payload: &[u8]) -> Vec<u8> {
        let stuffing = PACKET - 4 - payload.len();
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![SYNC, high | u8::from(begins) << 6, low, 0x30];
        assert!(stuffing >= 2, "{}", payload.len());
        packet.extend([stuffing as u8 - 1, u8::from(is_key) << 6]);
        packet.resize(PACKET - payload.len(), 0xff);
        packet.extend(payload);
        packet
    }

    /// A frame as packets with at most `room` bytes each; `time` in milliseconds.
    fn frame(pid: u16, stream: u8, time: u64, is_key: bool, es: &[u8], room: usize) -> Vec<u8> {
        let ticks = time * 90;
        let mut pes = vec![0, 0, 1, stream, 0, 0, 0x80, 0x80, 5];
        pes.push(0x21 | (ticks >> 29 & 0x0e) as u8);
        pes.extend([(ticks >> 22) as u8, (ticks >> 14 & 0xfe) as u8 | 1]);
        pes.extend([(ticks >> 7) as u8, (ticks << 1 & 0xfe) as u8 | 1]);
        pes.extend(es);
        let pieces = pes.chunks(room).enumerate();
        pieces
            .flat_map(|(at, piece)| packet(pid, at == 0, is_key && at == 0, piece))
            .collect()
    }

    fn stamped(time: u64) -> Vec<u8> {
        let mut es = vec![0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1];
        let mut payload = vec![0x65; 300];
        stamp::write(&mut payload, time);
        es.extend(payload);
        es
    }

    type Told = (u8, u32, bool, Option<u64>);

    fn drive(wire: &[u8], split: usize) -> Result<Vec<Told>, SkimError> {
        let mut skimmer = TsSkimmer::new();
        let mut told = Vec::new();
        for mut piece in wire.chunks(split) {
            while let Some(message) = skimmer.next(&mut piece)? {
                assert!(message.is_media() && !message.is_configuration());
                let sent = stamp::read(message.prefix);
                let key = message.is_key_frame();
                told.push((message.type_id, message.timestamp, key, sent));
            }
            assert!(piece.is_empty());
        }
        Ok(told)
    }

    proptest! {
        #[test]
        fn frames_are_told_at_any_split(split in 1_usize..600, room in 30_usize..=182) {
            let wire = [
                packet(0, true, false, &[0, 0, 0xb0, 13]),
                frame(256, 0xe0, 1000, true, &stamped(77), room),
                frame(257, 0xc0, 1010, false, &stamped(78), room),
                frame(257, 0xc0, 1020, false, b"short", room),
                frame(256, 0xe0, 95_443_000, false, &stamped(79), room),
                frame(257, 0xc0, 1030, false, &stamped(80), room),
            ]
            .concat();
            let wanted = [
                (type_id::VIDEO, 1000, true, Some(77)),
                (type_id::AUDIO, 1010, false, Some(78)),
                (type_id::VIDEO, 95_443_000, false, Some(79)),
                (type_id::AUDIO, 1020, false, None),
                (type_id::AUDIO, 1030, false, Some(80)),
            ];
            prop_assert_eq!(drive(&wire, split).unwrap(), wanted);
        }

        #[test]
        fn any_packets_are_walked(input in proptest::collection::vec(any::<u8>(), 187)) {
            let wire = [&[SYNC][..], &input, &[SYNC], &input].concat();
            let _ = drive(&wire, 100);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let error = drive(&[b'F'; 2 * PACKET], 100).unwrap_err();
        assert_eq!(error.to_string(), "server sent no MPEG-TS at byte 188");
    }
}
