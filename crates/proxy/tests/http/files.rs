//! Static files.

use std::fs;

use crate::rig::{Origin, Proxy, answer, settings};

fn serving(folder: &tempfile::TempDir, origins: &[std::net::SocketAddr]) -> Proxy {
    let mut settings = settings();
    settings.http.static_files = Some(folder.path().to_owned());
    Proxy::start(settings, origins)
}

/// C60.
#[test]
fn the_index_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("index.html"), "<p>hi").expect("written");
    fs::create_dir(folder.path().join("players")).expect("made");
    fs::write(folder.path().join("players/index.html"), "<p>play").expect("written");
    fs::write(folder.path().join("players/large.js"), "x".repeat(200_000)).expect("written");
    fs::write(folder.path().join(".env"), "secret").expect("written");
    let proxy = serving(&folder, &[]);
    let mut client = proxy.client();
    let got = client.request("GET", "/", &[]);
    assert_eq!((got.head.status, got.text().as_str()), (200, "<p>hi"));
    assert_eq!(
        got.head.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(client.request("GET", "/players/", &[]).text(), "<p>play");
    let got = client.request("GET", "/players", &[]);
    assert_eq!(got.head.status, 301);
    assert_eq!(got.head.header("location"), Some("/players/"));
    let got = client.request("GET", "/players/large.js", &[]);
    assert_eq!(got.body.len(), 200_000);
    for path in ["/.env", "/none", "/players/none.js"] {
        assert_eq!(client.request("GET", path, &[]).head.status, 404, "{path}");
    }
}

#[test]
fn without_a_folder_there_are_no_files() {
    let proxy = Proxy::start(settings(), &[]);
    assert_eq!(proxy.get("/").head.status, 404);
}

#[test]
fn parts_and_known_copies() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.txt"), "0123456789").expect("written");
    let proxy = serving(&folder, &[]);
    let mut client = proxy.client();
    let got = client.request("GET", "/a.txt", &[("Range", "bytes=2-4")]);
    assert_eq!((got.head.status, got.text().as_str()), (206, "234"));
    assert_eq!(got.head.header("content-range"), Some("bytes 2-4/10"));
    let at = got.head.header("last-modified").expect("a date").to_owned();
    let got = client.request("GET", "/a.txt", &[("Range", "bytes=10-")]);
    assert_eq!(got.head.status, 416);
    assert_eq!(got.head.header("content-range"), Some("bytes */10"));
    let got = client.request("GET", "/a.txt", &[("If-Modified-Since", &at)]);
    assert_eq!(got.head.status, 304);
    let changed = [
        ("Range", "bytes=2-4"),
        ("If-Range", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let got = client.request("GET", "/a.txt", &changed);
    assert_eq!((got.head.status, got.body.len()), (200, 10));
    let same = [("Range", "bytes=2-4"), ("If-Range", at.as_str())];
    assert_eq!(client.request("GET", "/a.txt", &same).head.status, 206);
    let got = client.request("HEAD", "/a.txt", &[]);
    assert_eq!(got.head.header("content-length"), Some("10"));
}

#[test]
fn a_file_stands_before_a_piece_of_a_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("logo.jpg"), "file").expect("written");
    fs::write(folder.path().join("s.flv"), "file").expect("written");
    let origin = Origin::saying(answer("200 OK", "", "origin"));
    let proxy = serving(&folder, &[origin.address]);
    assert_eq!(proxy.get("/logo.jpg").text(), "file");
    assert_eq!(proxy.get("/live/thumb.jpg").text(), "origin");
    assert_eq!(proxy.get("/s.flv").text(), "origin");
}
