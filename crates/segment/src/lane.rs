//! One track's frames on their way into a part.
//!
//! Owns: [`Lane`]: the frame whose length is not known yet, because the next one tells it, and the run of those before
//! it. Does not: decide where parts end.

use bytes::Bytes;
use weir_container::fmp4::Sample;

use crate::part::Run;
use crate::store::TICKS;

/// By how much a frame of sound may be off the time that the frames before it say, in ticks: 4 ms. FLV rounds to
/// milliseconds; within that, the count of samples is the better clock.
const SOUND_SLACK: i64 = 4 * TICKS / 1000;

/// A frame that waits for the next.
#[derive(Debug)]
struct Held {
    /// Its decode time in the track's timescale.
    at: u64,
    composition: i32,
    is_key: bool,
    payload: Bytes,
    /// Where it ends, as its codec says; for sound.
    ends: Option<u64>,
}

/// A track's frames since the last part.
#[derive(Debug)]
pub(crate) struct Lane {
    timescale: u32,
    held: Option<Held>,
    /// The length of the last frame, in units.
    usual: u32,
    /// The last frame ended where its codec says, before the next one came.
    is_told: bool,
    run: Run,
    data: Vec<Bytes>,
}

impl Lane {
    pub(crate) fn new(timescale: u32) -> Self {
        Self {
            timescale,
            held: None,
            usual: timescale / 25,
            is_told: false,
            run: Run::default(),
            data: Vec::new(),
        }
    }

    /// Takes in a picture that is decoded at `ticks`.
    pub(crate) fn picture(&mut self, ticks: i64, composition: i64, is_key: bool, payload: Bytes) {
        let at = self.units(ticks);
        self.settle(at);
        let units = composition.saturating_mul(i64::from(self.timescale)) / TICKS;
        let bound = |units: i64| i32::try_from(units).unwrap_or(i32::MAX);
        self.held = Some(Held {
            at: self.not_before(at),
            composition: bound(units),
            is_key,
            payload,
            ends: None,
        });
    }

    /// Takes in a frame of sound that begins at `ticks` and has so many samples, where that is known.
    pub(crate) fn sound(&mut self, ticks: i64, samples: Option<u32>, payload: Bytes) {
        let end = match &self.held {
            Some(held) => held.ends,
            None => self.is_told.then(|| self.end()),
        };
        let mut at = self.units(ticks);
        if let Some(end) = end.filter(|end| end.abs_diff(at) <= self.units(SOUND_SLACK)) {
            at = end;
        }
        self.settle(at);
        let begins = match end.filter(|_| std::mem::take(&mut self.is_told)) {
            // a hole would halt players: this frame covers it, since the one before is out already
            Some(end) => end,
            None => self.not_before(at),
        };
        self.held = Some(Held {
            at: begins,
            composition: 0,
            is_key: true,
            payload,
            ends: samples.map(|samples| at + u64::from(samples)),
        });
    }

    fn units(&self, ticks: i64) -> u64 {
        let units = i128::from(ticks) * i128::from(self.timescale) / i128::from(TICKS);
        u64::try_from(units).unwrap_or(0)
    }

    /// The end of what there is.
    fn end(&self) -> u64 {
        self.run.base + self.run.duration
    }

    /// The end of what there is, if that is later than `at`.
    fn not_before(&self, at: u64) -> u64 {
        at.max(self.end())
    }

    /// The frame that waits ends at `at`.
    fn settle(&mut self, at: u64) {
        if let Some(held) = self.held.take() {
            let length = at.saturating_sub(held.at).max(1);
            self.put(held, u32::try_from(length).unwrap_or(u32::MAX));
        }
    }

    /// Ends the frame that waits without knowing the next.
    pub(crate) fn flush(&mut self) {
        self.flush_known();
        if let Some(held) = self.held.take() {
            self.put(held, self.usual.max(1));
        }
    }

    /// Ends the frame that waits, if its codec says how long it is.
    pub(crate) fn flush_known(&mut self) {
        let known = self.held.take_if(|held| held.ends.is_some());
        if let Some((held, end)) = known.and_then(|held| held.ends.map(|end| (held, end))) {
            let length = end.saturating_sub(held.at).max(1);
            self.put(held, u32::try_from(length).unwrap_or(u32::MAX));
            self.is_told = true;
        }
    }

    fn put(&mut self, held: Held, duration: u32) {
        self.usual = duration;
        if self.run.samples.is_empty() {
            self.run.base = held.at;
        }
        self.run.samples.push(Sample {
            duration,
            size: u32::try_from(held.payload.len()).unwrap_or(u32::MAX),
            composition: held.composition,
            is_sync: held.is_key,
        });
        self.run.duration += u64::from(duration);
        self.run.bytes += held.payload.len();
        self.data.push(held.payload);
    }

    /// Bytes gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.run.bytes
    }

    /// Frames gathered.
    pub(crate) fn count(&self) -> usize {
        self.run.samples.len()
    }

    /// Takes the run out, and appends its media to `data`.
    pub(crate) fn take(&mut self, data: &mut Vec<u8>) -> Run {
        for payload in self.data.drain(..) {
            data.extend_from_slice(&payload);
        }
        let next = Run {
            base: self.run.base + self.run.duration,
            ..Run::default()
        };
        let mut run = std::mem::replace(&mut self.run, next);
        run.samples.shrink_to_fit();
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(millis: i64) -> i64 {
        millis * 900
    }

    #[test]
    fn sound_in_milliseconds_is_counted_in_samples() {
        let mut lane = Lane::new(48_000);
        for at in [0, 21, 43, 64, 85, 107] {
            lane.sound(millis(at), Some(1024), Bytes::from_static(b"a"));
        }
        lane.flush();
        let run = lane.take(&mut Vec::new());
        assert!(run.samples.iter().all(|sample| sample.duration == 1024));
        assert_eq!(run.duration, 6 * 1024);
    }

    #[test]
    fn a_hole_in_the_sound_is_kept() {
        let mut lane = Lane::new(48_000);
        lane.sound(0, Some(1024), Bytes::from_static(b"a"));
        lane.sound(millis(500), Some(1024), Bytes::from_static(b"b"));
        lane.flush();
        let run = lane.take(&mut Vec::new());
        let lengths: Vec<_> = run.samples.iter().map(|sample| sample.duration).collect();
        assert_eq!(lengths, [24_000, 1024]);
    }

    #[test]
    fn a_part_has_the_sound_that_has_come() {
        let mut lane = Lane::new(48_000);
        let (mut runs, mut bytes) = (Vec::new(), Vec::new());
        // each second frame is the last of a part; one is late, and one comes after a hole
        for (n, at) in [0, 21, 43, 66, 85, 600, 621, 643].into_iter().enumerate() {
            lane.sound(millis(at), Some(1024), Bytes::from_static(b"a"));
            if n % 2 == 1 {
                lane.flush_known();
                runs.push(lane.take(&mut bytes));
            }
        }
        assert!(runs.iter().all(|run| run.samples.len() == 2));
        for pair in runs.windows(2) {
            assert_eq!(pair[0].base + pair[0].duration, pair[1].base, "no hole");
        }
        let lengths: Vec<_> = runs
            .iter()
            .flat_map(|run| run.samples.iter().map(|sample| sample.duration))
            .collect();
        // 600 ms is 28,800; the one before begins at 4 x 1024
        assert_eq!(
            lengths,
            [1024, 1024, 1024, 1024, 28_800 - 4096, 1024, 1024, 1024]
        );
    }

    #[test]
    fn a_hole_after_a_part_is_covered_by_the_next_frame() {
        let mut lane = Lane::new(48_000);
        let mut ends = Vec::new();
        for at in [0, 500, 521] {
            lane.sound(millis(at), Some(1024), Bytes::from_static(b"a"));
            // a part of one frame: the hole is not to be carried on
            lane.flush_known();
            let run = lane.take(&mut Vec::new());
            ends.push((run.base, run.base + run.duration));
        }
        assert_eq!(ends, [(0, 1024), (1024, 25_024), (25_024, 26_048)]);
    }

    proptest! {
        #[test]
        fn runs_follow_each_other(steps in proptest::collection::vec((-50i64..200, any::<bool>()), 1..200)) {
            let mut lane = Lane::new(90_000);
            let (mut at, mut end) = (10_000, None::<u64>);
            for (step, cut) in steps {
                at += step;
                lane.picture(millis(at), 0, false, Bytes::from_static(b"xy"));
                if cut {
                    let mut data = Vec::new();
                    let run = lane.take(&mut data);
                    prop_assert_eq!(data.len(), run.bytes);
                    if !run.samples.is_empty() {
                        prop_assert!(end.is_none_or(|end| end <= run.base));
                        end = Some(run.base + run.duration);
                    }
                }
            }
        }
    }
}
