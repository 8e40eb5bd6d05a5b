//! Writing transport streams of one program.
//!
//! Owns: PIDs, continuity counters, the tables' version and cadence, the clock's cadence, and what each track's payloads
//! need to stand alone. Counters and clock go on for the life of a [`Muxer`], so pieces of its output that begin with
//! tables play alone and in a row. Does not: reorder or delay frames.

use weir_codec::annexb::{self, UnitKind};
use weir_codec::{LengthSize, NalUnits, SyncFrame, adts, h264, h265, sync_frame};
use weir_media::{AudioCodec, Codec, Media, Timestamp, TrackId, VideoCodec};

use super::coding::{Coding, MPEG1_AUDIO, MPEG2_AUDIO};
use super::packet::{self, Adaptation, NULL_PID};
use super::psi::{self, Announced, PAT_PID};
use super::{DELAY, Error, MAX_CONFIG_BYTES, MAX_TRACKS, clock, opus, pes};

/// The program's number and the PID of its PMT, as ffmpeg has them.
const PROGRAM: u16 = 1;
const PMT_PID: u16 = 0x1000;

/// PIDs of tracks: the medium's first and the track's number. A track keeps its PID for ever.
const FIRST_VIDEO_PID: u16 = 0x100;
const FIRST_AUDIO_PID: u16 = 0x200;

/// How far the clock is behind decode times, in ticks of 90 kHz.
const CLOCK_DELAY: i64 = DELAY.ticks() / 10;

/// The longest time between two clocks that is left as it is, in ticks: 80 ms. Frames carry clocks, so this matters
/// for rates under 13 a second; the bound of ISO/IEC 13818-1 §2.7.2 and TR 101 290 is 100 ms.
const CLOCK_GAP: i64 = 7_200;

/// The distance of clocks that fill such a gap: 40 ms (TR 101 290).
const CLOCK_STEP: i64 = 3_600;

/// The longest gap that is filled, in ticks: 5 s, which is 125 packets. What is longer is announced as a discontinuity, as
/// is a step back by as much.
const CLOCK_JUMP: i64 = 450_000;

/// The longest time between tables, in ticks: 250 ms. TR 101 290 demands 500, HLS players join at segments only.
const TABLES_EVERY: i64 = 22_500;

/// How far decode times are moved back at most, in ticks, where pictures are presented before they are decoded: under the
/// clock's delay, so that none is late.
const MOST_LEAD: i64 = 45_000;

/// An access unit delimiter for pictures of any kind (ITU-T H.264 §7.3.2.4, H.265 §7.3.2.5). §2.14.1 demands one before each
/// H.264 access unit, §2.17.1 before each of H.265.
const H264_DELIMITER: [u8; 2] = [0x09, 0xf0];
const H265_DELIMITER: [u8; 3] = [0x46, 0x01, 0x50];

/// One access unit to be written.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'a> {
    /// Its track, which must have been announced.
    pub track: TrackId,
    /// Decode time.
    pub dts: Timestamp,
    /// Presentation time less decode time.
    pub composition: Timestamp,
    /// Whether decoding can begin here: a video key frame. False for audio.
    pub is_key: bool,
    /// The payload as FLV has it: NAL units behind their lengths, a raw AAC frame, a whole MP3, AC-3 or Opus frame.
    pub payload: &'a [u8],
}

/// Writes a transport stream of one program.
///
/// As an endless stream it repeats its tables by itself. For segments, call [`Muxer::write_tables`] at the start of each:
/// one that begins with a key frame plays alone, and segments in a row are one stream.
#[derive(Debug)]
pub struct Muxer {
    /// By medium (video first) and number.
    tracks: Vec<Track>,
    /// PAT and PMT as sections; made anew when the tracks change.
    pat: Vec<u8>,
    pmt: Vec<u8>,
    pmt_version: u8,
    pat_continuity: u8,
    pmt_continuity: u8,
    /// Whether tables must come before the next frame.
    is_due: bool,
    /// Whether nothing has been written since the tables.
    is_fresh: bool,
    /// The clock when tables were written last.
    tables_at: Option<i64>,
    /// The last clock written, in ticks of 90 kHz, not wrapped.
    clock: Option<i64>,
    /// How far decode times are moved back, in ticks: the most that a picture was presented before its decode time.
    lead: i64,
    /// The PES packet under construction; kept for its memory.
    pes: Vec<u8>,
}

/// A track, or one that was taken out: its counter goes on if it returns.
#[derive(Debug)]
struct Track {
    id: TrackId,
    pid: u16,
    coding: Coding,
    form: Form,
    is_present: bool,
    /// Of the next packet with payload.
    continuity: u8,
}

/// How payloads become what a PES packet carries.
#[derive(Debug)]
enum Form {
    /// Start codes for lengths, and before key frames the parameter sets, which stand here behind start codes.
    Nal {
        codec: VideoCodec,
        length_size: LengthSize,
        parameter_sets: Vec<u8>,
    },
    Adts(adts::Header),
    /// As it is; its head says which standard it is of.
    Mpeg,
    Opus,
    /// As it is.
    Whole,
}

impl Form {
    fn of(codec: Codec, config: &[u8]) -> Result<Self, Error> {
        Ok(match codec {
            Codec::Video(VideoCodec::H264) => Self::Nal {
                codec: VideoCodec::H264,
                length_size: h264::length_size(config)?,
                parameter_sets: in_band(&h264::parameter_sets(config)?),
            },
            Codec::Video(VideoCodec::H265) => Self::Nal {
                codec: VideoCodec::H265,
                length_size: h265::length_size(config)?,
                parameter_sets: in_band(&h265::parameter_sets(config)?),
            },
            Codec::Audio(AudioCodec::Aac) => Self::Adts(adts::Header::from_config(config)?),
            Codec::Audio(AudioCodec::Mp3) => Self::Mpeg,
            Codec::Audio(AudioCodec::Opus) => Self::Opus,
            Codec::Audio(AudioCodec::Ac3 | AudioCodec::Eac3) => Self::Whole,
            _ => return Err(Error::Unsupported { codec }),
        })
    }

    /// Appends what the PES packet carries of a payload.
    fn write(&self, payload: &[u8], is_key: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Nal {
                codec,
                length_size,
                parameter_sets,
            } => {
                let sets = if is_key { &parameter_sets[..] } else { &[] };
                write_access_unit(*codec, payload, *length_size, sets, out)?;
            }
            Self::Adts(header) => {
                out.extend_from_slice(&header.bytes(payload.len())?);
                out.extend_from_slice(payload);
            }
            Self::Opus => {
                opus::write_control(payload.len(), out);
                out.extend_from_slice(payload);
            }
            Self::Mpeg | Self::Whole => out.extend_from_slice(payload),
        }
        Ok(())
    }
}

fn in_band(parameter_sets: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for set in parameter_sets {
        annexb::write_unit(set, &mut out);
    }
    out
}

/// Appends a picture: delimiter, `sets` where it has none of its own, and its units.
fn write_access_unit(
    codec: VideoCodec,
    payload: &[u8],
    length_size: LengthSize,
    sets: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let is_h264 = codec == VideoCodec::H264;
    let units = |payload| -> NalUnits<'_> {
        if is_h264 {
            h264::nal_units(payload, length_size)
        } else {
            h265::nal_units(payload, length_size)
        }
    };
    let kind: fn(&[u8]) -> UnitKind = if is_h264 {
        h264::unit_kind
    } else {
        h265::unit_kind
    };
    let has_sets = !sets.is_empty()
        && units(payload).any(|unit| unit.is_ok_and(|unit| kind(unit) == UnitKind::Sps));
    let sets = if has_sets { &[] } else { sets };
    let mut units = units(payload).peekable();
    // a delimiter is the first unit, before parameter sets (ITU-T H.264 §7.4.1.2.3)
    match units.peek() {
        Some(Ok(unit)) if kind(unit) == UnitKind::Delimiter => {
            annexb::write_unit(unit, out);
            units.next();
        }
        _ if is_h264 => annexb::write_unit(&H264_DELIMITER, out),
        _ => annexb::write_unit(&H265_DELIMITER, out),
    }
    out.extend_from_slice(sets);
    for unit in units {
        annexb::write_unit(unit?, out);
    }
    Ok(())
}

impl Default for Muxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Muxer {
    /// A muxer without tracks.
    pub fn new() -> Self {
        Self {
            pat: psi::pat(PROGRAM, PMT_PID),
            pmt: psi::pmt(PROGRAM, 0, NULL_PID, &[]),
            tracks: Vec::new(),
            pmt_version: 0,
            pat_continuity: 0,
            pmt_continuity: 0,
            is_due: true,
            is_fresh: false,
            tables_at: None,
            clock: None,
            lead: 0,
            pes: Vec::new(),
        }
    }

    /// Announces a track, or its new codec or configuration: a sequence header's payload as FLV has it, empty for codecs
    /// without one. What changes the tables gives them a new version and puts them before the next frame.
    ///
    /// Fails, and leaves everything as it was, with [`Error::Unsupported`] when the codec has no place in a transport stream,
    /// when the configuration cannot be read, and above [`MAX_TRACKS`] and [`MAX_CONFIG_BYTES`].
    pub fn set_track(&mut self, track: TrackId, codec: Codec, config: &[u8]) -> Result<(), Error> {
        if config.len() > MAX_CONFIG_BYTES {
            return Err(Error::TooLarge {
                bytes: config.len(),
                limit: MAX_CONFIG_BYTES,
            });
        }
        let form = Form::of(codec, config)?;
        let coding = Coding::of(codec, config).ok_or(Error::Unsupported { codec })?;
        let first = match track.media {
            Media::Video => FIRST_VIDEO_PID,
            Media::Audio => FIRST_AUDIO_PID,
            Media::Data => return Err(Error::Unsupported { codec }),
        };
        if let Some(known) = self.tracks.iter_mut().find(|known| known.id == track) {
            // the rates of MPEG audio are known from its frames only
            let is_same = known.is_present
                && (known.coding == coding
                    || matches!((&known.form, &form), (Form::Mpeg, Form::Mpeg)));
            known.form = form;
            if !is_same {
                known.coding = coding;
                known.is_present = true;
                self.announce();
            }
            return Ok(());
        }
        if self.tracks.len() >= MAX_TRACKS {
            // the counter of one that is gone is the least to lose
            let gone = self.tracks.iter().position(|track| !track.is_present);
            self.tracks.remove(gone.ok_or(Error::TooManyTracks)?);
        }
        self.tracks.push(Track {
            id: track,
            pid: first + u16::from(track.index),
            coding,
            form,
            is_present: true,
            continuity: 0,
        });
        self.tracks.sort_by_key(|track| track.id);
        self.announce();
        Ok(())
    }

    /// Takes a track out of the program; nothing happens if it is not in it.
    pub fn remove_track(&mut self, track: TrackId) {
        let known = self.tracks.iter_mut().find(|known| known.id == track);
        if let Some(known) = known.filter(|known| known.is_present) {
            known.is_present = false;
            self.announce();
        }
    }

    /// Appends PAT and PMT: the start of a segment, or of what a new viewer gets. A key frame right behind them does not
    /// repeat them.
    pub fn write_tables(&mut self, out: &mut Vec<u8>) {
        packet::write_section(PAT_PID, &mut self.pat_continuity, &self.pat, out);
        packet::write_section(PMT_PID, &mut self.pmt_continuity, &self.pmt, out);
        self.is_due = false;
        self.is_fresh = true;
        self.tables_at = self.clock;
    }

    /// Appends one access unit as a PES packet, its times later by [`DELAY`], with what is due before it: tables, clocks,
    /// delimiter, and before key frames the parameter sets unless the payload has its own. An empty payload is nothing.
    ///
    /// Pictures that are presented before their decode time move all later decode times back, by half a second at most.
    ///
    /// Fails, and appends nothing, when the track was not announced, when the payload is damaged, and for sound longer than a
    /// PES packet can say (64 KiB; 8 KiB for AAC).
    pub fn write_frame(&mut self, unit: &Unit<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let known = |track: &Track| track.id == unit.track && track.is_present;
        let index = self.tracks.iter().position(known);
        let index = index.ok_or(Error::UnknownTrack(unit.track))?;
        if unit.payload.is_empty() {
            return Ok(());
        }
        let now = clock::ticks(unit.dts);
        self.build_pes(index, unit, now)?;
        self.tell_mpeg_audio(index, unit.payload);
        let is_video = unit.track.media == Media::Video;
        if self.is_due || (is_video && unit.is_key && !self.is_fresh) {
            self.write_tables(out);
        }
        let adaptation = self.keep_clock(index, now, out);
        let Some(track) = self.tracks.get_mut(index) else {
            return Err(Error::UnknownTrack(unit.track));
        };
        let adaptation = Adaptation {
            // all sound can be joined; it is said where there is nothing else to join at
            is_random_access: unit.is_key || (!is_video && adaptation.pcr.is_some()),
            ..adaptation
        };
        packet::write_pes(track.pid, &mut track.continuity, adaptation, &self.pes, out);
        self.is_fresh = false;
        Ok(())
    }

    /// Makes the whole PES packet in `self.pes`.
    fn build_pes(&mut self, index: usize, unit: &Unit<'_>, now: i64) -> Result<(), Error> {
        let Some(track) = self.tracks.get(index) else {
            return Err(Error::UnknownTrack(unit.track));
        };
        let shown = clock::ticks(unit.dts + unit.composition);
        let is_video = unit.track.media == Media::Video;
        if is_video {
            self.lead = self.lead.max(now.saturating_sub(shown)).min(MOST_LEAD);
        }
        let decoded = if is_video {
            now.saturating_sub(self.lead)
        } else {
            now
        };
        let header = pes::Header {
            stream_id: track.coding.stream_id,
            pts: shown.max(decoded).saturating_add(CLOCK_DELAY),
            dts: decoded.saturating_add(CLOCK_DELAY),
        };
        self.pes.clear();
        header.write(&mut self.pes);
        track.form.write(unit.payload, unit.is_key, &mut self.pes)?;
        if !is_video && !pes::set_length(&mut self.pes) {
            return Err(Error::TooLarge {
                bytes: self.pes.len(),
                limit: usize::from(u16::MAX),
            });
        }
        Ok(())
    }

    /// Writes the clocks that are missing before a frame of time `now`, and gives what the frame's own packet says.
    fn keep_clock(&mut self, index: usize, now: i64, out: &mut Vec<u8>) -> Adaptation {
        let pcr_index = self.tracks.iter().position(|track| track.is_present);
        let is_own = pcr_index == Some(index);
        let ahead = self.clock.map(|last| now.saturating_sub(last));
        let jumps = ahead.is_some_and(|ahead| ahead.abs() > CLOCK_JUMP);
        if !jumps && let (Some(last), Some(ahead)) = (self.clock, ahead) {
            let mut at = last;
            let mut left = ahead;
            while left > CLOCK_GAP {
                at = at.saturating_add(CLOCK_STEP);
                left = left.saturating_sub(CLOCK_STEP);
                self.write_clock(pcr_index, at, false, out);
            }
        }
        let is_news = jumps || self.clock.is_none_or(|last| now > last);
        if is_own && is_news {
            self.clock = Some(now);
            self.repeat_tables(now, out);
            return Adaptation {
                is_discontinuous: jumps,
                is_random_access: false,
                pcr: Some(now),
            };
        }
        if self.clock.is_none() || jumps {
            self.write_clock(pcr_index, now, jumps, out);
        }
        Adaptation::default()
    }

    /// Writes a packet of clock on the PID that carries it.
    fn write_clock(&mut self, index: Option<usize>, at: i64, jumps: bool, out: &mut Vec<u8>) {
        self.clock = Some(at);
        self.repeat_tables(at, out);
        let Some(track) = index.and_then(|index| self.tracks.get(index)) else {
            return;
        };
        let adaptation = Adaptation {
            is_discontinuous: jumps,
            is_random_access: false,
            pcr: Some(at),
        };
        // a packet without payload repeats the counter of the one before it
        let continuity = track.continuity.wrapping_sub(1) & 0x0f;
        packet::write_clock(track.pid, continuity, adaptation, out);
    }

    /// Writes the tables when it is time for them.
    fn repeat_tables(&mut self, now: i64, out: &mut Vec<u8>) {
        match self.tables_at {
            // they were written before the first clock, or before one that jumped
            None => self.tables_at = Some(now),
            Some(last) if now < last => self.tables_at = Some(now),
            Some(last) if now.saturating_sub(last) >= TABLES_EVERY => self.write_tables(out),
            Some(_) => {}
        }
    }

    /// Announces the rates of MPEG audio that a frame shows.
    fn tell_mpeg_audio(&mut self, index: usize, payload: &[u8]) {
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        if !matches!(track.form, Form::Mpeg) {
            return;
        }
        let stream_type = match sync_frame(AudioCodec::Mp3, payload) {
            Ok(SyncFrame { sample_rate, .. }) if sample_rate < 32_000 => MPEG2_AUDIO,
            Ok(_) => MPEG1_AUDIO,
            Err(_) => return,
        };
        if track.coding.stream_type != stream_type {
            track.coding.stream_type = stream_type;
            self.announce();
        }
    }

    /// Makes the tables anew, with a new version.
    fn announce(&mut self) {
        let present = || self.tracks.iter().filter(|track| track.is_present);
        let streams: Vec<_> = present()
            .map(|track| Announced {
                stream_type: track.coding.stream_type,
                pid: track.pid,
                descriptors: &track.coding.descriptors,
            })
            .collect();
        let pcr_pid = streams.first().map_or(NULL_PID, |stream| stream.pid);
        self.pmt_version = (self.pmt_version + 1) & 0x1f;
        self.pmt = psi::pmt(PROGRAM, self.pmt_version, pcr_pid, &streams);
        self.is_due = true;
    }
}

#[cfg(test)]
mod tests;
