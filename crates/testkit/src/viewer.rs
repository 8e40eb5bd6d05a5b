//! Viewers whose FLV is read as it comes.
//!
//! Owns: rtmpdump, GStreamer and curl as players, and the tags they gave so far. Does not: judge them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::PATIENCE;
use crate::flv::{self, Tag};
use crate::packet::Packet;
use crate::process::Process;
use crate::tools::Tool;

/// A player that writes FLV.
#[derive(Debug)]
pub struct Viewer {
    process: Process,
    tags: Tags,
}

impl Viewer {
    /// Plays an `rtmp://` address with rtmpdump.
    pub fn rtmpdump(url: &str) -> Self {
        Self::start(&mut Tool::Rtmpdump.command(["--live", "--quiet", "-o", "-", "-r", url]))
    }

    /// Plays an `rtmp://` address with GStreamer's `rtmp2src`.
    pub fn gst(url: &str) -> Self {
        let location = format!("location={url}");
        let pipeline = ["-q", "rtmp2src", &location, "!", "fdsink", "fd=1"];
        Self::start(&mut Tool::Gst.command(pipeline))
    }

    /// Plays an `http://` address with curl; fails on an answer that is an error.
    pub fn curl(url: &str) -> Self {
        Self::start(&mut Tool::Curl.command(["-sSNf", url]))
    }

    /// A player that writes FLV to its standard output.
    pub fn start(command: &mut Command) -> Self {
        let mut process = Process::spawn(command.stdout(Stdio::piped()));
        let tags = Tags::read(process.take_stdout());
        Self { process, tags }
    }

    /// The player.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for a tag for which `wanted` holds.
    pub fn tag(&self, what: &str, wanted: impl Fn(&Tag) -> bool) -> Tag {
        let found = self.tags.find(wanted);
        found.unwrap_or_else(|| {
            panic!(
                "no tag: {what}; {} came; the player said: {}",
                self.tags.so_far().len(),
                self.process.said()
            )
        })
    }

    /// Waits for a coded frame at `millis` or later.
    pub fn reached(&self, millis: i64) {
        self.tag(&format!("a frame at {millis} ms"), |tag| {
            tag.packet().is_some_and(|packet| packet.dts >= millis)
        });
    }

    /// The coded frames so far.
    pub fn so_far(&self) -> Vec<Packet> {
        flv::packets(&self.tags.so_far())
    }

    /// Waits for the end of the stream and gives all tags.
    pub fn all_tags(&self) -> Vec<Tag> {
        self.tags.to_end()
    }

    /// Waits for the end of the stream and gives all coded frames.
    pub fn packets(&self) -> Vec<Packet> {
        flv::packets(&self.all_tags())
    }
}

/// The tags of a stream that a thread reads.
#[derive(Debug, Clone, Default)]
pub struct Tags {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    tags: Vec<Tag>,
    ended: Option<Result<(), String>>,
}

impl Tags {
    /// Begins to read.
    pub fn read(from: impl Read + Send + 'static) -> Self {
        let tags = Self::default();
        let writer = tags.clone();
        thread::spawn(move || {
            let ended = flv::read(from, |tag| writer.change(|state| state.tags.push(tag)));
            writer.change(|state| state.ended = Some(ended.map_err(|error| error.to_string())));
        });
        tags
    }

    /// Waits for a tag; `None` when the stream ends, or time runs out, without one.
    pub fn find(&self, wanted: impl Fn(&Tag) -> bool) -> Option<Tag> {
        let mut seen = 0;
        let mut found = None;
        drop(self.wait(|state| {
            found = state
                .tags
                .iter()
                .skip(seen)
                .find(|tag| wanted(tag))
                .cloned();
            seen = state.tags.len();
            found.is_some() || state.ended.is_some()
        }));
        found
    }

    /// The tags so far.
    pub fn so_far(&self) -> Vec<Tag> {
        self.lock().tags.clone()
    }

    /// Waits for the end and gives all tags. Panics when the stream is no FLV, or does not end.
    pub fn to_end(&self) -> Vec<Tag> {
        let state = self.wait(|state| state.ended.is_some());
        match &state.ended {
            Some(Ok(())) => state.tags.clone(),
            Some(Err(error)) => panic!("not FLV after {} tags: {error}", state.tags.len()),
            None => panic!("the stream did not end; {} tags came", state.tags.len()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    fn wait(&self, mut done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.lock(), PATIENCE, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
