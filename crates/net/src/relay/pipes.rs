//! Pipes to splice through.
//!
//! Owns: a core's spare pipes. A pipe is empty between two uses, so a handful serves all pairs; more are only out while
//! receivers are slow. Does not: move bytes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Empty pipes that are kept. More come and go with slow receivers.
const SPARE: usize = 16;

/// Bytes a pipe takes. Each segment of a socket fills a page's place in it however short it is, so the default of 16 places
/// would cut a burst of small segments into many calls; the kernel lets a user have 256 pipes of this size
/// (`pipe-user-pages-soft`) and then makes smaller ones, which work too.
const BYTES: usize = 256 << 10;

/// A pipe: where it is read, where it is written.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

#[derive(Debug, Default)]
pub(super) struct Pipes {
    spare: Vec<Pipe>,
}

impl Pipes {
    /// An empty pipe. Fails when the process has no file left.
    pub(super) fn take(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.spare.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if let Err(error) = fcntl_setpipe_size(&write, BYTES) {
            tracing::trace!(%error, "a pipe keeps its default size");
        }
        Ok(Pipe { read, write })
    }

    /// Takes back a pipe that is empty.
    pub(super) fn put(&mut self, pipe: Pipe) {
        if self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }
}
