//! Answers: of made-up files, of the plain page, and of whatever this build embeds.

use proptest::prelude::*;

use super::*;

/// A built console in small.
fn made_up(name: &str) -> Option<Stored> {
    let (data, content_type): (&'static [u8], _) = match name {
        "index.html" => (b"<!doctype html>full", "text/html; charset=utf-8"),
        "index.html.gz" => (b"\x1f\x8bindex", "application/gzip"),
        "assets/main-abc123.js" => (b"let x;", "text/javascript; charset=utf-8"),
        "assets/main-abc123.js.gz" => (b"\x1f\x8bmain", "application/gzip"),
        "icon.svg" => (b"<svg/>", "image/svg+xml; charset=utf-8"),
        _ => return None,
    };
    Some(Stored {
        data: Cow::Borrowed(data),
        content_type: content_type.to_owned(),
        mark: format!("{:x}", data.len()),
    })
}

fn get(path: &str) -> Response<Bytes> {
    find(&made_up, path, false, None)
}

fn header(response: &Response<Bytes>, name: HeaderName) -> &str {
    let value = response.headers().get(name).map(HeaderValue::to_str);
    value.map_or("", |value| value.unwrap())
}

/// What every answer must carry, whatever its status.
fn assert_guarded(response: &Response<Bytes>) {
    let policy = header(response, CONTENT_SECURITY_POLICY);
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    for loose in ["unsafe", "http", "*", "data:"] {
        assert!(!policy.contains(loose), "{policy}");
    }
    assert_eq!(header(response, X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(header(response, REFERRER_POLICY), "no-referrer");
}

#[test]
fn pages_are_the_one_page_and_asked_for_each_time() {
    for path in [
        "/console/",
        "/console/streams",
        "/console/streams/12",
        "/console/index.html",
    ] {
        let response = get(path);
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.body().as_ref(), b"<!doctype html>full");
        assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(&response, CACHE_CONTROL), "no-cache");
        assert_guarded(&response);
    }
}

#[test]
fn hashed_files_are_kept_for_good_and_others_are_not() {
    let script = get("/console/assets/main-abc123.js");
    assert_eq!(script.status(), StatusCode::OK);
    assert_eq!(
        header(&script, CACHE_CONTROL),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(
        header(&script, CONTENT_TYPE),
        "text/javascript; charset=utf-8"
    );
    let icon = get("/console/icon.svg");
    assert_eq!(header(&icon, CACHE_CONTROL), "no-cache");
    assert_eq!(header(&icon, CONTENT_TYPE), "image/svg+xml; charset=utf-8");
    assert_eq!(header(&icon, VARY), "", "it has one form only");
}

#[test]
fn gzip_goes_to_those_who_take_it() {
    let path = "/console/assets/main-abc123.js";
    let packed = find(&made_up, path, true, None);
    assert_eq!(packed.body().as_ref(), b"\x1f\x8bmain");
    assert_eq!(header(&packed, CONTENT_ENCODING), "gzip");
    assert_eq!(
        header(&packed, CONTENT_TYPE),
        "text/javascript; charset=utf-8"
    );
    let whole = find(&made_up, path, false, None);
    assert_eq!(header(&whole, CONTENT_ENCODING), "");
    assert_eq!(header(&whole, VARY), "accept-encoding");
    assert_eq!(header(&packed, VARY), "accept-encoding");
    assert_ne!(header(&packed, ETAG), header(&whole, ETAG));
    let icon = find(&made_up, "/console/icon.svg", true, None);
    assert_eq!(
        header(&icon, CONTENT_ENCODING),
        "",
        "a file without a packed form"
    );
    assert_eq!(
        get("/console/index.html.gz").status(),
        StatusCode::NOT_FOUND
    );
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    for gzip in [false, true] {
        let first = find(&made_up, "/console/", gzip, None);
        let mark = header(&first, ETAG).to_owned();
        let lists = [
            mark.clone(),
            format!("W/{mark}"),
            format!("\"x\", {mark}"),
            "*".to_owned(),
        ];
        for list in lists {
            let again = find(&made_up, "/console/", gzip, Some(&list));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{list}");
            assert!(again.body().is_empty());
            assert_eq!(header(&again, ETAG), mark);
            assert_eq!(header(&again, CACHE_CONTROL), "no-cache");
            assert_guarded(&again);
        }
        let other = find(&made_up, "/console/", gzip, Some("\"other\""));
        assert_eq!(other.status(), StatusCode::OK);
        let other_form = find(&made_up, "/console/", !gzip, Some(&mark));
        assert_eq!(
            other_form.status(),
            StatusCode::OK,
            "the other form is another thing"
        );
    }
}

#[test]
fn a_missing_slash_is_added() {
    let response = get("/console");
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(header(&response, LOCATION), "/console/");
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "",
        "/",
        "/consoles",
        "/api/v1/streams",
        "/console/gone.js",
        "/console/assets/gone-1.js",
        "/console/assets/",
        "/console/assets",
        "/console/../Cargo.toml",
        "/console/%2e%2e/Cargo.toml",
        "/console/..\\Cargo.toml",
        "/console//etc/passwd.txt",
        "/console/.lock",
        "console/index.html",
    ] {
        let response = get(path);
        // a page's name has no dot, so this one is the console's
        let expected = if path == "/console/assets" { 200 } else { 404 };
        assert_eq!(response.status(), expected, "{path}");
        assert_guarded(&response);
    }
}

#[test]
fn the_plain_page_is_answered_like_any_other() {
    let first = find(&plain_file, "/console/", true, None);
    assert_eq!(first.status(), StatusCode::OK);
    let body = String::from_utf8(first.body().to_vec()).unwrap();
    assert!(body.contains("cargo xtask console") && !body.contains("<script"));
    assert_eq!(header(&first, CONTENT_ENCODING), "");
    assert_guarded(&first);
    let again = find(&plain_file, "/console/", true, Some(header(&first, ETAG)));
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let script = find(&plain_file, "/console/assets/main.js", true, None);
    assert_eq!(script.status(), StatusCode::NOT_FOUND);
    let listed = plain(Some(&[]));
    assert_eq!(header(&listed, CACHE_CONTROL), "no-store");
    assert_guarded(&listed);
}

#[test]
fn everything_that_is_embedded_is_answered_as_what_it_is() {
    let page = answer("/console/", false, None);
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header(&page, CONTENT_TYPE), "text/html; charset=utf-8");
    let names: Vec<_> = FILES.iter().map(|file| file.name).collect();
    assert_eq!(is_full(), !names.is_empty());
    assert!(names.is_sorted(), "{names:?}");
    for file in FILES.iter().filter(|file| !file.name.ends_with(PACKED)) {
        let name = file.name;
        let path = format!("{ROOT}{name}");
        let whole = answer(&path, false, None);
        assert_eq!(whole.status(), StatusCode::OK, "{path}");
        assert_eq!(whole.body().as_ref(), file.data, "{path}");
        assert_guarded(&whole);
        let expected = match name.rsplit('.').next().unwrap() {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml; charset=utf-8",
            "txt" => "text/plain; charset=utf-8",
            other => panic!("{name}: is {other} meant to be shipped?"),
        };
        assert_eq!(header(&whole, CONTENT_TYPE), expected, "{path}");
        let immutable = header(&whole, CACHE_CONTROL).contains("immutable");
        assert_eq!(immutable, name.starts_with(HASHED), "{path}");
        let again = answer(&path, false, Some(header(&whole, ETAG)));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        let packed = answer(&path, true, None);
        let is_packed = header(&packed, CONTENT_ENCODING) == "gzip";
        assert_eq!(
            is_packed,
            names.contains(&&*format!("{name}{PACKED}")),
            "{path}"
        );
        if is_packed {
            assert!(packed.body().starts_with(b"\x1f\x8b"), "{path}");
            assert!(packed.body().len() < whole.body().len(), "{path}");
        }
        assert_eq!(answer(&format!("{path}{PACKED}"), true, None).status(), 404);
    }
}

#[test]
fn marks_are_hashes_of_what_files_hold() {
    for file in FILES {
        assert_eq!(file.mark.len(), 16, "{}", file.name);
        let same = |other: &&Embedded| other.mark == file.mark;
        for other in FILES.iter().filter(same) {
            assert_eq!(other.data, file.data, "{} and {}", other.name, file.name);
        }
        let alike = |other: &&Embedded| other.data == file.data;
        for other in FILES.iter().filter(alike) {
            assert_eq!(other.mark, file.mark, "{} and {}", other.name, file.name);
        }
    }
}

#[test]
fn the_full_page_has_nothing_in_it_that_its_policy_forbids() {
    let page = answer("/console/", false, None);
    let html = String::from_utf8(page.body().to_vec()).unwrap();
    assert!(
        !html.contains("style=") && !html.contains("<style"),
        "{html}"
    );
    for script in html.split("<script").skip(1) {
        assert!(
            script.contains("></script>"),
            "a script in the page: {html}"
        );
    }
    for elsewhere in ["http://", "https://", "src=\"//"] {
        assert!(!html.contains(elsewhere), "{html}");
    }
}

#[test]
fn encodings_are_read_as_lists_with_qualities() {
    for taken in [
        "gzip",
        "deflate, gzip",
        "GZIP;q=0.5",
        "br, *",
        "*;q=0.1",
        "x-gzip",
    ] {
        assert!(accepts_gzip(taken), "{taken}");
    }
    for refused in [
        "",
        "br",
        "gzip;q=0",
        "gzip; q=0.0, *",
        "*;q=0",
        "identity",
        "gzipped",
    ] {
        assert!(!accepts_gzip(refused), "{refused}");
    }
}

proptest! {
    #[test]
    fn no_path_leads_out_or_panics(path in "(/console/)?[a-z./%\\\\\\PC]{0,40}", gzip: bool) {
        for response in [find(&made_up, &path, gzip, Some(&path)), answer(&path, gzip, Some(&path))] {
            let status = response.status().as_u16();
            prop_assert!(matches!(status, 200 | 304 | 308 | 404), "{path}: {status}");
            prop_assert!(status != 200 || path.starts_with(ROOT), "{path}");
        }
        prop_assert!(!accepts_gzip(&path) || path.to_lowercase().contains(['z', '*']));
    }
}
