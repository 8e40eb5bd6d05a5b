//! What ffmpeg and ffprobe say of a file.
//!
//! Owns: their command lines and the reading of their output. Does not: know what is right.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use weir_testkit::capture;
use weir_testkit::tools::Tool;

/// A file that is gone when it is dropped.
pub(crate) struct File {
    path: PathBuf,
    _folder: TempDir,
}

impl File {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(format!("{name}.mp4"));
        std::fs::write(&path, bytes).expect("room on the disk");
        Self {
            path,
            _folder: folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// An FLV file of a tone of 48 kHz in stereo, encoded with `codec`.
pub(crate) fn encoded(name: &str, codec: &[&str]) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("{name}.flv"));
    let tone = "aevalsrc=0.4*sin(2*PI*(300+40*t)*t)|0.3*sin(2*PI*200*t*t):sample_rate=48000:d=4";
    let mut command = Tool::FfmpegEnhanced.command(["-v", "error", "-f", "lavfi", "-i", tone]);
    command.args(codec).arg(&path);
    silent(&mut command);
    File {
        path,
        _folder: folder,
    }
}

/// Runs `command`, which must succeed and complain of nothing; its output.
fn silent(command: &mut Command) -> String {
    let output = command.output().expect("the tool runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{command:?} complained: {said}"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Decodes all of `file`, without an error.
pub(crate) fn decodes(tool: Tool, file: &Path) {
    let mut command = tool.command(["-nostdin", "-v", "error", "-xerror", "-i"]);
    silent(command.arg(file).args(["-f", "null", "-"]));
}

/// A packet as ffmpeg copies it: its duration in ticks of its stream, its size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) duration: u32,
    pub(crate) size: String,
    pub(crate) hash: String,
}

/// The packets of each stream.
pub(crate) fn payloads(file: &Path) -> Vec<Vec<Payload>> {
    let mut streams = Vec::new();
    let file = file.display().to_string();
    for line in capture::frames(Tool::FfmpegEnhanced, &[], &file, &[]) {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let [stream, _, _, duration, size, hash, ..] = fields.as_slice() else {
            panic!("{line}");
        };
        let stream: usize = stream.parse().expect("a number");
        while streams.len() <= stream {
            streams.push(Vec::new());
        }
        // its FLV reader makes an empty packet of the sequence header of AC-3
        if *size != "0" {
            streams[stream].push(Payload {
                duration: duration.parse().expect("a number"),
                size: (*size).to_owned(),
                hash: (*hash).to_owned(),
            });
        }
    }
    streams
}

/// A packet as ffprobe shows it, in ticks of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) pts: i64,
    pub(crate) size: i64,
    pub(crate) is_key: bool,
}

/// A stream as ffprobe shows it.
pub(crate) struct Stream {
    pub(crate) time_base: String,
    pub(crate) facts: Value,
    pub(crate) packets: Vec<Packet>,
}

/// What ffprobe says of the stream `index`.
pub(crate) fn probe(file: &Path, index: usize) -> Stream {
    // it comes with the distribution's ffmpeg
    let program = Tool::Ffmpeg.path().with_file_name("ffprobe");
    let mut command = Command::new(program);
    command.args([
        "-v",
        "error",
        "-of",
        "json",
        "-show_packets",
        "-show_streams",
    ]);
    command
        .args(["-select_streams", &index.to_string()])
        .arg(file);
    let json: Value = serde_json::from_str(&silent(&mut command)).expect("JSON");
    let facts = json["streams"][0].clone();
    let packets = json["packets"]
        .as_array()
        .expect("packets")
        .iter()
        .map(packet);
    Stream {
        time_base: facts["time_base"].as_str().expect("a time base").to_owned(),
        packets: packets.collect(),
        facts,
    }
}

fn packet(json: &Value) -> Packet {
    Packet {
        pts: json["pts"].as_i64().expect("a time"),
        size: json["size"]
            .as_str()
            .expect("a size")
            .parse()
            .expect("a number"),
        is_key: json["flags"].as_str().expect("flags").starts_with('K'),
    }
}
