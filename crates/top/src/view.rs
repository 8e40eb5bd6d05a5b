//! The drawing.
//!
//! Owns: where what stands, in any size of terminal. Does not: decide what is shown, or touch the terminal.

use std::borrow::Cow;

use crossterm::style::{ContentStyle, Stylize};

use crate::canvas::{Area, Canvas, wrapped};
use crate::facts::{Facts, Sample, Session};
use crate::state::{CLIENT_COLUMNS, List, STREAM_COLUMNS, State, Tab};
use crate::words;

/// Lines of the totals with their graphs.
const TOTALS: u16 = 4;

/// Below this height the table has all the room.
const LOW: u16 = 12;

/// Columns of a total, left of its graph.
const TOTAL_COLUMNS: u16 = 42;

/// Columns of the question before a kick.
const QUESTION_COLUMNS: u16 = 70;

/// Lines of the question before a kick.
const QUESTION_LINES: u16 = 6;

/// What keys do.
const KEYS: &str = " q quit   tab streams/clients   ↑↓ select   s order by   r turn round   k kick";

/// Bars of a graph, the least first.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What of a sample a graph shows.
type Value = fn(&Sample) -> u64;

/// Draws the whole view.
pub(crate) fn draw(canvas: &mut Canvas, state: &State) {
    let area = canvas.area();
    let head = 1.min(area.height);
    let foot = u16::from(area.height > 1);
    let totals = if area.height < LOW { 0 } else { TOTALS };
    draw_title(canvas, state, area.line(0));
    let table = Area {
        y: head + totals,
        height: area.height.saturating_sub(head + totals + foot),
        ..area
    };
    match &state.facts {
        Some(facts) => {
            if totals > 0 {
                draw_totals(
                    canvas,
                    facts,
                    Area {
                        y: head,
                        height: totals,
                        ..area
                    },
                );
            }
            draw_table(canvas, state, facts, table);
        }
        None => {
            let text = state.message.as_deref().unwrap_or("asking …");
            draw_text(canvas, text, table);
        }
    }
    if foot > 0 {
        draw_bottom(canvas, state, area.line(area.height - 1));
    }
    if let Some(doomed) = &state.doomed {
        draw_question(canvas, doomed);
    }
}

fn draw_title(canvas: &mut Canvas, state: &State, line: Area) {
    let style = ContentStyle::new().reverse();
    canvas.fill(line, ' ', style);
    let rest = line.from(canvas.put(line, " weir top ", style.bold()));
    let mut text = String::new();
    if let Some(facts) = &state.facts {
        let about = &facts.about;
        let (role, name, version) = (&about.role.0, &about.name.0, &about.version.0);
        text = format!(" {role} {name}  {version} ");
    }
    text.push_str(&format!(" {} ", state.address));
    canvas.put(rest, &text, style);
}

fn draw_bottom(canvas: &mut Canvas, state: &State, line: Area) {
    match &state.message {
        Some(message) if state.facts.is_some() => {
            canvas.put(line, &format!(" {message}"), ContentStyle::new().dark_red());
        }
        _ => {
            canvas.put(line, KEYS, ContentStyle::new().dim());
        }
    }
}

fn draw_text(canvas: &mut Canvas, text: &str, area: Area) {
    for (line, index) in wrapped(text, area.width).iter().zip(0..) {
        canvas.put(area.line(index), line, ContentStyle::new());
    }
}

/// Four lines of figures, and beside each a graph of the last minutes.
fn draw_totals(canvas: &mut Canvas, facts: &Facts, area: Area) {
    let now = facts.now();
    let lines: [(String, Value); TOTALS as usize] = [
        (
            format!("viewers {}  streams {}", now.viewers, facts.streams_total),
            |sample| sample.viewers,
        ),
        (format!("out {}", words::rate(now.kbps_out)), |sample| {
            sample.kbps_out
        }),
        (format!("in {}", words::rate(now.kbps_in)), |sample| {
            sample.kbps_in
        }),
        (
            format!(
                "cpu {:.1}%  memory {}  faults {}",
                now.cpu_percent,
                words::size(now.rss),
                faults(facts)
            ),
            |sample| sample.cpu_percent.max(0.0).round() as u64,
        ),
    ];
    for ((text, value), index) in lines.into_iter().zip(0..) {
        let line = area.line(index);
        let left = Area {
            width: line.width.min(TOTAL_COLUMNS),
            ..line
        };
        canvas.put(left, &format!(" {text}"), ContentStyle::new());
        let right = line.from(TOTAL_COLUMNS);
        // the newest stand at the right end, as many as there is room for
        let skip = facts.samples.len().saturating_sub(usize::from(right.width));
        let data: Vec<u64> = facts.samples.iter().skip(skip).map(value).collect();
        canvas.put(right, &graph(&data), ContentStyle::new().dark_green());
    }
}

/// A bar for each value; the greatest has a full one.
fn graph(data: &[u64]) -> String {
    let most = u128::from(data.iter().copied().max().unwrap_or_default().max(1));
    let bars = data.iter().map(|&value| {
        let height = u128::from(value) * 8 / most;
        let bar = usize::try_from(height)
            .ok()
            .and_then(|height| BARS.get(height));
        bar.copied().unwrap_or(' ')
    });
    bars.collect()
}

/// Sessions that ended by a fault in the last minutes.
fn faults(facts: &Facts) -> u64 {
    let errors = facts.samples.iter().map(|sample| sample.errors);
    errors.fold(0, u64::saturating_add)
}

/// A row of a table.
struct Row<'a> {
    cells: Vec<(Cow<'a, str>, ContentStyle)>,
    style: ContentStyle,
}

fn draw_table(canvas: &mut Canvas, state: &State, facts: &Facts, area: Area) {
    let (rows, columns, head) = match state.tab {
        Tab::Streams => (
            stream_rows(state),
            &STREAM_WIDTHS[..],
            stream_head(state, facts),
        ),
        Tab::Clients => (
            client_rows(state),
            &CLIENT_WIDTHS[..],
            client_head(state, facts),
        ),
    };
    let title = area.line(0);
    canvas.fill(title, '─', ContentStyle::new());
    let tab = |tab: Tab| match state.tab == tab {
        true => ContentStyle::new().bold().underlined(),
        false => ContentStyle::new().dim(),
    };
    let streams = format!(" streams {} ", facts.streams_total);
    let taken = canvas.put(title, &streams, tab(Tab::Streams));
    let clients = format!(" clients {} ", facts.sessions_total);
    canvas.put(title.from(taken), &clients, tab(Tab::Clients));

    let widths = fit(columns, area.width);
    let bold = ContentStyle::new().bold();
    let head = Row {
        cells: head.into_iter().map(|name| (name.into(), bold)).collect(),
        style: bold,
    };
    draw_row(canvas, &head, &widths, area.line(1));
    let room = area.height.saturating_sub(2);
    let selected = state.selected();
    // the selected one is the last that is seen, once it lies below
    let skip = selected.map_or(0, |place| (place + 1).saturating_sub(usize::from(room)));
    for ((index, mut row), line) in rows.into_iter().enumerate().skip(skip).zip(0..room) {
        if selected == Some(index) {
            row.style = row.style.reverse();
        }
        draw_row(canvas, &row, &widths, area.line(line + 2));
    }
}

fn draw_row(canvas: &mut Canvas, row: &Row<'_>, widths: &[u16], line: Area) {
    canvas.fill(line, ' ', row.style);
    let mut rest = line;
    for ((text, style), &width) in row.cells.iter().zip(widths) {
        if width == 0 {
            continue;
        }
        let place = Area {
            width: width.min(rest.width),
            ..rest
        };
        let mut whole = row.style;
        whole.foreground_color = style.foreground_color.or(whole.foreground_color);
        canvas.put(place, text, whole);
        rest = rest.from(width.saturating_add(1));
    }
}

/// A column of a table.
struct Column {
    /// What its figures need.
    least: u16,
    /// Takes its share of the room that is left.
    grows: bool,
    /// Where there is no room for all, the greatest is left out first: half a figure would be another one.
    rank: u8,
}

const fn column(least: u16, grows: bool, rank: u8) -> Column {
    Column { least, grows, rank }
}

const STREAM_WIDTHS: [Column; 10] = [
    column(16, true, 0),
    column(9, false, 1),
    column(12, false, 3),
    column(12, false, 2),
    column(6, false, 7),
    column(7, false, 8),
    column(7, false, 5),
    column(7, false, 4),
    column(9, false, 6),
    column(12, true, 9),
];

const CLIENT_WIDTHS: [Column; 9] = [
    column(11, false, 0),
    column(15, true, 1),
    column(10, false, 3),
    column(10, false, 5),
    column(12, false, 4),
    column(11, false, 7),
    column(9, false, 6),
    column(14, true, 2),
    column(10, true, 8),
];

/// The width of each column in `room`; 0 for those that are left out. There is one between each two.
fn fit(columns: &[Column], room: u16) -> Vec<u16> {
    let mut order: Vec<u8> = columns.iter().map(|column| column.rank).collect();
    order.sort_unstable();
    let least = |worst: u8| {
        let shown = columns.iter().filter(|column| column.rank <= worst);
        shown.fold(0, |sum: u16, column| sum.saturating_add(column.least + 1))
    };
    // the last has no space after it
    let fits = |worst: &u8| least(*worst).saturating_sub(1) <= room;
    let worst = order.iter().copied().rfind(fits);
    // in the narrowest terminal, the first is cut
    let worst = worst.or_else(|| order.first().copied()).unwrap_or_default();
    let spare = (room + 1).saturating_sub(least(worst));
    let is_shown = |column: &&Column| column.rank <= worst;
    let growing = columns
        .iter()
        .filter(is_shown)
        .filter(|column| column.grows);
    let share = spare.checked_div(u16::try_from(growing.count()).unwrap_or(u16::MAX));
    let width = |column: &Column| match column.rank <= worst {
        true if column.grows => column.least + share.unwrap_or_default(),
        true => column.least,
        false => 0,
    };
    columns.iter().map(width).collect()
}

fn stream_head(state: &State, facts: &Facts) -> Vec<String> {
    let mut head = names(&STREAM_COLUMNS, &state.streams);
    let what = if facts.is_proxy() { "ORIGIN" } else { "MEDIA" };
    head.push(what.to_owned());
    head
}

fn client_head(state: &State, facts: &Facts) -> Vec<String> {
    let mut head = names(&CLIENT_COLUMNS, &state.clients);
    let agent = if facts.is_proxy() { "ORIGIN" } else { "AGENT" };
    head.extend(["STREAM".to_owned(), agent.to_owned()]);
    head
}

/// The names of columns, that of the order marked.
fn names(columns: &[&str], list: &List) -> Vec<String> {
    let mark = if list.is_rising { "▲" } else { "▼" };
    let named = columns
        .iter()
        .enumerate()
        .map(|(index, name)| match index == list.column {
            true => format!("{name}{mark}"),
            false => (*name).to_owned(),
        });
    named.collect()
}

fn stream_rows(state: &State) -> Vec<Row<'_>> {
    let plain = ContentStyle::new();
    let rows = state.stream_rows().into_iter().map(|row| {
        let uptime = row.uptime_ms.map_or_else(|| "-".to_owned(), words::time);
        let up = if row.live { uptime } else { "off".to_owned() };
        let drops = if row.drops > 0 {
            plain.dark_yellow()
        } else {
            plain
        };
        Row {
            cells: vec![
                (row.name.as_str().into(), plain),
                (row.viewers.to_string().into(), plain),
                (words::maybe_rate(row.kbps_in).into(), plain),
                (words::maybe_rate(row.kbps_out).into(), plain),
                (words::frames(row.frame_rate).into(), plain),
                (words::short(row.gop_ms).into(), plain),
                (words::short(row.lag_ms).into(), plain),
                (row.drops.to_string().into(), drops),
                (up.into(), plain),
                (row.what.as_str().into(), plain),
            ],
            style: if row.live { plain } else { plain.dim() },
        }
    });
    rows.collect()
}

fn client_rows(state: &State) -> Vec<Row<'_>> {
    let plain = ContentStyle::new();
    let rows = state.client_rows().into_iter().map(|one| Row {
        cells: vec![
            (one.id.as_str().into(), plain),
            (one.ip.as_str().into(), plain),
            (one.protocol.as_str().into(), plain),
            (one.role.as_str().into(), plain),
            (words::maybe_rate(one.kbps).into(), plain),
            (words::size(one.bytes).into(), plain),
            (
                words::time((one.alive.max(0.0) * 1000.0) as u64).into(),
                plain,
            ),
            (one.stream.as_str().into(), plain),
            (one.agent.as_str().into(), plain),
        ],
        style: plain,
    });
    rows.collect()
}

fn draw_question(canvas: &mut Canvas, doomed: &Session) {
    let text = format!(
        "Close the connection of {} {} ({}) with {}?\n\ny closes it, any other key does not.",
        doomed.role, doomed.id, doomed.ip, doomed.stream
    );
    let place = canvas.area().middle(QUESTION_COLUMNS, QUESTION_LINES);
    draw_frame(canvas, place, " kick ");
    draw_text(canvas, &text, place.inner());
}

/// An empty box with a title.
fn draw_frame(canvas: &mut Canvas, place: Area, title: &str) {
    let style = ContentStyle::new();
    canvas.fill(place, ' ', style);
    let across = "─".repeat(usize::from(place.width.saturating_sub(2)));
    canvas.put(place.line(0), &format!("┌{across}┐"), style);
    canvas.put(place.line(0).from(1), title, style);
    for index in 1..place.height.saturating_sub(1) {
        canvas.put(place.line(index), "│", style);
        canvas.put(
            place.line(index).from(place.width.saturating_sub(1)),
            "│",
            style,
        );
    }
    let last = place.height.saturating_sub(1).max(1);
    canvas.put(place.line(last), &format!("└{across}┘"), style);
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::facts::tests::origin;

    fn screen(state: &State, width: u16, height: u16) -> Vec<String> {
        let mut canvas = Canvas::new(width, height);
        draw(&mut canvas, state);
        canvas.lines()
    }

    fn shown() -> State {
        let mut state = State::new("127.0.0.1:1985".to_owned());
        state.take(Ok(origin()));
        state
    }

    fn press(state: &mut State, key: char) {
        state.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
    }

    #[test]
    fn streams_stand_below_totals_and_graphs() {
        let lines = screen(&shown(), 120, 20);
        assert_eq!(lines[0], " weir top  origin rack 7  0.1.0  127.0.0.1:1985");
        assert!(
            lines[1].starts_with(" viewers 2  streams 2"),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with(" out 7450 kbit/s"), "{}", lines[2]);
        // the graph of what went up ends with a full bar
        assert!(lines[2].ends_with('█'), "{}", lines[2]);
        assert!(
            lines[4].starts_with(" cpu 12.5%  memory 40.0 MiB  faults 1"),
            "{}",
            lines[4]
        );
        assert!(
            lines[5].contains("streams 2") && lines[5].contains("clients 2"),
            "{}",
            lines[5]
        );
        assert!(lines[6].contains("VIEWERS▼"), "{}", lines[6]);
        let words: Vec<&str> = lines[7].split_whitespace().collect();
        let expected = "/live/a 3 2500 kbit/s 7500 kbit/s 30.0 2.0s 40ms 3 1:02:03 H264 1280x720";
        assert!(words.join(" ").starts_with(expected), "{}", lines[7]);
        assert!(lines[8].contains("off"), "{}", lines[8]);
        assert!(lines[19].contains("q quit"), "{}", lines[19]);
    }

    #[test]
    fn clients_have_a_table_and_a_question_before_a_kick() {
        let mut state = shown();
        state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
        let lines = screen(&state, 120, 20);
        assert!(
            lines[6].contains("RATE▼") && lines[6].contains("AGENT"),
            "{}",
            lines[6]
        );
        assert!(
            lines[7].contains("192.0.2.7") && lines[7].contains("FMLE/3.0"),
            "{}",
            lines[7]
        );
        press(&mut state, 'k');
        let all = screen(&state, 120, 20).join("\n");
        assert!(
            all.contains("Close the connection of publisher c1 (192.0.2.7)"),
            "{all}"
        );
    }

    #[test]
    fn any_size_of_terminal_is_drawn_in() {
        let mut state = shown();
        for doom in [false, true] {
            for (width, height) in [(1, 1), (3, 2), (20, 5), (40, 12), (300, 100)] {
                screen(&state, width, height);
            }
            if !doom {
                state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
                press(&mut state, 'k');
            }
        }
        // a low one has the table rather than graphs
        let lines = screen(&shown(), 100, 8);
        assert!(lines[2].contains("STREAM"), "{lines:?}");
    }

    #[test]
    fn what_went_wrong_is_said() {
        let mut state = State::new("h:1985".to_owned());
        assert!(screen(&state, 80, 20).join("\n").contains("asking"));
        state.take(Err("nothing listens at h:1985".to_owned()));
        assert!(
            screen(&state, 80, 20)
                .join("\n")
                .contains("nothing listens at h:1985")
        );
        let mut state = shown();
        state.take(Err("it is late".to_owned()));
        let lines = screen(&state, 80, 20);
        assert!(
            lines[19].contains("it is late") && lines[7].contains("/live/a"),
            "{lines:?}"
        );
    }

    #[test]
    fn columns_share_what_is_left_and_those_that_matter_least_go_first() {
        for columns in [&STREAM_WIDTHS[..], &CLIENT_WIDTHS[..]] {
            for room in 0..400 {
                let widths = fit(columns, room);
                let shown = widths.iter().filter(|&&width| width > 0);
                let total: u16 = shown.clone().sum::<u16>() + shown.clone().count() as u16 - 1;
                assert!(total <= room || shown.count() == 1, "{room}: {widths:?}");
                // no column is narrower than its figures
                for (width, column) in widths.iter().zip(columns) {
                    assert!(*width == 0 || *width >= column.least, "{room}: {widths:?}");
                }
            }
        }
        // who watches what is seen in a usual terminal
        let lines = |width| {
            let mut state = shown();
            state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
            screen(&state, width, 20)
        };
        assert!(lines(80)[6].contains("STREAM") && !lines(80)[6].contains("AGENT"));
        assert!(lines(200)[6].contains("AGENT"));
    }

    #[test]
    fn the_selected_row_is_seen() {
        let mut facts = origin();
        let row = facts.streams[0].clone();
        facts.streams = (0..50)
            .map(|index| crate::facts::Row {
                name: format!("/live/{index:02}"),
                ..row.clone()
            })
            .collect();
        let mut state = State::new("h:1985".to_owned());
        state.take(Ok(facts));
        assert!(screen(&state, 80, 20).join("\n").contains("/live/00"));
        state.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
        let lines = screen(&state, 80, 20);
        assert!(lines[18].starts_with("/live/49"), "{lines:?}");
        assert!(!lines.join("\n").contains("/live/00"));
    }

    #[test]
    fn graphs_are_relative_to_their_greatest() {
        assert_eq!(graph(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(graph(&[u64::MAX, 0]), "█ ");
        assert_eq!(graph(&[0, 0]), "  ");
        assert_eq!(graph(&[]), "");
    }
}
