//! One table of plain text, for scripts and for those who watch without a terminal.
//!
//! Owns: the table of `--once`. Does not: colour or fit a width.

use std::fmt::Write;

use crate::facts::Facts;
use crate::words;

/// Everything about the server as text: a line about it, one of totals, and a table of streams and one of connections.
pub(crate) fn table(facts: &Facts) -> String {
    let mut text = String::new();
    let (about, now) = (&facts.about, facts.now());
    let (role, name, version) = (&about.role.0, &about.name.0, &about.version.0);
    // writing to a string cannot fail
    let _ = writeln!(text, "weir {role} {name} {version}");
    let _ = writeln!(
        text,
        "streams {}  publishers {}  viewers {}  in {}  out {}  cpu {:.1}%  memory {}  faults {}",
        facts.streams_total,
        now.publishers,
        now.viewers,
        words::rate(now.kbps_in),
        words::rate(now.kbps_out),
        now.cpu_percent,
        words::size(now.rss),
        now.errors,
    );
    let streams = facts.streams.iter().map(|row| {
        let uptime = row.uptime_ms.map_or_else(|| "-".to_owned(), words::time);
        vec![
            row.name.clone(),
            row.viewers.to_string(),
            words::maybe_rate(row.kbps_in),
            words::maybe_rate(row.kbps_out),
            words::frames(row.frame_rate),
            words::short(row.gop_ms),
            words::short(row.lag_ms),
            row.drops.to_string(),
            if row.live { uptime } else { "off".to_owned() },
            row.what.clone(),
        ]
    });
    let what = if facts.is_proxy() { "ORIGIN" } else { "MEDIA" };
    let head = [
        "STREAM", "VIEWERS", "IN", "OUT", "FPS", "GOP", "LAG", "DROPS", "UP", what,
    ];
    columns(&mut text, &head, streams.collect());
    let sessions = facts.sessions.iter().map(|one| {
        vec![
            one.id.clone(),
            one.ip.clone(),
            one.protocol.clone(),
            one.role.clone(),
            words::maybe_rate(one.kbps),
            words::size(one.bytes),
            words::time((one.alive.max(0.0) * 1000.0) as u64),
            one.stream.clone(),
            one.agent.clone(),
        ]
    });
    let agent = if facts.is_proxy() { "ORIGIN" } else { "AGENT" };
    let head = [
        "CLIENT", "ADDRESS", "PROTOCOL", "ROLE", "RATE", "BYTES", "TIME", "STREAM", agent,
    ];
    columns(&mut text, &head, sessions.collect());
    text
}

/// Rows below a head, each column as wide as its longest text.
fn columns(text: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    text.push('\n');
    let names: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(&names).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // writing to a string cannot fail
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::origin;

    #[test]
    fn a_table_has_a_line_for_each_stream_and_client() {
        let text = table(&origin());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "weir origin rack 7 0.1.0");
        assert_eq!(
            lines[1],
            "streams 2  publishers 1  viewers 2  in 2500 kbit/s  out 7450 kbit/s  cpu 12.5%  \
             memory 40.0 MiB  faults 1"
        );
        assert_eq!(
            lines[4].split_whitespace().collect::<Vec<_>>().join(" "),
            "/live/a 3 2500 kbit/s 7500 kbit/s 30.0 2.0s 40ms 3 1:02:03 H264 1280x720 AAC"
        );
        // columns stand below their heads
        assert_eq!(
            lines[3].find("VIEWERS"),
            lines[4].find(" 3 ").map(|at| at + 1)
        );
        assert!(lines[5].contains(" off"), "{}", lines[5]);
        assert!(
            text.contains("\nc1      192.0.2.7  rtmp      publisher"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
}
