//! Lists that were rewritten lately.
//!
//! Owns: [`Lists`], a core's memory of them, and their packed form. When a part of a low-latency stream has come, all who
//! wait for it are told the same text within a moment: it is fetched for each, but changed and packed once. Packing
//! matters more here than at the origin, for the id stands behind each URI: of a list of 8 KiB, 7 go away. Invariants: a list
//! is found again by the whole text that it was made of; what is kept has a bound. Does not: decide what is a list.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::rc::Rc;

use super::playlist::{self, Mapper};
use super::target::Kind;

/// Most bytes kept on a core: the lists of some hundred streams at a time.
const MOST_BYTES: usize = 8 << 20;

/// Most lists kept on a core; they are looked through one by one.
const MOST_LISTS: usize = 128;

/// Longest list that is kept and packed, with what it was made of. Those that change with each part have some 10 KiB; a
/// longer one is that of a recording, which each player fetches once.
const LONGEST: usize = 1 << 20;

/// Texts shorter than this are not packed: they fit into a packet of the network as they are.
const PACK_LEAST: usize = 1_000;

/// A list as clients get it.
#[derive(Debug)]
pub(super) struct List {
    kind: Kind,
    /// Whose it was, and what was put into it.
    by: String,
    /// What it was made of.
    from: String,
    text: String,
    packed: OnceCell<Option<Vec<u8>>>,
}

impl List {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text in gzip, where that is worth it.
    pub(super) fn packed(&self) -> Option<&[u8]> {
        if self.text.len() < PACK_LEAST || self.bytes() > LONGEST {
            return None;
        }
        self.packed.get_or_init(|| pack(&self.text)).as_deref()
    }

    /// What it holds, but for its packed form, which is small beside it.
    fn bytes(&self) -> usize {
        self.from.len() + self.text.len()
    }
}

/// Compresses a text; `None` when that gains nothing.
fn pack(text: &str) -> Option<Vec<u8>> {
    let level = flate2::Compression::new(4);
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(text.len() / 8), level);
    encoder.write_all(text.as_bytes()).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < text.len()).then_some(packed)
}

/// The lists of a core, that which was used last first.
#[derive(Default)]
pub(super) struct Lists {
    kept: RefCell<VecDeque<Rc<List>>>,
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.borrow().len();
        f.debug_struct("Lists").field("kept", &kept).finish()
    }
}

impl Lists {
    /// What becomes of the origin's list `from`. Fails with the reason when it cannot be read.
    pub(super) fn get(
        &self,
        kind: Kind,
        from: String,
        mapper: &Mapper<'_>,
    ) -> Result<Rc<List>, String> {
        let mut kept = self.kept.borrow_mut();
        let by = mapper.name();
        let is_it = |list: &Rc<List>| list.kind == kind && list.by == by && list.from == from;
        let found = kept.iter().position(is_it);
        if let Some(list) = found.and_then(|index| kept.remove(index)) {
            kept.push_front(Rc::clone(&list));
            return Ok(list);
        }
        let list = Rc::new(List {
            kind,
            by,
            text: playlist::rewrite(kind, &from, mapper)?,
            from,
            packed: OnceCell::new(),
        });
        if list.bytes() <= LONGEST {
            kept.push_front(Rc::clone(&list));
        }
        let mut bytes: usize = kept.iter().map(|list| list.bytes()).sum();
        while bytes > MOST_BYTES || kept.len() > MOST_LISTS {
            let Some(old) = kept.pop_back() else { break };
            bytes = bytes.saturating_sub(old.bytes());
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use crate::http::relayed::tests::placed;

    fn text(length: usize, seed: usize) -> String {
        let line = format!("#EXTINF:2,\ns-{seed}.ts\n");
        format!("#EXTM3U\n{}", line.repeat(length))
    }

    fn get(lists: &Lists, text: &str, parameter: &str) -> Rc<List> {
        let placed = placed();
        let mapper = Mapper::new(&placed, "h", parameter);
        let list = lists.get(Kind::Playlist, text.to_owned(), &mapper);
        list.expect("it can be read")
    }

    #[test]
    fn the_same_text_is_changed_once_and_another_is_another() {
        let lists = Lists::default();
        let first = get(&lists, &text(100, 1), "weir=a");
        assert!(first.text().contains("\ns-1.ts?weir=a\n"));
        assert!(Rc::ptr_eq(&first, &get(&lists, &text(100, 1), "weir=a")));
        for (text, parameter) in [(text(100, 1), "weir=b"), (text(100, 2), "weir=a")] {
            let other = get(&lists, &text, parameter);
            assert!(!Rc::ptr_eq(&first, &other));
            assert_ne!(first.text(), other.text());
        }
        assert!(Rc::ptr_eq(&first, &get(&lists, &text(100, 1), "weir=a")));
        let placed = placed();
        let mapper = Mapper::new(&placed, "h", "weir=a");
        assert!(lists.get(Kind::Manifest, "<x".to_owned(), &mapper).is_err());
    }

    #[test]
    fn what_is_packed_is_the_text() {
        let lists = Lists::default();
        let list = get(&lists, &text(100, 1), "weir=a");
        let packed = list.packed().expect("it is long enough");
        assert!(packed.len() * 4 < list.text().len());
        let mut read = String::new();
        let mut decoder = flate2::read::GzDecoder::new(packed);
        decoder.read_to_string(&mut read).expect("gzip");
        assert_eq!(read, list.text());
        assert!(get(&lists, &text(1, 1), "weir=a").packed().is_none());
        let long = text(LONGEST / 20, 1);
        assert!(get(&lists, &long, "weir=a").packed().is_none());
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let lists = Lists::default();
        for seed in 0..MOST_LISTS * 2 {
            get(&lists, &text(1, seed), "weir=a");
        }
        assert_eq!(lists.kept.borrow().len(), MOST_LISTS);
        for seed in 0..40 {
            get(&lists, &text(5_000, seed), "weir=a");
        }
        let bytes: usize = lists.kept.borrow().iter().map(|list| list.bytes()).sum();
        assert!(bytes <= MOST_BYTES, "{bytes}");
        // one that is too long is not kept
        let kept = lists.kept.borrow().len();
        get(&lists, &text(LONGEST / 20, 1), "weir=a");
        assert_eq!(lists.kept.borrow().len(), kept);
    }
}
