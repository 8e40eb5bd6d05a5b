//! Packets of 188 bytes: header, adaptation field, payload (§2.4.3).
//!
//! Owns: reading one packet, and cutting a PES packet or a section into packets. Does not: count continuity across
//! packets, or find where packets begin.

use super::PACKET_BYTES;
use super::clock;

/// What every packet begins with.
pub(super) const SYNC: u8 = 0x47;

/// The PID of packets that mean nothing (table 2-3).
pub(super) const NULL_PID: u16 = 0x1fff;

/// Bytes of the header in front of adaptation field and payload.
const HEADER_BYTES: usize = 4;

/// A packet as read. Fields that nothing here needs are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// `transport_error_indicator`: damaged on the way.
    pub(super) is_damaged: bool,
    /// `payload_unit_start_indicator`: a PES packet or a section begins in it.
    pub(super) is_start: bool,
    pub(super) is_scrambled: bool,
    pub(super) continuity: u8,
    /// `discontinuity_indicator` of the adaptation field.
    pub(super) is_discontinuous: bool,
    /// None in packets of adaptation field only.
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet, whose sync byte has been seen. `None` when its adaptation field overruns it.
    pub(super) fn read(bytes: &'a [u8; PACKET_BYTES]) -> Option<Self> {
        let [_, high, low, control, rest @ ..] = bytes;
        let mut packet = Self {
            pid: u16::from(high & 0x1f) << 8 | u16::from(*low),
            is_damaged: high & 0x80 != 0,
            is_start: high & 0x40 != 0,
            is_scrambled: control & 0xc0 != 0,
            continuity: control & 0x0f,
            is_discontinuous: false,
            payload: None,
        };
        let mut rest = &rest[..];
        if control & 0x20 != 0 {
            let (length, behind) = rest.split_first()?;
            let (field, payload) = behind.split_at_checked((*length).into())?;
            packet.is_discontinuous = field.first().is_some_and(|flags| flags & 0x80 != 0);
            rest = payload;
        }
        if control & 0x10 != 0 {
            packet.payload = Some(rest);
        }
        Some(packet)
    }
}

/// What the adaptation field of a packet says (§2.4.3.4).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Adaptation {
    /// `discontinuity_indicator`: the clock or the counters begin anew.
    pub(super) is_discontinuous: bool,
    /// `random_access_indicator`: decoding can begin here.
    pub(super) is_random_access: bool,
    /// The program clock in ticks of 90 kHz, not wrapped.
    pub(super) pcr: Option<i64>,
}

impl Adaptation {
    /// Bytes behind the length byte; 0 when there is nothing to say.
    fn bytes(self) -> usize {
        match (self.pcr, self.flags()) {
            (Some(_), _) => 7,
            (None, 0) => 0,
            (None, _) => 1,
        }
    }

    fn flags(self) -> u8 {
        u8::from(self.is_discontinuous) << 7
            | u8::from(self.is_random_access) << 6
            | u8::from(self.pcr.is_some()) << 4
    }

    /// Appends a field of `length` bytes behind its length byte, filled up with stuffing.
    fn write(self, length: usize, out: &mut Vec<u8>) {
        out.push(length as u8);
        if length == 0 {
            return;
        }
        let end = out.len().saturating_add(length);
        out.push(self.flags());
        if let Some(pcr) = self.pcr {
            // 33 bits of base, 6 reserved, 9 bits of extension, which is 0: the base is exact enough
            let bits = clock::wire(pcr) << 15 | 0x7e00;
            let [_, _, bytes @ ..] = bits.to_be_bytes();
            out.extend_from_slice(&bytes);
        }
        out.resize(end, 0xff);
    }
}

/// Appends the header of a packet. `control` is `adaptation_field_control`.
fn write_header(pid: u16, is_start: bool, control: u8, continuity: u8, out: &mut Vec<u8>) {
    let [high, low] = (pid & 0x1fff).to_be_bytes();
    let start = u8::from(is_start) << 6;
    out.extend_from_slice(&[SYNC, start | high, low, control << 4 | continuity & 0x0f]);
}

/// Appends a packet that carries the clock and nothing else. It repeats the counter of the packet before it (§2.4.3.3).
pub(super) fn write_clock(pid: u16, continuity: u8, adaptation: Adaptation, out: &mut Vec<u8>) {
    write_header(pid, false, 2, continuity, out);
    adaptation.write(PACKET_BYTES - HEADER_BYTES - 1, out);
}

/// Appends `data`, the whole of a PES packet, in as many packets as it needs. `adaptation` goes into the first; what does
/// not fill the last is stuffed in an adaptation field. `continuity` is the next counter and is moved on.
pub(super) fn write_pes(
    pid: u16,
    continuity: &mut u8,
    adaptation: Adaptation,
    mut data: &[u8],
    out: &mut Vec<u8>,
) {
    let mut adaptation = adaptation;
    let mut is_start = true;
    let room = PACKET_BYTES - HEADER_BYTES;
    out.reserve((data.len() / room + 2) * PACKET_BYTES);
    while !data.is_empty() {
        let wanted = adaptation.bytes();
        let field = if wanted == 0 { 0 } else { wanted + 1 };
        let taken = data.len().min(room - field);
        // the field grows by what the data leaves free; a field of one byte is a length of 0
        let field = room - taken;
        write_header(
            pid,
            is_start,
            if field == 0 { 1 } else { 3 },
            *continuity,
            out,
        );
        if field > 0 {
            adaptation.write(field - 1, out);
        }
        let (now, later) = data.split_at(taken);
        out.extend_from_slice(now);
        data = later;
        *continuity = (*continuity + 1) & 0x0f;
        adaptation = Adaptation::default();
        is_start = false;
    }
}

/// Appends a section in as many packets as it needs, from the start of a packet (§2.4.4).
pub(super) fn write_section(pid: u16, continuity: &mut u8, section: &[u8], out: &mut Vec<u8>) {
    let mut data = section;
    let mut is_start = true;
    while !data.is_empty() {
        let end = out.len().saturating_add(PACKET_BYTES);
        write_header(pid, is_start, 1, *continuity, out);
        if is_start {
            // pointer_field: the section begins at once
            out.push(0);
        }
        let taken = data.len().min(end.saturating_sub(out.len()));
        let (now, later) = data.split_at(taken);
        out.extend_from_slice(now);
        out.resize(end, 0xff);
        data = later;
        *continuity = (*continuity + 1) & 0x0f;
        is_start = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(out: &[u8]) -> Vec<Packet<'_>> {
        let (packets, rest) = out.as_chunks();
        assert!(rest.is_empty());
        assert!(packets.iter().all(|packet| packet[0] == SYNC));
        packets
            .iter()
            .map(|packet| Packet::read(packet).unwrap())
            .collect()
    }

    #[test]
    fn a_clock_is_written_as_the_standard_lays_it_out() {
        let mut out = Vec::new();
        let adaptation = Adaptation {
            is_discontinuous: true,
            is_random_access: false,
            pcr: Some((1 << 33) + 3),
        };
        write_clock(0x100, 9, adaptation, &mut out);
        assert_eq!(out.len(), PACKET_BYTES);
        assert_eq!(out[..6], [0x47, 0x01, 0x00, 0x29, 183, 0x90]);
        assert_eq!(out[6..12], [0, 0, 0, 1, 0xfe, 0]);
        assert!(out[12..].iter().all(|byte| *byte == 0xff));
        let packet = packets(&out)[0];
        assert_eq!((packet.payload, packet.is_discontinuous), (None, true));
    }

    #[test]
    fn an_adaptation_field_that_overruns_is_no_packet() {
        let mut bytes = [0; PACKET_BYTES];
        bytes[3] = 0x30;
        bytes[4] = 184;
        assert_eq!(Packet::read(&bytes), None);
        bytes[4] = 183;
        assert_eq!(Packet::read(&bytes).unwrap().payload, Some(&[][..]));
    }

    proptest! {
        #[test]
        fn data_of_any_length_is_cut_and_stuffed(
            length in 1usize..800, pcr: bool, random: bool, first in 0u8..16,
        ) {
            let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let adaptation = Adaptation {
                is_discontinuous: false,
                is_random_access: random,
                pcr: pcr.then_some(1234),
            };
            let mut continuity = first;
            let mut out = Vec::new();
            write_pes(0x101, &mut continuity, adaptation, &data, &mut out);
            let packets = packets(&out);
            let payload: Vec<u8> = packets.iter().flat_map(|packet| packet.payload.unwrap()).copied().collect();
            prop_assert_eq!(payload, data);
            for (at, packet) in packets.iter().enumerate() {
                prop_assert_eq!((packet.pid, packet.is_start), (0x101, at == 0));
                prop_assert_eq!(usize::from(packet.continuity), (usize::from(first) + at) % 16);
            }
            prop_assert_eq!(usize::from(continuity), (usize::from(first) + packets.len()) % 16);
        }

        #[test]
        fn sections_of_any_length_are_cut(length in 1usize..600) {
            let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut out = Vec::new();
            write_section(0, &mut 0, &data, &mut out);
            let payload: Vec<u8> = packets(&out).iter().flat_map(|packet| packet.payload.unwrap()).copied().collect();
            prop_assert_eq!(payload[0], 0);
            prop_assert!(payload[1..].starts_with(&data));
            prop_assert!(payload[1 + length..].iter().all(|byte| *byte == 0xff));
        }
    }
}
