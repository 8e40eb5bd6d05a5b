//! Heads as bytes.
//!
//! Owns: [`HeadWriter`]. Invariant: whatever it is given, it writes one head: no name or value can end a line or the
//! head. Does not: choose fields.

use std::fmt::{Display, Write};

/// Writes one head of a request or an answer.
#[derive(Debug)]
pub struct HeadWriter {
    out: Vec<u8>,
}

impl HeadWriter {
    /// Begins a request in HTTP/1.1; `target` is in origin form.
    pub fn request(method: &str, target: &str) -> Self {
        let mut head = Self::empty();
        head.word(method);
        head.out.push(b' ');
        head.word(target);
        head.out.extend_from_slice(b" HTTP/1.1\r\n");
        head
    }

    /// Begins an answer in HTTP/1.1, which is also how HTTP/1.0 is answered (RFC 9110, section 2.5). An empty `reason`
    /// stays empty.
    pub fn answer(status: u16, reason: &str) -> Self {
        let mut head = Self::empty();
        let _ = write!(Text(&mut head.out), "HTTP/1.1 {status} ");
        head.line(reason.as_bytes());
        head.out.extend_from_slice(b"\r\n");
        head
    }

    fn empty() -> Self {
        // most heads are smaller
        Self {
            out: Vec::with_capacity(512),
        }
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.word(name);
        self.out.extend_from_slice(b": ");
        let _ = write!(Text(&mut self.out), "{value}");
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a field whose value may be no text.
    pub fn raw_field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.word(name);
        self.out.extend_from_slice(b": ");
        self.line(value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// The head, complete with its empty line.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }

    /// Appends what is neither control nor space.
    fn word(&mut self, text: &str) {
        let printable = text.bytes().filter(|byte| *byte > b' ' && *byte != 0x7f);
        self.out.extend(printable);
    }

    fn line(&mut self, text: &[u8]) {
        self.out.extend(text.iter().map(|byte| harmless(*byte)));
    }
}

/// A control character as a space (RFC 9110, section 5.5).
fn harmless(byte: u8) -> u8 {
    match byte {
        b'\t' => byte,
        0..b' ' | 0x7f => b' ',
        _ => byte,
    }
}

/// Bytes that take formatted text; they never fail.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend(text.bytes().map(harmless));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Heads;
    use crate::response::Responses;
    use proptest::prelude::*;

    #[test]
    fn heads_are_as_in_the_standard() {
        let mut head = HeadWriter::request("GET", "/live/s.flv?a=1");
        head.field("Host", "h")
            .field("N", 7)
            .raw_field("R", b"\xff");
        assert_eq!(
            head.finish(),
            b"GET /live/s.flv?a=1 HTTP/1.1\r\nHost: h\r\nN: 7\r\nR: \xff\r\n\r\n"
        );
        let head = HeadWriter::answer(200, "OK");
        assert_eq!(head.finish(), b"HTTP/1.1 200 OK\r\n\r\n");
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_ends_a_head(
            target in "/[ -~\r\n]{0,20}",
            fields in prop::collection::vec(("[a-z]{1,5}", prop::collection::vec(any::<u8>(), 0..20)), 0..8),
            text in any::<String>(),
        ) {
            let mut head = HeadWriter::request("GET", &target);
            head.field("Host", "h").field("x-text", &text);
            for (name, value) in &fields {
                head.raw_field(&format!("x-{name}"), value);
            }
            let mut heads = Heads::new(1 << 16);
            heads.push(&head.finish());
            if let Ok(whole) = heads.pull_whole() {
                let whole = whole.expect("complete");
                prop_assert_eq!(whole.fields.len(), fields.len() + 2);
            }
            prop_assert!(heads.is_empty() || heads.pull().is_err());
        }

        #[test]
        fn answers_are_read_back(
            status in 200..600u16,
            reason in "[a-zA-Z ]{0,12}",
            fields in prop::collection::vec(("x-[a-z]{1,5}", "[!-~]{0,20}"), 0..8),
        ) {
            let mut head = HeadWriter::answer(status, &reason);
            for (name, value) in &fields {
                head.field(name, value);
            }
            let mut heads = Responses::new(1 << 16);
            heads.push(&head.finish());
            let read = heads.pull(false).expect("valid").expect("complete");
            prop_assert_eq!(read.status, status);
            prop_assert_eq!(read.reason.trim(), reason.trim());
            let read: Vec<_> = read.fields.iter().map(|(name, value)| (
                name.to_owned(), String::from_utf8_lossy(value).into_owned(),
            )).collect();
            prop_assert_eq!(read, fields);
        }
    }
}
