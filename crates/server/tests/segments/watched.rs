//! Segments are made when somebody wants them.

use std::thread;

use weir_testkit::{Media, http};

use crate::script::{Script, Tape};
use crate::support::{ask, listed, metric, metric_becomes, weir};

const STREAMS: &str = "segment_streams";
const WAITING: &str = "segment_waiting";

#[test]
fn nothing_is_made_before_the_first_request_and_it_comes_with_the_next_group_of_pictures() {
    let weir = weir(&["--hls-idle", "1s"]);
    let tape = Tape::of(Media::H264Aac);
    let mut script = Script::begin(&weir, "s");
    let (third, fourth, fifth) = (tape.key(2), tape.key(3), tape.key(4));
    script.send(&tape.0[..third + 5]);
    weir.publishing("s");
    // what every viewer of a stream waits for has come
    weir.api_shows("/api/v1/streams", |list| {
        list["streams"][0]["gop_ms"].is_number()
    });
    assert_eq!(
        (metric(&weir, STREAMS), metric(&weir, "segment_bytes")),
        (0, 0)
    );
    let address = weir.address("http");
    let asked = thread::spawn(move || http::request(address, "GET", "/live/s-av.m3u8"));
    metric_becomes(&weir, WAITING, |count| count == 1);
    // the rest of the group under way, and the one that follows
    script.send(&tape.0[third + 5..=fourth]);
    script.send(&tape.0[fourth + 1..=fifth]);
    let answer = asked.join().expect("an answer");
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert!(answer.text().contains("#EXTINF:1.0"), "{}", answer.text());
    metric_becomes(&weir, STREAMS, |count| count == 1);
    metric_becomes(&weir, "segment_bytes", |bytes| bytes > 0);
    // nobody asks any more
    metric_becomes(&weir, STREAMS, |count| count == 0);
    assert_eq!(metric(&weir, "segment_bytes"), 0);
    // and somebody does again: the numbers are later ones
    script.send(&tape.0[fifth + 1..]);
    let first = weir_hls::lint::Listing::parse(&answer.text()).0;
    let again = thread::spawn(move || http::request(address, "GET", "/live/s-av.m3u8"));
    metric_becomes(&weir, WAITING, |count| count == 1);
    script.send(&tape.later(8_000).0);
    let again = again.join().expect("an answer").text();
    let again = weir_hls::lint::Listing::parse(&again).0;
    assert!(again.media_sequence >= first.next_number(), "{again:?}");
    script.end();
    weir.assert_well();
}

#[test]
fn streams_are_ready_before_anybody_asks_where_that_is_wanted() {
    let weir = weir(&["--hls-when", "always"]);
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::H264Aac).0);
    metric_becomes(&weir, STREAMS, |count| count == 1);
    metric_becomes(&weir, "segment_bytes", |bytes| bytes > 0);
    let list = listed(&weir, "s-av.m3u8", |list| list.segments.len() > 2);
    assert!((list.segments[0].duration - 1.0).abs() < 0.001, "{list:?}");
    assert_eq!(ask(&weir, "other.m3u8").head.status, 404);
    script.end();
}
