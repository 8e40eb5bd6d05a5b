//! What the service manager is told (`sd_notify(3)`, `Type=notify` and `Type=notify-reload`).
//!
//! Owns: the messages for the stages of the process. Does nothing where no manager asked for them.
//! Does not: take over listening sockets, which is the net crate's.
//!
//! The errors are those of the manager's socket. They are worth a warning in the log and never a failed start.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

/// Says that the server is ready: every listener is open.
///
/// # Errors
///
/// The manager's socket cannot be written to.
pub fn ready() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready])
}

/// Says that the configuration is being read again; [`ready`] must follow, whether it was accepted or not.
///
/// # Errors
///
/// The manager's socket cannot be written to, or the clock cannot be read.
pub fn reloading() -> io::Result<()> {
    // The manager pairs the reload with this time (sd_notify(3), RELOADING=1).
    sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// Says that the server drains and will end.
///
/// # Errors
///
/// The manager's socket cannot be written to.
pub fn stopping() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping])
}

/// Shows one line in `systemctl status`.
///
/// # Errors
///
/// The manager's socket cannot be written to.
pub fn status(line: &str) -> io::Result<()> {
    // The protocol is one assignment a line: a second line would be an assignment of its own.
    let line = line.lines().next().unwrap_or_default();
    sd_notify::notify(&[NotifyState::Status(line)])
}

/// Says that the server is alive; to be called at half of [`watchdog_interval`].
///
/// # Errors
///
/// The manager's socket cannot be written to.
pub fn alive() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// How long the manager waits for [`alive`] before it restarts the server, or `None` where it does not.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};

    use super::*;

    /// The variables of the manager can only be set for another process, so the test runs itself again.
    const CHILD: &str = "systemd::tests::child";

    /// Set for that process only.
    const MARKER: &str = "WEIR_TEST_CHILD";

    #[test]
    fn child() {
        if std::env::var_os(MARKER).is_none() {
            return;
        }
        reloading().unwrap();
        ready().unwrap();
        status("2 streams\nREADY=0").unwrap();
        alive().unwrap();
        stopping().unwrap();
        assert_eq!(watchdog_interval(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn the_manager_gets_each_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD])
            .env(MARKER, "1")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "3000000")
            .env_remove("WATCHDOG_PID")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(run.success());
        manager.set_nonblocking(true).unwrap();
        let mut messages = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(length) = manager.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        // none at all means that no test has the child's name any more
        assert_eq!(messages.len(), 5, "the child did not run: {messages:?}");
        assert!(
            messages[0].starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{messages:?}"
        );
        let rest: Vec<_> = messages[1..]
            .iter()
            .map(|message| message.trim_end())
            .collect();
        assert_eq!(
            rest,
            ["READY=1", "STATUS=2 streams", "WATCHDOG=1", "STOPPING=1"]
        );
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            ready().unwrap();
            stopping().unwrap();
            assert_eq!(watchdog_interval(), None);
        }
    }
}
