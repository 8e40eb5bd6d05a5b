//! `dac3` and `dec3`: the boxes of AC-3 and E-AC-3 (ETSI TS 102 366 annex F), which FLV has no header for.
//!
//! Owns: finding their fields at the head of synchronisation frames. Does not: decode, or tell rate and channels
//! (`weir-codec` does).

use weir_wire::Bits;

use super::super::boxes::put_u16;
use super::super::{Error, Track};
use super::missing;

/// `bsid` up to which a frame has the syntax of AC-3, and that of E-AC-3.
const LAST_AC3_BSID: u32 = 10;
const EAC3_BSID: u32 = 16;

/// Independent substreams of a track, at most (`num_ind_sub` has three bits).
const MAX_SUBSTREAMS: usize = 8;

/// Dependent substreams of one substream, at most (`num_dep_sub` has four bits, `substreamid` three).
const MAX_DEPENDENT: u8 = 8;

/// Synchronisation frames of one sample that are looked at: six of one block for each of some programs. A frame of two
/// bytes is lawful in its syntax, and a walk over a megabyte of them is not wanted.
const MAX_FRAMES: usize = 64;

/// Content of `dac3` (§F.4).
pub(super) fn ac3_box(track: &Track<'_>) -> Result<Vec<u8>, Error> {
    weir_codec::describe_frame(track.codec, track.frame)?;
    let value = ac3_fields(track.frame).ok_or_else(|| missing(track, "head of a frame"))?;
    let [_, high, middle, low] = value.to_be_bytes();
    Ok(vec![high, middle, low])
}

/// The fields of `syncinfo` and `bsi` (§4.3.1 and §4.3.2) as `dac3` orders them.
fn ac3_fields(frame: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(frame);
    let mut field = |count| bits.u32(count).ok();
    field(32)?; // syncword, crc1
    let fscod = field(2)?;
    let frmsizecod = field(6)?;
    let bsid = field(5).filter(|bsid| *bsid <= LAST_AC3_BSID)?;
    let bsmod = field(3)?;
    let acmod = field(3)?;
    let has_centre = acmod & 1 != 0 && acmod != 1;
    let has_surround = acmod & 4 != 0;
    let levels = [has_centre, has_surround, acmod == 2];
    field(levels.iter().filter(|there| **there).count() * 2)?;
    let lfeon = field(1)?;
    let modes = bsmod << 14 | acmod << 11 | lfeon << 10;
    Some(fscod << 22 | bsid << 17 | modes | (frmsizecod >> 1) << 5)
}

/// Content of `dec3` (§F.6), from all substreams in the sample. `bsmod` lies behind fields of variable length that are
/// not read; it is told as 0, the complete main service.
pub(super) fn eac3_box(track: &Track<'_>) -> Result<Vec<u8>, Error> {
    let info = weir_codec::describe_frame(track.codec, track.frame)?;
    let rate = info.audio.map_or(0, |audio| audio.sample_rate);
    let mut rest = track.frame;
    let mut programs: Vec<Program> = Vec::new();
    let (mut bytes, mut blocks) = (0u64, 0u64);
    for _ in 0..MAX_FRAMES {
        let Some(frame) = Frame::read(rest) else {
            break;
        };
        bytes += frame.bytes as u64;
        if !frame.is_dependent && frame.substream == 0 {
            blocks += u64::from(frame.blocks);
        }
        let known = programs
            .iter()
            .any(|program| program.substream == frame.substream);
        if frame.is_dependent {
            if let Some(program) = programs.last_mut() {
                program.add(&frame);
            }
        } else if !known && programs.len() < MAX_SUBSTREAMS {
            programs.push(Program::of(&frame));
        }
        rest = rest.get(frame.bytes..).unwrap_or_default();
    }
    if programs.is_empty() || blocks == 0 {
        return Err(missing(track, "head of a frame"));
    }
    // Kilobits a second of all substreams, rounded up; a block has 256 samples.
    let kilobits = (bytes * 8 * u64::from(rate)).div_ceil(blocks * 256 * 1000);
    let last = programs.len() as u16 - 1;
    let mut out = Vec::new();
    put_u16(&mut out, (kilobits.min(0x1fff) as u16) << 3 | last);
    programs.iter().for_each(|program| program.write(&mut out));
    Ok(out)
}

/// The fields of a synchronisation frame of E-AC-3 (annex E.1.2.2) up to its channel map.
struct Frame {
    is_dependent: bool,
    substream: u32,
    /// Its length, 2 to 4096.
    bytes: usize,
    blocks: u32,
    fscod: u32,
    acmod: u32,
    lfeon: u32,
    /// `chanmap`; 0 where the frame has none.
    channels: u32,
}

impl Frame {
    fn read(input: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(input);
        let mut field = |count| bits.u32(count).ok();
        field(16).filter(|syncword| *syncword == 0x0b77)?;
        let is_dependent = field(2)? == 1;
        let substream = field(3)?;
        let bytes = (field(11)? as usize + 1) * 2;
        let fscod = field(2)?;
        let second = field(2)?;
        // With the fourth rate the next field halves one of the others, and there are six blocks.
        let blocks = match (fscod, second) {
            (3, _) | (_, 3) => 6,
            (_, code) => code + 1,
        };
        let acmod = field(3)?;
        let lfeon = field(1)?;
        field(5).filter(|bsid| (LAST_AC3_BSID + 1..=EAC3_BSID).contains(bsid))?;
        // dialnorm and compr, twice for two mono channels
        for _ in 0..if acmod == 0 { 2 } else { 1 } {
            field(5)?;
            if field(1)? == 1 {
                field(8)?;
            }
        }
        let has_map = is_dependent && field(1)? == 1;
        let channels = if has_map { field(16)? } else { 0 };
        Some(Self {
            is_dependent,
            substream,
            bytes,
            blocks,
            fscod,
            acmod,
            lfeon,
            channels,
        })
    }
}

/// An independent substream and what its dependent ones add.
struct Program {
    substream: u32,
    fscod: u32,
    acmod: u32,
    lfeon: u32,
    dependent: u8,
    locations: u32,
}

impl Program {
    fn of(frame: &Frame) -> Self {
        Self {
            substream: frame.substream,
            fscod: frame.fscod,
            acmod: frame.acmod,
            lfeon: frame.lfeon,
            dependent: 0,
            locations: 0,
        }
    }

    /// Adds a dependent substream; `substream` counts those of one program from 0, so one that comes again does not count.
    fn add(&mut self, frame: &Frame) {
        if frame.substream == u32::from(self.dependent) && self.dependent < MAX_DEPENDENT {
            self.dependent += 1;
        }
        // Table F.3 names, from its first bit on, the locations 5 to 12 of `chanmap` (table E.1.4) and its 14th.
        self.locations |= (frame.channels >> 3 & 0xff) << 1 | frame.channels >> 1 & 1;
    }

    fn write(&self, out: &mut Vec<u8>) {
        let modes = self.acmod << 9 | self.lfeon << 8;
        let head = self.fscod << 22 | EAC3_BSID << 17 | modes | u32::from(self.dependent) << 1;
        let [_, high, middle, low] = head.to_be_bytes();
        if self.dependent == 0 {
            out.extend_from_slice(&[high, middle, low]);
        } else {
            let [.., first, second] = self.locations.to_be_bytes();
            out.extend_from_slice(&[high, middle, low | first & 1, second]);
        }
    }
}
