//! Sample entries of each codec, byte for byte where the binding fixes them.

use weir_media::TrackInfo;

use super::*;

fn video(width: u32, height: u32) -> Option<VideoInfo> {
    Some(VideoInfo {
        width,
        height,
        ..VideoInfo::default()
    })
}

fn audio(sample_rate: u32, channels: u16) -> Option<AudioInfo> {
    Some(AudioInfo {
        profile: None,
        sample_rate,
        channels,
    })
}

fn of(info: &TrackInfo, config: &[u8], frame: &[u8]) -> Result<Entry, Error> {
    Entry::of(&Track {
        id: 1,
        timescale: 1000,
        codec: info.codec,
        config,
        frame,
        info,
    })
}

fn picture_of(codec: VideoCodec, config: &[u8]) -> Result<Entry, Error> {
    let info = TrackInfo {
        codec: Codec::Video(codec),
        video: video(320, 180),
        audio: None,
    };
    of(&info, config, &[])
}

fn sound_of(
    codec: AudioCodec,
    told: Option<AudioInfo>,
    config: &[u8],
    frame: &[u8],
) -> Result<Entry, Error> {
    let info = TrackInfo {
        codec: Codec::Audio(codec),
        video: None,
        audio: told,
    };
    of(&info, config, frame)
}

#[track_caller]
fn check(entry: Result<Entry, Error>, kind: &[u8; 4], config_kind: &[u8; 4], config: &[u8]) {
    let entry = entry.unwrap();
    assert_eq!(entry.kind, *kind);
    assert_eq!(entry.config.0, *config_kind);
    assert_eq!(entry.config.1, config);
}

#[test]
fn a_visual_entry_byte_for_byte() {
    let avcc = [1, 0x64, 0, 0x1f, 0xff, 0xe0, 0];
    let mut out = Vec::new();
    picture_of(VideoCodec::H264, &avcc).unwrap().write(&mut out);
    let mut wanted = b"\0\0\0\x65avc1\0\0\0\0\0\0\0\x01".to_vec();
    wanted.extend([0; 16]);
    wanted.extend([
        1, 64, 0, 180, 0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1,
    ]);
    wanted.extend([0; 32]);
    wanted.extend(b"\0\x18\xff\xff\0\0\0\x0favcC");
    wanted.extend(avcc);
    assert_eq!(out, wanted);
}

#[test]
fn an_audio_entry_byte_for_byte() {
    let entry = sound_of(AudioCodec::Aac, audio(44_100, 2), &[0x12, 0x10], &[]);
    let mut out = Vec::new();
    entry.unwrap().write(&mut out);
    let mut wanted = b"\0\0\0\x4bmp4a\0\0\0\0\0\0\0\x01".to_vec();
    wanted.extend([0; 8]);
    wanted.extend([0, 2, 0, 16, 0, 0, 0, 0, 0xac, 0x44, 0, 0]);
    wanted.extend(b"\0\0\0\x27esds\0\0\0\0\x03\x19\0\0\0");
    wanted.extend(b"\x04\x11\x40\x15\0\0\0\0\0\0\0\0\0\0\0\x05\x02\x12\x10\x06\x01\x02");
    assert_eq!(out, wanted);
}

#[test]
fn arrays_of_parameter_sets_are_said_to_be_complete() {
    let mut config = vec![
        1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f,
    ];
    config.push(3);
    // VPS, SPS with two, and SEI, which may come in pictures too
    config.extend([0x20, 0, 1, 0, 2, 0x40, 1]);
    config.extend([0x21, 0, 2, 0, 1, 0x42, 0, 0]);
    config.extend([0x27, 0, 1, 0, 1, 0x4e]);
    let mut wanted = config.clone();
    wanted[23] = 0xa0;
    wanted[30] = 0xa1;
    check(
        picture_of(VideoCodec::H265, &config),
        b"hvc1",
        b"hvcC",
        &wanted,
    );
    let cut = picture_of(VideoCodec::H265, &config[..config.len() - 1]);
    assert!(matches!(cut, Err(Error::Unknown { .. })));
}

#[test]
fn records_of_vp9_get_their_full_box_once() {
    let bare = [0, 10, 0x82, 1, 1, 1, 0, 0];
    let full = [1, 0, 0, 0, 0, 10, 0x82, 1, 1, 1, 0, 0];
    check(picture_of(VideoCodec::Vp9, &bare), b"vp09", b"vpcC", &full);
    check(picture_of(VideoCodec::Vp9, &full), b"vp09", b"vpcC", &full);
    assert!(matches!(
        picture_of(VideoCodec::Vp9, &[9]),
        Err(Error::Codec(_))
    ));
}

#[test]
fn av1_is_carried_as_it_is() {
    let record = [0x81, 0x04, 0x0c, 0x00];
    check(
        picture_of(VideoCodec::Av1, &record),
        b"av01",
        b"av1C",
        &record,
    );
}

#[test]
fn opus_heads_are_turned_to_big_endian() {
    let stereo = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\xfe\xff\0";
    let entry = sound_of(AudioCodec::Opus, None, stereo, &[]);
    check(
        entry,
        b"Opus",
        b"dOps",
        &[0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0xff, 0xfe, 0],
    );
    let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
    let entry = sound_of(AudioCodec::Opus, None, surround, &[]).unwrap();
    assert!(entry.config.1.ends_with(&[1, 4, 2, 0, 4, 1, 2, 3, 5]));
    // without a head the packet says mono or stereo
    let entry = sound_of(AudioCodec::Opus, None, &[], &[0xfc]);
    check(
        entry,
        b"Opus",
        b"dOps",
        &[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0],
    );
}

#[test]
fn flac_has_streaminfo_alone() {
    let mut block = [7u8; 34];
    block[10..13].copy_from_slice(&[0x0a, 0xc4, 0x42]);
    let wanted = [&[0, 0, 0, 0, 0x80, 0, 0, 34], &block[..]].concat();
    check(
        sound_of(AudioCodec::Flac, None, &block, &[]),
        b"fLaC",
        b"dfLa",
        &wanted,
    );
    let followed = [b"fLaC\0\0\0\x22", &block[..], b"\x84\0\0\0"].concat();
    check(
        sound_of(AudioCodec::Flac, None, &followed, &[]),
        b"fLaC",
        b"dfLa",
        &wanted,
    );
}

#[test]
fn mp3_is_named_by_its_standard() {
    for (frame, object, rate) in [
        ([0xff, 0xfb, 0x90, 0x64], 0x6b, 44_100),
        ([0xff, 0xf3, 0x40, 0xc4], 0x69, 22_050),
    ] {
        let entry = sound_of(AudioCodec::Mp3, None, &[], &frame).unwrap();
        assert_eq!(entry.config.1.get(11), Some(&object));
        assert!(matches!(entry.shape, Shape::Audio { sample_rate, .. } if sample_rate == rate));
    }
    assert!(sound_of(AudioCodec::Mp3, None, &[], b"ID3\x03").is_err());
}

#[test]
fn ac3_is_read_from_its_frame() {
    // 44.1 kHz, 5.1 channels, bsid 8, frmsizecod 30 of ffmpeg 5.1
    let frame = [0x0b, 0x77, 0x6b, 0x51, 0x5e, 0x40, 0xeb, 0xf8];
    let entry = sound_of(AudioCodec::Ac3, None, &[], &frame);
    check(entry, b"ac-3", b"dac3", &[0x50, 0x3d, 0xe0]);
    assert!(sound_of(AudioCodec::Ac3, audio(48_000, 2), &[], &frame[..5]).is_err());
    assert!(sound_of(AudioCodec::Ac3, audio(48_000, 2), &[], &[]).is_err());
}

#[test]
fn eac3_counts_substreams_and_kilobits() {
    // 1792 bytes of 48 kHz, 5.1 channels, six blocks: 448 kbit/s
    let mut frame = vec![0x0b, 0x77, 0x03, 0x7f, 0x3f, 0x87, 0xc0, 0x00];
    frame.resize(1792, 0);
    let entry = sound_of(AudioCodec::Eac3, None, &[], &frame);
    check(entry, b"ec-3", b"dec3", &[0x0e, 0x00, 0x20, 0x0f, 0x00]);
    // a dependent substream with a channel map of the back pair: behind 4 bits of byte 6
    let mut dependent = vec![0x0b, 0x77, 0x43, 0x7f, 0x34, 0x80, 0x10, 0x20, 0x00];
    dependent.resize(1792, 0);
    let entry = sound_of(AudioCodec::Eac3, None, &[], &[frame, dependent].concat()).unwrap();
    let config = entry.config.1;
    assert_eq!(config[..2], (896u16 << 3).to_be_bytes());
    assert_eq!(config[4] >> 1, 1, "one dependent substream");
    assert_eq!(config[4..6], [0b10, 0x80], "the pair Lrs and Rrs");
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let vp9 = Codec::Video(VideoCodec::Vp9);
    let info = TrackInfo {
        codec: vp9,
        video: video(0, 0),
        audio: None,
    };
    let record = [0, 10, 0x82, 1, 1, 1, 0, 0];
    let unknown = Error::Unknown {
        codec: vp9,
        what: "size of the picture",
    };
    assert_eq!(of(&info, &record, &[]), Err(unknown));
    assert_eq!(
        unknown.to_string(),
        "VP9: the size of the picture is not known"
    );
    // a key frame of 352 by 288 brings it
    let key = [0x82, 0x49, 0x83, 0x42, 0x20, 0x15, 0xf0, 0x11, 0xf0];
    assert_eq!(of(&info, &record, &key).unwrap().size(), Some((352, 288)));
    let huge = vec![0; MAX_CONFIG_BYTES + 1];
    assert!(matches!(
        of(&info, &huge, &[]),
        Err(Error::ConfigTooLarge { .. })
    ));
    for codec in [
        Codec::Script,
        Codec::Video(VideoCodec::Vp8),
        Codec::Audio(AudioCodec::Legacy(11)),
    ] {
        let info = TrackInfo {
            codec,
            video: None,
            audio: None,
        };
        assert_eq!(of(&info, &[], &[]), Err(Error::Unsupported { codec }));
        assert!(!super::super::is_supported(codec));
    }
}

#[test]
fn rates_beyond_sixteen_bits_are_halved() {
    for (rate, wanted) in [
        (96_000, 48_000u32),
        (192_000, 48_000),
        (65_535, 65_535),
        (8_000, 8_000),
    ] {
        let mut out = Vec::new();
        write_sound(2, rate, &mut out);
        assert_eq!(out[16..20], (wanted << 16).to_be_bytes());
    }
}

#[test]
fn long_descriptors_have_long_lengths() {
    let mut out = Vec::new();
    descriptor(5, &[9; 300], &mut out);
    assert_eq!(out[..4], [5, 0x82, 0x2c, 9]);
}
