//! Targets of fragmented MP4 and of what a track is called and timed by there.
//!
//! Owns: that what is written can be read, and that what is read was within the input. Input of [`fmp4_reader`]: an
//! init segment or fragments. Input of the others: a byte that chooses the codec, the length of a decoder
//! configuration in two bytes, the configuration, a frame.

use weir_codec::{rfc6381, samples};
use weir_container::fmp4::reader::{self, Error, Fragment};
use weir_container::fmp4::{self, Run, Track, write_fragment_head, write_init};
use weir_media::{Codec, TrackInfo};

use crate::codec::CODECS;
use crate::pieces::head;

/// Reads the input as an init segment and as fragments; fragments are written and read again.
pub fn fmp4_reader(data: &[u8]) {
    match reader::init(data) {
        Ok(tracks) => assert!(tracks.len() * 100 < data.len(), "tracks out of nothing"),
        Err(error) => check_error(&error, data.len()),
    }
    match reader::fragments(data) {
        Ok(fragments) => fragments.iter().for_each(|read| write_again(read, data)),
        Err(error) => check_error(&error, data.len()),
    }
}

fn write_again(fragment: &Fragment, data: &[u8]) {
    let runs = fragment.runs.iter().filter(|run| !run.samples.is_empty());
    let runs: Vec<_> = runs.collect();
    let mut bytes = 0;
    for run in &runs {
        let within = data.get(run.data.clone()).map(<[u8]>::len);
        let sizes = run.samples.iter().map(|sample| u64::from(sample.size));
        assert_eq!(within.map(|length| length as u64), Some(sizes.sum()));
        bytes += run.data.len();
    }
    let tables = runs.iter().map(|run| Run {
        track: run.track,
        is_video: true,
        base_time: run.base_time,
        samples: &run.samples,
    });
    let tables: Vec<_> = tables.collect();
    let mut out = Vec::new();
    write_fragment_head(fragment.sequence, &tables, &mut out);
    out.resize(out.len() + bytes, 0);
    let again = reader::fragments(&out).expect("it was written here");
    let [again] = again.as_slice() else {
        panic!("one fragment was written");
    };
    assert_eq!(again.sequence, fragment.sequence);
    assert_eq!(again.runs.len(), runs.len());
    for (found, wanted) in again.runs.iter().zip(runs) {
        assert_eq!(found.track, wanted.track);
        assert_eq!(found.base_time, wanted.base_time);
        assert_eq!(found.samples, wanted.samples);
    }
}

fn check_error(error: &Error, length: usize) {
    let at = match error {
        Error::Short(short) => short.offset,
        Error::Length { offset, .. } | Error::Surplus { offset } | Error::Value { offset, .. } => {
            *offset
        }
        Error::Count { within, .. } => *within,
        _ => 0,
    };
    assert!(at <= length, "{error}");
}

/// The codec, the configuration and the frame of an input.
fn track(data: &[u8]) -> (Codec, &[u8], &[u8]) {
    let ([choice, high, low], rest) = head::<3>(data);
    let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
    let (config, frame) = rest.split_at(length);
    (CODECS[usize::from(choice) % CODECS.len()], config, frame)
}

/// Writes an init segment of a track with any configuration and frame, and reads it.
pub fn fmp4_init(data: &[u8]) {
    let (codec, config, frame) = track(data);
    let nothing = TrackInfo {
        codec,
        video: None,
        audio: None,
    };
    let info = weir_codec::describe(codec, config).unwrap_or(nothing);
    let track = Track {
        id: 1,
        timescale: 90_000,
        codec,
        config,
        frame,
        info: &info,
    };
    let mut out = b"before".to_vec();
    let Err(error) = write_init(&[track], &mut out) else {
        assert!(fmp4::is_supported(codec));
        let written = &out[b"before".len()..];
        let tracks = reader::init(written).expect("it was written here");
        assert_eq!(tracks.len(), 1);
        assert!(written.len() < config.len() + 1000);
        return;
    };
    assert_eq!(out, b"before", "{error}");
}

/// Asks for the codec string of any configuration, and for the samples of any frame.
pub fn codec_string(data: &[u8]) {
    let (codec, config, frame) = track(data);
    match rfc6381::string(codec, config) {
        Ok(text) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            assert!(text.bytes().all(plain) && text.len() <= 64, "{text}");
        }
        Err(error) => {
            assert_eq!(error.codec(), codec);
            assert!(error.offset().is_none_or(|offset| offset <= config.len()));
        }
    }
    if let Codec::Audio(codec) = codec {
        assert_ne!(samples(codec, config, frame), Some(0));
    }
}
