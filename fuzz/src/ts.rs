//! Targets of transport streams and of what they stand on.
//!
//! Owns: the demuxer, start codes, ADTS and the frames of sound that tell their own length. Input: see each target.

use weir_codec::{Error, LengthSize, adts, annexb, h264, h265, sync_frame};
use weir_container::flv;
use weir_container::ts::{Counters, Demuxer, MAX_CONFIG_BYTES, Muxer, PACKET_BYTES, Unit};
use weir_media::{AudioCodec, Codec, Frame, Media, Role};

use crate::pieces::{head, pieces};

/// Longest PES packet accepted, in bytes: small, so that the limit is reached.
const MAX_FRAME: usize = 4096;

/// Reads a stream whole and in pieces, and writes what was read. Input: a byte that plans the pieces and, if it is odd,
/// puts a sync byte at each packet's place, so that mutations inside of packets are not all passed over; and the stream.
pub fn ts_demuxer(data: &[u8]) {
    let ([plan], stream) = head::<1>(data);
    let mut stream = stream.to_vec();
    if plan & 1 == 1 {
        for byte in stream.iter_mut().step_by(PACKET_BYTES) {
            *byte = 0x47;
        }
    }
    let (frames, counters) = read([&stream[..]]);
    let again = read(pieces(&stream, plan >> 1));
    assert_eq!((&frames, counters), (&again.0, again.1));
    let read_bytes = counters.packets * PACKET_BYTES as u64 + counters.skipped_bytes;
    assert!(read_bytes <= stream.len() as u64);
    let payload: usize = frames.iter().map(|frame| frame.payload().len()).sum();
    // start codes of three bytes become lengths of four; sets may be told again with each other set
    assert!(payload <= stream.len() * 2 + frames.len() * MAX_CONFIG_BYTES);
    for frame in &frames {
        check_frame(frame);
    }
    write_again(&frames);
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Counters) {
    let mut demuxer = Demuxer::new(MAX_FRAME);
    let mut frames = Vec::new();
    for piece in pieces {
        demuxer.push(piece);
        frames.extend(std::iter::from_fn(|| demuxer.pull()));
    }
    demuxer.flush();
    frames.extend(std::iter::from_fn(|| demuxer.pull()));
    (frames, demuxer.counters())
}

/// The body says what the frame says.
fn check_frame(frame: &Frame) {
    let kind = frame.track.media.into();
    let again = flv::frame(kind, frame.dts, frame.packet.clone());
    let again = again.expect("a body that was made can be read");
    assert_eq!(again.track, frame.track);
    assert_eq!(again.codec, frame.codec);
    assert_eq!(again.payload_at, frame.payload_at);
    if !frame.payload().is_empty() {
        assert_eq!(again.role, frame.role);
    }
}

/// Frames that were read can be written, in whole packets.
fn write_again(frames: &[Frame]) {
    let mut muxer = Muxer::new();
    let mut out = Vec::new();
    for frame in frames {
        let payload = frame.payload();
        let has_none = matches!(
            frame.codec,
            Codec::Audio(AudioCodec::Mp3 | AudioCodec::Ac3 | AudioCodec::Eac3)
        );
        if frame.role == Role::Config || has_none {
            let config = if has_none { &[][..] } else { &payload };
            let announced = muxer.set_track(frame.track, frame.codec, config);
            assert!(
                announced.is_ok() || config.len() > MAX_CONFIG_BYTES,
                "{announced:?}"
            );
        }
        if frame.role != Role::Config {
            let unit = Unit {
                track: frame.track,
                dts: frame.dts,
                composition: frame.composition,
                is_key: frame.role == Role::Key,
                payload: &payload,
            };
            let before = out.len();
            let written = muxer.write_frame(&unit, &mut out);
            assert!(written.is_ok() || out.len() == before, "{written:?}");
            assert!(written.is_ok() || frame.track.media == Media::Audio);
        }
        assert_eq!(out.len() % PACKET_BYTES, 0);
        // what a clock's gap may bring with it, and no more
        assert!(out.len() <= 1 << 20);
        out.clear();
    }
}

/// Walks start codes, and reads every unit as a parameter set. Input: a byte stream.
pub fn annexb(data: &[u8]) {
    let units: Vec<&[u8]> = annexb::units(data).collect();
    for unit in &units {
        assert!(!unit.is_empty() && !unit.ends_with(&[0]));
        assert!(!unit.windows(3).any(|bytes| bytes == [0, 0, 1]));
        h264::is_recovery_point(unit);
        h264::is_intra_slice(unit);
    }
    let mut prefixed = Vec::new();
    annexb::length_prefixed(data, |_| true, &mut prefixed);
    let mut again = Vec::new();
    let walked = annexb::write(h264::nal_units(&prefixed, LengthSize::Four), &mut again);
    assert_eq!(walked, Ok(()));
    assert!(annexb::units(&again).eq(units.iter().copied()));
    for pair in units.windows(2) {
        if let [sps, pps] = pair
            && let Ok(config) = h264::config_from(&[sps], &[pps])
        {
            assert_eq!(h264::parameter_sets(&config), Ok(vec![*sps, *pps]));
            assert_eq!(h264::length_size(&config), Ok(LengthSize::Four));
        }
    }
    for three in units.windows(3) {
        if let [vps, sps, pps] = three
            && let Ok(config) = h265::config_from(&[vps], &[sps], &[pps])
        {
            assert_eq!(h265::parameter_sets(&config), Ok(vec![*vps, *sps, *pps]));
            assert_eq!(h265::length_size(&config), Ok(LengthSize::Four));
        }
    }
    let _ = (h264::parameter_sets(data), h265::parameter_sets(data));
}

/// Reads the input as a frame of ADTS, as an AudioSpecificConfig, and as the head of every frame that tells its length.
pub fn adts(data: &[u8]) {
    if let Ok(frame) = adts::parse(data) {
        assert!(frame.frame_bytes > frame.header_bytes);
        let config = frame.header.config();
        assert_eq!(adts::Header::from_config(&config), Ok(frame.header));
    }
    if let Ok(header) = adts::Header::from_config(data) {
        let bytes = header.bytes(data.len().min(8000)).expect("short enough");
        assert_eq!(adts::parse(&bytes).map(|it| it.header), Ok(header));
    }
    for codec in [
        AudioCodec::Aac,
        AudioCodec::Mp3,
        AudioCodec::Ac3,
        AudioCodec::Eac3,
        AudioCodec::Opus,
    ] {
        match sync_frame(codec, data) {
            Ok(frame) => {
                assert!((4..=8191).contains(&frame.bytes) && frame.sample_rate > 0);
            }
            Err(Error::Truncated { .. }) => assert!(data.len() < 8, "eight bytes tell"),
            Err(_) => {}
        }
    }
}
