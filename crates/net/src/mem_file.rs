//! Bytes that the kernel sends by reference.
//!
//! Owns: [`MemFile`], a file that is in memory only. Does not: send it ([`crate::socket::Socket::send_file`] does), or decide
//! what is worth one.
//!
//! What is written to a socket from our memory is copied into the kernel's each time. Pages of a file are not: the socket
//! refers to them until the peer has them, and they stay as they are however soon the file is closed.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{MemfdFlags, memfd_create};

/// Slices handed over in one call.
const SLICES: usize = 64;

/// A file without a name, gone when it is dropped. It costs one descriptor, and memory that no process is charged for by
/// its resident set.
#[derive(Debug)]
pub struct MemFile {
    file: File,
    length: u64,
}

impl MemFile {
    /// A file of these pieces, which are copied. Fails when the process has no descriptor left, or the system no memory.
    pub fn new<T: AsRef<[u8]>>(pieces: &[T]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("weir", MemfdFlags::CLOEXEC)?);
        let mut length = 0;
        for pieces in pieces.chunks(SLICES) {
            let mut slices: Vec<_> = pieces
                .iter()
                .map(|piece| IoSlice::new(piece.as_ref()))
                .collect();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let count = file.write_vectored(rest)?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                length += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
        }
        Ok(Self { file, length })
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};

    #[test]
    fn pieces_become_one_file() {
        let pieces: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; usize::from(n) % 7]).collect();
        let mut made = MemFile::new(&pieces).expect("a file");
        let mut text = Vec::new();
        made.file.seek(SeekFrom::Start(0)).expect("the start");
        made.file.read_to_end(&mut text).expect("it is read");
        assert_eq!(text, pieces.concat());
        assert_eq!(made.length(), text.len() as u64);
        assert_eq!(MemFile::new::<Vec<u8>>(&[]).expect("empty").length(), 0);
    }
}
