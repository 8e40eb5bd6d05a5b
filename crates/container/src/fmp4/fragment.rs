//! The head of a fragment: `moof` and the length of its `mdat`.
//!
//! Owns: which values stand once for a run and which for each sample. Does not: hold or order media data; the caller
//! sends it behind the head, run after run.

use super::boxes::{put_u32, put_u64};
use super::{Run, Sample};

/// `tf_flags` (ISO/IEC 14496-12 §8.8.7).
pub(super) mod tfhd {
    pub(in crate::fmp4) const DEFAULT_DURATION: u32 = 0x8;
    pub(in crate::fmp4) const DEFAULT_SIZE: u32 = 0x10;
    pub(in crate::fmp4) const DEFAULT_FLAGS: u32 = 0x20;
    pub(in crate::fmp4) const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
}

/// `tr_flags` (§8.8.8).
pub(super) mod trun {
    pub(in crate::fmp4) const DATA_OFFSET: u32 = 0x1;
    pub(in crate::fmp4) const FIRST_FLAGS: u32 = 0x4;
    pub(in crate::fmp4) const DURATION: u32 = 0x100;
    pub(in crate::fmp4) const SIZE: u32 = 0x200;
    pub(in crate::fmp4) const FLAGS: u32 = 0x400;
    pub(in crate::fmp4) const COMPOSITION: u32 = 0x800;
}

/// Sample flags (§8.8.3.1) of a sample that depends on no other.
const SYNC: u32 = 0x0200_0000;
/// Sample flags of one that depends on others and is no place to begin.
const DEPENDENT: u32 = 0x0101_0000;

/// The bit of [`DEPENDENT`] that says that decoding cannot begin there (`sample_is_non_sync_sample`).
pub(super) const NOT_SYNC: u32 = 0x1_0000;

/// Bytes of a box's head, of a full box's, and of the boxes that always have the same length.
const BOX: u64 = 8;
const FULL_BOX: u64 = 12;
const MFHD: u64 = FULL_BOX + 4;
const TFDT: u64 = FULL_BOX + 8;

/// Appends `moof`, with one `traf` a run, and the head of the `mdat` that the data of `runs` follow in this order, to
/// `out`, which grows once.
///
/// Runs without samples are left out. What all samples of a run agree on is written once. The head depends on no
/// default of the init segment.
///
/// Offsets are of 31 bits and the length of the `moof` of 32 (the format's limits); the data in front of the last run
/// must be under 2 GiB and the samples under some 200 million, far above what a segment of a live stream may hold.
/// Beyond that the values saturate: nothing panics or wraps, and the fragment is not readable.
pub fn write_fragment_head(sequence: u32, runs: &[Run<'_>], out: &mut Vec<u8>) {
    let tables = || runs.iter().filter_map(Table::of);
    let trafs = tables().map(|table| table.traf_bytes());
    let moof = trafs.fold(BOX + MFHD, u64::saturating_add);
    let data = tables().map(|table| table.data_bytes());
    let data = data.fold(0, u64::saturating_add);
    let (mdat_head, mdat) = MdatHead::of(data);
    out.reserve(usize::try_from(moof.saturating_add(mdat_head)).unwrap_or_default());

    head(out, moof, b"moof");
    head(out, MFHD, b"mfhd");
    put_u32(out, 0);
    put_u32(out, sequence);
    let mut offset = moof.saturating_add(mdat_head);
    for table in tables() {
        table.write(offset, out);
        offset = offset.saturating_add(table.data_bytes());
    }
    mdat.write(out);
}

/// The head of an `mdat`, whose length needs 64 bits from 4 GiB on.
enum MdatHead {
    Short(u32),
    Long(u64),
}

impl MdatHead {
    /// The head for `data` bytes, after its own length.
    fn of(data: u64) -> (u64, Self) {
        match u32::try_from(data.saturating_add(BOX)) {
            Ok(size) => (BOX, Self::Short(size)),
            Err(_) => (BOX + 8, Self::Long(data.saturating_add(BOX + 8))),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Short(size) => head(out, size.into(), b"mdat"),
            Self::Long(size) => {
                head(out, 1, b"mdat");
                put_u64(out, size);
            }
        }
    }
}

/// A run, and which columns its table has.
struct Table<'a> {
    run: &'a Run<'a>,
    /// The value of every sample, where they agree; else a column.
    duration: Option<u32>,
    size: Option<u32>,
    flags: Flags,
    has_composition: bool,
}

/// How the samples' flags are told.
#[derive(Clone, Copy)]
enum Flags {
    /// The same for all.
    Same(u32),
    /// The first sample's, and those of all others.
    First(u32, u32),
    /// A column.
    Each,
}

impl<'a> Table<'a> {
    /// The table of `run`; none for a run without samples.
    fn of(run: &'a Run<'a>) -> Option<Self> {
        let (first, rest) = run.samples.split_first()?;
        let agreed = |value: fn(&Sample) -> u32| {
            let wanted = value(first);
            rest.iter()
                .all(|sample| value(sample) == wanted)
                .then_some(wanted)
        };
        Some(Self {
            run,
            duration: agreed(|sample| sample.duration),
            size: agreed(|sample| sample.size),
            flags: Flags::of(run, first, rest),
            has_composition: run.samples.iter().any(|sample| sample.composition != 0),
        })
    }

    fn data_bytes(&self) -> u64 {
        let sizes = self.run.samples.iter().map(|sample| u64::from(sample.size));
        sizes.fold(0, u64::saturating_add)
    }

    fn tfhd_bytes(&self) -> u64 {
        let has_flags = !matches!(self.flags, Flags::Each);
        let defaults = [self.duration.is_some(), self.size.is_some(), has_flags];
        FULL_BOX + 4 + 4 * count(&defaults)
    }

    /// Bytes of a row of the table.
    fn row_bytes(&self) -> u64 {
        let has_flags = matches!(self.flags, Flags::Each);
        let columns = [
            self.duration.is_none(),
            self.size.is_none(),
            has_flags,
            self.has_composition,
        ];
        4 * count(&columns)
    }

    fn trun_bytes(&self) -> u64 {
        let first = u64::from(matches!(self.flags, Flags::First(..)));
        let rows = (self.run.samples.len() as u64).saturating_mul(self.row_bytes());
        rows.saturating_add(FULL_BOX + 8 + 4 * first)
    }

    fn traf_bytes(&self) -> u64 {
        self.trun_bytes()
            .saturating_add(BOX + TFDT + self.tfhd_bytes())
    }

    /// Writes the `traf`; its data begin `offset` bytes behind the start of the `moof`.
    fn write(&self, offset: u64, out: &mut Vec<u8>) {
        head(out, self.traf_bytes(), b"traf");
        self.write_header(out);
        head(out, TFDT, b"tfdt");
        put_u32(out, 1 << 24);
        put_u64(out, self.run.base_time);
        self.write_run(offset, out);
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        let default_flags = match self.flags {
            Flags::Same(flags) | Flags::First(_, flags) => Some(flags),
            Flags::Each => None,
        };
        let defaults = [
            (tfhd::DEFAULT_DURATION, self.duration),
            (tfhd::DEFAULT_SIZE, self.size),
            (tfhd::DEFAULT_FLAGS, default_flags),
        ];
        let told = defaults.iter().filter(|(_, value)| value.is_some());
        let flags = told.fold(tfhd::DEFAULT_BASE_IS_MOOF, |flags, (flag, _)| flags | flag);
        head(out, self.tfhd_bytes(), b"tfhd");
        put_u32(out, flags);
        put_u32(out, self.run.track);
        for (_, value) in defaults {
            value.into_iter().for_each(|value| put_u32(out, value));
        }
    }

    fn write_run(&self, offset: u64, out: &mut Vec<u8>) {
        let columns = [
            (trun::DURATION, self.duration.is_none()),
            (trun::SIZE, self.size.is_none()),
            (trun::FLAGS, matches!(self.flags, Flags::Each)),
            (trun::COMPOSITION, self.has_composition),
            (trun::FIRST_FLAGS, matches!(self.flags, Flags::First(..))),
        ];
        let told = columns.iter().filter(|(_, is_told)| *is_told);
        let flags = told.fold(trun::DATA_OFFSET, |flags, (flag, _)| flags | flag);
        head(out, self.trun_bytes(), b"trun");
        put_u32(out, 1 << 24 | flags);
        put_u32(
            out,
            u32::try_from(self.run.samples.len()).unwrap_or(u32::MAX),
        );
        put_u32(
            out,
            i32::try_from(offset).unwrap_or(i32::MAX).cast_unsigned(),
        );
        if let Flags::First(first, _) = self.flags {
            put_u32(out, first);
        }
        for sample in self.run.samples {
            if self.duration.is_none() {
                put_u32(out, sample.duration);
            }
            if self.size.is_none() {
                put_u32(out, sample.size);
            }
            if matches!(self.flags, Flags::Each) {
                put_u32(out, flags_of(self.run, sample));
            }
            if self.has_composition {
                put_u32(out, sample.composition.cast_unsigned());
            }
        }
    }
}

impl Flags {
    fn of(run: &Run<'_>, first: &Sample, rest: &[Sample]) -> Self {
        let lead = flags_of(run, first);
        let mut others = rest.iter().map(|sample| flags_of(run, sample));
        let common = others.next().unwrap_or(lead);
        match others.all(|flags| flags == common) {
            true if common == lead => Self::Same(lead),
            true => Self::First(lead, common),
            false => Self::Each,
        }
    }
}

fn flags_of(run: &Run<'_>, sample: &Sample) -> u32 {
    if sample.is_sync || !run.is_video {
        SYNC
    } else {
        DEPENDENT
    }
}

fn count(what: &[bool]) -> u64 {
    what.iter().map(|is_there| u64::from(*is_there)).sum()
}

/// A box's length and kind.
fn head(out: &mut Vec<u8>, size: u64, kind: &[u8; 4]) {
    put_u32(out, u32::try_from(size).unwrap_or(u32::MAX));
    out.extend_from_slice(kind);
}

#[cfg(test)]
mod tests;
