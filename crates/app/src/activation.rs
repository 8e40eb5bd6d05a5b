//! Listening sockets that a supervisor opened (`sd_listen_fds(3)`).
//!
//! Owns: the environment's word on them. Does not: take descriptors over (`weir_net::listen` does).

use std::net::TcpListener;

/// The sockets that were handed to this process, by their `FileDescriptorName=`; none where no supervisor did.
///
/// Call it once and first: it takes descriptors over by number.
pub(crate) fn inherited() -> Vec<(String, TcpListener)> {
    let value = |name| std::env::var(name).unwrap_or_default();
    match count(
        &value("LISTEN_PID"),
        &value("LISTEN_FDS"),
        std::process::id(),
    ) {
        0 => Vec::new(),
        count => weir_net::listen::inherited(count, &value("LISTEN_FDNAMES")),
    }
}

/// How many sockets are meant for process `pid`.
fn count(listen_pid: &str, listen_fds: &str, pid: u32) -> usize {
    if listen_pid.parse() != Ok(pid) {
        return 0;
    }
    listen_fds.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_meant_for_this_process_count() {
        assert_eq!(count("12", "2", 12), 2);
        assert_eq!(count("11", "2", 12), 0);
        assert_eq!(count("", "", 12), 0);
        assert_eq!(count("12", "x", 12), 0);
    }
}
