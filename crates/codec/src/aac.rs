//! AAC: the AudioSpecificConfig of ISO/IEC 14496-3 §1.6.2.1.
//!
//! Owns: object type, rate and channels of the decoded sound, with SBR and PS where the header signals them. Does not:
//! know of SBR that only the frames reveal (implicit signalling, §1.6.5); such a track shows its core's rate.

use weir_media::{AudioCodec, AudioInfo, Codec};

use crate::Error;
use crate::fields::Fields;

const CODEC: Codec = Codec::Audio(AudioCodec::Aac);

/// Audio object types of table 1.17.
pub(crate) const SBR: u32 = 5;
const SCALABLE: u32 = 6;
const ER_SCALABLE: u32 = 20;
const ER_BSAC: u32 = 22;
const LD: u32 = 23;
pub(crate) const PS: u32 = 29;
const ELD: u32 = 39;

/// What an AudioSpecificConfig says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    /// Audio object type of the core (table 1.17).
    pub(crate) object: u32,
    /// What is decoded on top of the core.
    pub(crate) extension: Extension,
    /// Samples a second that the core decodes to.
    pub(crate) core_rate: u32,
    /// Samples a second of the decoded sound.
    pub(crate) rate: u32,
    channels: u16,
    /// Samples of a frame at the core's rate; none for object types whose frames are not known here.
    pub(crate) core_samples: Option<u32>,
}

/// Describes a track by its AudioSpecificConfig.
pub(crate) fn describe(config: &[u8]) -> Result<AudioInfo, Error> {
    let config = Config::read(config)?;
    Ok(AudioInfo {
        profile: profile_name(config.object, config.extension),
        sample_rate: config.rate,
        channels: config.channels,
    })
}

impl Config {
    /// Reads an AudioSpecificConfig as far as what follows the core's configuration.
    pub(crate) fn read(config: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::whole(CODEC, config);
        let mut object = object_type(&mut fields)?;
        let core_rate = sample_rate(&mut fields)?;
        let mut rate = core_rate;
        let layout = fields.u32("channelConfiguration", 4)?;
        let mut channels = layout_channels(&fields, layout)?;
        let mut extension = Extension::default();
        if object == SBR || object == PS {
            extension = Extension {
                sbr: true,
                ps: object == PS,
            };
            rate = sample_rate(&mut fields)?;
            object = object_type(&mut fields)?;
            if object == ER_BSAC {
                fields.skip("extensionChannelConfiguration", 4)?;
            }
        }
        let core_samples = core_samples(&fields, object);
        if is_general_audio(object) {
            if let Some(counted) = general_audio(&mut fields, object, layout)? {
                channels = counted;
            }
            if !extension.sbr && !is_error_resilient(object) {
                extension = Extension::read(&mut fields, &mut rate)?;
            }
        }
        if extension.ps && channels == 1 {
            channels = 2;
        }
        Ok(Self {
            object,
            extension,
            core_rate,
            rate,
            channels,
            core_samples,
        })
    }
}

/// Samples of a frame, by the flag that GASpecificConfig (§4.4.1) and ELDSpecificConfig (§4.6.20.3) begin with.
fn core_samples(fields: &Fields<'_>, object: u32) -> Option<u32> {
    let is_short = fields.clone().flag("frameLengthFlag").ok()?;
    match (object, is_short) {
        (LD | ELD, false) => Some(512),
        (LD | ELD, true) => Some(480),
        (1..=4 | SCALABLE | 17 | 19 | ER_SCALABLE, false) => Some(1024),
        (1..=4 | SCALABLE | 17 | 19 | ER_SCALABLE, true) => Some(960),
        _ => None,
    }
}

/// `GetAudioObjectType` (table 1.16): 31 escapes to six more bits.
pub(crate) fn object_type(fields: &mut Fields<'_>) -> Result<u32, Error> {
    match fields.u32("audioObjectType", 5)? {
        31 => Ok(32 + fields.u32("audioObjectTypeExt", 6)?),
        object => Ok(object),
    }
}

/// Samples a second by `samplingFrequencyIndex` (table 1.18).
pub(crate) const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// `samplingFrequencyIndex`; 15 escapes to the rate itself.
pub(crate) fn sample_rate(fields: &mut Fields<'_>) -> Result<u32, Error> {
    let index = fields.u32("samplingFrequencyIndex", 4)?;
    if index == 15 {
        return fields.u32("samplingFrequency", 24);
    }
    let rate = SAMPLE_RATES.get(index as usize).copied();
    rate.ok_or_else(|| fields.invalid("samplingFrequencyIndex"))
}

/// Channels of `channelConfiguration` (table 1.19), which was read last; 0 leaves them to a program config element.
fn layout_channels(fields: &Fields<'_>, layout: u32) -> Result<u16, Error> {
    match layout {
        0..=6 => Ok(layout as u16),
        7 | 12 | 14 => Ok(8),
        11 => Ok(7),
        13 => Ok(24),
        _ => Err(fields.invalid("channelConfiguration")),
    }
}

/// Object types that a GASpecificConfig follows.
fn is_general_audio(object: u32) -> bool {
    matches!(object, 1..=4 | SCALABLE | 7 | 17 | 19..=23)
}

/// Object types that `epConfig` follows, behind which no extension is looked for.
fn is_error_resilient(object: u32) -> bool {
    object >= 17
}

/// GASpecificConfig (§4.4.1); the channels of its program config element where it has one.
fn general_audio(fields: &mut Fields<'_>, object: u32, layout: u32) -> Result<Option<u16>, Error> {
    fields.flag("frameLengthFlag")?;
    if fields.flag("dependsOnCoreCoder")? {
        fields.skip("coreCoderDelay", 14)?;
    }
    let has_extension = fields.flag("extensionFlag")?;
    let counted = if layout == 0 {
        Some(program_config(fields)?)
    } else {
        None
    };
    if object == SCALABLE || object == ER_SCALABLE {
        fields.skip("layerNr", 3)?;
    }
    if has_extension {
        match object {
            ER_BSAC => fields.skip("numOfSubFrame", 16)?,
            17 | 19 | 20 | 23 => fields.skip("aacSectionDataResilienceFlag", 3)?,
            _ => {}
        }
        fields.flag("extensionFlag3")?;
    }
    Ok(counted)
}

/// `program_config_element` (§4.4.1.1); its channels.
fn program_config(fields: &mut Fields<'_>) -> Result<u16, Error> {
    fields.skip("element_instance_tag", 10)?;
    let front = fields.u32("num_front_channel_elements", 4)?;
    let side = fields.u32("num_side_channel_elements", 4)?;
    let back = fields.u32("num_back_channel_elements", 4)?;
    let low = fields.u32("num_lfe_channel_elements", 2)?;
    let data = fields.u32("num_assoc_data_elements", 3)?;
    let coupling = fields.u32("num_valid_cc_elements", 4)?;
    for (field, bits) in [
        ("mono_mixdown_present", 4),
        ("stereo_mixdown_present", 4),
        ("matrix_mixdown_idx_present", 3),
    ] {
        if fields.flag(field)? {
            fields.skip(field, bits)?;
        }
    }
    let mut channels = low as u16;
    for _ in 0..front + side + back {
        channels += if fields.flag("element_is_cpe")? { 2 } else { 1 };
        fields.skip("element_tag_select", 4)?;
    }
    fields.skip(
        "lfe_element_tag_select",
        (low * 4 + data * 4 + coupling * 5) as usize,
    )?;
    fields.align("byte_alignment")?;
    let comment = fields.u8("comment_field_bytes")?;
    fields.take("comment_field_data", comment.into())?;
    Ok(channels)
}

/// What the header says is decoded on top of the core.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extension {
    pub(crate) sbr: bool,
    pub(crate) ps: bool,
}

impl Extension {
    /// The backward compatible signalling behind the core's configuration (§1.6.6.1), if there is any. Sets `rate` to
    /// the extension's. Bytes behind the configuration that are no extension are ignored, as the standard has it.
    fn read(fields: &mut Fields<'_>, rate: &mut u32) -> Result<Self, Error> {
        let mut extension = Self::default();
        if fields.remaining() < 16
            || fields.u32("syncExtensionType", 11)? != 0x2b7
            || object_type(fields)? != SBR
            || !fields.flag("sbrPresentFlag")?
        {
            return Ok(extension);
        }
        extension.sbr = true;
        *rate = sample_rate(fields)?;
        if fields.remaining() >= 12 && fields.u32("syncExtensionType", 11)? == 0x548 {
            extension.ps = fields.flag("psPresentFlag")?;
        }
        Ok(extension)
    }
}

fn profile_name(object: u32, extension: Extension) -> Option<String> {
    let name = match (object, extension) {
        (_, Extension { ps: true, .. }) => "HE-AACv2",
        (_, Extension { sbr: true, .. }) => "HE-AAC",
        (1, _) => "Main",
        (2, _) => "LC",
        (3, _) => "SSR",
        (4, _) => "LTP",
        (17, _) => "ER LC",
        (23, _) => "LD",
        (39, _) => "ELD",
        (42, _) => "xHE-AAC",
        _ => return None,
    };
    Some(name.to_owned())
}
