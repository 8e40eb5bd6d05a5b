//! Sound: a PES packet becomes one frame or several, each with its own time.
//!
//! Owns: finding frames, also where they cross PES packets, and their times; configurations of AAC and Opus. Does not:
//! decode.

use weir_codec::{Error, SyncFrame, adts, samples, sync_frame};
use weir_media::{AudioCodec, Role, Timestamp};

use super::output::Output;
use crate::flv::body;
use crate::ts::{clock, opus};

/// Ticks of a [`Timestamp`] in a second.
const TICKS_A_SECOND: u64 = 900_000;

/// Samples a second of Opus.
const OPUS_RATE: u32 = 48_000;

/// The sound of one track.
#[derive(Debug)]
pub(super) struct Audio {
    track: u8,
    codec: AudioCodec,
    /// The configuration that was told last; empty before the first.
    config: Vec<u8>,
    /// The configuration that the descriptors announce, for Opus.
    announced: Vec<u8>,
    /// The start of a frame that the next PES packet goes on with; under 8 KiB.
    left: Vec<u8>,
    /// Whether the next byte begins a frame; if not, a frame counts only if another or the end follows it.
    is_sure: bool,
    line: Option<Line>,
}

/// Times by counting samples from the last time that was told.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// In ticks of 90 kHz, not wrapped.
    base: i64,
    samples: u64,
    rate: u32,
}

impl Line {
    fn now(self) -> Timestamp {
        let ticks = self.samples.saturating_mul(TICKS_A_SECOND) / u64::from(self.rate.max(1));
        clock::timestamp(self.base) + Timestamp::from_ticks(ticks as i64)
    }

    /// Goes on by `samples` of `rate`.
    fn step(&mut self, samples: u32, rate: u32) {
        if self.rate != rate {
            // frames that stay in the same rate are counted from their first, so that nothing is rounded twice
            self.base = clock::ticks(self.now());
            self.samples = 0;
            self.rate = rate;
        }
        self.samples = self.samples.saturating_add(samples.into());
    }
}

impl Audio {
    pub(super) fn new(track: u8, codec: AudioCodec, announced: &[u8]) -> Self {
        Self {
            track,
            codec,
            config: Vec::new(),
            announced: announced.to_vec(),
            left: Vec::new(),
            is_sure: true,
            line: None,
        }
    }

    /// Something is missing before what comes next.
    pub(super) fn lose(&mut self) {
        self.left.clear();
        self.is_sure = false;
    }

    /// Takes the content of a PES packet; `time` is that of the first frame which begins in it, in ticks of 90 kHz.
    pub(super) fn take(&mut self, data: &[u8], time: Option<i64>, output: &mut Output) {
        if self.codec == AudioCodec::Opus {
            return self.take_opus(data, time, output);
        }
        if self.left.is_empty() {
            self.left = self.take_frames(data, 0, time, output).to_vec();
            return;
        }
        let mut joined = std::mem::take(&mut self.left);
        let carried = joined.len();
        joined.extend_from_slice(data);
        self.left = self.take_frames(&joined, carried, time, output).to_vec();
    }

    /// Takes the frames of `bytes`, of which `carried` are from the PES packet before; gives what is left for the next.
    fn take_frames<'a>(
        &mut self,
        bytes: &'a [u8],
        carried: usize,
        time: Option<i64>,
        output: &mut Output,
    ) -> &'a [u8] {
        let mut time = time;
        let mut rest = bytes;
        let mut is_lost = false;
        while !rest.is_empty() {
            let head = match sync_frame(self.codec, rest) {
                Ok(head) => head,
                Err(Error::Truncated { .. }) => return rest,
                Err(_) => {
                    if !is_lost {
                        output.fault();
                    }
                    is_lost = true;
                    self.is_sure = false;
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            };
            let length = self.whole(head, rest);
            let Some((frame, later)) = rest.split_at_checked(length) else {
                return rest;
            };
            if !self.is_sure && !self.is_followed(later) {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            self.is_sure = true;
            is_lost = false;
            let at = bytes.len().saturating_sub(rest.len());
            if at >= carried
                && let Some(base) = time.take()
            {
                self.tell(base, head.sample_rate);
            }
            self.take_frame(frame, head, output);
            rest = later;
        }
        rest
    }

    /// The length of a frame with the dependent substreams behind it.
    fn whole(&self, head: SyncFrame, bytes: &[u8]) -> usize {
        let mut length = head.bytes;
        if self.codec == AudioCodec::Eac3 && !head.is_dependent {
            while let Some(rest) = bytes.get(length..)
                && let Ok(next) = sync_frame(self.codec, rest)
                && next.is_dependent
                && next.bytes <= rest.len()
            {
                length = length.saturating_add(next.bytes);
            }
        }
        length
    }

    /// Whether what stands behind a frame may be there.
    fn is_followed(&self, later: &[u8]) -> bool {
        match sync_frame(self.codec, later) {
            Ok(_) | Err(Error::Truncated { .. }) => true,
            Err(_) => false,
        }
    }

    fn take_frame(&mut self, frame: &[u8], head: SyncFrame, output: &mut Output) {
        // sound before the first time is of no use, nor is a substream without what it depends on
        let (Some(line), false) = (&mut self.line, head.is_dependent) else {
            return;
        };
        let dts = line.now();
        line.step(head.samples, head.sample_rate);
        let payload = match self.codec {
            AudioCodec::Aac => match adts::parse(frame) {
                Ok(parsed) => {
                    self.configure(&parsed.header.config(), dts, output);
                    frame.get(parsed.header_bytes..).unwrap_or_default()
                }
                Err(_) => return output.fault(),
            },
            // layers I and II have no name in FLV
            AudioCodec::Mp3 if !is_layer_3(frame) => return output.fault(),
            _ => frame,
        };
        output.push(body::audio(
            self.track,
            self.codec,
            Role::Delta,
            dts,
            &[payload],
        ));
    }

    fn take_opus(&mut self, data: &[u8], time: Option<i64>, output: &mut Output) {
        if let Some(base) = time {
            self.tell(base, OPUS_RATE);
        }
        let mut rest = data;
        while !rest.is_empty() {
            let packet = opus::take_packet(&mut rest);
            let Some((packet, samples)) =
                packet.and_then(|packet| Some((packet, samples(AudioCodec::Opus, &[], packet)?)))
            else {
                return output.fault();
            };
            let Some(line) = &mut self.line else {
                return;
            };
            let dts = line.now();
            line.step(samples, OPUS_RATE);
            let announced = std::mem::take(&mut self.announced);
            self.configure(&announced, dts, output);
            self.announced = announced;
            output.push(body::audio(
                self.track,
                self.codec,
                Role::Delta,
                dts,
                &[packet],
            ));
        }
    }

    /// The next frame is at `base`.
    fn tell(&mut self, base: i64, rate: u32) {
        self.line = Some(Line {
            base,
            samples: 0,
            rate,
        });
    }

    /// Tells the configuration when it is another.
    fn configure(&mut self, config: &[u8], dts: Timestamp, output: &mut Output) {
        if self.config == config {
            return;
        }
        self.config = config.to_vec();
        output.push(body::audio(
            self.track,
            self.codec,
            Role::Config,
            dts,
            &[config],
        ));
    }
}

fn is_layer_3(frame: &[u8]) -> bool {
    frame.get(1).is_some_and(|byte| byte >> 1 & 3 == 1)
}
