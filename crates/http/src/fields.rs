//! The header fields of a head, all of them and in order.
//!
//! Owns: [`Fields`], and which of them end at this hop (RFC 9110, section 7.6.1). Does not: parse lines (httparse
//! does), or know what a field means beyond lists (section 5.6.1).

/// Fields that concern one connection only, whether `Connection` names them or not (RFC 9110, section 7.6.1; the
/// credentials for a proxy: section 11.7).
const OF_THE_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Header fields as they came. Names keep their case and are compared without it; values may be any bytes but have
/// no line end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// All names and values, one behind the other: two allocations for a head, however many fields it has.
    text: Vec<u8>,
    /// Where each field's value begins and where it ends; the name begins where the one before ended.
    ends: Vec<(u32, u32)>,
}

impl Fields {
    /// Keeps what was parsed. Values lose the white space around them.
    pub(crate) fn new(parsed: &[httparse::Header<'_>]) -> Self {
        let mut fields = Self::default();
        for field in parsed {
            fields.push(field.name, field.value.trim_ascii());
        }
        fields
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        // heads are bounded far below 4 GiB
        let length = |text: &Vec<u8>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.text.extend_from_slice(name.as_bytes());
        let middle = length(&self.text);
        self.text.extend_from_slice(value);
        self.ends.push((middle, length(&self.text)));
    }

    /// Name and value of each field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |&(middle, end)| {
            let name = self.text.get(begin as usize..middle as usize);
            let value = self.text.get(middle as usize..end as usize);
            begin = end;
            // httparse takes tokens only as names
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            (name.unwrap_or_default(), value.unwrap_or_default())
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The values of all fields called `name`. One that is no UTF-8 is empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| std::str::from_utf8(value).unwrap_or_default())
    }

    /// The value of the first field called `name`. One that is no UTF-8 is empty.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Whether there is a field called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.iter()
            .any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    /// The members of all lists called `name` (RFC 9110, section 5.6.1).
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|member| !member.is_empty())
    }

    /// Whether a list called `name` has `member`, in whatever case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.members(name)
            .any(|found| found.eq_ignore_ascii_case(member))
    }

    /// The fields that go on to the next hop: without those of the connection and those that `Connection` names.
    ///
    /// `Content-Length` is among them; whoever changes the framing leaves it out.
    pub fn end_to_end(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().filter(|(name, _)| {
            !OF_THE_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
                && !self.lists("connection", name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in list {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    #[test]
    fn names_are_compared_without_case_and_kept_with_it() {
        let fields = fields(&[("A", "1"), ("b", ""), ("a", "2, 3 ,,4")]);
        assert_eq!((fields.len(), fields.is_empty()), (3, false));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2, 3 ,,4"]);
        assert_eq!(
            fields.members("A").collect::<Vec<_>>(),
            ["1", "2", "3", "4"]
        );
        assert_eq!(fields.get("B"), Some(""));
        assert!(fields.has("B") && !fields.has("c") && fields.lists("a", "3"));
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "b", "a"]);
    }

    #[test]
    fn what_connection_names_ends_here() {
        let fields = fields(&[
            ("Connection", "X-Hop, close"),
            ("x-hop", "1"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authorization", "Basic x"),
            ("Range", "bytes=0-"),
            ("Content-Length", "3"),
        ]);
        let left: Vec<_> = fields.end_to_end().map(|(name, _)| name).collect();
        assert_eq!(left, ["Range", "Content-Length"]);
    }

    proptest! {
        #[test]
        fn fields_come_out_as_they_went_in(
            list in prop::collection::vec(("[!#$%&'*+.a-zA-Z0-9^_`|~-]{1,12}", "[ -~]{0,30}"), 0..20),
        ) {
            let mut fields = Fields::default();
            for (name, value) in &list {
                fields.push(name, value.as_bytes());
            }
            let out: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
                .collect();
            prop_assert_eq!(out, list);
        }
    }
}
