//! Program specific information: PAT and PMT (§2.4.4), and the check sum of their sections (annex A).
//!
//! Owns: building both tables, gathering sections from packets, reading both. Does not: keep versions, or know codecs.

use super::packet::NULL_PID;

/// The PID of the program association table.
pub(super) const PAT_PID: u16 = 0;

/// `table_id` of either table (table 2-31).
const PAT: u8 = 0;
const PMT: u8 = 2;

/// Longest section of these tables, header included: `section_length` is at most 1021 (§2.4.4.4, §2.4.4.9).
pub(super) const MAX_SECTION_BYTES: usize = 1024;

/// Bytes in front of `section_length`'s count.
const LENGTH_END: usize = 3;

/// Bytes of the check sum.
const CRC_BYTES: usize = 4;

/// CRC-32/MPEG-2 of `bytes`; over a section with its check sum it is 0. Tables are short and rare, so bit by bit will do.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            let polynomial = if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            crc << 1 ^ polynomial
        })
    })
}

/// An elementary stream to be announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced<'a> {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
    pub(super) descriptors: &'a [u8],
}

/// The PAT of a stream with one program.
pub(super) fn pat(program: u16, pmt_pid: u16) -> Vec<u8> {
    let [program_high, program_low] = program.to_be_bytes();
    let [pid_high, pid_low] = pmt_pid.to_be_bytes();
    let body = [program_high, program_low, 0xe0 | pid_high, pid_low];
    // the transport stream's id, of no meaning outside of broadcasting
    section(PAT, 1, 0, &body)
}

/// The PMT of a program. `pcr_pid` is [`NULL_PID`] for a program without streams.
pub(super) fn pmt(program: u16, version: u8, pcr_pid: u16, streams: &[Announced<'_>]) -> Vec<u8> {
    let [high, low] = pcr_pid.to_be_bytes();
    let mut body = vec![0xe0 | high, low, 0xf0, 0];
    for stream in streams {
        let [high, low] = stream.pid.to_be_bytes();
        let [length_high, length_low] = (stream.descriptors.len() as u16).to_be_bytes();
        body.extend([stream.stream_type, 0xe0 | high, low]);
        body.extend([0xf0 | length_high & 0x0f, length_low]);
        body.extend_from_slice(stream.descriptors);
    }
    section(PMT, program, version, &body)
}

/// One section, current, the only one of its table.
fn section(table: u8, id: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 5 + CRC_BYTES;
    let [length_high, length_low] = (length as u16).to_be_bytes();
    let [id_high, id_low] = id.to_be_bytes();
    let mut section = vec![
        table,
        0xb0 | length_high & 0x0f,
        length_low,
        id_high,
        id_low,
    ];
    section.extend([0xc1 | version << 1, 0, 0]);
    section.extend_from_slice(body);
    let crc = crc32(&section);
    section.extend(crc.to_be_bytes());
    section
}

/// Gathers the sections of one PID. Holds at most [`MAX_SECTION_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Assembler {
    bytes: Vec<u8>,
    is_open: bool,
}

impl Assembler {
    /// Forgets what has come: a packet is missing.
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        self.is_open = false;
    }

    /// Takes the payload of a packet and gives each section that it completes to `take`.
    pub(super) fn push(&mut self, payload: &[u8], is_start: bool, mut take: impl FnMut(&[u8])) {
        let mut rest = payload;
        if is_start {
            let Some((pointer, behind)) = payload.split_first() else {
                return;
            };
            let Some((before, begin)) = behind.split_at_checked((*pointer).into()) else {
                return self.reset();
            };
            if self.is_open {
                self.extend(before, &mut take);
            }
            self.bytes.clear();
            self.is_open = true;
            rest = begin;
        }
        while self.is_open && !rest.is_empty() {
            // stuffing stands where a table_id would (§2.4.4.2)
            if self.bytes.is_empty() && rest.first() == Some(&0xff) {
                return self.reset();
            }
            rest = self.extend(rest, &mut take);
        }
    }

    /// Appends from the front of `input` what the section lacks; gives what is left.
    fn extend<'a>(&mut self, input: &'a [u8], take: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let mut rest = input;
        loop {
            let wanted = match self.bytes.first_chunk() {
                None => LENGTH_END,
                Some([_, high, low]) => {
                    let length = u16::from_be_bytes([high & 0x0f, *low]);
                    LENGTH_END + usize::from(length)
                }
            };
            if wanted > MAX_SECTION_BYTES {
                self.reset();
                return &[];
            }
            let missing = wanted.saturating_sub(self.bytes.len()).min(rest.len());
            let (now, later) = rest.split_at(missing);
            self.bytes.extend_from_slice(now);
            rest = later;
            if self.bytes.len() < wanted {
                return rest;
            }
            if wanted > LENGTH_END {
                take(&self.bytes);
                self.bytes.clear();
                return rest;
            }
            if self.bytes.len() == LENGTH_END && rest.is_empty() {
                return rest;
            }
            // the length is known now; one of 0 is no section of ours
            if matches!(self.bytes.get(1..), Some([high, 0]) if high & 0x0f == 0) {
                self.bytes.clear();
                return rest;
            }
        }
    }
}

/// A section's contents as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Table {
    /// A PAT, or a part of one: the PIDs of its programs' PMTs by number.
    Programs {
        is_whole: bool,
        programs: Vec<(u16, u16)>,
    },
    /// A PMT.
    Program { number: u16, streams: Vec<Stream> },
    /// Lawful, and nothing to act on: another table, or one that is not current yet.
    Other,
}

/// An elementary stream of a PMT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
    pub(super) descriptors: Vec<u8>,
}

/// Reads a section. `None` when its check sum is wrong or its lengths are.
pub(super) fn read(section: &[u8]) -> Option<Table> {
    let table = *section.first()?;
    if table != PAT && table != PMT {
        return Some(Table::Other);
    }
    if section.len() > MAX_SECTION_BYTES || crc32(section) != 0 {
        return None;
    }
    let content = section.get(LENGTH_END..section.len().checked_sub(CRC_BYTES)?)?;
    let (head, body) = content.split_first_chunk::<5>()?;
    let [id_high, id_low, version, _, last_section] = *head;
    if version & 1 == 0 {
        return Some(Table::Other);
    }
    if table == PAT {
        let (entries, _) = body.as_chunks::<4>();
        let programs = entries
            .iter()
            .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), pid(*c, *d)))
            // program 0 names the network information table
            .filter(|(number, pid)| *number != 0 && *pid != PAT_PID && *pid != NULL_PID)
            .collect();
        return Some(Table::Programs {
            is_whole: last_section == 0,
            programs,
        });
    }
    Some(Table::Program {
        number: u16::from_be_bytes([id_high, id_low]),
        streams: streams(body)?,
    })
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

/// The streams of a PMT, from its `PCR_PID` on.
fn streams(body: &[u8]) -> Option<Vec<Stream>> {
    let (head, rest) = body.split_first_chunk::<4>()?;
    let [_, _, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high & 0x0f, low]));
    let mut rest = rest.get(length..)?;
    let mut streams = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<5>() {
        let [stream_type, pid_high, pid_low, high, low] = *head;
        let length = usize::from(u16::from_be_bytes([high & 0x0f, low]));
        let (descriptors, later) = behind.split_at_checked(length)?;
        streams.push(Stream {
            stream_type,
            pid: pid(pid_high, pid_low),
            descriptors: descriptors.to_vec(),
        });
        rest = later;
    }
    Some(streams)
}

/// The descriptors of a stream: tag and content of each (§2.6). Ends at the first that overruns.
pub(super) fn descriptors(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ([tag, length], behind) = rest.split_first_chunk::<2>()?;
        let (content, later) = behind.split_at_checked((*length).into())?;
        rest = later;
        Some((*tag, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// PAT and PMT of ffmpeg 5.1 (`-f mpegts`): H.264 on 0x100, AAC on 0x101.
    const FFMPEG_PAT: [u8; 16] = [
        0x00, 0xb0, 0x0d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0x00, 0x01, 0xf0, 0x00, 0x2a, 0xb1, 0x04,
        0xb2,
    ];
    const FFMPEG_PMT: [u8; 32] = [
        0x02, 0xb0, 0x1d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0xe1, 0x00, 0xf0, 0x00, 0x1b, 0xe1, 0x00,
        0xf0, 0x00, 0x0f, 0xe1, 0x01, 0xf0, 0x06, 0x0a, 0x04, 0x75, 0x6e, 0x64, 0x00, 0x08, 0x7d,
        0xe8, 0x77,
    ];

    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn tables_of_ffmpeg_are_read_and_written() {
        assert_eq!(pat(1, 0x1000), FFMPEG_PAT);
        let streams = [
            Announced {
                stream_type: 0x1b,
                pid: 0x100,
                descriptors: &[],
            },
            Announced {
                stream_type: 0x0f,
                pid: 0x101,
                descriptors: &[0x0a, 4, 0x75, 0x6e, 0x64, 0],
            },
        ];
        assert_eq!(pmt(1, 0, 0x100, &streams), FFMPEG_PMT);
        let programs = vec![(1, 0x1000)];
        assert_eq!(
            read(&FFMPEG_PAT),
            Some(Table::Programs {
                is_whole: true,
                programs
            })
        );
        let Some(Table::Program { number: 1, streams }) = read(&FFMPEG_PMT) else {
            panic!("no PMT");
        };
        assert_eq!((streams[1].stream_type, streams[1].pid), (0x0f, 0x101));
        let found: Vec<_> = descriptors(&streams[1].descriptors).collect();
        assert_eq!(found, [(0x0a, &b"und\0"[..])]);
    }

    #[test]
    fn damage_and_tables_to_come_are_told_apart() {
        for at in 1..FFMPEG_PAT.len() {
            let mut damaged = FFMPEG_PAT;
            damaged[at] ^= 0x10;
            assert_eq!(read(&damaged), None, "{at}");
        }
        let mut next = FFMPEG_PAT[..12].to_vec();
        next[5] = 0xc0;
        next.extend(crc32(&next).to_be_bytes());
        assert_eq!(read(&next), Some(Table::Other));
        assert_eq!(read(&[0x42, 0xf0]), Some(Table::Other));
    }

    fn gathered(payloads: &[(&[u8], bool)]) -> Vec<Vec<u8>> {
        let mut assembler = Assembler::default();
        let mut sections = Vec::new();
        for (payload, is_start) in payloads {
            assembler.push(payload, *is_start, |section| {
                sections.push(section.to_vec())
            });
        }
        sections
    }

    #[test]
    fn sections_are_found_behind_pointers_and_before_stuffing() {
        let two = [&[0][..], &FFMPEG_PAT, &FFMPEG_PMT, &[0xff; 9]].concat();
        assert_eq!(
            gathered(&[(&two, true)]),
            [FFMPEG_PAT.to_vec(), FFMPEG_PMT.to_vec()]
        );
        // the end of one stands before the start of the next
        let first = [&[0][..], &FFMPEG_PMT[..20]].concat();
        let second = [&[12][..], &FFMPEG_PMT[20..], &FFMPEG_PAT].concat();
        let sections = gathered(&[(&first, true), (&second, true)]);
        assert_eq!(sections, [FFMPEG_PMT.to_vec(), FFMPEG_PAT.to_vec()]);
        // what has no start is no section; nor is what a pointer overruns
        assert!(gathered(&[(&FFMPEG_PAT, false)]).is_empty());
        assert!(gathered(&[(&[200, 0, 1], true), (&FFMPEG_PAT, false)]).is_empty());
    }

    proptest! {
        #[test]
        fn a_section_survives_any_cut(cuts in proptest::collection::vec(0usize..40, 1..30)) {
            let whole = [&[0][..], &FFMPEG_PMT].concat();
            let mut rest = &whole[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                // a first packet without a byte of payload would say nothing
                if !piece.is_empty() {
                    pieces.push((piece, pieces.is_empty()));
                }
                rest = later;
            }
            pieces.push((rest, pieces.is_empty()));
            prop_assert_eq!(gathered(&pieces), [FFMPEG_PMT.to_vec()]);
        }

        #[test]
        fn any_payloads_are_bounded(payloads: Vec<(Vec<u8>, bool)>) {
            let mut assembler = Assembler::default();
            for (payload, is_start) in payloads {
                assembler.push(&payload, is_start, |section| {
                    assert!(section.len() <= MAX_SECTION_BYTES);
                    read(section);
                });
                prop_assert!(assembler.bytes.len() <= MAX_SECTION_BYTES);
            }
        }
    }
}
