//! The sample file, written from the table of keys.
//!
//! Owns: [`sample`], the names and headings of the sections. Does not: hold defaults or help texts.

use std::fmt::Write;

use super::keys::KEYS;

/// Every section with its heading.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "The process"),
    ("log", "Logs, on standard error"),
    ("rtmp", "RTMP: publish and play"),
    ("http", "HTTP: streams, segments and the console"),
    ("hls", "HLS, and the segments that DASH is made of"),
    ("dash", "MPEG-DASH"),
    ("ts", "MPEG-TS without HTTP"),
    ("api", "Admin API"),
    ("stream", "Streams: cache, latency and viewers"),
    ("limits", "Limits"),
    ("heartbeat", "How an origin registers with proxies"),
    ("proxy", "Proxy: listeners and sessions of weir proxy"),
    ("cluster", "Cluster: the origins behind a proxy"),
    ("redis", "Redis, where cluster.state is redis"),
];

/// The sample file: every key with its help, commented out with its default.
pub fn sample() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (section, heading) in SECTIONS {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {heading}.\n[{section}]\n");
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let allowed = key
                .allowed()
                .map_or_else(String::new, |allowed| format!(" Allowed: {allowed}."));
            let restart = if key.live { "" } else { " Needs a restart." };
            let more = if key.more.is_empty() { "" } else { " " };
            let help = format!("{}{more}{}{allowed}{restart}", key.help, key.more);
            for line in wrap(&help, 98) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "#{} = {}\n", key.name, key.default_text());
        }
        text.pop();
    }
    text
}

/// `text` in lines of at most `width` characters, broken at spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const INTRODUCTION: &str = "\
# Weir: every setting, with its default.
#
# This file is read when it is named: weir --config weir.toml, or WEIR_CONFIG=weir.toml.
# Every key is also a flag and an environment variable:
#   [stream] grace = \"20s\"  is  --stream-grace 20s  is  WEIR_STREAM_GRACE=20s
# Flags win over the environment, the environment over this file, this file over the defaults.
# Unknown keys are errors. `weir check weir.toml` says everything that is wrong.
# On SIGHUP the configuration is read again; keys that need a restart then keep their value.
#
# Durations are \"350ms\", \"10s\", \"5m\" or \"1h\". Sizes are \"512KiB\", \"16MiB\", or a number of bytes.
";
