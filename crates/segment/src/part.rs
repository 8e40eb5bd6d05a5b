//! Parts: some frames, written once, seen as fragments of both tracks or of one.
//!
//! Owns: [`Part`], [`Run`], and the bytes of their views. A part's media is one allocation, pictures first and sound
//! behind them; a view is a small head of its own (`moof` and the header of `mdat`) and a slice of that. Does not:
//! decide where parts end (`cut` does).

use bytes::Bytes;
use weir_container::fmp4::{self, Sample};

use crate::file::View;
use crate::period::Period;

/// Consecutive samples of one track.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Decode time of the first, in the track's timescale.
    pub(crate) base: u64,
    /// The samples.
    pub(crate) samples: Vec<Sample>,
    /// Sum of their durations, in the track's timescale.
    pub(crate) duration: u64,
    /// Sum of their sizes in bytes.
    pub(crate) bytes: usize,
}

/// Some frames of a stream.
#[derive(Debug)]
pub(crate) struct Part {
    /// The `mfhd` sequence number.
    pub(crate) sequence: u32,
    /// Length of the part on the stream's clock, in ticks of 1/900,000 s.
    pub(crate) ticks: i64,
    /// It has a frame at which decoding can begin.
    pub(crate) independent: bool,
    pub(crate) video: Run,
    pub(crate) audio: Run,
    /// The media: that of `video`, then that of `audio`.
    pub(crate) data: Bytes,
    heads: [Option<Bytes>; View::ALL.len()],
}

impl Part {
    pub(crate) fn new(sequence: u32, ticks: i64, video: Run, audio: Run, data: Bytes) -> Self {
        let independent = video.samples.is_empty() || video.samples.iter().any(|s| s.is_sync);
        Self {
            sequence,
            ticks,
            independent,
            video,
            audio,
            data,
            heads: Default::default(),
        }
    }

    /// Memory held, in bytes, without what the heads take that nobody asked for yet.
    pub(crate) fn memory(&self) -> usize {
        let samples = self.video.samples.len() + self.audio.samples.len();
        self.data.len() + samples * size_of::<Sample>() + size_of::<Self>()
    }

    /// Appends the bytes of a view. A track without samples here has an empty run, so that every part exists.
    pub(crate) fn write(&mut self, view: View, period: &Period, out: &mut Vec<Bytes>) {
        let (head, data) = (self.head(view, period), self.slice(view));
        out.push(head);
        if !data.is_empty() {
            out.push(data);
        }
    }

    fn head(&mut self, view: View, period: &Period) -> Bytes {
        let tracks = [
            (period.video.as_ref(), &self.video, true),
            (period.audio.as_ref(), &self.audio, false),
        ];
        let sequence = self.sequence;
        let make = || {
            let mut runs = Vec::with_capacity(tracks.len());
            for (track, run, is_video) in tracks {
                let is_seen = match view {
                    View::Both => !run.samples.is_empty(),
                    View::Video => is_video,
                    View::Audio => !is_video,
                };
                let Some(track) = track.filter(|_| is_seen) else {
                    continue;
                };
                runs.push(fmp4::Run {
                    track: track.id,
                    is_video,
                    base_time: run.base,
                    samples: &run.samples,
                });
            }
            let mut head = Vec::new();
            fmp4::write_fragment_head(sequence, &runs, &mut head);
            Bytes::from(head)
        };
        match self.heads.get_mut(view.index()) {
            Some(slot) => slot.get_or_insert_with(make).clone(),
            None => make(),
        }
    }

    fn slice(&self, view: View) -> Bytes {
        let middle = self.video.bytes.min(self.data.len());
        match view {
            View::Both => self.data.clone(),
            View::Video => self.data.slice(..middle),
            View::Audio => self.data.slice(middle..),
        }
    }
}
