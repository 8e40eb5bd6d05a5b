//! The viewers of one stream in one format on one core.
//!
//! Owns: their cursors, the core's mirror of the log, and a round: writing each viewer what is new. Does not: decide
//! when a round is due (`pace`), or whose bytes go first on a socket (`conn`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use slab::Slab;
use weir_hub::{
    DropCause, Latency, Mirror, Piece, Reader, SlowViewer, StartPoint, Synced, ViewerPlace,
};

use crate::conn::{Closed, Conn, Wrote};
use crate::metrics::Metrics;

/// Most bytes handed to the kernel for one viewer before the next has its turn.
///
/// A joining viewer takes a whole GOP. 256 KiB is about what a fresh socket buffer holds; a larger GOP goes on in
/// further calls.
const BYTES_A_CALL: usize = 256 << 10;

/// Viewers served before other tasks of the core have a turn: about a millisecond.
pub(crate) const VIEWERS_A_TURN: usize = 256;

pub(crate) struct Group {
    reader: Reader,
    mirror: Mirror,
    synced: Synced,
    viewers: Slab<Seat>,
    pub(crate) last_round: Instant,
    /// Is in the queue of groups that are due.
    pub(crate) queued: bool,
}

/// A viewer's place in its group.
struct Seat {
    conn: Rc<Conn>,
    cursor: u64,
    prelude: Option<Bytes>,
    at_entry: bool,
    paused: bool,
    /// When its connection was made, until its first media went out.
    waiting_since: Option<Instant>,
    last_sent: Instant,
    skips: u64,
    place: ViewerPlace,
}

/// What a gate may want to know of a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// Somebody publishes the stream.
    pub live: bool,
    /// The stream is over: its publisher left and did not come back in time.
    pub ended: bool,
    /// The viewer has everything there is.
    pub caught_up: bool,
    /// When the viewer last got media, or joined.
    pub last_sent: Instant,
    /// How many times the viewer was moved on because it had fallen behind.
    pub skips: u64,
}

/// Counts of a round.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) served: u64,
    pub(crate) blocked: u64,
    pub(crate) bytes: u64,
}

impl Group {
    pub(crate) fn new(reader: Reader, now: Instant) -> Self {
        let mut group = Self {
            reader,
            mirror: Mirror::default(),
            synced: Synced {
                ended: false,
                latency: Latency::Fixed(std::time::Duration::ZERO),
                slow_viewer: SlowViewer::Skip,
            },
            viewers: Slab::new(),
            last_round: now,
            queued: false,
        };
        group.sync(now);
        group
    }

    pub(crate) fn latency(&self) -> Latency {
        self.synced.latency
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    /// Takes in what the log has; true when there is something new.
    pub(crate) fn sync(&mut self, now: Instant) -> bool {
        let (end, ended) = (self.mirror.end(), self.synced.ended);
        self.synced = self.reader.sync(&mut self.mirror, now);
        if self.synced.ended && !ended {
            for (_, seat) in &self.viewers {
                seat.conn.tell();
            }
        }
        self.mirror.end() != end
    }

    pub(crate) fn join(
        &mut self,
        conn: Rc<Conn>,
        start: StartPoint,
        since: Instant,
        now: Instant,
    ) -> usize {
        self.viewers.insert(Seat {
            conn,
            cursor: start.cursor,
            prelude: start.prelude,
            at_entry: start.at_entry,
            paused: false,
            waiting_since: Some(since),
            last_sent: now,
            skips: 0,
            place: start.place,
        })
    }

    pub(crate) fn leave(&mut self, seat: usize) {
        self.viewers.try_remove(seat);
        self.note_oldest();
    }

    pub(crate) fn set_paused(&mut self, seat: usize, paused: bool) {
        let end = self.mirror.end();
        if let Some(seat) = self.viewers.get_mut(seat) {
            seat.paused = paused;
            if !paused {
                // what was missed is not wanted any more
                seat.cursor = seat.cursor.max(end);
                seat.at_entry = true;
                seat.prelude = None;
            }
        }
    }

    pub(crate) fn watching(&self, seat: usize) -> Option<Watching> {
        let seat = self.viewers.get(seat)?;
        Some(Watching {
            live: seat.place.is_live(),
            ended: self.synced.ended,
            caught_up: seat.cursor >= self.mirror.end() && seat.conn.is_flushed(),
            last_sent: seat.last_sent,
            skips: seat.skips,
        })
    }

    /// Seats from `from` on are served, [`VIEWERS_A_TURN`] at most; returns where to go on, `None` after the last.
    pub(crate) fn serve(
        &mut self,
        from: usize,
        now: Instant,
        metrics: &Metrics,
        hub: &weir_hub::Metrics,
        tally: &mut Tally,
    ) -> Option<usize> {
        let until = from + VIEWERS_A_TURN;
        // a slab's keys have gaps where viewers left; its largest key is below its capacity
        let last = self.viewers.capacity();
        for index in from..until.min(last) {
            self.serve_one(index, now, metrics, hub, tally);
        }
        if until < last {
            return Some(until);
        }
        self.last_round = now;
        self.note_oldest();
        None
    }

    pub(crate) fn serve_one(
        &mut self,
        index: usize,
        now: Instant,
        metrics: &Metrics,
        hub: &weir_hub::Metrics,
        tally: &mut Tally,
    ) {
        let Some(seat) = self.viewers.get_mut(index) else {
            return;
        };
        // nearly always: caught up but for the newest piece, and a socket with room
        if seat.cursor + 1 == self.mirror.end()
            && seat.is_plain()
            && let Some(piece) = self.mirror.newest()
        {
            let sent = seat.serve_newest(piece, now);
            tally.served += u64::from(sent > 0);
            tally.bytes += sent as u64;
            return;
        }
        if seat.conn.is_blocked() {
            tally.blocked += 1;
            return;
        }
        let before = seat.conn.written();
        let sent = seat.serve(&self.mirror, self.synced.slow_viewer, now, hub);
        // also the rest of a piece that was cut before
        tally.bytes += seat.conn.written() - before;
        if sent > 0 {
            tally.served += 1;
            if let Some(since) = seat.waiting_since.take() {
                metrics
                    .start_up
                    .observe(now.saturating_duration_since(since).as_secs_f64());
            }
        }
    }

    /// Lets the log drop what no viewer here needs.
    fn note_oldest(&self) {
        let oldest = self.viewers.iter().map(|(_, seat)| seat.cursor).min();
        self.reader.set_oldest(oldest);
    }
}

impl Seat {
    /// True when the next piece may go straight to the socket.
    fn is_plain(&self) -> bool {
        self.conn.is_clear()
            && !self.paused
            && !self.at_entry
            && self.prelude.is_none()
            && self.waiting_since.is_none()
    }

    fn serve_newest(&mut self, piece: &Piece, now: Instant) -> usize {
        let Wrote::Some(count) = self.conn.write_piece(&piece.bytes, now) else {
            return 0;
        };
        self.last_sent = now;
        if count > 0 {
            self.cursor += 1;
            if count < piece.bytes.len() {
                self.conn.keep_rest(piece.bytes.slice(count..));
                self.conn.flush(now);
            }
        }
        count
    }

    /// Writes what is new, as far as the socket takes it; returns the bytes of media written.
    fn serve(
        &mut self,
        mirror: &Mirror,
        policy: SlowViewer,
        now: Instant,
        hub: &weir_hub::Metrics,
    ) -> usize {
        if !self.conn.is_flushed() && !self.conn.flush(now) {
            return 0;
        }
        if self.paused {
            self.cursor = mirror.end();
            return 0;
        }
        if self.cursor >= mirror.end() && self.prelude.is_none() {
            return 0;
        }
        if self.cursor < mirror.first() && !self.at_entry {
            self.fall_behind(mirror, policy, now, hub);
        }
        if self.at_entry && !self.enter(mirror) {
            return 0;
        }
        let sent = self.write(mirror, now);
        if sent > 0 {
            self.last_sent = now;
        }
        sent
    }

    /// Moves to the first entry point from the cursor on; false when there is none yet.
    fn enter(&mut self, mirror: &Mirror) -> bool {
        let Some(entry) = mirror.entry_from(self.cursor) else {
            // what is before the next piece can be no entry any more
            self.cursor = mirror.end();
            return false;
        };
        self.cursor = entry;
        self.prelude = mirror.piece(entry).and_then(|piece| piece.prelude.clone());
        self.at_entry = false;
        true
    }

    fn fall_behind(
        &mut self,
        mirror: &Mirror,
        policy: SlowViewer,
        now: Instant,
        hub: &weir_hub::Metrics,
    ) {
        hub.lag
            .0
            .observe(now.saturating_duration_since(self.last_sent).as_secs_f64());
        match policy {
            SlowViewer::Disconnect => {
                self.place.dropped(DropCause::ViewerDisconnected);
                self.conn.close(Closed::Lagged);
            }
            SlowViewer::Skip => {
                self.place.dropped(DropCause::ViewerSkipped);
                self.skips += 1;
                self.cursor = mirror.newest_entry().unwrap_or_else(|| mirror.end());
                self.at_entry = true;
                self.prelude = None;
            }
        }
    }

    fn write(&mut self, mirror: &Mirror, now: Instant) -> usize {
        let mut sent = 0;
        loop {
            let pieces = self.gather(mirror);
            if pieces.is_empty() {
                return sent;
            }
            let wrote = self.conn.write_pieces(&pieces, now);
            let Wrote::Some(count) = wrote else {
                return sent;
            };
            sent += count;
            if !self.account(mirror, count) && !self.conn.flush(now) {
                return sent;
            }
        }
    }

    fn gather<'m>(&'m self, mirror: &'m Mirror) -> Vec<&'m Bytes> {
        let mut size = 0;
        let pieces = (self.cursor..mirror.end()).map_while(|n| mirror.piece(n));
        self.prelude
            .iter()
            .chain(pieces.map(|piece: &Arc<Piece>| &piece.bytes))
            .take(Conn::slices())
            .take_while(|bytes| {
                let first = size == 0;
                size += bytes.len();
                first || size <= BYTES_A_CALL
            })
            .collect()
    }

    /// Moves on by what was written; false when a piece was cut and its rest is under way.
    fn account(&mut self, mirror: &Mirror, mut count: usize) -> bool {
        if let Some(prelude) = self.prelude.take() {
            if count < prelude.len() {
                self.conn.keep_rest(prelude.slice(count..));
                return false;
            }
            count -= prelude.len();
        }
        while count > 0 {
            let Some(piece) = mirror.piece(self.cursor) else {
                break;
            };
            self.cursor += 1;
            if count < piece.bytes.len() {
                self.conn.keep_rest(piece.bytes.slice(count..));
                return false;
            }
            count -= piece.bytes.len();
        }
        true
    }
}
