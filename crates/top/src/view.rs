//! The drawing.
//!
//! Owns: where what stands, in any size of terminal. Does not: decide what is shown, or touch the terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState};

use crate::facts::{Facts, Sample, Session};
use crate::state::{CLIENT_COLUMNS, List, STREAM_COLUMNS, State, Tab};
use crate::words;

/// Lines of the totals with their graphs.
const TOTALS: u16 = 4;

/// Below this height the table has all the room.
const LOW: u16 = 12;

/// What keys do.
const KEYS: &str = " q quit   tab streams/clients   ↑↓ select   s order by   r turn round   k kick";

/// What of a sample a graph shows.
type Value = fn(&Sample) -> u64;

/// Draws the whole view.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let totals = if frame.area().height < LOW { 0 } else { TOTALS };
    let [head, graphs, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(totals),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(state), head);
    match &state.facts {
        Some(facts) => {
            if totals > 0 {
                draw_totals(frame, facts, graphs);
            }
            draw_table(frame, state, facts, table);
        }
        None => frame.render_widget(waiting(state), table),
    }
    frame.render_widget(bottom(state), foot);
    if let Some(doomed) = &state.doomed {
        draw_question(frame, doomed);
    }
}

fn title(state: &State) -> Line<'_> {
    let mut line = Line::default().style(Style::new().add_modifier(Modifier::REVERSED));
    line.push_span(Span::from(" weir top ").bold());
    if let Some(facts) = &state.facts {
        let about = &facts.about;
        let (role, name, version) = (&about.role.0, &about.name.0, &about.version.0);
        line.push_span(format!(" {role} {name}  {version} "));
    }
    line.push_span(format!(" {} ", state.address));
    line
}

fn waiting(state: &State) -> Paragraph<'_> {
    let text = match &state.message {
        Some(error) => error.as_str(),
        None => "asking …",
    };
    Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true })
}

fn bottom(state: &State) -> Line<'_> {
    match &state.message {
        Some(message) if state.facts.is_some() => {
            Line::from(format!(" {message}")).style(Style::new().fg(Color::Red))
        }
        _ => Line::from(KEYS).style(Style::new().add_modifier(Modifier::DIM)),
    }
}

/// Four lines of figures, and beside each a graph of the last minutes.
fn draw_totals(frame: &mut Frame<'_>, facts: &Facts, area: Rect) {
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
    let places = Layout::vertical([Constraint::Length(1); TOTALS as usize]).split(area);
    for ((text, value), place) in lines.into_iter().zip(places.iter()) {
        let [left, right] =
            Layout::horizontal([Constraint::Length(42), Constraint::Min(0)]).areas(*place);
        frame.render_widget(Paragraph::new(format!(" {text}")), left);
        // the newest stand at the right end, as many as there is room for
        let skip = facts.samples.len().saturating_sub(usize::from(right.width));
        let data: Vec<u64> = facts.samples.iter().skip(skip).map(value).collect();
        let graph = Sparkline::default().data(data).style(Color::Green);
        frame.render_widget(graph, right);
    }
}

/// Sessions that ended by a fault in the last minutes.
fn faults(facts: &Facts) -> u64 {
    let errors = facts.samples.iter().map(|sample| sample.errors);
    errors.fold(0, u64::saturating_add)
}

fn draw_table(frame: &mut Frame<'_>, state: &State, facts: &Facts, area: Rect) {
    let (rows, widths, head) = match state.tab {
        Tab::Streams => (
            stream_rows(state),
            STREAM_WIDTHS.to_vec(),
            stream_head(state, facts),
        ),
        Tab::Clients => (
            client_rows(state),
            CLIENT_WIDTHS.to_vec(),
            client_head(state, facts),
        ),
    };
    let tab = |tab: Tab, name: &str, count: u64| {
        let text = format!(" {name} {count} ");
        match state.tab == tab {
            true => Span::from(text).bold().underlined(),
            false => Span::from(text).dim(),
        }
    };
    let tabs = Line::from(vec![
        tab(Tab::Streams, "streams", facts.streams_total),
        tab(Tab::Clients, "clients", facts.sessions_total),
    ]);
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(
            Block::new()
                .title(tabs)
                .borders(ratatui::widgets::Borders::TOP),
        );
    let mut place = TableState::default().with_selected(state.selected());
    frame.render_stateful_widget(table, area, &mut place);
}

const STREAM_WIDTHS: [Constraint; 10] = [
    Constraint::Min(16),
    Constraint::Length(9),
    Constraint::Length(12),
    Constraint::Length(12),
    Constraint::Length(6),
    Constraint::Length(7),
    Constraint::Length(7),
    Constraint::Length(7),
    Constraint::Length(9),
    Constraint::Min(12),
];

const CLIENT_WIDTHS: [Constraint; 9] = [
    Constraint::Length(11),
    Constraint::Min(15),
    Constraint::Length(10),
    Constraint::Length(10),
    Constraint::Length(12),
    Constraint::Length(11),
    Constraint::Length(9),
    Constraint::Min(14),
    Constraint::Min(10),
];

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
    let rows = state.stream_rows().into_iter().map(|row| {
        let uptime = row.uptime_ms.map_or_else(|| "-".to_owned(), words::time);
        let up = if row.live { uptime } else { "off".to_owned() };
        let drops = Cell::from(row.drops.to_string());
        let cells = vec![
            Cell::from(row.name.as_str()),
            Cell::from(row.viewers.to_string()),
            Cell::from(words::maybe_rate(row.kbps_in)),
            Cell::from(words::maybe_rate(row.kbps_out)),
            Cell::from(words::frames(row.frame_rate)),
            Cell::from(words::short(row.gop_ms)),
            Cell::from(words::short(row.lag_ms)),
            if row.drops > 0 { drops.yellow() } else { drops },
            Cell::from(up),
            Cell::from(row.what.as_str()),
        ];
        let style = if row.live {
            Style::new()
        } else {
            Style::new().dim()
        };
        Row::new(cells).style(style)
    });
    rows.collect()
}

fn client_rows(state: &State) -> Vec<Row<'_>> {
    let rows = state.client_rows().into_iter().map(|one| {
        Row::new(vec![
            Cell::from(one.id.as_str()),
            Cell::from(one.ip.as_str()),
            Cell::from(one.protocol.as_str()),
            Cell::from(one.role.as_str()),
            Cell::from(words::maybe_rate(one.kbps)),
            Cell::from(words::size(one.bytes)),
            Cell::from(words::time((one.alive.max(0.0) * 1000.0) as u64)),
            Cell::from(one.stream.as_str()),
            Cell::from(one.agent.as_str()),
        ])
    });
    rows.collect()
}

fn draw_question(frame: &mut Frame<'_>, doomed: &Session) {
    let text = format!(
        "Close the connection of {} {} ({}) with {}?\n\ny closes it, any other key does not.",
        doomed.role, doomed.id, doomed.ip, doomed.stream
    );
    let [middle] = Layout::vertical([Constraint::Length(6)])
        .flex(Flex::Center)
        .areas(frame.area());
    let [place] = Layout::horizontal([Constraint::Max(70)])
        .flex(Flex::Center)
        .areas(middle);
    let question = Paragraph::new(text)
        .wrap(ratatui::widgets::Wrap { trim: true })
        .block(Block::bordered().title(" kick "));
    frame.render_widget(Clear, place);
    frame.render_widget(question, place);
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::facts::tests::origin;

    fn screen(state: &State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| {
            let cells = (0..width).map(|x| buffer[(x, y)].symbol().to_owned());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..height).map(line).collect()
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
}
