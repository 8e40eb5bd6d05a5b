//! When each segment or part of a stream was complete, and how long after that viewers had it.
//!
//! Owns: the definition. A segment or part is complete when the frame that follows its last one is handed to the
//! publisher's socket: only then can a server know that it has ended. Frames carry the time of that
//! ([`crate::stamp`]); the frame that follows is the first of the next segment or part that was sent later than all of
//! this one. So what viewers do with a part is judged a little later, when the next one has been read.
//! One [`Board`] serves all viewers of a stream on a thread: the first of them that reads a part tells the stamps in it
//! to all others, and a playlist that came before is not read again.
//! Does not: read clocks, or know viewers.

#![warn(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::rc::Rc;

use url::Url;

use super::playlist::{self, Listed, Media, PlaylistError, Position, WHOLE, Want};
use super::tally::Tally;
use crate::stamp;

/// Segments or parts that are remembered; viewers are a few behind the newest, slow ones a dozen.
const MAX_PIECES: usize = 128;
/// Frames of a part or segment whose times are kept: at 100 frames a second, 40 s.
const MAX_STAMPS: usize = 4096;

/// What viewers did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// They have its last byte.
    Has,
    /// They have a playlist in which it is the newest.
    Knows,
}

/// A stream as the viewers of a thread see it.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pieces: VecDeque<Piece>,
    /// The newest media playlist and what it says.
    read: Option<(Vec<u8>, Rc<Media>)>,
}

/// A segment or part.
#[derive(Debug)]
struct Piece {
    /// Its path; queries may differ by viewer.
    path: Box<str>,
    /// Known once a playlist has listed it.
    position: Option<Position>,
    /// When its frames were sent, in order; empty until it was read, or when it has no stamps.
    stamps: Vec<u64>,
    complete: Option<u64>,
    /// What waits for `complete`: what viewers did, when, and since when they are there.
    waiting: Vec<(Act, u64, u64)>,
}

impl Board {
    /// Reads a media playlist, unless it is the one read last.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(
        &mut self,
        body: &[u8],
        base: &Url,
        want: Want,
        tally: &mut Tally,
    ) -> Result<Rc<Media>, PlaylistError> {
        if let Some((text, media)) = &self.read
            && text == body
        {
            return Ok(Rc::clone(media));
        }
        let text = std::str::from_utf8(body).map_err(|_| PlaylistError::Signature)?;
        let media = Rc::new(playlist::media(text, base, want)?);
        for listed in &media.listed {
            self.list(listed);
        }
        self.resolve(tally);
        self.read = Some((body.to_vec(), Rc::clone(&media)));
        Ok(media)
    }

    fn list(&mut self, listed: &Listed) {
        let piece = self.piece(&listed.target);
        piece.position = Some(listed.position);
    }

    /// Whether the stamps of a segment or part are still wanted.
    pub(crate) fn lacks_stamps(&mut self, target: &str) -> bool {
        self.piece(target).stamps.is_empty()
    }

    /// Notes the stamps of a segment or part.
    pub(crate) fn learn(&mut self, target: &str, mut stamps: Vec<u64>, tally: &mut Tally) {
        stamps.sort_unstable();
        self.piece(target).stamps = stamps;
        self.resolve(tally);
    }

    /// Notes that a viewer who began at `began` did something at `now`. What was complete before he came says nothing
    /// of the server.
    pub(crate) fn note(&mut self, target: &str, act: Act, now: u64, began: u64, tally: &mut Tally) {
        let piece = self.piece(target);
        match piece.complete {
            Some(complete) => tally.judge(act, complete, now, began),
            None => piece.waiting.push((act, now, began)),
        }
    }

    /// The piece of a request target, which is made if need be.
    fn piece(&mut self, target: &str) -> &mut Piece {
        let path = target.split('?').next().unwrap_or(target);
        // the newest are asked for most
        let at = self
            .pieces
            .iter()
            .rposition(|piece| &*piece.path == path)
            .unwrap_or_else(|| {
                if self.pieces.len() >= MAX_PIECES {
                    self.pieces.pop_front();
                }
                self.pieces.push_back(Piece {
                    path: path.into(),
                    position: None,
                    stamps: Vec::new(),
                    complete: None,
                    waiting: Vec::new(),
                });
                self.pieces.len() - 1
            });
        self.pieces
            .get_mut(at)
            .expect("it was found or is the last one")
    }

    /// Finds out what can be known to be complete by now.
    fn resolve(&mut self, tally: &mut Tally) {
        for at in 0..self.pieces.len() {
            let Some(complete) = self.completion(at) else {
                continue;
            };
            let Some(piece) = self.pieces.get_mut(at) else {
                continue;
            };
            piece.complete = Some(complete);
            for (act, now, began) in piece.waiting.drain(..) {
                tally.judge(act, complete, now, began);
            }
        }
    }

    fn completion(&self, at: usize) -> Option<u64> {
        let piece = self
            .pieces
            .get(at)
            .filter(|piece| piece.complete.is_none())?;
        let (position, last) = (piece.position?, *piece.stamps.last()?);
        let next = self
            .pieces
            .iter()
            .filter(|other| other.position.is_some_and(|other| follows(position, other)))
            .min_by_key(|other| other.position)?;
        next.stamps.iter().copied().find(|stamp| *stamp > last)
    }
}

/// Whether nothing can stand between the two but parts that a playlist listed meanwhile.
fn follows((segment, part): Position, other: Position) -> bool {
    let next = segment.saturating_add(1);
    if part == WHOLE {
        return other == (next, WHOLE);
    }
    other == (segment, part.saturating_add(1)) || other == (next, 0)
}

/// Finds stamps in media of any container that leaves payloads whole, which fMP4 does and MPEG-TS does not.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The end of what came, where it may be the beginning of a stamp.
    carry: Vec<u8>,
    stamps: Vec<u64>,
}

impl Scan {
    /// Takes more of the media.
    pub(crate) fn push(&mut self, input: &[u8]) {
        let room = MAX_STAMPS.saturating_sub(self.stamps.len());
        let (head, _) = input.split_at(input.len().min(stamp::LEN - 1));
        // neither side of the join has room for a whole stamp: none is found twice
        self.carry.extend(head);
        self.stamps.extend(stamp::all(&self.carry).take(room));
        let room = MAX_STAMPS.saturating_sub(self.stamps.len());
        self.stamps.extend(stamp::all(input).take(room));
        if input.len() >= stamp::LEN {
            self.carry.clear();
            let (_, tail) = input.split_at(input.len() - (stamp::LEN - 1));
            self.carry.extend(tail);
        } else {
            let excess = self.carry.len().saturating_sub(stamp::LEN - 1);
            self.carry.drain(..excess);
        }
    }

    /// All that was found.
    pub(crate) fn finish(self) -> Vec<u64> {
        self.stamps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::SECOND;
    use crate::tally::Window;

    const BEGAN: u64 = 10;

    fn tally() -> Tally {
        let mut tally = Tally::new();
        tally.window = Window {
            from: 0,
            to: SECOND,
        };
        tally
    }

    fn base() -> Url {
        Url::parse("http://h/live/a.m3u8").unwrap()
    }

    /// A playlist whose segment 7 has so many parts, and segment 8 `after` it.
    fn parts(seven: usize, after: usize) -> String {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n".to_owned();
        let part =
            |segment, number| format!("#EXT-X-PART:DURATION=0.2,URI=\"{segment}.{number}?v=1\"\n");
        text.extend((0..seven).map(|number| part(7, number)));
        if after > 0 {
            text += "#EXTINF:1,\n7\n";
            text.extend((0..after).map(|number| part(8, number)));
        }
        text
    }

    fn read(board: &mut Board, text: &str, tally: &mut Tally) -> Rc<Media> {
        board
            .read(text.as_bytes(), &base(), Want::Parts, tally)
            .unwrap()
    }

    #[test]
    fn a_part_is_complete_when_the_next_frame_is_sent() {
        let (mut board, mut tally) = (Board::default(), tally());
        read(&mut board, &parts(1, 0), &mut tally);
        assert!(board.lacks_stamps("/live/7.0"));
        board.learn("/live/7.0", vec![40, 20, 30], &mut tally);
        assert!(!board.lacks_stamps("/live/7.0?other=1"));
        board.note("/live/7.0", Act::Has, 75, BEGAN, &mut tally);
        board.note("/live/7.0", Act::Knows, 60, BEGAN, &mut tally);
        assert_eq!(tally.delivery.count(), 0);
        // the hint comes before the playlist that says what it is; one of its frames was sent out of turn
        board.learn("/live/7.1", vec![50, 35, 70], &mut tally);
        board.note("/live/7.1", Act::Has, 71, BEGAN, &mut tally);
        assert_eq!(tally.delivery.count(), 0);
        read(&mut board, &parts(2, 0), &mut tally);
        assert_eq!((tally.delivery.count(), tally.delivery.max()), (1, 25));
        assert_eq!((tally.known.count(), tally.known.max()), (1, 10));
        // who comes later is judged at once
        board.note("/live/7.0", Act::Has, 99, BEGAN, &mut tally);
        assert_eq!((tally.delivery.count(), tally.delivery.max()), (2, 49));
    }

    #[test]
    fn the_next_part_may_be_of_the_next_segment() {
        let (mut board, mut tally) = (Board::default(), tally());
        read(&mut board, &parts(2, 0), &mut tally);
        for (target, stamp) in [("/live/7.1", 30), ("/live/7.0", 20), ("/live/8.0", 50)] {
            board.learn(target, vec![stamp], &mut tally);
            board.note(target, Act::Has, 90, BEGAN, &mut tally);
        }
        assert_eq!((tally.delivery.count(), tally.delivery.max()), (1, 60));
        read(&mut board, &parts(2, 1), &mut tally);
        assert_eq!(tally.delivery.count(), 2);
        // 7.3 is not next to 7.1: what was sent between them is not known
        let mut board = Board::default();
        read(&mut board, &parts(2, 0), &mut tally);
        board.learn("/live/7.1", vec![30], &mut tally);
        board.note("/live/7.1", Act::Has, 90, BEGAN, &mut tally);
        board.learn("/live/7.3", vec![60], &mut tally);
        read(&mut board, &parts(4, 1), &mut tally);
        assert_eq!(tally.delivery.count(), 2);
    }

    #[test]
    fn what_was_complete_before_a_viewer_came_is_not_counted() {
        let (mut board, mut tally) = (Board::default(), tally());
        read(&mut board, &parts(2, 0), &mut tally);
        board.learn("/live/7.0", vec![1], &mut tally);
        board.learn("/live/7.1", vec![2], &mut tally);
        board.note("/live/7.0", Act::Has, 20, BEGAN, &mut tally);
        assert_eq!(tally.delivery.count(), 0);
    }

    #[test]
    fn memory_is_bounded_and_same_playlists_are_read_once() {
        let (mut board, mut tally) = (Board::default(), tally());
        let first = read(&mut board, &parts(3, 0), &mut tally);
        assert!(Rc::ptr_eq(
            &first,
            &read(&mut board, &parts(3, 0), &mut tally)
        ));
        for number in 0..1000 {
            board.note(&format!("/{number}"), Act::Has, 1, BEGAN, &mut tally);
        }
        assert_eq!(board.pieces.len(), MAX_PIECES);
    }

    proptest! {
        #[test]
        fn stamps_are_found_at_any_split(
            times in proptest::collection::vec(0..1_u64 << 62, 0..8),
            gap in 0_usize..40,
            split in 1_usize..80,
        ) {
            let mut media = vec![0xd7; gap];
            for time in &times {
                let mut frame = vec![0xd7; stamp::OFFSET + stamp::LEN + gap];
                stamp::write(&mut frame, *time);
                media.extend(frame);
            }
            let mut scan = Scan::default();
            for piece in media.chunks(split) {
                scan.push(piece);
            }
            prop_assert_eq!(scan.finish(), times);
        }
    }
}
