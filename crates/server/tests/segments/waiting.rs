//! Thousands who wait at once, and leave.

use std::io::Write;
use std::net::TcpStream;

use weir_testkit::{Media, Weir};

use crate::script::{Script, Tape};
use crate::support::{always, listed, metric, metric_becomes};

/// How many wait at once. Each takes a descriptor here and one in the server, which both have 20,000 at least.
const MANY: u64 = 6_000;

/// How often they come.
const ROUNDS: usize = 5;

/// What may be held after the last round more than after the first two. The allocator gives back what it has at times of
/// its own, which is as much as this; connections that are not forgotten take some KiB each, and those of three rounds more.
const SLACK: u64 = 24 << 20;

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
    // 1 s, twice 20 s, and 7 s of the next
    let list = listed(&weir, "s-av.m3u8", |list| {
        list.segments.len() == 3 && list.open_parts.len() > 30
    });
    let next = list.next_number() + 1;
    let wishes = [
        format!("s-av.m3u8?_HLS_msn={next}"),
        format!("s-av.m3u8?_HLS_msn={next}&_HLS_skip=YES"),
        format!("s-av-{next}.m4s"),
        format!("s-av-{next}.0.m4s"),
    ];
    let refused = metric(&weir, "segment_answers");
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        let all = wishes.iter().cycle().take(MANY as usize);
        let all: Vec<_> = all.map(|file| wait(&weir, file)).collect();
        metric_becomes(&weir, "segment_waiting", |count| count == MANY);
        drop(all);
        metric_becomes(&weir, "segment_waiting", |count| count == 0);
        memory.push(weir.memory());
    }
    // none of them was answered: they were missed
    assert_eq!(metric(&weir, "segment_answers"), refused);
    // what is freed goes back to the system sooner or later
    let usual = memory[0].max(memory[1]);
    assert!(memory[ROUNDS - 1] <= usual + SLACK, "{memory:?}");
    script.send(&Tape::of(Media::VideoOnly).later(48_000).0);
    script.end();
    weir.assert_well();
}
