//! Fragments: `moof` and the `mdat` behind it.
//!
//! Owns: the samples of each run and where their data lie. Does not: know tracks; an init segment does.

use std::ops::Range;

use weir_wire::Cursor;

use super::super::Sample;
use super::super::fragment::{NOT_SYNC, tfhd, trun};
use super::{Box4, Error, MAX_SAMPLES, end, value};

/// A `moof` and its `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// `sequence_number`.
    pub sequence: u32,
    /// Its runs, in the order of the boxes.
    pub runs: Vec<RunOf>,
}

/// The samples of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOf {
    /// The track's number.
    pub track: u32,
    /// Decode time of the first sample, in ticks of the track.
    pub base_time: u64,
    /// The samples, in decode order; `is_sync` as their flags say, for sound too.
    pub samples: Vec<Sample>,
    /// Where their data lie in the input: all within the `mdat`, one after the other.
    pub data: Range<usize>,
}

/// Reads all fragments of a segment or part. Boxes between them are passed over; each `moof` is followed by its `mdat`.
///
/// Fails on everything that does not fit, and above [`MAX_SAMPLES`] samples.
pub fn fragments(input: &[u8]) -> Result<Vec<Fragment>, Error> {
    let mut cursor = Cursor::new(input);
    let mut found = Vec::new();
    let mut room = MAX_SAMPLES;
    while let Some(next) = Box4::next(&mut cursor)? {
        match &next.kind {
            b"moof" => {
                let mdat = Box4::next(&mut cursor)?.filter(|data| data.kind == *b"mdat");
                let mdat = mdat.ok_or(Error::Count {
                    kind: *b"mdat",
                    within: 0,
                })?;
                found.push(fragment(&next, &mdat, &mut room)?);
            }
            b"mdat" => return Err(value("mdat without moof", next.start)),
            _ => {}
        }
    }
    Ok(found)
}

fn fragment(moof: &Box4<'_>, mdat: &Box4<'_>, room: &mut usize) -> Result<Fragment, Error> {
    let (_, _, mut header) = moof.only(b"mfhd")?.full(0)?;
    let sequence = header.u32()?;
    end(&header)?;
    let data = mdat.at..mdat.at.saturating_add(mdat.content.len());
    let trafs = moof.all(b"traf")?;
    let runs = trafs.iter().map(|traf| run(moof, traf, &data, room));
    Ok(Fragment {
        sequence,
        runs: runs.collect::<Result<_, _>>()?,
    })
}

/// What `tfhd` says for all samples of its run.
struct Defaults {
    track: u32,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

impl Defaults {
    fn read(tfhd: &Box4<'_>) -> Result<Self, Error> {
        let (_, flags, mut cursor) = tfhd.full(0)?;
        let known = tfhd::DEFAULT_DURATION | tfhd::DEFAULT_SIZE | tfhd::DEFAULT_FLAGS;
        if flags & !known != tfhd::DEFAULT_BASE_IS_MOOF {
            return Err(value("tf_flags", tfhd.at));
        }
        let track = cursor.u32()?;
        let mut field = |flag| (flags & flag != 0).then(|| cursor.u32()).transpose();
        let defaults = Self {
            track,
            duration: field(tfhd::DEFAULT_DURATION)?,
            size: field(tfhd::DEFAULT_SIZE)?,
            flags: field(tfhd::DEFAULT_FLAGS)?,
        };
        end(&cursor)?;
        Ok(defaults)
    }
}

fn run(
    moof: &Box4<'_>,
    traf: &Box4<'_>,
    data: &Range<usize>,
    room: &mut usize,
) -> Result<RunOf, Error> {
    let defaults = Defaults::read(&traf.only(b"tfhd")?)?;
    let (version, _, mut time) = traf.only(b"tfdt")?.full(1)?;
    let base_time = match version {
        0 => u64::from(time.u32()?),
        _ => time.u64()?,
    };
    end(&time)?;
    let table = traf.only(b"trun")?;
    let (samples, offset) = table_of(&table, &defaults, room)?;
    let sizes = samples.iter().map(|sample| sample.size as usize);
    let length = sizes.fold(0, usize::saturating_add);
    let start = usize::try_from(offset)
        .ok()
        .map(|offset| moof.start.saturating_add(offset));
    let range = start.map(|start| start..start.saturating_add(length));
    let range = range.filter(|range| range.start >= data.start && range.end <= data.end);
    Ok(RunOf {
        track: defaults.track,
        base_time,
        samples,
        data: range.ok_or_else(|| value("data_offset", table.at))?,
    })
}

/// The samples of a `trun`, and where their data begin behind the start of the `moof`.
fn table_of(
    table: &Box4<'_>,
    defaults: &Defaults,
    room: &mut usize,
) -> Result<(Vec<Sample>, i32), Error> {
    let (version, flags, mut cursor) = table.full(1)?;
    let known = trun::DATA_OFFSET
        | trun::FIRST_FLAGS
        | trun::DURATION
        | trun::SIZE
        | trun::FLAGS
        | trun::COMPOSITION;
    let has = |flag| flags & flag != 0;
    let both = has(trun::FIRST_FLAGS) && has(trun::FLAGS);
    if flags & !known != 0 || !has(trun::DATA_OFFSET) || both {
        return Err(value("tr_flags", table.at));
    }
    let count = cursor.u32()? as usize;
    *room = room.checked_sub(count).ok_or(Error::TooManySamples)?;
    let offset = cursor.u32()?.cast_signed();
    let mut first_flags = has(trun::FIRST_FLAGS).then(|| cursor.u32()).transpose()?;
    let needed = |field| value(field, table.at);
    let mut samples = Vec::new();
    for _ in 0..count {
        let mut field = |flag| has(flag).then(|| cursor.u32()).transpose();
        let duration = field(trun::DURATION)?.or(defaults.duration);
        let size = field(trun::SIZE)?.or(defaults.size);
        let flags = field(trun::FLAGS)?
            .or_else(|| first_flags.take())
            .or(defaults.flags);
        let composition = field(trun::COMPOSITION)?.unwrap_or_default();
        if version == 0 && composition > i32::MAX.cast_unsigned() {
            return Err(needed("sample_composition_time_offset"));
        }
        samples.push(Sample {
            duration: duration.ok_or_else(|| needed("sample_duration"))?,
            size: size.ok_or_else(|| needed("sample_size"))?,
            composition: composition.cast_signed(),
            is_sync: flags.ok_or_else(|| needed("sample_flags"))? & NOT_SYNC == 0,
        });
    }
    end(&cursor)?;
    Ok((samples, offset))
}
