//! Frames as a transport stream.
//!
//! Owns: [`TsFormat`]: which tracks the program has, and when its tables are due. Invariants: whatever a decoder can begin
//! with is preceded by the tables, in the log, so that continuity counters are right for everybody, wherever they begin; a
//! viewer's prelude is empty. Does not: write packets (`weir-container` does).

use std::time::Duration;

use bytes::Bytes;
use weir_container::ts::{self, Muxer, Unit};
use weir_hub::{Format, Setup};
use weir_media::{Codec, Frame, Media, Role, Timestamp, TrackId};

use super::Framing;

/// A track without a frame for this much media time is taken out of the program at the next entry point: players wait for
/// every track that the tables name. Longer than any gap between two frames, slide shows included.
const SILENT_FOR: Duration = Duration::from_secs(15);

/// What is known of a track.
#[derive(Debug)]
struct Track {
    id: TrackId,
    codec: Codec,
    /// The sequence header's payload; empty without one.
    config: Bytes,
    /// The newest frame, or when the track was made known.
    newest: Timestamp,
    /// It is part of the program; not one whose codec a transport stream does not carry, nor a silent one.
    carried: bool,
}

/// The wire format of all viewers of transport streams with one framing.
#[derive(Debug)]
pub struct TsFormat {
    framing: Framing,
    muxer: Muxer,
    tracks: Vec<Track>,
    /// Somebody may begin with the next frame. Tables within are repeated by the muxer.
    is_entry: bool,
    /// A frame or track that does not fit has been logged.
    logged: bool,
}

impl TsFormat {
    /// A format without a past.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            muxer: Muxer::new(),
            tracks: Vec::new(),
            is_entry: false,
            logged: false,
        }
    }

    fn complain(&mut self, track: TrackId, error: &ts::Error) {
        if !std::mem::replace(&mut self.logged, true) {
            tracing::info!(?track, %error, "left out of mpeg-ts");
        }
    }

    /// Takes in a track's codec and configuration as they are at `at`.
    fn set(&mut self, id: TrackId, codec: Codec, config: Bytes, at: Timestamp) {
        let known = self.tracks.iter().position(|track| track.id == id);
        let is_same = |track: &Track| track.codec == codec && track.config == config;
        if known
            .and_then(|index| self.tracks.get(index))
            .is_some_and(is_same)
        {
            return;
        }
        // more tracks than a program may have are of no use here
        if known.is_none() && self.tracks.len() >= ts::MAX_TRACKS {
            return;
        }
        let mut track = Track {
            id,
            codec,
            config,
            newest: at,
            carried: false,
        };
        self.carry(&mut track);
        match known.and_then(|index| self.tracks.get_mut(index)) {
            Some(place) => *place = track,
            None => self.tracks.push(track),
        }
    }

    /// Makes a track part of the program, or takes it out when that cannot be.
    fn carry(&mut self, track: &mut Track) {
        let was_carried = self
            .tracks
            .iter()
            .any(|known| known.id == track.id && known.carried);
        match self.muxer.set_track(track.id, track.codec, &track.config) {
            Ok(()) => track.carried = true,
            Err(error) => {
                track.carried = false;
                if was_carried {
                    self.muxer.remove_track(track.id);
                }
                self.complain(track.id, &error);
            }
        }
    }

    /// Makes the program what the stream is now: what a publisher before this one had is forgotten.
    fn reconcile(&mut self, setup: &Setup, at: Timestamp) {
        for config in &setup.configs {
            self.set(config.track, config.codec, config.payload(), at);
        }
        let muxer = &mut self.muxer;
        self.tracks.retain_mut(|track| {
            let is_gone = !track.config.is_empty() && setup.config(track.id).is_none();
            let is_silent = at.since(track.newest) >= SILENT_FOR;
            if track.carried && (is_gone || is_silent) {
                muxer.remove_track(track.id);
                track.carried = false;
            }
            !is_gone
        });
    }

    /// The place of the frame's track, if the program can have it.
    fn place(&mut self, frame: &Frame) -> Option<usize> {
        let find = |tracks: &[Track]| tracks.iter().position(|track| track.id == frame.track);
        let mut place = find(&self.tracks);
        let codec = place
            .and_then(|index| self.tracks.get(index))
            .map(|track| track.codec);
        if codec != Some(frame.codec) {
            // codecs without a sequence header begin with their first frame
            self.set(frame.track, frame.codec, Bytes::new(), frame.dts);
            place = find(&self.tracks);
        }
        let index = place?;
        let track = self.tracks.get_mut(index)?;
        let was_silent = frame.dts.since(track.newest) >= SILENT_FOR;
        track.newest = track.newest.max(frame.dts);
        if !track.carried && was_silent && ts::is_supported(track.codec) {
            let mut track = self.tracks.swap_remove(index);
            self.carry(&mut track);
            self.tracks.push(track);
            return self.tracks.len().checked_sub(1);
        }
        Some(index)
    }

    fn write(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let Some(track) = self.place(frame).and_then(|index| self.tracks.get(index)) else {
            return;
        };
        if !track.carried {
            return;
        }
        if std::mem::take(&mut self.is_entry) {
            self.muxer.write_tables(out);
        }
        let payload = frame.payload();
        let unit = Unit {
            track: frame.track,
            dts: frame.dts,
            composition: frame.composition,
            is_key: (frame.track.media, frame.role) == (Media::Video, Role::Key),
            payload: &payload,
        };
        if let Err(error) = self.muxer.write_frame(&unit, out) {
            self.complain(frame.track, &error);
        }
    }
}

impl Format for TsFormat {
    /// Nothing: whoever begins now begins with tables, which the next frame is preceded by.
    fn prelude(&mut self, setup: &Setup, at: Timestamp, _out: &mut Vec<u8>) {
        self.reconcile(setup, at);
        self.is_entry = true;
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if frame.track.media == Media::Data {
            return;
        }
        match frame.role {
            Role::Config => self.set(frame.track, frame.codec, frame.payload(), frame.dts),
            Role::Key | Role::Delta => self.write(frame, out),
            Role::Metadata | Role::Other => {}
        }
    }

    fn head_room(&self) -> usize {
        self.framing.head_room()
    }

    fn seal(&self, piece: Vec<u8>) -> Bytes {
        self.framing.seal(piece)
    }
}

#[cfg(test)]
mod tests;
