//! Segments on disk: a process that begins later goes on where this one stopped.
//!
//! Owns: the folder, the thread that writes, names of files, and their ends. Does not: know what is in them
//! (`weir-segment` does), or hold up a stream: what the disk does not take in time is left out, and counted.
//!
//! A file is written under another name and renamed when it is whole, so a crash of the process leaves whole segments.
//! A crash of the machine may leave damaged ones; each has checksums, and a damaged one is passed over.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use weir_media::StreamKey;

/// What segments are called: their number and this.
const EXTENSION: &str = "segment";

/// A file that is not whole yet.
const UNFINISHED: &str = "unfinished";

/// Segments that wait for the disk, of all streams. At one every two seconds of each of 500 streams it is a second's.
const MOST_WAITING: usize = 256;

/// Largest file that is read: no segment is larger than a stream's memory.
const MOST_FILE_BYTES: u64 = 1 << 30;

/// Something for the thread to do.
enum Job {
    Write {
        folder: PathBuf,
        msn: u64,
        pieces: Vec<Bytes>,
        oldest: u64,
    },
    Remove {
        folder: PathBuf,
    },
}

/// The folder of segments. Dropping it waits until what was to be written is written.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // without anybody who could send more the thread ends
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // a panic there was reported there
            let _ = thread.join();
        }
    }
}

impl Disk {
    /// Begins to write below `folder`, which is made if it is not there. What lies there for longer than `keep` is
    /// removed. Fails when the folder cannot be made, or the thread.
    pub(super) fn open(folder: &Path, keep: Duration, now: SystemTime) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        sweep(
            folder,
            now.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH),
        )?;
        let (jobs, work) = sync_channel(MOST_WAITING);
        let thread = std::thread::Builder::new().name("segments".to_owned());
        let thread = thread.spawn(move || write_all(&work))?;
        Ok(Self {
            folder: folder.to_owned(),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// A stream's folder. Encoded names have no slash and are no `..`, since a key has no such part.
    fn folder(&self, key: &StreamKey) -> PathBuf {
        let mut folder = self.folder.clone();
        for part in [key.vhost(), key.app(), key.name()] {
            let mut name = String::new();
            weir_hls::uri::push_encoded(part, &mut name);
            folder.push(name);
        }
        folder
    }

    /// Has a segment written, and those before `oldest` removed. False when too much waits already.
    pub(super) fn write(&self, key: &StreamKey, msn: u64, pieces: Vec<Bytes>, oldest: u64) -> bool {
        let folder = self.folder(key);
        self.send(Job::Write {
            folder,
            msn,
            pieces,
            oldest,
        })
    }

    /// Has everything of a stream removed.
    pub(super) fn remove(&self, key: &StreamKey) {
        let folder = self.folder(key);
        self.send(Job::Remove { folder });
    }

    fn send(&self, job: Job) -> bool {
        let jobs = self.jobs.as_ref();
        jobs.is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    /// The files of a stream, as another process left them. Those that cannot be read are passed over.
    pub(super) fn read(&self, key: &StreamKey) -> Vec<Bytes> {
        let folder = self.folder(key);
        let Ok(entries) = fs::read_dir(&folder) else {
            return Vec::new();
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let segments = paths.filter(|path| number(path).is_some());
        let read = |path: PathBuf| {
            let is_small = fs::metadata(&path).is_ok_and(|facts| facts.len() <= MOST_FILE_BYTES);
            let file = if is_small {
                fs::read(&path)
            } else {
                Err(io::ErrorKind::FileTooLarge.into())
            };
            file.inspect_err(
                |error| tracing::warn!(path = %path.display(), %error, "segment not read"),
            )
        };
        segments
            .filter_map(|path| read(path).ok())
            .map(Bytes::from)
            .collect()
    }
}

/// The number of a segment's file.
fn number(path: &Path) -> Option<u64> {
    let is_segment = path
        .extension()
        .is_some_and(|extension| extension == EXTENSION);
    let stem = path.file_stem().filter(|_| is_segment)?;
    stem.to_str()?.parse().ok()
}

fn write_all(work: &Receiver<Job>) {
    let mut complained = false;
    while let Ok(job) = work.recv() {
        let done = match &job {
            Job::Write {
                folder,
                msn,
                pieces,
                oldest,
            } => write(folder, *msn, pieces).and_then(|()| prune(folder, *oldest)),
            Job::Remove { folder } => prune(folder, u64::MAX),
        };
        match done {
            Ok(()) => complained = false,
            // a full disk would say so twice a second for each stream
            Err(_) if complained => {}
            Err(error) => {
                complained = true;
                tracing::error!(%error, "segments cannot be written; streams go on without");
            }
        }
    }
}

fn write(folder: &Path, msn: u64, pieces: &[Bytes]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(msn.to_string()).with_extension(UNFINISHED);
    let mut file = fs::File::create(&unfinished)?;
    let written = pieces.iter().try_for_each(|piece| file.write_all(piece));
    drop(file);
    let finished = unfinished.with_extension(EXTENSION);
    let renamed = written.and_then(|()| fs::rename(&unfinished, finished));
    // what is left of it would only take room
    renamed.inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// Removes the segments before number `oldest`, and the folder if nothing is left.
fn prune(folder: &Path, oldest: u64) -> io::Result<()> {
    let mut left = false;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match number(&path) {
            Some(number) if number < oldest => fs::remove_file(path)?,
            _ => left = true,
        }
    }
    if left { Ok(()) } else { fs::remove_dir(folder) }
}

/// Removes what is older than `since`, and what is not whole, in all folders below.
fn sweep(folder: &Path, since: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, facts) = (entry.path(), entry.metadata()?);
        if facts.is_dir() {
            sweep(&path, since)?;
            // fails where something is left, as it should
            drop(fs::remove_dir(&path));
            continue;
        }
        let is_old = number(&path).is_some() && facts.modified()? < since;
        let is_unfinished = path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED);
        if is_old || is_unfinished {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::{AppName, StreamName, Vhost};

    fn key(name: &str) -> StreamKey {
        StreamKey::new(Vhost("v"), AppName("a/b"), StreamName(name)).expect("a key")
    }

    fn open(folder: &Path) -> Disk {
        Disk::open(folder, Duration::from_secs(3600), SystemTime::UNIX_EPOCH).expect("a folder")
    }

    #[test]
    fn what_is_written_is_read_by_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = open(folder.path());
        for msn in 1..=5_u64 {
            let pieces = vec![
                Bytes::from_static(b"segment "),
                Bytes::from(msn.to_string()),
            ];
            assert!(disk.write(&key("x y"), msn, pieces, msn.saturating_sub(2)));
        }
        drop(disk);
        let next = open(folder.path());
        let mut found = next.read(&key("x y"));
        found.sort();
        assert_eq!(found, ["segment 3", "segment 4", "segment 5"]);
        assert!(next.read(&key("other")).is_empty());
    }

    #[test]
    fn old_and_unfinished_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("v/a%2Fb/x");
        fs::create_dir_all(&below).expect("a folder");
        for name in ["1.segment", "2.unfinished", "notes.txt"] {
            fs::write(below.join(name), b"x").expect("a file");
        }
        let modified = fs::metadata(below.join("1.segment")).and_then(|facts| facts.modified());
        let later = modified.expect("a time") + Duration::from_secs(7200);
        Disk::open(folder.path(), Duration::from_secs(3600), later).expect("a folder");
        let left: Vec<_> = fs::read_dir(&below)
            .expect("a folder")
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let below = file.path().join("folder");
        assert!(Disk::open(&below, Duration::ZERO, SystemTime::UNIX_EPOCH).is_err());
    }
}
