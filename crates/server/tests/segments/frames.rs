//! Frames as an ffmpeg reads them from any container, and their comparison.
//!
//! Owns: what is equal whatever the container: payloads without delimiters and parameter sets, key marks, presentation
//! times in microseconds. Does not: decode.

use std::fs;
use std::path::Path;

use weir_testkit::{Kind, Media, Process, Tool};

use crate::support::{complaints, tool_for};

/// By how much a picture may be off, in microseconds: publishers send whole milliseconds, and all clocks hold those.
const PICTURE_SLACK: i64 = 1_000;

/// The same for sound: FLV's times are rounded, and segments count samples instead as long as both agree within 4 ms.
const SOUND_SLACK: i64 = 5_000;

/// A coded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// When it is presented, in microseconds.
    pub(crate) at: i64,
    pub(crate) key: bool,
    pub(crate) hash: String,
}

/// Frames of both kinds, each in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frames(pub(crate) Vec<Frame>);

/// Where the frames that were played are among those that were published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// First frame of pictures, and how many are missing at the end.
    pub(crate) video: Option<(usize, usize)>,
    /// The same for sound.
    pub(crate) audio: Option<(usize, usize)>,
}

impl Place {
    /// Fails unless nothing is missing at the end, and not more than `most` frames of sound at the beginning.
    #[track_caller]
    pub(crate) fn assert_whole(&self, what: &str, most: usize) {
        assert!(
            self.video.is_none_or(|place| place == (0, 0)),
            "{what}: {self:?}"
        );
        let fits = |(first, missing): (usize, usize)| first <= most && missing == 0;
        assert!(self.audio.is_none_or(fits), "{what}: {self:?}");
    }
}

impl Frames {
    /// What is published of `media`.
    pub(crate) fn published(media: Media) -> Self {
        let file = media.published_file(tool_for(media));
        Self::of(media, &file.display().to_string())
    }

    /// Reads a file, or an address, to its end. Fails when the reader complains.
    #[track_caller]
    pub(crate) fn of(media: Media, input: &str) -> Self {
        Self::with(media, &[], input)
    }

    /// As [`Frames::of`], with options before the input.
    #[track_caller]
    pub(crate) fn with(media: Media, options: &[&str], input: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [hashes, flags] = ["hashes", "flags"].map(|name| folder.path().join(name));
        let is_ts = input.ends_with("ts.m3u8") || input.ends_with(".ts");
        let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-loglevel", "warning"]);
        command.arg("-copyts").args(options).args(["-i", input]);
        command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-copyinkf"]);
        if let Some(filter) = pictures_filter(media, is_ts) {
            command.args(["-bsf:v", &filter]);
        }
        if is_ts && is_aac(media) {
            command.args(["-bsf:a", "aac_adtstoasc"]);
        }
        command
            .args(["-f", "framehash", "-hash", "md5"])
            .arg(&hashes);
        command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-copyinkf"]);
        command.args(["-f", "framecrc"]).arg(&flags);
        let process = Process::spawn(&mut command);
        process.succeed();
        assert_eq!(complaints(&process), "", "ffmpeg reads {input}");
        let read = |file: &Path| fs::read_to_string(file).expect("ffmpeg wrote it");
        Self::parse(&read(&hashes), &read(&flags))
    }

    /// Reads a segment from memory.
    #[track_caller]
    pub(crate) fn in_bytes(media: Media, bytes: &[u8], ending: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(format!("file.{ending}"));
        fs::write(&file, bytes).expect("a file");
        // a few packets do not tell what they are
        let format: &[&str] = if ending == "ts" {
            &["-f", "mpegts"]
        } else {
            &[]
        };
        Self::with(media, format, &file.display().to_string())
    }

    fn parse(hashes: &str, flags: &str) -> Self {
        let told = |prefix: &str, stream: &str| {
            let prefix = format!("{prefix} {stream}: ");
            let line = hashes.lines().find_map(|line| line.strip_prefix(&prefix));
            line.expect("ffmpeg tells it").to_owned()
        };
        let rows = |text: &str| -> Vec<Vec<String>> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines
                .map(|line| {
                    line.split(',')
                        .map(|field| field.trim().to_owned())
                        .collect()
                })
                .collect()
        };
        // flags are shown where they are not those of a key frame
        let keys = rows(flags).into_iter().map(|row| {
            let flags = row.iter().find_map(|field| field.strip_prefix("F=0x"));
            flags.is_none_or(|hex| u32::from_str_radix(hex, 16).unwrap_or(0) & 1 == 1)
        });
        let frames = rows(hashes).into_iter().zip(keys).map(|(row, key)| {
            let base: i64 = told("#tb", &row[0])
                .strip_prefix("1/")
                .and_then(|base| base.parse().ok())
                .expect("1/n");
            let at: i64 = row[2].parse().expect("a time");
            Frame {
                kind: match told("#media_type", &row[0]).as_str() {
                    "video" => Kind::Video,
                    _ => Kind::Audio,
                },
                at: (i128::from(at) * 1_000_000 / i128::from(base)) as i64,
                key,
                hash: row[5].clone(),
            }
        });
        Self(frames.collect())
    }

    /// The frames of a kind.
    pub(crate) fn kind(&self, kind: Kind) -> Vec<&Frame> {
        self.0.iter().filter(|frame| frame.kind == kind).collect()
    }

    /// When the first frame of a kind is presented.
    pub(crate) fn begin(&self, kind: Kind) -> Option<i64> {
        self.kind(kind).iter().map(|frame| frame.at).min()
    }

    /// The frames of one kind alone.
    pub(crate) fn only(&self, kind: Kind) -> Self {
        Self(self.kind(kind).into_iter().cloned().collect())
    }
}

/// Delimiters, parameter sets and the messages beside them, which containers keep in different places, are left out.
fn pictures_filter(media: Media, is_ts: bool) -> Option<String> {
    let (convert, drop) = match media {
        Media::HevcAac => ("hevc_mp4toannexb", "filter_units=remove_types=32-35|39"),
        Media::Vp9Opus | Media::Av1Aac | Media::AudioOnly => return None,
        _ => ("h264_mp4toannexb", "filter_units=remove_types=6-9"),
    };
    Some(match is_ts {
        true => drop.to_owned(),
        false => format!("{convert},{drop}"),
    })
}

fn is_aac(media: Media) -> bool {
    matches!(
        media,
        Media::H264Aac | Media::BaselineAac | Media::HevcAac | Media::Av1Aac | Media::AudioOnly
    )
}

/// Finds what was played in what was published: of each kind that was played a contiguous run, unaltered, in order, none
/// missing, none doubled, with its key marks, and all at one offset in time.
pub(crate) fn place(published: &Frames, played: &Frames) -> Result<Place, String> {
    let mut offset = None;
    let mut found = Place {
        video: None,
        audio: None,
    };
    for kind in [Kind::Video, Kind::Audio] {
        let (published, played) = (published.kind(kind), played.kind(kind));
        let Some(first) = played.first() else {
            continue;
        };
        let same = |(a, b): (&&Frame, &&Frame)| a.hash == b.hash && a.key == b.key;
        let starts = (0..published.len()).filter(|at| published[*at].hash == first.hash);
        let fit = |start: &usize| {
            let rest = &published[*start..];
            rest.iter()
                .zip(&played)
                .take_while(|pair| same((pair.0, pair.1)))
                .count()
        };
        let Some(start) = starts.max_by_key(fit) else {
            return Err(format!("{kind:?} begins with what was not published"));
        };
        let length = fit(&start);
        if length != played.len() {
            return Err(format!(
                "{kind:?} {length} of {}: {:?} instead of {:?}",
                played.len(),
                played.get(length),
                published.get(start + length)
            ));
        }
        let slack = match kind {
            Kind::Video => PICTURE_SLACK,
            Kind::Audio => SOUND_SLACK,
        };
        let offset = *offset.get_or_insert(first.at - published[start].at);
        for (at, (published, played)) in published[start..].iter().zip(&played).enumerate() {
            let off = played.at - published.at - offset;
            if off.abs() > slack {
                return Err(format!("{kind:?} {at} is {off} us off: {played:?}"));
            }
        }
        let place = Some((start, published.len() - start - played.len()));
        match kind {
            Kind::Video => found.video = place,
            Kind::Audio => found.audio = place,
        }
    }
    match found.video.is_none() && found.audio.is_none() {
        true => Err("nothing was played".to_owned()),
        false => Ok(found),
    }
}

/// As [`place`]; fails the test when there is none.
#[track_caller]
pub(crate) fn assert_run(what: &str, published: &Frames, played: &Frames) -> Place {
    match place(published, played) {
        Ok(place) => place,
        Err(fault) => panic!("{what}: {fault}"),
    }
}

#[test]
fn the_comparison_finds_what_is_planted() {
    let published = Frames::published(Media::H264Aac);
    let place = |change: fn(&mut Vec<Frame>)| {
        let mut played = published.clone();
        change(&mut played.0);
        place(&published, &played)
    };
    let whole = place(|_| {}).expect("nothing is wrong");
    whole.assert_whole("itself", 0);
    let faults: [fn(&mut Vec<Frame>); 6] = [
        |frames| drop(frames.remove(40)),
        |frames| frames.insert(40, frames[40].clone()),
        |frames| frames[40].hash = "other".to_owned(),
        |frames| frames[40].at += 6_000,
        |frames| {
            for frame in frames.iter_mut().filter(|frame| frame.kind == Kind::Audio) {
                frame.at += 6_000;
            }
        },
        |frames| {
            let key = frames
                .iter_mut()
                .filter(|frame| frame.kind == Kind::Video && frame.key);
            key.for_each(|frame| frame.key = false);
        },
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        assert!(place(fault).is_err(), "fault {number} is not found");
    }
    assert!(place(Vec::clear).is_err());
}
