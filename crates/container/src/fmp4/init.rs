//! The init segment: `ftyp` and a `moov` whose sample tables are empty.
//!
//! Owns: brands, the boxes of the movie and of its tracks down to the sample description. Does not: write sample entries
//! (`entry` does).

use weir_media::{Codec, VideoCodec};

use super::boxes::{put_u16, put_u32, put_u64, write, write_full};
use super::entry::Entry;
use super::{Error, Track};

/// `und` in the packing of ISO/IEC 14496-12 §8.4.2: five bits a letter, counted from 0x60.
const LANGUAGE_UNKNOWN: u16 = 0x55c4;

/// The identity of a 3x3 matrix in 16.16 and 2.30 fixed point (§6.2.2).
const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Rates and gains of 1 in 16.16 and 8.8 fixed point.
const ONE_16_16: u32 = 0x1_0000;
const ONE_8_8: u16 = 0x100;

/// Ticks a second of `mvhd`. Nothing is counted in it: the movie has no samples of its own.
const MOVIE_TIMESCALE: u32 = 1000;

/// Appends an init segment with `tracks` to `out`: `ftyp`, and `moov` with `mvex`.
///
/// A single track makes a CMAF header (ISO/IEC 23000-19 §7.3.1), which the brands `cmfc` and `cmf2` say; more than one
/// is no CMAF track, and the brands say fragmented MP4 only.
///
/// Fails when a codec is not supported, when a configuration or frame is damaged, or when what a sample entry needs is
/// not known yet; `out` is then as it was.
pub fn write_init(tracks: &[Track<'_>], out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let result = write_all(tracks, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn write_all(tracks: &[Track<'_>], out: &mut Vec<u8>) -> Result<(), Error> {
    write(out, b"ftyp", |out| file_type(tracks, out));
    write(out, b"moov", |out| {
        let next = tracks
            .iter()
            .map(|track| track.id)
            .max()
            .unwrap_or_default();
        write_full(out, b"mvhd", 0, 0, |out| {
            movie_header(next.saturating_add(1), out)
        });
        for track in tracks {
            let entry = Entry::of(track)?;
            write(out, b"trak", |out| track_box(track, &entry, out));
        }
        write(out, b"mvex", |out| {
            for track in tracks {
                // Defaults are all in the fragments, as `cmf2` has it; the entry's number only has no other place.
                write_full(out, b"trex", 0, 0, |out| {
                    for value in [track.id, 1, 0, 0, 0] {
                        put_u32(out, value);
                    }
                });
            }
        });
        Ok(())
    })
}

/// §4.3. `iso6` is the first brand with `default-base-is-moof` and signed composition offsets.
fn file_type(tracks: &[Track<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(b"iso6");
    put_u32(out, 0);
    out.extend_from_slice(b"iso6");
    if tracks.len() == 1 {
        out.extend_from_slice(b"cmfccmf2");
    }
    out.extend_from_slice(b"dash");
    // AV1 in ISOBMFF §2.1: files with such tracks shall say so.
    let is_av1 = |track: &Track<'_>| track.codec == Codec::Video(VideoCodec::Av1);
    if tracks.iter().any(is_av1) {
        out.extend_from_slice(b"av01");
    }
}

/// §8.2.2.
fn movie_header(next_track: u32, out: &mut Vec<u8>) {
    put_u64(out, 0); // creation and modification time
    put_u32(out, MOVIE_TIMESCALE);
    put_u32(out, 0); // duration: unknown
    put_u32(out, ONE_16_16); // rate
    put_u16(out, ONE_8_8); // volume
    out.extend_from_slice(&[0; 10]); // reserved
    for value in UNITY_MATRIX {
        put_u32(out, value);
    }
    out.extend_from_slice(&[0; 24]); // pre_defined
    put_u32(out, next_track);
}

fn track_box(track: &Track<'_>, entry: &Entry, out: &mut Vec<u8>) {
    let size = entry.size();
    // enabled and in the movie
    write_full(out, b"tkhd", 0, 3, |out| track_header(track.id, size, out));
    write(out, b"mdia", |out| {
        write_full(out, b"mdhd", 0, 0, |out| {
            put_u64(out, 0); // creation and modification time
            put_u32(out, track.timescale);
            put_u32(out, 0); // duration: unknown
            put_u16(out, LANGUAGE_UNKNOWN);
            put_u16(out, 0); // pre_defined
        });
        write_full(out, b"hdlr", 0, 0, |out| {
            let (kind, name) = match size {
                Some(_) => (b"vide", &b"video\0"[..]),
                None => (b"soun", &b"audio\0"[..]),
            };
            put_u32(out, 0); // pre_defined
            out.extend_from_slice(kind);
            out.extend_from_slice(&[0; 12]); // reserved
            out.extend_from_slice(name);
        });
        write(out, b"minf", |out| media_information(entry, out));
    });
}

/// §8.3.2; `size` is that of the picture, none for sound.
fn track_header(id: u32, size: Option<(u16, u16)>, out: &mut Vec<u8>) {
    put_u64(out, 0); // creation and modification time
    put_u32(out, id);
    put_u32(out, 0); // reserved
    put_u32(out, 0); // duration: unknown
    put_u64(out, 0); // reserved
    put_u32(out, 0); // layer, alternate_group
    put_u16(out, if size.is_some() { 0 } else { ONE_8_8 }); // volume
    put_u16(out, 0); // reserved
    for value in UNITY_MATRIX {
        put_u32(out, value);
    }
    let (width, height) = size.unwrap_or_default();
    put_u32(out, u32::from(width) << 16);
    put_u32(out, u32::from(height) << 16);
}

/// §8.4.4: the media's own header, a data reference to the file itself, and empty tables.
fn media_information(entry: &Entry, out: &mut Vec<u8>) {
    match entry.size() {
        Some(_) => write_full(out, b"vmhd", 0, 1, |out| out.extend_from_slice(&[0; 8])),
        None => write_full(out, b"smhd", 0, 0, |out| out.extend_from_slice(&[0; 4])),
    }
    write(out, b"dinf", |out| {
        write_full(out, b"dref", 0, 0, |out| {
            put_u32(out, 1);
            write_full(out, b"url ", 0, 1, |_| {});
        });
    });
    write(out, b"stbl", |out| {
        write_full(out, b"stsd", 0, 0, |out| {
            put_u32(out, 1);
            entry.write(out);
        });
        write_full(out, b"stts", 0, 0, |out| put_u32(out, 0));
        write_full(out, b"stsc", 0, 0, |out| put_u32(out, 0));
        write_full(out, b"stsz", 0, 0, |out| put_u64(out, 0));
        write_full(out, b"stco", 0, 0, |out| put_u32(out, 0));
    });
}
