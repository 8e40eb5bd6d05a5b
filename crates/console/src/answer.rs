//! From a path to an answer.
//!
//! Owns: what a path means, headers, and the comparison with what the browser has. Invariants: see the crate. An answer to
//! HEAD is the one to GET without its body, which is the caller's to leave out. Does not: know other methods.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use crate::plain;

// `FILES`, as build.rs wrote it
include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// One file of the console in the binary.
struct Embedded {
    /// Its path below [`ROOT`].
    name: &'static str,
    data: &'static [u8],
    content_type: &'static str,
    /// A hash of what it holds, as hexadecimal digits.
    mark: &'static str,
}

/// Where the console is.
const ROOT: &str = "/console/";

/// The one page; its script reads the rest of the address.
const INDEX: &str = "index.html";

/// Files whose names carry a hash of what is in them.
const HASHED: &str = "assets/";

/// Behind the name of a file that is compressed at build time.
const PACKED: &str = ".gz";

/// What the page may do: use what comes from here, and play what its players put together (`blob:`). Nothing is fetched
/// from elsewhere, nothing is framed, and there are no scripts or styles in the page itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
     connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// One file to answer with.
struct Stored {
    data: Cow<'static, [u8]>,
    content_type: String,
    /// What tells it from other versions of it.
    mark: String,
}

/// Whether the full console is embedded. If not, [`answer`] gives the plain page without its list, and
/// [`crate::plain()`] makes the one with it.
#[must_use]
pub fn is_full() -> bool {
    FILES.iter().any(|file| file.name == INDEX)
}

/// The answer to a GET of `path`, which is what stands before `?`, as it was sent. `if_none_match` is that header's value.
///
/// 200 for a file; 304 when the browser has it; 308 for `/console`, which lacks a slash; 404 for a file that there is
/// not, and whatever is not below `/console/`. Names without a dot are pages of the console.
#[must_use]
pub fn answer(path: &str, gzip: bool, if_none_match: Option<&str>) -> Response<Bytes> {
    if is_full() {
        return find(&embedded, path, gzip, if_none_match);
    }
    find(&plain_file, path, gzip, if_none_match)
}

/// Whether a client whose `Accept-Encoding` is `value` takes gzip (RFC 9110, section 12.5.3).
#[must_use]
pub fn accepts_gzip(value: &str) -> bool {
    let mut any = false;
    for item in value.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return !refused;
        }
        any |= coding == "*" && !refused;
    }
    any
}

/// A page that must be asked for each time, and has no mark.
pub(crate) fn page(body: Bytes) -> Response<Bytes> {
    let mut response = guarded(StatusCode::OK, body);
    set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn embedded(name: &str) -> Option<Stored> {
    let file = FILES.iter().find(|file| file.name == name)?;
    Some(Stored {
        data: Cow::Borrowed(file.data),
        content_type: file.content_type.to_owned(),
        mark: file.mark.to_owned(),
    })
}

fn plain_file(name: &str) -> Option<Stored> {
    (name == INDEX).then(|| Stored {
        data: Cow::Owned(plain::html(None).into_bytes()),
        content_type: "text/html; charset=utf-8".to_owned(),
        mark: format!("plain-{}", env!("CARGO_PKG_VERSION")),
    })
}

fn find(
    files: &dyn Fn(&str) -> Option<Stored>,
    path: &str,
    gzip: bool,
    if_none_match: Option<&str>,
) -> Response<Bytes> {
    if path == ROOT.trim_end_matches('/') {
        let mut response = guarded(StatusCode::PERMANENT_REDIRECT, Bytes::new());
        set(&mut response, LOCATION, ROOT);
        return response;
    }
    let Some(name) = path.strip_prefix(ROOT) else {
        return missing();
    };
    let is_page = name.is_empty() || !name.contains(['.', '%', '\\']);
    let name = if is_page && !name.starts_with(HASHED) {
        INDEX
    } else {
        name
    };
    if name.ends_with(PACKED) {
        return missing();
    }
    let Some(stored) = files(name) else {
        return missing();
    };
    file(files, name, stored, gzip, if_none_match)
}

fn file(
    files: &dyn Fn(&str) -> Option<Stored>,
    name: &str,
    stored: Stored,
    gzip: bool,
    if_none_match: Option<&str>,
) -> Response<Bytes> {
    let packed = files(&format!("{name}{PACKED}"));
    let has_packed = packed.is_some();
    let (body, is_packed) = match packed.filter(|_| gzip) {
        Some(packed) => (packed.data, true),
        None => (stored.data, false),
    };
    // one mark for each of the two forms (RFC 9110, section 8.8.3)
    let mark = format!("\"{}{}\"", stored.mark, if is_packed { "-gz" } else { "" });
    let same = if_none_match.is_some_and(|list| is_listed(list, &mark));
    let mut response = if same {
        guarded(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        guarded(StatusCode::OK, shared(body))
    };
    set(&mut response, ETAG, &mark);
    set(&mut response, CACHE_CONTROL, kept(name));
    if has_packed {
        set(&mut response, VARY, "accept-encoding");
    }
    if !same {
        set(&mut response, CONTENT_TYPE, &stored.content_type);
        if is_packed {
            set(&mut response, CONTENT_ENCODING, "gzip");
        }
    }
    response
}

/// How long a file may be kept: a name with a hash never means anything else.
fn kept(name: &str) -> &'static str {
    if name.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Whether an `If-None-Match` names this mark; weak ones count (RFC 9110, section 13.1.2).
fn is_listed(list: &str, mark: &str) -> bool {
    let marks = list.split(',').map(str::trim);
    let mut marks = marks.map(|one| one.strip_prefix("W/").unwrap_or(one));
    marks.any(|one| one == "*" || one == mark)
}

fn missing() -> Response<Bytes> {
    let mut response = guarded(StatusCode::NOT_FOUND, Bytes::from_static(b"not found\n"));
    set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// A response with what every answer carries.
fn guarded(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, POLICY);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, REFERRER_POLICY, "no-referrer");
    response
}

/// Sets a header; a value that is none cannot happen with what is set here, and would be left out.
fn set(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn shared(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

#[cfg(test)]
mod tests;
