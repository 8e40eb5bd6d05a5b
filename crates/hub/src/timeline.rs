//! The stream's timeline: monotonic for each track, whatever publishers do.
//!
//! Owns: the offset between a publisher's times and the stream's, and its changes when a publisher jumps or a new one
//! takes over. Does not: unwrap 32-bit counters (`weir_media::Unwrapper` did that).
//!
//! An honest publisher's times pass unchanged. Invariant: what leaves is never less than what left before it on the
//! same track.

use std::time::Duration;

use weir_media::{Role, Timestamp, TrackId};

/// A step on a track that is taken for a jump of the publisher's clock instead of a pause or reordering.
///
/// Encoders interleave tracks within 3 s at worst, and an uplink that stalls longer than 10 s is cut by most of them;
/// players give up on gaps of this size, so closing larger ones helps and closing smaller ones would hide pauses.
const JUMP: Timestamp = Timestamp::from_millis(10_000);

/// The step assumed after a jump when a track's own rhythm is not known yet.
const FALLBACK_STEP: Timestamp = Timestamp::from_millis(20);

#[derive(Debug)]
struct TrackTime {
    track: TrackId,
    last: Timestamp,
    step: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    offset: Timestamp,
    /// The offset before the last jump: the other track's frames from before it may still come.
    earlier: Option<Timestamp>,
    /// Where the next frame goes, after a new publisher took over.
    resume_at: Option<Timestamp>,
    newest: Option<Timestamp>,
    tracks: Vec<TrackTime>,
    /// Jumps that were closed.
    pub(crate) jumps: u64,
    /// Frames whose time went back a little and was held.
    pub(crate) held: u64,
}

fn within(a: Timestamp, b: Timestamp) -> bool {
    let distance = (a - b).ticks().unsigned_abs();
    distance <= JUMP.ticks().unsigned_abs()
}

impl Timeline {
    /// The newest time that left, if any did.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// A new publisher begins `elapsed` after the last frame of the one before.
    pub(crate) fn resume(&mut self, elapsed: Duration) {
        if let Some(newest) = self.newest {
            self.resume_at = Some(newest + Timestamp::from_duration(elapsed));
            self.earlier = None;
        }
    }

    /// The stream's time for a frame of `track` that its publisher dated `raw`.
    pub(crate) fn map(&mut self, track: TrackId, role: Role, raw: Timestamp) -> Timestamp {
        if !matches!(role, Role::Key | Role::Delta) {
            return self.map_aside(raw);
        }
        if let Some(base) = self.resume_at.take() {
            self.offset = base - raw;
        }
        let known = self.tracks.iter().position(|time| time.track == track);
        let reference = known
            .and_then(|index| self.tracks.get(index))
            .map(|time| time.last)
            .or(self.newest);
        let mut mapped = raw + self.offset;
        if let Some(reference) = reference
            && !within(mapped, reference)
        {
            mapped = self.close_jump(raw, reference, known);
        }
        self.newest = Some(self.newest.map_or(mapped, |newest| newest.max(mapped)));
        match known.and_then(|index| self.tracks.get_mut(index)) {
            Some(time) => {
                if mapped < time.last {
                    self.held += 1;
                    mapped = time.last;
                } else {
                    time.step = mapped - time.last;
                    time.last = mapped;
                }
            }
            None => self.tracks.push(TrackTime {
                track,
                last: mapped,
                step: FALLBACK_STEP,
            }),
        }
        mapped
    }

    /// Headers and script data go with the frames around them and never move the timeline: encoders date them 0.
    fn map_aside(&self, raw: Timestamp) -> Timestamp {
        if let Some(base) = self.resume_at {
            return base;
        }
        let mapped = raw + self.offset;
        match self.newest {
            Some(newest) if !within(mapped, newest) || mapped > newest => newest,
            _ => mapped,
        }
    }

    fn close_jump(
        &mut self,
        raw: Timestamp,
        reference: Timestamp,
        known: Option<usize>,
    ) -> Timestamp {
        if let Some(earlier) = self.earlier
            && within(raw + earlier, reference)
        {
            return raw + earlier;
        }
        self.jumps += 1;
        let step = known
            .and_then(|index| self.tracks.get(index))
            .map_or(FALLBACK_STEP, |time| {
                time.step.min(FALLBACK_STEP + FALLBACK_STEP)
            });
        let target = self.newest.unwrap_or(reference).max(reference + step);
        self.earlier = Some(self.offset);
        self.offset = target - raw;
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn video(timeline: &mut Timeline, raw: i64) -> i64 {
        timeline.map(TrackId::VIDEO, Role::Delta, ms(raw)).millis()
    }

    fn audio(timeline: &mut Timeline, raw: i64) -> i64 {
        timeline.map(TrackId::AUDIO, Role::Delta, ms(raw)).millis()
    }

    #[test]
    fn an_honest_publisher_passes_unchanged() {
        let mut timeline = Timeline::default();
        for raw in [5_000, 5_040, 5_080, 6_000, 15_999] {
            assert_eq!(video(&mut timeline, raw), raw);
            assert_eq!(audio(&mut timeline, raw - 900), raw - 900);
        }
        assert_eq!((timeline.jumps, timeline.held), (0, 0));
    }

    #[test]
    fn a_restart_at_zero_goes_on_where_it_was_for_both_tracks() {
        let mut timeline = Timeline::default();
        for raw in (100_000..101_000).step_by(40) {
            video(&mut timeline, raw);
            audio(&mut timeline, raw + 10);
        }
        // video jumps first, a late audio frame of before, then audio has jumped too
        assert_eq!(video(&mut timeline, 0), 101_000);
        assert_eq!(audio(&mut timeline, 100_990), 100_990);
        assert_eq!(audio(&mut timeline, 12), 101_012);
        assert_eq!(video(&mut timeline, 40), 101_040);
        assert_eq!(timeline.jumps, 1);
    }

    #[test]
    fn a_leap_forward_is_closed() {
        let mut timeline = Timeline::default();
        video(&mut timeline, 0);
        video(&mut timeline, 40);
        assert_eq!(video(&mut timeline, 4_000_000_000), 80);
        assert_eq!(video(&mut timeline, 4_000_000_040), 120);
    }

    #[test]
    fn a_new_publisher_goes_on_after_the_time_that_passed() {
        let mut timeline = Timeline::default();
        video(&mut timeline, 1_000);
        timeline.resume(Duration::from_millis(2_500));
        assert_eq!(
            timeline.map(TrackId::VIDEO, Role::Config, ms(0)).millis(),
            3_500
        );
        assert_eq!(video(&mut timeline, 70), 3_500);
        assert_eq!(audio(&mut timeline, 75), 3_505);
    }

    #[test]
    fn headers_dated_zero_do_not_move_the_timeline() {
        let mut timeline = Timeline::default();
        video(&mut timeline, 50_000);
        assert_eq!(
            timeline.map(TrackId::VIDEO, Role::Config, ms(0)).millis(),
            50_000
        );
        assert_eq!(video(&mut timeline, 50_040), 50_040);
        assert_eq!(timeline.jumps, 0);
    }

    proptest! {
        #[test]
        fn each_track_is_monotonic_whatever_comes(
            frames in proptest::collection::vec((any::<bool>(), any::<u32>(), any::<bool>()), 0..200),
        ) {
            let mut timeline = Timeline::default();
            let mut last = [i64::MIN; 2];
            for (is_video, raw, restart) in frames {
                if restart {
                    timeline.resume(Duration::from_millis(5));
                }
                let track = if is_video { TrackId::VIDEO } else { TrackId::AUDIO };
                let mapped = timeline.map(track, Role::Delta, ms(i64::from(raw))).ticks();
                let slot = &mut last[usize::from(is_video)];
                prop_assert!(mapped >= *slot);
                *slot = mapped;
            }
        }
    }
}
