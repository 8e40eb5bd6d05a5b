//! Answers that many ask for in the same words.
//!
//! Owns: [`Memory`] of one core and channel, how long it lasts, and which requests may be told what others were. Does not:
//! know when there is news (the herald says so), or count who asks.
//!
//! Thousands who wait for a part are woken together and ask the same. The first of them asks the channel and has the head
//! written; the rest take that: what each costs beside its system calls is a look at a short list.

use std::cell::RefCell;

use weir_http::request::{Method, Request};
use weir_segment::{Cache, File};

use crate::reply::Shared;

/// Most answers that are remembered: a list or two and a part between two news, and the segments that players ask for who
/// are behind.
const MOST: usize = 32;

/// What an answer depends on, beside the channel.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    file: File,
    query: String,
    accepts_gzip: bool,
}

#[derive(Debug)]
struct Answered {
    question: Question,
    answer: Shared,
    /// It is good for ever.
    is_immutable: bool,
    /// Somebody asked since the last news.
    is_wanted: bool,
}

/// One core's memory of a channel's answers.
#[derive(Debug, Default)]
pub(super) struct Memory(RefCell<Vec<Answered>>);

impl Memory {
    /// What `request` for `file` was answered with.
    pub(super) fn recall(&self, request: &Request, file: File) -> Option<Shared> {
        if !is_plain(request) {
            return None;
        }
        let mut answers = self.0.borrow_mut();
        let found = answers.iter_mut().find(|known| {
            let question = &known.question;
            question.file == file
                && question.accepts_gzip == request.accepts_gzip
                && question.query == request.query
        })?;
        found.is_wanted = true;
        Some(found.answer.clone())
    }

    /// Keeps an answer with status 200; the oldest goes where there are many.
    pub(super) fn remember(
        &self,
        request: &Request,
        file: File,
        (answer, cache): (&Shared, Cache),
    ) {
        let is_kept = cache != Cache::Never && answer.prepared().status.0 == 200;
        if !is_kept || !is_plain(request) {
            return;
        }
        let mut answers = self.0.borrow_mut();
        if answers.len() >= MOST {
            answers.remove(0);
        }
        answers.push(Answered {
            question: Question {
                file,
                query: request.query.clone(),
                accepts_gzip: request.accepts_gzip,
            },
            answer: answer.clone(),
            is_immutable: cache == Cache::Immutable,
            is_wanted: true,
        });
    }

    /// There is news: what may have changed is forgotten, and what nobody has asked for since the last.
    pub(super) fn refresh(&self) {
        let mut answers = self.0.borrow_mut();
        answers.retain(|known| known.is_immutable && known.is_wanted);
        for known in answers.iter_mut() {
            known.is_wanted = false;
        }
    }
}

/// Whether nothing in the request but its address decides on the answer.
pub(super) fn is_plain(request: &Request) -> bool {
    request.method == Method::Get
        && request.range.is_none()
        && request.if_range.is_none()
        && request.if_none_match.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Prepared;
    use crate::response::Status;
    use weir_http::head::Heads;

    fn request(line: &str, fields: &str) -> Request {
        let mut heads = Heads::new(1000);
        heads.push(format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
        *heads.pull().expect("valid").expect("whole")
    }

    fn answer(status: u16) -> Shared {
        Prepared::text(Status::of(status), "text").into()
    }

    #[test]
    fn who_asks_the_same_is_told_the_same() {
        let memory = Memory::default();
        let file = File::Multivariant;
        let plain = request("GET /a.m3u8?x=1", "");
        memory.remember(&plain, file, (&answer(200), Cache::Seconds(1)));
        assert!(memory.recall(&plain, file).is_some());
        assert!(memory.recall(&plain, File::Manifest).is_none());
        for other in [
            request("GET /a.m3u8?x=2", ""),
            request("HEAD /a.m3u8?x=1", ""),
            request("GET /a.m3u8?x=1", "Accept-Encoding: gzip\r\n"),
            request("GET /a.m3u8?x=1", "Range: bytes=0-1\r\n"),
            request("GET /a.m3u8?x=1", "If-None-Match: \"a\"\r\n"),
        ] {
            assert!(memory.recall(&other, file).is_none(), "{other:?}");
            let is_plain = other.method == Method::Get && other.range.is_none();
            memory.remember(&other, file, (&answer(200), Cache::Seconds(1)));
            let kept = is_plain && other.if_none_match.is_none();
            assert_eq!(memory.recall(&other, file).is_some(), kept, "{other:?}");
        }
        memory.refresh();
        assert!(memory.recall(&plain, file).is_none());
        memory.remember(&plain, file, (&answer(200), Cache::Never));
        assert!(memory.recall(&plain, file).is_none(), "it tells the time");
        memory.remember(&plain, file, (&answer(404), Cache::Seconds(1)));
        assert!(memory.recall(&plain, file).is_none(), "it may come yet");
    }

    #[test]
    fn memory_is_bounded() {
        let memory = Memory::default();
        let plain = request("GET /a.ts", "");
        for msn in 0..100 {
            memory.remember(&plain, File::Ts { msn }, (&answer(200), Cache::Immutable));
        }
        assert_eq!(memory.0.borrow().len(), MOST);
        // what is good for ever stays for as long as somebody asks
        for _ in 0..3 {
            memory.refresh();
            assert!(memory.recall(&plain, File::Ts { msn: 99 }).is_some());
        }
        assert_eq!(memory.0.borrow().len(), 1);
        memory.refresh();
        memory.refresh();
        assert!(memory.0.borrow().is_empty());
    }
}
