//! Codec strings: the `codecs` parameter of RFC 6381, as playlists, manifests and browsers use it.
//!
//! Owns: [`string`]. Does not: judge whether a player can play it.

use std::fmt::Write as _;

use weir_media::{AudioCodec, Codec, VideoCodec};

use crate::fields::Fields;
use crate::{Error, aac};

/// The codec string of a track, as it is named in MP4: `avc1.64001f`, `hvc1.1.6.L93.B0`, `av01.0.04M.08`,
/// `vp09.00.10.08`, `mp4a.40.2`, `mp4a.40.34` (MP3), `opus`, `fLaC`, `ac-3`, `ec-3`.
///
/// `config` is the sequence header as FLV carries it; only H.264, H.265, AV1, VP9 and AAC are asked for it. Fails when
/// it is damaged, and with [`Error::NoDescription`] for codecs that are not named so here (VP8, H.266, script data,
/// codecs Weir knows only by number).
pub fn string(codec: Codec, config: &[u8]) -> Result<String, Error> {
    let fields = Fields::whole(codec, config);
    match codec {
        Codec::Video(VideoCodec::H264) => h264(fields),
        Codec::Video(VideoCodec::H265) => h265(fields),
        Codec::Video(VideoCodec::Av1) => av1(fields),
        Codec::Video(VideoCodec::Vp9) => vp9(fields, config),
        Codec::Audio(AudioCodec::Aac) => aac(config),
        Codec::Audio(AudioCodec::Mp3) => Ok("mp4a.40.34".to_owned()),
        Codec::Audio(AudioCodec::Opus) => Ok("opus".to_owned()),
        Codec::Audio(AudioCodec::Flac) => Ok("fLaC".to_owned()),
        Codec::Audio(AudioCodec::Ac3) => Ok("ac-3".to_owned()),
        Codec::Audio(AudioCodec::Eac3) => Ok("ec-3".to_owned()),
        _ => Err(Error::NoDescription { codec }),
    }
}

/// RFC 6381 §3.3: `profile_idc`, the constraint flags and `level_idc` in hexadecimal.
fn h264(mut fields: Fields<'_>) -> Result<String, Error> {
    let version = fields.u32("configurationVersion", 8)?;
    fields.expect("configurationVersion", version, 1)?;
    let profile = fields.u32("AVCProfileIndication", 24)?;
    Ok(format!("avc1.{profile:06x}"))
}

/// ISO/IEC 14496-15 annex E.3: profile space and profile, compatibility flags from the lowest bit up, tier and level,
/// constraint bytes up to the last that is not 0.
fn h265(mut fields: Fields<'_>) -> Result<String, Error> {
    let version = fields.u32("configurationVersion", 8)?;
    fields.expect("configurationVersion", version, 1)?;
    let space = ["", "A", "B", "C"]
        .get(fields.u32("general_profile_space", 2)? as usize)
        .copied()
        .unwrap_or_default();
    let tier = if fields.flag("general_tier_flag")? {
        'H'
    } else {
        'L'
    };
    let profile = fields.u32("general_profile_idc", 5)?;
    let compatible = fields
        .u32("general_profile_compatibility_flags", 32)?
        .reverse_bits();
    let constraints = fields.take("general_constraint_indicator_flags", 6)?.bytes;
    let level = fields.u8("general_level_idc")?;
    let mut text = format!("hvc1.{space}{profile}.{compatible:X}.{tier}{level}");
    let told = constraints.iter().rposition(|byte| *byte != 0);
    for byte in constraints.iter().take(told.map_or(0, |last| last + 1)) {
        write!(text, ".{byte:X}").expect("a String takes all");
    }
    Ok(text)
}

/// AV1 in ISOBMFF §5. The tail is written when the record says what its defaults do not: 4:2:0 with unknown siting. The
/// record has no colour; the tail's defaults stand for it.
fn av1(mut fields: Fields<'_>) -> Result<String, Error> {
    let head = fields.u32("version", 8)?;
    fields.expect("version", head, 0x81)?;
    let profile = fields.u32("seq_profile", 3)?;
    let level = fields.u32("seq_level_idx_0", 5)?;
    let tier = if fields.flag("seq_tier_0")? { 'H' } else { 'M' };
    let high = fields.flag("high_bitdepth")?;
    let depth = match (high, fields.flag("twelve_bit")?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let mono = u8::from(fields.flag("monochrome")?);
    let across = u8::from(fields.flag("chroma_subsampling_x")?);
    let down = u8::from(fields.flag("chroma_subsampling_y")?);
    let siting = fields.u32("chroma_sample_position", 2)?;
    let mut text = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    if (mono, across, down, siting) != (0, 1, 1, 0) {
        write!(text, ".{mono}.{across}{down}{siting}.01.01.01.0").expect("a String takes all");
    }
    Ok(text)
}

/// VP codec ISO media file format binding, "Codecs Parameter String". The tail is written when the record says what its
/// defaults do not: 4:2:0, BT.709, studio range.
fn vp9(mut fields: Fields<'_>, config: &[u8]) -> Result<String, Error> {
    /// A level that a publisher does not know is written as the lowest: players refuse 0, and few look at more.
    const LOWEST_LEVEL: u8 = 10;
    const BT709: u8 = 1;
    const UNSPECIFIED: u8 = 2;
    if config.starts_with(&[1, 0, 0, 0]) {
        fields.skip("version", 32)?;
    }
    let profile = fields.u8("profile")?;
    if profile > 3 {
        return Err(fields.invalid("profile"));
    }
    let level = fields.u8("level")?.max(LOWEST_LEVEL);
    let depth = fields.u32("bitDepth", 4)?;
    if !matches!(depth, 8 | 10 | 12) {
        return Err(fields.invalid("bitDepth"));
    }
    let mut text = format!("vp09.{profile:02}.{level:02}.{depth:02}");
    let chroma = fields.u32("chromaSubsampling", 3)?;
    let full = u8::from(fields.flag("videoFullRangeFlag")?);
    let colour = [
        fields.u8("colourPrimaries")?,
        fields.u8("transferCharacteristics")?,
        fields.u8("matrixCoefficients")?,
    ];
    let is_usual = colour
        .iter()
        .all(|code| matches!(*code, BT709 | UNSPECIFIED));
    if !is_usual || chroma > 1 || full != 0 {
        let [primaries, transfer, matrix] = colour;
        write!(
            text,
            ".{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{full:02}"
        )
        .expect("a String takes all");
    }
    Ok(text)
}

/// RFC 6381 §3.3: 40 is MPEG-4 audio, and behind it the audio object type; HE-AAC is named also where the header
/// signals it behind the core's configuration.
fn aac(config: &[u8]) -> Result<String, Error> {
    let config = aac::Config::read(config)?;
    let object = match (config.extension.sbr, config.extension.ps) {
        (_, true) => 29,
        (true, false) => 5,
        (false, false) => config.object,
    };
    Ok(format!("mp4a.40.{object}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H264: Codec = Codec::Video(VideoCodec::H264);
    const H265: Codec = Codec::Video(VideoCodec::H265);
    const AV1: Codec = Codec::Video(VideoCodec::Av1);
    const VP9: Codec = Codec::Video(VideoCodec::Vp9);
    const AAC: Codec = Codec::Audio(AudioCodec::Aac);

    #[track_caller]
    fn check(codec: Codec, config: &[u8], wanted: &str) {
        assert_eq!(string(codec, config).as_deref(), Ok(wanted));
    }

    #[test]
    fn h264_is_three_bytes_of_the_record() {
        check(H264, &[1, 0x64, 0x00, 0x28, 0xff], "avc1.640028");
        check(H264, &[1, 0x42, 0xe0, 0x1e], "avc1.42e01e");
        assert!(string(H264, &[1, 0x42, 0xe0]).is_err());
        assert!(string(H264, &[0, 0, 0, 1, 0x67]).is_err());
    }

    #[test]
    fn h265_reverses_flags_and_drops_zeros() {
        // The examples of ISO/IEC 14496-15 annex E.4, and Main 10 as encoders write it.
        let main = [1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93];
        check(H265, &main, "hvc1.1.6.L93.B0");
        let high_tier = [1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120];
        check(H265, &high_tier, "hvc1.2.4.H120.90");
        let spaced = [1, 0x41, 0x60, 0, 0, 0, 0xb0, 0x23, 0, 0, 0, 0, 93];
        check(H265, &spaced, "hvc1.A1.6.L93.B0.23");
        let plain = [1, 0x01, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30];
        check(H265, &plain, "hvc1.1.6.L30");
        let holes = [1, 0x04, 0x08, 0, 0, 0, 0x9d, 0, 0x08, 0, 0, 0, 93];
        check(H265, &holes, "hvc1.4.10.L93.9D.0.8");
        assert!(string(H265, &main[..12]).is_err());
    }

    #[test]
    fn av1_has_a_tail_only_where_the_record_differs() {
        check(AV1, &[0x81, 0x04, 0x0c, 0x00], "av01.0.04M.08");
        // The example of the binding's §5: Main, level 5.1, high tier, 10 bits.
        check(AV1, &[0x81, 0x0d, 0xcc, 0x00], "av01.0.13H.10");
        check(
            AV1,
            &[0x81, 0x48, 0x60, 0x00],
            "av01.2.08M.12.0.000.01.01.01.0",
        );
        check(
            AV1,
            &[0x81, 0x04, 0x1c, 0x00],
            "av01.0.04M.08.1.110.01.01.01.0",
        );
        assert!(string(AV1, &[0x01, 0x04, 0x0c, 0x00]).is_err());
        assert!(string(AV1, &[0x81]).is_err());
    }

    #[test]
    fn vp9_reads_both_spellings_of_its_record() {
        check(VP9, &[0, 10, 0x82, 1, 1, 1, 0, 0], "vp09.00.10.08");
        check(
            VP9,
            &[1, 0, 0, 0, 0, 31, 0x82, 2, 2, 2, 0, 0],
            "vp09.00.31.08",
        );
        // The example of the binding: profile 2, 10 bits, BT.2020 with PQ.
        check(
            VP9,
            &[2, 10, 0xa2, 9, 16, 9, 0, 0],
            "vp09.02.10.10.01.09.16.09.00",
        );
        check(
            VP9,
            &[1, 20, 0x87, 1, 1, 1, 0, 0],
            "vp09.01.20.08.03.01.01.01.01",
        );
        check(VP9, &[0, 0, 0x82, 1, 1, 1, 0, 0], "vp09.00.10.08");
        assert!(string(VP9, &[4, 10, 0x82, 1, 1, 1, 0, 0]).is_err());
        assert!(string(VP9, &[0, 10, 0x92, 1, 1, 1, 0, 0]).is_err());
    }

    #[test]
    fn sound_is_named_by_its_object_type() {
        check(AAC, &[0x12, 0x10], "mp4a.40.2");
        check(AAC, &[0x2b, 0x92, 0x08, 0x00], "mp4a.40.5");
        check(AAC, &[0x13, 0x90, 0x56, 0xe5, 0xa0], "mp4a.40.5");
        check(AAC, &[0xeb, 0x8a, 0x08, 0x00], "mp4a.40.29");
        assert!(string(AAC, &[]).is_err());
        for (codec, wanted) in [
            (AudioCodec::Mp3, "mp4a.40.34"),
            (AudioCodec::Opus, "opus"),
            (AudioCodec::Flac, "fLaC"),
            (AudioCodec::Ac3, "ac-3"),
            (AudioCodec::Eac3, "ec-3"),
        ] {
            check(Codec::Audio(codec), &[], wanted);
        }
    }

    #[test]
    fn codecs_without_a_string_say_so() {
        for codec in [
            Codec::Script,
            Codec::Video(VideoCodec::Vp8),
            Codec::Video(VideoCodec::Legacy(2)),
            Codec::Audio(AudioCodec::Unknown(*b"zzzz")),
        ] {
            assert_eq!(string(codec, &[1; 40]), Err(Error::NoDescription { codec }));
        }
    }

    proptest! {
        /// What stands in a quoted list of a playlist must have no quote, comma or control character.
        #[test]
        fn any_record_gives_an_error_or_a_plain_word(config: Vec<u8>, marked: Vec<u8>) {
            for codec in [H264, H265, AV1, VP9, AAC] {
                for config in [&config, &[&[1], &marked[..]].concat(), &[&[0x81], &marked[..]].concat()] {
                    if let Ok(text) = string(codec, config) {
                        prop_assert!(text.len() <= 64);
                        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
                        prop_assert!(text.bytes().all(plain), "{}", text);
                    }
                }
            }
        }
    }
}
