//! Pieces of a playlist's text that cannot break out of their place.
//!
//! Owns: quoted strings, URIs, numbers with a fraction.
//! Does not: know which tag they stand in.

use std::fmt::Write as _;
use std::time::Duration;

/// Digits behind the point of a duration: the draft asks for what a sum over a segment needs, and a hundredth of a
/// millisecond is finer than any sample rate can be heard.
const DECIMALS: usize = 5;

/// One in the last decimal, in nanoseconds.
const STEP_NANOS: u64 = 10_000;

/// Fewest of them that stay; players of old look for a point.
const LEAST_DECIMALS: usize = 3;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `duration` in seconds with three to five decimals, cut, never rounded up.
pub(crate) fn push_seconds(out: &mut String, duration: Duration) {
    push_integer(out, duration.as_secs());
    let _ = write!(out, ".{:05}", duration.subsec_nanos() / STEP_NANOS as u32);
    for _ in LEAST_DECIMALS..DECIMALS {
        if !out.ends_with('0') {
            break;
        }
        out.pop();
    }
}

/// `duration` rounded up to what [`push_seconds`] can write, for what others must not exceed.
pub(super) fn round_up(duration: Duration) -> Duration {
    let past = u64::from(duration.subsec_nanos()) % STEP_NANOS;
    match past {
        0 => duration,
        past => duration.saturating_add(Duration::from_nanos(STEP_NANOS - past)),
    }
}

/// Appends `lead` and a positive number with three decimals; nothing if it is no such number.
pub(super) fn push_decimal(out: &mut String, lead: &str, number: f64) {
    if number.is_finite() && number > 0.0 {
        let _ = write!(out, "{lead}{number:.3}");
    }
}

/// Appends a decimal integer.
pub(super) fn push_integer(out: &mut String, number: u64) {
    // writing to a string cannot fail
    let _ = write!(out, "{number}");
}

/// Appends `0x` and the bytes in hexadecimal (RFC 8216 §4.2).
pub(super) fn push_hex(out: &mut String, bytes: &[u8]) {
    out.push_str("0x");
    for byte in bytes {
        let _ = write!(out, "{byte:02X}");
    }
}

/// Appends `text` in quotes. There are no escapes in a quoted string (RFC 8216 §4.2): a quote becomes an apostrophe, a
/// control character a space.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_clean(out, text);
    out.push('"');
}

/// Appends what is not empty of `texts` in one pair of quotes, with commas between.
pub(super) fn push_quoted_list(out: &mut String, texts: &[&str]) {
    let mut lead = '"';
    for text in texts.iter().filter(|text| !text.is_empty()) {
        out.push(lead);
        push_clean(out, text);
        lead = ',';
    }
    out.push('"');
}

fn push_clean(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| match c {
        '"' => '\'',
        c if c.is_control() => ' ',
        c => c,
    }));
}

/// Appends in quotes the URI that `write` appends.
pub(super) fn push_uri(out: &mut String, write: impl FnOnce(&mut String)) {
    out.push('"');
    push_uri_from(out, write);
    out.push('"');
}

/// Appends on a line of its own the URI that `write` appends; it begins neither like a tag nor like a comment.
pub(super) fn push_uri_line(out: &mut String, write: impl FnOnce(&mut String)) {
    let start = out.len();
    push_uri_from(out, write);
    if out.get(start..).is_some_and(|uri| uri.starts_with('#')) {
        out.replace_range(start..=start, "%23");
    }
    out.push('\n');
}

/// Appends the URI that `write` appends, and then percent-encodes in it what no URI may have (RFC 3986 §2): control
/// characters, spaces, quotes, brackets of all kinds but square ones, everything beyond ASCII.
pub(crate) fn push_uri_from(out: &mut String, write: impl FnOnce(&mut String)) {
    let start = out.len();
    write(out);
    // a writer that takes away instead of adding breaks no bound
    let start = out.floor_char_boundary(start.min(out.len()));
    if out.bytes().skip(start).all(is_uri_byte) {
        return;
    }
    let raw = out.split_off(start);
    for byte in raw.bytes() {
        if is_uri_byte(byte) {
            out.push(char::from(byte));
        } else {
            push_percent(out, byte);
        }
    }
}

/// Appends `%` and two digits.
pub(crate) fn push_percent(out: &mut String, byte: u8) {
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        let digit = UPPER.get(usize::from(nibble)).copied();
        out.push(char::from(digit.unwrap_or(b'0')));
    }
}

fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        )
}
