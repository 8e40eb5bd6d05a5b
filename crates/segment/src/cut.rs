//! The clock that cuts: frames in, parts and segments into the store.
//!
//! Owns: which tracks a period has, when it begins and ends, and where parts and segments end. Does not: keep
//! segments (`store` does), or read clocks.
//!
//! Pictures lead, where there are any; sound is cut where they are. A segment ends with the first key frame after the
//! wanted length, a part before it gets longer than the wanted length. What does not come in time is not waited for: a
//! segment without a key frame ends at the longest length all the same, and one that gets too large ends at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_media::{Codec, Frame, Media, Role, Timestamp, TrackId};

use crate::lane::Lane;
use crate::part::Part;
use crate::period::{Period, Track, VIDEO_TIMESCALE};
use crate::settings::Settings;
use crate::store::{Store, TICKS, ticks_to_duration};

/// Where the channel's line begins, in ticks: 10 s, so that frames from before the first one have times too.
const LINE_BEGINS: i64 = 10 * TICKS;

/// After this long a medium that has not come is taken not to come: encoders begin all tracks within it.
const MEDIA_SETTLED: Duration = Duration::from_secs(1);

/// How long a key frame is waited for. A stream that has none in this time refreshes in another way, and begins as it is.
const KEY_WAIT: Duration = Duration::from_secs(10);

/// For how long of its own time a publisher's first picture waits for the first sound. Codecs without configuration are
/// not known before it comes, and who begins without it goes on behind a discontinuity.
const SOUND_WAIT: Duration = Duration::from_millis(500);

/// Most pictures that wait so: half a second at 240 fps.
const MOST_EARLY: usize = 120;

/// Largest part, in frames. A hostile publisher may date all of them alike; 240 fps for two seconds are 480, with sound
/// a few hundred more.
const MOST_FRAMES: usize = 2_000;

/// Largest part, in bytes: a fifth of a second of 160 Mbit/s.
const MOST_PART_BYTES: usize = 4 << 20;

/// A segment may take this share of a stream's memory, so that four of them are there.
const SHARE_OF_SEGMENT: usize = 5;

/// What a publisher has said of a track.
#[derive(Debug, Default)]
struct Source {
    codec: Option<Codec>,
    config: Bytes,
    /// No segment can hold it.
    unusable: bool,
}

impl Source {
    /// Notes a configuration; true when it is another than before.
    fn configure(&mut self, frame: &Frame) -> bool {
        let config = frame.payload();
        let changed = self.codec != Some(frame.codec) || self.config != config;
        if changed {
            (self.codec, self.config) = (Some(frame.codec), config);
            self.unusable = false;
        }
        changed
    }

    /// Notes a frame; true when its codec is another than before.
    fn see(&mut self, frame: &Frame) -> bool {
        let changed = self.codec.is_some_and(|codec| codec != frame.codec);
        if changed {
            self.config = Bytes::new();
            self.unusable = false;
        }
        self.codec = Some(frame.codec);
        changed
    }

    /// The track that begins with `frame`.
    fn track(&mut self, frame: &Frame) -> Option<Track> {
        if self.unusable {
            return None;
        }
        let track = Track::new(frame, &self.config);
        self.unusable = track.is_err();
        track.ok()
    }
}

/// What is under way.
#[derive(Debug)]
struct Open {
    period: Arc<Period>,
    video: Lane,
    audio: Lane,
    /// Where the part under way begins, in ticks.
    part: i64,
    /// Where the segment under way begins, in ticks.
    segment: i64,
    /// The last frame of the track that leads.
    last: i64,
    /// Media of the segment's parts, in bytes.
    bytes: usize,
    /// It is the first segment of its period.
    is_first: bool,
    /// The pictures changed: with the next key frame another period begins, and until then none fits.
    new_video: bool,
    /// The sound changed or came: it waits for another period, which begins with the next key frame.
    new_audio: bool,
}

/// The clock.
#[derive(Debug)]
pub(crate) struct Cutter {
    settings: Arc<Settings>,
    /// The stream's time at which the line begins.
    zero: Option<Timestamp>,
    /// Where the line begins, in ticks.
    begins: i64,
    /// When the clock was made, which is when it sees its first frames.
    made: Instant,
    /// When the publisher came.
    since: Instant,
    video: Source,
    audio: Source,
    /// A frame of sound, for codecs whose frames describe them.
    sound: Option<Frame>,
    open: Option<Open>,
    /// The publisher's first pictures, while it is not known whether there is sound, and when each came.
    early: Vec<(Instant, Frame)>,
    /// Nothing of this publisher has begun.
    is_fresh: bool,
    /// The usual distance of frames of the track that leads, in ticks.
    interval: i64,
    /// Longest part that may be announced, in ticks.
    part_target: i64,
    sequence: u32,
}

impl Cutter {
    /// `interval` is the usual distance of frames, if it is known.
    pub(crate) fn new(settings: Arc<Settings>, now: Instant, interval: Option<Duration>) -> Self {
        let interval = interval.map_or(0, |interval| Timestamp::from_duration(interval).ticks());
        let part = Timestamp::from_duration(settings.part).ticks();
        Self {
            part_target: part_target(part, interval),
            settings,
            zero: None,
            begins: LINE_BEGINS,
            made: now,
            since: now,
            video: Source::default(),
            audio: Source::default(),
            sound: None,
            open: None,
            early: Vec::new(),
            is_fresh: true,
            interval,
            sequence: 0,
        }
    }

    /// Has the line go on at `ticks`, where that of a process before this one has ended.
    pub(crate) fn resume(&mut self, ticks: i64) {
        self.begins = ticks;
    }

    /// Longest part there is or will be, as far as can be told.
    pub(crate) fn part_target(&self) -> Duration {
        ticks_to_duration(self.part_target)
    }

    /// The usual distance of frames of the track that leads.
    pub(crate) fn interval(&self) -> Duration {
        ticks_to_duration(self.interval)
    }

    /// How long the segment under way is already, up to the last frame.
    pub(crate) fn elapsed(&self) -> Duration {
        let open = self.open.as_ref();
        open.map_or(Duration::ZERO, |open| {
            ticks_to_duration(open.last - open.segment)
        })
    }

    /// No segment can hold what the publisher sends, as far as that is known.
    pub(crate) fn is_unusable(&self) -> bool {
        let bad = |source: &Source| source.unusable || source.codec.is_none();
        bad(&self.video) && bad(&self.audio) && (self.video.unusable || self.audio.unusable)
    }

    /// A publisher has come, `since` then.
    pub(crate) fn publish(&mut self, since: Instant, store: &mut Store) {
        self.finish(store);
        self.since = since;
        self.video = Source::default();
        self.audio = Source::default();
        self.sound = None;
        self.is_fresh = true;
    }

    /// Ends the segment under way, and its period.
    pub(crate) fn finish(&mut self, store: &mut Store) {
        self.release(store);
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.video.flush();
        open.audio.flush();
        let end = (open.last + self.interval.max(1)).max(open.part + 1);
        self.cut_part(&mut open, end, store);
        store.complete(&self.settings);
    }

    /// Takes in a frame; true when there is a new part.
    pub(crate) fn push(&mut self, now: Instant, frame: &Frame, store: &mut Store) -> bool {
        let before = store.version();
        match (frame.track, frame.role) {
            (TrackId::VIDEO | TrackId::AUDIO, Role::Config) => {
                if frame.track == TrackId::VIDEO {
                    self.release(store);
                }
                self.configure(frame);
            }
            (TrackId::VIDEO, Role::Key | Role::Delta) => self.keep_or_take(now, frame, store),
            (TrackId::AUDIO, Role::Key | Role::Delta) => {
                if !self.early.is_empty() {
                    self.audio.see(frame);
                    self.sound = Some(frame.clone());
                    self.release(store);
                }
                self.sound(now, frame, store);
            }
            _ => {}
        }
        store.version() != before
    }

    fn keep_or_take(&mut self, now: Instant, frame: &Frame, store: &mut Store) {
        if !self.keeps(now, frame) {
            self.release(store);
            self.picture(now, frame, store);
        }
    }

    /// Keeps a picture for a while that comes before it is known whether there is sound; true if so.
    fn keeps(&mut self, now: Instant, frame: &Frame) -> bool {
        let begins = frame.role == Role::Key || !self.early.is_empty();
        // a header may be as good as none: that of AC-3 is empty
        let is_known = self.sound.is_some() || !self.audio.config.is_empty();
        if !self.is_fresh || is_known || !begins || self.early.len() >= MOST_EARLY {
            return false;
        }
        let first = self.early.first().map_or(frame.dts, |(_, first)| first.dts);
        let span = (frame.dts - first).ticks();
        let bytes: usize = self.early.iter().map(|(_, early)| early.packet.len()).sum();
        let waits = (0..Timestamp::from_duration(SOUND_WAIT).ticks()).contains(&span);
        if !waits || bytes > MOST_PART_BYTES {
            return false;
        }
        self.early.push((now, frame.clone()));
        true
    }

    /// Takes in the pictures that were kept.
    fn release(&mut self, store: &mut Store) {
        for (now, frame) in std::mem::take(&mut self.early) {
            self.is_fresh = false;
            self.picture(now, &frame, store);
        }
    }

    fn configure(&mut self, frame: &Frame) {
        let is_video = frame.track.media == Media::Video;
        let changed = match is_video {
            true => self.video.configure(frame),
            false => self.audio.configure(frame),
        };
        if let Some(open) = &mut self.open {
            open.new_video |= changed && is_video && open.period.video.is_some();
            open.new_audio |= changed && !is_video;
        }
    }

    /// A time of the stream on the channel's line, in ticks. The line begins with the first frame there is.
    fn line(&mut self, dts: Timestamp) -> i64 {
        let zero = *self.zero.get_or_insert(dts);
        (dts - zero).ticks().saturating_add(self.begins).max(0)
    }

    fn picture(&mut self, now: Instant, frame: &Frame, store: &mut Store) {
        let changed = self.video.see(frame);
        if self.video.unusable {
            return;
        }
        let is_key = frame.role == Role::Key;
        // not from the first frame on: the hub passes on none that comes before a key frame, for as long
        let since = self.since.max(self.made);
        let may_begin = is_key || now.saturating_duration_since(since) >= KEY_WAIT;
        let at = self.line(frame.dts);
        if let Some(mut open) = self.open.take() {
            open.new_video |= changed && open.period.video.is_some();
            let other = open.new_video || open.new_audio || open.period.video.is_none();
            let is_hole = self.is_hole(&open, at);
            let fits = open.period.video.is_some() && !open.new_video;
            if (other && may_begin) || (is_hole && fits) {
                self.open = Some(open);
                self.finish(store);
            } else if fits {
                let composition = frame.composition.ticks();
                open.video.picture(at, composition, is_key, frame.payload());
                self.advance(&mut open, at, is_key, store);
                self.open = Some(open);
            } else {
                self.open = Some(open);
                return;
            }
        }
        if self.open.is_none() && may_begin {
            self.begin(frame, at, store);
        }
        self.observe(now, at, store);
    }

    fn sound(&mut self, now: Instant, frame: &Frame, store: &mut Store) {
        let changed = self.audio.see(frame);
        if self.audio.unusable {
            return;
        }
        if self.sound.is_none() || changed {
            self.sound = Some(frame.clone());
        }
        let at = self.line(frame.dts);
        let has_pictures = self.video.codec.is_some() && !self.video.unusable;
        if let Some(mut open) = self.open.take() {
            open.new_audio |= changed || open.period.audio.is_none();
            let leads = open.period.video.is_none();
            if leads && (open.new_audio || self.is_hole(&open, at)) {
                self.open = Some(open);
                self.finish(store);
            } else {
                self.add_sound(&mut open, at, frame, store);
                self.open = Some(open);
            }
        }
        let settled = now.saturating_duration_since(self.since) >= MEDIA_SETTLED;
        if self.open.is_none() && !has_pictures && settled {
            self.begin(frame, at, store);
        }
        if !has_pictures {
            self.observe(now, at, store);
        }
    }

    fn add_sound(&mut self, open: &mut Open, at: i64, frame: &Frame, store: &mut Store) {
        let Some(track) = open.period.audio.as_ref().filter(|_| !open.new_audio) else {
            return;
        };
        if at < open.period.start && open.audio.count() == 0 && open.is_first {
            // heard before the first picture
            return;
        }
        let payload = frame.payload();
        let samples = match track.codec {
            Codec::Audio(codec) => weir_codec::samples(codec, &track.config, &payload),
            _ => None,
        };
        open.audio.sound(at, samples, payload);
        if open.period.video.is_none() {
            self.advance(open, at, true, store);
        } else if at - open.last > Timestamp::from_duration(self.settings.longest_segment).ticks() {
            // the pictures have stopped; sound goes on
            open.video.flush();
            self.cut_segment(open, at, false, store);
        }
    }

    /// So long without a frame of the track that leads that what comes is a stream of its own.
    fn is_hole(&self, open: &Open, at: i64) -> bool {
        let most = self.settings.longest_segment;
        ticks_to_duration(at - open.last) > most
    }

    fn observe(&self, now: Instant, at: i64, store: &mut Store) {
        if self.open.is_some() {
            store.observe(now, at);
        }
    }

    /// Begins a period with `frame`, which leads.
    fn begin(&mut self, frame: &Frame, at: i64, store: &mut Store) {
        let is_video = frame.track.media == Media::Video;
        let video = if is_video {
            self.video.track(frame)
        } else {
            None
        };
        if is_video && video.is_none() {
            return;
        }
        let sound = self.sound.clone();
        let audio = match (&sound, is_video) {
            (Some(sound), true) => self.audio.track(sound),
            (None, true) if !self.audio.config.is_empty() => {
                // it has a configuration, so no frame is needed to describe it
                let codec = self.audio.codec.unwrap_or(frame.codec);
                let pretended = Frame {
                    track: TrackId::AUDIO,
                    codec,
                    packet: Bytes::new(),
                    ..frame.clone()
                };
                self.audio.track(&pretended)
            }
            (None, true) => None,
            (_, false) => self.audio.track(frame),
        };
        if video.is_none() && audio.is_none() {
            return;
        }
        self.is_fresh = false;
        let delay = if is_video {
            frame.composition.ticks().max(0)
        } else {
            0
        };
        let audio_scale = audio
            .as_ref()
            .map_or(VIDEO_TIMESCALE, |track| track.timescale);
        let period = Arc::new(Period::new(store.next_msn(), at, delay, video, audio));
        let mut open = Open {
            period: Arc::clone(&period),
            video: Lane::new(VIDEO_TIMESCALE),
            audio: Lane::new(audio_scale),
            part: at,
            segment: at,
            last: at,
            bytes: 0,
            is_first: true,
            new_video: false,
            new_audio: false,
        };
        let is_key = frame.role == Role::Key || !is_video;
        store.begin(&period, at, is_key);
        if is_video {
            let composition = frame.composition.ticks();
            open.video.picture(at, composition, is_key, frame.payload());
        } else {
            self.add_sound(&mut open, at, frame, store);
        }
        self.open = Some(open);
    }

    /// A frame of the track that leads has come: what ends before it?
    fn advance(&mut self, open: &mut Open, at: i64, is_key: bool, store: &mut Store) {
        let step = at - open.last;
        open.last = at;
        if step > 0 {
            self.note_interval(step);
        }
        let settings = &self.settings;
        let ticks = |duration| Timestamp::from_duration(duration).ticks();
        let (in_part, in_segment) = (at - open.part, at - open.segment);
        // frames are dated in whole milliseconds
        let next = self.interval - TICKS / 1000;
        let long_enough = in_segment + TICKS / 1000 >= ticks(settings.segment);
        let is_first = open.is_first && open.period.video.is_some();
        let ripe = is_key && (long_enough || is_first) && in_segment > 0;
        let too_long = in_segment + next > ticks(settings.longest_segment) && in_segment > 0;
        let too_large = open.bytes > settings.max_bytes / SHARE_OF_SEGMENT;
        let gathered = open.video.bytes() + open.audio.bytes();
        if ripe || too_long || too_large {
            self.cut_segment(open, at, is_key, store);
        } else if in_part + next > self.part_target
            || gathered > MOST_PART_BYTES
            || open.video.count() + open.audio.count() > MOST_FRAMES
        {
            self.cut_part(open, at, store);
        }
    }

    fn note_interval(&mut self, step: i64) {
        self.interval = match self.interval {
            0 => step,
            // a mean over some frames; a single late one does not move it much
            usual => usual + (step - usual) / 8,
        };
        let part = Timestamp::from_duration(self.settings.part).ticks();
        if self.sequence == 0 {
            self.part_target = part_target(part, self.interval);
        }
    }

    fn cut_part(&mut self, open: &mut Open, at: i64, store: &mut Store) {
        if open.period.video.is_some() {
            // sound that has come goes with the pictures that have
            open.audio.flush_known();
        }
        if open.video.count() + open.audio.count() == 0 {
            return;
        }
        let mut data = Vec::with_capacity(open.video.bytes() + open.audio.bytes());
        let video = open.video.take(&mut data);
        let audio = open.audio.take(&mut data);
        let ticks = at - open.part;
        open.part = at;
        open.bytes += data.len();
        self.sequence = self.sequence.wrapping_add(1);
        self.part_target = self.part_target.max(ticks);
        store.push(Part::new(
            self.sequence,
            ticks,
            video,
            audio,
            Bytes::from(data),
        ));
    }

    fn cut_segment(&mut self, open: &mut Open, at: i64, is_key: bool, store: &mut Store) {
        self.cut_part(open, at, store);
        store.complete(&self.settings);
        store.begin(&open.period, at, is_key);
        open.segment = at;
        open.bytes = 0;
        open.is_first = false;
    }
}

/// The longest part there will be when frames come at `interval` and parts of `wanted` ticks are asked for: some whole
/// frames, and a millisecond for the rounding of their times where there is any.
fn part_target(wanted: i64, interval: i64) -> i64 {
    const MILLI: i64 = TICKS / 1000;
    if interval <= 0 {
        return wanted;
    }
    let frames = ((wanted + interval / 8) / interval).max(1);
    let length = frames * interval;
    let whole = interval % MILLI == 0;
    let rounded = (length + MILLI - 1) / MILLI * MILLI;
    let slack = if whole { 0 } else { MILLI };
    (rounded + slack).max(wanted)
}
