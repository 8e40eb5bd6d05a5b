//! Static files.
//!
//! Owns: finding a file below a folder, and sending it. Invariants: nothing outside the folder is reached, be it by dots
//! or by symbolic links; nothing whose name begins with a dot; folders are not listed. Does not: know streams.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use weir_http::date;
use weir_http::head::Whole;
use weir_http::request::Method;

use super::connection::{Connection, Next};
use super::end::{End, Status};

/// Bytes read from a file at once: what the core does not do anything else for, some tens of microseconds.
const PIECE_BYTES: usize = 64 << 10;

/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    /// A file.
    File {
        file: File,
        length: u64,
        modified: Option<SystemTime>,
        content_type: &'static str,
    },
    /// A folder with an [`INDEX`], by a path without the last slash.
    Folder,
}

/// Which part of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    /// From the first to the last byte, both included.
    Part(u64, u64),
    /// None that it has.
    Nothing,
}

/// The file below `root` that a percent-encoded path names. Fails when the folder itself cannot be read.
pub(super) fn find(root: &Path, path: &str) -> io::Result<Option<Found>> {
    let Ok(decoded) = percent_decode_str(path).decode_utf8() else {
        return Ok(None);
    };
    let mut below = PathBuf::new();
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with('.') || segment.contains('\0') {
            return Ok(None);
        }
        below.push(segment);
    }
    let root = root.canonicalize()?;
    let Some(full) = resolve(&root, &below) else {
        return Ok(None);
    };
    if !full.is_dir() {
        return Ok(match path.ends_with('/') {
            true => None,
            false => open(&full),
        });
    }
    let Some(index) = resolve(&root, &below.join(INDEX)) else {
        return Ok(None);
    };
    Ok(match path.ends_with('/') {
        true => open(&index),
        false => index.is_file().then_some(Found::Folder),
    })
}

/// The real path of what stands below `root`; `None` for what is not there, leads out, or is hidden.
fn resolve(root: &Path, below: &Path) -> Option<PathBuf> {
    let full = root.join(below).canonicalize().ok()?;
    let real = full.strip_prefix(root).ok()?;
    let hidden = real
        .components()
        .any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    (!hidden).then_some(full)
}

fn open(path: &Path) -> Option<Found> {
    // a pipe would not open before somebody writes to it
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let about = file.metadata().ok()?;
    Some(Found::File {
        length: about.len(),
        // dates in headers have no fractions
        modified: about.modified().ok().map(whole_seconds),
        content_type: content_type(path),
        file,
    })
}

fn whole_seconds(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|text| text.to_str());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "mp4" | "m4v" | "m4s" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "vtt" => "text/vtt",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// What of `length` bytes a `Range` asks for (RFC 9110, section 14.2). Several ranges, or other units, are ignored.
fn wanted(range: &str, length: u64) -> Wanted {
    let Some(range) = range.trim().strip_prefix("bytes=") else {
        return Wanted::All;
    };
    let Some((first, last)) = range.split_once('-') else {
        return Wanted::All;
    };
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = (first.trim(), last.trim());
    let end = length.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::All,
        (Some(first), Some(_)) if first > end || length == 0 => Wanted::Nothing,
        (Some(first), Some(last)) => Wanted::Part(first, last.min(end)),
        (Some(first), None) if last.is_empty() => match first > end || length == 0 {
            true => Wanted::Nothing,
            false => Wanted::Part(first, end),
        },
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() && length == 0 => Wanted::Nothing,
        (None, Some(count)) if first.is_empty() => Wanted::Part(length.saturating_sub(count), end),
        _ => Wanted::All,
    }
}

impl Connection {
    /// Sends a file, or says where its folder is.
    pub(super) async fn send_file(&mut self, found: Found, whole: &Whole) -> Result<Next, End> {
        self.opened.session().note(|about| about.path = "file");
        let Found::File {
            mut file,
            length,
            modified,
            content_type,
        } = found
        else {
            return self.send_to_folder(whole).await;
        };
        let fields = &whole.fields;
        let at = modified.map(date::format);
        let since = fields.get("if-modified-since").and_then(date::parse);
        let is_known = since.is_some_and(|since| modified.is_some_and(|at| at <= since));
        let same = fields
            .get("if-range")
            .is_none_or(|named| at.as_deref() == Some(named));
        let wanted = match fields.get("range") {
            Some(range) if same && whole.request.method == Method::Get => wanted(range, length),
            _ => Wanted::All,
        };
        let (status, first, count) = match wanted {
            _ if is_known => (Status(304, "Not Modified", ""), 0, 0),
            Wanted::All => (Status::OK, 0, length),
            Wanted::Part(first, last) => {
                let count = last.saturating_sub(first).saturating_add(1);
                (Status(206, "Partial Content", ""), first, count)
            }
            Wanted::Nothing => (Status(416, "Range Not Satisfiable", ""), 0, 0),
        };
        let mut head = self.manner.begin(status);
        if let Some(at) = at {
            head.field("Last-Modified", at);
        }
        head.field("Accept-Ranges", "bytes")
            .field("X-Content-Type-Options", "nosniff");
        if status.0 != 304 {
            head.field("Content-Type", content_type)
                .field("Content-Length", count);
        }
        match wanted {
            Wanted::Part(first, last) if !is_known => {
                head.field(
                    "Content-Range",
                    format_args!("bytes {first}-{last}/{length}"),
                );
            }
            Wanted::Nothing if !is_known => {
                head.field("Content-Range", format_args!("bytes */{length}"));
            }
            _ => {}
        }
        self.send(&head.finish()).await?;
        if !self.manner.head_only && count > 0 {
            self.send_part(&mut file, first, count).await?;
        }
        Ok(Next::Again)
    }

    async fn send_to_folder(&mut self, whole: &Whole) -> Result<Next, End> {
        let status = Status(301, "Moved Permanently", "");
        let mut head = self.manner.begin(status);
        // two slashes would name a host
        let path = whole.request.path.trim_start_matches('/');
        head.field("Location", format_args!("/{path}/"))
            .field("Content-Length", 0);
        self.send(&head.finish()).await?;
        Ok(Next::Again)
    }

    async fn send_part(&mut self, file: &mut File, first: u64, count: u64) -> Result<(), End> {
        let failed = |error: io::Error| End::silent("file_failed", error);
        file.seek(SeekFrom::Start(first)).map_err(failed)?;
        let piece = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(PIECE_BYTES);
        let (mut buffer, mut left) = (vec![0; piece], count);
        let shared = std::rc::Rc::clone(&self.shared);
        let shutdown = shared.context.core.shutdown();
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece);
            let room = buffer.get_mut(..most).unwrap_or_default();
            let read = file.read(room).map_err(failed)?;
            if read == 0 {
                // it became shorter; the client sees that something is missing
                return Err(failed(ErrorKind::UnexpectedEof.into()));
            }
            tokio::select! {
                sent = self.send(buffer.get(..read).unwrap_or_default()) => sent?,
                () = shutdown.stopped() => return Err(End::stopped()),
            }
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    fn is_file(root: &Path, path: &str) -> bool {
        matches!(find(root, path), Ok(Some(Found::File { .. })))
    }

    #[test]
    fn only_what_is_below_and_in_the_open_is_found() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "s").expect("written");
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir_all(root.join("players/.git")).expect("made");
        fs::create_dir(root.join("empty")).expect("made");
        for name in [
            "index.html",
            "players/index.html",
            "players/.git/config",
            "a b.js",
        ] {
            fs::write(root.join(name), name).expect("written");
        }
        symlink(outside.path().join("secret"), root.join("out")).expect("linked");
        symlink(root.join("players/.git/config"), root.join("hidden")).expect("linked");
        symlink(root.join("index.html"), root.join("inside")).expect("linked");
        for path in [
            "/",
            "/index.html",
            "/players/",
            "/a%20b.js",
            "/inside",
            "//index.html",
        ] {
            assert!(is_file(root, path), "{path}");
        }
        for path in [
            "/out",
            "/hidden",
            "/players/.git/config",
            "/../secret",
            "/%2e%2e/secret",
            "/empty/",
            "/empty",
            "/none",
            "/index.html/",
            "/index.html/x",
            "/%ff",
        ] {
            assert!(matches!(find(root, path), Ok(None)), "{path}");
        }
        assert!(matches!(find(root, "/players"), Ok(Some(Found::Folder))));
        assert!(find(&root.join("gone"), "/").is_err());
    }

    #[test]
    fn ranges_are_single_and_within() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=2-", Wanted::Part(2, 9)),
            ("bytes=2-99", Wanted::Part(2, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-99", Wanted::Part(0, 9)),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=-", Wanted::All),
            ("items=0-1", Wanted::All),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn parts_lie_within(range in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0..200u64) {
            if let Wanted::Part(first, last) = wanted(&range, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
