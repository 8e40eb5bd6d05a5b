//! What the kernel says of the whole machine, from `/proc` (proc(5)).
//!
//! Owns: reading the few numbers that the summary shows. Does not: keep history. Where a file is missing, as on other
//! systems than Linux, its numbers are 0.

use std::fs::read_to_string;

/// CPU time of all CPUs since boot, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    /// Not idle.
    pub(super) busy: u64,
    /// All.
    pub(super) total: u64,
}

impl CpuTime {
    /// Reads `/proc/stat`.
    pub(super) fn read() -> Self {
        Self::parse(&read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(stat: &str) -> Self {
        // user nice system idle iowait irq softirq steal; guest times are part of the first two
        let ticks: Vec<u64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))
            .map(|line| line.split_whitespace().take(8).map(number).collect())
            .unwrap_or_default();
        let total = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self {
            busy: total - idle,
            total,
        }
    }
}

/// Memory, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`.
    pub(super) fn read() -> Self {
        Self::parse(&read_to_string("/proc/meminfo").unwrap_or_default())
    }

    fn parse(meminfo: &str) -> Self {
        let value = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next())
                .map_or(0, number)
        };
        Self {
            total: value("MemTotal:"),
            available: value("MemAvailable:"),
            swap_total: value("SwapTotal:"),
            swap_free: value("SwapFree:"),
        }
    }
}

/// Bytes over network interfaces since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Network {
    /// Received and sent over all interfaces but the loopback.
    pub(super) outside: (u64, u64),
    /// Received and sent over the loopback.
    pub(super) loopback: (u64, u64),
}

impl Network {
    /// Reads `/proc/net/dev`.
    pub(super) fn read() -> Self {
        Self::parse(&read_to_string("/proc/net/dev").unwrap_or_default())
    }

    fn parse(dev: &str) -> Self {
        let mut network = Self::default();
        for (name, counters) in dev.lines().filter_map(|line| line.split_once(':')) {
            let mut counters = counters.split_whitespace().map(number);
            // bytes are the first of eight counters received and the first of those sent
            let (received, sent) = (counters.next(), counters.nth(7));
            let sum = match name.trim() {
                "lo" => &mut network.loopback,
                _ => &mut network.outside,
            };
            sum.0 += received.unwrap_or(0);
            sum.1 += sent.unwrap_or(0);
        }
        network
    }
}

/// Sockets of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sockets {
    /// TCP sockets in use.
    pub(super) tcp: u64,
    /// TCP connections in the state TIME-WAIT.
    pub(super) time_wait: u64,
    /// UDP sockets in use.
    pub(super) udp: u64,
}

impl Sockets {
    /// Reads `/proc/net/sockstat`; IPv4 and, for TIME-WAIT, IPv6 too.
    pub(super) fn read() -> Self {
        Self::parse(&read_to_string("/proc/net/sockstat").unwrap_or_default())
    }

    fn parse(sockstat: &str) -> Self {
        let value = |protocol: &str, name: &str| {
            let line = sockstat
                .lines()
                .find_map(|line| line.strip_prefix(protocol));
            let mut words = line.unwrap_or_default().split_whitespace();
            words.find(|word| *word == name);
            words.next().map_or(0, number)
        };
        Self {
            tcp: value("TCP:", "inuse"),
            time_wait: value("TCP:", "tw"),
            udp: value("UDP:", "inuse"),
        }
    }
}

/// The load averages over 1, 5 and 15 minutes.
pub(super) fn load() -> [f64; 3] {
    numbers(&read_to_string("/proc/loadavg").unwrap_or_default())
}

/// Seconds since boot, and seconds that all CPUs have been idle since, added up.
pub(super) fn uptime() -> [f64; 2] {
    numbers(&read_to_string("/proc/uptime").unwrap_or_default())
}

fn numbers<const N: usize>(text: &str) -> [f64; N] {
    let mut words = text.split_whitespace();
    std::array::from_fn(|_| {
        words
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0.0)
    })
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_counts_waiting_as_idle() {
        let stat = "cpu  10 1 5 80 4 1 2 3 9 9\ncpu0 1 1 1 1\n";
        let time = CpuTime {
            busy: 22,
            total: 106,
        };
        assert_eq!(CpuTime::parse(stat), time);
        assert_eq!(CpuTime::parse(""), CpuTime::default());
    }

    #[test]
    fn memory_is_found_by_name() {
        let meminfo = "MemTotal:       8000 kB\nMemFree: 1 kB\nMemAvailable:   6000 kB\n\
                       SwapTotal: 10 kB\nSwapFree: 9 kB\n";
        let memory = Memory {
            total: 8000,
            available: 6000,
            swap_total: 10,
            swap_free: 9,
        };
        assert_eq!(Memory::parse(meminfo), memory);
    }

    #[test]
    fn the_loopback_is_counted_apart() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n  \
                   eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        let network = Network {
            outside: (101, 202),
            loopback: (7, 8),
        };
        assert_eq!(Network::parse(dev), network);
    }

    #[test]
    fn sockets_are_found_by_name() {
        let sockstat = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 6 mem 1\n\
                        UDP: inuse 2 mem 0\nUDPLITE: inuse 7\n";
        let sockets = Sockets {
            tcp: 5,
            time_wait: 3,
            udp: 2,
        };
        assert_eq!(Sockets::parse(sockstat), sockets);
    }

    #[test]
    fn numbers_that_are_not_there_are_zero() {
        assert_eq!(numbers::<3>("0.5 1.25 x 9/9"), [0.5, 1.25, 0.0]);
        #[cfg(target_os = "linux")]
        assert!(uptime()[0] > 0.0 && CpuTime::read().total > 0 && Memory::read().total > 0);
    }
}
