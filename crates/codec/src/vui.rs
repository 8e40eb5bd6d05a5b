//! The part of video usability information that H.264 (annex E.1.1) and H.265 (annex E.2.1) spell alike.
//!
//! Owns: passing over aspect ratio, colour and chroma location; ticks a second. Does not: read any of the former.

use crate::Error;
use crate::fields::Fields;

/// `aspect_ratio_idc` that announces a ratio of its own (table E-1).
const EXTENDED_SAR: u8 = 255;

/// Passes over everything from `aspect_ratio_info_present_flag` to the chroma location.
pub(crate) fn skip_to_chroma_location(fields: &mut Fields<'_>) -> Result<(), Error> {
    if fields.flag("aspect_ratio_info_present_flag")?
        && fields.u8("aspect_ratio_idc")? == EXTENDED_SAR
    {
        fields.skip("sar_width", 32)?;
    }
    if fields.flag("overscan_info_present_flag")? {
        fields.flag("overscan_appropriate_flag")?;
    }
    if fields.flag("video_signal_type_present_flag")? {
        fields.skip("video_format", 4)?;
        if fields.flag("colour_description_present_flag")? {
            fields.skip("colour_primaries", 24)?;
        }
    }
    if fields.flag("chroma_loc_info_present_flag")? {
        fields.ue("chroma_sample_loc_type_top_field")?;
        fields.ue("chroma_sample_loc_type_bottom_field")?;
    }
    Ok(())
}

/// Reads the timing flag, and where it is set the time scale over the units in a tick: ticks a second.
///
/// Zero in either is forbidden, and some encoders write it to mean "unknown"; it is taken so.
pub(crate) fn timing(fields: &mut Fields<'_>) -> Result<Option<f64>, Error> {
    if !fields.flag("timing_info_present_flag")? {
        return Ok(None);
    }
    let units = fields.u32("num_units_in_tick", 32)?;
    let scale = fields.u32("time_scale", 32)?;
    Ok((units != 0 && scale != 0).then(|| f64::from(scale) / f64::from(units)))
}
