//! ffmpeg as the other side: it reads what is written here without a word of complaint, and what it writes is read here;
//! both times every packet is what went in.

use std::path::{Path, PathBuf};

use weir_container::ts::Demuxer;
use weir_media::{AudioCodec, Codec, Frame, Role, VideoCodec};
use weir_testkit::{Media, Tool};

use crate::check;
use crate::media::{LIMIT, Source, file, mux, played, source_of};

/// Media files of FLV, with what brings both sides to one form: ffmpeg's filters of the file's packets, and of the
/// stream's. Pictures are compared slice by slice, for delimiters and parameter sets are not the file's.
const CASES: &[(&str, Input, &str, &str)] = &[
    (
        "h264_aac",
        Input::Made(Media::H264Aac),
        H264_FILE,
        H264_STREAM,
    ),
    (
        "hevc_aac",
        Input::Made(Media::HevcAac),
        HEVC_FILE,
        HEVC_STREAM,
    ),
    (
        "h264_mp3",
        Input::Made(Media::H264Mp3),
        H264_FILE,
        MP3_STREAM,
    ),
    (
        "baseline",
        Input::Made(Media::BaselineAac),
        H264_FILE,
        H264_STREAM,
    ),
    (
        "aac",
        Input::Made(Media::AudioOnly),
        "",
        "-bsf:a aac_adtstoasc",
    ),
    ("opus", Input::Made(Media::Vp9Opus), "-vn", ""),
    ("ac3", Input::Golden("ac3.flv"), "-vn", ""),
];

const H264_FILE: &str = "-bsf:v h264_mp4toannexb,filter_units=pass_types=1-5";
const H264_STREAM: &str = "-bsf:v filter_units=pass_types=1-5 -bsf:a aac_adtstoasc";
const MP3_STREAM: &str = "-bsf:v filter_units=pass_types=1-5";
const HEVC_FILE: &str = "-bsf:v hevc_mp4toannexb,filter_units=pass_types=0-31";
const HEVC_STREAM: &str = "-bsf:v filter_units=pass_types=0-31 -bsf:a aac_adtstoasc";

#[derive(Debug, Clone, Copy)]
enum Input {
    Made(Media),
    Golden(&'static str),
}

impl Input {
    fn path(self) -> PathBuf {
        match self {
            Self::Made(media) => media.file(),
            Self::Golden(name) => Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/data/ffmpeg")
                .join(name),
        }
    }

    fn source(self) -> Source {
        source_of(&file(&self.path()))
    }
}

/// Runs ffmpeg and gives what it wrote to `out`; it must say nothing.
fn ffmpeg(input: &Path, args: &str, out: &Path) -> Vec<u8> {
    let mut words: Vec<String> = ["-nostdin", "-v", "error", "-copyts", "-i"]
        .map(str::to_owned)
        .to_vec();
    words.push(input.display().to_string());
    words.extend(args.split_whitespace().map(str::to_owned));
    words.extend(["-y".to_owned(), out.display().to_string()]);
    let mut command = Tool::FfmpegEnhanced.command(&words);
    let output = command
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {words:?}: {said}");
    assert_eq!(said, "", "ffmpeg {words:?}");
    std::fs::read(out).unwrap()
}

/// Stream, times in milliseconds, size and hash of each packet as ffmpeg sees them.
fn packets(input: &Path, args: &str, folder: &Path) -> Vec<(u8, i64, i64, String)> {
    let list = folder.join("packets");
    let args = format!("{args} -c copy -f framemd5");
    let text = String::from_utf8(ffmpeg(input, &args, &list)).unwrap();
    let mut bases = Vec::new();
    let mut all = Vec::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb ") {
            let (_, ratio) = base.split_once(": ").unwrap();
            let (over, under) = ratio.split_once('/').unwrap();
            bases.push((over.parse::<i64>().unwrap(), under.parse::<i64>().unwrap()));
        }
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let stream: u8 = fields[0].parse().unwrap();
        // FLV announces some sound by packets without a byte
        if fields[4] == "0" {
            continue;
        }
        let (over, under) = bases[usize::from(stream)];
        let millis = |field: &str| field.parse::<i64>().unwrap() * over * 1000 / under;
        let what = format!("{} {}", fields[4], fields[5]);
        all.push((stream, millis(fields[1]), millis(fields[2]), what));
    }
    all.sort_by_key(|(stream, ..)| *stream);
    all
}

#[test]
fn ffmpeg_reads_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (name, input, of_file, of_stream) in CASES {
        let stream = mux(&input.source());
        assert_eq!(check::faults(&stream, 0x1000), [""; 0], "{name}");
        let path = folder.path().join(format!("{name}.ts"));
        std::fs::write(&path, &stream).unwrap();
        let wanted = packets(&input.path(), of_file, folder.path());
        let got = packets(&path, of_stream, folder.path());
        assert!(wanted.len() > 3, "{name}");
        assert_eq!(got.len(), wanted.len(), "{name}");
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!((got.0, &got.3), (wanted.0, &wanted.3), "{name}");
            // milliseconds of FLV are whole in both
            assert_eq!(
                (got.1 - 700, got.2 - 700),
                (wanted.1, wanted.2),
                "{name}: {wanted:?}"
            );
        }
        // and it decodes without an error
        let decoded = folder.path().join("decoded");
        ffmpeg(&path, "-xerror -f framemd5", &decoded);
    }
}

/// Everything in a stream that ffmpeg wrote.
fn demuxed(stream: &[u8]) -> Vec<Frame> {
    let mut demuxer = Demuxer::new(LIMIT);
    let mut frames = Vec::new();
    for piece in stream.chunks(1316) {
        demuxer.push(piece);
        frames.extend(std::iter::from_fn(|| demuxer.pull()));
    }
    demuxer.flush();
    frames.extend(std::iter::from_fn(|| demuxer.pull()));
    let counters = demuxer.counters();
    assert_eq!(
        (counters.faults, counters.resyncs, counters.discontinuities),
        (0, 0, 0)
    );
    frames
}

/// The slices of a picture; other payloads as they are.
fn compared(codec: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = payload;
    if codec != "HEVC" {
        return payload.to_vec();
    }
    // ffmpeg puts the encoder's own message from the record into the stream
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (unit, later) = behind.split_at(u32::from_be_bytes(*length) as usize);
        if unit[0] >> 1 < 32 {
            out.extend_from_slice(unit);
        }
        rest = later;
    }
    out
}

#[test]
fn what_ffmpeg_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, input, ..) in CASES {
        let path = folder.path().join(format!("{name}.ts"));
        let only = if name == &"opus" { "-vn" } else { "" };
        let args = format!("{only} -c copy -muxdelay 0 -muxpreload 0 -f mpegts");
        let stream = ffmpeg(&input.path(), &args, &path);
        let frames = demuxed(&stream);
        let source = input.source();
        let (got, wanted) = (played(&frames), source.played());
        assert_eq!(got.len(), wanted.len(), "{name}");
        let shift = got[0].dts - wanted[0].dts;
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(
                compared(&got.codec, &got.payload),
                compared(&wanted.codec, &wanted.payload),
                "{name}"
            );
            assert_eq!(
                (got.track, got.is_key),
                (wanted.track, wanted.is_key),
                "{name}"
            );
            // several frames of sound share a PES packet there, so their times are counted, where FLV rounds them
            let off = (got.dts - wanted.dts - shift).ticks().abs();
            assert!(
                off <= 900 * 2,
                "{name}: {} {}",
                got.dts.ticks(),
                wanted.dts.ticks()
            );
            assert_eq!(got.composition, wanted.composition, "{name}");
        }
        let configs = frames.iter().filter(|frame| frame.role == Role::Config);
        let wanted = source
            .tracks
            .iter()
            .filter(|(_, codec, _)| has_config(*codec));
        assert_eq!(configs.count(), wanted.count(), "{name}");
    }
}

fn has_config(codec: Codec) -> bool {
    matches!(
        codec,
        Codec::Video(VideoCodec::H264 | VideoCodec::H265)
            | Codec::Audio(AudioCodec::Aac | AudioCodec::Opus)
    )
}

/// Sound that no other test has: codec and form of it, made on the spot.
#[test]
fn other_sound_survives_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (made, path) = (
        folder.path().join("made.flv"),
        folder.path().join("made.ts"),
    );
    let tone = Input::Made(Media::AudioOnly).path();
    for (encoding, of_stream) in [
        ("-c:a eac3 -ar 48000 -ac 6", ""),
        ("-c:a ac3 -ar 44100", ""),
        ("-c:a libmp3lame -ar 22050 -ac 1", ""),
        ("-c:a libopus -ar 48000 -ac 6 -mapping_family 1", ""),
        ("-c:a aac -ar 32000 -ac 1", "-bsf:a aac_adtstoasc"),
    ] {
        ffmpeg(&tone, &format!("-t 2 {encoding} -f flv"), &made);
        let source = source_of(&file(&made));
        let stream = mux(&source);
        assert_eq!(check::faults(&stream, 0x1000), [""; 0], "{encoding}");
        std::fs::write(&path, &stream).unwrap();
        let hashes = |input: &Path, args: &str| {
            let all = packets(input, args, folder.path()).into_iter();
            all.map(|(.., what)| what).collect::<Vec<_>>()
        };
        let wanted = hashes(&made, "");
        assert!(wanted.len() > 40, "{encoding}");
        assert_eq!(hashes(&path, of_stream), wanted, "{encoding}");
        // encoded again, for ffmpeg does not pass on the empty packet that announces channels in FLV
        let foreign = ffmpeg(&tone, &format!("-t 2 {encoding} -f mpegts"), &path);
        for stream in [stream, foreign] {
            let got = played(&demuxed(&stream));
            let payloads = got.iter().map(|it| &it.payload);
            assert!(
                payloads.eq(source.played().iter().map(|it| &it.payload)),
                "{encoding}"
            );
        }
    }
}

/// A stream as broadcasters and other writers have it: sound in large PES packets, rare tables, padding packets.
#[test]
fn other_forms_of_ffmpegs_streams_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.ts");
    let input = Input::Made(Media::H264Aac);
    let source = input.source();
    for form in [
        "-muxrate 2M -pes_payload_size 16000",
        "-mpegts_flags +resend_headers+initial_discontinuity -mpegts_start_pid 0x45",
        "-mpegts_flags +system_b+pat_pmt_at_frames -omit_video_pes_length 0",
    ] {
        let stream = ffmpeg(&input.path(), &format!("-c copy {form} -f mpegts"), &path);
        let got = played(&demuxed(&stream));
        let wanted = source.played();
        assert_eq!(got.len(), wanted.len(), "{form}");
        let same = got
            .iter()
            .zip(&wanted)
            .all(|(got, wanted)| got.payload == wanted.payload);
        assert!(same, "{form}");
    }
}
