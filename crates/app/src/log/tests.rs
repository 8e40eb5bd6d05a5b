//! What log lines look like and hide.
//!
//! Owns: the tests of both formats, of changing the level, and of masking. Does not: test which events are logged.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tracing::{debug, error_span, info, warn};

use super::*;
use crate::config::{Config, Sources};

struct Fixed;

impl FormatTime for Fixed {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        w.write_str("2026-03-01T12:34:56.789123Z")
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn config(keys: &[(&str, &str)]) -> config::Log {
    let flags = keys
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources {
        flags: flags.collect(),
        ..Sources::default()
    };
    Config::load(&sources).unwrap().config.log
}

/// What is written while `body` runs.
fn logged(config: &config::Log, ansi: bool, body: impl FnOnce(&Handle)) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let (subscriber, handle) = subscriber(config, ansi, Fixed, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || body(&handle));
    lines.text()
}

fn one_event(_: &Handle) {
    let _span = error_span!("session", id = 7).entered();
    info!(target: "weir_gate_rtmp", stream = "live/a", viewers = 2, "publish started");
}

#[test]
fn text_lines_look_like_this() {
    assert_eq!(
        logged(&config(&[]), false, one_event),
        "2026-03-01T12:34:56.789Z  INFO session{id=7}: weir_gate_rtmp: publish started \
         stream=\"live/a\" viewers=2\n"
    );
}

#[test]
fn only_coloured_text_has_escapes() {
    assert!(logged(&config(&[]), true, one_event).contains('\u{1b}'));
    let json = config(&[("log-format", "json")]);
    assert!(!logged(&json, true, one_event).contains('\u{1b}'));
}

#[test]
fn json_lines_look_like_this() {
    assert_eq!(
        logged(&config(&[("log-format", "json")]), false, one_event),
        "{\"timestamp\":\"2026-03-01T12:34:56.789Z\",\"level\":\"INFO\",\
         \"message\":\"publish started\",\"stream\":\"live/a\",\"viewers\":2,\
         \"target\":\"weir_gate_rtmp\",\"spans\":[{\"id\":7,\"name\":\"session\"}]}\n"
    );
}

#[test]
fn the_level_can_be_changed_while_running() {
    let debug = config(&[("log-level", "warn,weir_rtmp=debug")]).level;
    let text = logged(&config(&[]), false, |handle| {
        debug!(target: "weir_rtmp", "hidden");
        info!("first");
        handle.set_level(&debug).unwrap();
        debug!(target: "weir_rtmp", "second");
        info!("hidden");
        warn!("third");
    });
    assert!(!text.contains("hidden"), "{text}");
    for word in ["first", "second", "third"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_second_is_cut_to_milliseconds_whatever_its_digits() {
    struct Text(&'static str);
    impl FormatTime for Text {
        fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
            w.write_str(self.0)
        }
    }
    for (full, cut) in [
        ("2026-03-01T12:34:56.789123456Z", "2026-03-01T12:34:56.789Z"),
        ("2026-03-01T12:34:56Z", "2026-03-01T12:34:56Z"),
    ] {
        let mut text = String::new();
        Millis(Text(full))
            .format_time(&mut Writer::new(&mut text))
            .unwrap();
        assert_eq!(text, cut);
    }
}

#[test]
fn credentials_are_masked_and_the_rest_is_not() {
    for (text, shown) in [
        ("rtmp://example.com/live/a", "rtmp://example.com/live/a"),
        (
            "rtmp://u:p@example.com:1935/live",
            "rtmp://***@example.com:1935/live",
        ),
        (
            "rtmp://u:p@q@example.com/live",
            "rtmp://***@example.com/live",
        ),
        ("http://example.com/@name/a", "http://example.com/@name/a"),
        (
            "/live/a.flv?token=abc&start=live",
            "/live/a.flv?token=***&start=live",
        ),
        (
            "/live/a.flv?x=1&Auth_Key=17-0-0-ab",
            "/live/a.flv?x=1&Auth_Key=***",
        ),
        ("?txSecret=5f&txTime=6", "?txSecret=***&txTime=6"),
        ("streamKey=abc;x=1", "streamKey=***;x=1"),
        ("%74oken=abc", "%74oken=***"),
        ("token=", "token="),
        (
            "app?token=abc/stream?sign=1#pass=2",
            "app?token=***?sign=***#pass=***",
        ),
        (
            "X-Amz-Signature=00ff&X-Amz-Date=1",
            "X-Amz-Signature=***&X-Amz-Date=1",
        ),
        ("a?url=http://u/b&secret=x", "a?url=http://u/b&secret=***"),
        (
            "live/a\r\nERROR forged\u{1b}[31m",
            "live/a\\r\\nERROR forged\\u{1b}[31m",
        ),
        ("", ""),
        ("%", "%"),
        ("%2=%", "%2=%"),
    ] {
        assert_eq!(Masked(text).to_string(), shown, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_brings_a_control_character(text in any::<String>()) {
        prop_assert!(!Masked(&text).to_string().contains(|c: char| c.is_control()));
    }

    #[test]
    fn a_secret_is_never_shown(
        ending in proptest::sample::select(SECRET_ENDINGS),
        before in "[a-z]{0,4}[_-]?",
        other in "[a-z]{1,6}=[0-9]{1,4}",
        upper in any::<bool>(),
        place in 0..3usize,
    ) {
        let name = format!("{before}{ending}");
        let name = if upper { name.to_uppercase() } else { name };
        let pair = format!("{name}=SeCrEt.VALUE");
        let query = [format!("{pair}&{other}"), format!("{other}&{pair}"), format!("{other};{pair}")];
        for prefix in ["", "?", "rtmp://u:SeCrEt.VALUE@host/app?", "/app/stream?"] {
            let shown = Masked(&format!("{prefix}{}", query[place])).to_string();
            prop_assert!(!shown.contains("SeCrEt"), "{}", shown);
        }
    }
}
