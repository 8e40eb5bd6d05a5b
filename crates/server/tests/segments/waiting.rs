//! Thousands who wait at once, and leave.

use std::io::Write;
use std::net::TcpStream;

use weir_testkit::{Media, Weir};

use crate::script::{Script, Tape};
use crate::support::{always, listed, metric, metric_becomes};

/// How many wait at once. Each takes a descriptor here and one in the server, which both have 20,000 at least.
const MANY: u64 = 6_000;

/// What may be held after the last round more than after the first: far less than a KiB for each of them.
const SLACK: u64 = 6 << 20;

fn wait(weir: &Weir, file: &str) -> TcpStream {
    let mut stream = TcpStream::connect(weir.address("http")).expect("somebody listens");
    let request = format!("GET /live/{file} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is read");
    stream
}

#[test]
fn thousands_who_wait_and_leave_leave_nothing() {
    // the longer the target duration, the longer a request may wait
    let long = ["--hls-segment", "20s", "--hls-window", "120s"];
    let weir = always(&[&long[..], &["--hls-longest-segment", "40s"]].concat());
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::VideoOnly).times(6, 8_000).0);
    let list = listed(&weir, "s-av.m3u8", |list| list.segments.len() > 1);
    let next = list.next_number() + 1;
    let wishes = [
        format!("s-av.m3u8?_HLS_msn={next}"),
        format!("s-av.m3u8?_HLS_msn={next}&_HLS_skip=YES"),
        format!("s-av-{next}.m4s"),
        format!("s-av-{next}.0.m4s"),
    ];
    let refused = metric(&weir, "segment_answers");
    let mut memory = Vec::new();
    for _ in 0..3 {
        let all = wishes.iter().cycle().take(MANY as usize);
        let all: Vec<_> = all.map(|file| wait(&weir, file)).collect();
        metric_becomes(&weir, "segment_waiting", |count| count == MANY);
        drop(all);
        metric_becomes(&weir, "segment_waiting", |count| count == 0);
        memory.push(weir.memory());
    }
    // none of them was answered: they were missed
    assert_eq!(metric(&weir, "segment_answers"), refused);
    assert!(memory[2] <= memory[0] + SLACK, "{memory:?}");
    script.send(&Tape::of(Media::VideoOnly).later(48_000).0);
    script.end();
    weir.assert_well();
}
