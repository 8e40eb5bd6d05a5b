//! The clock in the picture: drawn, damaged, encoded, and read by both readers.

use std::fs;
use std::process::Stdio;

use super::*;
use crate::process::Process;
use crate::tools;

const SIZES: [(usize, usize); 4] = [(640, 360), (320, 180), (1280, 720), (192, 64)];

fn drawn(time: u32, (width, height): (usize, usize)) -> Vec<u8> {
    let mut luma = vec![0; width * height];
    draw(time, width, height, &mut luma);
    luma
}

#[test]
fn what_is_drawn_is_read_at_every_size() {
    for size in SIZES {
        for time in [0, 1, 0xffff_ffff, 0x8000_0001, 0xa5a5_5a5a, wall_clock()] {
            assert_eq!(read(size.0, &drawn(time, size)), Some(time), "{size:?}");
        }
    }
}

#[test]
fn the_checksum_is_the_one_of_its_name() {
    // CRC-16/CCITT-FALSE of "1234" and of nothing but zeros
    assert_eq!(checksum(0x3132_3334), 0x5349);
    assert_eq!(checksum(0), 0x84c0);
}

#[test]
fn damaged_pictures_have_no_time() {
    let (width, height) = (320, 180);
    let whole = drawn(0x1234_5678, (width, height));
    for cell in 0..COLUMNS * ROWS {
        let mut damaged = whole.clone();
        for y in middle(cell / COLUMNS, cell_of(width)) {
            for x in middle(cell % COLUMNS, cell_of(width)) {
                let pixel = &mut damaged[y * width + x];
                *pixel = WHITE - *pixel + BLACK;
            }
        }
        assert_eq!(read(width, &damaged), None, "cell {cell}");
    }
    for grey in [0, BLACK, 100, 125, 150, WHITE, 255] {
        let flat = vec![grey; width * height];
        assert_eq!(read(width, &flat), None, "{grey}");
    }
    assert_eq!(read(width, &whole[..width * 50]), None);
    assert_eq!(read(width, &[]), None);
    assert_eq!(read(0, &[]), None);
    assert_eq!(read(184, &drawn(5, (184, 64))), None);
}

/// Pictures after H.264 at `kbps`, as ffmpeg decodes them, luma only.
fn encoded(clock: &Clock, times: &[u32]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.flv");
    let mut command = Tool::Ffmpeg.command(clock.encoding());
    let (process, mut stdin) = Process::spawn_fed(command.args(["-f", "flv", "-y"]).arg(&file));
    let mut picture = Vec::new();
    for time in times {
        clock.picture(*time, &mut picture);
        stdin.write_all(&picture).unwrap();
    }
    drop(stdin);
    process.succeed();
    let raw = folder.path().join("clock.raw");
    let mut command = Tool::Ffmpeg.command(["-loglevel", "warning", "-i"]);
    command
        .arg(&file)
        .args(["-an", "-f", "rawvideo", "-pix_fmt", "gray", "-y"])
        .arg(&raw)
        .stdout(Stdio::null());
    Process::spawn(&mut command).succeed();
    let (width, height) = clock.size;
    let raw = fs::read(raw).unwrap();
    raw.chunks_exact(width * height)
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn the_clock_survives_an_encoder_at_a_low_rate() {
    // bits that change all over, as no clock's would
    let times: Vec<u32> = (0..60_u32).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
    let expected: Vec<_> = times.iter().copied().map(Some).collect();
    for (size, kbps) in [((320, 180), 100), ((640, 360), 150), ((1280, 720), 200)] {
        let clock = Clock {
            size,
            kbps,
            sound: false,
            ..Clock::default()
        };
        let pictures = encoded(&clock, &times);
        let seen: Vec<_> = pictures.iter().map(|luma| read(size.0, luma)).collect();
        assert_eq!(seen, expected, "{clock:?}");
    }
}

/// Has the browser's reader read pictures in node: the ages it gives for a `now` that is 250 ms later.
fn read_by_script(pictures: &[Vec<u8>]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pixels");
    fs::write(&file, pictures.concat()).unwrap();
    let clock = tools::script("page/clock.mjs");
    let script = format!(
        "import {{ CELL, COLUMNS, ROWS, age, cellOf, read }} from '{}';\
         console.error([1, 320, 640, 1279, 1280, 1920].map(cellOf).join(' '));\
         const all = (await import('node:fs')).readFileSync('{}');\
         const bytes = CELL * COLUMNS * CELL * ROWS * 4;\
         for (let at = 0; at < all.length; at += bytes) {{\
           const time = read(all.subarray(at, at + bytes));\
           console.error(time === null ? 'none' : `${{time}} ${{age(time + 250 + 2 ** 33, time)}}`);\
         }}",
        clock.display(),
        file.display()
    );
    let mut command = Tool::Node.command(["--input-type=module", "--eval", &script]);
    let process = Process::spawn(&mut command);
    process.succeed();
    process.said()
}

#[test]
fn the_browsers_reader_reads_the_same() {
    // its canvas: half of a small picture's scale, four bytes a pixel
    let (width, height) = (192, 64);
    let rgba = |luma: &[u8]| -> Vec<u8> {
        let rows = luma.chunks_exact(width).step_by(2);
        let pixels = rows.flat_map(|row| row.iter().step_by(2));
        pixels
            .flat_map(|&light| [light, light, light, 255])
            .collect()
    };
    let times = [0, 0x8000_0001, 0xffff_ffff, 1_234_567_890];
    let mut pictures: Vec<_> = times
        .iter()
        .map(|time| rgba(&drawn(*time, (width, height))))
        .collect();
    let mut damaged = drawn(77, (width, height));
    damaged[..16 * width].fill(WHITE);
    pictures.push(rgba(&damaged));
    pictures.push(rgba(&vec![128; width * height]));
    let said = read_by_script(&pictures);
    let cells: Vec<_> = [1, 320, 640, 1279, 1280, 1920]
        .iter()
        .map(|width| cell_of(*width).to_string())
        .collect();
    let times = "0 250\n2147483649 250\n4294967295 250\n1234567890 250\nnone\nnone";
    assert_eq!(said, format!("{}\n{times}", cells.join(" ")));
}

#[test]
fn a_publisher_runs_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.flv");
    let path = file.display().to_string();
    // the first tag is on the disk as soon as it is there
    let output = ["-flush_packets", "1", "-f", "flv", "-y", &path];
    let before = wall_clock();
    let publisher = ClockPublisher::start(&Clock::default(), &output);
    publisher.frames(30);
    publisher.stop();
    let tags = crate::flv::tags(&fs::read(&file).unwrap());
    let packets = crate::flv::packets(&tags);
    let videos = packets
        .iter()
        .filter(|packet| packet.kind == crate::Kind::Video);
    let keys: Vec<_> = videos.map(|packet| packet.key).collect();
    assert!(keys.len() >= 30, "{}", keys.len());
    assert!(keys[0] && keys[25] && keys.iter().filter(|key| **key).count() <= keys.len() / 25 + 1);
    assert!(
        packets
            .iter()
            .any(|packet| packet.kind == crate::Kind::Audio)
    );
    assert!(wall_clock().wrapping_sub(before) < u32::MAX / 2);
}
