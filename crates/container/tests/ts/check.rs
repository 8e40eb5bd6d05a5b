//! A checker of transport streams, which shares no code with what it checks.
//!
//! Owns: sync bytes, continuity counters, check sums, the distance of clocks and tables (TR 101 290, first and second
//! priority). Does not: look into elementary streams.

use std::collections::BTreeMap;

/// Bounds of TR 101 290, in ticks of 90 kHz.
const CLOCK_EVERY: i64 = 9_000;
const TABLES_EVERY: i64 = 45_000;

#[derive(Default)]
struct Seen {
    counters: BTreeMap<u16, u8>,
    clock: Option<i64>,
    clocks: usize,
    tables: BTreeMap<u16, Option<i64>>,
    faults: Vec<String>,
}

/// What is wrong with a stream; nothing if it is in order. `pmt_pid` is where its PMT must be.
pub(crate) fn faults(stream: &[u8], pmt_pid: u16) -> Vec<String> {
    let mut seen = Seen::default();
    if !stream.len().is_multiple_of(188) {
        seen.faults
            .push(format!("{} bytes are no whole packets", stream.len()));
    }
    for (at, packet) in stream.chunks_exact(188).enumerate() {
        check(&mut seen, packet, pmt_pid, at);
    }
    for pid in [0, pmt_pid] {
        if !seen.tables.contains_key(&pid) {
            seen.faults.push(format!("no table on {pid:#x}"));
        }
    }
    if seen.clocks == 0 {
        seen.faults.push("no clock".to_owned());
    }
    seen.faults
}

fn check(seen: &mut Seen, packet: &[u8], pmt_pid: u16, at: usize) {
    if packet[0] != 0x47 {
        return seen.faults.push(format!("packet {at}: no sync byte"));
    }
    let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
    let field = if has_field { usize::from(packet[4]) } else { 0 };
    if has_field && (field > 183 || (has_payload && field > 182) || (!has_payload && field != 183))
    {
        return seen
            .faults
            .push(format!("packet {at}: adaptation field of {field}"));
    }
    let flags = if field > 0 { packet[5] } else { 0 };
    let is_discontinuous = flags & 0x80 != 0;
    check_counter(
        seen,
        pid,
        packet[3] & 0x0f,
        has_payload,
        is_discontinuous,
        at,
    );
    if flags & 0x10 != 0 {
        let base = packet[6..10]
            .iter()
            .fold(0i64, |base, byte| base << 8 | i64::from(*byte));
        check_clock(
            seen,
            base << 1 | i64::from(packet[10] >> 7),
            is_discontinuous,
            at,
        );
    }
    let start = if has_field { 5 + field } else { 4 };
    let payload = if has_payload { &packet[start..] } else { &[] };
    if (pid == 0 || pid == pmt_pid) && packet[1] & 0x40 != 0 {
        check_table(seen, pid, payload, at);
    }
}

fn check_counter(seen: &mut Seen, pid: u16, counter: u8, counts: bool, jumps: bool, at: usize) {
    let expected = seen
        .counters
        .get(&pid)
        .map(|last| if counts { (last + 1) & 0x0f } else { *last });
    if expected.is_some_and(|expected| expected != counter) && !jumps {
        seen.faults
            .push(format!("packet {at}: counter of {pid:#x} is {counter}"));
    }
    seen.counters.insert(pid, counter);
}

fn check_clock(seen: &mut Seen, wire: i64, jumps: bool, at: usize) {
    let wrap = 1i64 << 33;
    if let Some(last) = seen.clock.filter(|_| !jumps) {
        let step = (wire - last).rem_euclid(wrap);
        if step == 0 || step > CLOCK_EVERY {
            seen.faults
                .push(format!("packet {at}: clock after {step} ticks"));
        }
    }
    seen.clock = Some(wire);
    seen.clocks += 1;
    let late = |last: &Option<i64>| {
        last.is_some_and(|last| (wire - last).rem_euclid(wrap) > TABLES_EVERY) && !jumps
    };
    if seen.tables.values().any(late) {
        seen.faults.push(format!("packet {at}: tables are late"));
        seen.tables.values_mut().for_each(|last| *last = Some(wire));
    }
    // tables before the first clock count from it
    seen.tables
        .values_mut()
        .filter(|last| last.is_none() || jumps)
        .for_each(|last| *last = Some(wire));
}

fn check_table(seen: &mut Seen, pid: u16, payload: &[u8], at: usize) {
    let clock = seen.clock;
    seen.tables.insert(pid, clock);
    let section = &payload[1 + usize::from(payload[0])..];
    let length = 3 + usize::from(u16::from_be_bytes([section[1] & 0x0f, section[2]]));
    let Some(section) = section.get(..length) else {
        return seen
            .faults
            .push(format!("packet {at}: a table over two packets"));
    };
    let mut crc = u32::MAX;
    for byte in section {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            };
        }
    }
    if crc != 0 {
        seen.faults
            .push(format!("packet {at}: check sum of {pid:#x}"));
    }
}
