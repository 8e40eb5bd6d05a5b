//! Fragmented MP4 as mp4box.js reads it: a second parser beside the one of the server.
//!
//! Owns: the files it is given, and its answer as plain structs. Does not: judge times; [`Structure::gaps`] tells where
//! they jump, and whether they may is the test's to know.
//!
//! ```no_run
//! use weir_testkit::mp4box;
//!
//! # let (init, segment) = (vec![], vec![]);
//! let structure = mp4box::inspect(&init, &[&segment]);
//! structure.assert_sound();
//! assert_eq!(structure.tracks[0].codec, "avc1.64001f");
//! assert_eq!(structure.segments[0].fragments[0].trafs[0].base_time, 90_000);
//! ```

use std::fs;
use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::process::Process;
use crate::tools::{self, Tool};

/// What an init segment and its media segments hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Brands of the `ftyp`, the major one first.
    pub brands: Vec<String>,
    /// Top-level boxes of the init segment.
    pub init: Vec<String>,
    /// The tracks of the `moov`.
    pub tracks: Vec<Track>,
    /// The media segments, in the order they were given.
    pub segments: Vec<Segment>,
    /// What mp4box.js complains of, and what cannot be: boxes that do not fill a segment, samples outside of their `mdat`
    /// or bytes in it that no sample has, tracks that the `moov` does not know.
    pub errors: Vec<String>,
}

/// A track of the `moov`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its id.
    pub id: u64,
    /// Units in a second.
    pub timescale: u64,
    /// The codec as RFC 6381 writes it, as mp4box.js makes it of the sample entry.
    pub codec: String,
    /// The type of the sample entry, such as `avc1`.
    pub entry: String,
    /// Width and height in pixels, zeros for sound.
    pub size: (u64, u64),
    /// Sample rate and channels of the sample entry, zeros for pictures.
    pub sound: (u64, u64),
}

/// A media segment or part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Types of its top-level boxes, in their order.
    pub boxes: Vec<String>,
    /// Its `moof`s.
    pub fragments: Vec<Fragment>,
}

/// A `moof` and its `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The `mfhd`'s sequence number.
    pub sequence: u64,
    /// Size of the `moof`.
    pub moof_bytes: u64,
    /// Size of the `mdat` without its header.
    pub data_bytes: u64,
    /// Its tracks.
    pub trafs: Vec<Traf>,
}

/// A track in a fragment. Times are in the track's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traf {
    /// The track's id.
    pub track: u64,
    /// Whether the flag default-base-is-moof is set.
    pub base_is_moof: bool,
    /// Version of the `tfdt`.
    pub tfdt_version: u64,
    /// Decode time of the first sample.
    pub base_time: u64,
    /// Versions of the `trun`s.
    pub trun_versions: Vec<u64>,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// A sample. Times are in the track's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded.
    pub decode_time: i64,
    /// How much later it is presented; negative where the `trun` says so.
    pub composition: i64,
    /// How long.
    pub duration: u64,
    /// Bytes.
    pub size: u64,
    /// Whether decoding can begin here.
    pub is_sync: bool,
}

impl Structure {
    /// Panics when there are errors.
    pub fn assert_sound(&self) {
        assert!(self.errors.is_empty(), "not sound: {:#?}", self.errors);
    }

    /// The parts of a track in all fragments, in their order.
    pub fn trafs(&self, track: u64) -> impl Iterator<Item = &Traf> {
        let fragments = self.segments.iter().flat_map(|segment| &segment.fragments);
        let trafs = fragments.flat_map(|fragment| &fragment.trafs);
        trafs.filter(move |traf| traf.track == track)
    }

    /// Where a track's decode times do not go on from one fragment to the next: the time that follows from the durations
    /// and the time that the `tfdt` says.
    pub fn gaps(&self, track: u64) -> Vec<(u64, u64)> {
        let trafs: Vec<_> = self.trafs(track).collect();
        let pairs = trafs.windows(2).filter_map(|pair| {
            let [before, after] = pair else { return None };
            let lasts: u64 = before.samples.iter().map(|sample| sample.duration).sum();
            let expected = before.base_time + lasts;
            (expected != after.base_time).then_some((expected, after.base_time))
        });
        pairs.collect()
    }
}

/// Has mp4box.js read an init segment and media segments. What is wrong with them is in the answer; panics only when node
/// or the package is missing or fails.
pub fn inspect(init: &[u8], segments: &[&[u8]]) -> Structure {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Tool::Node.command([tools::script("mp4box.mjs")]);
    for (number, bytes) in [init].iter().chain(segments).enumerate() {
        let file = folder.path().join(format!("{number}.mp4"));
        fs::write(&file, bytes).expect("a file");
        command.arg(file);
    }
    let mut process = Process::spawn(command.stdout(Stdio::piped()));
    let mut text = String::new();
    let read = process.take_stdout().read_to_string(&mut text);
    process.succeed();
    read.expect("it writes text");
    let told: Value = serde_json::from_str(&text).expect("it writes JSON");
    Structure {
        brands: texts(&told["brands"]),
        init: texts(&told["init"]),
        tracks: list(&told["tracks"], track),
        segments: list(&told["segments"], |segment| Segment {
            boxes: texts(&segment["boxes"]),
            fragments: list(&segment["fragments"], fragment),
        }),
        errors: texts(&told["errors"]),
    }
}

fn list<T>(value: &Value, item: impl FnMut(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(item).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value, text)
}

/// What is not there counts as zero; the script has put it among the errors.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn track(track: &Value) -> Track {
    Track {
        id: number(&track["id"]),
        timescale: number(&track["timescale"]),
        codec: text(&track["codec"]),
        entry: text(&track["entry"]),
        size: (number(&track["width"]), number(&track["height"])),
        sound: (number(&track["sample_rate"]), number(&track["channels"])),
    }
}

fn fragment(fragment: &Value) -> Fragment {
    Fragment {
        sequence: number(&fragment["sequence"]),
        moof_bytes: number(&fragment["moof_bytes"]),
        data_bytes: number(&fragment["data_bytes"]),
        trafs: list(&fragment["trafs"], |traf| Traf {
            track: number(&traf["track"]),
            base_is_moof: traf["base_is_moof"] == true,
            tfdt_version: number(&traf["tfdt_version"]),
            base_time: number(&traf["base_time"]),
            trun_versions: list(&traf["trun_versions"], number),
            samples: list(&traf["samples"], |sample| Sample {
                decode_time: sample["decode_time"].as_i64().unwrap_or_default(),
                composition: sample["composition"].as_i64().unwrap_or_default(),
                duration: number(&sample["duration"]),
                size: number(&sample["size"]),
                is_sync: sample["is_sync"] == true,
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Media;

    /// Init segment and media segments of one second, as ffmpeg makes them of a file.
    fn packaged(media: Media) -> (Vec<u8>, Vec<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-i"]);
        command.arg(media.file()).args(["-c", "copy", "-f", "hls"]);
        command.args(["-hls_time", "1", "-hls_list_size", "0"]);
        command.args(["-hls_segment_type", "fmp4"]);
        Process::spawn(command.arg(folder.path().join("s.m3u8"))).succeed();
        let read = |name: &str| fs::read(folder.path().join(name));
        let segments = (0..).map_while(|number| read(&format!("s{number}.m4s")).ok());
        (read("init.mp4").unwrap(), segments.collect())
    }

    fn slices(segments: &[Vec<u8>]) -> Vec<&[u8]> {
        segments.iter().map(Vec::as_slice).collect()
    }

    /// Where the first box of this type begins: behind its size.
    fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
        bytes.windows(4).position(|four| four == kind).unwrap()
    }

    #[test]
    fn what_ffmpeg_packages_is_read() {
        let (init, segments) = packaged(Media::H264Aac);
        let structure = inspect(&init, &slices(&segments));
        structure.assert_sound();
        assert_eq!(structure.init, ["ftyp", "moov"]);
        let tracks: Vec<_> = structure
            .tracks
            .iter()
            .map(|track| (track.id, track.entry.as_str()))
            .collect();
        assert_eq!(tracks, [(1, "avc1"), (2, "mp4a")]);
        assert!(structure.tracks[0].codec.starts_with("avc1.64"));
        assert_eq!(structure.tracks[0].size, (320, 180));
        assert_eq!(structure.tracks[1].codec, "mp4a.40.2");
        assert_eq!(structure.segments.len(), crate::media::SECONDS as usize);
        for segment in &structure.segments {
            assert!(
                segment
                    .boxes
                    .ends_with(&["moof".to_owned(), "mdat".to_owned()])
            );
            let [fragment] = segment.fragments.as_slice() else {
                panic!("{segment:?}");
            };
            let video = &fragment.trafs[0];
            assert_eq!((video.track, video.samples.len()), (1, 25));
            assert!(video.samples[0].is_sync && !video.samples[1].is_sync && video.base_is_moof);
            assert!(video.samples.iter().any(|sample| sample.composition > 0));
        }
        assert_eq!(structure.gaps(1), []);
        assert!(structure.trafs(2).count() > 0);
    }

    #[test]
    fn damage_is_an_error_and_a_lost_segment_is_a_gap() {
        let (init, segments) = packaged(Media::VideoOnly);
        let without: Vec<_> = [&segments[..2], &segments[3..]].concat();
        let structure = inspect(&init, &slices(&without));
        structure.assert_sound();
        let [(expected, found)] = structure.gaps(1)[..] else {
            panic!("{:?}", structure.gaps(1));
        };
        assert_eq!(found - expected, structure.tracks[0].timescale);

        let errors = |damage: &dyn Fn(&mut Vec<u8>)| {
            let mut segment = segments[0].clone();
            damage(&mut segment);
            inspect(&init, &[&segment]).errors
        };
        assert_eq!(errors(&|_| ()), [""; 0]);
        // the end is missing
        assert_ne!(
            errors(&|segment| segment.truncate(segment.len() - 9)),
            [""; 0]
        );
        // samples that begin later than their data: the low byte of the data offset
        let later = |segment: &mut Vec<u8>| {
            let trun = find(segment, b"trun");
            segment[trun + 15] ^= 1;
        };
        let found = errors(&later);
        assert!(
            found
                .iter()
                .any(|error| error.contains("outside of the mdat")),
            "{found:?}"
        );
        // a track that the moov does not know
        let foreign = |segment: &mut Vec<u8>| {
            let tfhd = find(segment, b"tfhd");
            segment[tfhd + 11] = 9;
        };
        let found = errors(&foreign);
        assert!(
            found.iter().any(|error| error.contains("no track 9")),
            "{found:?}"
        );
        // no init segment at all
        assert_ne!(inspect(&[], &[&segments[0]]).errors, [""; 0]);
    }
}
