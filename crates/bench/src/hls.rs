//! `bench hls`: viewers of (low-latency) HLS, and what they get.
//!
//! Owns: the parts of it. [`player`] is one viewer, without sockets; [`worker`] drives thousands of them; [`board`] knows
//! when parts were complete; [`report`] is for people and programs. Publishers are those of the other loads.
//! Does not: judge playlists, switch variants, or play separate audio renditions: a viewer plays the first variant.

mod board;
mod player;
mod playlist;
mod report;
mod tally;
mod worker;

use url::Url;

pub(crate) use player::Mode;
pub(crate) use playlist::{Want, first_variant, is_media, media, target};
pub(crate) use report::Report;
pub(crate) use tally::Tally;
pub(crate) use worker::Worker;

use crate::args;
use crate::target::Flv;

/// Connections of a viewer: one for playlists and one for media.
pub(crate) const LANES: usize = 2;

/// Where viewers go, and how they play.
#[derive(Debug)]
pub(crate) struct View {
    /// The address and, by its extension, the playlists of all streams.
    pub(crate) target: Flv,
    pub(crate) mode: Mode,
}

impl View {
    /// # Errors
    /// When the URL is not `http://HOST[:PORT]/PATH`, or its host has no address.
    pub(crate) fn new(args: &args::Hls) -> anyhow::Result<Self> {
        let mode = match (args.no_hints, args.plain) {
            (_, true) => Mode::Plain,
            (true, false) => Mode::NoHints,
            (false, false) => Mode::Hints,
        };
        Ok(Self {
            target: Flv::parse(&args.load.url)?,
            mode,
        })
    }

    /// The playlist of stream `index` of `streams`.
    fn url(&self, index: usize, streams: usize) -> anyhow::Result<Url> {
        let target = self.target.request_target(index, streams);
        Ok(Url::parse(&format!("http://{}{target}", self.target.host))?)
    }
}

#[cfg(test)]
mod tests;
