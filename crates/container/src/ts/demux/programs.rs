//! The programs of a stream, and the gathering of their tables.
//!
//! Owns: which PIDs carry tables, and which program is read. Does not: know codecs.

use crate::ts::packet::Packet;
use crate::ts::psi::{self, Assembler, Table};

/// Most programs whose PMT is looked at. A satellite's multiplex has 5 to 30, a publisher's stream one; each costs a
/// section of 1 KiB.
const MAX_PROGRAMS: usize = 64;

/// Most tables that one packet can complete: the shortest section is 12 bytes.
const MAX_TABLES_A_PACKET: usize = 16;

/// The sections of one PID.
#[derive(Debug, Default)]
pub(super) struct Sections {
    assembler: Assembler,
    continuity: Option<u8>,
}

impl Sections {
    /// Takes a packet and gives the tables it completes; damaged ones are counted in `faults`.
    pub(super) fn take_packet(&mut self, packet: &Packet<'_>, faults: &mut u64) -> Vec<Table> {
        let Some(payload) = packet.payload.filter(|_| !packet.is_scrambled) else {
            return Vec::new();
        };
        let last = self.continuity.replace(packet.continuity);
        // some writers never count their tables up, and a table that comes twice does no harm
        if last == Some(packet.continuity) && !packet.is_start {
            return Vec::new();
        }
        if last.is_some_and(|last| packet.continuity != (last + 1) & 0x0f) {
            self.assembler.reset();
        }
        let mut tables = Vec::new();
        self.assembler.push(payload, packet.is_start, |section| {
            match psi::read(section) {
                None => *faults += 1,
                Some(Table::Other) => {}
                Some(table) if tables.len() < MAX_TABLES_A_PACKET => tables.push(table),
                Some(_) => *faults += 1,
            }
        });
        tables
    }
}

#[derive(Debug)]
struct Program {
    number: u16,
    pid: u16,
}

/// The programs of the PAT, and which of them is read.
#[derive(Debug, Default)]
pub(super) struct Programs {
    programs: Vec<Program>,
    /// The sections of each PID that carries a PMT; programs may share one.
    sections: Vec<(u16, Sections)>,
    chosen: Option<u16>,
}

impl Programs {
    /// Takes the list of a PAT, whole or a part of it. True when the program that was read is no longer there.
    pub(super) fn update(&mut self, listed: &[(u16, u16)], is_whole: bool) -> bool {
        if is_whole {
            self.programs
                .retain(|it| listed.contains(&(it.number, it.pid)));
        }
        for (number, pid) in listed {
            self.programs
                .retain(|it| it.number != *number || it.pid == *pid);
            let is_new = self.programs.iter().all(|it| it.number != *number);
            if is_new && self.programs.len() < MAX_PROGRAMS {
                self.programs.push(Program {
                    number: *number,
                    pid: *pid,
                });
            }
        }
        let programs = &self.programs;
        self.sections
            .retain(|(pid, _)| programs.iter().any(|it| it.pid == *pid));
        for program in &self.programs {
            if self.sections.iter().all(|(pid, _)| *pid != program.pid) {
                self.sections.push((program.pid, Sections::default()));
            }
        }
        let is_lost = self
            .chosen
            .is_some_and(|chosen| self.programs.iter().all(|it| it.number != chosen));
        if is_lost {
            self.chosen = None;
        }
        is_lost
    }

    /// The sections of a PID; `None` when no PMT is expected on it.
    pub(super) fn sections(&mut self, pid: u16) -> Option<&mut Sections> {
        let found = self.sections.iter_mut().find(|(it, _)| *it == pid);
        found.map(|(_, sections)| sections)
    }

    /// Whether a PMT of program `number` on `pid` is to be acted on: it is the one that is read, or none is yet.
    pub(super) fn is_read(&self, number: u16, pid: u16) -> bool {
        let is_listed = |it: &Program| it.number == number && it.pid == pid;
        self.programs.iter().any(is_listed) && self.chosen.is_none_or(|chosen| chosen == number)
    }

    /// Reads this program from now on; `None` waits for one.
    pub(super) fn choose(&mut self, number: Option<u16>) {
        self.chosen = number;
    }
}
