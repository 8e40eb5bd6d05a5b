//! The HEVCDecoderConfigurationRecord made of parameter sets, and parameter sets out of it (ISO/IEC 14496-15 §8.3.3.1).
//!
//! Owns: both ways, and what a NAL unit is for. Parameter sets pass unchanged. Does not: judge what is in them beyond
//! what the record repeats.

use super::{CODEC, NAL_SPS, NAL_VPS, Record, nal_header, profile::Profile, skip};
use crate::Error;
use crate::annexb::UnitKind;
use crate::fields::{Fields, Part};
use crate::nal::Rbsp;
use crate::record::SetsField;

/// `nal_unit_type` of a picture parameter set (table 7-1).
const NAL_PPS: u32 = 34;

/// Most parameter sets of one kind: their ids end at 63 (§7.4.3.3.1), 15 for the others.
const MAX_SETS: usize = 64;

/// What a NAL unit is for (table 7-1). Units of other layers than the base layer are [`UnitKind::Other`].
pub fn unit_kind(unit: &[u8]) -> UnitKind {
    let [first, second, ..] = unit else {
        return UnitKind::Other;
    };
    if first & 1 != 0 || second >> 3 != 0 {
        return UnitKind::Other;
    }
    match first >> 1 & 0x3f {
        0..=9 => UnitKind::Slice,
        16..=23 => UnitKind::KeySlice,
        32 => UnitKind::Vps,
        33 => UnitKind::Sps,
        34 => UnitKind::Pps,
        35 => UnitKind::Delimiter,
        38 => UnitKind::Filler,
        39 => UnitKind::Sei,
        _ => UnitKind::Other,
    }
}

/// Makes a record of parameter sets, for payloads with lengths of four bytes. Profile, level and format are those of the
/// first sequence parameter set.
///
/// Fails when that set is damaged, when a kind is missing, or when there are more than 64 of a kind or longer ones than
/// 65,535 bytes.
pub fn config_from(vps: &[&[u8]], sps: &[&[u8]], pps: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let first = Part {
        bytes: sps.first().copied().unwrap_or_default(),
        offset: 0,
    };
    let rbsp = Rbsp::unpack(CODEC, "seq_parameter_set_rbsp", first)?;
    let mut fields = Fields::rbsp(CODEC, &rbsp);
    nal_header(&mut fields, NAL_SPS)?;
    fields.skip("sps_video_parameter_set_id", 4)?;
    let sub_layers = skip::sub_layers(&mut fields)?;
    let nesting = u8::from(fields.flag("sps_temporal_id_nesting_flag")?);
    // the 12 bytes of the general profile and level follow on a byte boundary, as they stand in the record
    let general = fields.clone().take("profile_tier_level", GENERAL_BYTES)?;
    Profile::read(&mut fields)?;
    skip::sub_layer_profiles(&mut fields, sub_layers)?;
    fields.ue_to("sps_seq_parameter_set_id", 15)?;
    let format = fields.ue_to("chroma_format_idc", 3)? as u8;
    if format == 3 {
        fields.flag("separate_colour_plane_flag")?;
    }
    fields.ue("pic_width_in_luma_samples")?;
    fields.ue("pic_height_in_luma_samples")?;
    if fields.flag("conformance_window_flag")? {
        for _ in 0..4 {
            fields.ue("conf_win_offset")?;
        }
    }
    let luma = fields.ue_to("bit_depth_luma_minus8", 8)? as u8;
    let chroma = fields.ue_to("bit_depth_chroma_minus8", 8)? as u8;
    let mut config = vec![1];
    config.extend_from_slice(general.bytes);
    // no segmentation and no parallelism is promised, and no rate is known
    config.extend([0xf0, 0, 0xfc]);
    config.extend([0xfc | format, 0xf8 | luma & 7, 0xf8 | chroma & 7, 0, 0]);
    let layers = sub_layers.saturating_add(1).min(7) as u8;
    config.extend([layers << 3 | nesting << 2 | 3, 3]);
    for (kind, name, sets) in [
        (NAL_VPS, "video_parameter_set", vps),
        (NAL_SPS, "seq_parameter_set", sps),
        (NAL_PPS, "pic_parameter_set", pps),
    ] {
        let field = SetsField {
            codec: CODEC,
            name,
            most: MAX_SETS,
        };
        // the array is complete; the number of its units has two bytes
        field.push([0x80 | kind as u8, 0, 0], sets, &mut config)?;
    }
    Ok(config)
}

/// Bytes from `general_profile_space` to `general_level_idc` (§7.3.3).
const GENERAL_BYTES: usize = 12;

/// The video, sequence and picture parameter sets of a record in its order; sets without a byte, and other units that a
/// record may hold (supplemental information), are left out.
///
/// Fails when the record ends within one of them.
pub fn parameter_sets(config: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut fields = Fields::whole(CODEC, config);
    Record::read(&mut fields)?;
    let mut sets = Vec::new();
    for _ in 0..fields.u8("numOfArrays")? {
        fields.skip("array_completeness", 2)?;
        let kind = fields.u32("NAL_unit_type", 6)?;
        for _ in 0..fields.u32("numNalus", 16)? {
            let length = fields.u32("nalUnitLength", 16)?;
            let unit = fields.take("nalUnit", length as usize)?.bytes;
            if matches!(kind, NAL_VPS | NAL_SPS | NAL_PPS) && !unit.is_empty() {
                sets.push(unit);
            }
        }
    }
    Ok(sets)
}

/// `pps_pic_parameter_set_id` of a picture parameter set (§7.3.2.3.1).
pub fn pps_id(unit: &[u8]) -> Result<u32, Error> {
    let mut fields = Fields::whole(CODEC, unit);
    fields.skip("nal_unit_type", 16)?;
    fields.ue_to("pps_pic_parameter_set_id", 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libx265 of ffmpeg 8: 4:4:4, one sub-layer; the sets have emulation prevention in them.
    const VPS: &[u8] = &[
        0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x1e, 0x95, 0x90, 0x09,
    ];
    const SPS: &[u8] = &[
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00,
        0x00, 0x1e, 0x90, 0x04, 0x10, 0x62, 0xcb, 0x2b, 0x25, 0xc9, 0x95, 0xe0, 0x2d, 0xc0, 0x80,
        0x80, 0x01, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x0a, 0x08,
    ];
    const PPS: &[u8] = &[0x44, 0x01, 0xc1, 0x73, 0x18, 0x31, 0x08, 0x90];
    /// The fixed part of the record that ffmpeg 8 made of them.
    const RECORD: [u8; 22] = [
        0x01, 0x04, 0x08, 0x00, 0x00, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x00, 0x00, 0x1e, 0xf0, 0x00,
        0xfc, 0xff, 0xf8, 0xf8, 0x00, 0x00, 0x0f,
    ];

    #[test]
    fn the_record_is_that_of_ffmpeg_and_gives_its_sets_back() {
        let config = config_from(&[VPS], &[SPS], &[PPS]).unwrap();
        assert_eq!(&config[..22], RECORD);
        assert_eq!(&config[22..28], [3, 0xa0, 0, 1, 0, 23]);
        assert_eq!(parameter_sets(&config), Ok(vec![VPS, SPS, PPS]));
        assert!(super::super::describe(&config).is_ok());
        for length in 0..config.len() {
            assert!(parameter_sets(&config[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn supplemental_information_of_a_record_is_left_out() {
        let mut config = config_from(&[VPS], &[SPS], &[PPS]).unwrap();
        config[22] = 4;
        config.extend([39, 0, 1, 0, 3, 0x4e, 1, 5]);
        assert_eq!(parameter_sets(&config), Ok(vec![VPS, SPS, PPS]));
    }

    #[test]
    fn missing_and_damaged_sets_are_refused() {
        assert!(config_from(&[], &[SPS], &[PPS]).is_err());
        assert!(config_from(&[VPS], &[], &[PPS]).is_err());
        assert!(config_from(&[VPS], &[SPS], &[]).is_err());
        assert!(config_from(&[VPS], &[VPS], &[PPS]).is_err());
        assert!(config_from(&[VPS], &[&SPS[..12]], &[PPS]).is_err());
        assert!(config_from(&[VPS; 65], &[SPS], &[PPS]).is_err());
    }

    #[test]
    fn kinds_are_those_of_the_base_layer() {
        assert_eq!(unit_kind(&[0x26, 1]), UnitKind::KeySlice);
        assert_eq!(unit_kind(&[0x2a, 1]), UnitKind::KeySlice);
        assert_eq!(unit_kind(&[0x02, 1]), UnitKind::Slice);
        assert_eq!(unit_kind(&[0x46, 1]), UnitKind::Delimiter);
        assert_eq!(unit_kind(&[0x42, 0x09]), UnitKind::Other);
        assert_eq!(unit_kind(&[0x42]), UnitKind::Other);
        assert_eq!(pps_id(PPS), Ok(0));
    }
}
