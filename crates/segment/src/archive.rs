//! Segments as files: what the store knows of a segment, so that a process that begins later can know it again.
//!
//! Owns: the format, written and read. Does not: touch files; the caller writes what is encoded to a name that is no
//! segment's, and renames it when it is whole.
//!
//! # The format
//!
//! All numbers are big-endian. `WEIRSEG1`; the length of the facts (u32), the facts, their CRC-32; the length of the
//! media (u64), the media, their CRC-32. A file that is cut short or damaged anywhere is refused as a whole. The version
//! is the last digit of the magic; other versions are refused too, for a window of some seconds is not worth more.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Crc;
use weir_container::fmp4::Sample;
use weir_media::{AudioCodec, Codec, Frame, Media, Role, Timestamp, TrackId, VideoCodec};
use weir_wire::{Cursor, Short};

use crate::part::{Part, Run};
use crate::period::{Period, Track};
use crate::store::Segment;

const MAGIC: &[u8; 8] = b"WEIRSEG1";

/// Most parts of a segment that are read: ten seconds of single frames at 240 a second.
const MOST_PARTS: u32 = 2_400;

/// Most frames of a part that are read; what cuts parts allows fewer.
const MOST_SAMPLES: u32 = 20_000;

/// Bytes of a sample in a file.
const SAMPLE_BYTES: usize = 13;

/// Why a file is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It does not begin as one of this version does.
    #[error("file is no segment of this version")]
    Magic,
    /// It ends too soon, at this byte.
    #[error("segment file ends too soon: {0}")]
    Short(#[from] Short),
    /// What it says is not what was written.
    #[error("segment file is damaged: the checksum of its {0} is wrong")]
    Checksum(&'static str),
    /// What it says cannot be.
    #[error("segment file is damaged: {0}")]
    Nonsense(&'static str),
}

/// Appends the pieces of a complete segment's file to `out`. The media are shared, not copied.
/// `discontinuities` are those before it.
pub(crate) fn encode(segment: &Segment, discontinuities: u64, out: &mut Vec<Bytes>) {
    let mut facts = Vec::with_capacity(256 + segment.parts.len() * 256);
    put(&mut facts, segment.msn);
    put(&mut facts, discontinuities);
    facts.push(u8::from(segment.discontinuity) | u8::from(segment.independent) << 1);
    put(&mut facts, segment.start.cast_unsigned());
    put(&mut facts, segment.ticks.cast_unsigned());
    let wallclock = segment.wallclock.unwrap_or(SystemTime::UNIX_EPOCH);
    let since = wallclock
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    put(
        &mut facts,
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
    );
    let period = &segment.period;
    put(&mut facts, period.first);
    put(&mut facts, period.start.cast_unsigned());
    put(&mut facts, period.delay.cast_unsigned());
    for track in [&period.video, &period.audio] {
        encode_track(track.as_ref(), &mut facts);
    }
    facts.extend(length(segment.parts.len()).to_be_bytes());
    for part in &segment.parts {
        facts.extend(part.sequence.to_be_bytes());
        put(&mut facts, part.ticks.cast_unsigned());
        for run in [&part.video, &part.audio] {
            encode_run(run, &mut facts);
        }
    }
    let mut head = Vec::with_capacity(facts.len() + 32);
    head.extend_from_slice(MAGIC);
    head.extend(length(facts.len()).to_be_bytes());
    let sum = crc(std::iter::once(&facts[..]));
    head.extend_from_slice(&facts);
    head.extend(sum.to_be_bytes());
    let media = || segment.parts.iter().map(|part| &part.data);
    let size: usize = media().map(Bytes::len).sum();
    put(&mut head, size as u64);
    let sum = crc(media().map(|data| &data[..]));
    out.push(Bytes::from(head));
    out.extend(media().cloned());
    out.push(Bytes::copy_from_slice(&sum.to_be_bytes()));
}

fn put(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_be_bytes());
}

fn length(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn crc<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut crc = Crc::new();
    for piece in pieces {
        crc.update(piece);
    }
    crc.sum()
}

fn encode_track(track: Option<&Track>, out: &mut Vec<u8>) {
    let fourcc = track.and_then(|track| match track.codec {
        Codec::Video(codec) => codec.fourcc(),
        Codec::Audio(codec) => codec.fourcc(),
        Codec::Script => None,
    });
    let (Some(track), Some(fourcc)) = (track, fourcc) else {
        out.extend([0; 4]);
        return;
    };
    out.extend(fourcc);
    for bytes in [&track.config, track.frame()] {
        out.extend(length(bytes.len()).to_be_bytes());
        out.extend_from_slice(bytes);
    }
}

fn encode_run(run: &Run, out: &mut Vec<u8>) {
    put(out, run.base);
    out.extend(length(run.samples.len()).to_be_bytes());
    for sample in &run.samples {
        out.extend(sample.duration.to_be_bytes());
        out.extend(sample.size.to_be_bytes());
        out.extend(sample.composition.to_be_bytes());
        out.push(u8::from(sample.is_sync));
    }
}

/// A segment out of its file. Its media are slices of `file`. Equal periods are made anew for each; the store joins them.
/// The number is that of the discontinuities before it.
pub(crate) fn decode(file: &Bytes) -> Result<(Segment, u64), ArchiveError> {
    let mut cursor = Cursor::new(file);
    if cursor.array::<8>()? != *MAGIC {
        return Err(ArchiveError::Magic);
    }
    let facts = cursor.u32()? as usize;
    let (base, facts) = (cursor.offset(), cursor.take(facts)?);
    if cursor.u32()? != crc(std::iter::once(facts)) {
        return Err(ArchiveError::Checksum("facts"));
    }
    let size = usize::try_from(cursor.u64()?).map_err(|_| ArchiveError::Nonsense("its size"))?;
    let at = cursor.offset();
    let media = cursor.take(size)?;
    if cursor.u32()? != crc(std::iter::once(media)) {
        return Err(ArchiveError::Checksum("media"));
    }
    let mut facts = Cursor::with_base(facts, base);
    decode_facts(&mut facts, &file.slice(at..at + size))
}

fn decode_facts(facts: &mut Cursor<'_>, media: &Bytes) -> Result<(Segment, u64), ArchiveError> {
    let (msn, discontinuities) = (facts.u64()?, facts.u64()?);
    let flags = facts.u8()?;
    let start = facts.u64()?.cast_signed();
    let ticks = facts.u64()?.cast_signed();
    let wallclock = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(facts.u64()?));
    let first = facts.u64()?;
    let (period_start, delay) = (facts.u64()?.cast_signed(), facts.u64()?.cast_signed());
    let video = decode_track(Media::Video, facts)?;
    let audio = decode_track(Media::Audio, facts)?;
    if (video.is_none() && audio.is_none()) || ticks < 0 || start < 0 {
        return Err(ArchiveError::Nonsense("it has no tracks or no time"));
    }
    let period = Arc::new(Period::new(first, period_start, delay, video, audio));
    let count = facts.u32()?;
    if count == 0 || count > MOST_PARTS {
        return Err(ArchiveError::Nonsense("the number of its parts"));
    }
    let mut parts = Vec::with_capacity(count as usize);
    let mut left = media.clone();
    for _ in 0..count {
        let sequence = facts.u32()?;
        let ticks = facts.u64()?.cast_signed();
        let (video, audio) = (decode_run(facts)?, decode_run(facts)?);
        let bytes = video.bytes.saturating_add(audio.bytes);
        if bytes > left.len() {
            return Err(ArchiveError::Nonsense(
                "its frames are longer than its media",
            ));
        }
        parts.push(Part::new(
            sequence,
            ticks,
            video,
            audio,
            left.split_to(bytes),
        ));
    }
    if !left.is_empty() || !facts.is_empty() {
        return Err(ArchiveError::Nonsense("it has more than it says"));
    }
    let segment = Segment {
        msn,
        period,
        discontinuity: flags & 1 != 0,
        start,
        ticks,
        independent: flags & 2 != 0,
        complete: true,
        parts,
        wallclock,
        ts: None,
        key: None,
        sealed: Default::default(),
    };
    Ok((segment, discontinuities))
}

fn decode_track(media: Media, facts: &mut Cursor<'_>) -> Result<Option<Track>, ArchiveError> {
    let fourcc = facts.array::<4>()?;
    if fourcc == [0; 4] {
        return Ok(None);
    }
    let config = facts.u32()? as usize;
    let config = Bytes::copy_from_slice(facts.take(config)?);
    let frame = facts.u32()? as usize;
    let frame = Bytes::copy_from_slice(facts.take(frame)?);
    let codec = match media {
        Media::Video => Codec::Video(VideoCodec::from_fourcc(fourcc)),
        _ => Codec::Audio(AudioCodec::from_fourcc(fourcc)),
    };
    let frame = Frame {
        track: TrackId { media, index: 0 },
        codec,
        role: Role::Key,
        dts: Timestamp::ZERO,
        composition: Timestamp::ZERO,
        packet: frame,
        payload_at: 0,
    };
    let track = Track::new(&frame, &config);
    track
        .map(Some)
        .map_err(|_| ArchiveError::Nonsense("a track cannot be used"))
}

fn decode_run(facts: &mut Cursor<'_>) -> Result<Run, ArchiveError> {
    let base = facts.u64()?;
    let count = facts.u32()?;
    let most = facts.remaining() / SAMPLE_BYTES;
    if count > MOST_SAMPLES || count as usize > most {
        return Err(ArchiveError::Nonsense("the number of its frames"));
    }
    let mut run = Run {
        base,
        samples: Vec::with_capacity(count as usize),
        ..Run::default()
    };
    for _ in 0..count {
        let sample = Sample {
            duration: facts.u32()?,
            size: facts.u32()?,
            composition: facts.u32()?.cast_signed(),
            is_sync: facts.u8()? != 0,
        };
        run.duration += u64::from(sample.duration);
        run.bytes += sample.size as usize;
        run.samples.push(sample);
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AVC: &[u8] = &[
        1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 10, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf,
        0xe5, 0x40, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
    ];

    fn segment() -> Segment {
        let frame = Frame {
            track: TrackId::VIDEO,
            codec: Codec::Video(VideoCodec::H264),
            role: Role::Key,
            dts: Timestamp::ZERO,
            composition: Timestamp::ZERO,
            packet: Bytes::new(),
            payload_at: 0,
        };
        let video = Track::new(&frame, &Bytes::from_static(AVC)).expect("a track");
        let period = Arc::new(Period::new(7, 900, 72, Some(video), None));
        let part = |sequence| {
            let sample = Sample {
                duration: 3600,
                size: 5,
                composition: -9,
                is_sync: sequence == 1,
            };
            let run = Run {
                base: 90_000,
                samples: vec![sample; 2],
                duration: 7200,
                bytes: 10,
            };
            Part::new(
                sequence,
                72_000,
                run,
                Run::default(),
                Bytes::from_static(b"0123456789"),
            )
        };
        Segment {
            msn: 9,
            period,
            discontinuity: true,
            start: 9_000_000,
            ticks: 144_000,
            independent: true,
            complete: true,
            parts: vec![part(1), part(2)],
            wallclock: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(1234)),
            ts: None,
            key: None,
            sealed: Default::default(),
        }
    }

    fn file() -> Bytes {
        let mut pieces = Vec::new();
        encode(&segment(), 3, &mut pieces);
        pieces.concat().into()
    }

    #[test]
    fn what_is_written_is_read() {
        let (read, discontinuities) = decode(&file()).expect("it is sound");
        let mut again = Vec::new();
        encode(&read, discontinuities, &mut again);
        assert_eq!(again.concat(), file());
        assert_eq!((read.msn, read.start, discontinuities), (9, 9_000_000, 3));
        assert_eq!(read.parts.len(), 2);
    }

    proptest! {
        #[test]
        fn any_damage_is_noticed(at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut bytes = file().to_vec();
            let at = at.index(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= flip;
            }
            prop_assert!(decode(&bytes.into()).is_err());
        }

        #[test]
        fn any_end_is_noticed(at in any::<prop::sample::Index>()) {
            let file = file();
            let at = at.index(file.len());
            prop_assert!(decode(&file.slice(..at)).is_err());
        }

        #[test]
        fn any_facts_are_read_without_harm(facts: Vec<u8>) {
            let _ = decode_facts(&mut Cursor::new(&facts), &Bytes::from_static(b"0123456789"));
        }
    }
}
