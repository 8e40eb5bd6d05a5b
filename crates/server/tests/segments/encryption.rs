//! Encrypted segments are the same media, for those who have the key.

use weir_testkit::{Kind, Media, Process, Tool};

use crate::frames::{Frames, assert_run};
use crate::script::{Script, Tape};
use crate::support::{always, ask, complaints, endless, fetch, listed, listing, text, url};

const ENCRYPTED: [&str; 2] = ["--hls-encryption", "aes-128"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an attribute.
fn attribute<'a>(attributes: &'a str, name: &str) -> &'a str {
    let found = attributes.split(',').find_map(|one| one.strip_prefix(name));
    found.expect("it is there").trim_matches(['=', '"'])
}

/// Decrypts with ffmpeg, whose AES is its own.
fn decrypted(sealed: &[u8], key: &[u8], vector: &[u8; 16]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = ["sealed", "plain.ts"].map(|name| folder.path().join(name));
    std::fs::write(&from, sealed).expect("a file");
    // the demuxer "data" takes bytes as they are
    let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-v", "error"]);
    command.args(["-decryption_key", &hex(key), "-decryption_iv", &hex(vector)]);
    command.args(["-f", "data", "-i", &format!("crypto:{}", from.display())]);
    command
        .args(["-map", "0", "-c", "copy", "-f", "data"])
        .arg(&to);
    Process::spawn(&mut command).succeed();
    std::fs::read(to).expect("ffmpeg wrote it")
}

#[test]
fn keys_change_and_the_media_stays() {
    let args = ["--hls-key-rotation", "1m", "--hls-playlist", "event"];
    let weir = always(&[ENCRYPTED, [args[0], args[1]], [args[2], args[3]]].concat());
    let media = Media::VideoOnly;
    let tape = Tape::of(media).times(10, 8_000);
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    script.end();
    let list = listed(&weir, "s-ts.m3u8", |list| list.is_ended);
    let list_text = text(&weir, "s-ts.m3u8");
    assert!(!list_text.contains("#EXT-X-PART"), "{list_text}");
    let mut keys: Vec<_> = list.segments.iter().filter_map(|s| s.key.clone()).collect();
    assert_eq!(keys.len(), list.segments.len(), "all are encrypted");
    keys.dedup();
    assert_eq!(keys.len(), 2, "80 seconds: {keys:?}");
    let bytes = keys.iter().map(|key| fetch(&weir, attribute(key, "URI")));
    let bytes: Vec<_> = bytes.collect();
    assert!(bytes[0] != bytes[1] && bytes.iter().all(|key| key.len() == 16));
    let answer = ask(&weir, attribute(&keys[0], "URI"));
    assert_eq!(answer.head.header("cache-control"), Some("no-store"));

    let published = Frames::published(media);
    for index in [1, list.segments.len() - 2] {
        let segment = &list.segments[index];
        let sealed = fetch(&weir, &segment.uri);
        let at = keys
            .iter()
            .position(|key| Some(key) == segment.key.as_ref());
        let key = &bytes[at.expect("it is listed")];
        // without an IV it is the number (RFC 8216, section 5.2)
        let plain = decrypted(&sealed, key, &u128::from(segment.number).to_be_bytes());
        assert_eq!((plain.len() % 188, plain.first()), (0, Some(&0x47)));
        let frames = Frames::in_bytes(media, &plain, "ts");
        assert_run(&segment.uri, &published, &frames);
        // another key gives something else
        let other = decrypted_or_not(&sealed, &bytes[1 - at.unwrap_or(0)], segment.number);
        assert_ne!(other.first(), Some(&0x47));
    }
    for file in ["s-av.m3u8", "s-ts.m3u8"] {
        let address = url(&weir, file);
        let options = ["-allowed_extensions", "ALL"];
        let played = Frames::with(media, &options, &address);
        let count = played.kind(Kind::Video).len();
        assert_eq!(count, published.kind(Kind::Video).len() * 10, "{file}");
    }
    assert_eq!(ask(&weir, "s.mpd").head.status, 404);
    let part = list.segments[0]
        .uri
        .replace(".ts", ".0.m4s")
        .replace("s-", "s-av-");
    assert_eq!(ask(&weir, &part).head.status, 404);
    weir.assert_well();
}

/// As [`decrypted`], where the padding may be wrong: then there is nothing.
fn decrypted_or_not(sealed: &[u8], key: &[u8], number: u64) -> Vec<u8> {
    decrypted(sealed, key, &u128::from(number).to_be_bytes())
}

#[test]
fn ffmpeg_plays_what_is_encrypted() {
    let weir = always(&ENCRYPTED);
    let _publisher = endless(&weir, Media::H264Aac, "s");
    listed(&weir, "s-av.m3u8", |list| list.segments.len() > 1);
    for file in ["s.m3u8", "s-ts.m3u8"] {
        let address = url(&weir, file);
        for tool in [Tool::Ffmpeg, Tool::FfmpegEnhanced] {
            let mut command = tool.command(["-nostdin", "-v", "warning", "-allowed_extensions"]);
            command.args(["ALL", "-i", &address, "-t", "3", "-f", "null", "-"]);
            let process = Process::spawn(&mut command);
            process.succeed();
            assert_eq!(complaints(&process), "", "{} plays {file}", tool.name());
        }
    }
    let list = listing(&weir, "s-av.m3u8");
    assert!(list.segments.iter().all(|segment| segment.key.is_some()));
}
