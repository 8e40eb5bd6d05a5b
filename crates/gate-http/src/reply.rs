//! Answers that are whole, or grow piece by piece, in the words of every version of HTTP.
//!
//! Owns: [`Prepared`], [`Shared`], which many clients are sent, and what conditions and ranges make of a file's reply (RFC 9110, sections 13 and 14). Invariant:
//! bodies are shared, never copied, cut to a range or not. Does not: write to connections; `send` does for HTTP/1.1 and
//! `http2` for HTTP/2.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use weir_net::mem_file::MemFile;
use weir_segment::{File, Reply};

use weir_http::request::{Method, Request};

use crate::response::{Manner, Status};

/// Content types whose bodies shrink, so that answers depend on `Accept-Encoding` whether they did shrink or not.
const TEXTS: [&str; 2] = ["application/vnd.apple.mpegurl", "application/dash+xml"];

/// Room for a usual head of an answer.
pub(crate) const HEAD_BYTES: usize = 512;

/// A body is sent as a file when it is asked for so often: the file costs a copy and a descriptor.
const FILE_AFTER: u32 = 4;

/// Bodies of fewer bytes are sent from our memory: copying them costs less than a second call.
const FILE_LEAST: u64 = 32 << 10;

/// A header field of an answer.
pub(crate) type Field = (Cow<'static, str>, Cow<'static, [u8]>);

/// An answer, but for what belongs to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) status: Status,
    pub(crate) fields: Vec<Field>,
    /// The body, or its beginning.
    pub(crate) body: Vec<Bytes>,
    pub(crate) length: Length,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// As long as its pieces.
    Whole,
    /// Not known yet.
    Growing,
    /// There is none, and no length of one (RFC 9110, section 8.6).
    Bare,
}

/// A whole answer that is the same for everybody who asks alike on a core. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Rc<Once>);

#[derive(Debug)]
struct Once {
    prepared: Prepared,
    length: u64,
    /// The head that was written last, and for whom and which second.
    head: RefCell<Option<(Manner, u64, Bytes)>>,
    /// How often it was sent.
    sent: Cell<u32>,
    /// The body for the kernel, where it could be had.
    file: OnceCell<Option<Arc<MemFile>>>,
    /// Where the cores share it, for a body that never changes.
    files: Option<(Arc<Files>, File)>,
}

/// Bodies of a channel that the kernel has as files, whichever core made them. Each lasts for as long as a core sends it.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<Vec<(File, Weak<MemFile>)>>);

impl Files {
    /// The file of `body`, which is that of `file`. `None` when there cannot be one.
    fn get(&self, file: File, body: &[Bytes]) -> Option<Arc<MemFile>> {
        let mut known = self.0.lock();
        known.retain(|(_, made)| made.strong_count() > 0);
        let mut found = known.iter().filter(|(of, _)| *of == file);
        if let Some(made) = found.next().and_then(|(_, made)| made.upgrade()) {
            return Some(made);
        }
        let made = Arc::new(MemFile::new(body).ok()?);
        known.push((file, Arc::downgrade(&made)));
        Some(made)
    }
}

impl From<Prepared> for Shared {
    fn from(prepared: Prepared) -> Self {
        Self::new(prepared, None)
    }
}

impl Shared {
    /// The whole of `file`, which never changes.
    pub(crate) fn lasting(prepared: Prepared, files: &Arc<Files>, file: File) -> Self {
        Self::new(prepared, Some((Arc::clone(files), file)))
    }

    fn new(prepared: Prepared, files: Option<(Arc<Files>, File)>) -> Self {
        Self(Rc::new(Once {
            files,
            length: prepared.bytes(),
            prepared,
            head: RefCell::new(None),
            sent: Cell::new(0),
            file: OnceCell::new(),
        }))
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.0.prepared
    }

    /// Bytes of the body.
    pub(crate) fn length(&self) -> u64 {
        self.0.length
    }

    /// The body as a file, for a body that is sent often and is long enough; to be called once each time it is sent.
    pub(crate) fn file(&self) -> Option<&MemFile> {
        let (files, file) = self.0.files.as_ref()?;
        if self.0.length < FILE_LEAST {
            return None;
        }
        let sent = self.0.sent.get().saturating_add(1);
        self.0.sent.set(sent);
        if sent < FILE_AFTER {
            return None;
        }
        let get = || files.get(*file, &self.0.prepared.body);
        self.0.file.get_or_init(get).as_deref()
    }

    /// The file that [`Shared::file`] gave, if it ever did.
    pub(crate) fn made_file(&self) -> Option<&MemFile> {
        self.0.file.get()?.as_deref()
    }

    /// The head of HTTP/1.1, which says nothing of the client that asks but its manner.
    pub(crate) fn head(&self, manner: &Manner, at: SystemTime) -> Bytes {
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut head = self.0.head.borrow_mut();
        if let Some((of, then, bytes)) = &*head
            && (of, *then) == (manner, second)
        {
            return bytes.clone();
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        manner.write_head(&self.0.prepared, at, &mut bytes);
        let bytes = Bytes::from(bytes);
        *head = Some((manner.clone(), second, bytes.clone()));
        bytes
    }
}

/// A field of text.
pub(crate) fn field(name: &'static str, value: impl Into<Cow<'static, str>>) -> Field {
    let value = match value.into() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    (Cow::Borrowed(name), value)
}

impl Prepared {
    /// A line for people.
    pub(crate) fn text(status: Status, text: impl Into<String>) -> Self {
        Self {
            status,
            fields: vec![field("Content-Type", "text/plain; charset=utf-8")],
            body: vec![Bytes::from(text.into())],
            length: Length::Whole,
        }
    }

    /// With another field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push(field(name, value));
        self
    }

    /// What `reply` is to `request`.
    pub(crate) fn file(request: &Request, reply: Reply) -> Self {
        let is_text = TEXTS.contains(&reply.content_type);
        let status = Status::of(reply.status);
        let mut fields = vec![
            field("Content-Type", reply.content_type),
            field("Cache-Control", reply.cache.header()),
        ];
        if is_text || reply.gzip.is_some() {
            fields.push(field("Vary", "Accept-Encoding"));
        }
        if let Some(seconds) = reply.retry_after {
            fields.push(field("Retry-After", seconds.to_string()));
        }
        let gzip = reply.gzip.filter(|_| request.accepts_gzip);
        // a strong validator belongs to one sequence of bytes (section 8.8.1)
        let etag = reply.etag.map(|etag| match &gzip {
            Some(_) => format!("{}-gzip\"", etag.trim_end_matches('"')),
            None => etag,
        });
        if let Some(etag) = &etag {
            fields.push(field("ETag", etag.clone()));
        }
        let mut prepared = Self {
            status,
            fields,
            body: reply.body,
            length: Length::Whole,
        };
        if status != Status::OK {
            return prepared;
        }
        let is_read = matches!(request.method, Method::Get | Method::Head);
        if is_read && is_known(request, etag.as_deref()) {
            prepared.status = Status::NOT_MODIFIED;
            prepared.body = Vec::new();
            prepared.length = Length::Bare;
            return prepared;
        }
        if let Some(gzip) = gzip {
            prepared.body = vec![gzip];
            return prepared.with("Content-Encoding", "gzip");
        }
        prepared.cut(request, etag.as_deref())
    }

    /// The beginning of a body that grows: neither its length nor its end are known, so there are no ranges of it.
    pub(crate) fn growing(reply: Reply) -> Self {
        Self {
            status: Status::of(reply.status),
            fields: vec![
                field("Content-Type", reply.content_type),
                field("Cache-Control", reply.cache.header()),
            ],
            body: reply.body,
            length: Length::Growing,
        }
    }

    /// The range that is asked for.
    fn cut(mut self, request: &Request, etag: Option<&str>) -> Self {
        let length = self.bytes();
        self = self.with("Accept-Ranges", "bytes");
        // section 14.2: ranges are for GET alone
        let Some(range) = request.range.filter(|_| request.method == Method::Get) else {
            return self;
        };
        if request
            .if_range
            .as_deref()
            .is_some_and(|wanted| etag != Some(wanted))
        {
            return self;
        }
        let Some(wanted) = range.of(length) else {
            let all = format!("bytes */{length}");
            let text = "there are no such bytes in this file\n";
            return Self::text(Status::RANGE, text).with("Content-Range", all);
        };
        let (first, last) = (wanted.start, wanted.end.saturating_sub(1));
        self.status = Status::PARTIAL;
        self.body = slice(&self.body, &wanted);
        self.with("Content-Range", format!("bytes {first}-{last}/{length}"))
    }

    /// Bytes of the body as far as it is here.
    pub(crate) fn bytes(&self) -> u64 {
        self.body.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// Whether the client has these bytes already (section 13.1.2). Weak validators compare as strong ones do.
fn is_known(request: &Request, etag: Option<&str>) -> bool {
    let (Some(known), Some(etag)) = (&request.if_none_match, etag) else {
        return false;
    };
    known
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

/// A part of a body, in the same memory.
fn slice(body: &[Bytes], wanted: &std::ops::Range<u64>) -> Vec<Bytes> {
    let mut at = 0_u64;
    let mut found = Vec::new();
    for piece in body {
        let (start, end) = (at, at + piece.len() as u64);
        at = end;
        let from = wanted.start.clamp(start, end) - start;
        let to = wanted.end.clamp(start, end) - start;
        // both are within a piece, which is in memory
        let (from, to) = (from as usize, to as usize);
        if from < to {
            found.push(piece.slice(from..to));
        }
    }
    found
}

#[cfg(test)]
mod tests;
