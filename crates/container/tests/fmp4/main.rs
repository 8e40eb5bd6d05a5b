//! fMP4 of published streams, read by two releases of ffmpeg, by ffprobe, by mp4box.js and by us: every sample with its
//! times and bytes, and no complaint.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod movie;
mod tools;

use std::path::Path;

use movie::{Form, Source, muxed, single, sources};
use weir_codec::rfc6381;
use weir_container::fmp4::reader;
use weir_testkit::media::Media;
use weir_testkit::mp4box;
use weir_testkit::tools::Tool;

/// A file, the tracks in it, and where the stream that it is made of is.
struct Case {
    name: String,
    bytes: Vec<u8>,
    tracks: Vec<Source>,
}

impl Case {
    /// Checks the file with everything at hand.
    fn check(&self, source: &Path) {
        let file = tools::File::new(&self.name, &self.bytes);
        for tool in [Tool::Ffmpeg, Tool::FfmpegEnhanced] {
            tools::decodes(tool, file.path());
        }
        self.check_times();
        self.check_samples();
        self.check_structure();
        self.check_packets(&file);
        self.check_payloads(&file, source);
    }

    /// The tables say the times that the publisher said: pictures to the tick, so that they are with the sound as they
    /// were; sound to the millisecond that its publisher rounded to.
    fn check_times(&self) {
        for track in &self.tracks {
            let presented = track.presented();
            let wanted = |ms: i64| ms * i64::from(track.timescale) / 1000;
            let slack = if track.is_video() { 0 } else { wanted(1) };
            for (found, ms) in presented.iter().zip(&track.published) {
                assert!(
                    (found - wanted(*ms)).abs() <= slack,
                    "{}: {found}, {ms} ms",
                    self.name
                );
            }
            let is_signed = track.samples.iter().any(|sample| sample.composition < 0);
            let begins_there = |at: &usize| presented[*at] == track.times[*at] as i64;
            if is_signed {
                assert!(track.cuts().iter().all(begins_there), "{}", self.name);
            }
        }
    }

    /// Our own reader finds what was written.
    fn check_samples(&self) {
        let (_, fragments) = self.read();
        for track in &self.tracks {
            let runs = fragments.iter().flat_map(|fragment| &fragment.runs);
            let runs: Vec<_> = runs.filter(|run| run.track == track.id).collect();
            let samples: Vec<_> = runs.iter().flat_map(|run| run.samples.clone()).collect();
            assert_eq!(samples, track.samples, "{}", self.name);
            let data: Vec<_> = runs
                .iter()
                .flat_map(|run| &self.bytes[run.data.clone()])
                .collect();
            assert!(
                data.into_iter().eq(track.payloads.iter().flatten()),
                "{}",
                self.name
            );
        }
        let numbers: Vec<_> = fragments.iter().map(|fragment| fragment.sequence).collect();
        assert!(numbers.into_iter().eq(1..=fragments.len() as u32));
    }

    /// Where the first fragment begins.
    fn first_fragment(&self) -> usize {
        let mut windows = self.bytes.windows(4);
        windows.position(|bytes| bytes == b"moof").unwrap() - 4
    }

    fn read(&self) -> (Vec<reader::TrackOf<'_>>, Vec<reader::Fragment>) {
        let at = self.first_fragment();
        let tracks = reader::init(&self.bytes[..at]).unwrap();
        let mut fragments = reader::fragments(&self.bytes[at..]).unwrap();
        for run in fragments.iter_mut().flat_map(|fragment| &mut fragment.runs) {
            run.data = run.data.start + at..run.data.end + at;
        }
        (tracks, fragments)
    }

    /// mp4box.js finds the same samples, and names the tracks by the same strings.
    fn check_structure(&self) {
        let (init, segment) = self.bytes.split_at(self.first_fragment());
        let mut structure = mp4box::inspect(init, &[segment]);
        // it takes the flag of the last metadata block for its opposite, and reads on
        structure.errors.retain(|error| !error.contains("'dfLa'"));
        structure.assert_sound();
        let is_cmaf = structure.brands.iter().any(|brand| brand == "cmf2");
        assert_eq!(is_cmaf, self.tracks.len() == 1, "{:?}", structure.brands);
        for (track, found) in self.tracks.iter().zip(&structure.tracks) {
            let string = rfc6381::string(track.info.codec, &track.config).unwrap();
            // mp4box.js writes the kind of entry where it knows no more, and MP3 by its object type
            let wanted = match string.as_str() {
                "mp4a.40.34" => "mp4a.6b",
                "opus" => "Opus",
                other => other,
            };
            assert!(
                found.codec.eq_ignore_ascii_case(wanted),
                "{found:?}, {wanted}"
            );
            let trafs: Vec<_> = structure.trafs(track.id.into()).collect();
            assert!(
                trafs
                    .iter()
                    .all(|traf| traf.base_is_moof && traf.tfdt_version == 1)
            );
            let samples: Vec<_> = trafs.iter().flat_map(|traf| traf.samples.clone()).collect();
            let rows = track.times.iter().zip(&track.samples);
            let wanted: Vec<_> = rows
                .map(|(time, sample)| mp4box::Sample {
                    decode_time: *time as i64,
                    composition: sample.composition.into(),
                    duration: sample.duration.into(),
                    size: sample.size.into(),
                    is_sync: sample.is_sync,
                })
                .collect();
            similar(&self.name, &samples, &wanted);
        }
    }

    /// ffprobe finds every sample at its time.
    fn check_packets(&self, file: &tools::File) {
        for (index, track) in self.tracks.iter().enumerate() {
            let stream = tools::probe(file.path(), index);
            assert_eq!(
                stream.time_base,
                format!("1/{}", track.timescale),
                "{}",
                self.name
            );
            // ffmpeg moves pictures with offsets below zero by the lowest of them, with all releases to date; sound
            // stays. The offset is the format's, and other players take it as it is.
            let offsets = track.samples.iter().map(|sample| sample.composition);
            let moved = -i64::from(offsets.min().unwrap().min(0));
            let rows = track.presented().into_iter().zip(&track.samples);
            let wanted: Vec<_> = rows
                .map(|(time, sample)| tools::Packet {
                    pts: time + moved,
                    size: sample.size.into(),
                    is_key: sample.is_sync,
                })
                .collect();
            similar(&self.name, &stream.packets, &wanted);
        }
    }

    /// ffmpeg finds the payloads that the publisher sent, each as long as its track says.
    fn check_payloads(&self, file: &tools::File, source: &Path) {
        let ours = tools::payloads(file.path());
        let theirs = tools::payloads(source);
        for (index, track) in self.tracks.iter().enumerate() {
            // pictures first, as in every file of the test media
            let of_source = usize::from(theirs.len() > 1 && !track.is_video());
            let hashes = |rows: &[tools::Payload]| -> Vec<_> {
                let rows = rows.iter();
                rows.map(|row| (row.size.clone(), row.hash.clone()))
                    .collect()
            };
            similar(
                &self.name,
                &hashes(&ours[index]),
                &hashes(&theirs[of_source]),
            );
            let found: Vec<_> = ours[index].iter().map(|row| row.duration).collect();
            let wanted: Vec<_> = track.samples.iter().map(|sample| sample.duration).collect();
            similar(&self.name, &found, &wanted);
        }
    }
}

/// As `assert_eq`, with the first difference instead of everything.
#[track_caller]
fn similar<T: PartialEq + std::fmt::Debug>(name: &str, found: &[T], wanted: &[T]) {
    let pairs = found.iter().zip(wanted).enumerate();
    let difference = pairs.clone().find(|(_, (found, wanted))| found != wanted);
    assert!(
        difference.is_none(),
        "{name}: (found, wanted) {difference:?}"
    );
    assert_eq!(found.len(), wanted.len(), "{name}: {:?}", found.last());
}

/// Checks each track alone, and both together.
fn check(name: &str, file: &Path, form: Form) {
    for source in sources(file, form) {
        let kind = if source.is_video() { "v" } else { "a" };
        let bytes = single(&source);
        let case = Case {
            name: format!("{name}-{kind}"),
            bytes,
            tracks: vec![source],
        };
        case.check(file);
    }
    let tracks = sources(file, form);
    if let [video, audio] = tracks.as_slice() {
        let bytes = muxed(video, audio);
        let case = Case {
            name: format!("{name}-av"),
            bytes,
            tracks,
        };
        case.check(file);
    }
}

fn check_media(media: Media) {
    check(&format!("{media:?}"), &media.file(), Form::Signed);
}

#[test]
fn h264_with_b_frames_and_aac() {
    let file = Media::H264Aac.file();
    let video = &sources(&file, Form::Signed)[0];
    assert!(video.samples.iter().any(|sample| sample.composition < 0));
    assert_eq!(video.cuts().len(), 8);
    check_media(Media::H264Aac);
    check("plain", &file, Form::Plain);
}

#[test]
fn h264_without_b_frames() {
    check_media(Media::BaselineAac);
}

#[test]
fn h265_and_aac() {
    check_media(Media::HevcAac);
}

#[test]
fn vp9_and_opus() {
    check_media(Media::Vp9Opus);
}

#[test]
fn av1_and_aac() {
    check_media(Media::Av1Aac);
}

#[test]
fn mp3() {
    check_media(Media::H264Mp3);
}

#[test]
fn aac_alone() {
    check_media(Media::AudioOnly);
}

#[test]
fn flac() {
    let file = tools::encoded("flac", &["-c:a", "flac"]);
    check("flac", file.path(), Form::Signed);
}

#[test]
fn ac3_and_eac3() {
    for codec in ["ac3", "eac3"] {
        let file = tools::encoded(codec, &["-c:a", codec]);
        check(codec, file.path(), Form::Signed);
    }
}

#[test]
fn tracks_are_what_they_were_encoded_as() {
    let fact = |media: Media, index: usize, name: &str| {
        let sources = sources(&media.file(), Form::Signed);
        let file = tools::File::new("facts", &single(&sources[index]));
        let facts = tools::probe(file.path(), 0).facts;
        let fact = &facts[name];
        fact.as_str()
            .map_or_else(|| fact.to_string(), str::to_owned)
    };
    assert_eq!(fact(Media::Vp9Opus, 0, "width"), "320");
    assert_eq!(fact(Media::Av1Aac, 0, "height"), "180");
    assert_eq!(fact(Media::HevcAac, 0, "codec_tag_string"), "hvc1");
    assert_eq!(fact(Media::H264Aac, 0, "profile"), "High");
    assert_eq!(fact(Media::H264Mp3, 1, "codec_name"), "mp3");
    assert_eq!(fact(Media::H264Mp3, 1, "sample_rate"), "44100");
    assert_eq!(fact(Media::Vp9Opus, 1, "channels"), "1");
}

#[test]
#[should_panic(expected = "complained")]
fn a_decoder_that_is_fed_damage_complains() {
    let source = &sources(&Media::VideoOnly.file(), Form::Signed)[0];
    let mut bytes = single(source);
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2000].fill(0x55);
    tools::decodes(Tool::Ffmpeg, tools::File::new("damage", &bytes).path());
}

#[test]
#[should_panic(expected = "(found, wanted)")]
fn a_sample_at_a_wrong_time_is_found() {
    let file = Media::BaselineAac.file();
    let mut tracks = sources(&file, Form::Signed);
    tracks.truncate(1);
    let bytes = single(&tracks[0]);
    tracks[0].times[30] += 1;
    let name = "late".to_owned();
    let case = Case {
        name,
        bytes,
        tracks,
    };
    case.check_packets(&tools::File::new("late", &case.bytes));
}

#[test]
#[should_panic(expected = "(found, wanted)")]
fn a_payload_of_other_bytes_is_found() {
    let source = Media::AudioOnly.file();
    let tracks = sources(&source, Form::Signed);
    let mut bytes = single(&tracks[0]);
    *bytes.last_mut().unwrap() ^= 1;
    let name = "other".to_owned();
    let case = Case {
        name,
        bytes,
        tracks,
    };
    case.check_payloads(&tools::File::new("other", &case.bytes), &source);
}
