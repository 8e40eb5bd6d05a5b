//! Target of a stream's segments.
//!
//! Owns: what must hold of a channel whatever is published and asked: memory stays within its bound, answers are of few
//! kinds, lists name only what is there. Input: operations of 8 bytes each.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use weir_hls::playlist::{Line, lines};
use weir_media::{AudioCodec, Codec, Frame, Role, Timestamp, TrackId, VideoCodec};
use weir_segment::{
    Anchor, Answer, Ask, Channel, Encryption, File, Keep, List, More, Rhythm, Settings, View,
};

/// Bound of the channel's memory. Small, so that it is reached.
const MAX_BYTES: usize = 64 << 10;

/// Heads, tables and copies as MPEG-TS come on top of it, and a last segment that is there whatever the bound.
const SLACK: usize = 4;

const AVC: [&[u8]; 2] = [
    &[
        1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 10, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf,
        0xe5, 0x40, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
    ],
    &[
        1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 10, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xbf,
        0xe5, 0x40, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
    ],
];

const AUDIO: [(AudioCodec, &[u8]); 4] = [
    (AudioCodec::Aac, &[0x12, 0x10]),
    (AudioCodec::Aac, &[0x11, 0x90]),
    (AudioCodec::Mp3, &[]),
    (AudioCodec::Legacy(11), &[]),
];

/// Publishes and asks as the input says.
pub fn segment_channel(data: &[u8]) {
    let (head, rest) = data.split_at(data.len().min(2));
    let flags = head.first().copied().unwrap_or(0);
    let settings = Settings {
        max_bytes: MAX_BYTES,
        keep: if flags & 1 == 0 {
            Keep::Live
        } else {
            Keep::Event
        },
        low_latency: flags & 2 == 0,
        encryption: match flags & 4 {
            0 => Encryption::None,
            _ => Encryption::Aes128 {
                rotation: Duration::from_secs(3),
            },
        },
        ..Settings::default()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do, as long as time goes on from it"
    )]
    let begin = Instant::now();
    let anchor = Anchor {
        now: begin,
        wallclock: SystemTime::UNIX_EPOCH,
    };
    let mut run = Run {
        channel: Channel::new(Arc::new(settings), "s", anchor, Rhythm::default(), [0; 32]),
        now: begin,
        dts: 0,
    };
    run.channel.publish(begin);
    for operation in rest.chunks_exact(8) {
        if let Ok(operation) = operation.try_into() {
            run.step(operation);
        }
        let memory = run.channel.memory();
        assert!(memory <= MAX_BYTES * SLACK, "{memory} bytes are kept");
    }
    run.read_all();
}

struct Run {
    channel: Channel,
    now: Instant,
    dts: i64,
}

impl Run {
    fn step(&mut self, [kind, a, b, c, d, e, f, g]: [u8; 8]) {
        self.now += Duration::from_millis(u64::from(a));
        let number = u64::from_be_bytes([0, 0, 0, 0, d, e, f, g]);
        match kind % 12 {
            0 => self.configure(b),
            1..=5 => {
                // mostly forward, sometimes back, seldom far
                let step = i64::from(c) * if d == 255 { 4_000 } else { 1 };
                self.dts += if d == 254 { -step } else { step };
                self.frame(b, usize::from(e) * 16, i64::from(f));
            }
            6 => self.channel.pause(),
            7 => self.channel.publish(self.now),
            8 if b == 0 => self.channel.end(),
            _ => self.ask(b, number, u32::from(c)),
        }
    }

    fn configure(&mut self, which: u8) {
        let index = usize::from(which / 2) % AUDIO.len();
        let (track, codec, payload) = match (which % 2, AUDIO.get(index)) {
            (1, Some((codec, config))) => (TrackId::AUDIO, Codec::Audio(*codec), *config),
            _ => {
                let config = AVC.get(usize::from(which / 2) % AVC.len());
                (
                    TrackId::VIDEO,
                    Codec::Video(VideoCodec::H264),
                    config.copied().unwrap_or_default(),
                )
            }
        };
        self.push(
            track,
            codec,
            Role::Config,
            Bytes::copy_from_slice(payload),
            0,
        );
    }

    fn frame(&mut self, which: u8, size: usize, composition: i64) {
        let payload = Bytes::from(vec![0x21; size]);
        let role = if which & 1 == 0 {
            Role::Key
        } else {
            Role::Delta
        };
        match which & 2 {
            0 => {
                let codec = Codec::Video(VideoCodec::H264);
                self.push(TrackId::VIDEO, codec, role, payload, composition);
            }
            _ => {
                let index = usize::from(which >> 2) % AUDIO.len();
                let codec = AUDIO
                    .get(index)
                    .map_or(AudioCodec::Aac, |(codec, _)| *codec);
                self.push(TrackId::AUDIO, Codec::Audio(codec), Role::Delta, payload, 0);
            }
        }
    }

    fn push(&mut self, track: TrackId, codec: Codec, role: Role, packet: Bytes, composition: i64) {
        let frame = Frame {
            track,
            codec,
            role,
            dts: Timestamp::from_millis(self.dts),
            composition: Timestamp::from_millis(composition),
            packet,
            payload_at: 0,
        };
        self.channel.push(self.now, &frame);
    }

    fn ask(&mut self, which: u8, number: u64, part: u32) {
        let view = match which & 3 {
            0 => View::Both,
            1 => View::Video,
            _ => View::Audio,
        };
        // near what there is, or anywhere
        let msn = if number & 1 == 0 {
            number >> 1
        } else {
            number % 8
        };
        let file = match which >> 2 & 7 {
            0 => File::Multivariant,
            1 => File::Manifest,
            2 => File::Playlist(List::Ts),
            3 => File::Init { view, first: msn },
            4 => File::Segment { view, msn },
            5 => File::Part { view, msn, part },
            6 => File::Ts { msn },
            _ => File::Playlist(List::Fmp4(view)),
        };
        let query = match which & 64 {
            0 => String::new(),
            _ => format!("_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES"),
        };
        self.get(file, &query);
    }

    /// The body of an answer, if it is a good one.
    fn get(&mut self, file: File, query: &str) -> Option<Vec<u8>> {
        let ask = Ask {
            file,
            query,
            accepts_gzip: false,
            since: self.now,
        };
        match self.channel.ask(self.now, &ask) {
            Answer::Ready(reply) => {
                assert!(
                    matches!(reply.status, 200 | 400 | 404 | 503),
                    "{}",
                    reply.status
                );
                assert!(!reply.body.is_empty());
                (reply.status == 200).then(|| reply.body.concat())
            }
            Answer::Wait { until } => {
                assert!(until > self.now);
                // when the time is up there is an answer
                let late = self.channel.ask(
                    until,
                    &Ask {
                        since: self.now,
                        ..ask
                    },
                );
                assert!(matches!(late, Answer::Ready(_)), "it waits for ever");
                None
            }
            Answer::Growing(_, mut rest) => {
                let more = self.channel.more(self.now, self.now, &mut rest);
                assert!(matches!(more, More::Wait { .. }), "it had all there is");
                None
            }
        }
    }

    /// Everything that lists name is there.
    fn read_all(&mut self) {
        self.channel.end();
        for list in [
            List::Ts,
            List::Fmp4(View::Both),
            List::Fmp4(View::Video),
            List::Fmp4(View::Audio),
        ] {
            let Some(text) = self.get(File::Playlist(list), "") else {
                continue;
            };
            let text = String::from_utf8(text).expect("a playlist is a text");
            let mut is_gap = false;
            for line in lines(&text) {
                match line {
                    Line::Tag {
                        name: "#EXT-X-GAP", ..
                    } => is_gap = true,
                    Line::Uri(name) => {
                        let files = File::candidates(name);
                        let (_, file) = files.into_iter().flatten().last().expect("a file's name");
                        let found = self.get(file, "").is_some();
                        assert_eq!(found, !std::mem::take(&mut is_gap), "{name}");
                    }
                    _ => {}
                }
            }
        }
    }
}
