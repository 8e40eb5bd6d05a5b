//! What the operating system says of this process.
//!
//! Owns: CPU time, resident memory and open files from `/proc` and `getrusage`, and the open-file limit.
//! Does not: keep history.

use std::time::Duration;

/// A reading of the process's resources.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// CPU time in user and kernel mode since the start.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
}

/// Reads the resources of this process; zero where the system does not say.
pub fn usage() -> Usage {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    Usage {
        cpu: Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or(0),
            u32::try_from(cpu.tv_nsec).unwrap_or(0),
        ),
        resident: pages.saturating_mul(rustix::param::page_size() as u64),
    }
}

/// Raises the soft limit on open files to the hard limit and returns it; `None` means unlimited.
pub fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "could not raise the limit on open files");
            limit.current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_uses_memory_and_files() {
        assert!(usage().resident > 100_000);
        assert!(raise_open_files().is_none_or(|files| files >= 256));
    }
}
