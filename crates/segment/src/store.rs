//! The store: segments in order, the last of them under way, within bounds of time and bytes.
//!
//! Owns: numbers, wall clock times and discontinuities of segments, when old ones go, and which of them lists name.
//! Does not: cut (`cut` does), or make texts.
//!
//! Invariants: segments have consecutive numbers; only the last can be under way; numbers never repeat, not even after
//! a restart of the process, because they begin at the seconds since 2025 and a segment lasts a second at least.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::file::View;
use crate::part::Part;
use crate::period::Period;
use crate::settings::{Encryption, Keep, Settings};

/// 2025-01-01 in seconds since 1970: the zero of media sequence numbers.
const NUMBERS_BEGIN: u64 = 1_735_689_600;

/// Where the first discontinuity sequence number lies below. hls.js keeps a list as long as the number and walks through it
/// with each playlist: numbers as large as those of segments take it a second each time.
const DISCONTINUITIES: u64 = 1 << 13;

/// Ticks of the stream's clock in a second.
pub(crate) const TICKS: i64 = 900_000;

/// Complete segments that a list has whatever the window: three are what clients hold back (RFC 8216bis, section
/// 4.4.3.8), and one more lets a slow one finish.
const LISTED_LEAST: usize = 4;

/// By how much the wall clock time of a segment may differ from what the one before says before it is set anew.
const CLOCK_SLACK: Duration = Duration::from_millis(500);

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its media sequence number.
    pub(crate) msn: u64,
    pub(crate) period: Arc<Period>,
    /// What came before it does not go on in it.
    pub(crate) discontinuity: bool,
    /// Its time on the channel's line, in ticks.
    pub(crate) start: i64,
    /// Its length on the stream's clock, in ticks; of the parts there are, while it is under way.
    pub(crate) ticks: i64,
    /// It begins with a frame at which decoding can begin.
    pub(crate) independent: bool,
    pub(crate) complete: bool,
    pub(crate) parts: Vec<Part>,
    /// When its first frame was shown, once somebody has been told.
    pub(crate) wallclock: Option<SystemTime>,
    /// The same media as MPEG-TS, for those who asked.
    pub(crate) ts: Option<Bytes>,
    /// The number of the key it is encrypted with.
    pub(crate) key: Option<u64>,
    /// Encrypted forms, for those who asked: each view, and MPEG-TS.
    pub(crate) sealed: [Option<Bytes>; View::ALL.len() + 1],
}

impl Segment {
    /// Its length for a view. Sound has a clock of its own, and its frames do not end where pictures do.
    pub(crate) fn duration(&self, view: View) -> Duration {
        match (view, &self.period.audio) {
            (View::Audio, Some(track)) => {
                let units = self.parts.iter().map(|part| part.audio.duration).sum();
                units_to_duration(units, track.timescale)
            }
            _ => ticks_to_duration(self.ticks),
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let parts: usize = self.parts.iter().map(Part::memory).sum();
        let copies = self.sealed.iter().flatten().chain(&self.ts);
        parts + copies.map(Bytes::len).sum::<usize>()
    }

    /// Bytes of media in a view, heads left out.
    pub(crate) fn media_bytes(&self, view: View) -> usize {
        let of = |part: &Part| match view {
            View::Both => part.data.len(),
            View::Video => part.video.bytes,
            View::Audio => part.audio.bytes,
        };
        self.parts.iter().map(of).sum()
    }

    /// The bytes of a view, as far as there are any.
    pub(crate) fn write(&mut self, view: View, from_part: usize, out: &mut Vec<Bytes>) {
        let period = Arc::clone(&self.period);
        for part in self.parts.iter_mut().skip(from_part) {
            part.write(view, &period, out);
        }
    }
}

/// How the monotonic clock and media times relate to the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    /// An instant.
    pub now: Instant,
    /// The wall clock at that instant.
    pub wallclock: SystemTime,
}

impl Anchor {
    fn at(&self, now: Instant) -> SystemTime {
        self.wallclock + now.saturating_duration_since(self.now)
    }
}

/// The segments of a stream.
#[derive(Debug)]
pub(crate) struct Store {
    segments: VecDeque<Segment>,
    /// The number of the next segment.
    next_msn: u64,
    /// Discontinuities of segments that were dropped.
    discontinuities: u64,
    bytes: usize,
    anchor: Anchor,
    /// The wall clock at time zero of the line, from the frame that was least late.
    zero: Option<SystemTime>,
    /// The same among the frames of the segment under way.
    zero_now: Option<SystemTime>,
    /// Grows with every part.
    version: u64,
    /// Longest sound of one part.
    longest_sound: Duration,
    /// The key in use: its number, and where the first segment that has it begins.
    key: Option<(u64, i64)>,
    /// Something was dropped because the bound of bytes was reached.
    pub(crate) overflowed: bool,
}

impl Store {
    pub(crate) fn new(anchor: Anchor) -> Self {
        let since = anchor.wallclock.duration_since(SystemTime::UNIX_EPOCH);
        let first = since.map_or(0, |since| since.as_secs().saturating_sub(NUMBERS_BEGIN));
        Self {
            segments: VecDeque::new(),
            next_msn: first,
            // a restart is a discontinuity too: clients see that the number is another
            discontinuities: first % DISCONTINUITIES,
            bytes: 0,
            anchor,
            zero: None,
            zero_now: None,
            version: 0,
            longest_sound: Duration::ZERO,
            key: None,
            overflowed: false,
        }
    }

    /// Every segment kept, oldest first, the one under way last.
    pub(crate) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    pub(crate) fn get(&self, msn: u64) -> Option<&Segment> {
        self.segments.get(self.index(msn)?)
    }

    pub(crate) fn get_mut(&mut self, msn: u64) -> Option<&mut Segment> {
        let index = self.index(msn)?;
        self.segments.get_mut(index)
    }

    fn index(&self, msn: u64) -> Option<usize> {
        let first = self.segments.front()?.msn;
        usize::try_from(msn.checked_sub(first)?).ok()
    }

    /// The segment under way.
    pub(crate) fn open(&self) -> Option<&Segment> {
        self.segments.back().filter(|segment| !segment.complete)
    }

    pub(crate) fn open_mut(&mut self) -> Option<&mut Segment> {
        self.segments.back_mut().filter(|segment| !segment.complete)
    }

    /// The number of the segment under way, or of the next.
    pub(crate) fn open_msn(&self) -> u64 {
        self.open().map_or(self.next_msn, |open| open.msn)
    }

    /// The number that the next segment to begin will have.
    pub(crate) fn next_msn(&self) -> u64 {
        self.next_msn
    }

    /// Changes with everything that lists depend on.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Notes a change that is none of the segments'.
    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    /// Longest sound of one part.
    pub(crate) fn longest_sound(&self) -> Duration {
        self.longest_sound
    }

    /// Memory held by complete segments, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    /// Adds to the memory held what a copy takes that was made on request.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// A frame that is shown at `ticks` came at `now`.
    pub(crate) fn observe(&mut self, now: Instant, ticks: i64) {
        let zero = back(self.anchor.at(now), ticks);
        self.zero_now = Some(self.zero_now.map_or(zero, |known| known.min(zero)));
        self.zero = Some(self.zero.map_or(zero, |known| known.min(zero)));
    }

    /// The wall clock at `now`.
    pub(crate) fn wallclock(&self, now: Instant) -> SystemTime {
        self.anchor.at(now)
    }

    /// The wall clock at time zero of the line.
    pub(crate) fn zero(&self) -> SystemTime {
        self.zero.unwrap_or(self.anchor.wallclock)
    }

    /// Takes in segments of a process before this one, in any order, and goes on where they end. Of those with a hole
    /// between them only the newest are of use. Returns the time on the line at which the stream goes on.
    pub(crate) fn restore(&mut self, mut found: Vec<(Segment, u64)>, now: Instant) -> Option<i64> {
        found.sort_by_key(|(segment, _)| segment.msn);
        let follows = |a: &(Segment, u64), b: &(Segment, u64)| {
            a.0.msn.checked_add(1) == Some(b.0.msn) && a.0.start <= b.0.start
        };
        let newest = found.chunk_by(follows).last().map_or(0, <[_]>::len);
        let found = found.split_off(found.len() - newest);
        self.discontinuities = found.first()?.1;
        for (mut segment, _) in found {
            let last = self.segments.back().map(|last| &last.period);
            if let Some(last) = last.filter(|last| last.first == segment.period.first) {
                segment.period = Arc::clone(last);
            }
            self.bytes += segment.memory();
            self.segments.push_back(segment);
        }
        let last = self.segments.back()?;
        // consecutive numbers, which nobody has seen: a process before this one made a segment a second at most
        self.next_msn = last.msn.checked_add(1)?;
        let end = last.start.checked_add(last.ticks)?;
        let zero = back(last.wallclock?, last.start);
        self.zero = Some(zero);
        self.version += 1;
        let since = self.anchor.at(now).duration_since(zero).unwrap_or_default();
        Some(end.max(weir_media::Timestamp::from_duration(since).ticks()))
    }

    /// The complete segments from number `from` on, with the discontinuities before each.
    pub(crate) fn complete_from(&self, from: u64) -> impl Iterator<Item = (&Segment, u64)> {
        let mut discontinuities = self.discontinuities;
        let counted = self.segments.iter().map(move |segment| {
            let before = discontinuities;
            discontinuities += u64::from(segment.discontinuity);
            (segment, before)
        });
        counted.filter(move |(segment, _)| segment.complete && segment.msn >= from)
    }

    /// Begins a segment. The one before must be complete.
    pub(crate) fn begin(&mut self, period: &Arc<Period>, start: i64, independent: bool) {
        let discontinuity = self
            .segments
            .back()
            .is_some_and(|last| !Arc::ptr_eq(&last.period, period));
        self.segments.push_back(Segment {
            msn: self.next_msn,
            period: Arc::clone(period),
            discontinuity,
            start,
            ticks: 0,
            independent,
            complete: false,
            parts: Vec::new(),
            wallclock: None,
            ts: None,
            key: None,
            sealed: Default::default(),
        });
        self.next_msn += 1;
    }

    /// Adds a part to the segment under way.
    pub(crate) fn push(&mut self, part: Part) {
        self.version += 1;
        let Some(open) = self.open_mut() else {
            return;
        };
        let timescale = open
            .period
            .audio
            .as_ref()
            .map_or(1, |audio| audio.timescale);
        let sound = units_to_duration(part.audio.duration, timescale);
        open.ticks += part.ticks;
        open.parts.push(part);
        self.longest_sound = self.longest_sound.max(sound);
    }

    /// Ends the segment under way; one without parts never was.
    pub(crate) fn complete(&mut self, settings: &Settings) {
        self.version += 1;
        let Some(open) = self.open_mut() else {
            return;
        };
        if open.parts.is_empty() {
            self.next_msn = open.msn;
            self.segments.pop_back();
            return;
        }
        open.complete = true;
        open.parts.shrink_to_fit();
        let (msn, start, memory) = (open.msn, open.start, open.memory());
        let key = self.key_for(msn, start, settings.encryption);
        if let Some(open) = self.segments.back_mut() {
            open.key = key;
        }
        self.bytes += memory;
        // what is less late than all that came lately has drifted away
        self.zero = self.zero_now.take().or(self.zero);
        self.trim(settings);
    }

    /// The number of the key for a segment; a new one when the last has served its time.
    fn key_for(&mut self, msn: u64, start: i64, encryption: Encryption) -> Option<u64> {
        let Encryption::Aes128 { rotation } = encryption else {
            return None;
        };
        let is_fresh = |since: &(u64, i64)| ticks_to_duration(start - since.1) < rotation;
        let key = self.key.filter(is_fresh).unwrap_or((msn, start));
        self.key = Some(key);
        Some(key.0)
    }

    fn trim(&mut self, settings: &Settings) {
        self.overflowed = false;
        while self.segments.len() > 1 {
            let over = self.bytes > settings.max_bytes;
            let old = settings.keep == Keep::Live && self.is_old(settings.window);
            if !over && !old {
                return;
            }
            self.overflowed |= over;
            let Some(gone) = self.segments.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(gone.memory());
            self.discontinuities += u64::from(gone.discontinuity);
        }
    }

    /// The oldest segment left the window as long ago as the window lasts, and so long it must be kept (RFC 8216bis,
    /// section 6.2.2).
    fn is_old(&self, window: Duration) -> bool {
        let (Some(first), Some(last)) = (self.segments.front(), self.segments.back()) else {
            return false;
        };
        let after = (last.start + last.ticks) - (first.start + first.ticks);
        self.segments.len() > 2 * LISTED_LEAST && ticks_to_duration(after) > window * 2
    }

    /// Drops everything: what comes next has nothing to do with it.
    pub(crate) fn clear(&mut self) {
        let gone = self.segments.iter().filter(|segment| segment.discontinuity);
        self.discontinuities += gone.count() as u64 + 1;
        self.segments.clear();
        self.bytes = 0;
        self.zero = None;
        self.zero_now = None;
        self.version += 1;
    }

    /// The place of the first segment that lists name, and the discontinuities of those before it.
    pub(crate) fn listed(&self, settings: &Settings) -> (usize, u64) {
        if settings.keep == Keep::Event {
            return (0, self.discontinuities);
        }
        let mut from = self.segments.len();
        let (mut ticks, mut complete) = (0, 0);
        for segment in self.segments.iter().rev() {
            let full = ticks_to_duration(ticks + segment.ticks) > settings.window;
            if full && complete >= LISTED_LEAST {
                break;
            }
            ticks += segment.ticks;
            complete += usize::from(segment.complete);
            from -= 1;
        }
        let skipped = self.segments.iter().take(from);
        let gone = skipped.filter(|segment| segment.discontinuity).count();
        (from, self.discontinuities + gone as u64)
    }

    /// Settles when the complete segments from number `msn` on were shown.
    pub(crate) fn date_complete(&mut self, msn: u64) {
        let from = self.segments.iter().position(|segment| segment.msn >= msn);
        if let Some(from) = from {
            self.date(from);
        }
    }

    /// Settles when the segments from the one at `from` on were shown.
    pub(crate) fn date(&mut self, from: usize) {
        let zero = self.zero();
        let mut before: Option<(SystemTime, i64)> = None;
        if let Some(last) = from
            .checked_sub(1)
            .and_then(|index| self.segments.get(index))
        {
            before = last.wallclock.map(|at| (at, last.start));
        }
        for segment in self.segments.iter_mut().skip(from) {
            let measured = forth(zero, segment.start);
            let at = *segment.wallclock.get_or_insert_with(|| {
                let expected = before.map(|(at, start)| forth(at, segment.start - start));
                expected
                    .filter(|expected| difference(*expected, measured) < CLOCK_SLACK)
                    .unwrap_or(measured)
            });
            before = Some((at, segment.start));
        }
    }
}

/// A length in ticks; none for a negative one.
pub(crate) fn ticks_to_duration(ticks: i64) -> Duration {
    units_to_duration(u64::try_from(ticks).unwrap_or(0), TICKS as u32)
}

/// A length in units of a timescale.
pub(crate) fn units_to_duration(units: u64, timescale: u32) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn forth(at: SystemTime, ticks: i64) -> SystemTime {
    let (on, back) = (ticks_to_duration(ticks), ticks_to_duration(-ticks));
    let there = at.checked_add(on).and_then(|at| at.checked_sub(back));
    there.unwrap_or(at)
}

fn back(at: SystemTime, ticks: i64) -> SystemTime {
    forth(at, -ticks)
}

fn difference(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}
