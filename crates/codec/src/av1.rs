//! AV1: the AV1CodecConfigurationRecord (AV1 in ISOBMFF §2.3) and the sequence header OBU (AV1 bitstream
//! specification §5.5).
//!
//! Owns: profile, level, size and frame rate. Does not: read pictures.

use weir_media::{Codec, VideoCodec, VideoInfo};

use crate::Error;
use crate::fields::{Fields, Part};

const CODEC: Codec = Codec::Video(VideoCodec::Av1);

/// `obu_type` of a sequence header (§6.2.2).
const OBU_SEQUENCE_HEADER: u32 = 1;

/// How many OBUs are looked at for the sequence header. A temporal delimiter and some metadata may stand in front
/// of it (§7.5); padding without end must not turn the look into a walk over a whole picture.
const MAX_OBUS: usize = 16;

/// Describes a track by its AV1CodecConfigurationRecord. Without a sequence header in it, only profile and level are told.
pub(crate) fn describe(config: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    let head = fields.u32("version", 8)?;
    fields.expect("version", head, 0x81)?;
    let profile = fields.u32("seq_profile", 3)?;
    let level = fields.u32("seq_level_idx_0", 5)?;
    fields.skip("seq_tier_0", 16)?;
    match find_sequence_header(fields.rest())? {
        Some(obu) => sequence_header(obu),
        None => Ok(VideoInfo {
            profile: profile_name(profile),
            level: level_name(level),
            ..VideoInfo::default()
        }),
    }
}

/// Describes a track by a temporal unit that carries a sequence header: a key frame's.
pub(crate) fn describe_frame(payload: &[u8]) -> Result<VideoInfo, Error> {
    let found = find_sequence_header(Part {
        bytes: payload,
        offset: 0,
    })?;
    sequence_header(found.ok_or(Error::NoDescription { codec: CODEC })?)
}

/// Walks the OBUs (§5.3) to the payload of the first sequence header.
fn find_sequence_header(obus: Part<'_>) -> Result<Option<Part<'_>>, Error> {
    let mut fields = Fields::new(CODEC, obus);
    for _ in 0..MAX_OBUS {
        if fields.remaining() == 0 {
            break;
        }
        fields.skip("obu_forbidden_bit", 1)?;
        let kind = fields.u32("obu_type", 4)?;
        let has_extension = fields.flag("obu_extension_flag")?;
        let has_size = fields.flag("obu_has_size_field")?;
        fields.skip("obu_reserved_1bit", if has_extension { 9 } else { 1 })?;
        let size = if has_size {
            leb128(&mut fields, "obu_size")?
        } else {
            fields.remaining() / 8
        };
        let obu = fields.take("obu", size)?;
        if kind == OBU_SEQUENCE_HEADER {
            return Ok(Some(obu));
        }
    }
    Ok(None)
}

/// §4.10.5: seven bits a byte, lowest first, at most eight bytes.
fn leb128(fields: &mut Fields<'_>, field: &'static str) -> Result<usize, Error> {
    let mut value = 0u64;
    for index in 0..8 {
        let byte = fields.u8(field)?;
        value |= u64::from(byte & 0x7f) << (index * 7);
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| fields.invalid(field));
        }
    }
    Err(fields.invalid(field))
}

/// §5.5.1 as far as the picture's size.
fn sequence_header(obu: Part<'_>) -> Result<VideoInfo, Error> {
    let mut fields = Fields::new(CODEC, obu);
    let profile = fields.u32("seq_profile", 3)?;
    fields.skip("still_picture", 1)?;
    let (level, frame_rate) = if fields.flag("reduced_still_picture_header")? {
        (fields.u32("seq_level_idx", 5)?, None)
    } else {
        let timing = Timing::read(&mut fields)?;
        (operating_points(&mut fields, &timing)?, timing.frame_rate)
    };
    let width_bits = fields.u32("frame_width_bits_minus_1", 4)? as usize + 1;
    let height_bits = fields.u32("frame_height_bits_minus_1", 4)? as usize + 1;
    let width = u64::from(fields.u32("max_frame_width_minus_1", width_bits)?) + 1;
    let width = fields.side("max_frame_width_minus_1", width, 0)?;
    let height = u64::from(fields.u32("max_frame_height_minus_1", height_bits)?) + 1;
    let height = fields.side("max_frame_height_minus_1", height, 0)?;
    let (profile, level) = (profile_name(profile), level_name(level));
    Ok(VideoInfo {
        profile,
        level,
        width,
        height,
        frame_rate,
    })
}

/// `timing_info` and `decoder_model_info` (§5.5.3, §5.5.4).
#[derive(Default)]
struct Timing {
    /// Frames a second, where pictures come at equal distances.
    frame_rate: Option<f64>,
    /// Bits of each buffer delay of an operating point, where there is a decoder model.
    delay_bits: Option<usize>,
}

impl Timing {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let mut timing = Self::default();
        if !fields.flag("timing_info_present_flag")? {
            return Ok(timing);
        }
        let units = fields.u32("num_units_in_display_tick", 32)?;
        let scale = fields.u32("time_scale", 32)?;
        if fields.flag("equal_picture_interval")? {
            let ticks = f64::from(fields.ue("num_ticks_per_picture_minus_1")?) + 1.0;
            let known = units != 0 && scale != 0;
            timing.frame_rate = known.then(|| f64::from(scale) / f64::from(units) / ticks);
        }
        if fields.flag("decoder_model_info_present_flag")? {
            timing.delay_bits = Some(fields.u32("buffer_delay_length_minus_1", 5)? as usize + 1);
            fields.skip("num_units_in_decoding_tick", 42)?;
        }
        Ok(timing)
    }
}

/// Passes over the operating points; `seq_level_idx` of the first.
fn operating_points(fields: &mut Fields<'_>, timing: &Timing) -> Result<u32, Error> {
    let has_display_delay = fields.flag("initial_display_delay_present_flag")?;
    let mut first = None;
    for _ in 0..=fields.u32("operating_points_cnt_minus_1", 5)? {
        fields.skip("operating_point_idc", 12)?;
        let level = fields.u32("seq_level_idx", 5)?;
        first = first.or(Some(level));
        if level > 7 {
            fields.flag("seq_tier")?;
        }
        if let Some(bits) = timing.delay_bits
            && fields.flag("decoder_model_present_for_this_op")?
        {
            fields.skip("decoder_buffer_delay", bits * 2 + 1)?;
        }
        if has_display_delay && fields.flag("initial_display_delay_present_for_this_op")? {
            fields.skip("initial_display_delay_minus_1", 4)?;
        }
    }
    Ok(first.unwrap_or_default())
}

/// Annex A.2.
fn profile_name(profile: u32) -> Option<String> {
    let name = match profile {
        0 => "Main",
        1 => "High",
        2 => "Professional",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Annex A.3: four steps a level from 2.0; 31 puts no limit on the stream.
fn level_name(index: u32) -> Option<String> {
    match index {
        0..=23 => Some(format!("{}.{}", 2 + (index >> 2), index & 3)),
        31 => Some("Maximum parameters".to_owned()),
        _ => None,
    }
}
