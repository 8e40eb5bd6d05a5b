//! Pictures: access units become payloads with lengths, parameter sets become configurations.
//!
//! Owns: splitting a PES packet into access units, the parameter sets in force, key frames. Does not: read slices beyond
//! what tells a key frame.

use weir_codec::annexb::{self, UnitKind};
use weir_codec::{h264, h265};
use weir_media::{Codec, Role, VideoCodec};

use super::output::{Output, Times};
use crate::flv::body::Body;
use crate::ts::clock;

/// Most parameter sets of one kind; streams have one, some have two or three.
const MAX_SETS: usize = 31;

/// Most bytes of all parameter sets of a track. Those of encoders are under 200, with scaling lists under 2,000. As a
/// configuration is told with each change, this is also what one change can cost.
const MAX_SETS_BYTES: usize = 4096;

/// The distance of pictures, in ticks of 90 kHz, while it is not known: 25 a second.
const USUAL_STEP: i64 = 3_600;

/// The longest distance that is believed, in ticks: a second. More is a gap.
const MAX_STEP: i64 = 90_000;

/// The pictures of one track.
#[derive(Debug)]
pub(super) struct Video {
    track: u8,
    codec: VideoCodec,
    sets: Sets,
    /// The configuration that was told last; empty before the first.
    config: Vec<u8>,
    last_dts: Option<i64>,
    /// The distance of the last two PES packets with times.
    step: i64,
    /// Whether parameter sets have changed in this PES packet; they do so once, or a packet of many small access units
    /// would become many configurations.
    is_renewed: bool,
}

/// Parameter sets in force.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Sets {
    vps: Vec<Vec<u8>>,
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

/// Parameter sets of one access unit.
#[derive(Debug, Default)]
struct FreshSets<'a> {
    vps: Vec<&'a [u8]>,
    sps: Vec<&'a [u8]>,
    pps: Vec<&'a [u8]>,
}

/// What one access unit holds.
#[derive(Debug, Default)]
struct Content {
    /// Bytes of the payload: units that stay, with their lengths.
    bytes: usize,
    has_slice: bool,
    is_key: bool,
}

impl Video {
    /// A track number `track`; codecs other than H.265 are read as H.264.
    pub(super) fn new(track: u8, codec: Codec) -> Self {
        let codec = match codec {
            Codec::Video(VideoCodec::H265) => VideoCodec::H265,
            _ => VideoCodec::H264,
        };
        Self {
            track,
            codec,
            sets: Sets::default(),
            config: Vec::new(),
            last_dts: None,
            step: USUAL_STEP,
            is_renewed: false,
        }
    }

    /// Takes the content of a PES packet: one access unit as a rule. More than one are told apart by their delimiters and
    /// spread over the time to the next packet.
    pub(super) fn take(&mut self, data: &[u8], times: Option<Times>, output: &mut Output) {
        let after = |last: i64| last.saturating_add(self.step);
        let Some(times) =
            times.or_else(|| self.last_dts.map(after).map(|dts| Times { dts, pts: dts }))
        else {
            return output.fault();
        };
        if let Some(last) = self.last_dts {
            let step = times.dts.saturating_sub(last);
            if (1..=MAX_STEP).contains(&step) {
                self.step = step;
            }
        }
        self.last_dts = Some(times.dts);
        self.is_renewed = false;
        let mut rest = data;
        let count = self.count(data);
        for at in 0..count {
            let shift = self.step.saturating_mul(at) / count.max(1);
            let times = Times {
                dts: times.dts.saturating_add(shift),
                pts: times.pts.saturating_add(shift),
            };
            let unit = self.next_access_unit(&mut rest);
            self.take_access_unit(unit, times, output);
        }
    }

    fn kind(&self, unit: &[u8]) -> UnitKind {
        match self.codec {
            VideoCodec::H265 => h265::unit_kind(unit),
            _ => h264::unit_kind(unit),
        }
    }

    /// How many access units are in `data`, told by their delimiters.
    fn count(&self, data: &[u8]) -> i64 {
        let mut rest = data;
        let mut count = 0;
        while !rest.is_empty() {
            self.next_access_unit(&mut rest);
            count += 1;
        }
        count
    }

    /// Takes from the front of `rest` up to the first delimiter behind a slice.
    fn next_access_unit<'a>(&self, rest: &mut &'a [u8]) -> &'a [u8] {
        let whole = *rest;
        let mut has_slice = false;
        let mut units = annexb::units(whole);
        loop {
            let before = units.rest();
            let Some(unit) = units.next() else { break };
            let kind = self.kind(unit);
            if has_slice && kind == UnitKind::Delimiter {
                // the start code in front of it belongs to it
                let at = whole.len().saturating_sub(before.len()).saturating_sub(3);
                let (now, later) = whole.split_at(at);
                *rest = later;
                return now;
            }
            has_slice |= kind.is_slice();
        }
        *rest = &[];
        whole
    }

    fn take_access_unit(&mut self, data: &[u8], times: Times, output: &mut Output) {
        let mut fresh = FreshSets::default();
        let content = self.look(data, &mut fresh);
        self.renew(&fresh, times, output);
        if !content.has_slice || self.config.is_empty() {
            return;
        }
        let role = if content.is_key {
            Role::Key
        } else {
            Role::Delta
        };
        let dts = clock::timestamp(times.dts);
        let composition = clock::timestamp(times.pts.saturating_sub(times.dts));
        let body = Body::video(
            self.track,
            self.codec,
            role,
            (dts, composition),
            content.bytes,
        );
        output.push(body.map(|mut body| {
            annexb::length_prefixed(data, |unit| stays(self.kind(unit)), body.payload());
            body.finish()
        }));
    }

    /// Reads what is in an access unit, and gathers its parameter sets.
    fn look<'a>(&self, data: &'a [u8], fresh: &mut FreshSets<'a>) -> Content {
        let mut content = Content::default();
        let mut is_recovery = false;
        for unit in annexb::units(data) {
            let kind = self.kind(unit);
            if stays(kind) {
                content.bytes = content.bytes.saturating_add(4).saturating_add(unit.len());
            }
            match kind {
                UnitKind::Vps => add(&mut fresh.vps, unit),
                UnitKind::Sps => add(&mut fresh.sps, unit),
                UnitKind::Pps => add(&mut fresh.pps, unit),
                UnitKind::KeySlice => content.is_key = true,
                UnitKind::Sei if self.codec == VideoCodec::H264 => {
                    is_recovery |= h264::is_recovery_point(unit);
                }
                // a picture of an open group: no IDR, and all that decoders need to begin
                UnitKind::Slice if is_recovery && !content.has_slice => {
                    content.is_key = h264::is_intra_slice(unit);
                }
                _ => {}
            }
            content.has_slice |= kind.is_slice();
        }
        content
    }

    /// Puts the parameter sets of an access unit in force, and tells the configuration when it is another.
    fn renew(&mut self, fresh: &FreshSets<'_>, times: Times, output: &mut Output) {
        if fresh.vps.is_empty() && fresh.sps.is_empty() && fresh.pps.is_empty() {
            return;
        }
        let mut sets = self.sets.clone();
        replace(&mut sets.vps, &fresh.vps);
        replace(&mut sets.sps, &fresh.sps);
        if fresh.sps.is_empty() {
            for pps in &fresh.pps {
                self.replace_pps(&mut sets.pps, pps);
            }
        } else {
            replace(&mut sets.pps, &fresh.pps);
        }
        if sets == self.sets {
            return;
        }
        let all = [&sets.vps, &sets.sps, &sets.pps];
        let bytes: usize = all.iter().copied().flatten().map(Vec::len).sum();
        if bytes > MAX_SETS_BYTES || self.is_renewed {
            return output.fault();
        }
        self.sets = sets;
        self.is_renewed = true;
        let is_whole = !self.sets.sps.is_empty()
            && !self.sets.pps.is_empty()
            && (self.codec == VideoCodec::H264 || !self.sets.vps.is_empty());
        if !is_whole {
            return;
        }
        let config = match self.codec {
            VideoCodec::H265 => h265::config_from(
                &slices(&self.sets.vps),
                &slices(&self.sets.sps),
                &slices(&self.sets.pps),
            ),
            _ => h264::config_from(&slices(&self.sets.sps), &slices(&self.sets.pps)),
        };
        let Ok(config) = config else {
            return output.fault();
        };
        if config == self.config {
            return;
        }
        self.config = config;
        let dts = clock::timestamp(times.dts);
        let at = (dts, clock::timestamp(0));
        let config = &self.config;
        let body = Body::video(self.track, self.codec, Role::Config, at, config.len());
        output.push(body.map(|mut body| {
            body.payload().extend_from_slice(config);
            body.finish()
        }));
    }

    /// Puts a picture parameter set that came alone in the place of the one with its number.
    fn replace_pps(&self, sets: &mut Vec<Vec<u8>>, fresh: &[u8]) {
        let id = |unit: &[u8]| match self.codec {
            VideoCodec::H265 => h265::pps_id(unit).ok(),
            _ => h264::pps_id(unit).ok(),
        };
        let Some(number) = id(fresh) else { return };
        let known = sets.iter().position(|set| id(set) == Some(number));
        match known {
            Some(known) => sets.iter_mut().skip(known).take(1).for_each(|set| {
                *set = fresh.to_vec();
            }),
            None if sets.len() < MAX_SETS => sets.push(fresh.to_vec()),
            None => {}
        }
    }
}

/// Whether units of a kind are part of the payload.
fn stays(kind: UnitKind) -> bool {
    !kind.is_parameter_set() && kind != UnitKind::Delimiter && kind != UnitKind::Filler
}

/// Adds a set unless it is there already.
fn add<'a>(sets: &mut Vec<&'a [u8]>, unit: &'a [u8]) {
    if sets.len() < MAX_SETS && !sets.contains(&unit) {
        sets.push(unit);
    }
}

/// Puts `fresh` in the place of what was, if there is any.
fn replace(sets: &mut Vec<Vec<u8>>, fresh: &[&[u8]]) {
    if !fresh.is_empty() {
        *sets = fresh.iter().map(|set| set.to_vec()).collect();
    }
}

fn slices(sets: &[Vec<u8>]) -> Vec<&[u8]> {
    sets.iter().map(Vec::as_slice).collect()
}
