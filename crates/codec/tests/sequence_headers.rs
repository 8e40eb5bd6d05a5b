//! Sequence headers as encoders write them; each expectation is what the encoder was told, not what a parser said.
//!
//! Made with ffmpeg 5.1 (`-f lavfi -i testsrc2=size=S:rate=R`, `aevalsrc=…:s=RATE`), then
//! `ffprobe -show_entries stream=extradata -show_data`, which prints the bytes that FLV carries. The records of
//! VP8 and VP9, HE-AAC and the escapes of AAC are spelled out by hand from their standards.

use weir_codec::{Error, LengthSize, describe, h264, h265};
use weir_media::{AudioCodec, Codec, VideoCodec};

const H264: Codec = Codec::Video(VideoCodec::H264);
const H265: Codec = Codec::Video(VideoCodec::H265);
const AV1: Codec = Codec::Video(VideoCodec::Av1);
const AAC: Codec = Codec::Audio(AudioCodec::Aac);

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits")
        })
        .collect()
}

type Video<'a> = (&'a str, &'a str, u32, u32, Option<f64>);

#[track_caller]
fn check_video(codec: Codec, hex: &str, expected: Video<'_>) {
    let track = describe(codec, &bytes(hex)).expect("a sound header");
    assert_eq!((track.codec, &track.audio), (codec, &None));
    let info = track.video.expect("video");
    let profile = info.profile.as_deref().unwrap_or("none");
    let level = info.level.as_deref().unwrap_or("none");
    assert_eq!(
        (profile, level, info.width, info.height, info.frame_rate),
        expected
    );
}

#[track_caller]
fn check_aac(hex: &str, expected: (&str, u32, u16)) {
    let track = describe(AAC, &bytes(hex)).expect("a sound header");
    assert_eq!((track.codec, &track.video), (AAC, &None));
    let info = track.audio.expect("audio");
    let profile = info.profile.as_deref().unwrap_or("none");
    assert_eq!((profile, info.sample_rate, info.channels), expected);
}

const NTSC: f64 = 30_000.0 / 1001.0;

/// libx264 `-profile:v high`, 1920x1080 at 25, cropped from 1088 lines, with emulation prevention in the timing.
const H264_HIGH: &str = "01640028ffe1001b67640028acd940780227e5c044000003000400000300c8\
    3c60c65801000668ebe3cb22c0fdf8f800";

#[test]
fn h264_profiles_sizes_and_rates() {
    check_video(H264, H264_HIGH, ("High", "4", 1920, 1080, Some(25.0)));
    check_video(
        H264,
        "0142c01effe100196742c01ed900a02ff97011000003000100000300320f162e4801000568cb83cb20",
        ("Constrained Baseline", "3", 640, 360, Some(25.0)),
    );
    check_video(
        H264,
        "014d401fffe10017674d401feca02802dd808800001f480007530078c18cb001000568ebe3cb20",
        ("Main", "3.1", 1280, 720, Some(NTSC)),
    );
    check_video(
        H264,
        "016e001fffe1001a676e001fa6cd940d83de6f0110000003001000000780f183196001000668ebe3cb22\
         c0fdfafa00",
        ("High 10", "3.1", 854, 480, Some(60.0)),
    );
}

#[test]
fn h264_interlaced_full_chroma_and_hrd() {
    // -profile:v high422 -flags +ildct+ilme: two fields a map unit, and 4:2:2 crops single lines.
    check_video(
        H264,
        "017a0028ffe1001a677a0028b6cd94078044fcb8088000000300800000190f8b16cb01000668fba3cb22\
         c0fefafa00",
        ("High 4:2:2", "4", 1920, 1080, Some(25.0)),
    );
    // -pix_fmt yuv444p -x264-params cqm=jvt: odd multiples of two, cropped in single samples.
    check_video(
        H264,
        "01f4000dffe1001a67f4000d919b282a10f1f1f808800000030080000018078a14cb01000868ebe3c44c\
         000440fff8f800",
        ("High 4:4:4 Predictive", "1.3", 322, 242, Some(24.0)),
    );
    // -x264-params nal-hrd=cbr:overscan=show:colorprim=bt709: a VUI with everything in front of the timing.
    check_video(
        H264,
        "0164002affe100296764002aacd940780227e5c06d40408090000003001000000646040002dc6c0005b8\
         de4d38078c18cb01000568ebecb22cfdf8f800",
        ("High", "4.2", 1920, 1080, Some(50.0)),
    );
}

#[test]
fn h264_record_without_parameter_sets_still_tells_profile_and_level() {
    check_video(H264, "01640028ffe000", ("High", "4", 0, 0, None));
    check_video(
        H264,
        "0142f00bffe000",
        ("Constrained Baseline", "1b", 0, 0, None),
    );
    check_video(H264, "01580009ffe000", ("Extended", "1b", 0, 0, None));
}

#[test]
fn h265_profiles_sizes_and_rates() {
    check_video(
        H265,
        "01016000000090000000000078f000fcfdf8f800000f03200001001840010c01ffff0160000003009000\
         00030000030078959809210001002a420101016000000300900000030000030078a003c08010e5965669\
         24caf0168080000003008000000c8422000100074401c172b46240",
        ("Main", "4", 1920, 1080, Some(25.0)),
    );
    check_video(
        H265,
        "0102200000009000000000005df000fcfdfafa00000f03200001001840010c01ffff0220000003009000\
         0003000003005d959809210001002942010102200000030090000003000003005da00280802d1365959a\
         4932bc05a02000007d20000ea60122000100074401c172b46240",
        ("Main 10", "3.1", 1280, 720, Some(NTSC)),
    );
}

#[test]
fn h265_range_extensions_and_sub_layers() {
    // -pix_fmt yuv422p12 -x265-params scaling-list=default
    check_video(
        H265,
        "0104080000009908000000005af000fcfefcfc00000f03200001001740010c01ffff0408000003009908\
         00000300005a959809210001002c420101040800000300990800000300005ab005220171d4e529656692\
         4e5780b404000003000400000300c82022000100074401c172b46240",
        ("Main 4:2:2 12", "3", 654, 362, Some(50.0)),
    );
    // -pix_fmt yuv444p -x265-params hrd=1:temporal-layers=3:colorprim=bt709
    check_video(
        H265,
        "0104080000009e08000000007bf000fcfff8f800000f03200001001740010c01ffff0408000003009e08\
         00000300007b95980921000100394201010408000003009e0800000300007b90007810021cb2cacd2499\
         5e02d404080810000003001000000303c6014987e0002dc6c0005b8d8822000100084401c172860c4624\
         27",
        ("Main 4:4:4", "4.1", 1920, 1080, Some(60.0)),
    );
}

#[test]
fn h265_takes_the_rate_from_wherever_it_is() {
    // -x265-params no-vui-timing-info=1:multi-pass-opt-rps=1, and the record's avgFrameRate.
    let silent = "0101600000009000000000005af000fcfdf8f8RATE0f03200001001840010c01ffff0160000003\
        0090000003000003005a959809210001002042010101600000030090000003000003005aa006a201e165\
        959a4932bc05a00222000100074401c172b46240";
    let unknown = silent.replace("RATE", "0000");
    check_video(H265, &unknown, ("Main", "3", 848, 480, None));
    let average = silent.replace("RATE", "1800");
    check_video(H265, &average, ("Main", "3", 848, 480, Some(24.0)));
}

#[test]
fn av1_of_three_encoders() {
    // libaom-av1
    let libaom = "81010c000a0b0000000cc4ff6736be4010";
    check_video(AV1, libaom, ("Main", "2.1", 640, 360, None));
    // libsvtav1, 10 bits
    let svt = "81084c000a0b00000042abbfc3700be101";
    check_video(AV1, svt, ("Main", "4.0", 1920, 1080, None));
    // librav1e, 4:4:4
    let rav1e = "813f00000a0d200000fa1e83e2210a90202025";
    check_video(AV1, rav1e, ("High", "Maximum parameters", 322, 242, None));
    // libaom-av1 through -bsf:v av1_metadata=tick_rate=30000/1001:num_ticks_per_picture=1
    let timed = "81010c000a130400000fa40001d4c3000001989fece6d7c802";
    check_video(AV1, timed, ("Main", "2.1", 640, 360, Some(NTSC)));
    check_video(AV1, "81080c00", ("Main", "4.0", 0, 0, None));
}

#[test]
fn vp9_record_bare_and_in_its_box() {
    let vp9 = Codec::Video(VideoCodec::Vp9);
    check_video(vp9, "021fa20101010000", ("Profile 2", "3.1", 0, 0, None));
    check_video(
        vp9,
        "010000000028820202020000",
        ("Profile 0", "4", 0, 0, None),
    );
    let bare = describe(vp9, &bytes("0100000101010000")).unwrap_err();
    assert_eq!(
        bare,
        Error::Invalid {
            codec: vp9,
            field: "bitDepth",
            offset: 2
        }
    );
    check_video(
        Codec::Video(VideoCodec::Vp8),
        "0000820202020000",
        ("Profile 0", "none", 0, 0, None),
    );
}

#[test]
fn aac_of_ffmpeg_says_that_there_is_no_sbr() {
    check_aac("121056e500", ("LC", 44_100, 2));
    check_aac("118856e500", ("LC", 48_000, 1));
    check_aac("11b056e500", ("LC", 48_000, 6));
    check_aac("0a9056e500", ("Main", 32_000, 2));
    check_aac("1210", ("LC", 44_100, 2));
}

#[test]
fn aac_channels_of_a_program_config_element() {
    // 2.1 channels, which no channelConfiguration has; the comment field reads "Lavc59.37.100".
    let config = "118004c4010020000d4c61766335392e33372e31303056e500";
    check_aac(config, ("LC", 48_000, 3));
}

#[test]
fn high_efficiency_aac_signalled_in_front_and_behind() {
    check_aac("2b920800", ("HE-AAC", 44_100, 2));
    check_aac("eb098800", ("HE-AACv2", 48_000, 2));
    check_aac("139056e5a0", ("HE-AAC", 44_100, 2));
    check_aac("130856e59d4880", ("HE-AACv2", 48_000, 2));
}

#[test]
fn aac_escapes() {
    // Object type 42 by its escape; then a rate of 44,056 by its own, stereo.
    check_aac("f94840", ("xHE-AAC", 44_100, 2));
    check_aac("1780560c10", ("LC", 44_056, 2));
}

#[test]
fn length_sizes_and_nal_units_of_both_codecs() {
    assert_eq!(h264::length_size(&bytes(H264_HIGH)), Ok(LengthSize::Four));
    let three = h264::length_size(&bytes("01640028fe")).unwrap_err();
    assert_eq!(
        three,
        Error::Invalid {
            codec: H264,
            field: "lengthSizeMinusOne",
            offset: 4
        }
    );
    let record = "0101600000009000000000005af000fcfdf8f800000d00";
    assert_eq!(h265::length_size(&bytes(record)), Ok(LengthSize::Two));
    let payload = [0, 2, 0x40, 1, 0, 0, 0, 1, 0x26];
    let units: Result<Vec<_>, _> = h265::nal_units(&payload, LengthSize::Two).collect();
    assert_eq!(units, Ok(vec![&[0x40, 1][..], &[], &[0x26]]));
}

#[test]
fn an_error_counts_from_the_start_of_the_record_escapes_included() {
    // time_scale begins at byte 16 of the unescaped SPS, behind one escape; the SPS at byte 8.
    let mut config = bytes(H264_HIGH);
    config.truncate(29);
    config[7] -= 6;
    assert_eq!(
        describe(H264, &config),
        Err(Error::Truncated {
            codec: H264,
            field: "time_scale",
            offset: 25
        })
    );
}

#[test]
fn codecs_without_a_sequence_header_say_so() {
    for codec in [
        Codec::Audio(AudioCodec::Mp3),
        Codec::Audio(AudioCodec::Ac3),
        Codec::Audio(AudioCodec::Eac3),
        Codec::Audio(AudioCodec::Legacy(7)),
        Codec::Video(VideoCodec::Legacy(2)),
        Codec::Video(VideoCodec::Unknown(*b"zzzz")),
        Codec::Script,
    ] {
        assert_eq!(
            describe(codec, &[1, 2, 3]),
            Err(Error::NoDescription { codec })
        );
    }
}
