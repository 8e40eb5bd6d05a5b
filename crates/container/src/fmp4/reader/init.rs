//! Init segments.
//!
//! Owns: tracks, their clocks and their sample entries. Does not: look into codec configurations.

use weir_wire::Cursor;

use super::{Box4, Error, children, end, value};

/// A track of an init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackOf<'a> {
    /// Its number.
    pub id: u32,
    /// Ticks a second.
    pub timescale: u32,
    /// The kind of its sample entry, such as `avc1`.
    pub entry: [u8; 4],
    /// What entries of its medium say.
    pub media: Media,
    /// The kind of the codec's box, such as `avcC`.
    pub config_kind: [u8; 4],
    /// Its content, version and flags included where it has them.
    pub config: &'a [u8],
}

/// What sample entries of a medium say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Pictures of this size in luma samples.
    Video {
        /// Width.
        width: u16,
        /// Height.
        height: u16,
    },
    /// Sound.
    Audio {
        /// Number of channels.
        channels: u16,
        /// Samples a second, at most 65,535.
        sample_rate: u16,
    },
}

/// Reads an init segment: `ftyp` first, then `moov`.
///
/// Fails on everything that does not fit, and on sample tables that are not empty.
pub fn init(input: &[u8]) -> Result<Vec<TrackOf<'_>>, Error> {
    let mut cursor = Cursor::new(input);
    let first = Box4::next(&mut cursor)?;
    let Some(kind) = first.filter(|first| first.kind == *b"ftyp") else {
        return Err(Error::Count {
            kind: *b"ftyp",
            within: 0,
        });
    };
    file_type(&kind)?;
    let movies = children(cursor, b"moov")?;
    let [movie] = movies.as_slice() else {
        return Err(Error::Count {
            kind: *b"moov",
            within: 0,
        });
    };
    let (_, _, mut header) = movie.only(b"mvhd")?.full(0)?;
    header.skip(96)?;
    end(&header)?;
    let extends = movie.only(b"mvex")?.all(b"trex")?;
    let tracks: Result<Vec<_>, Error> = movie.all(b"trak")?.iter().map(track).collect();
    let tracks = tracks?;
    for track in &tracks {
        let mut of_track = 0;
        for extend in &extends {
            of_track += usize::from(extended(extend)? == track.id);
        }
        if of_track != 1 {
            return Err(Error::Count {
                kind: *b"trex",
                within: movie.at,
            });
        }
    }
    Ok(tracks)
}

fn file_type(ftyp: &Box4<'_>) -> Result<(), Error> {
    let mut cursor = ftyp.cursor();
    cursor.skip(8)?;
    let mut has_iso6 = false;
    while !cursor.is_empty() {
        has_iso6 |= cursor.array::<4>()? == *b"iso6";
    }
    if has_iso6 {
        Ok(())
    } else {
        Err(value("compatible_brands", ftyp.at))
    }
}

/// The track that a `trex` is of.
fn extended(trex: &Box4<'_>) -> Result<u32, Error> {
    let (_, _, mut cursor) = trex.full(0)?;
    let track = cursor.u32()?;
    if cursor.u32()? != 1 {
        return Err(value("default_sample_description_index", trex.at));
    }
    cursor.skip(12)?;
    end(&cursor)?;
    Ok(track)
}

fn track<'a>(trak: &Box4<'a>) -> Result<TrackOf<'a>, Error> {
    let (_, _, mut header) = trak.only(b"tkhd")?.full(0)?;
    header.skip(8)?;
    let at = header.offset();
    let id = header.u32()?;
    if id == 0 {
        return Err(value("track_ID", at));
    }
    header.skip(68)?;
    end(&header)?;
    let media = trak.only(b"mdia")?;
    let (_, _, mut clock) = media.only(b"mdhd")?.full(0)?;
    clock.skip(8)?;
    let at = clock.offset();
    let timescale = clock.u32()?;
    if timescale == 0 {
        return Err(value("timescale", at));
    }
    clock.skip(8)?;
    end(&clock)?;
    let (_, _, mut handler) = media.only(b"hdlr")?.full(0)?;
    handler.skip(4)?;
    let at = handler.offset();
    let is_video = match &handler.array()? {
        b"vide" => true,
        b"soun" => false,
        _ => return Err(value("handler_type", at)),
    };
    let information = media.only(b"minf")?;
    information.only(if is_video { b"vmhd" } else { b"smhd" })?;
    information.only(b"dinf")?.only(b"dref")?;
    let table = information.only(b"stbl")?;
    for kind in [b"stts", b"stsc", b"stco", b"stsz"] {
        let list = table.only(kind)?;
        if list.content.iter().any(|byte| *byte != 0) {
            return Err(value("entry_count", list.at));
        }
    }
    let entry = description(&table.only(b"stsd")?)?;
    let (media, mut boxes) = if is_video {
        picture(&entry)?
    } else {
        sound(&entry)?
    };
    let config = Box4::next(&mut boxes)?.ok_or_else(|| value("codec configuration", entry.at))?;
    while Box4::next(&mut boxes)?.is_some() {}
    Ok(TrackOf {
        id,
        timescale,
        entry: entry.kind,
        media,
        config_kind: config.kind,
        config: config.content,
    })
}

/// The only entry of an `stsd`.
fn description<'a>(stsd: &Box4<'a>) -> Result<Box4<'a>, Error> {
    let (_, _, mut cursor) = stsd.full(0)?;
    if cursor.u32()? != 1 {
        return Err(value("entry_count", stsd.at));
    }
    let entry = Box4::next(&mut cursor)?.ok_or_else(|| value("entry_count", stsd.at))?;
    end(&cursor)?;
    Ok(entry)
}

fn picture<'a>(entry: &Box4<'a>) -> Result<(Media, Cursor<'a>), Error> {
    let mut cursor = entry.cursor();
    cursor.skip(24)?;
    let width = cursor.u16()?;
    let height = cursor.u16()?;
    cursor.skip(50)?;
    Ok((Media::Video { width, height }, cursor))
}

fn sound<'a>(entry: &Box4<'a>) -> Result<(Media, Cursor<'a>), Error> {
    let mut cursor = entry.cursor();
    cursor.skip(16)?;
    let channels = cursor.u16()?;
    cursor.skip(6)?;
    let sample_rate = cursor.u16()?;
    cursor.skip(2)?;
    let media = Media::Audio {
        channels,
        sample_rate,
    };
    Ok((media, cursor))
}
