//! H.265: the HEVCDecoderConfigurationRecord of ISO/IEC 14496-15 §8.3.3.1 and the video and sequence parameter
//! sets of ITU-T H.265 §7.3.2.1 and §7.3.2.2, far enough to describe a track.
//!
//! Owns: profile, level, size and frame rate; walking the NAL units of a payload; records made of parameter sets, and the
//! sets in them. Does not: read pictures, or parameter sets of any layer but the base layer.

use weir_media::{Codec, VideoCodec, VideoInfo};

use crate::Error;
use crate::fields::{Fields, Part};
use crate::nal::{LengthSize, NalUnits, Rbsp};
use crate::vui;

mod profile;
mod record;
mod skip;

pub use record::{config_from, parameter_sets, pps_id, unit_kind};

use profile::Profile;

pub(crate) const CODEC: Codec = Codec::Video(VideoCodec::H265);

/// `nal_unit_type` of a video parameter set (table 7-1).
const NAL_VPS: u32 = 32;
/// `nal_unit_type` of a sequence parameter set.
const NAL_SPS: u32 = 33;

/// The NAL units of a coded picture's payload, each behind its length; [`length_size`] tells how long that is.
///
/// Nothing is copied. An error ends the walk and carries its offset in `payload`.
pub fn nal_units(payload: &[u8], length_size: LengthSize) -> NalUnits<'_> {
    NalUnits::new(CODEC, payload, length_size)
}

/// The size of the lengths in the payloads that belong to an HEVCDecoderConfigurationRecord.
pub fn length_size(config: &[u8]) -> Result<LengthSize, Error> {
    Ok(Record::read(&mut Fields::whole(CODEC, config))?.length_size)
}

/// Describes a track by its HEVCDecoderConfigurationRecord. Without a parameter set in it, the size stays unknown.
pub(crate) fn describe(config: &[u8]) -> Result<VideoInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    let record = Record::read(&mut fields)?;
    let sets = ParameterSets::find(&mut fields)?;
    let mut info = VideoInfo {
        profile: record.profile.name(),
        level: record.profile.level(),
        ..VideoInfo::default()
    };
    if let Some(nal) = sets.sps {
        info = sequence_parameter_set(nal)?;
    }
    if info.frame_rate.is_none() {
        info.frame_rate = sets.vps.map(video_parameter_set).transpose()?.flatten();
    }
    info.frame_rate = info.frame_rate.or(record.average_rate);
    Ok(info)
}

/// The fixed head of an HEVCDecoderConfigurationRecord.
struct Record {
    profile: Profile,
    /// Frames a second; the record counts them in 256 seconds and writes 0 for unknown.
    average_rate: Option<f64>,
    length_size: LengthSize,
}

impl Record {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let version = fields.u32("configurationVersion", 8)?;
        fields.expect("configurationVersion", version, 1)?;
        let profile = Profile::read(fields)?;
        fields.skip("min_spatial_segmentation_idc", 16)?;
        fields.skip("parallelismType", 8)?;
        fields.skip("chromaFormat", 8)?;
        fields.skip("bitDepthLumaMinus8", 8)?;
        fields.skip("bitDepthChromaMinus8", 8)?;
        let average = fields.u32("avgFrameRate", 16)?;
        let average_rate = (average != 0).then(|| f64::from(average) / 256.0);
        fields.skip("constantFrameRate", 6)?;
        Ok(Self {
            profile,
            average_rate,
            length_size: LengthSize::read(fields)?,
        })
    }
}

/// The first parameter sets of the base layer in a record.
#[derive(Default)]
struct ParameterSets<'a> {
    vps: Option<Part<'a>>,
    sps: Option<Part<'a>>,
}

impl<'a> ParameterSets<'a> {
    fn find(fields: &mut Fields<'a>) -> Result<Self, Error> {
        let mut found = Self::default();
        for _ in 0..fields.u8("numOfArrays")? {
            fields.skip("array_completeness", 2)?;
            let kind = fields.u32("NAL_unit_type", 6)?;
            for _ in 0..fields.u32("numNalus", 16)? {
                let length = fields.u32("nalUnitLength", 16)?;
                let nal = fields.take("nalUnit", length as usize)?;
                match kind {
                    NAL_VPS if is_base_layer(nal) => found.vps = found.vps.or(Some(nal)),
                    NAL_SPS if is_base_layer(nal) => found.sps = found.sps.or(Some(nal)),
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

/// Whether `nuh_layer_id` is 0 (§7.3.1.2).
fn is_base_layer(nal: Part<'_>) -> bool {
    matches!(nal.bytes, [first, second, ..] if first & 1 == 0 && second >> 3 == 0)
}

/// Passes over the two bytes of the NAL unit header, which must be of `kind`.
fn nal_header(fields: &mut Fields<'_>, kind: u32) -> Result<(), Error> {
    fields.skip("forbidden_zero_bit", 1)?;
    let found = fields.u32("nal_unit_type", 6)?;
    fields.expect("nal_unit_type", found, kind)?;
    fields.skip("nuh_layer_id", 9)
}

/// §7.3.2.1 as far as the timing; frames a second where it is told.
fn video_parameter_set(nal: Part<'_>) -> Result<Option<f64>, Error> {
    let rbsp = Rbsp::unpack(CODEC, "video_parameter_set_rbsp", nal)?;
    let mut fields = Fields::rbsp(CODEC, &rbsp);
    nal_header(&mut fields, NAL_VPS)?;
    fields.skip("vps_video_parameter_set_id", 12)?;
    let sub_layers = skip::sub_layers(&mut fields)?;
    fields.skip("vps_temporal_id_nesting_flag", 1)?;
    fields.skip("vps_reserved_0xffff_16bits", 16)?;
    Profile::read(&mut fields)?;
    skip::sub_layer_profiles(&mut fields, sub_layers)?;
    skip::sub_layer_ordering(&mut fields, sub_layers)?;
    let layers = fields.u32("vps_max_layer_id", 6)? as usize + 1;
    let layer_sets = fields.ue_to("vps_num_layer_sets_minus1", 1023)? as usize;
    fields.skip("layer_id_included_flag", layers * layer_sets)?;
    vui::timing(&mut fields)
}

/// §7.3.2.2.1 as far as the timing of the VUI.
fn sequence_parameter_set(nal: Part<'_>) -> Result<VideoInfo, Error> {
    let rbsp = Rbsp::unpack(CODEC, "seq_parameter_set_rbsp", nal)?;
    let mut fields = Fields::rbsp(CODEC, &rbsp);
    nal_header(&mut fields, NAL_SPS)?;
    fields.skip("sps_video_parameter_set_id", 4)?;
    let sub_layers = skip::sub_layers(&mut fields)?;
    fields.skip("sps_temporal_id_nesting_flag", 1)?;
    let profile = Profile::read(&mut fields)?;
    skip::sub_layer_profiles(&mut fields, sub_layers)?;
    fields.ue_to("sps_seq_parameter_set_id", 15)?;
    let (width, height) = size(&mut fields)?;
    fields.ue("bit_depth_luma_minus8")?;
    fields.ue("bit_depth_chroma_minus8")?;
    let order_count_bits = fields.ue_to("log2_max_pic_order_cnt_lsb_minus4", 12)? as usize + 4;
    skip::sub_layer_ordering(&mut fields, sub_layers)?;
    skip::coding_tools(&mut fields)?;
    skip::reference_picture_sets(&mut fields, order_count_bits)?;
    fields.skip("sps_temporal_mvp_enabled_flag", 2)?;
    let mut frame_rate = None;
    if fields.flag("vui_parameters_present_flag")? {
        frame_rate = usability(&mut fields)?;
    }
    Ok(VideoInfo {
        profile: profile.name(),
        level: profile.level(),
        width,
        height,
        frame_rate,
    })
}

/// Reads from `chroma_format_idc` to the conformance window; the size as shown, in luma samples.
fn size(fields: &mut Fields<'_>) -> Result<(u32, u32), Error> {
    let format = fields.ue_to("chroma_format_idc", 3)?;
    if format == 3 {
        fields.flag("separate_colour_plane_flag")?;
    }
    // SubWidthC and SubHeightC of table 6-1: the unit of the window's offsets.
    let (unit_across, unit_down) = match format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let coded_width = u64::from(fields.ue("pic_width_in_luma_samples")?);
    let coded_height = u64::from(fields.ue("pic_height_in_luma_samples")?);
    let (mut across, mut down) = (0, 0);
    if fields.flag("conformance_window_flag")? {
        across = u64::from(fields.ue("conf_win_left_offset")?)
            + u64::from(fields.ue("conf_win_right_offset")?);
        down = u64::from(fields.ue("conf_win_top_offset")?)
            + u64::from(fields.ue("conf_win_bottom_offset")?);
    }
    let width = fields.side(
        "pic_width_in_luma_samples",
        coded_width,
        across * unit_across,
    )?;
    let height = fields.side("pic_height_in_luma_samples", coded_height, down * unit_down)?;
    Ok((width, height))
}

/// Annex E.2.1 as far as the timing. A tick is a picture's time here, unlike in H.264.
fn usability(fields: &mut Fields<'_>) -> Result<Option<f64>, Error> {
    vui::skip_to_chroma_location(fields)?;
    fields.skip("neutral_chroma_indication_flag", 3)?;
    if fields.flag("default_display_window_flag")? {
        for _ in 0..4 {
            fields.ue("def_disp_win_offset")?;
        }
    }
    vui::timing(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bit_writer::BitWriter;

    /// Main profile at level 3.1, as `profile_tier_level` begins.
    fn general(writer: BitWriter) -> BitWriter {
        writer
            .u(8, 1)
            .u(32, 0x6000_0000)
            .u(4, 0b1001)
            .zeros(44)
            .u(8, 93)
    }

    /// An SPS of one sub-layer up to the coding block sizes.
    fn head() -> BitWriter {
        let head = BitWriter::default().u(16, 0x4201).zeros(4).u(3, 0).u(1, 1);
        let size = general(head).ue(&[0, 1, 1280, 720]).zeros(1);
        size.ue(&[0, 0, 4])
            .u(1, 1)
            .ue(&[4, 2, 0])
            .ue(&[0, 3, 0, 3, 0, 0])
    }

    /// The end of an SPS with nothing in its VUI but a rate of 50.
    fn tail(writer: BitWriter) -> Vec<u8> {
        writer
            .zeros(2)
            .u(1, 1)
            .zeros(8)
            .u(1, 1)
            .u(32, 1000)
            .u(32, 50_000)
            .u(2, 1)
            .nal()
    }

    fn read(sps: &[u8]) -> Result<VideoInfo, Error> {
        sequence_parameter_set(Part {
            bytes: sps,
            offset: 0,
        })
    }

    #[test]
    fn reference_picture_sets_are_passed_over() {
        // Explicit with 2 + 1 pictures; predicted from it, of whose 4 entries 3 stay; predicted from that, 4 entries.
        let sets = head().zeros(4).ue(&[3]);
        let sets = sets
            .ue(&[2, 1])
            .ue(&[0])
            .u(1, 1)
            .ue(&[3])
            .u(1, 0)
            .ue(&[0])
            .u(1, 1);
        let sets = sets
            .u(2, 0b11)
            .ue(&[0])
            .u(1, 1)
            .u(2, 0b01)
            .u(2, 0b00)
            .u(1, 1);
        let sets = sets.u(2, 0b10).ue(&[1]).u(4, 0b1111);
        // Two long-term pictures of 8 + 1 bits.
        let sets = sets.u(1, 1).ue(&[2]).zeros(18);
        let info = read(&tail(sets)).unwrap();
        assert_eq!(
            (info.width, info.height, info.frame_rate),
            (1280, 720, Some(50.0))
        );
    }

    #[test]
    fn scaling_lists_and_pcm_are_passed_over() {
        let mut lists = head().u(2, 0b11);
        for (count, coefficients, dc) in [(6, 16, 0), (6, 64, 0), (6, 64, 1), (2, 64, 1)] {
            for list in 0..count {
                lists = match list % 2 {
                    0 => lists.u(1, 0).ue(&[list]),
                    _ => lists.u(1, 1).se(&vec![-3; coefficients + dc]),
                };
            }
        }
        let tools = lists
            .u(2, 0b11)
            .u(1, 1)
            .u(8, 0x77)
            .ue(&[0, 2])
            .u(1, 1)
            .ue(&[0])
            .zeros(1);
        assert_eq!(read(&tail(tools)).unwrap().frame_rate, Some(50.0));
    }

    #[test]
    fn endless_reference_picture_sets_are_an_error() {
        let most = head().zeros(4).ue(&[2, 16, 0]);
        let most = (0..16).fold(most, |writer, _| writer.ue(&[0]).u(1, 1));
        let grown = most.u(2, 0b11).ue(&[0]).u(17, 0x1_ffff);
        assert!(matches!(
            read(&tail(grown)),
            Err(Error::Invalid {
                field: "use_delta_flag",
                ..
            })
        ));
        let many = head().zeros(4).ue(&[65]);
        assert!(matches!(
            read(&tail(many)),
            Err(Error::Invalid {
                field: "num_short_term_ref_pic_sets",
                ..
            })
        ));
    }

    #[test]
    fn the_rate_of_a_vps_stands_in_for_that_of_the_sps() {
        let vps = BitWriter::default()
            .u(16, 0x4001)
            .zeros(4)
            .u(2, 3)
            .zeros(6)
            .u(3, 1)
            .u(1, 1);
        // Two sub-layers, the lower with a profile and a level of its own.
        let vps = general(vps.u(16, 0xffff)).u(2, 3).zeros(14).zeros(96);
        let vps = vps
            .u(1, 1)
            .ue(&[4, 2, 0, 4, 2, 0])
            .u(6, 1)
            .ue(&[2])
            .zeros(4);
        let vps = vps.u(1, 1).u(32, 1001).u(32, 60_000).u(2, 1).nal();
        let sps = head().zeros(4).ue(&[0]).zeros(4).u(1, 1).nal();
        let mut config = vec![1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        config.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 2]);
        for (kind, nal) in [(0x20, &vps), (0x21, &sps)] {
            config.extend([kind, 0, 1, 0, nal.len() as u8]);
            config.extend(nal);
        }
        let info = describe(&config).unwrap();
        assert_eq!((info.width, info.height), (1280, 720));
        assert_eq!(info.frame_rate, Some(60_000.0 / 1001.0));
    }
}
