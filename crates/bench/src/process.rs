//! CPU time and memory of processes, from /proc.
//!
//! Owns: [`Watch`]: one process (with all its threads, without its children) over the measured window.
//! Does not: choose when to sample.

use std::fs;
use std::io;

use serde::Serialize;

use crate::clock;

/// What a process used in the measured window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Usage {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// Seconds.
    pub(crate) user: f64,
    /// Seconds.
    pub(crate) system: f64,
    /// Of one core, in percent.
    pub(crate) cpu_percent: f64,
    /// Largest resident set seen in the window, in KiB.
    pub(crate) rss_kib: u64,
    /// Largest resident set of the process's life (VmHWM), in KiB.
    pub(crate) rss_high_kib: u64,
}

/// A process under observation.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: u32,
    name: String,
    began: u64,
    at_begin: (u64, u64),
    rss_kib: u64,
    rss_high_kib: u64,
}

impl Watch {
    /// Begins the window.
    ///
    /// # Errors
    /// When there is no such process, or it may not be read.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (name, at_begin) = cpu(&stat).ok_or(io::ErrorKind::InvalidData)?;
        let name = name.to_owned();
        let mut watch = Self {
            pid,
            name,
            began: clock::now(),
            at_begin,
            rss_kib: 0,
            rss_high_kib: 0,
        };
        watch.sample();
        Ok(watch)
    }

    /// Looks at the memory; to be called every 200 ms or so. A process that has ended keeps its last figures.
    pub(crate) fn sample(&mut self) {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.pid)) else {
            return;
        };
        self.rss_kib = self.rss_kib.max(kib(&status, "VmRSS:").unwrap_or(0));
        self.rss_high_kib = kib(&status, "VmHWM:").unwrap_or(self.rss_high_kib);
    }

    /// Ends the window. A process that has ended meanwhile shows no CPU time.
    pub(crate) fn finish(mut self) -> Usage {
        self.sample();
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let at_end = cpu(&stat).map_or(self.at_begin, |(_, ticks)| ticks);
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let user = at_end.0.saturating_sub(self.at_begin.0) as f64 * tick;
        let system = at_end.1.saturating_sub(self.at_begin.1) as f64 * tick;
        let elapsed = (clock::now() - self.began).max(1) as f64 / clock::SECOND as f64;
        Usage {
            pid: self.pid,
            name: self.name,
            user,
            system,
            cpu_percent: (user + system) / elapsed * 100.0,
            rss_kib: self.rss_kib,
            rss_high_kib: self.rss_high_kib,
        }
    }
}

/// Name, user and system ticks out of /proc/PID/stat (proc_pid_stat(5): fields 2, 14 and 15). The name may hold
/// spaces and parentheses, so the fields are counted from the last one.
fn cpu(stat: &str) -> Option<(&str, (u64, u64))> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let user = fields.next()?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((name, (user, system)))
}

fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_odd_names() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 111 222 0 0 20";
        assert_eq!(cpu(stat), Some(("a (b) c", (111, 222))));
        assert_eq!(cpu("12 (a"), None);
        assert_eq!(
            kib("VmPeak: 1 kB\nVmRSS:\t  4321 kB\n", "VmRSS:"),
            Some(4321)
        );
    }

    #[test]
    fn watches_itself() {
        let usage = Watch::new(std::process::id()).unwrap().finish();
        assert!(usage.rss_kib > 0 && usage.rss_high_kib >= usage.rss_kib);
        assert!(Watch::new(u32::MAX).is_err());
    }
}
