//! HLS and DASH of others, as files of an nginx: through the proxies everything that is named is the origin's, byte for
//! byte, at whichever proxy it is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weir_testkit::cluster::Member;
use weir_testkit::nginx::Nginx;
use weir_testkit::process::Process;
use weir_testkit::{Cluster, Media, Tool, capture, http};

use crate::{SIGNED, STORED, behind_nginx, proxies, register, url, walk};

/// Runs an ffmpeg that makes something of a test file in `folder`; the last of `args` is what it makes.
fn make(folder: &Path, args: &[&str]) {
    fs::create_dir_all(folder).expect("a folder");
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-y", "-i"]);
    command.arg(Media::H264Aac.file()).args(args);
    Process::spawn(command.current_dir(folder)).succeed();
}

/// Words, for commands without spaces in their arguments.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Two renditions under a master playlist, in segments of MPEG-TS.
fn nested(folder: &Path) {
    let mut args = words(
        "-map 0:v -map 0:a -map 0:v -c copy -f hls -hls_time 2 -hls_list_size 0 \
         -master_pl_name master.m3u8 -var_stream_map",
    );
    args.extend(["v:0,a:0,name:high v:1,name:low", "%v/index.m3u8"]);
    make(folder, &args);
}

/// Segments of fragmented MP4, with what they begin with in a file of its own.
fn fragments(folder: &Path) {
    let args = "-c copy -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 s.m3u8";
    make(folder, &words(args));
}

/// Segments encrypted with AES-128, whose key is a file beside them.
fn encrypted(folder: &Path) {
    write(&folder.join("s.key"), "0123456789abcdef");
    write(&folder.join("info"), "s.key\ns.key\n");
    let args = "-c copy -f hls -hls_time 2 -hls_list_size 0 -hls_key_info_file info s.m3u8";
    make(folder, &words(args));
}

/// Writes a file and the folders above it.
fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a folder");
    fs::write(file, text).expect("written");
}

/// Everything that a list names is the same at both proxies and at the origin; ids of `parameter` lead there.
fn assert_walked(nginx: &Nginx, cluster: &Cluster, path: &str, parameter: &str) {
    let found = walk::all(cluster.proxy(0), path);
    for uri in &found {
        assert!(uri.contains(&format!("{parameter}=")), "{uri} of {path}");
        let file = nginx.files().join(walk::bare(uri).trim_start_matches('/'));
        let file = fs::read(&file).unwrap_or_else(|error| panic!("{uri} of {path}: {error}"));
        for number in [1, 0] {
            let host = cluster.proxy(number).listener("http");
            let answer = http::request(host, "GET", uri);
            assert_eq!(answer.head.status, 200, "{uri} of {path} at proxy {number}");
            if walk::bare(uri).ends_with(".m3u8") {
                continue;
            }
            assert!(answer.body == file, "{uri} differs at proxy {number}");
            let head = http::request(host, "HEAD", uri).head;
            let length = head.header("content-length");
            assert_eq!(length, Some(file.len().to_string().as_str()), "{uri}");
        }
    }
}

/// An ffmpeg plays the same through either proxy as from the origin itself, to the end.
fn assert_plays(nginx: &Nginx, cluster: &Cluster, tool: Tool, path: &str) {
    let options = ["-allowed_extensions", "ALL"];
    let options = match path.ends_with(".m3u8") {
        true => &options[..],
        false => &[],
    };
    let origin = format!("http://{}{path}", nginx.http());
    let expected = capture::frames(tool, options, &origin, &[]);
    assert!(expected.len() > 400, "{path}: {} frames", expected.len());
    for number in [0, 1] {
        let url = url(cluster.proxy(number), path);
        let found = capture::frames(tool, options, &url, &[]);
        assert!(found == expected, "{path} differs at proxy {number}");
    }
}

fn hls(routing: &[&str], parameter: &str) {
    let (nginx, cluster) = behind_nginx(routing);
    let folder = |name: &str| nginx.files().join("live").join(name);
    nested(&folder("nested"));
    encrypted(&folder("encrypted"));
    fragments(&folder("fragments"));
    for path in ["nested/master.m3u8", "encrypted/s.m3u8", "fragments/s.m3u8"] {
        let path = format!("/live/{path}");
        assert_walked(&nginx, &cluster, &path, parameter);
        assert_plays(&nginx, &cluster, Tool::Ffmpeg, &path);
    }
    let names: Vec<String> = walk::all(cluster.proxy(0), "/live/encrypted/s.m3u8")
        .iter()
        .map(|uri| walk::bare(uri).to_owned())
        .collect();
    assert!(names.contains(&"/live/encrypted/s.key".to_owned()));
    cluster.assert_well(&[]);
}

/// C55, B33: nested lists, MPEG-TS, fragmented MP4 with its map, encryption with its key.
#[test]
fn hls_by_signed_ids_is_the_origins_at_every_proxy() {
    hls(&SIGNED, "weir");
}

/// C55, C57: the same with the ids of the Go proxy.
#[test]
fn hls_by_stored_ids_is_the_origins_at_every_proxy() {
    hls(&STORED, "spbhid");
}

/// B33: manifests with templates and with lists of segments.
#[test]
fn dash_is_the_origins_at_every_proxy() {
    for (routing, parameter) in [(&SIGNED[..], "weir"), (&STORED[..], "spbhid")] {
        let (nginx, cluster) = behind_nginx(routing);
        let folder = |name: &str| nginx.files().join("live").join(name);
        let dash = words("-c copy -f dash -seg_duration 2");
        make(&folder("template"), &[&dash[..], &["s.mpd"]].concat());
        let listed = words("-use_template 0 -use_timeline 0 s.mpd");
        make(&folder("listed"), &[dash, listed].concat());
        assert_walked(&nginx, &cluster, "/live/listed/s.mpd", parameter);
        let template = walk::list(cluster.proxy(1), "/live/template/s.mpd");
        assert!(template.contains("$Number") && template.contains(parameter));
        // lists of segments are not for ffmpeg: it leaves out the first one, wherever it reads them
        assert_plays(
            &nginx,
            &cluster,
            Tool::FfmpegEnhanced,
            "/live/template/s.mpd",
        );
        cluster.assert_well(&[]);
    }
}

/// A live list with parts, hints and reports, as origins with low latency write it (RFC 8216bis).
const PARTS: &str = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-MAP:URI=\"init.mp4\"
#EXT-X-KEY:METHOD=AES-128,URI=\"../keys/k.key?of=s\",IV=0x1
#EXT-X-PART:DURATION=0.33334,URI=\"part10.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI=\"part10.1.m4s\"
#EXTINF:2.0,
seg10.m4s?token=a&b=c
#EXTINF:2.0,
/live/root/seg11.m4s
#EXTINF:2.0,
http://ORIGIN/live/ll/seg12.ts
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part13.0.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../low/s.m3u8\",LAST-MSN=12,LAST-PART=1
";

const MASTER: &str = "\
#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"sound/s.m3u8\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"t\",URI=\"text/s.m3u8\"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"ll/s.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",SUBTITLES=\"t\"
ll/s.m3u8
";

/// What is at every origin, with the origin's name as content.
const FILES: [&str; 10] = [
    "ll/init.mp4",
    "keys/k.key",
    "ll/part10.0.m4s",
    "ll/part10.1.m4s",
    "ll/seg10.m4s",
    "root/seg11.m4s",
    "ll/seg12.ts",
    "ll/part13.0.m4s",
    "sound/s1.aac",
    "text/s1.vtt",
];

/// An origin that has the same names as others, and other bytes.
fn twin(name: &str) -> Nginx {
    let nginx = Nginx::origin();
    let write = |path: &str, text: &str| write(&nginx.files().join("live").join(path), text);
    write("master.m3u8", MASTER);
    write(
        "ll/s.m3u8",
        &PARTS.replace("ORIGIN", &nginx.http().to_string()),
    );
    write("low/s.m3u8", "#EXTM3U\n#EXTINF:2.0,\n../ll/seg10.m4s\n");
    write("sound/s.m3u8", "#EXTM3U\n#EXTINF:2.0,\ns1.aac\n");
    write("text/s.m3u8", "#EXTM3U\n#EXTINF:2.0,\ns1.vtt\n");
    for file in FILES {
        write(file, name);
    }
    nginx
}

/// B33, C56, C57: of origins that have the same names, all that one master playlist leads to is of one, at either
/// proxy, and goes on being so when the proxy that served the playlist is gone.
#[test]
fn all_that_a_playlist_leads_to_is_at_one_origin() {
    for (routing, parameter) in [(&SIGNED[..], "weir"), (&STORED[..], "spbhid")] {
        let names = ["first", "second", "third"];
        let twins = names.map(twin);
        let cluster = proxies(routing);
        for (name, nginx) in names.iter().zip(&twins) {
            register(cluster.proxy(0), name, nginx);
        }
        cluster.await_origins(twins.len());
        let (first, other) = (cluster.proxy(0), cluster.proxy(1));
        let found = walk::all(first, "/live/master.m3u8");
        let named: BTreeSet<&str> = found.iter().map(|uri| walk::bare(uri)).collect();
        for file in FILES {
            assert!(
                named.contains(&*format!("/live/{file}")),
                "{file} in {named:?}"
            );
        }
        let mut served = BTreeSet::new();
        let lists = |uri: &&String| walk::bare(uri).ends_with(".m3u8");
        for uri in found.iter().filter(|uri| !lists(uri)) {
            assert!(uri.contains(&format!("{parameter}=")), "{uri}");
            for proxy in [other, first] {
                let answer = http::request(proxy.listener("http"), "GET", uri);
                assert_eq!(answer.head.status, 200, "{uri}: {}", answer.text());
                served.insert(answer.text());
            }
        }
        assert_eq!(served.len(), 1, "{served:?}");

        // what stood behind a name stays there, with our own id behind it
        let ll = found
            .iter()
            .find(|uri| walk::bare(uri) == "/live/ll/s.m3u8");
        let text = walk::list(other, ll.unwrap());
        let kept = format!("\nseg10.m4s?token=a&b=c&{parameter}=");
        assert!(text.contains(&kept), "{text}");
        assert!(!text.contains("127.0.0.1"), "an inside address: {text}");

        cluster.kill(Member::Proxy(0));
        for uri in &found {
            let status = http::request(other.listener("http"), "GET", uri)
                .head
                .status;
            assert_eq!(status, 200, "{uri} when the first proxy is gone");
        }
        cluster.assert_well(&[Member::Proxy(0)]);
    }
}
