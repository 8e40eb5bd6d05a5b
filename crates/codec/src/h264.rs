//! H.264: the AVCDecoderConfigurationRecord of ISO/IEC 14496-15 §5.3.3.1 and the sequence parameter set of
//! ITU-T H.264 §7.3.2.1.1, far enough to describe a track.
//!
//! Owns: profile, level, size and frame rate; walking the NAL units of a payload; records made of parameter sets, and the
//! sets in them. Does not: read pictures.

use weir_media::{Codec, VideoCodec, VideoInfo};

use crate::Error;
use crate::fields::{Fields, Part};
use crate::nal::{LengthSize, NalUnits, Rbsp};
use crate::vui;

mod record;

pub use record::{
    config_from, is_intra_slice, is_recovery_point, parameter_sets, pps_id, unit_kind,
};

const CODEC: Codec = Codec::Video(VideoCodec::H264);

/// The NAL units of a coded picture's payload, each behind its length; [`length_size`] tells how long that is.
///
/// Nothing is copied. An error ends the walk and carries its offset in `payload`.
pub fn nal_units(payload: &[u8], length_size: LengthSize) -> NalUnits<'_> {
    NalUnits::new(CODEC, payload, length_size)
}

/// The size of the lengths in the payloads that belong to an AVCDecoderConfigurationRecord.
pub fn length_size(config: &[u8]) -> Result<LengthSize, Error> {
    Ok(Record::read(&mut Fields::whole(CODEC, config))?.length_size)
}

/// Describes a track by its AVCDecoderConfigurationRecord. Without a parameter set in it, only profile and level are told.
pub(crate) fn describe(config: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    let record = Record::read(&mut fields)?;
    fields.skip("reserved", 3)?;
    if fields.u32("numOfSequenceParameterSets", 5)? == 0 {
        return Ok(VideoInfo {
            profile: record.profile.name(),
            level: record.profile.level(),
            ..VideoInfo::default()
        });
    }
    let length = fields.u32("sequenceParameterSetLength", 16)?;
    let nal = fields.take("sequenceParameterSetNALUnit", length as usize)?;
    sequence_parameter_set(nal)
}

/// The fixed head of an AVCDecoderConfigurationRecord.
struct Record {
    profile: Profile,
    length_size: LengthSize,
}

impl Record {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let version = fields.u32("configurationVersion", 8)?;
        fields.expect("configurationVersion", version, 1)?;
        let profile = Profile::read(fields)?;
        fields.skip("reserved", 6)?;
        Ok(Self {
            profile,
            length_size: LengthSize::read(fields)?,
        })
    }
}

/// `profile_idc`, the constraint flags (`constraint_set0_flag` is the highest bit) and `level_idc`.
#[derive(Debug, Clone, Copy)]
struct Profile {
    idc: u8,
    constraints: u8,
    level: u8,
}

impl Profile {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let idc = fields.u8("profile_idc")?;
        let constraints = fields.u8("constraint_set_flags")?;
        Ok(Self {
            idc,
            constraints,
            level: fields.u8("level_idc")?,
        })
    }

    fn constraint(self, set: u8) -> bool {
        self.constraints & (0x80 >> set) != 0
    }

    /// The name of annex A.2, G.10 or H.10.
    fn name(self) -> Option<String> {
        let intra = self.constraint(3);
        let name = match self.idc {
            66 if self.constraint(1) => "Constrained Baseline",
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 if self.constraint(4) && self.constraint(5) => "Constrained High",
            100 if self.constraint(4) => "Progressive High",
            100 => "High",
            110 if intra => "High 10 Intra",
            110 => "High 10",
            122 if intra => "High 4:2:2 Intra",
            122 => "High 4:2:2",
            244 if intra => "High 4:4:4 Intra",
            244 => "High 4:4:4 Predictive",
            44 => "CAVLC 4:4:4 Intra",
            83 => "Scalable Baseline",
            86 => "Scalable High",
            118 => "Multiview High",
            128 => "Stereo High",
            _ => return None,
        };
        Some(name.to_owned())
    }

    /// The level of table A-1: `level_idc` counts tenths, and 1b has two spellings (A.3.4).
    fn level(self) -> Option<String> {
        let early = matches!(self.idc, 66 | 77 | 88);
        match (self.level, self.level % 10) {
            (0, _) => None,
            (9, _) => Some("1b".to_owned()),
            (11, _) if early && self.constraint(3) => Some("1b".to_owned()),
            (level, 0) => Some((level / 10).to_string()),
            (level, tenths) => Some(format!("{}.{tenths}", level / 10)),
        }
    }

    /// Whether the SPS carries the chroma format and what follows it (§7.3.2.1.1).
    fn has_chroma_format(self) -> bool {
        matches!(
            self.idc,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        )
    }
}

/// `nal_unit_type` of a sequence parameter set (table 7-1).
const NAL_SPS: u32 = 7;

fn sequence_parameter_set(nal: Part<'_>) -> Result<VideoInfo, Error> {
    let rbsp = Rbsp::unpack(CODEC, "sequenceParameterSetNALUnit", nal)?;
    let mut fields = Fields::rbsp(CODEC, &rbsp);
    fields.skip("nal_ref_idc", 3)?;
    let kind = fields.u32("nal_unit_type", 5)?;
    fields.expect("nal_unit_type", kind, NAL_SPS)?;
    let profile = Profile::read(&mut fields)?;
    fields.ue_to("seq_parameter_set_id", 31)?;
    let chroma = if profile.has_chroma_format() {
        Chroma::read(&mut fields)?
    } else {
        Chroma::YUV420
    };
    skip_picture_order(&mut fields)?;
    let (width, height) = size(&mut fields, chroma)?;
    let mut frame_rate = None;
    if fields.flag("vui_parameters_present_flag")? {
        vui::skip_to_chroma_location(&mut fields)?;
        // A tick is a field's time (E.2.1), and a frame is two.
        frame_rate = vui::timing(&mut fields)?.map(|ticks| ticks / 2.0);
    }
    Ok(VideoInfo {
        profile: profile.name(),
        level: profile.level(),
        width,
        height,
        frame_rate,
    })
}

/// How many luma samples a chroma sample spans, across and down: the unit of cropping (equations 7-19 to 7-22).
#[derive(Debug, Clone, Copy)]
struct Chroma {
    across: u64,
    down: u64,
}

impl Chroma {
    /// What profiles without `chroma_format_idc` have.
    const YUV420: Self = Self { across: 2, down: 2 };

    /// Reads from `chroma_format_idc` to the end of the scaling lists.
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let format = fields.ue_to("chroma_format_idc", 3)?;
        if format == 3 {
            fields.flag("separate_colour_plane_flag")?;
        }
        fields.ue("bit_depth_luma_minus8")?;
        fields.ue("bit_depth_chroma_minus8")?;
        fields.flag("qpprime_y_zero_transform_bypass_flag")?;
        if fields.flag("seq_scaling_matrix_present_flag")? {
            for list in 0..if format == 3 { 12 } else { 8 } {
                if fields.flag("seq_scaling_list_present_flag")? {
                    skip_scaling_list(fields, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(match format {
            1 => Self::YUV420,
            2 => Self { across: 2, down: 1 },
            _ => Self { across: 1, down: 1 },
        })
    }
}

/// §7.3.2.1.1.1: a list ends early once the next scale is 0.
fn skip_scaling_list(fields: &mut Fields<'_>, entries: usize) -> Result<(), Error> {
    let mut last = 8i64;
    for _ in 0..entries {
        let next = (last + i64::from(fields.se("delta_scale")?)).rem_euclid(256);
        if next == 0 {
            break;
        }
        last = next;
    }
    Ok(())
}

/// Passes over `log2_max_frame_num_minus4` up to the reference frames.
fn skip_picture_order(fields: &mut Fields<'_>) -> Result<(), Error> {
    fields.ue("log2_max_frame_num_minus4")?;
    match fields.ue_to("pic_order_cnt_type", 2)? {
        0 => {
            fields.ue("log2_max_pic_order_cnt_lsb_minus4")?;
        }
        1 => {
            fields.flag("delta_pic_order_always_zero_flag")?;
            fields.se("offset_for_non_ref_pic")?;
            fields.se("offset_for_top_to_bottom_field")?;
            for _ in 0..fields.ue_to("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                fields.se("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    fields.ue("max_num_ref_frames")?;
    fields
        .flag("gaps_in_frame_num_value_allowed_flag")
        .map(drop)
}

/// Reads from `pic_width_in_mbs_minus1` to the cropping; the size as shown, in luma samples.
fn size(fields: &mut Fields<'_>, chroma: Chroma) -> Result<(u32, u32), Error> {
    let columns = u64::from(fields.ue("pic_width_in_mbs_minus1")?) + 1;
    let rows = u64::from(fields.ue("pic_height_in_map_units_minus1")?) + 1;
    let fields_a_row = if fields.flag("frame_mbs_only_flag")? {
        1
    } else {
        fields.flag("mb_adaptive_frame_field_flag")?;
        2
    };
    fields.flag("direct_8x8_inference_flag")?;
    let (mut across, mut down) = (0, 0);
    if fields.flag("frame_cropping_flag")? {
        across = u64::from(fields.ue("frame_crop_left_offset")?)
            + u64::from(fields.ue("frame_crop_right_offset")?);
        down = u64::from(fields.ue("frame_crop_top_offset")?)
            + u64::from(fields.ue("frame_crop_bottom_offset")?);
    }
    let width = fields.side(
        "pic_width_in_mbs_minus1",
        columns * 16,
        across * chroma.across,
    )?;
    let height = fields.side(
        "pic_height_in_map_units_minus1",
        rows * 16 * fields_a_row,
        down * chroma.down * fields_a_row,
    )?;
    Ok((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bit_writer::BitWriter;

    /// From the NAL unit header to `seq_parameter_set_id`.
    fn head(profile: u64, constraints: u64, level: u64) -> BitWriter {
        BitWriter::default()
            .u(8, 0x67)
            .u(8, profile)
            .u(8, constraints)
            .u(8, level)
            .ue(&[0])
    }

    fn read(writer: BitWriter) -> Result<VideoInfo, Error> {
        sequence_parameter_set(Part {
            bytes: &writer.u(1, 1).nal(),
            offset: 0,
        })
    }

    #[test]
    fn scaling_lists_and_order_count_cycles_are_passed_over() {
        let lists = head(100, 0, 40).ue(&[1, 0, 0]).zeros(1).u(1, 1);
        // A full list; one that ends at once (8 - 8 = 0); one that ends after two; the rest absent but the last.
        let lists = lists
            .u(1, 1)
            .se(&[1; 16])
            .u(1, 1)
            .se(&[-8])
            .u(1, 1)
            .se(&[4, 4, -16]);
        let lists = lists.zeros(4).u(1, 1).se(&[-3; 64]);
        let orders = lists
            .ue(&[0, 1])
            .zeros(1)
            .se(&[-2, 7])
            .ue(&[3])
            .se(&[1, -1, 5])
            .ue(&[4]);
        let sps = orders
            .zeros(1)
            .ue(&[119, 67])
            .u(1, 1)
            .u(1, 1)
            .u(1, 1)
            .ue(&[0, 0, 0, 4])
            .zeros(1);
        let info = read(sps).unwrap();
        assert_eq!(
            (info.width, info.height, info.frame_rate),
            (1920, 1080, None)
        );
    }

    #[test]
    fn interlaced_map_units_are_twice_as_high() {
        let sps = head(77, 0, 30)
            .ue(&[0, 2, 1])
            .zeros(1)
            .ue(&[44, 17])
            .u(1, 0)
            .u(1, 0)
            .u(1, 1);
        let info = read(sps.zeros(2)).unwrap();
        assert_eq!((info.width, info.height), (720, 576));
    }

    #[test]
    fn zero_in_the_timing_means_unknown() {
        let sps = head(66, 0, 30)
            .ue(&[0, 2, 1])
            .zeros(1)
            .ue(&[39, 29])
            .u(1, 1)
            .u(1, 1)
            .zeros(1);
        let info = read(sps.u(1, 1).zeros(4).u(1, 1).u(32, 0).u(32, 50).u(1, 0)).unwrap();
        assert_eq!((info.width, info.height, info.frame_rate), (640, 480, None));
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let sized = |columns, crop: &[u64]| {
            let sps = head(66, 0, 30)
                .ue(&[0, 2, 1])
                .zeros(1)
                .ue(&[columns, 29])
                .u(2, 3)
                .u(1, 1);
            read(sps.ue(crop).zeros(1))
        };
        assert!(sized(39, &[0, 0, 0, 0]).is_ok());
        for (columns, crop) in [
            (4_000_000_000, [0; 4]),
            (39, [0, 320, 0, 0]),
            (39, [4_000_000_000; 4]),
        ] {
            assert!(
                matches!(sized(columns, &crop), Err(Error::Invalid { .. })),
                "{columns}"
            );
        }
    }

    #[test]
    fn names_of_profiles_and_levels() {
        let told = |idc, constraints, level| {
            let profile = Profile {
                idc,
                constraints,
                level,
            };
            (
                profile.name().unwrap_or_default(),
                profile.level().unwrap_or_default(),
            )
        };
        assert_eq!(told(66, 0, 11), ("Baseline".into(), "1.1".into()));
        assert_eq!(
            told(66, 0x50, 11),
            ("Constrained Baseline".into(), "1b".into())
        );
        assert_eq!(told(100, 0x10, 11), ("High".into(), "1.1".into()));
        assert_eq!(
            told(100, 0x0c, 52),
            ("Constrained High".into(), "5.2".into())
        );
        assert_eq!(told(110, 0x10, 50), ("High 10 Intra".into(), "5".into()));
        assert_eq!(told(1, 0, 0), (String::new(), String::new()));
    }
}
