//! One viewer: what a player asks for, and when its picture would have halted.
//!
//! Owns: the way through multivariant and media playlist, blocking reloads and delta updates
//! (draft-pantos-hls-rfc8216bis §6.2.5), hinted parts asked for ahead, the pace of plain reloads (RFC 8216 §6.3.4), and
//! a model of playback. Two lanes: one connection for playlists, one for media. Sans-IO.
//! Does not: switch variants, play separate audio renditions, or decode.

#![warn(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::rc::Rc;

use url::Url;

use super::board::{Act, Board, Scan};
use super::playlist::{self, Media, PlaylistError, Position, WHOLE, Want};
use super::tally::Tally;
use crate::clock::{MILLISECOND, SECOND};
use crate::tally::Window;

/// Playlists are some kilobytes; 24 hours of 2 s segments are two megabytes.
const MAX_PLAYLIST: usize = 4 << 20;
/// Media a player has asked for that it would ask for twice if it forgot.
const MAX_RECENT: usize = 16;
/// Media a player wants at a time; a server that lists more at once has lost its clock.
const MAX_WANTED: usize = 64;
/// Pause after an answer that is no playlist.
const RETRY: u64 = 500 * MILLISECOND;
/// Failures without a success between them after which a viewer gives up.
const MAX_FAILURES: u32 = 10;

/// How a player goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Blocking reloads, and hinted parts asked for at the same time, as AVPlayer does.
    Hints,
    /// Blocking reloads, and parts once they are listed, as hls.js does.
    NoHints,
    /// Whole segments, and a reload every target duration.
    Plain,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Playlist,
    Media,
}

/// When the next playlist is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    Now,
    At(u64),
}

/// Why a viewer gave up. The texts are counted, so they hold nothing that differs per viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlayError {
    #[error(transparent)]
    Playlist(#[from] PlaylistError),
    #[error("server answered HTTP {0} to one request after the other")]
    Refused(u16),
    #[error("server broke one connection after the other")]
    Broken,
    #[error("server offers no low-latency HLS; --plain plays it")]
    NotLowLatency,
    #[error("playlist is longer than {MAX_PLAYLIST} bytes")]
    TooLong,
    #[error("server ended the stream")]
    Ended,
}

/// What a player wants on its media lane.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    target: String,
    kind: Kind,
    /// Nanoseconds; of a hinted part, what parts are meant to last.
    duration: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An initialization segment.
    Map,
    /// Listed in a playlist.
    Listed,
    /// Not listed yet.
    Hint,
}

/// One viewer.
#[derive(Debug)]
pub(crate) struct Player {
    mode: Mode,
    /// When it began to connect.
    began: u64,
    /// Where the playlist is that is loaded next: multivariant first, then media.
    url: Url,
    /// The same as path and query.
    target: String,
    media: Option<Rc<Media>>,
    /// The newest that a playlist listed.
    newest: Option<Position>,
    wanted: VecDeque<Wanted>,
    /// Under way on the media lane.
    under_way: Option<Wanted>,
    /// What was asked for lately.
    recent: VecDeque<String>,
    map: Option<String>,
    scan: Option<Scan>,
    body: Vec<u8>,
    reload: Reload,
    /// When the playlist under way was asked for.
    asked: u64,
    failures: u32,
    refusal: Option<u16>,
    has_media: bool,
    playback: Playback,
}

/// Playback from a buffer: it begins once all that was listed at first is there, and halts when media runs out.
#[derive(Debug, Default)]
struct Playback {
    /// When it began, later by every halt since; `None` before.
    from: Option<u64>,
    /// Nanoseconds of media received; a hint may turn out shorter than assumed before it has come.
    received: i64,
    /// Segments or parts that are missing before it begins.
    missing: usize,
    has_stalled: bool,
}

impl Player {
    pub(crate) fn new(mode: Mode, url: Url, began: u64) -> Self {
        Self {
            mode,
            began,
            target: playlist::target(&url),
            url,
            media: None,
            newest: None,
            wanted: VecDeque::new(),
            under_way: None,
            recent: VecDeque::new(),
            map: None,
            scan: None,
            body: Vec::new(),
            reload: Reload::Now,
            asked: 0,
            failures: 0,
            refusal: None,
            has_media: false,
            playback: Playback::default(),
        }
    }

    /// When it connected.
    pub(crate) fn began(&self) -> u64 {
        self.began
    }

    /// Whether it has media.
    pub(crate) fn is_running(&self) -> bool {
        self.has_media
    }

    /// The status of the last answer that was none, if there was one.
    pub(crate) fn refusal(&self) -> Option<u16> {
        self.refusal
    }

    /// When the next playlist is to be asked for; its lane must be free.
    pub(crate) fn reload(&self) -> Reload {
        self.reload
    }

    /// What to ask for on the playlist lane at `now`.
    pub(crate) fn ask_playlist(&mut self, now: u64) -> String {
        self.asked = now;
        self.body.clear();
        let blocking = self.mode != Mode::Plain;
        let Some(media) = self.media.as_ref().filter(|_| blocking) else {
            return self.target.clone();
        };
        let mark = if self.target.contains('?') { '&' } else { '?' };
        let (segment, part) = media.next;
        let skip = if media.can_skip { "&_HLS_skip=YES" } else { "" };
        format!(
            "{}{mark}_HLS_msn={segment}&_HLS_part={part}{skip}",
            self.target
        )
    }

    /// What to ask for on the media lane, if anything.
    pub(crate) fn ask_media(&mut self) -> Option<&str> {
        self.scan = None;
        self.under_way = self.wanted.pop_front();
        self.under_way.as_ref().map(|wanted| wanted.target.as_str())
    }

    /// Takes a piece of an answer's body.
    ///
    /// # Errors
    /// When a playlist is too long.
    pub(crate) fn body(
        &mut self,
        lane: Lane,
        status: u16,
        run: &[u8],
        is_first: bool,
        board: &mut Board,
    ) -> Result<(), PlayError> {
        match (lane, &self.under_way) {
            _ if status != 200 => {}
            (Lane::Playlist, _) => {
                if self.body.len() + run.len() > MAX_PLAYLIST {
                    return Err(PlayError::TooLong);
                }
                self.body.extend(run);
            }
            (Lane::Media, Some(wanted)) => {
                if is_first && wanted.kind != Kind::Map && board.lacks_stamps(&wanted.target) {
                    self.scan = Some(Scan::default());
                }
                if let Some(scan) = &mut self.scan {
                    scan.push(run);
                }
            }
            (Lane::Media, None) => {}
        }
        Ok(())
    }

    /// Takes the end of an answer.
    ///
    /// # Errors
    /// When there is no going on.
    pub(crate) fn end(
        &mut self,
        lane: Lane,
        status: u16,
        now: u64,
        board: &mut Board,
        tally: &mut Tally,
    ) -> Result<(), PlayError> {
        tally.answer(now, status);
        if status != 200 {
            self.refusal = Some(status);
        }
        match (lane, status) {
            (Lane::Playlist, 200) => {
                self.failures = 0;
                tally.count(now, |tally| &mut tally.playlists);
                let body = std::mem::take(&mut self.body);
                let done = self.playlist(&body, now, board, tally);
                self.body = body;
                done
            }
            (Lane::Playlist, _) => {
                self.reload = Reload::At(now + RETRY);
                // before the first segment there may be nothing to list; how long that may last is judged by others
                if self.media.is_some() {
                    self.fail(PlayError::Refused(status))?;
                }
                Ok(())
            }
            (Lane::Media, 200) => {
                self.received(now, board, tally);
                Ok(())
            }
            (Lane::Media, _) => {
                self.refused(now, tally);
                self.fail(PlayError::Refused(status))
            }
        }
    }

    /// Takes it that the request under way on a lane will have no answer.
    ///
    /// # Errors
    /// When there is no going on.
    pub(crate) fn broken(&mut self, lane: Lane, now: u64) -> Result<(), PlayError> {
        match lane {
            Lane::Playlist => self.reload = Reload::At(now + RETRY),
            Lane::Media => {
                self.scan = None;
                if let Some(wanted) = self.under_way.take() {
                    self.wanted.push_front(wanted);
                }
            }
        }
        self.fail(PlayError::Broken)
    }

    /// Counts a viewer that is there at the end of the window.
    pub(crate) fn finish(&mut self, tally: &mut Tally) {
        let Window { to, .. } = tally.window;
        self.playback.advance(to.saturating_sub(1), tally);
        tally.stalled += u64::from(self.playback.has_stalled);
    }

    fn fail(&mut self, error: PlayError) -> Result<(), PlayError> {
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return Err(error);
        }
        Ok(())
    }

    fn playlist(
        &mut self,
        body: &[u8],
        now: u64,
        board: &mut Board,
        tally: &mut Tally,
    ) -> Result<(), PlayError> {
        if self.media.is_none() {
            let text = std::str::from_utf8(body).map_err(|_| PlaylistError::Signature)?;
            if !playlist::is_media(text) {
                self.target = playlist::first_variant(text, &self.url)?;
                self.url = self
                    .url
                    .join(&self.target)
                    .map_err(|_| PlaylistError::Value)?;
                self.reload = Reload::Now;
                return Ok(());
            }
        }
        let want = match self.mode {
            Mode::Plain => Want::Segments,
            Mode::Hints | Mode::NoHints => Want::Parts,
        };
        let media = board.read(body, &self.url, want, tally)?;
        if media.is_ended {
            return Err(PlayError::Ended);
        }
        let blocks = media.can_block && media.part_target > 0;
        if want == Want::Parts && !blocks {
            return Err(PlayError::NotLowLatency);
        }
        let is_news = match self.newest {
            None => self.begin(&media),
            Some(newest) => self.follow(&media, newest, now, board, tally),
        };
        self.reload = match (want, is_news) {
            (Want::Parts, true) => Reload::Now,
            (Want::Parts, false) => Reload::At(now + media.part_target),
            (Want::Segments, true) => Reload::At(self.asked + media.target_duration.max(SECOND)),
            (Want::Segments, false) => {
                Reload::At(self.asked + media.target_duration.max(SECOND) / 2)
            }
        };
        if !is_news && self.newest.is_some() {
            tally.count(now, |tally| &mut tally.stale);
        }
        if let Some(hint) = media
            .hint
            .as_ref()
            .filter(|hint| self.mode == Mode::Hints && !self.recent.contains(hint))
        {
            self.want(hint.clone(), Kind::Hint, media.part_target);
        }
        self.media = Some(media);
        Ok(())
    }

    /// Chooses where to begin; says whether there is anything yet.
    fn begin(&mut self, media: &Media) -> bool {
        let Some(last) = media.listed.last() else {
            return false;
        };
        self.newest = Some(last.position);
        self.map(media);
        for listed in media.listed.iter().skip(media.start()) {
            self.playback.missing += 1;
            self.want(listed.target.clone(), Kind::Listed, listed.duration);
        }
        true
    }

    /// Wants what was not listed before; says whether there is any of it.
    fn follow(
        &mut self,
        media: &Media,
        newest: Position,
        now: u64,
        board: &mut Board,
        tally: &mut Tally,
    ) -> bool {
        let Some(last) = media
            .listed
            .last()
            .filter(|listed| listed.position > newest)
        else {
            return false;
        };
        self.newest = Some(last.position);
        let began = self.began;
        board.note(&last.target, Act::Knows, now, began, tally);
        self.map(media);
        let first = media.listed.first();
        if first.is_some_and(|first| !follows(newest, first.position)) {
            // something slid out of the playlist between two reloads
            tally.count(now, |tally| &mut tally.missed);
        }
        for listed in &media.listed {
            if listed.position <= newest {
                continue;
            }
            if self.recent.contains(&listed.target) {
                // asked for as a hint; now it is known how long it is
                self.playback.correct(media.part_target, listed.duration);
            } else {
                self.want(listed.target.clone(), Kind::Listed, listed.duration);
            }
        }
        true
    }

    fn map(&mut self, media: &Media) {
        if media.map != self.map {
            self.map.clone_from(&media.map);
            if let Some(map) = &media.map {
                self.want(map.clone(), Kind::Map, 0);
            }
        }
    }

    fn want(&mut self, target: String, kind: Kind, duration: u64) {
        if self.wanted.len() >= MAX_WANTED {
            self.wanted.pop_front();
        }
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(target.clone());
        self.wanted.push_back(Wanted {
            target,
            kind,
            duration,
        });
    }

    fn received(&mut self, now: u64, board: &mut Board, tally: &mut Tally) {
        let Some(wanted) = self.under_way.take() else {
            return;
        };
        self.failures = 0;
        if wanted.kind == Kind::Map {
            return;
        }
        if let Some(scan) = self.scan.take() {
            board.learn(&wanted.target, scan.finish(), tally);
        }
        if !std::mem::replace(&mut self.has_media, true) {
            tally.first_media.record(now.saturating_sub(self.began));
        }
        board.note(&wanted.target, Act::Has, now, self.began, tally);
        tally.count(now, |tally| &mut tally.parts);
        self.playback.add(wanted.duration, now, tally);
    }

    fn refused(&mut self, now: u64, tally: &mut Tally) {
        let Some(wanted) = self.under_way.take() else {
            return;
        };
        let is_listed = |media: &Rc<Media>| {
            let found = media.listed.iter();
            found.rev().any(|listed| listed.target == wanted.target)
        };
        match wanted.kind {
            Kind::Hint => {
                tally.count(now, |tally| &mut tally.refused_hints);
                if self.media.as_ref().is_some_and(is_listed) {
                    self.wanted.push_front(Wanted {
                        kind: Kind::Listed,
                        ..wanted
                    });
                } else {
                    // should it be listed after all, it is wanted again
                    self.recent.retain(|target| *target != wanted.target);
                }
            }
            Kind::Listed => {
                tally.count(now, |tally| &mut tally.missed);
                self.playback.missing = self.playback.missing.saturating_sub(1);
            }
            Kind::Map => {}
        }
    }
}

/// Whether a playlist that begins with `first` has lost nothing of what comes behind `newest`.
fn follows(newest: Position, first: Position) -> bool {
    let (segment, part) = newest;
    let next = segment.saturating_add(1);
    first <= newest
        || first == (next, if part == WHOLE { WHOLE } else { 0 })
        || (part != WHOLE && first == (segment, part.saturating_add(1)))
}

impl Playback {
    /// Takes media that lasts `duration`.
    fn add(&mut self, duration: u64, now: u64, tally: &mut Tally) {
        self.advance(now, tally);
        self.received = self.received.saturating_add(duration.cast_signed());
        self.missing = self.missing.saturating_sub(1);
        if self.from.is_none() && self.missing == 0 {
            self.from = Some(now);
        }
    }

    /// Takes it that media lasts `real` in place of `assumed`.
    fn correct(&mut self, assumed: u64, real: u64) {
        let (assumed, real) = (assumed.cast_signed(), real.cast_signed());
        self.received = self.received.saturating_add(real.saturating_sub(assumed));
    }

    /// Plays up to `now`; a halt up to then is over.
    fn advance(&mut self, now: u64, tally: &mut Tally) {
        let Some(from) = &mut self.from else {
            return;
        };
        let end = from.saturating_add_signed(self.received);
        if now > end {
            *from += now - end;
            if tally.window.contains(now) {
                self.has_stalled = true;
                tally.stalls.record(now - end);
            }
        }
    }
}

#[cfg(test)]
mod tests;
