//! The little AMF0 a client needs: commands out, answers in.
//!
//! Owns: [`Writer`] for the value kinds that appear in `connect`, `play`, `publish` and `onMetaData`, and
//! [`Reader`] for the first bytes of `_result`, `_error` and `onStatus`.
//! Does not: know references, typed objects, dates or AMF3. A reader that meets them gives up.

#![warn(clippy::indexing_slicing)]

/// Value markers (AMF0 §2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
}

/// Appends values to a payload.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn number(&mut self, value: f64) -> &mut Self {
        self.0.push(marker::NUMBER);
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.0.extend([marker::BOOLEAN, u8::from(value)]);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.0.push(marker::NULL);
        self
    }

    /// A string of at most 65535 bytes; what is longer is cut.
    pub(crate) fn string(&mut self, value: &str) -> &mut Self {
        self.0.push(marker::STRING);
        self.key(value)
    }

    pub(crate) fn object(&mut self) -> &mut Self {
        self.0.push(marker::OBJECT);
        self
    }

    pub(crate) fn array(&mut self, entries: u32) -> &mut Self {
        self.0.push(marker::ECMA_ARRAY);
        self.0.extend(entries.to_be_bytes());
        self
    }

    /// The name of the member whose value is written next.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        let length = name.len().min(usize::from(u16::MAX));
        self.0.extend((length as u16).to_be_bytes());
        self.0.extend(name.bytes().take(length));
        self
    }

    /// Ends an object or an array.
    pub(crate) fn end(&mut self) -> &mut Self {
        self.0.extend([0, 0, marker::OBJECT_END]);
        self
    }
}

/// Reads values off the front of a payload of which the end may be missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Option<f64> {
        self.expect(marker::NUMBER)?;
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_be_bytes(*bytes))
    }

    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.expect(marker::STRING)?;
        self.text()
    }

    /// Steps over a null or undefined; `None` when something else stands there.
    pub(crate) fn nothing(&mut self) -> Option<()> {
        self.expect(marker::NULL)
            .or_else(|| self.expect(marker::UNDEFINED))
    }

    /// The string member `name` of the object that stands here, as far as the payload reaches.
    pub(crate) fn member(mut self, name: &str) -> Option<&'a str> {
        self.expect(marker::OBJECT)?;
        loop {
            let key = self.text()?;
            if key == name {
                return self.string();
            }
            self.skip_plain()?;
        }
    }

    fn skip_plain(&mut self) -> Option<()> {
        match *self.0.first()? {
            marker::NUMBER => self.number().map(drop),
            marker::BOOLEAN => self.0.get(2..).map(|rest| self.0 = rest),
            marker::STRING => self.string().map(drop),
            _ => self.nothing(),
        }
    }

    fn expect(&mut self, marker: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[marker])?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_back_a_status() {
        let mut payload = Vec::new();
        let mut writer = Writer(&mut payload);
        writer.string("onStatus").number(0.0).null().object();
        writer
            .key("live")
            .boolean(true)
            .key("n")
            .number(1.0)
            .key("x")
            .null();
        writer
            .key("level")
            .string("error")
            .key("code")
            .string("NetStream.Play.Failed")
            .end();
        let mut reader = Reader(&payload);
        assert_eq!(reader.string(), Some("onStatus"));
        assert_eq!(reader.number(), Some(0.0));
        assert_eq!(reader.nothing(), Some(()));
        assert_eq!(reader.member("code"), Some("NetStream.Play.Failed"));
        assert_eq!(reader.member("level"), Some("error"));
        assert_eq!(reader.member("none"), None);
    }

    proptest! {
        #[test]
        fn anything_else_does_not_panic(input in proptest::collection::vec(0_u8..12, 0..100)) {
            let mut reader = Reader(&input);
            let _ = (reader.string(), reader.number(), reader.nothing(), reader.member("code"));
        }
    }
}
