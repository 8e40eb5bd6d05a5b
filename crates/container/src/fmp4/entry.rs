//! Sample entries: what a decoder is told of a track (ISO/IEC 14496-12 §12.1.3 and §12.2.3), and in them the
//! codec's own box.
//!
//! Owns: which entry and which box each codec has, and turning what FLV carries in sequence headers into those boxes.
//! Does not: look into parameter sets; pictures carry their own colour and shape, and `vpcC` the colour of VP9, so no
//! `colr` or `pasp` is written.

mod dolby;

use weir_media::{AudioCodec, AudioInfo, Codec, VideoCodec, VideoInfo};
use weir_wire::{Cursor, Short};

use super::boxes::{put_u16, put_u32, write};
use super::{Error, MAX_CONFIG_BYTES, Track};

/// A sample entry, checked and ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    kind: [u8; 4],
    shape: Shape,
    /// The kind of the codec's box, and its content.
    config: ([u8; 4], Vec<u8>),
}

/// What all entries of a medium have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Video { width: u16, height: u16 },
    Audio { channels: u16, sample_rate: u32 },
}

impl Entry {
    /// The entry of `track`. Fails as [`super::write_init`] says.
    pub(super) fn of(track: &Track<'_>) -> Result<Self, Error> {
        let codec = track.codec;
        let size = track.config.len();
        if size > MAX_CONFIG_BYTES {
            return Err(Error::ConfigTooLarge { codec, size });
        }
        let (kind, config) = match codec {
            Codec::Video(video) => video_config(track, video)?,
            Codec::Audio(audio) => audio_config(track, audio)?,
            Codec::Script => return Err(Error::Unsupported { codec }),
        };
        let shape = match codec {
            Codec::Video(_) => picture(track)?,
            _ => sound(track)?,
        };
        Ok(Self {
            kind: *kind,
            shape,
            config,
        })
    }

    /// The picture's size in luma samples; none for sound.
    pub(super) fn size(&self) -> Option<(u16, u16)> {
        match self.shape {
            Shape::Video { width, height } => Some((width, height)),
            Shape::Audio { .. } => None,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write(out, &self.kind, |out| {
            out.extend_from_slice(&[0; 6]); // reserved
            put_u16(out, 1); // data_reference_index
            match self.shape {
                Shape::Video { width, height } => write_picture(width, height, out),
                Shape::Audio {
                    channels,
                    sample_rate,
                } => write_sound(channels, sample_rate, out),
            }
            let (kind, content) = &self.config;
            write(out, kind, |out| out.extend_from_slice(content));
        });
    }
}

/// VisualSampleEntry behind the fields of every entry.
fn write_picture(width: u16, height: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 16]); // pre_defined, reserved
    put_u16(out, width);
    put_u16(out, height);
    put_u32(out, 72 << 16); // horizresolution, pixels an inch
    put_u32(out, 72 << 16); // vertresolution
    put_u32(out, 0); // reserved
    put_u16(out, 1); // frame_count
    out.extend_from_slice(&[0; 32]); // compressorname
    put_u16(out, 0x18); // depth: colour without alpha
    put_u16(out, 0xffff); // pre_defined
}

/// AudioSampleEntry behind the fields of every entry.
fn write_sound(channels: u16, sample_rate: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 8]); // reserved
    put_u16(out, channels);
    put_u16(out, 16); // samplesize, a template value
    put_u32(out, 0); // pre_defined, reserved
    // 16 bits have no room for rates of 64 kHz and more; half or a quarter is the next best (FLAC in ISOBMFF §3.3.1),
    // and decoders go by the codec's own box.
    let halvings = sample_rate
        .checked_ilog2()
        .unwrap_or_default()
        .saturating_sub(15);
    put_u32(out, (sample_rate >> halvings) << 16);
}

type Config = (&'static [u8; 4], ([u8; 4], Vec<u8>));

fn video_config(track: &Track<'_>, codec: VideoCodec) -> Result<Config, Error> {
    let config = track.config;
    let unknown = || missing(track, "decoder configuration");
    match codec {
        VideoCodec::H264 => {
            weir_codec::h264::length_size(config)?;
            Ok((b"avc1", (*b"avcC", config.to_vec())))
        }
        VideoCodec::H265 => {
            weir_codec::h265::length_size(config)?;
            let complete = complete_arrays(config).map_err(|_| unknown())?;
            Ok((b"hvc1", (*b"hvcC", complete)))
        }
        VideoCodec::Av1 => {
            weir_codec::describe(track.codec, config)?;
            Ok((b"av01", (*b"av1C", config.to_vec())))
        }
        VideoCodec::Vp9 => {
            weir_codec::describe(track.codec, config)?;
            Ok((b"vp09", (*b"vpcC", full_record(config))))
        }
        _ => Err(Error::Unsupported { codec: track.codec }),
    }
}

fn audio_config(track: &Track<'_>, codec: AudioCodec) -> Result<Config, Error> {
    let config = track.config;
    match codec {
        AudioCodec::Aac => {
            weir_codec::describe(track.codec, config)?;
            Ok((b"mp4a", (*b"esds", elementary_stream(OBJECT_AAC, config))))
        }
        AudioCodec::Mp3 => {
            let info = weir_codec::describe_frame(track.codec, track.frame)?;
            let rate = info.audio.map_or(0, |audio| audio.sample_rate);
            let object = if rate >= LOWEST_MPEG1_RATE {
                OBJECT_MPEG1
            } else {
                OBJECT_MPEG2
            };
            Ok((b"mp4a", (*b"esds", elementary_stream(object, &[]))))
        }
        AudioCodec::Opus => Ok((b"Opus", (*b"dOps", opus_box(track)?))),
        AudioCodec::Flac => {
            weir_codec::describe(track.codec, config)?;
            Ok((b"fLaC", (*b"dfLa", flac_box(config))))
        }
        AudioCodec::Ac3 => Ok((b"ac-3", (*b"dac3", dolby::ac3_box(track)?))),
        AudioCodec::Eac3 => Ok((b"ec-3", (*b"dec3", dolby::eac3_box(track)?))),
        _ => Err(Error::Unsupported { codec: track.codec }),
    }
}

fn missing(track: &Track<'_>, what: &'static str) -> Error {
    Error::Unknown {
        codec: track.codec,
        what,
    }
}

/// The size of a track's pictures, from what is known of it, else from its configuration, else from its frame.
fn picture(track: &Track<'_>) -> Result<Shape, Error> {
    let told = || track.info.video.clone();
    let from_config = || weir_codec::describe(track.codec, track.config).ok()?.video;
    let from_frame = || {
        weir_codec::describe_frame(track.codec, track.frame)
            .ok()?
            .video
    };
    let size = |info: Option<VideoInfo>| {
        let info = info?;
        let side = |side| u16::try_from(side).ok().filter(|side| *side != 0);
        Some((side(info.width)?, side(info.height)?))
    };
    let found = size(told())
        .or_else(|| size(from_config()))
        .or_else(|| size(from_frame()));
    let (width, height) = found.ok_or_else(|| missing(track, "size of the picture"))?;
    Ok(Shape::Video { width, height })
}

/// Rate and channels of a track, found as [`picture`] finds the size.
fn sound(track: &Track<'_>) -> Result<Shape, Error> {
    let told = || track.info.audio.clone();
    let from_config = || weir_codec::describe(track.codec, track.config).ok()?.audio;
    let from_frame = || {
        weir_codec::describe_frame(track.codec, track.frame)
            .ok()?
            .audio
    };
    let shape = |info: Option<AudioInfo>| {
        let AudioInfo {
            channels,
            sample_rate,
            ..
        } = info?;
        (channels != 0 && sample_rate != 0).then_some(Shape::Audio {
            channels,
            sample_rate,
        })
    };
    let found = shape(told())
        .or_else(|| shape(from_config()))
        .or_else(|| shape(from_frame()));
    found.ok_or_else(|| missing(track, "sample rate"))
}

/// An HEVCDecoderConfigurationRecord whose arrays say that no parameter sets come in the pictures.
///
/// `hvc1` demands so (ISO/IEC 14496-15 §8.4.1.1); publishers of RTMP write 0, because their records were made before the
/// encoder's stream was seen. Sets that are repeated in pictures do no harm.
fn complete_arrays(config: &[u8]) -> Result<Vec<u8>, Short> {
    const HEAD: usize = 22;
    const COMPLETE: u8 = 0x80;
    /// VPS, SPS and PPS.
    const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;
    let mut out = config.to_vec();
    let mut cursor = Cursor::new(config);
    cursor.skip(HEAD)?;
    for _ in 0..cursor.u8()? {
        let at = cursor.offset();
        let head = cursor.u8()?;
        if PARAMETER_SETS.contains(&(head & 0x3f))
            && let Some(byte) = out.get_mut(at)
        {
            *byte |= COMPLETE;
        }
        for _ in 0..cursor.u16()? {
            let length = cursor.u16()?;
            cursor.skip(length.into())?;
        }
    }
    Ok(out)
}

/// A VPCodecConfigurationRecord behind version and flags, which some publishers send along.
fn full_record(config: &[u8]) -> Vec<u8> {
    const FULL_BOX: [u8; 4] = [1, 0, 0, 0];
    let record = config.strip_prefix(&FULL_BOX).unwrap_or(config);
    [&FULL_BOX, record].concat()
}

/// `objectTypeIndication` (ISO/IEC 14496-1, table 5): MPEG-4 audio, and audio of MPEG-1 and MPEG-2.
const OBJECT_AAC: u8 = 0x40;
const OBJECT_MPEG1: u8 = 0x6b;
const OBJECT_MPEG2: u8 = 0x69;

/// Rates below are those of MPEG-2 and "MPEG 2.5" audio, in Hz.
const LOWEST_MPEG1_RATE: u32 = 32_000;

/// `esds` (ISO/IEC 14496-14 §5.6): an ES_Descriptor with its parts (ISO/IEC 14496-1 §7.2.6).
fn elementary_stream(object: u8, config: &[u8]) -> Vec<u8> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SL_CONFIG: u8 = 6;
    /// `streamType` 5 (audio) above `upStream` and a reserved bit.
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    /// SLConfigDescriptor `predefined`: as MP4 files have it.
    const MP4: u8 = 2;
    let mut decoder = vec![object, AUDIO_STREAM];
    decoder.extend_from_slice(&[0; 11]); // bufferSizeDB, maxBitrate, avgBitrate: not told
    if !config.is_empty() {
        descriptor(DECODER_SPECIFIC, config, &mut decoder);
    }
    let mut stream = vec![0; 3]; // ES_ID, flags
    descriptor(DECODER_CONFIG, &decoder, &mut stream);
    descriptor(SL_CONFIG, &[MP4], &mut stream);
    let mut out = vec![0; 4]; // version, flags
    descriptor(ES, &stream, &mut out);
    out
}

/// A descriptor: its tag, its length in seven bits a byte (ISO/IEC 14496-1 §8.3.3), its content.
fn descriptor(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = content.len();
    for shift in [21, 14, 7] {
        if length >> shift != 0 {
            out.push((length >> shift) as u8 | 0x80);
        }
    }
    out.push(length as u8 & 0x7f);
    out.extend_from_slice(content);
}

/// `dOps` (Opus in ISOBMFF §4.3.2): the identification header of RFC 7845 §5.1 in big endian, without its name.
///
/// Publishers may leave the header out; one stream of one or two channels is what packets then can be.
fn opus_box(track: &Track<'_>) -> Result<Vec<u8>, Error> {
    let mut out = vec![0]; // Version
    if track.config.is_empty() {
        let Shape::Audio { channels, .. } = sound(track)? else {
            return Err(missing(track, "number of channels"));
        };
        out.push(if channels == 1 { 1 } else { 2 });
        put_u16(&mut out, 0); // PreSkip
        put_u32(&mut out, 48_000); // InputSampleRate
        out.extend_from_slice(&[0; 3]); // OutputGain, ChannelMappingFamily
        return Ok(out);
    }
    weir_codec::describe(track.codec, track.config)?;
    let mut head = |cursor: &mut Cursor<'_>| {
        cursor.skip(9)?; // name and version
        out.push(cursor.u8()?);
        put_u16(&mut out, u16::from_le_bytes(cursor.array()?));
        put_u32(&mut out, cursor.u32_le()?);
        put_u16(&mut out, u16::from_le_bytes(cursor.array()?));
        out.extend_from_slice(cursor.rest()); // mapping family and table: bytes
        Ok(())
    };
    head(&mut Cursor::new(track.config))
        .map_err(|_: Short| missing(track, "identification header"))?;
    Ok(out)
}

/// `dfLa` (FLAC in ISOBMFF §3.3.2): STREAMINFO as the last metadata block, from a sequence header with `fLaC` and block
/// headers or, as ffmpeg sends it, without.
fn flac_box(config: &[u8]) -> Vec<u8> {
    const LAST_STREAMINFO: [u8; 4] = [0x80, 0, 0, 34];
    let blocks = config.strip_prefix(b"fLaC");
    let block = blocks.and_then(|blocks| blocks.get(4..)).unwrap_or(config);
    let streaminfo = block.get(..34).unwrap_or(block);
    [&[0; 4], &LAST_STREAMINFO, streaminfo].concat()
}

#[cfg(test)]
mod tests;
