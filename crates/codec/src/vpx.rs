//! VP8 and VP9: the VPCodecConfigurationRecord (VP codec ISO media file format binding) and the headers of key frames
//! (RFC 6386 §9.1; VP9 bitstream specification §6.2).
//!
//! Owns: profile and level, which the record has, and the size, which only frames have. Does not: read pictures.

use weir_media::{Codec, VideoCodec, VideoInfo};

use crate::Error;
use crate::fields::Fields;

const VP8: Codec = Codec::Video(VideoCodec::Vp8);
const VP9: Codec = Codec::Video(VideoCodec::Vp9);

/// Version 1 and no flags: the full box header of `vpcC`.
const FULL_BOX: [u8; 4] = [1, 0, 0, 0];

/// Describes a track by its VPCodecConfigurationRecord. The size stays unknown.
///
/// Newer releases of ffmpeg send the record with the version and flags of its MP4 box in front
/// (`ff_isom_write_vpcc`, shared with its MP4 muxer); older ones and enhanced RTMP have it bare. The two cannot
/// be confused: bare, those four bytes would announce a depth of 0 bits.
pub(crate) fn describe(codec: VideoCodec, config: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(Codec::Video(codec), config);
    if config.starts_with(&FULL_BOX) {
        fields.skip("version", 32)?;
    }
    let profile = fields.u8("profile")?;
    if profile > 3 {
        return Err(fields.invalid("profile"));
    }
    let level = fields.u8("level")?;
    if !matches!(fields.u32("bitDepth", 4)?, 8 | 10 | 12) {
        return Err(fields.invalid("bitDepth"));
    }
    let profile = Some(profile_name(profile.into()));
    Ok(VideoInfo {
        profile,
        level: level_name(level),
        ..VideoInfo::default()
    })
}

/// Describes a track by a VP8 key frame.
pub(crate) fn describe_vp8_frame(payload: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(VP8, payload);
    // The frame tag is little endian: its first byte holds size bits, show_frame, version and the frame type.
    fields.skip("first_part_size", 4)?;
    let version = fields.u32("version", 3)?;
    if fields.flag("frame_type")? {
        return Err(Error::NoDescription { codec: VP8 });
    }
    fields.skip("first_part_size", 16)?;
    let start = fields.u32("start_code", 24)?;
    fields.expect("start_code", start, 0x9d_01_2a)?;
    let width = vp8_side(&mut fields, "horizontal_size_code")?;
    let height = vp8_side(&mut fields, "vertical_size_code")?;
    Ok(VideoInfo {
        profile: Some(profile_name(version)),
        width,
        height,
        ..VideoInfo::default()
    })
}

/// A side's 14 bits, below 2 bits of scaling, in two bytes, little endian.
fn vp8_side(fields: &mut Fields<'_>, field: &'static str) -> Result<u32, Error> {
    let code = (fields.u32(field, 16)? as u16).swap_bytes();
    fields.side(field, u64::from(code & 0x3fff), 0)
}

/// Describes a track by a VP9 key frame, alone or first in its superframe.
pub(crate) fn describe_vp9_frame(payload: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(VP9, payload);
    let marker = fields.u32("frame_marker", 2)?;
    fields.expect("frame_marker", marker, 2)?;
    let low = u32::from(fields.flag("profile_low_bit")?);
    let profile = low | u32::from(fields.flag("profile_high_bit")?) << 1;
    if profile == 3 && fields.flag("reserved_zero")? {
        return Err(fields.unsupported("reserved_zero"));
    }
    if fields.flag("show_existing_frame")? || fields.flag("frame_type")? {
        return Err(Error::NoDescription { codec: VP9 });
    }
    fields.skip("show_frame", 2)?;
    let sync = fields.u32("frame_sync_code", 24)?;
    fields.expect("frame_sync_code", sync, 0x49_83_42)?;
    skip_colour(&mut fields, profile)?;
    let width = u64::from(fields.u32("frame_width_minus_1", 16)?) + 1;
    let width = fields.side("frame_width_minus_1", width, 0)?;
    let height = u64::from(fields.u32("frame_height_minus_1", 16)?) + 1;
    let height = fields.side("frame_height_minus_1", height, 0)?;
    Ok(VideoInfo {
        profile: Some(profile_name(profile)),
        width,
        height,
        ..VideoInfo::default()
    })
}

/// `color_config` of VP9.
fn skip_colour(fields: &mut Fields<'_>, profile: u32) -> Result<(), Error> {
    const CS_RGB: u32 = 7;
    if profile >= 2 {
        fields.flag("ten_or_twelve_bit")?;
    }
    let has_subsampling = profile & 1 == 1;
    match (fields.u32("color_space", 3)?, has_subsampling) {
        (CS_RGB, true) => fields.skip("reserved_zero", 1),
        (CS_RGB, false) => Err(fields.invalid("color_space")),
        (_, true) => fields.skip("color_range", 4),
        (_, false) => fields.skip("color_range", 1),
    }
}

fn profile_name(profile: u32) -> String {
    format!("Profile {profile}")
}

/// Tenths; 0 is "not known".
fn level_name(level: u8) -> Option<String> {
    match (level / 10, level % 10) {
        (0, _) => None,
        (major, 0) => Some(major.to_string()),
        (major, minor) => Some(format!("{major}.{minor}")),
    }
}
