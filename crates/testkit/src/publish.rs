//! Publishers: foreign tools that send a test file at a pace.
//!
//! Owns: their commands. Does not: wait for them; the returned process is the caller's.

use std::process::Stdio;

use crate::media::Media;
use crate::process::Process;
use crate::tools::Tool;

/// How much faster than it plays a file is published where the pace does not matter.
const HASTE: u32 = 4;

/// Publishes `media` to an `rtmp://` address with an ffmpeg, several times faster than it plays.
pub fn ffmpeg(tool: Tool, media: Media, url: &str) -> Process {
    ffmpeg_with(tool, media, &["-readrate", &HASTE.to_string()], url)
}

/// As [`ffmpeg`] with its own options before the input, such as `-re`, or `-stream_loop -1`.
pub fn ffmpeg_with(tool: Tool, media: Media, options: &[&str], url: &str) -> Process {
    let file = media.file();
    let mut command = tool.command(["-nostdin", "-loglevel", "info"]);
    command.args(options).arg("-i").arg(&file);
    Process::spawn(command.args(["-c", "copy", "-f", "flv", url]))
}

/// Publishes over HTTP by POST, as one body without a length.
pub fn ffmpeg_post(tool: Tool, media: Media, url: &str) -> Process {
    let file = media.file();
    let mut command = tool.command(["-nostdin", "-loglevel", "info", "-readrate"]);
    command
        .arg(HASTE.to_string())
        .arg("-i")
        .arg(&file)
        .args(["-c", "copy", "-f", "flv"]);
    Process::spawn(command.args(["-method", "POST", url]))
}

/// Publishes the file as `tool` would, by curl over HTTP, several times faster than it plays.
pub fn curl_post(tool: Tool, media: Media, url: &str) -> Process {
    let file = media.published_file(tool);
    let size = std::fs::metadata(&file).map_or(0, |meta| meta.len());
    let rate = (u64::from(HASTE) * size / u64::from(crate::media::SECONDS)).to_string();
    let mut command = Tool::Curl.command(["-sS", "--limit-rate", &rate, "-X", "POST", "-T"]);
    Process::spawn(command.arg(&file).arg(url))
}

/// A GStreamer pipeline that takes H.264 and AAC from the file and gives FLV to `sink`.
fn gst_pipeline(media: Media, sink: &str) -> Process {
    let file = media.file().display().to_string();
    let pipeline = format!(
        "filesrc location={file} ! flvdemux name=d \
         d.video ! queue ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! m. \
         d.audio ! queue ! aacparse ! m. \
         flvmux streamable=true name=m ! {sink}"
    );
    let mut command = Tool::Gst.command(pipeline.split_whitespace());
    Process::spawn(command.stdout(Stdio::null()))
}

/// Publishes H.264 and AAC with GStreamer's `rtmp2sink`, at the pace of its clock.
pub fn gst(media: Media, url: &str) -> Process {
    gst_pipeline(media, &format!("rtmp2sink location={url}"))
}

/// As [`gst`] with the older `rtmpsink`, which is librtmp as OBS and many boxes have it.
pub fn librtmp(media: Media, url: &str) -> Process {
    gst_pipeline(media, &format!("rtmpsink location={url}"))
}

/// What [`gst`] and [`librtmp`] publish, written to `file`.
pub fn gst_to_file(media: Media, file: &std::path::Path) {
    gst_pipeline(media, &format!("filesink location={}", file.display())).succeed();
}
