//! What the view shows, and what keys do to it.
//!
//! Owns: the tab, the order and the selection of each table, and the question before a kick. Invariant: a selection is that
//! of a row, not of a place: it stays with its stream or client when the order changes. Does not: draw, ask, or read keys.

use std::cmp::Ordering;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::facts::{Facts, Row, Session};

/// Rows that a page key moves over.
const PAGE: usize = 10;

/// Which table is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Streams.
    #[default]
    Streams,
    /// Connections.
    Clients,
}

/// What a key asks of whoever runs the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing but another drawing.
    Nothing,
    /// The end.
    Quit,
    /// News, at once.
    Ask,
    /// The end of this client's connection.
    Kick(String),
}

/// The order of a table and the row that is selected.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// Index of the column that it is ordered by.
    pub(crate) column: usize,
    /// The least first.
    pub(crate) is_rising: bool,
    /// Name or id of the selected row.
    selected: Option<String>,
}

/// The view.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What was told last.
    pub(crate) facts: Option<Facts>,
    /// Why nothing newer was told, or what a kick led to.
    pub(crate) message: Option<String>,
    /// Where it comes from.
    pub(crate) address: String,
    /// The table that is shown.
    pub(crate) tab: Tab,
    /// The client that is about to be kicked, once that is confirmed.
    pub(crate) doomed: Option<Session>,
    pub(crate) streams: List,
    pub(crate) clients: List,
}

/// The columns of streams that can be ordered by.
pub(crate) const STREAM_COLUMNS: [&str; 9] = [
    "STREAM", "VIEWERS", "IN", "OUT", "FPS", "GOP", "LAG", "DROPS", "UP",
];

/// The columns of clients that can be ordered by.
pub(crate) const CLIENT_COLUMNS: [&str; 7] = [
    "CLIENT", "ADDRESS", "PROTOCOL", "ROLE", "RATE", "BYTES", "TIME",
];

impl State {
    /// A view of the server at `address` that knows nothing yet; the busiest streams come first.
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            streams: List {
                column: 1,
                ..List::default()
            },
            clients: List {
                column: 4,
                ..List::default()
            },
            ..Self::default()
        }
    }

    /// Takes in what was told, or why nothing was. What was told before stays.
    pub(crate) fn take(&mut self, told: Result<Facts, String>) {
        match told {
            Ok(facts) => {
                self.facts = Some(facts);
                self.message = None;
            }
            Err(error) => self.message = Some(error),
        }
    }

    /// The streams in their order.
    pub(crate) fn stream_rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.facts.iter().flat_map(|facts| &facts.streams).collect();
        let column = self.streams.column;
        rows.sort_by(|a, b| {
            let order = compare_streams(a, b, column);
            self.streams.turned(order).then_with(|| a.name.cmp(&b.name))
        });
        rows
    }

    /// The clients in their order.
    pub(crate) fn client_rows(&self) -> Vec<&Session> {
        let sessions = self.facts.iter().flat_map(|facts| &facts.sessions);
        let mut rows: Vec<&Session> = sessions.collect();
        let column = self.clients.column;
        rows.sort_by(|a, b| {
            let order = compare_clients(a, b, column);
            self.clients.turned(order).then_with(|| a.id.cmp(&b.id))
        });
        rows
    }

    /// Place of the selected row in the table that is shown; the first while none is, `None` in an empty table.
    pub(crate) fn selected(&self) -> Option<usize> {
        let (names, list) = (self.names(), self.list());
        let selected = list.selected.as_ref();
        let place = selected.and_then(|name| names.iter().position(|one| one == name));
        (!names.is_empty()).then(|| place.unwrap_or(0))
    }

    fn list(&self) -> &List {
        match self.tab {
            Tab::Streams => &self.streams,
            Tab::Clients => &self.clients,
        }
    }

    fn list_mut(&mut self) -> &mut List {
        match self.tab {
            Tab::Streams => &mut self.streams,
            Tab::Clients => &mut self.clients,
        }
    }

    fn names(&self) -> Vec<String> {
        match self.tab {
            Tab::Streams => self
                .stream_rows()
                .iter()
                .map(|row| row.name.clone())
                .collect(),
            Tab::Clients => self
                .client_rows()
                .iter()
                .map(|one| one.id.clone())
                .collect(),
        }
    }

    /// Does what a key says.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Wish::Quit;
        }
        if let Some(doomed) = self.doomed.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => Wish::Kick(doomed.id),
                _ => Wish::Nothing,
            };
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
                self.tab = match self.tab {
                    Tab::Streams => Tab::Clients,
                    Tab::Clients => Tab::Streams,
                };
                // the other table may have to be asked for first
                return Wish::Ask;
            }
            KeyCode::Char('s') => self.next_column(),
            KeyCode::Char('r') => self.list_mut().is_rising ^= true,
            KeyCode::Char('k') => self.doom(),
            KeyCode::Char(' ') => return Wish::Ask,
            KeyCode::Up => self.step(|place, _| place.saturating_sub(1)),
            KeyCode::Down => self.step(|place, _| place.saturating_add(1)),
            KeyCode::PageUp => self.step(|place, _| place.saturating_sub(PAGE)),
            KeyCode::PageDown => self.step(|place, _| place.saturating_add(PAGE)),
            KeyCode::Home => self.step(|_, _| 0),
            KeyCode::End => self.step(|_, count| count),
            _ => {}
        }
        Wish::Nothing
    }

    fn next_column(&mut self) {
        let count = match self.tab {
            Tab::Streams => STREAM_COLUMNS.len(),
            Tab::Clients => CLIENT_COLUMNS.len(),
        };
        let list = self.list_mut();
        list.column = (list.column + 1) % count;
    }

    /// Selects the row to which `to` leads from the place of the selected one, of a count of rows.
    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        let Some(place) = self.selected() else {
            return;
        };
        let mut names = self.names();
        let place = to(place, names.len()).min(names.len().saturating_sub(1));
        let name = names.swap_remove(place);
        self.list_mut().selected = Some(name);
    }

    /// Asks whether the selected client is to be kicked.
    fn doom(&mut self) {
        let is_proxy = self.facts.as_ref().is_some_and(Facts::is_proxy);
        if self.tab != Tab::Clients || is_proxy {
            let text = match is_proxy {
                true => "a proxy kicks nobody: ask the origin",
                false => "clients are kicked in their own table: tab",
            };
            self.message = Some(text.to_owned());
            return;
        }
        let place = self.selected();
        let rows = self.client_rows();
        let doomed = place.and_then(|place| rows.get(place).copied().cloned());
        self.doomed = doomed;
    }
}

impl List {
    fn turned(&self, order: Ordering) -> Ordering {
        match self.is_rising {
            true => order,
            false => order.reverse(),
        }
    }
}

fn compare_streams(a: &Row, b: &Row, column: usize) -> Ordering {
    match column {
        // names read from A to Z where figures fall
        0 => b.name.cmp(&a.name),
        1 => a.viewers.cmp(&b.viewers),
        2 => a.kbps_in.cmp(&b.kbps_in),
        3 => a.kbps_out.cmp(&b.kbps_out),
        4 => {
            let rate = |row: &Row| row.frame_rate.unwrap_or(-1.0);
            rate(a).total_cmp(&rate(b))
        }
        5 => a.gop_ms.cmp(&b.gop_ms),
        6 => a.lag_ms.cmp(&b.lag_ms),
        7 => a.drops.cmp(&b.drops),
        _ => a.uptime_ms.cmp(&b.uptime_ms),
    }
}

fn compare_clients(a: &Session, b: &Session, column: usize) -> Ordering {
    match column {
        0 => b.id.cmp(&a.id),
        1 => b.ip.cmp(&a.ip),
        2 => b.protocol.cmp(&a.protocol),
        3 => b.role.cmp(&a.role),
        4 => a.kbps.cmp(&b.kbps),
        5 => a.bytes.cmp(&b.bytes),
        _ => a.alive.total_cmp(&b.alive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::origin;

    fn shown() -> State {
        let mut state = State::new("h:1985".to_owned());
        state.take(Ok(origin()));
        state
    }

    fn press(state: &mut State, code: KeyCode) -> Wish {
        state.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn names(state: &State) -> Vec<&str> {
        state
            .stream_rows()
            .iter()
            .map(|row| row.name.as_str())
            .collect()
    }

    #[test]
    fn streams_are_ordered_by_each_column_both_ways() {
        let mut state = shown();
        assert_eq!(names(&state), ["/live/a", "/live/b\u{fffd}[2J"]);
        press(&mut state, KeyCode::Char('r'));
        assert_eq!(names(&state)[1], "/live/a");
        press(&mut state, KeyCode::Char('r'));
        for _ in &STREAM_COLUMNS {
            press(&mut state, KeyCode::Char('s'));
            assert_eq!(names(&state)[0], "/live/a", "{}", state.streams.column);
        }
        assert_eq!(state.streams.column, 1);
    }

    #[test]
    fn a_selection_stays_with_its_row() {
        let mut state = shown();
        assert_eq!(state.selected(), Some(0));
        press(&mut state, KeyCode::Up);
        assert_eq!(state.selected(), Some(0));
        press(&mut state, KeyCode::End);
        press(&mut state, KeyCode::Down);
        assert_eq!(state.selected(), Some(1));
        press(&mut state, KeyCode::Char('r'));
        assert_eq!(state.selected(), Some(0));
        let mut less = origin();
        less.streams.truncate(1);
        state.take(Ok(less));
        assert_eq!(state.selected(), Some(0));
        state.take(Ok(Facts::default()));
        assert_eq!(state.selected(), None);
        press(&mut state, KeyCode::PageDown);
    }

    #[test]
    fn a_kick_is_confirmed_or_not_done() {
        let mut state = shown();
        assert_eq!(press(&mut state, KeyCode::Char('k')), Wish::Nothing);
        assert!(state.doomed.is_none() && state.message.is_some());
        assert_eq!(press(&mut state, KeyCode::Tab), Wish::Ask);
        for no in [
            KeyCode::Char('n'),
            KeyCode::Esc,
            KeyCode::Enter,
            KeyCode::Char('q'),
        ] {
            press(&mut state, KeyCode::Char('k'));
            assert!(state.doomed.is_some());
            assert_eq!(press(&mut state, no), Wish::Nothing);
            assert!(state.doomed.is_none());
        }
        press(&mut state, KeyCode::Char('k'));
        // both have the same rate, so the order is that of ids
        assert_eq!(
            press(&mut state, KeyCode::Char('y')),
            Wish::Kick("c1".to_owned())
        );
    }

    #[test]
    fn a_proxy_kicks_nobody() {
        let mut state = shown();
        let mut facts = origin();
        facts.about.role.0 = "proxy".to_owned();
        state.take(Ok(facts));
        press(&mut state, KeyCode::Tab);
        press(&mut state, KeyCode::Char('k'));
        assert!(state.doomed.is_none());
        assert!(state.message.is_some_and(|text| text.contains("origin")));
    }

    #[test]
    fn it_ends_by_each_key_that_people_try() {
        let mut state = shown();
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut state, code), Wish::Quit);
        }
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut state, KeyCode::Tab);
        press(&mut state, KeyCode::Char('k'));
        assert_eq!(state.key(control), Wish::Quit);
        let mut release = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert_eq!(shown().key(release), Wish::Nothing);
    }

    #[test]
    fn what_was_told_stays_when_nothing_more_is() {
        let mut state = shown();
        state.take(Err("gone".to_owned()));
        assert_eq!(names(&state).len(), 2);
        assert_eq!(state.message.as_deref(), Some("gone"));
        state.take(Ok(origin()));
        assert_eq!(state.message, None);
    }
}
