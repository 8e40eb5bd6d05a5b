//! The command line of `bench`.
//!
//! Owns: flags, their defaults and help. What they mean together is judged in [`crate::plan`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

/// Load a server with publishers and viewers and measure what they get.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) protocol: Protocol,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Protocol {
    /// Publish and view by RTMP: rtmp://HOST[:PORT]/APP/STREAM
    Rtmp(Load),
    /// View by HTTP-FLV or HTTP-TS: http://HOST[:PORT]/APP/STREAM.flv or .ts; publish by RTMP
    Flv(Load),
    /// View by low-latency HLS: http://HOST[:PORT]/APP/STREAM.m3u8; publish by RTMP
    ///
    /// Each viewer has two keep-alive connections. It loads the multivariant playlist, the playlist of its first variant,
    /// and then, on one connection, blocking reloads (with _HLS_skip=YES where the server offers delta updates) and, on the
    /// other, the part that the playlist hints at, at the same time.
    ///
    /// A part is complete when the frame that follows its last one is handed to the publisher's socket: only then can a
    /// server know that it has ended. Part delivery is the time from then to the part's last byte at a viewer, playlist
    /// delay that to the last byte of the playlist in which the part is the newest. Both need the generated source.
    Hls(Hls),
    /// Get files over and over on keep-alive connections, each as fast as it can: http://HOST[:PORT]/PATH...
    Files(Files),
    /// Play one session after the other, and measure the time from dialling to first media
    First(First),
}

#[derive(Debug, clap::Args)]
pub(crate) struct First {
    /// Stream to play, which something else publishes: rtmp://HOST[:PORT]/APP/STREAM or http://HOST[:PORT]/APP/STREAM.flv or .ts
    pub(crate) url: String,
    /// Play the same at this address too, in turn, and say what the first one adds
    #[arg(long, value_name = "URL")]
    pub(crate) beside: Option<String>,
    /// Plays at each address
    #[arg(long, default_value_t = 300)]
    pub(crate) plays: usize,
    /// Time a play may take to its first frame
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Write the result as JSON to a file, or to standard output with "-"
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Plays that may fail before the exit code is 1
    #[arg(long, default_value_t = 0)]
    pub(crate) max_failed: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Hls {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Ask for parts once they are listed, as hls.js does, and for none ahead
    #[arg(long, conflicts_with = "plain")]
    pub(crate) no_hints: bool,
    /// No low latency: reload every target duration, and get whole segments
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// What to get, in turn, all of one host; in place of a playlist (.m3u8) the segments it lists when the run begins
    #[arg(required = true)]
    pub(crate) urls: Vec<String>,
    /// Of a playlist, only so many of its newest segments: those that stay for as long as the run
    #[arg(long, value_name = "COUNT")]
    pub(crate) newest: Option<usize>,
    /// Keep-alive connections
    #[arg(long, short = 'c', default_value_t = 100)]
    pub(crate) connections: usize,
    /// Connections to open a second
    #[arg(long, default_value_t = 1000.0)]
    pub(crate) ramp: f64,
    /// Time to settle between the last connection's first answer and the measured window
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Length of the measured window, in seconds (or with a unit: 500ms, 2m)
    #[arg(long, default_value = "10", value_parser = duration)]
    pub(crate) seconds: Duration,
    /// Time the first answer of a connection may take
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Threads that carry the connections
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Process whose CPU and memory are measured, with all its threads; may be given several times
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// Write the result as JSON to a file, or to standard output with "-"
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Connections that may fail, and answers other than 200, before the exit code is 1
    #[arg(long, default_value_t = 0)]
    pub(crate) max_failed: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// Stream that viewers play (and publishers publish); with several streams, -0, -1, … is added to its name
    pub(crate) url: String,
    /// RTMP address to publish to, when it is not that of the viewers [default for flv and hls:
    /// rtmp://HOST/APP/STREAM on port 1935]
    #[arg(long, value_name = "URL")]
    pub(crate) publish_url: Option<String>,
    /// Publishers, each of its own stream
    #[arg(long, short = 'p', default_value_t = 1)]
    pub(crate) publishers: usize,
    /// Viewers, spread evenly over the streams
    #[arg(long, short = 'n', default_value_t = 1)]
    pub(crate) viewers: usize,
    /// Streams [default: as many as publishers, or one]
    #[arg(long, short = 'k')]
    pub(crate) streams: Option<usize>,
    /// Sessions to open a second
    #[arg(long, default_value_t = 400.0)]
    pub(crate) ramp: f64,
    /// Time to settle between the last session's start and the measured window
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Length of the measured window, in seconds (or with a unit: 500ms, 2m)
    #[arg(long, default_value = "20", value_parser = duration)]
    pub(crate) seconds: Duration,
    /// Time a session may take from connect to the start of play or publish
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Threads that carry the sessions
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// FLV file to publish in a loop, in place of the generated source; latency is then not measured
    #[arg(long, value_name = "FLV")]
    pub(crate) file: Option<PathBuf>,
    /// Bit rate of the generated source, audio and video together
    #[arg(long, default_value_t = 200)]
    pub(crate) bitrate_kbps: u64,
    /// Video frames a second of the generated source
    #[arg(long, default_value_t = 25)]
    pub(crate) fps: u64,
    /// Audio frames a second of the generated source; 0 for none
    #[arg(long, default_value_t = 43)]
    pub(crate) audio_fps: u64,
    /// Video frames from key frame to key frame of the generated source
    #[arg(long, default_value_t = 50)]
    pub(crate) gop: u64,
    /// Process whose CPU and memory are measured, with all its threads; may be given several times
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// Write the result as JSON to a file, or to standard output with "-"
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Sessions that may fail or starve before the exit code is 1
    #[arg(long, default_value_t = 0)]
    pub(crate) max_failed: u64,
}

/// Reads `20`, `20s`, `1.5s`, `500ms` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|character: char| character.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("unknown unit {unit:?}; known are ms, s and m")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    // A day bounds all sums of times.
    let seconds = number * scale;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("not between 0 and a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        args: Args,
    }

    /// Arguments as after `weir bench`.
    pub(crate) fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Tool::try_parse_from([&["bench"], words].concat()).map(|tool| tool.args)
    }

    #[test]
    fn defaults_are_those_of_the_reference_load() {
        let args = parse(&["rtmp", "rtmp://127.0.0.1/live/bench"]).unwrap();
        let Protocol::Rtmp(load) = args.protocol else {
            panic!("not rtmp")
        };
        assert_eq!((load.publishers, load.viewers, load.streams), (1, 1, None));
        assert_eq!(
            (load.bitrate_kbps, load.fps, load.audio_fps, load.gop),
            (200, 25, 43, 50)
        );
        assert_eq!((load.warmup.as_secs(), load.seconds.as_secs()), (3, 20));
        assert_eq!((load.ramp, load.threads, load.max_failed), (400.0, 1, 0));
    }

    #[test]
    fn all_flags_parse() {
        let line = "flv http://h/live/a.flv --publish-url rtmp://h/live/a --publishers 2 \
                    --viewers 9 --streams 3 --ramp 50 --warmup 500ms --seconds 1.5 --threads 2 --file x.flv \
                    --bitrate-kbps 500 --fps 30 --audio-fps 0 --gop 60 --pid 1 --pid 2 --json - \
                    --max-failed 5 --timeout 2m";
        let args = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let Protocol::Flv(load) = args.protocol else {
            panic!("not flv")
        };
        assert_eq!((load.pid, load.streams), (vec![1, 2], Some(3)));
        assert_eq!(load.seconds, Duration::from_millis(1500));
        assert_eq!(load.timeout, Duration::from_secs(120));
    }

    #[test]
    fn hls_and_files_parse() {
        let line = "hls http://h/live/a.m3u8 -n 2000 --no-hints --threads 2";
        let args = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let Protocol::Hls(hls) = args.protocol else {
            panic!("not hls")
        };
        assert_eq!(
            (hls.load.viewers, hls.no_hints, hls.plain),
            (2000, true, false)
        );
        assert!(parse(&["hls", "u", "--no-hints", "--plain"]).is_err());
        let args = parse(&["files", "http://h/a", "http://h/b", "-c", "5"]).unwrap();
        let Protocol::Files(files) = args.protocol else {
            panic!("not files")
        };
        assert_eq!(
            (files.urls.len(), files.connections, files.newest),
            (2, 5, None)
        );
        assert!(parse(&["files"]).is_err());
    }

    #[test]
    fn help_says_what_is_measured() {
        let help = parse(&["hls", "--help"]).unwrap_err().to_string();
        for part in ["--no-hints", "--plain", "is complete when", "_HLS_skip=YES"] {
            assert!(help.contains(part), "{part} in {help}");
        }
    }

    #[test]
    fn wrong_usage_has_exit_code_2() {
        for words in [
            &["rtmp"][..],
            &["srt", "x"],
            &["rtmp", "u", "--warmup", "3h"],
            &[],
        ] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert!(duration("-1").is_err() && duration("x").is_err() && duration("1e9").is_err());
    }
}
