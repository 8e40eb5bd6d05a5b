//! Test media: made by ffmpeg on first use, and kept.
//!
//! Owns: the files below `target/test-media`, one for each command that made one, and what each publisher makes of
//! them. Does not: download anything.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::packet::Packet;
use crate::process::Process;
use crate::tools::{self, Tool};
use crate::{capture, flv};

/// Seconds of each file. A GOP is one second.
pub const SECONDS: u32 = 8;

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// H.264 High with three B-frames, and AAC.
    H264Aac,
    /// H.264 Baseline, and AAC.
    BaselineAac,
    /// H.265, and AAC.
    HevcAac,
    /// VP9, and Opus.
    Vp9Opus,
    /// AV1, and AAC.
    Av1Aac,
    /// H.264, and MP3.
    H264Mp3,
    /// H.264, and FLAC.
    H264Flac,
    /// H.264, and AC-3.
    H264Ac3,
    /// AAC alone.
    AudioOnly,
    /// H.264 alone.
    VideoOnly,
}

const VIDEO: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"];

/// A tone that rises all the time, so that no two packets are equal.
const AUDIO: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "aevalsrc=0.4*sin(2*PI*(300+40*t)*t):sample_rate=44100",
];

const H264: &str = "-c:v libx264 -preset veryfast -b:v 400k -g 25 -keyint_min 25 -sc_threshold 0";
const AAC: &str = "-c:a aac -b:a 64k";

impl Media {
    fn encoding(self) -> String {
        let high = format!("{H264} -profile:v high -bf 3 -x264-params b-adapt=0");
        match self {
            Self::H264Aac => format!("{high} {AAC}"),
            Self::BaselineAac => format!("{H264} -profile:v baseline {AAC}"),
            Self::HevcAac => format!(
                "-c:v libx265 -preset ultrafast -b:v 400k -g 25 -bf 2 {AAC} \
                 -x265-params keyint=25:min-keyint=25:scenecut=0:open-gop=0:log-level=error"
            ),
            Self::Vp9Opus => "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 400k -g 25 \
                              -c:a libopus -ar 48000 -b:a 64k"
                .to_owned(),
            Self::Av1Aac => format!("-c:v libsvtav1 -preset 12 -b:v 400k -g 25 {AAC}"),
            Self::H264Mp3 => format!("{high} -c:a libmp3lame -b:a 64k"),
            Self::H264Flac => format!("{high} -c:a flac -sample_fmt s16"),
            Self::H264Ac3 => format!("{high} -c:a ac3 -b:a 96k"),
            Self::AudioOnly => AAC.to_owned(),
            Self::VideoOnly => high,
        }
    }

    /// True when only enhanced RTMP can carry it.
    pub fn is_enhanced(self) -> bool {
        matches!(
            self,
            Self::HevcAac | Self::Vp9Opus | Self::Av1Aac | Self::H264Flac | Self::H264Ac3
        )
    }

    /// The file.
    pub fn file(self) -> PathBuf {
        let mut args: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["-nostdin", "-loglevel", "warning"]);
        if self != Self::AudioOnly {
            add(VIDEO);
        }
        if self != Self::VideoOnly {
            add(AUDIO);
        }
        add(&["-t", &SECONDS.to_string(), "-pix_fmt", "yuv420p"]);
        add(&self.encoding().split_whitespace().collect::<Vec<_>>());
        made(&format!("{self:?}"), Tool::FfmpegEnhanced, &args)
    }

    /// The file as `tool` publishes it, in its own container: the same tags that it sends to a server.
    pub fn published_file(self, tool: Tool) -> PathBuf {
        let file = self.file().display().to_string();
        let args = [
            "-nostdin",
            "-loglevel",
            "warning",
            "-i",
            &file,
            "-c",
            "copy",
        ];
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        made(&format!("{self:?}-by-{}", tool.name()), tool, &args)
    }

    /// What `tool` publishes, as ffmpeg reads it back: for captures by an ffmpeg.
    pub fn published(self, tool: Tool) -> Vec<Packet> {
        let file = self.published_file(tool);
        capture::packets(Tool::FfmpegEnhanced, &file.display().to_string())
    }

    /// What `tool` publishes, tag by tag: for captures of FLV.
    pub fn published_tags(self, tool: Tool) -> Vec<Packet> {
        let bytes = fs::read(self.published_file(tool)).expect("it was made");
        flv::packets(&flv::tags(&bytes))
    }
}

/// The FLV file that `tool` makes with `args`; made once for all tests and runs.
fn made(name: &str, tool: Tool, args: &[String]) -> PathBuf {
    let folder = tools::target().join("test-media");
    fs::create_dir_all(&folder).expect("a folder for test media");
    let mut hasher = DefaultHasher::new();
    (tool.name(), args).hash(&mut hasher);
    let stem = format!("{name}-{:016x}", hasher.finish());
    let file = folder.join(format!("{stem}.flv"));
    if file.exists() {
        return file;
    }
    // tests run in many threads and processes; one of them makes the file
    let lock = File::create(folder.join(format!("{stem}.lock"))).expect("a lock file");
    lock.lock().expect("a lock");
    if !file.exists() {
        let partial = folder.join(format!("{stem}.partial"));
        make(tool, args, &partial);
        fs::rename(&partial, &file).expect("both are in one folder");
    }
    file
}

fn make(tool: Tool, args: &[String], to: &Path) {
    let mut command = tool.command(args);
    command.args(["-f", "flv", "-y"]).arg(to);
    Process::spawn(&mut command).succeed();
}
