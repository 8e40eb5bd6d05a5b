//! The last lines of the log, kept in memory for the API.
//!
//! Owns: [`Ring`], its bounds, and the layer that feeds it. Invariants: it holds at most [`MOST_LINES`] lines of at most
//! [`MOST_LINE_BYTES`] bytes; ids go up by one. Does not: decide what is logged: the filter in front of it does.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use weir_net::clock;

use super::write_clean;

/// Lines that are kept: some minutes of a busy server, at `info`.
pub const MOST_LINES: usize = 2_000;

/// Longest line, in bytes; more is cut. Closing lines of sessions have some 300. With [`MOST_LINES`] it bounds the memory
/// to 2 MB.
pub const MOST_LINE_BYTES: usize = 1_000;

/// What stands where a line was cut.
const CUT: &str = "…";

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number, from 1; the next line has the next number.
    pub id: u64,
    /// When it was logged.
    pub at: SystemTime,
    /// How grave it is.
    pub level: Level,
    /// The part of the program that says it.
    pub target: &'static str,
    /// The message and its fields, as in the text format; without control characters.
    pub message: Arc<str>,
}

/// The last lines. Handles are cheap to clone and share the lines.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Line>,
    last: u64,
}

impl Ring {
    /// The lines after the one with the id `after`, oldest first, that are at least as grave as `level`; and the id to
    /// ask with next time.
    pub fn after(&self, after: u64, level: Level) -> (u64, Vec<Line>) {
        let inner = self.inner.lock();
        // of a process before this one: everything is new
        let after = if after > inner.last { 0 } else { after };
        let new = inner.lines.iter().rev().take_while(|line| line.id > after);
        let mut lines: Vec<Line> = new.filter(|line| line.level <= level).cloned().collect();
        lines.reverse();
        (inner.last, lines)
    }

    fn push(&self, at: SystemTime, level: Level, target: &'static str, message: &str) {
        let mut inner = self.inner.lock();
        inner.last += 1;
        let line = Line {
            id: inner.last,
            at,
            level,
            target,
            message: message.into(),
        };
        if inner.lines.len() >= MOST_LINES {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }
}

impl<S: Subscriber> Layer<S> for Ring {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let message = text.finish();
        self.push(
            clock::wallclock(),
            *metadata.level(),
            metadata.target(),
            &message,
        );
    }
}

/// A line under way: the message, and behind it `name=value` for each field.
#[derive(Default)]
struct Text {
    message: Bounded,
    fields: Bounded,
}

impl Text {
    fn finish(self) -> String {
        let mut whole = self.message;
        // a cut field or message has said so, or says so here
        let _ = whole.write_str(&self.fields.text);
        if whole.is_cut || self.fields.is_cut {
            let room = MOST_LINE_BYTES - CUT.len();
            let end = (0..=room.min(whole.text.len()))
                .rev()
                .find(|end| whole.text.is_char_boundary(*end));
            whole.text.truncate(end.unwrap_or(0));
            whole.text.push_str(CUT);
        }
        whole.text
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // a text that is full takes no more, which is no failure
        let _ = match field.name() {
            "message" => write!(Clean(&mut self.message), "{value:?}"),
            name => write!(Clean(&mut self.fields), " {name}={value:?}"),
        };
    }
}

/// A text that takes no more than [`MOST_LINE_BYTES`] bytes.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let room = MOST_LINE_BYTES.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.is_cut = true;
        let end = (0..=room).rev().find(|end| more.is_char_boundary(*end));
        self.text
            .push_str(more.get(..end.unwrap_or(0)).unwrap_or_default());
        Err(fmt::Error)
    }
}

/// Passes a text on without control characters.
struct Clean<'a>(&'a mut Bounded);

impl Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_clean(self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tracing::{debug, error, info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn logged(body: impl FnOnce()) -> Ring {
        let ring = Ring::default();
        let subscriber = tracing_subscriber::registry().with(ring.clone());
        tracing::subscriber::with_default(subscriber, body);
        ring
    }

    fn messages(ring: &Ring, after: u64, level: Level) -> Vec<String> {
        let (_, lines) = ring.after(after, level);
        lines.iter().map(|line| line.message.to_string()).collect()
    }

    #[test]
    fn lines_have_the_message_and_its_fields() {
        let ring = logged(|| {
            info!(target: "weir_gate", stream = "live/a", viewers = 2, peer = %"a\nb", "publish started");
        });
        let (next, lines) = ring.after(0, Level::TRACE);
        assert_eq!((next, lines.len()), (1, 1));
        assert_eq!(
            &*lines[0].message,
            "publish started stream=\"live/a\" viewers=2 peer=a\\nb"
        );
        assert_eq!(
            (lines[0].target, lines[0].level),
            ("weir_gate", Level::INFO)
        );
    }

    #[test]
    fn who_asks_gets_what_is_new_and_grave_enough() {
        let ring = logged(|| {
            debug!("a");
            info!("b");
            warn!("c");
            error!("d");
        });
        assert_eq!(messages(&ring, 0, Level::TRACE), ["a", "b", "c", "d"]);
        assert_eq!(messages(&ring, 0, Level::WARN), ["c", "d"]);
        assert_eq!(messages(&ring, 2, Level::TRACE), ["c", "d"]);
        assert_eq!(messages(&ring, 4, Level::TRACE), [""; 0]);
        // an id of a process that is gone
        assert_eq!(messages(&ring, 9_999, Level::TRACE).len(), 4);
    }

    #[test]
    fn no_more_than_the_last_lines_are_kept() {
        let ring = logged(|| {
            for number in 0..MOST_LINES + 10 {
                info!(number);
            }
        });
        let (next, lines) = ring.after(0, Level::TRACE);
        assert_eq!((next, lines.len()), (MOST_LINES as u64 + 10, MOST_LINES));
        assert_eq!(lines[0].id, 11);
        assert_eq!(&*lines[0].message, " number=10");
    }

    #[test]
    fn a_long_line_is_cut_where_a_character_ends() {
        let long = "ä".repeat(MOST_LINE_BYTES);
        let ring = logged(|| {
            info!("{long}");
            info!(long, "short");
        });
        for message in messages(&ring, 0, Level::TRACE) {
            assert!(message.len() <= MOST_LINE_BYTES, "{}", message.len());
            assert!(message.len() > MOST_LINE_BYTES - 8 && message.ends_with(CUT));
        }
    }

    proptest! {
        #[test]
        fn no_line_is_longer_or_has_control_characters(
            message in any::<String>(),
            field in ".{0,2000}",
        ) {
            let ring = logged(|| info!(field, "{message}"));
            for message in messages(&ring, 0, Level::TRACE) {
                prop_assert!(message.len() <= MOST_LINE_BYTES);
                prop_assert!(!message.chars().any(char::is_control));
            }
        }
    }
}
