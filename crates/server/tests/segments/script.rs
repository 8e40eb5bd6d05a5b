//! A publisher that sends what it is told, when it is told: FLV in the body of a POST.
//!
//! Owns: the connection, and tapes: the tags of a test file with times as a test wants them. Does not: keep any pace.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use weir_testkit::flv::{self, Tag};
use weir_testkit::http::Client;
use weir_testkit::{Media, Weir};

use crate::support::tool_for;

/// Tag type of pictures.
const VIDEO: u8 = 9;

/// A publisher. To drop it is to lose its connection.
pub(crate) struct Script {
    client: Client,
}

impl Script {
    /// Begins to publish `live/name`.
    pub(crate) fn begin(weir: &Weir, name: &str) -> Self {
        let mut client = Client::connect(weir.address("http"));
        let head = format!(
            "POST /live/{name}.flv HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        client.send(head.as_bytes()).expect("somebody listens");
        let mut script = Self { client };
        script.chunk(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        script
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.try_chunk(bytes).expect("the server reads");
    }

    fn try_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend(bytes);
        chunk.extend(b"\r\n");
        self.client.send(&chunk)
    }

    /// Sends a tape at a pace, so many times faster than it plays, until it or the server ends.
    pub(crate) fn play(mut self, tape: Tape, haste: u32) {
        thread::spawn(move || {
            let frames = tape.0.iter().filter(|tag| !tag.is_sequence_header());
            let mut now = frames.map(|tag| tag.timestamp).min().unwrap_or(0);
            for tag in &tape.0 {
                let wait = tag.timestamp.saturating_sub(now) / haste;
                now = now.max(tag.timestamp);
                thread::sleep(Duration::from_millis(wait.into()));
                if self.try_chunk(&written(tag)).is_err() {
                    return;
                }
            }
        });
    }

    /// Sends tags at once.
    pub(crate) fn send(&mut self, tags: &[Tag]) {
        for tags in tags.chunks(200) {
            let bytes: Vec<_> = tags.iter().flat_map(written).collect();
            self.chunk(&bytes);
        }
    }

    /// Ends in order.
    pub(crate) fn end(mut self) {
        self.client.send(b"0\r\n\r\n").expect("the server reads");
        let head = self.client.head().expect("an answer");
        assert!(head.status < 300, "{head:?}");
    }
}

/// A tag as it stands in a file.
fn written(tag: &Tag) -> Vec<u8> {
    let [t3, t2, t1, t0] = tag.timestamp.to_be_bytes();
    let size = tag.body.len() as u32;
    let mut bytes = vec![tag.kind];
    bytes.extend(&size.to_be_bytes()[1..]);
    bytes.extend([t2, t1, t0, t3, 0, 0, 0]);
    bytes.extend(&tag.body);
    bytes.extend((size + 11).to_be_bytes());
    bytes
}

/// Tags in order, each a frame or a sequence header.
#[derive(Clone)]
pub(crate) struct Tape(pub(crate) Vec<Tag>);

impl Tape {
    /// What is published of `media`, without its metadata and end marks.
    pub(crate) fn of(media: Media) -> Self {
        let bytes = fs::read(media.published_file(tool_for(media))).expect("it was made");
        let tags = flv::tags(&bytes).into_iter();
        Self(
            tags.filter(|tag| tag.packet().is_some() || tag.is_sequence_header())
                .collect(),
        )
    }

    /// The pictures alone.
    pub(crate) fn pictures(mut self) -> Self {
        self.0.retain(|tag| tag.kind == VIDEO);
        self
    }

    /// With key frames that are not told to be any.
    pub(crate) fn without_marks(mut self) -> Self {
        self.0 = self.0.iter().map(unmarked).collect();
        self
    }

    /// All times later.
    pub(crate) fn later(mut self, millis: u32) -> Self {
        for tag in &mut self.0 {
            tag.timestamp = tag.timestamp.wrapping_add(millis);
        }
        self
    }

    /// What comes before that time.
    pub(crate) fn until(mut self, millis: u32) -> Self {
        self.0.retain(|tag| tag.timestamp < millis);
        self
    }

    /// What comes from that time on, and all sequence headers.
    pub(crate) fn from(mut self, millis: u32) -> Self {
        self.0
            .retain(|tag| tag.timestamp >= millis || tag.is_sequence_header());
        self
    }

    /// Frame after frame at another distance, in thousandths of a millisecond.
    pub(crate) fn every(mut self, micros: u64) -> Self {
        let frames = self.0.iter_mut().filter(|tag| !tag.is_sequence_header());
        for (count, tag) in frames.enumerate() {
            tag.timestamp = (count as u64 * micros / 1000) as u32;
        }
        self
    }

    /// So often one after the other; `length` in milliseconds is that of one.
    pub(crate) fn times(self, count: u32, length: u32) -> Self {
        let rounds = (0..count).flat_map(|round| {
            let mut one = self.clone().later(round * length);
            one.0.retain(|tag| round == 0 || !tag.is_sequence_header());
            one.0
        });
        Self(rounds.collect())
    }

    /// The number of the key frame with this number, from 0, among the tags.
    pub(crate) fn key(&self, number: usize) -> usize {
        let keys = self.0.iter().enumerate().filter(|(_, tag)| is_key(tag));
        keys.map(|(at, _)| at).nth(number).expect("so many keys")
    }
}

/// A key frame of pictures.
pub(crate) fn is_key(tag: &Tag) -> bool {
    tag.kind == VIDEO && tag.packet().is_some_and(|packet| packet.key)
}

/// A copy whose key frames are none, as of encoders that refresh in another way.
pub(crate) fn unmarked(tag: &Tag) -> Tag {
    let mut body = tag.body.to_vec();
    if is_key(tag)
        && let Some(first) = body.first_mut()
    {
        // frame type 2 in the place of 1
        *first = *first & 0x8f | 0x20;
    }
    Tag {
        body: Bytes::from(body),
        ..tag.clone()
    }
}
