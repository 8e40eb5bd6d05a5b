//! The parts of H.265 parameter sets that say nothing of a track but stand in front of what does.
//!
//! Owns: passing over them, each loop bounded by the standard's own limit. Does not: keep anything.

use crate::Error;
use crate::fields::Fields;

/// Reads `max_sub_layers_minus1`, at most 6.
pub(super) fn sub_layers(fields: &mut Fields<'_>) -> Result<usize, Error> {
    match fields.u32("max_sub_layers_minus1", 3)? {
        7 => Err(fields.invalid("max_sub_layers_minus1")),
        count => Ok(count as usize),
    }
}

/// The sub-layers' part of `profile_tier_level` (§7.3.3).
pub(super) fn sub_layer_profiles(fields: &mut Fields<'_>, count: usize) -> Result<(), Error> {
    let (mut profiles, mut levels) = (0, 0);
    for _ in 0..count {
        profiles += usize::from(fields.flag("sub_layer_profile_present_flag")?);
        levels += usize::from(fields.flag("sub_layer_level_present_flag")?);
    }
    if count > 0 {
        fields.skip("reserved_zero_2bits", (8 - count) * 2)?;
    }
    fields.skip("sub_layer_profile_space", profiles * 88 + levels * 8)
}

/// The buffering of each sub-layer, or of the highest only.
pub(super) fn sub_layer_ordering(fields: &mut Fields<'_>, count: usize) -> Result<(), Error> {
    let all = fields.flag("sub_layer_ordering_info_present_flag")?;
    for _ in 0..=if all { count } else { 0 } {
        fields.ue("max_dec_pic_buffering_minus1")?;
        fields.ue("max_num_reorder_pics")?;
        fields.ue("max_latency_increase_plus1")?;
    }
    Ok(())
}

/// From `log2_min_luma_coding_block_size_minus3` to the PCM parameters (§7.3.2.2.1).
pub(super) fn coding_tools(fields: &mut Fields<'_>) -> Result<(), Error> {
    fields.ue("log2_min_luma_coding_block_size_minus3")?;
    fields.ue("log2_diff_max_min_luma_coding_block_size")?;
    fields.ue("log2_min_luma_transform_block_size_minus2")?;
    fields.ue("log2_diff_max_min_luma_transform_block_size")?;
    fields.ue("max_transform_hierarchy_depth_inter")?;
    fields.ue("max_transform_hierarchy_depth_intra")?;
    if fields.flag("scaling_list_enabled_flag")?
        && fields.flag("sps_scaling_list_data_present_flag")?
    {
        scaling_lists(fields)?;
    }
    fields.skip("amp_enabled_flag", 2)?;
    if fields.flag("pcm_enabled_flag")? {
        fields.skip("pcm_sample_bit_depth_luma_minus1", 8)?;
        fields.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
        fields.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
        fields.flag("pcm_loop_filter_disabled_flag")?;
    }
    Ok(())
}

/// `scaling_list_data` (§7.3.4): six lists of each size, two of the largest.
fn scaling_lists(fields: &mut Fields<'_>) -> Result<(), Error> {
    for (lists, coefficients, has_dc) in
        [(6, 16, false), (6, 64, false), (6, 64, true), (2, 64, true)]
    {
        for _ in 0..lists {
            if !fields.flag("scaling_list_pred_mode_flag")? {
                fields.ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if has_dc {
                fields.se("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..coefficients {
                fields.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// The short-term and long-term reference picture sets of an SPS.
pub(super) fn reference_picture_sets(
    fields: &mut Fields<'_>,
    order_count_bits: usize,
) -> Result<(), Error> {
    let mut pictures = 0;
    for index in 0..fields.ue_to("num_short_term_ref_pic_sets", 64)? {
        let predicted = index > 0 && fields.flag("inter_ref_pic_set_prediction_flag")?;
        pictures = if predicted {
            predicted_set(fields, pictures)?
        } else {
            explicit_set(fields)?
        };
    }
    if fields.flag("long_term_ref_pics_present_flag")? {
        for _ in 0..fields.ue_to("num_long_term_ref_pics_sps", 32)? {
            fields.skip("lt_ref_pic_poc_lsb_sps", order_count_bits + 1)?;
        }
    }
    Ok(())
}

/// Most pictures in a reference picture set: the decoded picture buffer holds 16 (annex A.4.2).
const MAX_REFERENCES: u32 = 16;

/// `st_ref_pic_set` (§7.3.7) predicted from the set before, of `reference` pictures; how many this one has.
fn predicted_set(fields: &mut Fields<'_>, reference: u32) -> Result<u32, Error> {
    fields.flag("delta_rps_sign")?;
    fields.ue("abs_delta_rps_minus1")?;
    let mut pictures = 0;
    for _ in 0..=reference {
        if fields.flag("used_by_curr_pic_flag")? || fields.flag("use_delta_flag")? {
            pictures += 1;
        }
    }
    if pictures > MAX_REFERENCES {
        return Err(fields.invalid("use_delta_flag"));
    }
    Ok(pictures)
}

/// `st_ref_pic_set` that lists its pictures; how many.
fn explicit_set(fields: &mut Fields<'_>) -> Result<u32, Error> {
    let before = fields.ue_to("num_negative_pics", MAX_REFERENCES)?;
    let after = fields.ue_to("num_positive_pics", MAX_REFERENCES - before)?;
    for _ in 0..before + after {
        fields.ue("delta_poc_minus1")?;
        fields.flag("used_by_curr_pic_flag")?;
    }
    Ok(before + after)
}
