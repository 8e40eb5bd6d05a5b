//! What reading makes: frames and counters; and the program's clock, which its tracks share.
//!
//! Owns: those three. Does not: read anything.

use std::collections::VecDeque;

use weir_media::Frame;

use super::Counters;
use crate::ts::clock;

/// Where the tracks of a demuxer put what they make.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) frames: VecDeque<Frame>,
    pub(super) counters: Counters,
    pub(super) clock: clock::Unwrapper,
}

impl Output {
    /// Something was dropped.
    pub(super) fn fault(&mut self) {
        self.counters.faults += 1;
    }

    /// Adds a frame that was made, or counts that it could not be.
    pub(super) fn push(&mut self, frame: Result<Frame, crate::flv::Error>) {
        match frame {
            Ok(frame) => self.frames.push_back(frame),
            Err(_) => self.fault(),
        }
    }
}

/// When an access unit is decoded and presented, in ticks of 90 kHz, not wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dts: i64,
    pub(super) pts: i64,
}
