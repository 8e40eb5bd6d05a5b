//! H.266: the VvcDecoderConfigurationRecord of ISO/IEC 14496-15 §11.2.4.2.
//!
//! Owns: what the record itself says of profile, level, size and rate. Does not: read parameter sets.

use weir_media::{Codec, VideoCodec, VideoInfo};

use crate::Error;
use crate::fields::Fields;

const CODEC: Codec = Codec::Video(VideoCodec::H266);

/// Describes a track by its VvcDecoderConfigurationRecord; nothing but the codec is known where it leaves out the profile.
pub(crate) fn describe(config: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    fields.skip("reserved", 7)?;
    if !fields.flag("ptl_present_flag")? {
        return Ok(VideoInfo::default());
    }
    fields.skip("ols_idx", 9)?;
    let sub_layers = fields.u32("num_sublayers", 3)? as usize;
    fields.skip("constant_frame_rate", 2)?;
    fields.skip("chroma_format_idc", 2)?;
    fields.skip("bit_depth_minus8", 8)?;
    let (profile, level) = profile(&mut fields, sub_layers)?;
    let width = fields.u32("max_picture_width", 16)?;
    let height = fields.u32("max_picture_height", 16)?;
    let average = fields.u32("avg_frame_rate", 16)?;
    let frame_rate = (average != 0).then(|| f64::from(average) / 256.0);
    Ok(VideoInfo {
        profile,
        level,
        width,
        height,
        frame_rate,
    })
}

/// VvcPTLRecord: names of profile and level.
fn profile(
    fields: &mut Fields<'_>,
    sub_layers: usize,
) -> Result<(Option<String>, Option<String>), Error> {
    fields.skip("reserved", 2)?;
    let constraint_bytes = fields.u32("num_bytes_constraint_info", 6)? as usize;
    let profile = fields.u32("general_profile_idc", 7)?;
    fields.skip("general_tier_flag", 1)?;
    let level = fields.u8("general_level_idc")?;
    // The two flags in front are part of the constraint bytes and are there even when those are none.
    fields.skip("general_constraint_info", (constraint_bytes * 8).max(2))?;
    let mut levels = 0;
    for _ in 1..sub_layers {
        levels += usize::from(fields.flag("sublayer_level_present_flag")?);
    }
    if sub_layers > 1 {
        fields.skip("ptl_reserved_zero_bit", 9 - sub_layers)?;
    }
    fields.align("general_constraint_info")?;
    fields.skip("sublayer_level_idc", levels * 8)?;
    let sub_profiles = usize::from(fields.u8("ptl_num_sub_profiles")?);
    fields.skip("general_sub_profile_idc", sub_profiles * 32)?;
    Ok((profile_name(profile), level_name(level)))
}

/// ITU-T H.266 annex A.3.
fn profile_name(idc: u32) -> Option<String> {
    let name = match idc {
        1 => "Main 10",
        17 => "Multilayer Main 10",
        33 => "Main 10 4:4:4",
        49 => "Multilayer Main 10 4:4:4",
        65 => "Main 10 Still Picture",
        97 => "Main 10 4:4:4 Still Picture",
        _ => return None,
    };
    Some(name.to_owned())
}

/// ITU-T H.266 table A.1: sixteens are the level, threes its fraction.
fn level_name(idc: u8) -> Option<String> {
    (idc >= 16).then(|| format!("{}.{}", idc / 16, idc % 16 / 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_enough_for_profile_level_size_and_rate() {
        // One sub-layer, one constraint byte, Main 10 at 4.0 (64), 1920x1080 at 25.
        let record = [
            0xff, 0x00, 0x11, 0x5f, 0x01, 0x02, 0x40, 0x00, 0x00, 0x07, 0x80, 0x04, 0x38, 0x19,
            0x00, 0x00,
        ];
        let info = describe(&record).unwrap();
        assert_eq!(info.profile.as_deref(), Some("Main 10"));
        assert_eq!(info.level.as_deref(), Some("4.0"));
        assert_eq!(
            (info.width, info.height, info.frame_rate),
            (1920, 1080, Some(25.0))
        );
    }

    #[test]
    fn a_record_without_a_profile_says_nothing() {
        assert_eq!(describe(&[0xfe, 0]), Ok(VideoInfo::default()));
        assert_eq!(describe(&[]).unwrap_err().offset(), Some(0));
    }
}
