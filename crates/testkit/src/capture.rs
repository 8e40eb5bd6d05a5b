//! Packets as an ffmpeg reads them from a file or a server.
//!
//! Owns: the commands, and the reading of ffmpeg's `framehash` and `framecrc` formats. Does not: compare.

use std::collections::HashMap;
use std::fs;

use tempfile::TempDir;

use crate::packet::{Kind, Packet};
use crate::process::Process;
use crate::tools::Tool;

/// An ffmpeg that reads until its input ends.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    folder: TempDir,
}

impl Capture {
    /// Begins to read `input`, an address or a file, with `tool`, which is an ffmpeg.
    pub fn start(tool: Tool, input: &str) -> Self {
        Self::start_with(tool, &[], input)
    }

    /// As [`Capture::start`], with options before the input, and an output behind it such as `-t 3`.
    pub fn start_with(tool: Tool, options: &[&str], input: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // times stay as they came, and frames before the first key frame are kept to be found
        let mut command = tool.command(["-nostdin", "-loglevel", "warning", "-copyts"]);
        command.args(options).args(["-i", input]);
        // the hash knows payloads; only the CRC's format knows key frames
        for (format, file) in [("framehash", "hash"), ("framecrc", "crc")] {
            command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-copyinkf"]);
            if format == "framehash" {
                command.args(["-hash", "md5"]);
            }
            command
                .args(["-f", format, "-y"])
                .arg(folder.path().join(file));
        }
        Self {
            process: Process::spawn(&mut command),
            folder,
        }
    }

    /// The ffmpeg.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for its end and reads what it got, whatever its exit code. Panics when it got nothing readable.
    pub fn packets(&self) -> Vec<Packet> {
        self.process.wait();
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        parse(&read("hash"), &read("crc"))
    }
}

/// The packets of `input`, to its end. Panics when `tool` fails.
pub fn packets(tool: Tool, input: &str) -> Vec<Packet> {
    let capture = Capture::start(tool, input);
    capture.process.succeed();
    capture.packets()
}

/// The frames of `input` with their times and hashes, a line each, in ffmpeg's own words: to be compared with those of
/// another reading, whatever the container's clock. `options` come before the input, `until` behind it, such as
/// `-t 3`. Panics when `tool` fails.
pub fn frames(tool: Tool, options: &[&str], input: &str, until: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("frames");
    let mut command = tool.command(["-nostdin", "-loglevel", "warning", "-copyts"]);
    command.args(options).args(["-i", input]);
    command
        .args(["-map", "0:v?", "-map", "0:a?", "-c", "copy"])
        .args(until);
    command
        .args(["-f", "framehash", "-hash", "md5", "-y"])
        .arg(&file);
    Process::spawn(&mut command).succeed();
    let text = fs::read_to_string(file).expect("ffmpeg wrote it");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn parse(hashes: &str, crcs: &str) -> Vec<Packet> {
    let kinds: HashMap<&str, Kind> = hashes
        .lines()
        .filter_map(|line| line.strip_prefix("#media_type ")?.split_once(": "))
        .filter_map(|(stream, kind)| match kind {
            "video" => Some((stream, Kind::Video)),
            "audio" => Some((stream, Kind::Audio)),
            _ => None,
        })
        .collect();
    let bases = hashes.lines().filter_map(|line| line.strip_prefix("#tb "));
    for base in bases {
        assert!(base.ends_with(": 1/1000"), "not in milliseconds: {base}");
    }
    let rows = rows(hashes).into_iter().zip(rows_of_crcs(crcs));
    rows.filter_map(|(row, key)| {
        let [stream, dts, pts, _, size, hash] = row.get(..6)?.try_into().ok()?;
        Some(Packet {
            kind: *kinds.get(stream)?,
            dts: dts.parse().ok()?,
            pts: pts.parse().ok()?,
            key,
            size: size.parse().ok()?,
            hash: hash.to_owned(),
        })
    })
    .collect()
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(',').map(str::trim).collect())
        .collect()
}

/// Whether each packet is a key frame: flags are shown where they are not that.
fn rows_of_crcs(text: &str) -> Vec<bool> {
    let flags = |row: &Vec<&str>| {
        let flags = row.iter().find_map(|field| field.strip_prefix("F=0x"));
        flags.map_or(1, |hex| u32::from_str_radix(hex, 16).unwrap_or(0))
    };
    rows(text).iter().map(|row| flags(row) & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_together_make_packets() {
        let hashes = "#format: frame checksums\n#tb 0: 1/1000\n#media_type 0: video\n#tb 1: 1/1000\n\
            #media_type 1: audio\n#stream#, dts, pts, duration, size, hash\n\
            0,          0,         80,       40,     5012, aa11\n\
            1,          0,          0,       23,      210, bb22\n\
            0,         40,        200,       40,      512, cc33\n";
        let crcs = "#tb 0: 1/1000\n0, 0, 80, 40, 5012, 0x1234\n1, 0, 0, 23, 210, 0x22, S=1, 10, 0x3\n\
            0, 40, 200, 40, 512, 0x99, F=0x0\n";
        let packets = parse(hashes, crcs);
        assert_eq!(packets.len(), 3);
        assert_eq!(packets[0].kind, Kind::Video);
        assert_eq!((packets[0].dts, packets[0].pts), (0, 80));
        assert_eq!(packets[1].kind, Kind::Audio);
        assert_eq!(packets[1].hash, "bb22");
        let keys: Vec<bool> = packets.iter().map(|packet| packet.key).collect();
        assert_eq!(keys, [true, true, false]);
    }
}
