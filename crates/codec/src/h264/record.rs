//! The AVCDecoderConfigurationRecord made of parameter sets, and parameter sets out of it (ISO/IEC 14496-15 §5.3.3.1).
//!
//! Owns: both ways, and what a NAL unit is for. Parameter sets pass unchanged. Does not: judge what is in them beyond
//! what the record repeats.

use super::{CODEC, NAL_SPS, Profile, Record};
use crate::Error;
use crate::annexb::UnitKind;
use crate::fields::{Fields, Part};
use crate::nal::Rbsp;
use crate::record::SetsField;

/// Most sequence parameter sets in a record: the count has 5 bits.
const MAX_SPS: usize = 31;
/// Most picture parameter sets in a record: the count has 8 bits.
const MAX_PPS: usize = 255;

/// What a NAL unit is for (table 7-1).
pub fn unit_kind(unit: &[u8]) -> UnitKind {
    match unit.first().map(|byte| byte & 0x1f) {
        Some(1..=4) => UnitKind::Slice,
        Some(5) => UnitKind::KeySlice,
        Some(6) => UnitKind::Sei,
        Some(7) => UnitKind::Sps,
        Some(8) => UnitKind::Pps,
        Some(9) => UnitKind::Delimiter,
        Some(12) => UnitKind::Filler,
        _ => UnitKind::Other,
    }
}

/// Makes a record of parameter sets, for payloads with lengths of four bytes. Profile, level and format are those of the
/// first sequence parameter set.
///
/// Fails when that set is damaged, when either kind is missing, or when there are more or longer ones than a record holds
/// (31, 255, 65,535 bytes).
pub fn config_from(sps: &[&[u8]], pps: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let first = sps.first().copied().unwrap_or_default();
    let rbsp = Rbsp::unpack(
        CODEC,
        "sequenceParameterSetNALUnit",
        Part {
            bytes: first,
            offset: 0,
        },
    )?;
    let mut fields = Fields::rbsp(CODEC, &rbsp);
    fields.skip("nal_ref_idc", 3)?;
    let kind = fields.u32("nal_unit_type", 5)?;
    fields.expect("nal_unit_type", kind, NAL_SPS)?;
    let profile = Profile::read(&mut fields)?;
    fields.ue_to("seq_parameter_set_id", 31)?;
    let mut config = vec![1, profile.idc, profile.constraints, profile.level, 0xff];
    let sequence = SetsField {
        codec: CODEC,
        name: "numOfSequenceParameterSets",
        most: MAX_SPS,
    };
    sequence.push([0xe0], sps, &mut config)?;
    let picture = SetsField {
        codec: CODEC,
        name: "numOfPictureParameterSets",
        most: MAX_PPS,
    };
    picture.push([0], pps, &mut config)?;
    // The record's end of §5.3.3.1.2 is for these profiles; older writers leave it out, and readers allow that.
    if profile.has_chroma_format() {
        let format = fields.ue_to("chroma_format_idc", 3)? as u8;
        if format == 3 {
            fields.flag("separate_colour_plane_flag")?;
        }
        let luma = fields.ue_to("bit_depth_luma_minus8", 6)? as u8;
        let chroma = fields.ue_to("bit_depth_chroma_minus8", 6)? as u8;
        config.extend([0xfc | format, 0xf8 | luma, 0xf8 | chroma, 0]);
    }
    Ok(config)
}

/// The parameter sets of a record, sequence before picture, in its order; sets without a byte are left out.
///
/// Fails when the record ends within one of them. What stands behind the picture parameter sets is not read.
pub fn parameter_sets(config: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut fields = Fields::whole(CODEC, config);
    Record::read(&mut fields)?;
    fields.skip("reserved", 3)?;
    let mut sets = Vec::new();
    let count = fields.u32("numOfSequenceParameterSets", 5)?;
    take_sets(&mut fields, count, &mut sets)?;
    let count = fields.u32("numOfPictureParameterSets", 8)?;
    take_sets(&mut fields, count, &mut sets)?;
    Ok(sets)
}

fn take_sets<'a>(
    fields: &mut Fields<'a>,
    count: u32,
    sets: &mut Vec<&'a [u8]>,
) -> Result<(), Error> {
    for _ in 0..count {
        let length = fields.u32("parameterSetLength", 16)?;
        let set = fields.take("parameterSetNALUnit", length as usize)?.bytes;
        if !set.is_empty() {
            sets.push(set);
        }
    }
    Ok(())
}

/// `pic_parameter_set_id` of a picture parameter set (§7.3.2.2).
pub fn pps_id(unit: &[u8]) -> Result<u32, Error> {
    let mut fields = Fields::whole(CODEC, unit);
    fields.skip("nal_unit_type", 8)?;
    fields.ue_to("pic_parameter_set_id", 255)
}

/// Whether supplemental information says that decoding can begin at its access unit (D.1.8, `recovery_point` with
/// `recovery_frame_cnt` 0): how encoders with open groups of pictures mark what is no IDR picture.
pub fn is_recovery_point(sei: &[u8]) -> bool {
    let mut fields = Fields::whole(CODEC, sei);
    let mut walk = || -> Result<bool, Error> {
        fields.skip("nal_unit_type", 8)?;
        // payloads before it are timing and buffering, which hold no escapes that matter to their own lengths
        while fields.remaining() > 8 {
            let kind = ff_coded(&mut fields)?;
            let size = ff_coded(&mut fields)?;
            if kind == RECOVERY_POINT {
                return Ok(fields.ue("recovery_frame_cnt")? == 0);
            }
            fields.take("sei_payload", size)?;
        }
        Ok(false)
    };
    walk().unwrap_or(false)
}

/// `payloadType` of a recovery point.
const RECOVERY_POINT: usize = 6;

/// A number of SEI: bytes of 255 and a last one, added up (§7.3.2.3.1).
fn ff_coded(fields: &mut Fields<'_>) -> Result<usize, Error> {
    let mut sum = 0usize;
    loop {
        let byte = fields.u8("sei_message")?;
        sum = sum.saturating_add(byte.into());
        if byte != 0xff {
            return Ok(sum);
        }
    }
}

/// Whether a slice is one of intra prediction only (§7.4.3, `slice_type` I or SI).
pub fn is_intra_slice(unit: &[u8]) -> bool {
    let mut fields = Fields::whole(CODEC, unit.get(..unit.len().min(16)).unwrap_or_default());
    let mut read = || -> Result<u32, Error> {
        fields.skip("nal_unit_type", 8)?;
        fields.ue("first_mb_in_slice")?;
        fields.ue_to("slice_type", 9)
    };
    read().is_ok_and(|kind| matches!(kind % 5, 2 | 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libx264 of ffmpeg 5.1, High at level 1.1.
    const SPS: &[u8] = &[
        0x67, 0x64, 0x00, 0x0b, 0xac, 0xd9, 0x42, 0x8d, 0xf9, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04,
        0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x50, 0xa6, 0x58,
    ];
    const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

    #[test]
    fn the_record_is_that_of_ffmpeg_and_gives_its_sets_back() {
        let config = config_from(&[SPS], &[PPS]).unwrap();
        let mut expected = vec![1, 0x64, 0, 0x0b, 0xff, 0xe1, 0, 24];
        expected.extend(SPS);
        expected.extend([1, 0, 6]);
        expected.extend(PPS);
        expected.extend([0xfd, 0xf8, 0xf8, 0]);
        assert_eq!(config, expected);
        assert_eq!(parameter_sets(&config), Ok(vec![SPS, PPS]));
        assert!(super::super::describe(&config).is_ok());
    }

    #[test]
    fn several_sets_survive_and_a_baseline_record_has_no_end() {
        let baseline = [0x67, 66, 0xc0, 30, 0xda, 1];
        let config = config_from(&[&baseline, SPS], &[PPS, &[0x68, 1]]).unwrap();
        assert!(config.ends_with(&[0, 2, 0x68, 1]));
        let sets = parameter_sets(&config).unwrap();
        assert_eq!(sets, [&baseline[..], SPS, PPS, &[0x68, 1]]);
    }

    #[test]
    fn missing_damaged_and_too_many_sets_are_refused() {
        assert!(config_from(&[], &[PPS]).is_err());
        assert!(config_from(&[SPS], &[]).is_err());
        assert!(config_from(&[PPS], &[PPS]).is_err());
        assert!(config_from(&[&SPS[..4]], &[PPS]).is_err());
        assert!(matches!(
            config_from(&[SPS; 32], &[PPS]),
            Err(Error::TooLarge { limit: 31, .. })
        ));
        let config = config_from(&[SPS], &[PPS]).unwrap();
        for length in 0..config.len() - 4 {
            assert!(parameter_sets(&config[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn pictures_at_which_decoding_can_begin() {
        assert_eq!(unit_kind(&[0x65]), UnitKind::KeySlice);
        assert_eq!(unit_kind(&[]), UnitKind::Other);
        // a timing message of 1 byte, then a recovery point of count 0 and one of count 2
        assert!(is_recovery_point(&[6, 1, 1, 9, 6, 1, 0xc4, 0x80]));
        assert!(!is_recovery_point(&[6, 6, 1, 0x64, 0x80]));
        assert!(!is_recovery_point(&[6, 5, 0xff, 1, 0, 0]));
        assert!(is_intra_slice(&[0x41, 0x88, 0x80]));
        assert!(!is_intra_slice(&[0x41, 0x9a, 0x00]));
        assert_eq!(pps_id(PPS), Ok(0));
    }
}
