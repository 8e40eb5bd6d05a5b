//! A clock in the picture: how old a picture is when somebody sees it.
//!
//! Owns: the picture, a bar code of the wall clock; reading it back from a decoded picture; and a publisher of such
//! pictures in real time. Does not: know who reads; in the browser it is `browser/page/clock.mjs`, of the same rules.
//!
//! In the upper left corner of a picture is a grid of [`COLUMNS`] by [`ROWS`] cells, white for 1 and black for 0, row by
//! row: 32 bits of milliseconds since 1970 modulo 2^32, most significant first, then 16 bits of CRC-16/CCITT-FALSE over
//! their four bytes. A cell is one macroblock of H.264, or a few in large pictures: what changes from picture to picture
//! is then so little that an encoder of 100 kb/s keeps up. The reader refuses cells that are grey and checksums that are
//! wrong, so that a broken picture has no age rather than a false one.

use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::PATIENCE;
use crate::process::Process;
use crate::tools::Tool;

/// Cells in a row.
pub const COLUMNS: usize = 12;

/// Rows of cells.
pub const ROWS: usize = 4;

/// Luma of white and black, the limits of video range.
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// Chroma of grey.
const NEUTRAL: u8 = 128;

/// Luma of what is not the clock, which no reader takes for a cell.
const GREY: u8 = 126;

/// Distance from the middle, of 109, that a cell's luma must have: an encoder at its worst leaves 60 or more.
const CONTRAST: u32 = 35;

/// CRC-16/CCITT-FALSE.
fn checksum(time: u32) -> u16 {
    time.to_be_bytes().iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

/// The wall clock in milliseconds since 1970, modulo 2^32.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no clock but the machine's, which the browser reads too"
)]
pub fn wall_clock() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "modulo 2^32 is what the picture holds"
    )]
    let millis = since.expect("it is after 1970").as_millis() as u32;
    millis
}

/// Pixels of a cell's side in a picture of this width.
fn cell_of(width: usize) -> usize {
    16 * (width / 640).max(1)
}

/// Writes the luma of a picture that shows `time`: `width` by `height` bytes, row by row. A picture has at least 192 by
/// 64 pixels, or the clock is cut off and cannot be read.
pub fn draw(time: u32, width: usize, height: usize, luma: &mut [u8]) {
    let code = (u64::from(time) << 16) | u64::from(checksum(time));
    let cell = cell_of(width);
    for (y, row) in luma.chunks_exact_mut(width).take(height).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (column, line) = (x / cell, y / cell);
            *pixel = if column >= COLUMNS || line >= ROWS {
                GREY
            } else if code >> (COLUMNS * ROWS - 1 - (line * COLUMNS + column)) & 1 == 1 {
                WHITE
            } else {
                BLACK
            };
        }
    }
}

/// The time in a picture of this width; `None` when it holds none, or is damaged, or `luma` is no such picture.
pub fn read(width: usize, luma: &[u8]) -> Option<u32> {
    let side = cell_of(width);
    let code = (0..COLUMNS * ROWS).try_fold(0_u64, |code, cell| {
        let columns = middle(cell % COLUMNS, side);
        let (mut sum, mut count) = (0_u32, 0_u32);
        for y in middle(cell / COLUMNS, side) {
            let row = luma.get(y * width..(y + 1) * width)?;
            for pixel in row.get(columns.clone())? {
                sum += u32::from(*pixel);
                count += 1;
            }
        }
        let mean = sum.checked_div(count)?;
        let middle = u32::from(WHITE).midpoint(u32::from(BLACK));
        (mean.abs_diff(middle) >= CONTRAST).then_some(code << 1 | u64::from(mean > middle))
    })?;
    let time = u32::try_from(code >> 16).ok()?;
    (code & 0xffff == u64::from(checksum(time))).then_some(time)
}

/// The middle half of cell `index` of this side: its edges are blurred.
fn middle(index: usize, side: usize) -> std::ops::Range<usize> {
    index * side + side / 4..index * side + 3 * side / 4
}

/// What a [`ClockPublisher`] publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Width and height in pixels, both even, at least 192 by 64.
    pub size: (usize, usize),
    /// Frames a second.
    pub fps: u32,
    /// Frames from one key frame to the next.
    pub gop: u32,
    /// Most bits of the pictures in kbit/s; about 100 are needed.
    pub kbps: u32,
    /// Whether there is a tone of 440 Hz beside the pictures, in AAC of 44.1 kHz.
    pub sound: bool,
}

impl Default for Clock {
    /// 640x360 at 25 frames a second, a key frame each second, 400 kbit/s, with sound.
    fn default() -> Self {
        Self {
            size: (640, 360),
            fps: 25,
            gop: 25,
            kbps: 400,
            sound: true,
        }
    }
}

impl Clock {
    /// The arguments of an ffmpeg that takes pictures from its standard input and gives H.264 without B-frames and
    /// look-ahead, and AAC.
    fn encoding(&self) -> Vec<String> {
        let (width, height) = self.size;
        let (kbps, gop) = (self.kbps, self.gop);
        let input = format!(
            "-loglevel warning -analyzeduration 0 -f rawvideo -pix_fmt yuv420p -video_size {width}x{height} \
             -framerate {} -i pipe:0",
            self.fps
        );
        let sound = "-f lavfi -i sine=frequency=440:sample_rate=44100";
        let video = format!(
            "-c:v libx264 -preset ultrafast -tune zerolatency -g {gop} -keyint_min {gop} -sc_threshold 0 \
             -b:v {kbps}k -maxrate {kbps}k -bufsize {kbps}k -threads 1"
        );
        let audio = "-c:a aac -b:a 64k -shortest";
        let parts = [
            input.as_str(),
            if self.sound { sound } else { "" },
            &video,
            if self.sound { audio } else { "" },
        ];
        let words = parts.iter().flat_map(|part| part.split_whitespace());
        words.map(str::to_owned).collect()
    }

    /// A raw picture in yuv420p that shows `time`.
    fn picture(&self, time: u32, picture: &mut Vec<u8>) {
        let (width, height) = self.size;
        let luma = width * height;
        picture.resize(luma + luma / 2, NEUTRAL);
        let (luma, _) = picture.split_at_mut(luma);
        draw(time, width, height, luma);
    }
}

/// Pictures handed to the encoder.
#[derive(Debug, Default)]
struct Frames {
    count: Mutex<u64>,
    changed: Condvar,
}

/// Publishes pictures with the clock in them, in real time, until it is stopped or dropped.
///
/// The age of a picture is counted from the moment when ffmpeg takes it; encoding adds about a frame's time or less. A
/// machine that cannot keep up delays pictures and then hurries; it leaves none out.
#[derive(Debug)]
pub struct ClockPublisher {
    process: Process,
    stop: Arc<AtomicBool>,
    frames: Arc<Frames>,
    writer: Option<JoinHandle<()>>,
}

impl ClockPublisher {
    /// Publishes to an `rtmp://` address with the distribution's ffmpeg.
    pub fn rtmp(clock: &Clock, url: &str) -> Self {
        Self::start(clock, &["-f", "flv", url])
    }

    /// As [`ClockPublisher::rtmp`] with an output of its own, in ffmpeg's words, such as `-f mpegts FILE`.
    pub fn start(clock: &Clock, output: &[&str]) -> Self {
        let mut command = Tool::Ffmpeg.command(clock.encoding());
        let (process, stdin) = Process::spawn_fed(command.args(output));
        let (stop, frames) = (Arc::<AtomicBool>::default(), Arc::<Frames>::default());
        let (clock, stopped, counted) = (clock.clone(), Arc::clone(&stop), Arc::clone(&frames));
        let writer = thread::spawn(move || {
            // the encoder may end first, by its own fault or the server's: its words tell
            let _ = write(&clock, stdin, &stopped, &counted);
        });
        Self {
            process,
            stop,
            frames,
            writer: Some(writer),
        }
    }

    /// The ffmpeg.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until that many pictures were handed to the encoder. Panics when they are not, with the encoder's words.
    pub fn frames(&self, wanted: u64) {
        let Frames { count, changed } = &*self.frames;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(count, PATIENCE, |count| *count < wanted);
        let count = *waited.unwrap_or_else(PoisonError::into_inner).0;
        let said = self.process.said();
        assert!(
            count >= wanted,
            "{count} pictures only; ffmpeg said: {said}"
        );
    }

    /// Ends the stream in order: what was taken is sent, then the publisher leaves. Panics when ffmpeg fails.
    pub fn stop(mut self) {
        self.end();
        self.process.succeed();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // it does not panic: pictures are made of checked sizes
            let _ = writer.join();
        }
    }
}

impl Drop for ClockPublisher {
    fn drop(&mut self) {
        // a writer whose encoder is stuck would never return
        self.process.signal("KILL");
        self.process.ends_within(PATIENCE);
        self.end();
    }
}

#[expect(clippy::disallowed_methods, reason = "the pace of a real publisher")]
fn now() -> Instant {
    Instant::now()
}

/// Writes pictures at their pace until told to stop. Fails when the encoder has closed its input.
fn write(
    clock: &Clock,
    mut encoder: ChildStdin,
    stop: &AtomicBool,
    frames: &Frames,
) -> io::Result<()> {
    let began = now();
    let mut picture = Vec::new();
    for number in 0_u32.. {
        let due = began + Duration::from_secs(1) * number / clock.fps;
        while let Some(rest) = due.checked_duration_since(now()) {
            if stop.load(Ordering::Relaxed) || rest.is_zero() {
                break;
            }
            thread::park_timeout(rest);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        clock.picture(wall_clock(), &mut picture);
        encoder.write_all(&picture)?;
        *frames.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        frames.changed.notify_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
